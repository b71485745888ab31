"""A keeper of a fake GPU: what workers find in its pool, and each way its life can end."""

import contextlib
import signal
from collections.abc import Iterator
from typing import NamedTuple

import pytest
import torch

from ipc.config import KeeperConfig
from ipc.control_messages import Fatal, ModelsReady, StartKeeper, Stop
from ipc.device_memory.fake_cuda import FakeCudaOpener, fake_uuid
from ipc.device_memory.interface import RuleBroken
from ipc.device_memory.leases import LeasedPools, Leases, PoolInUse, StaleLease
from ipc.device_memory.pool_layout import pool_layout
from ipc.fake_card import fake_card
from ipc.model_card import ModelCard
from ipc.segments import Segment
from tests.support.keeper_under_test import Keeper, small_card, weights_segment
from tests.support.worker_under_test import RoleProcess
from workers.device_tensors import kv_pages_in, weights_in


class Served(NamedTuple):
    cards: list[ModelCard]
    weights: list[Segment]
    expected: list[dict[str, torch.Tensor]]  # of each card


@pytest.fixture
def stack() -> Iterator[contextlib.ExitStack]:
    with contextlib.ExitStack() as stack:
        yield stack


@pytest.fixture
def served(stack: contextlib.ExitStack) -> Served:
    """Two small models of random numbers."""
    torch.manual_seed(0)
    models = [torch.nn.Linear(5, 3), torch.nn.Sequential(torch.nn.Linear(7, 2), torch.nn.Embedding(4, 6))]
    expected = [{name: tensor.clone() for name, tensor in model.state_dict().items()} for model in models]
    cards = [small_card(index, model) for index, model in enumerate(models)]
    weights = [weights_segment(card, model, stack) for card, model in zip(cards, models, strict=True)]
    return Served(cards, weights, expected)


def test_workers_find_the_weights_and_blank_pages(served: Served, stack: contextlib.ExitStack) -> None:
    keeper = Keeper(served.cards, served.weights, stack)
    opener = FakeCudaOpener(fake_uuid(0))
    pool = torch.frombuffer(opener.open(keeper.memory), dtype=torch.uint8)
    layout = pool_layout(served.cards)
    assert len(pool) == layout.size == keeper.memory.size
    for card, expected in zip(served.cards, served.expected, strict=True):
        found = {entry.name: tensor for entry, tensor in weights_in(pool, layout.weights[card.index])}
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())
        pages = kv_pages_in(pool, layout, card)
        assert [layer.keys.shape for layer in pages] == [(10, 2, 4, 8), (10, 1, 4, 8)]
        assert all((layer.keys == 0).all() and (layer.values == 0).all() for layer in pages)
        pages[0].keys[:] = card.index + 1.0
    assert [float(kv_pages_in(pool, layout, card)[0].keys.min()) for card in served.cards] == [1.0, 2.0]
    del pool, pages, found
    opener.close(keeper.memory)
    keeper.control.send(Stop())
    assert keeper.exit_code() == 0


def test_a_keeper_told_to_stop_too_early_says_which_rule_was_broken(
    served: Served, stack: contextlib.ExitStack
) -> None:
    keeper = Keeper(served.cards, served.weights, stack)
    opener = FakeCudaOpener(fake_uuid(0))
    opener.open(keeper.memory)
    keeper.control.send(Stop())
    assert "freed before 1 processes closed it" in keeper.expect(Fatal).message
    assert keeper.exit_code() == 1
    opener.die()


def test_a_dead_keeper_takes_the_memory_along_and_a_new_one_is_filled_again(
    served: Served, stack: contextlib.ExitStack
) -> None:
    """The whole way of the supervisor: leases are lost, their holders end, the next generation begins."""
    leases, first = Leases(), Keeper(served.cards, served.weights, stack, epoch=1)
    leases.begin(first.memory)
    opener = FakeCudaOpener(fake_uuid(0))
    lease = leases.grant(holder=0, epoch=1)
    LeasedPools(opener).use(first.memory, lease)
    first.process.send_signal(signal.SIGKILL)
    assert first.exit_code() == -signal.SIGKILL
    leases.lose()
    with pytest.raises(RuleBroken, match="exporting process ended"):
        opener.buffer(first.memory)

    second = Keeper(served.cards, served.weights, stack, epoch=2)
    with pytest.raises(PoolInUse):
        leases.begin(second.memory)
    opener.die()
    leases.sweep(holder=0, epoch=1)
    leases.begin(second.memory)
    with pytest.raises(StaleLease):
        LeasedPools(FakeCudaOpener(fake_uuid(0))).use(second.memory, lease)
    reborn = FakeCudaOpener(fake_uuid(0))
    pool = torch.frombuffer(LeasedPools(reborn).use(second.memory, leases.grant(holder=0, epoch=2)), dtype=torch.uint8)
    found = {entry.name: tensor for entry, tensor in weights_in(pool, pool_layout(served.cards).weights[0])}
    assert torch.equal(found["weight"], served.expected[0]["weight"])
    del pool, found
    reborn.close(second.memory)


def test_fake_models_have_nothing_on_a_device() -> None:
    cards = [fake_card(0, "chat", "fake:generate", 0, 16, 0)]
    assert pool_layout(cards).size == 0


def test_without_a_gpu_the_keeper_says_what_cuda_says(served: Served, stack: contextlib.ExitStack) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    keeper = RoleProcess("keeper", stack)
    keeper.control.send(StartKeeper(KeeperConfig(pool=0, epoch=1, device="cuda", device_index=0)))
    keeper.control.send(ModelsReady(served.cards), [segment.fd for segment in served.weights])
    assert "GPU memory cannot be kept" in keeper.expect(Fatal).message
    assert keeper.exit_code() == 1
