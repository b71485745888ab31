"""A supervisor's control.sock for tests of frontends: a thread that answers each command as its test tells it."""

import queue
import socket
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

from ipc.operator_protocol import CONTROL_SOCKET, Request, parse_request, to_line

Answer = Callable[[Request], Iterable[Struct]]


class ScriptedSupervisor:
    """`received` holds the commands. `answer` gives the lines of the reply, on the thread."""

    def __init__(self, folder: Path) -> None:
        self.received: queue.Queue[Request] = queue.Queue()
        self.answer: Answer = lambda request: ()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(folder / CONTROL_SOCKET))
        self._listener.listen()
        self._thread = threading.Thread(target=self._run, name="scripted supervisor")
        self._thread.start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection, suppress(OSError):
                request = parse_request(connection.makefile("rb").readline())
                self.received.put(request)
                for record in self.answer(request):
                    connection.sendall(to_line(record))
