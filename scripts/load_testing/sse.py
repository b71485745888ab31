"""Server-sent events out of the pieces a connection delivers, cut anywhere."""


class SseParser:
    """Feed it bytes, get the data of every event that is complete."""

    def __init__(self) -> None:
        self._rest = b""  # a line whose end has not come
        self._data: list[bytes] = []  # data lines of the event whose end has not come

    def feed(self, piece: bytes) -> list[bytes]:
        """The data of the events that `piece` completed, in order. Comments and other fields are passed over."""
        lines = (self._rest + piece).split(b"\n")
        self._rest = lines.pop()
        events: list[bytes] = []
        for line in lines:
            line = line.removesuffix(b"\r")
            if line.startswith(b"data:"):
                self._data.append(line[5:].removeprefix(b" "))
            elif not line and self._data:
                events.append(b"\n".join(self._data))
                self._data.clear()
        return events
