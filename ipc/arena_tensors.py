"""Tensors in the arena: a handle together with what the bytes mean. Knows numpy, not torch."""

from typing import Any

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from ipc.arena import Arena, ArenaReader, Handle
from ipc.errors import ProtocolError

Array = npt.NDArray[Any]

# Types that may travel; numpy has no bfloat16, whose bits travel as uint16.
STORED_AS = {
    "bool": np.bool_,
    "uint8": np.uint8,
    "int8": np.int8,
    "int16": np.int16,
    "int32": np.int32,
    "int64": np.int64,
    "float16": np.float16,
    "bfloat16": np.uint16,
    "float32": np.float32,
    "float64": np.float64,
}


class TensorHandle(Struct, frozen=True, array_like=True):
    """A tensor somebody leased room for; it lies in row-major order. `dtype` is a key of STORED_AS."""

    handle: Handle
    dtype: str
    shape: tuple[int, ...]


def write_tensor(arena: Arena, tensor: Array, holder: int, dtype: str = "") -> TensorHandle | None:
    """Copy `tensor` into a new lease of `holder`; None: the arena is full. The caller releases the lease.

    `dtype` names the meaning where numpy has no name for it (bfloat16 in a uint16 array). Raises ProtocolError for a
    type that may not travel and for an empty tensor.
    """
    name = dtype or tensor.dtype.name
    if STORED_AS.get(name) is not tensor.dtype.type or not tensor.size:
        raise ProtocolError(f"a tensor of type {tensor.dtype} and shape {tensor.shape} cannot travel as {name}")
    handle = arena.lease(tensor.nbytes, holder)
    if handle is None:
        return None
    stored = TensorHandle(handle, name, tensor.shape)
    _as_array(arena.view(handle), stored)[...] = tensor
    return stored


def read_tensor(reader: Arena | ArenaReader, tensor: TensorHandle) -> Array:
    """The tensor where it lies, without a copy: valid until its lease ends. bfloat16 comes as uint16.

    Raises StaleHandle, and ProtocolError when type and shape do not fit the lease.
    """
    return _as_array(reader.view(tensor.handle), tensor)


def _as_array(view: memoryview, tensor: TensorHandle) -> Array:
    if tensor.dtype not in STORED_AS or any(extent < 1 for extent in tensor.shape):
        raise ProtocolError(f"no tensor has type {tensor.dtype} and shape {tensor.shape}")
    stored = np.dtype(STORED_AS[tensor.dtype])
    count = 1
    for extent in tensor.shape:
        count *= extent
    if count * stored.itemsize != len(view):
        raise ProtocolError(f"a tensor of {count} {tensor.dtype} does not fill its lease of {len(view)} bytes")
    return np.frombuffer(view, stored, count).reshape(tensor.shape)
