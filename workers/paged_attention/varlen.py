"""Attention over KV pages through torch's own `varlen_attn`, which reads pages in place: CUDA, torch 2.13 or later.

One call a layer for all rows of a step, decoding and prefill alike. What the kernel takes differs with torch's version,
the GPU and the model, and is written nowhere; so nothing is assumed: `varlen_obstacle` tries it with the model's own
shapes before it is chosen, and compares what comes out with the reference.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass

import torch

from ipc.model_card import ModelCard
from workers.paged_attention.gathered import GatheredAttention
from workers.paged_attention.interface import AttentionPlan, LayerArguments, LayerPages, PrefillRow, write_pages
from workers.paged_attention.reference import ReferenceAttention

VarlenFunction = Callable[..., torch.Tensor]
TOLERANCE = 2e-2  # of bfloat16 sums in another order


@dataclass(frozen=True)
class _Rows:
    """The rows of a step in their order, as the kernel wants them; on the device."""

    first_tokens: torch.Tensor  # int32 [rows + 1] where each row's new tokens begin, and the end
    lengths: torch.Tensor  # int32 [rows] positions of each row, new ones included
    tables: torch.Tensor  # int32 [rows, width]
    most_new: int
    most_positions: int


class VarlenAttention:
    """The fast back end of CUDA."""

    def __init__(self, function: VarlenFunction | None = None) -> None:
        """`function`: in place of torch's, for tests."""
        self._function = function or torch_varlen()
        self._gathered = GatheredAttention()
        self._plan: AttentionPlan | None = None
        self._rows: _Rows | None = None

    def attend(
        self,
        pages: LayerPages,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        arguments: LayerArguments,
        plan: AttentionPlan,
    ) -> torch.Tensor:
        """See `AttentionBackend.attend`."""
        if arguments.softcap > 0 or arguments.sinks is not None:  # the kernel knows neither
            return self._gathered.attend(pages, query, key, value, arguments, plan)
        write_pages(pages, key, value, plan)
        if self._rows is None or self._plan is not plan:  # the same for all layers of a step
            self._plan, self._rows = plan, _rows_of(plan, query.device)
        rows = self._rows
        window = arguments.sliding_window
        return self._function(
            query.contiguous(),
            pages.keys.transpose(1, 2),
            pages.values.transpose(1, 2),
            rows.first_tokens,
            None,
            rows.most_new,
            rows.most_positions,
            scale=arguments.scaling,
            window_size=(window - 1 if window > 0 else -1, 0),
            enable_gqa=query.shape[1] != key.shape[1],
            seqused_k=rows.lengths,
            block_table=rows.tables,
        )


def torch_varlen() -> VarlenFunction:
    """torch's function, if it takes block tables. Raises ImportError or AttributeError where there is none."""
    module = importlib.import_module("torch.nn.attention.varlen")
    function: VarlenFunction = module.varlen_attn
    if "block_table" not in function.__annotations__:
        raise AttributeError("its varlen_attn takes no block_table")
    return function


def varlen_obstacle(card: ModelCard, device: torch.device, function: VarlenFunction | None = None) -> str:
    """What keeps this back end from serving a decoder of these shapes on `device`; "" if nothing does."""
    try:
        backend = VarlenAttention(function)
    except (ImportError, AttributeError) as error:
        return f"torch {torch.__version__}: {error}"
    for layer in dict.fromkeys(card.kv_layers):
        try:
            found, expected = _attend_both(backend, card, (layer.num_kv_heads, layer.key_dim, layer.value_dim), device)
        except (RuntimeError, ValueError, NotImplementedError) as error:  # torch's ways to say that a kernel cannot
            return f"varlen_attn of torch {torch.__version__} refuses: {str(error).partition(chr(10))[0]}"
        if not torch.allclose(found, expected, atol=TOLERANCE, rtol=TOLERANCE):
            return f"varlen_attn of torch {torch.__version__} computes something else than the reference"
    return ""


def _attend_both(
    backend: VarlenAttention, card: ModelCard, shape: tuple[int, int, int], device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """A decoding and a prefilling row over scattered pages, by the kernel and by the reference."""
    heads, key_dim, value_dim = shape
    dtype: torch.dtype = getattr(torch, card.dtype)
    size = card.block_size
    source = torch.Generator().manual_seed(0)

    def random(*dims: int) -> torch.Tensor:
        return torch.randn(*dims, generator=source).to(device, dtype)

    step = _probe_plan(size, device)
    query, key, value = random(4, 2 * heads, key_dim), random(4, heads, key_dim), random(4, heads, value_dim)
    pages = LayerPages(random(5, heads, size, key_dim), random(5, heads, size, value_dim))
    arguments = LayerArguments(key_dim**-0.5)
    found = backend.attend(pages, query, key, value, arguments, step)
    expected = ReferenceAttention().attend(pages, query, key, value, arguments, step)
    return found.float().cpu(), expected.float().cpu()


def _probe_plan(size: int, device: torch.device) -> AttentionPlan:
    """Token 0 decodes at position `size` on pages 3 and 1; tokens 1 to 3 prefill from position 0 on 2, 0 and 4."""
    prefill_pages = [2, 0, 4][: -(-3 // size)]
    places = [(1, 0), *((prefill_pages[position // size], position % size) for position in range(3))]
    index = torch.tensor(places, device=device)
    return AttentionPlan(
        block_size=size,
        token_page=index[:, 0],
        token_offset=index[:, 1],
        single_tokens=torch.tensor([0], device=device),
        single_lengths=torch.tensor([size + 1], dtype=torch.int32, device=device),
        single_tables=torch.tensor([[3, 1]], dtype=torch.int32, device=device),
        prefill_rows=(PrefillRow(1, 3, 0, torch.tensor(prefill_pages, device=device)),),
        singles_are_all=False,
    )


def _rows_of(plan: AttentionPlan, device: torch.device) -> _Rows:
    """All rows in the order of their tokens. Steps that only decode do not ask the device, so that a graph can hold
    them: their number of positions is an upper bound, which the kernel takes. Others ask once."""
    if plan.singles_are_all:
        count = len(plan.single_lengths)
        return _Rows(
            first_tokens=torch.arange(count + 1, dtype=torch.int32, device=device),
            lengths=plan.single_lengths,
            tables=plan.single_tables.clamp_min(0),
            most_new=1,
            most_positions=plan.single_tables.shape[1] * plan.block_size,
        )
    singles = zip(plan.single_tokens.tolist(), plan.single_lengths.tolist(), plan.single_tables, strict=True)
    rows = [(first, 1, length, table) for first, length, table in singles]
    rows += [(row.first, row.num_new, row.start + row.num_new, row.pages) for row in plan.prefill_rows]
    rows.sort(key=lambda row: row[0])
    tables = torch.zeros(len(rows), max(len(table) for _, _, _, table in rows), dtype=torch.int32, device=device)
    for index, (_, _, _, table) in enumerate(rows):
        tables[index, : len(table)] = table.clamp_min(0)
    ends = [first + num_new for first, num_new, _, _ in rows]
    lengths = [length for _, _, length, _ in rows]
    return _Rows(
        first_tokens=torch.tensor([0, *ends], dtype=torch.int32, device=device),
        lengths=torch.tensor(lengths, dtype=torch.int32, device=device),
        tables=tables,
        most_new=max(num_new for _, num_new, _, _ in rows),
        most_positions=max(lengths),
    )
