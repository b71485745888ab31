"""Decode steps as CUDA graphs: the kernels of a step are recorded once and then launched with one call.

A decode step of a small model is hundreds of kernels of some microseconds; launching each from Python takes longer
than computing it. A graph has fixed sizes, so there is one for each of a few heights (rows) and widths (pages of a
row), made when first wanted; a step takes the next ones above its own. What a graph gives is compared with the plain
step it was made from, and where anything is wrong the steps stay as they were: this is about speed only.

Nothing here is tied to CUDA but `CudaGraphs`; tests put another maker in its place.
"""

import logging
from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import Protocol

import torch

from ipc.model_card import ModelCard
from workers.batch import GenerateBatch
from workers.paged_attention.interface import LayerPages
from workers.step_buffer import StepBuffer, step_buffer

HEIGHTS = (1, 2, 4, 8, 16, 24, 32, 48, 64, 96, 128, 192, 256)
TOLERANCE = 2e-2  # as of the attention kernels; padded products may sum in another order

_logger = logging.getLogger("zerolane.workers.decode_graphs")
Compute = Callable[[], torch.Tensor]
Forward = Callable[[GenerateBatch, list[LayerPages]], torch.Tensor]


class CapturedStep(Protocol):
    """A step that can be computed again with what its input buffers hold then."""

    @property
    def output(self) -> torch.Tensor:
        """Overwritten by every replay."""
        ...

    def replay(self) -> None:
        """Asks the device to compute; does not wait."""
        ...


class GraphMaker(Protocol):
    """Records what a function asks of the device."""

    def run(self, compute: Compute) -> torch.Tensor:
        """Compute without recording, as a capture will: kernels are loaded and their workspaces made."""
        ...

    def capture(self, compute: Compute) -> CapturedStep:
        """Record without computing. Raises RuntimeError for what cannot be recorded, such as asking the device."""
        ...


class DecodeGraphs:
    """The graphs of one model. A graph belongs to the pages it was made with; used by one thread."""

    def __init__(
        self,
        forward: Forward,
        card: ModelCard,
        device: torch.device,
        maker: GraphMaker,
        heights: Sequence[int] = HEIGHTS,
        widths: Sequence[int] = (),
    ) -> None:
        """`forward` takes a batch on `device` and pages to logits [tokens to sample, vocab]. `heights` and `widths`
        ascend; no widths: one, as wide as the longest row."""
        self._forward = forward
        self._block_size = card.block_size
        self._device = device
        self._maker = maker
        self._heights = heights
        self._widths = widths or (-(-card.max_model_len // card.block_size),)
        self._buffers: dict[tuple[int, int], StepBuffer] = {}  # by height and width
        self._graphs: dict[tuple[int, ...], CapturedStep] = {}  # by height, width and the addresses of all pages
        self.obstacle = ""  # why no graphs are used any more

    def logits(self, batch: GenerateBatch, pages: list[LayerPages]) -> torch.Tensor | None:
        """Logits [tokens to sample, vocab] on the device, valid until the next call, for a batch on the host.

        None: this is no step for a graph, and nothing was computed.
        """
        count = len(batch.attention.token_page)
        if self.obstacle or not self._holds(batch):
            return None
        height = self._heights[bisect_left(self._heights, count)]
        width = self._widths[bisect_left(self._widths, batch.attention.single_tables.shape[1])]
        if (height, width) not in self._buffers:
            self._buffers[height, width] = step_buffer(height, width, self._device)
        buffer = self._buffers[height, width]
        buffer.fill(batch)
        key = (height, width, *(tensor.data_ptr() for layer in pages for tensor in (layer.keys, layer.values)))
        if key in self._graphs:
            self._graphs[key].replay()
            output = self._graphs[key].output
        else:
            output = self._first(key, buffer, pages)
        if len(batch.sample_tokens) == count:
            return output[:count]
        return output[batch.sample_tokens.to(self._device)]

    def _holds(self, batch: GenerateBatch) -> bool:
        """Rows of one token each, nothing to fill them up, and not too many."""
        plan = batch.attention
        count = len(plan.token_page)
        fits = 0 < count <= self._heights[-1] and plan.single_tables.shape[1] <= self._widths[-1]
        return plan.singles_are_all and fits and batch.token_ids.shape[1] == count

    def forget(self) -> None:
        """Drop all graphs: pages they were made with go away."""
        self._graphs.clear()

    def _first(self, key: tuple[int, ...], buffer: StepBuffer, pages: list[LayerPages]) -> torch.Tensor:
        """Compute a step plainly, and make the graph for those that follow."""

        def compute() -> torch.Tensor:
            return self._forward(buffer.batch(self._block_size), pages)

        expected = self._maker.run(compute).clone()
        try:
            graph = self._maker.capture(compute)
            graph.replay()  # writes the same keys and values again
        except RuntimeError as error:
            self._give_up(f"a step cannot be recorded: {str(error).partition(chr(10))[0]}")
            return expected
        if not torch.allclose(graph.output, expected, atol=TOLERANCE, rtol=TOLERANCE, equal_nan=True):
            self._give_up("a recorded step computed something else")
            return expected
        self._graphs[key] = graph
        return expected

    def _give_up(self, obstacle: str) -> None:
        _logger.warning("decoding without CUDA graphs: %s", obstacle)
        self.obstacle = obstacle
        self._graphs.clear()


def graphs_for(card: ModelCard, device: torch.device, forward: Forward) -> DecodeGraphs | None:
    """None on a CPU, and for attention that reads its plan on the host."""
    if device.type != "cuda" or card.attention_backend not in ("varlen", "gathered"):
        return None
    full = -(-card.max_model_len // card.block_size)
    copies_pages = card.attention_backend == "gathered"  # all that a table has room for
    widths = [2**power for power in range(2, full.bit_length()) if 2**power < full] if copies_pages else []
    return DecodeGraphs(forward, card, device, CudaGraphs(device), widths=(*widths, full))


class CudaGraphs:
    """torch's CUDA graphs. All share one pool of memory: only one is replayed at a time."""

    def __init__(self, device: torch.device) -> None:
        self._stream = torch.cuda.Stream(device)
        self._memory = torch.cuda.graph_pool_handle()

    def run(self, compute: Compute) -> torch.Tensor:
        """See `GraphMaker.run`; on the stream that will be captured."""
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            output = compute()
        torch.cuda.current_stream().wait_stream(self._stream)
        return output

    def capture(self, compute: Compute) -> "CudaStep":
        """See `GraphMaker.capture`."""
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._memory, stream=self._stream):
            output = compute()
        return CudaStep(graph, output)


class CudaStep:
    """See `CapturedStep`. Owns the graph and its output's memory."""

    def __init__(self, graph: "torch.cuda.CUDAGraph", output: torch.Tensor) -> None:
        self.output = output
        self._graph = graph

    def replay(self) -> None:
        """On the current stream."""
        self._graph.replay()
