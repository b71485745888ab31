"""A pool of a real GPU, kept by a keeper and opened here: `tests/process/workers/test_keeper_process.py` on CUDA."""

import contextlib
import signal

import torch

from ipc.config import KeeperConfig
from ipc.control_messages import KeeperReady, ModelsReady, StartKeeper, Stop
from ipc.device_memory.pool_layout import pool_layout
from tests.support.keeper_under_test import small_card, weights_segment
from tests.support.worker_under_test import RoleProcess
from workers.cuda_memory import CudaOpener, cuda_index, cuda_uuid
from workers.device_tensors import kv_pages_in, weights_in


def test_what_one_process_writes_another_reads_and_the_pool_outlives_a_user() -> None:
    with contextlib.ExitStack() as stack:
        model = torch.nn.Linear(5, 3)
        expected = model.weight.detach().clone()
        card = small_card(0, model, "cuda")
        weights = weights_segment(card, model, stack)
        keeper = RoleProcess("keeper", stack)
        keeper.control.send(StartKeeper(KeeperConfig(pool=0, epoch=1, device="cuda", device_index=0)))
        keeper.control.send(ModelsReady([card]), [weights.fd])
        memory = keeper.expect(KeeperReady).memory
        assert cuda_index(memory.device) == 0
        opener, layout = CudaOpener(), pool_layout([card])
        pool = opener.open(memory)
        assert pool.shape == (layout.size,)
        found = {entry.name: tensor for entry, tensor in weights_in(pool, layout.weights[0])}
        assert torch.equal(found["weight"].cpu(), expected)
        pages = kv_pages_in(pool, layout, card)
        assert all((layer.keys == 0).all() for layer in pages)
        pages[0].keys.fill_(7.0)
        torch.cuda.synchronize()
        assert float(kv_pages_in(pool, layout, card)[0].keys.min()) == 7.0
        del pool, found, pages
        opener.close(memory)
        keeper.control.send(Stop())
        assert keeper.exit_code() == 0


def test_devices_are_told_apart_by_uuid() -> None:
    uuids = [cuda_uuid(index) for index in range(torch.cuda.device_count())]
    assert len(set(uuids)) == len(uuids)
    assert [cuda_index(uuid) for uuid in uuids] == list(range(len(uuids)))


def test_a_killed_keeper_does_not_take_this_process_along() -> None:
    """What CUDA does to a user of memory whose owner died is not defined; a worker is killed then, and must be able
    to die."""
    with contextlib.ExitStack() as stack:
        model = torch.nn.Linear(5, 3)
        card = small_card(0, model, "cuda")
        weights = weights_segment(card, model, stack)
        keeper = RoleProcess("keeper", stack)
        keeper.control.send(StartKeeper(KeeperConfig(pool=0, epoch=1, device="cuda", device_index=0)))
        keeper.control.send(ModelsReady([card]), [weights.fd])
        opener = CudaOpener()
        memory = keeper.expect(KeeperReady).memory
        opener.open(memory)
        keeper.process.send_signal(signal.SIGKILL)
        assert keeper.exit_code() == -signal.SIGKILL
        opener.close(memory)
