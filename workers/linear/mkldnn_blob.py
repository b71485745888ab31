"""Tensors in oneDNN's own layouts, as bytes that lie anywhere and as tensors on such bytes.

torch keeps packed weights in "mkldnn" tensors, whose memory it cannot share: they have no storage to view. What such a
tensor is can be said in some bytes, though, and torch's stable C interface makes one of them and an address, without a
copy. That interface is made for compiled models; only this module uses it. What the layouts mean is not known here.
"""

import ctypes
import functools
from pathlib import Path

import msgspec
import numpy as np
import torch
from msgspec import Struct

from ipc.errors import ProtocolError

_CREATE = "aoti_torch_create_tensor_from_blob_v2"


class _Metadata(Struct, frozen=True, array_like=True):
    """What a tensor is, without its bytes."""

    dtype: str  # torch's name without "torch."
    shape: tuple[int, ...]
    layout: bytes  # oneDNN's memory descriptor, of the oneDNN in this very torch


_decoder = msgspec.msgpack.Decoder(_Metadata)


@functools.cache
def blob_obstacle() -> str:
    """Why this torch cannot share such tensors; empty: it can."""
    if not torch.backends.mkldnn.is_available():
        return "torch was built without oneDNN"
    if not hasattr(torch.ops.mkldnn, "_get_mkldnn_serialized_md"):
        return f"torch {torch.__version__} does not describe oneDNN's layouts"
    if not hasattr(torch._C, "_aoti") or not hasattr(torch._C._aoti, "alloc_tensor_by_stealing_from_void_ptr"):
        return f"torch {torch.__version__} does not make tensors of handles"
    try:
        _library()
    except (OSError, AttributeError):
        return f"torch {torch.__version__} does not make tensors of oneDNN's layouts"
    return ""


def blob_bytes(tensor: torch.Tensor) -> int:
    """Bytes of an mkldnn tensor's memory: more than its elements' where its layout is padded."""
    return int(torch.ops.mkldnn._nbytes(tensor))


def blob_of(tensor: torch.Tensor) -> tuple[memoryview, bytes]:
    """An mkldnn tensor's memory, valid as long as the tensor, and the metadata that `tensor_on` wants."""
    address, size = int(torch.ops.mkldnn.data_ptr(tensor)), blob_bytes(tensor)
    layout = torch.ops.mkldnn._get_mkldnn_serialized_md(tensor).numpy().tobytes()
    metadata = _Metadata(str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape), layout)
    memory = memoryview((ctypes.c_uint8 * size).from_address(address)).cast("B")
    return memory, msgspec.msgpack.encode(metadata)


def tensor_on(source: memoryview, metadata: bytes) -> torch.Tensor:
    """The mkldnn tensor whose blob was copied to `source`, which stays referred to as long as the tensor is.

    `source` starts on 64 bytes and may be read-only: such tensors are only read. Starts no thread. Raises
    ProtocolError for metadata that are none, or of another torch.
    """
    try:
        said = _decoder.decode(metadata)
    except msgspec.DecodeError as error:
        raise ProtocolError(f"a packed tensor's description cannot be read: {error}") from error
    address = np.frombuffer(source, np.uint8).ctypes.data
    library, sizes, dims = _library(), ctypes.c_int64 * len(said.shape), len(said.shape)
    strides = [int(np.prod(said.shape[dim + 1 :])) for dim in range(dims)]
    layout = (ctypes.c_uint8 * len(said.layout)).from_buffer_copy(said.layout)
    handle = ctypes.c_void_p()
    status = getattr(library, _CREATE)(
        ctypes.c_void_p(address),
        ctypes.c_int64(dims),
        sizes(*said.shape),
        sizes(*strides),
        ctypes.c_int64(0),
        ctypes.c_int32(_dtype_code(library, said.dtype)),
        ctypes.c_int32(library.aoti_torch_device_type_cpu()),
        ctypes.c_int32(0),
        ctypes.byref(handle),
        ctypes.c_int32(library.aoti_torch_layout__mkldnn()),
        layout,
        ctypes.c_int64(len(said.layout)),
    )
    if status != 0:
        raise ProtocolError("torch cannot make a tensor of a packed one's description: was it packed by another torch?")
    tensor: torch.Tensor = torch._C._aoti.alloc_tensor_by_stealing_from_void_ptr(_capsule(handle))
    if blob_bytes(tensor) != len(source):
        raise ProtocolError(f"a packed tensor takes {blob_bytes(tensor):,} bytes, {len(source):,} are there")
    tensor.zerolane_source = source  # type: ignore[attr-defined]  # torch does not know whose memory it is
    return tensor


def _dtype_code(library: ctypes.CDLL, name: str) -> int:
    try:
        return int(getattr(library, f"aoti_torch_dtype_{name}")())
    except AttributeError as error:
        raise ProtocolError(f"{name!r} is no type of packed tensors") from error


@functools.cache
def _library() -> ctypes.CDLL:
    """torch's library, which is loaded already. Raises OSError, AttributeError."""
    library = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"))
    for name in (_CREATE, "aoti_torch_layout__mkldnn", "aoti_torch_device_type_cpu"):
        getattr(library, name).restype = ctypes.c_int32
    return library


def _capsule(handle: ctypes.c_void_p) -> ctypes.c_void_p:
    """The Python capsule around a tensor's handle that torch takes it from; it is torch's from then on."""
    new = ctypes.pythonapi.PyCapsule_New
    new.restype, new.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
    capsule: ctypes.c_void_p = new(handle, None, None)
    return capsule
