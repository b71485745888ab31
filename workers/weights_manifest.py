"""How a weights segment is laid out: a manifest first, then every tensor of the model.

    | manifest length u64 | data start u64 | manifest (msgpack) | tensor | ... | layer | ...    each starts on 64 bytes

The manifest holds parameters, all buffers (also those no checkpoint contains, such as rotary frequencies) and
tensors that modules keep as plain attributes: whoever maps the segment needs nothing else. Tensors that share
memory (tied weights) are stored once and named twice. Weights and biases of linear layers that are kept in a way of
their own are not among the tensors. This module knows names, types and bytes; it does not know models.
"""

import struct
from typing import Literal

import msgspec
from msgspec import Struct

from ipc.errors import ProtocolError, StartupError

ALIGNMENT = 64
ITEM_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}  # of linear layers' types
METADATA_ROOM = 2048  # bytes kept for the metadata of a layer that is not packed yet
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


class LinearEntry(Struct, frozen=True, array_like=True):
    """One linear layer, or several whose outputs lie side by side, in a way of keeping weights (`linear/kinds.py`)."""

    names: tuple[str, ...]  # dotted, of the modules
    kind: str
    dtype: str  # torch's name without "torch.", of what comes in and of the bias
    in_features: int
    out_features: int
    offset: int  # bytes from the start of the data
    num_bytes: int
    has_bias: bool
    bias_offset: int  # bytes from the start of the data; without a bias of no meaning
    metadata: bytes = b""  # the kind's own; known when the weight is packed


class Manifest(Struct, frozen=True, array_like=True):
    """Everything of one model."""

    tensors: tuple[TensorEntry, ...]
    layers: tuple[LinearEntry, ...] = ()

    def data_bytes(self) -> int:
        """Bytes from the start of the data to the end of what lies last."""
        ends = [tensor.offset + tensor.num_bytes for tensor in self.tensors]
        ends += [layer.offset + layer.num_bytes for layer in self.layers]
        ends += [layer.bias_offset + bias_bytes(layer) for layer in self.layers if layer.has_bias]
        return max((align(end) for end in ends), default=0)


def bias_bytes(layer: LinearEntry) -> int:
    """Bytes of a layer's bias, if it has one."""
    return layer.out_features * ITEM_BYTES[layer.dtype]


_decoder = msgspec.msgpack.Decoder(Manifest)


def align(offset: int) -> int:
    """The next multiple of ALIGNMENT."""
    return -(-offset // ALIGNMENT) * ALIGNMENT


def segment_bytes(manifest: Manifest) -> int:
    """Bytes a segment for this takes, with room for a manifest that turns out somewhat longer."""
    room = 2 * len(msgspec.msgpack.encode(manifest)) + METADATA_ROOM * len(manifest.layers) + 4096
    return align(_HEADER.size + room) + manifest.data_bytes()


def find_data_start(view: memoryview, manifest: Manifest) -> int:
    """Where the data goes: to the end of `view`, so that the manifest may be written after it.

    Raises StartupError if all does not fit.
    """
    needed = align(_HEADER.size + len(msgspec.msgpack.encode(manifest))) + manifest.data_bytes()
    if needed > len(view):
        raise StartupError(
            f"the loaded model needs {needed:,} bytes, {len(view):,} were computed from its configuration",
            "the checkpoint holds tensors its config.json does not describe; convert it anew",
        )
    return (len(view) - manifest.data_bytes()) // ALIGNMENT * ALIGNMENT


def write_manifest(view: memoryview, manifest: Manifest, data_start: int) -> None:
    """Write the manifest to the start of `view`. Raises StartupError if it does not fit before the data."""
    packed = msgspec.msgpack.encode(manifest)
    if _HEADER.size + len(packed) > data_start:
        raise StartupError(f"the weights' manifest takes {len(packed):,} bytes, {data_start - _HEADER.size:,} are left")
    _HEADER.pack_into(view, 0, len(packed), data_start)
    view[_HEADER.size : _HEADER.size + len(packed)] = packed


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
