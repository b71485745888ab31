"""Renders a chat template that came with a request, in a child process that may be lost (`template_process.py`).

Jinja's sandbox keeps a template from reaching Python, but not from looping or from filling memory; inside this process
neither could be stopped. The child is started with the first such request and kept.
"""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from typing import Any

from frontend.template_process import HEADER_BYTES, LIMIT_S, MAX_TEXT
from ipc.errors import ErrorCode, RequestError

START_S = 60.0  # the child imports transformers
WAIT_S = 30.0  # a request waits so long for those before it
GRACE_S = 5.0  # for what is not rendering
MAX_REPLY_BYTES = 6 * MAX_TEXT + 1024  # JSON writes a character in up to six bytes


class TemplateRenderer:
    """One child, one rendering at a time. Lives on the event loop."""

    def __init__(self) -> None:
        self._process: Process | None = None
        self._turn = asyncio.Lock()

    async def render(self, filling: dict[str, Any]) -> str:
        """`filling`: the arguments of transformers' render_jinja_template, and "variables". Raises RequestError."""
        try:
            body = json.dumps(filling).encode()
        except RecursionError:
            raise _refusal("cannot be given data that is nested so deeply.") from None
        try:
            async with asyncio.timeout(WAIT_S):
                await self._turn.acquire()
        except TimeoutError:
            message = "Too many requests with chat templates of their own are waiting."
            raise RequestError(ErrorCode.QUEUE_FULL, message, "chat_template", LIMIT_S) from None
        try:
            reply = await self._exchange(body)
        finally:
            self._turn.release()
        if "text" not in reply:
            raise _refusal(f"cannot be rendered with these messages: {reply.get('error', '')}")
        text: str = reply["text"]
        try:
            text.encode()
        except UnicodeEncodeError:
            raise _refusal("writes half a character.") from None
        return text

    async def close(self) -> None:
        """Ends the child."""
        await self._end()

    async def _exchange(self, body: bytes) -> dict[str, Any]:
        process = await self._running()
        assert process.stdin is not None
        try:
            async with asyncio.timeout(LIMIT_S + GRACE_S):
                process.stdin.write(len(body).to_bytes(HEADER_BYTES, "big") + body)
                await process.stdin.drain()
                return await _received(process)
        except (TimeoutError, EOFError, OSError):
            await self._end()
            raise _refusal(f"takes more than {LIMIT_S:g} s or too much memory.") from None
        except BaseException:  # the client has left: the reply would be taken for that of the next request
            await asyncio.shield(self._end())
            raise

    async def _running(self) -> Process:
        if self._process is not None and self._process.returncode is None:
            return self._process
        script = Path(__file__).with_name("template_process.py")
        # -P: or Python would look for its own modules in the script's folder
        self._process = await asyncio.create_subprocess_exec(sys.executable, "-P", script, stdin=PIPE, stdout=PIPE)
        try:
            async with asyncio.timeout(START_S):
                await _received(self._process)
        except BaseException:
            await asyncio.shield(self._end())
            raise
        return self._process

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _received(process: Process) -> dict[str, Any]:
    assert process.stdout is not None
    size = int.from_bytes(await process.stdout.readexactly(HEADER_BYTES), "big")
    if size > MAX_REPLY_BYTES:
        raise EOFError
    record: dict[str, Any] = json.loads(await process.stdout.readexactly(size))
    return record


def _refusal(what: str) -> RequestError:
    return RequestError(ErrorCode.INVALID_REQUEST, f"The request's chat template {what}", "chat_template")


renderer = TemplateRenderer()  # of this process
