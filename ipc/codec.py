"""Encode and decode the records of `messages.py` and `control_messages.py`: made once, typed, bounded.

A frame is one byte of protocol version, then msgpack. Decoding raises ProtocolError with a sentence, never anything
else.
"""

from typing import Any, Generic, TypeVar

import msgspec

from ipc.errors import ProtocolError
from ipc.messages import PROTOCOL_VERSION

T = TypeVar("T")

_encoder = msgspec.msgpack.Encoder()
_VERSION = bytes([PROTOCOL_VERSION])


def encode(record: msgspec.Struct) -> bytes:
    """The frame of one record."""
    return _VERSION + _encoder.encode(record)


class Decoder(Generic[T]):
    """Decodes frames of one union of records."""

    def __init__(self, union: Any) -> None:
        self._decoder: msgspec.msgpack.Decoder[T] = msgspec.msgpack.Decoder(union)

    def decode(self, frame: bytes | memoryview) -> T:
        """The record in `frame`. Raises ProtocolError for another version, unknown kinds, wrong types, exceeded
        bounds.
        """
        view = memoryview(frame)
        if len(view) < 2 or view[0] != PROTOCOL_VERSION:
            raise ProtocolError(f"frame of {len(view)} bytes does not speak protocol version {PROTOCOL_VERSION}")
        try:
            return self._decoder.decode(view[1:])
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            raise ProtocolError(f"cannot decode message: {error}") from error
