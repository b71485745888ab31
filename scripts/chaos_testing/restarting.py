"""A rolling restart under load: every process gets a successor, and nobody notices."""

import asyncio

from ipc.operator_protocol import AskRollingRestart, Restarted
from scripts.chaos_testing.server import ServerError, ServerUnderTest

RESTART_S = 600.0


async def restart_all(server: ServerUnderTest) -> Restarted:
    """Once the server is whole again. Raises ServerError when it was not carried out, or a process is an old one."""
    before = await asyncio.to_thread(server.status)
    old = {process.pid for process in before.processes if process.role != "supervisor"}
    reply = await asyncio.to_thread(server.ask, AskRollingRestart(RESTART_S), RESTART_S)
    if not isinstance(reply, Restarted):
        raise ServerError(f"a rolling restart was answered with {reply}")
    after = await server.wait_whole()
    if left := [f"{process.role} {process.id}" for process in after.processes if process.pid in old]:
        raise ServerError(f"not restarted: {', '.join(left)}")
    return reply
