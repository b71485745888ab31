"""Operator's commands that came over HTTP: said to the supervisor over control.sock, as the command line says them.

What the supervisor tells this process as its child goes over the control link instead (`from_supervisor.py`).
"""

import asyncio
from pathlib import Path

from ipc.errors import ErrorCode, ProtocolError, RequestError
from ipc.operator_protocol import (
    CONTROL_SOCKET,
    MAX_LINE_BYTES,
    CommandProgress,
    FinalReply,
    Request,
    parse_reply,
    to_line,
)


async def ask(runtime_dir: str, command: Request, timeout_s: float) -> FinalReply:
    """The final reply. A command whose client leaves is carried out nevertheless. Raises RequestError NOT_READY."""
    try:
        async with asyncio.timeout(timeout_s):
            return await _ask(str(Path(runtime_dir) / CONTROL_SOCKET), command)
    except TimeoutError:
        raise RequestError(ErrorCode.NOT_READY, f"The supervisor has not answered within {timeout_s:g} s.") from None
    except (OSError, EOFError, ValueError, ProtocolError) as error:  # ValueError: a line without an end
        raise RequestError(ErrorCode.NOT_READY, f"The supervisor cannot be asked: {error}.") from error


async def _ask(path: str, command: Request) -> FinalReply:
    reader, writer = await asyncio.open_unix_connection(path, limit=MAX_LINE_BYTES)
    try:
        writer.write(to_line(command))
        await writer.drain()
        while True:
            line = await reader.readline()
            if not line:
                raise EOFError("it closed the connection")
            reply = parse_reply(line)
            if not isinstance(reply, CommandProgress):
                return reply
    finally:
        writer.close()
