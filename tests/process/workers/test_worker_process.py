"""A worker's life over its two links, with fake models: steps, failures, a new scheduler, and both ways to end."""

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from ipc.control_messages import PoolGone, Stop
from ipc.fake_card import fake_card
from ipc.step_layout import RingKind, StepHeader, StepKind, StepShape
from ipc.worker_link import fence
from tests.support.worker_under_test import LinkedWorker
from workers.fake_model import fake_continuation, fake_score

pytestmark = pytest.mark.process
PAGES = [7, 3, 50, 21, 99, 0]


@pytest.fixture
def worker() -> Iterator[LinkedWorker]:
    with contextlib.ExitStack() as stack:
        cards = [fake_card(0, "chat", "fake:generate", 0, 16, 0), fake_card(1, "rank", "fake:score", 0, 16, 0)]
        yield LinkedWorker(cards, [], stack, num_pools=2)


def test_serves_fake_models_without_torch(worker: LinkedWorker) -> None:
    prompt = list(b"every token depends on all before it")
    assert worker.generate(0, prompt, 40, PAGES) == fake_continuation(prompt, 40, ignore_eos=True)
    assert worker.score(1, [[1, 2, 3], [9]]) == [fake_score([1, 2, 3]), fake_score([9])]
    with open(f"/proc/{worker.role.pid}/maps") as maps:
        assert "libtorch" not in maps.read()


def test_a_step_that_fails_is_reported_and_the_worker_goes_on(worker: LinkedWorker) -> None:
    worker.plan(0, 0, [1], [100])
    failed = worker.report()
    assert failed.kind is RingKind.STEP_FAILED
    assert "outside the pool" in failed.text
    worker.submit(StepHeader(0, 5, worker.epoch, StepShape(StepKind.GENERATE, 1, 1, 1)))
    worker.publish()
    assert "no model 5" in worker.report().text
    assert worker.generate(0, [1, 2], 5, PAGES) == fake_continuation([1, 2], 5, ignore_eos=True)


def test_a_plan_of_another_epoch_is_refused(worker: LinkedWorker) -> None:
    worker.submit(StepHeader(0, 0, worker.epoch + 1, StepShape(StepKind.GENERATE, 1, 1, 1)))
    worker.publish()
    assert worker.report().kind is RingKind.STEP_FAILED


def test_moves_to_a_new_link_after_a_fence(worker: LinkedWorker) -> None:
    old = worker.link
    fence(old._segment, 99)
    worker.relink(2)
    assert worker.generate(0, [5], 20, PAGES) == fake_continuation([5], 20, ignore_eos=True)


def test_stop_ends_it_with_zero(worker: LinkedWorker) -> None:
    worker.role.control.send(Stop())
    assert worker.role.exit_code() == 0


def test_the_end_of_its_control_link_ends_it(worker: LinkedWorker) -> None:
    worker.role.control.close()
    assert worker.role.exit_code() == 1


def test_ctrl_c_is_not_its_business(worker: LinkedWorker) -> None:
    os.kill(worker.role.pid, signal.SIGINT)
    assert worker.generate(0, [5], 3, PAGES) == fake_continuation([5], 3, ignore_eos=True)


def test_pages_of_two_pools_are_apart_and_can_be_copied(worker: LinkedWorker) -> None:
    prompt = list(range(40))  # two full pages and a half
    expected = fake_continuation(prompt, 3, ignore_eos=True)
    worker.plan(0, 0, prompt, [5, 6, 7], pool=0)
    worker.report()
    assert worker.copy_pages(0, [(5, 1), (6, 2), (7, 3)], from_pool=0, to_pool=1).kind is RingKind.STEP_DONE
    moved = worker.plan(0, 40, expected[:1], [1, 2, 3], pool=1)
    worker.report()
    assert moved.sampled[0] == expected[1]
    stayed = worker.plan(0, 40, expected[:1], [1, 2, 3], pool=0)
    worker.report()
    assert stayed.sampled[0] != expected[1]


def test_a_copy_outside_the_pool_is_refused(worker: LinkedWorker) -> None:
    refused = worker.copy_pages(0, [(5, 100)], from_pool=0, to_pool=1)
    assert refused.kind is RingKind.STEP_FAILED
    assert "pages within the pool of 100" in refused.text


def test_pools_come_and_go(worker: LinkedWorker) -> None:
    worker.add_pool(7)
    prompt = [1, 2, 3]
    columns = worker.plan(0, 0, prompt, [4], pool=7)  # announced before: known, however soon the step comes
    worker.report()
    assert columns.sampled[0] == fake_continuation(prompt, 1)[0]
    worker.role.control.send(PoolGone(7))
    worker.plan(0, 0, prompt, [4], pool=7)
    assert "no pool 7" in worker.report().text


def test_a_removed_pool_is_unmapped(worker: LinkedWorker) -> None:
    def mapped() -> int:
        return Path(f"/proc/{worker.role.pid}/maps").read_text().count("memfd:kv")

    assert mapped() == 2
    worker.role.control.send(PoolGone(1))
    worker.plan(0, 0, [1], [4])
    worker.report()  # the worker has read its control link before or after this step
    worker.plan(0, 0, [1], [4])
    worker.report()
    assert mapped() == 1
