"""Starts a keeper of a fake GPU as the supervisor would, and has small weights for it."""

import contextlib

import torch

from ipc.config import KeeperConfig
from ipc.control_messages import KeeperReady, ModelsReady, StartKeeper
from ipc.device_memory.interface import MemoryHandle
from ipc.model_card import ComputeDevice, KvLayer, ModelCard
from ipc.segments import Segment
from tests.support.worker_under_test import RoleProcess
from workers.load_weights import write_weights


def small_card(index: int, model: torch.nn.Module, device: ComputeDevice = "fake-cuda") -> ModelCard:
    """A card that describes a pool's memory and nothing else: two layers, 10 pages of 4 tokens."""
    num_bytes = sum(tensor.numel() * tensor.element_size() for tensor in model.state_dict().values())
    return ModelCard(
        index=index,
        name=f"small {index}",
        path="nowhere",
        task="generate",
        architecture="LlamaForCausalLM",
        dtype="float32",
        vocab_size=10,
        max_model_len=16,
        kv_layers=(KvLayer(2, 8, 8), KvLayer(1, 8, 4)),
        weights_bytes=num_bytes + 64 * 100,
        block_size=4,
        num_pages=10,
        device=device,
    )


def weights_segment(card: ModelCard, model: torch.nn.Module, stack: contextlib.ExitStack) -> Segment:
    """The model's weights as the loader leaves them; sealed, closed with the test."""
    segment = Segment.create("weights", card.weights_bytes, writable_until_sealed=True)
    stack.callback(segment.close)
    write_weights(model, segment.view, lambda done, total: None)
    segment.seal_writes()
    return segment


class Keeper(RoleProcess):
    """A keeper that holds a fake GPU's pool; killed with the test."""

    def __init__(
        self,
        cards: list[ModelCard],
        weights: list[Segment],
        stack: contextlib.ExitStack,
        epoch: int = 1,
        device_index: int = 0,
    ) -> None:
        super().__init__("keeper", stack)
        config = KeeperConfig(pool=device_index, epoch=epoch, device="fake-cuda", device_index=device_index)
        self.control.send(StartKeeper(config))
        self.control.send(ModelsReady(cards), [segment.fd for segment in weights])
        self.memory: MemoryHandle = self.expect(KeeperReady).memory
