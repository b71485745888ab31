"""How an int8 weight lies in memory: oneDNN's order for CPUs with VNNI instructions, with what belongs to it behind.

    stripes       int8 [outputs / 64][inputs / 4][64][4], both padded to multiples of 64 with zeros ("BA16a64b4a")
    corrections   int32 [outputs padded]: minus the sum of each output's codes
    scales        float32 [outputs], and bytes up to a multiple of 64

oneDNN makes the first two itself, byte by byte slowly: they are made here instead, after a look that it would make the
same.
"""

import functools

import torch
import torch.nn.functional as F

from ipc.errors import ProtocolError
from workers.linear.mkldnn_blob import blob_obstacle, blob_of

BLOCK = 64  # outputs of a stripe; also what inputs are padded to
DEPTH = 4
LARGEST_CODE = 127
_ROWS_AT_ONCE = 64 * BLOCK  # of a weight: they are float32 for a moment


def padded(count: int) -> int:
    """Up to the next multiple of BLOCK."""
    return -(-count // BLOCK) * BLOCK


def stripes_bytes(out_features: int, in_features: int) -> int:
    """Of the stripes alone."""
    return padded(out_features) * padded(in_features)


def blob_size(out_features: int, in_features: int) -> int:
    """Of what oneDNN knows: stripes and corrections."""
    return stripes_bytes(out_features, in_features) + 4 * padded(out_features)


def layer_bytes(out_features: int, in_features: int) -> int:
    """Of everything."""
    return blob_size(out_features, in_features) + 4 * padded(out_features)


@functools.cache
def machine_obstacle() -> str:
    """Why no int8 layer can run on this machine; empty: they can."""
    if not torch.cpu._is_vnni_supported() or not torch.cpu._is_avx512_supported():
        return "this CPU has no AVX-512 instructions for products of bytes (VNNI)"
    if not hasattr(torch.ops.onednn, "qlinear_prepack"):
        return f"torch {torch.__version__} has no int8 products of oneDNN"
    return blob_obstacle() or _order_obstacle()


def _order_obstacle() -> str:
    """Two blocks and a bit each way: where they are expected?"""
    codes = (torch.arange(130 * 132).view(130, 132) % 251 - 125).to(torch.int8)
    memory, _ = blob_of(packed := _prepack(codes))
    expected = bytearray(blob_size(*codes.shape))
    write_codes(codes, memoryview(expected), 0, len(codes))
    is_known = bytes(memory) == bytes(expected)
    del packed  # `memory` was its
    return "" if is_known else "oneDNN orders int8 weights in another way on this CPU than this program knows"


def _prepack(codes: torch.Tensor) -> torch.Tensor:
    packed: torch.Tensor = torch.ops.onednn.qlinear_prepack(codes, None)
    return packed


@functools.lru_cache(maxsize=32)
def onednn_metadata(out_features: int, in_features: int) -> bytes:
    """What `tensor_on` wants for a weight of this shape. One of zeros is packed to learn it. Raises ProtocolError."""
    memory, metadata = blob_of(_prepack(torch.zeros(out_features, in_features, dtype=torch.int8)))
    if len(memory) != blob_size(out_features, in_features):
        raise ProtocolError(f"oneDNN packs {out_features} x {in_features} int8 weights in an order of its own")
    return metadata


def write_layer(weight: torch.Tensor, target: memoryview) -> None:
    """Quantize a weight [outputs, inputs], each output by its largest magnitude, and write all of the above."""
    outputs, inputs = weight.shape
    scales = torch.frombuffer(target, dtype=torch.float32, count=outputs, offset=blob_size(outputs, inputs))
    for first in range(0, outputs, _ROWS_AT_ONCE):
        part = weight[first : first + _ROWS_AT_ONCE].float()
        scale = part.abs().amax(dim=1) / LARGEST_CODE
        scales[first : first + len(part)] = scale
        codes = (part / scale.clamp_min(torch.finfo(torch.float32).tiny)[:, None]).round_().to(torch.int8)
        write_codes(codes, target, first, outputs)


def write_codes(codes: torch.Tensor, target: memoryview, first: int, outputs: int) -> None:
    """Write outputs `first` ... of a weight of `outputs` in all; `first` is a multiple of BLOCK."""
    count, inputs = codes.shape
    stripes = torch.frombuffer(target, dtype=torch.int8, count=stripes_bytes(outputs, inputs))
    stripes = stripes.view(-1, padded(inputs) // DEPTH, BLOCK, DEPTH)
    square = F.pad(codes, (0, padded(inputs) - inputs, 0, padded(count) - count))
    part = square.view(-1, BLOCK, padded(inputs) // DEPTH, DEPTH).transpose(1, 2)
    stripes[first // BLOCK : first // BLOCK + len(part)] = part
    offset = stripes_bytes(outputs, inputs)
    corrections = torch.frombuffer(target, dtype=torch.int32, count=padded(outputs), offset=offset)
    corrections[first : first + len(square)] = -square.sum(dim=1, dtype=torch.int32)
