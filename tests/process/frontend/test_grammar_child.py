"""The process that compiles grammars: it ends when a grammar has used up its time, and another one takes the next."""

from collections.abc import Iterator

import pytest

from frontend.grammar_child import GrammarChild, GrammarTask
from ipc.grammar_limits import COMPILE_CPU_S
from tests.support.served import eventually, is_running

pytestmark = pytest.mark.process

GOOD = GrammarTask('start: "a"', True, (), 300)
PRIME = 99_999_989  # as many states: minutes to compile
ENDLESS = GrammarTask('start: %json {"type": "integer", "multipleOf": ' + f"{PRIME}}}", True, (), 300)


@pytest.fixture
def child() -> Iterator[GrammarChild]:
    child = GrammarChild()
    yield child
    child.close()


def test_a_grammar_that_takes_too_long(child: GrammarChild) -> None:
    good = child.compile(GOOD)
    assert good.reason == ""
    assert child.compile(ENDLESS).reason == f"it takes more than {COMPILE_CPU_S:g} s to compile."
    assert child.compile(GOOD) == good
    assert child.compile(GrammarTask("nonsense", True, (), 300)).grammar == ""
    assert child.compile(GOOD) == good


def test_a_process_that_was_killed(child: GrammarChild) -> None:
    child.compile(GOOD)
    process = child._process
    assert process is not None
    process.kill()
    process.wait(10)
    assert "cannot be compiled" in child.compile(GOOD).reason
    assert child.compile(GOOD).reason == ""


def test_it_ends_with_its_input(child: GrammarChild) -> None:
    child.compile(GOOD)
    process = child._process
    assert process is not None
    assert process.stdin is not None
    process.stdin.close()
    eventually(lambda: process.poll() is not None or not is_running(process.pid), "the process ends")
