"""A worker's life over its two links, with fake models: steps, failures, a new scheduler, and both ways to end."""

import contextlib
import os
import signal
from collections.abc import Iterator

import pytest

from ipc.control_messages import Stop
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
        yield LinkedWorker(cards, [], stack)


def test_serves_fake_models_without_torch(worker: LinkedWorker) -> None:
    prompt = list(b"every token depends on all before it")
    assert worker.generate(0, prompt, 40, PAGES) == fake_continuation(prompt, 40, ignore_eos=True)
    assert worker.score(1, [[1, 2, 3], [9]]) == [fake_score([1, 2, 3]), fake_score([9])]
    with open(f"/proc/{worker.role.process.pid}/maps") as maps:
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
    os.kill(worker.role.process.pid, signal.SIGINT)
    assert worker.generate(0, [5], 3, PAGES) == fake_continuation([5], 3, ignore_eos=True)
