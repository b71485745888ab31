"""How this process leaves when it is replaced in a rolling restart: its successor serves, and no request is refused.

It stops accepting at once. What still comes on open connections is answered with "Connection: close", so a client's
next request goes to a process that stays. A response that had begun before could not say so: its connection stays
open for its next request. Connections on which nothing happens for QUIET_S are closed, as HTTP allows at any time.
"""

import asyncio
import time
from collections.abc import Callable

from frontend.listening import ListeningLoop
from frontend.serving import Serving

QUIET_S = 1.0
_LOOK_S = 0.05


def leave(serving: Serving, on_left: Callable[[], None]) -> None:
    """Calls `on_left` once, when no connection is left. Must be called in the process' own loop."""
    loop = asyncio.get_running_loop()
    if not isinstance(loop, ListeningLoop):
        raise TypeError(f"leaving needs a ListeningLoop, not {type(loop).__name__}")
    loop.stop_listening()
    serving.begin_to_leave()
    _look(loop, serving, on_left, began=time.monotonic())


def _look(loop: ListeningLoop, serving: Serving, on_left: Callable[[], None], began: float) -> None:
    if serving.num_open_requests == 0:
        if time.monotonic() - max(began, serving.idle_since) >= QUIET_S:
            loop.close_idle_connections()
        if loop.num_connections == 0:
            on_left()
            return
    loop.call_later(_LOOK_S, _look, loop, serving, on_left, began)
