"""What a transport must be able to do to take part in `benchmarks/ipc.py`."""

from typing import Any, Protocol

Side = int  # 0 asks, 1 answers


class Endpoint(Protocol):
    def send(self, payload: bytes) -> None: ...

    def receive(self) -> int:
        """Wait for the next message, look at its first and last byte; its length."""
        ...

    def close(self) -> None: ...


class Transport(Protocol):
    def __init__(self, size: int, window: int, spins: bool) -> None:
        """For messages of `size` bytes, at most `window` of them on their way."""
        ...

    def endpoint(self, side: Side) -> Endpoint: ...

    def close(self) -> None: ...


def look_at(payload: Any) -> int:
    """Touch both ends, so that nobody can win by not delivering."""
    return len(payload) if payload[0] + payload[len(payload) - 1] >= 0 else 0
