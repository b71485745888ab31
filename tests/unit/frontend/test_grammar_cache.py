"""Each grammar is compiled once, however many ask, and what waits is bounded."""

import asyncio
import threading

import pytest

from frontend import grammar_cache
from frontend.grammar_cache import GrammarCache
from frontend.grammar_child import Compiled, GrammarTask
from ipc.errors import ErrorCode, RequestError

DEADLINE_S = 10.0


def task(text: str) -> GrammarTask:
    return GrammarTask(text, False, (), 300)


class Compiler:
    """Answers the text itself; waits until it is let."""

    def __init__(self) -> None:
        self.num_calls = 0
        self.may_answer = threading.Event()

    def __call__(self, asked: GrammarTask) -> Compiled:
        self.num_calls += 1
        assert self.may_answer.wait(DEADLINE_S)
        if asked.text == "raises":
            raise OSError("no process")
        return Compiled("", "bad") if asked.text == "bad" else Compiled(asked.text, "")


def test_equal_grammars_are_compiled_once() -> None:
    compiler = Compiler()

    async def ask() -> None:
        cache = GrammarCache(compiler)
        asking = [asyncio.create_task(cache.compiled(task("a"))) for _ in range(20)]
        leaving = asyncio.create_task(cache.compiled(task("a")))
        await asyncio.sleep(0)
        leaving.cancel()
        compiler.may_answer.set()
        assert await asyncio.gather(*asking) == [Compiled("a", "")] * 20
        assert await cache.compiled(task("a")) == Compiled("a", "")
        assert await cache.compiled(task("bad")) == await cache.compiled(task("bad")) == Compiled("", "bad")
        cache.close()

    asyncio.run(ask())
    assert compiler.num_calls == 2


def test_a_failure_is_not_remembered() -> None:
    compiler = Compiler()
    compiler.may_answer.set()

    async def ask() -> None:
        cache = GrammarCache(compiler)
        for _ in range(2):
            with pytest.raises(OSError, match="no process"):
                await cache.compiled(task("raises"))
        cache.close()

    asyncio.run(ask())
    assert compiler.num_calls == 2


def test_too_many_at_once() -> None:
    compiler = Compiler()

    async def ask() -> None:
        cache = GrammarCache(compiler, max_waiting=2)
        asking = [asyncio.create_task(cache.compiled(task(text))) for text in "ab"]
        await asyncio.sleep(0)
        with pytest.raises(RequestError) as caught:
            await cache.compiled(task("c"))
        assert caught.value.code is ErrorCode.QUEUE_FULL
        compiler.may_answer.set()
        await asyncio.gather(*asking)
        assert await cache.compiled(task("c")) == Compiled("c", "")
        cache.close()

    asyncio.run(ask())


def test_the_oldest_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grammar_cache, "MAX_BYTES", 10)
    compiler = Compiler()
    compiler.may_answer.set()

    async def ask() -> None:
        cache = GrammarCache(compiler)
        for text in ("aaaa", "bbbb", "aaaa", "cccc", "aaaa"):
            await cache.compiled(task(text))
        assert compiler.num_calls == 3
        await cache.compiled(task("bbbb"))
        assert compiler.num_calls == 4
        cache.close()

    asyncio.run(ask())
