"""How a weights segment is laid out: a manifest first, then every tensor of the model.

    | manifest length u64 | data start u64 | manifest (msgpack) | tensor | tensor | ...     each starts on 64 bytes

The manifest holds parameters, all buffers (also those no checkpoint contains, such as rotary frequencies) and
tensors that modules keep as plain attributes: whoever maps the segment needs nothing else. Tensors that share
memory (tied weights) are stored once and named twice. This module knows names, types and bytes; it does not know
models.
"""

import struct
from collections.abc import Sequence
from typing import Literal

import msgspec
from msgspec import Struct

from ipc.errors import ProtocolError, StartupError

ALIGNMENT = 64
_HEADER = struct.Struct("<QQ")
Place = Literal["parameter", "buffer", "attribute"]


class TensorEntry(Struct, frozen=True, array_like=True):
    """One named tensor."""

    name: str  # dotted, as in the model
    place: Place
    dtype: str  # torch's name without "torch."
    shape: tuple[int, ...]
    offset: int  # bytes from the start of the data
    num_bytes: int


class Manifest(Struct, frozen=True, array_like=True):
    """All tensors of one model."""

    tensors: tuple[TensorEntry, ...]


_decoder = msgspec.msgpack.Decoder(Manifest)


def align(offset: int) -> int:
    """The next multiple of ALIGNMENT."""
    return -(-offset // ALIGNMENT) * ALIGNMENT


def segment_bytes(entries: Sequence[TensorEntry]) -> int:
    """Bytes a segment for these tensors takes, with room for a manifest that turns out somewhat longer."""
    room = 2 * len(msgspec.msgpack.encode(Manifest(tuple(entries)))) + 4096
    data = max((align(entry.offset + entry.num_bytes) for entry in entries), default=0)
    return align(_HEADER.size + room) + data


def write_manifest(view: memoryview, entries: Sequence[TensorEntry]) -> int:
    """Write the manifest to the start of `view`.

    Returns where the data starts. Raises StartupError if all does not fit.
    """
    packed = msgspec.msgpack.encode(Manifest(tuple(entries)))
    data_start = align(_HEADER.size + len(packed))
    end = data_start + max((entry.offset + entry.num_bytes for entry in entries), default=0)
    if end > len(view):
        raise StartupError(
            f"the loaded model needs {end:,} bytes, {len(view):,} were computed from its configuration",
            "the checkpoint holds tensors its config.json does not describe; convert it anew",
        )
    _HEADER.pack_into(view, 0, len(packed), data_start)
    view[_HEADER.size : _HEADER.size + len(packed)] = packed
    return data_start


def manifest_bytes(head: memoryview) -> int:
    """How many bytes from a segment's start `read_manifest` needs; `head` is its first 16."""
    return int(_HEADER.unpack_from(head, 0)[1])


def read_manifest(view: memoryview) -> tuple[Manifest, int]:
    """The manifest and where the data starts. Raises ProtocolError when there is none."""
    length, data_start = _HEADER.unpack_from(view, 0)
    if length == 0 or _HEADER.size + length > data_start or data_start > len(view):
        raise ProtocolError("the weights segment does not start with a manifest: was the model loaded?")
    try:
        return _decoder.decode(view[_HEADER.size : _HEADER.size + length]), data_start
    except msgspec.DecodeError as error:
        raise ProtocolError(f"the weights segment's manifest cannot be read: {error}") from error
