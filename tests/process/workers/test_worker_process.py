"""A worker's life over its two links, with fake models: steps, failures, a new scheduler, and both ways to end."""

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from llguidance import LLMatcher

from ipc.arena import Handle
from ipc.config import LoaderConfig, ModelSpec
from ipc.control_messages import Fatal, PoolGone, Stop
from ipc.fake_card import fake_card
from ipc.step_layout import RingKind, StepHeader, StepKind, StepShape
from ipc.token_rules import TokenRules, encode_rules
from ipc.worker_link import fence
from tests.parity.text_model import save_text_model
from tests.support.worker_under_test import LinkedWorker, load
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


def lease_rules(worker: LinkedWorker, rules: TokenRules) -> Handle:
    blob = encode_rules(rules)
    handle = worker.arena.lease(len(blob), holder=0)
    assert handle is not None
    worker.arena.view(handle)[:] = blob
    return handle


def test_rules_are_read_from_the_arena(worker: LinkedWorker) -> None:
    rules = TokenRules(allowed_ids=np.array([3, 4, 5], np.int32).tobytes())
    handle = lease_rules(worker, rules)
    prompt = list(b"some prompt")
    output: list[int] = []
    for _ in range(5):
        known = prompt + output
        start = len(known) - 1 if output else 0
        columns = worker.plan(0, start, known[start:], PAGES, rules=handle, history=known[:start])
        assert worker.report().kind is RingKind.STEP_DONE
        output.append(int(columns.sampled[0]))
    assert output == fake_continuation(prompt, 5, ignore_eos=True, rules=rules)
    assert set(output) <= {3, 4, 5}


def test_rules_whose_lease_has_ended_fail_the_step(worker: LinkedWorker) -> None:
    handle = lease_rules(worker, TokenRules(min_tokens=1))
    worker.arena.release(handle)
    worker.plan(0, 0, [1], [4], rules=handle)
    assert "has ended" in worker.report().text
    assert worker.generate(0, [1, 2], 5, PAGES) == fake_continuation([1, 2], 5, ignore_eos=True)


def test_grammars_are_followed_in_a_forked_worker(tmp_path: Path) -> None:
    """The tokenizer for grammars was made before the fork, by a process with one thread; masks are made by another."""
    tokenizer = save_text_model(tmp_path)
    with contextlib.ExitStack() as stack:
        loaded = load(LoaderConfig(models=[ModelSpec("text", str(tmp_path))]), stack)
        assert not isinstance(loaded, Fatal)
        worker = LinkedWorker(*loaded, stack)
        handle = lease_rules(worker, TokenRules(grammar=LLMatcher.grammar_from_regex("[0-9]{8}")))
        output: list[int] = tokenizer.encode("1").ids
        while len(tokenizer.decode(output, skip_special_tokens=False)) < 8:
            columns = worker.plan(0, 0, output, PAGES, rules=handle)
            assert worker.report().kind is RingKind.STEP_DONE
            output.append(int(columns.sampled[0]))
        assert tokenizer.decode(output).isdigit()


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
