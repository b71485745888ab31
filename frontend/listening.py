"""The event loop of this process, which remembers what Sanic keeps to itself: the listening server and its connections.

A frontend that is replaced in a rolling restart must stop accepting while it goes on answering; Sanic can only do both
at once. `use` makes Sanic run on such a loop.
"""

import asyncio
from functools import partial
from typing import Any, cast

import uvloop
from sanic.server.protocols.http_protocol import HttpProtocol


class ListeningLoop(uvloop.Loop):
    """uvloop with the one server that Sanic makes on it."""

    def __init__(self) -> None:
        super().__init__()
        self._server: asyncio.Server | None = None
        self._connections: set[HttpProtocol] = set()

    async def create_server(self, protocol_factory: Any, *args: Any, **kwargs: Any) -> asyncio.Server:
        """As uvloop's. Sanic's factory carries the set that all its connections are in as long as they live."""
        server = cast(asyncio.Server, await super().create_server(protocol_factory, *args, **kwargs))
        if isinstance(protocol_factory, partial):
            self._server, self._connections = server, protocol_factory.keywords["connections"]
        return server

    def stop_listening(self) -> None:
        """Accept no connection any more; who else has the socket still does. Open connections stay. Twice is fine."""
        if self._server is not None:
            self._server.close()

    def close_idle_connections(self) -> None:
        """Close those that wait for a request of which nothing has been read."""
        for connection in list(self._connections):
            connection.close_if_idle()

    @property
    def num_connections(self) -> int:
        return len(self._connections)


class _Policy(uvloop.EventLoopPolicy):  # type: ignore[misc]
    def _loop_factory(self) -> ListeningLoop:
        return ListeningLoop()


def use() -> None:
    """Loops made from now on are of this kind. Sanic leaves a policy alone that is uvloop's already."""
    asyncio.set_event_loop_policy(_Policy())
