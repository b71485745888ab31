"""Grammars that were compiled once, and reasons against others: each text is looked at one time only, however many
requests come with it, also at once.
"""

import asyncio
import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import msgspec

from frontend.grammar_child import Compiled, GrammarChild, GrammarTask
from ipc.errors import ErrorCode, RequestError

Compile = Callable[[GrammarTask], Compiled]

NUM_THREADS = 2  # each with a process of its own: one costly grammar does not hold up the next one
MAX_WAITING = 64  # grammars being compiled or waiting for it
MAX_ENTRIES = 4096
MAX_BYTES = 64 << 20
MAX_REASON_CHARS = 1000
RETRY_AFTER_S = 2.0


class GrammarCache:
    """One per process; used on the event loop only."""

    def __init__(self, compile_: Compile | None = None, max_waiting: int = MAX_WAITING) -> None:
        """`compile_` is called in threads; None: in processes of their own."""
        self._compile = compile_ or _compile_in_child
        self._max_waiting = max_waiting
        self._known: OrderedDict[bytes, Compiled] = OrderedDict()  # by digest, latest last
        self._num_bytes = 0
        self._open: dict[bytes, asyncio.Future[Compiled]] = {}
        self._executor = ThreadPoolExecutor(NUM_THREADS, "grammar")

    async def compiled(self, task: GrammarTask) -> Compiled:
        """The grammar or the reason against it. Raises RequestError QUEUE_FULL when too many others wait."""
        key = hashlib.blake2b(msgspec.msgpack.encode(task), digest_size=24).digest()
        known = self._known.get(key)
        if known is not None:
            self._known.move_to_end(key)
            return known
        # shielded: others may wait for the same, and a thread cannot be called off
        return await asyncio.shield(self._open.get(key) or self._begin(key, task))

    def close(self) -> None:
        """What has not begun is given up; whoever waits for it is cancelled."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _begin(self, key: bytes, task: GrammarTask) -> "asyncio.Future[Compiled]":
        if len(self._open) >= self._max_waiting:
            message = "Too many new grammars are waiting to be compiled."
            raise RequestError(ErrorCode.QUEUE_FULL, message, retry_after_s=RETRY_AFTER_S)
        future = asyncio.get_running_loop().run_in_executor(self._executor, self._compile, task)
        self._open[key] = future
        future.add_done_callback(lambda done: self._done(key, done))
        return future

    def _done(self, key: bytes, future: "asyncio.Future[Compiled]") -> None:
        del self._open[key]
        if future.cancelled() or future.exception() is not None:
            return  # whoever waits gets it
        compiled = future.result()
        known = self._known[key] = Compiled(compiled.grammar, compiled.reason[:MAX_REASON_CHARS])
        self._num_bytes += _size(known)
        while self._num_bytes > MAX_BYTES or len(self._known) > MAX_ENTRIES:
            _, oldest = self._known.popitem(last=False)
            self._num_bytes -= _size(oldest)


def _size(compiled: Compiled) -> int:
    return len(compiled.grammar) + len(compiled.reason)


_of_thread = threading.local()


def _compile_in_child(task: GrammarTask) -> Compiled:
    """In this thread's own process."""
    child: GrammarChild | None = getattr(_of_thread, "child", None)
    if child is None:
        child = _of_thread.child = GrammarChild()
    return child.compile(task)
