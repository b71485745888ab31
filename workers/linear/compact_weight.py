"""bfloat16 weights in 12 bits each, without loss: what they are made of, and how they are made.

The upper byte of a weight is its sign and seven bits of its exponent, and weights of one matrix differ little in them:
of 16,384 neighbours 15 bytes serve all but one to six in ten thousand. So each weight is its lower byte and a code of
four bits for the upper one; the few that have another upper byte are zeros there, and listed apart: their products are
added to the sums, so that all that changes is the order in which float32 numbers are added (and that an infinite
input makes NaN of a sum with a listed weight). (That exponents of
trained weights hold less than three bits is the finding of DFloat11, arXiv:2504.11651, which packs them by Huffman
codes; codes of one length are read faster than memory gives them.)

    | blocks of 64 outputs, see `weight_rows.CompactRows` | ends, int64 [blocks] | corrections, CORRECTION [most] |
"""

import ctypes
from typing import Any

import numba
import numpy as np
import torch

from workers.lean.compiled import INNER, kernel, load, pointer_to, take_ticket
from workers.lean.openmp import run_kernel
from workers.linear.row_tile import COMPACT, block_bytes
from workers.linear.weight_rows import COLUMNS, CORRECTION, LINE_BYTES, CompactAddresses, place_of

_WEIGHTS_A_CORRECTION = 512  # there is room for one in so many; with more nothing would be gained
_NUMBERS = 2 * COLUMNS  # of a row
_CODES = 16
_CHUNK = COMPACT.chunk
_PLACES = np.array([place_of(number) for number in range(LINE_BYTES)])
_JOB = np.dtype(
    [
        ("next", np.int64),  # the counter threads take blocks from; 0 before a call
        ("blocks", np.int64),
        ("depth", np.int64),  # rows of a block
        ("block_bytes", np.int64),
        ("source", np.uintp),  # bfloat16 [blocks, depth, 64, 2]
        ("target", np.uintp),
        ("ends", np.uintp),  # int64 [blocks]
        ("corrections", np.uintp),
        ("places", np.uintp),  # int64 [64], see `place_of`
    ],
    align=True,
)


def compact_bytes(out_features: int, in_features: int) -> int:
    """Bytes of a compact weight; of both numbers `packed_product.is_possible` must be true."""
    most = out_features * in_features // _WEIGHTS_A_CORRECTION
    blocks = out_features // COLUMNS
    return blocks * (block_bytes(COMPACT, in_features // 2) + 8) + most * CORRECTION.itemsize


def compact_addresses(address: int, out_features: int, in_features: int) -> CompactAddresses:
    """Of one that begins at `address`, a multiple of 64."""
    blocks = out_features // COLUMNS
    ends = address + blocks * block_bytes(COMPACT, in_features // 2)
    return CompactAddresses(address, ends, ends + 8 * blocks)


def write_compact(packed: int, address: int, out_features: int, in_features: int) -> bool:
    """Write the weight whose oneDNN blocks are at `packed` (see `packed_product.py`), `compact_bytes` from `address`.

    False: it would need more corrections than there is room for.
    """
    places = compact_addresses(address, out_features, in_features)
    job = np.zeros(1, _JOB)
    record = job[0]
    record["blocks"], record["depth"] = out_features // COLUMNS, in_features // 2
    record["block_bytes"] = block_bytes(COMPACT, in_features // 2)
    record["source"], record["target"], record["places"] = packed, places.blocks, _PLACES.ctypes.data
    record["ends"] = places.ends
    ends = np.ctypeslib.as_array((ctypes.c_int64 * int(record["blocks"])).from_address(places.ends))
    ends[:] = 0
    run_kernel(_write_heads(), job.ctypes.data, torch.get_num_threads())
    np.cumsum(ends, out=ends)
    if ends[-1] > out_features * in_features // _WEIGHTS_A_CORRECTION:
        return False
    record["next"], record["corrections"] = 0, places.corrections
    run_kernel(_write_rows(), job.ctypes.data, torch.get_num_threads())
    return True


@numba.njit(**INNER)
def _views(job: Any) -> Any:
    """A job's packed blocks, compact blocks and one number for each."""
    source = numba.carray(pointer_to(job.source), (job.blocks, job.depth, _NUMBERS), np.uint16)
    target = numba.carray(pointer_to(job.target), (job.blocks, job.block_bytes), np.uint8)
    return source, target, numba.carray(pointer_to(job.ends), (job.blocks,), np.int64)


@numba.njit(**INNER)
def _choose_codes(rows: Any, head: Any) -> Any:
    """Write zero, and the commonest other upper bytes of the rows; how many numbers have another."""
    counts = np.zeros(256, np.int64)
    for row in range(rows.shape[0]):
        for number in range(_NUMBERS):
            counts[rows[row, number] >> np.uint16(8)] += 1
    rest = rows.size
    for code in range(_CODES):
        best = np.argmax(counts) if code > 0 else 0
        rest -= counts[best]
        counts[best] = -1
        for lane in range(LINE_BYTES // _CODES):
            head[lane * _CODES + code] = best
    return rest


@kernel
def _write_heads(job_at: Any) -> None:
    """Chooses every chunk's codes, and counts each block's corrections."""
    record = numba.carray(job_at, 1, _JOB)
    job, ticket_at = record[0], record.ctypes.data
    source, target, counts = _views(job)
    while True:
        block: Any = take_ticket(ticket_at)
        if block >= job.blocks:
            break
        for start in range(0, job.depth, _CHUNK):
            rows = source[block, start : min(start + _CHUNK, job.depth)]
            counts[block] += _choose_codes(rows, target[block, start // _CHUNK * _CHUNK_BYTES :])


@kernel
def _write_rows(job_at: Any) -> None:
    """Writes rows below the heads, and the corrections; `ends` are known."""
    record = numba.carray(job_at, 1, _JOB)
    job, ticket_at = record[0], record.ctypes.data
    source, target, ends = _views(job)
    corrections = numba.carray(pointer_to(job.corrections), (ends[-1],), CORRECTION)
    places = numba.carray(pointer_to(job.places), (LINE_BYTES,), np.int64)
    codes = np.empty(256, np.uint8)
    while True:
        block = take_ticket(ticket_at)
        if block >= job.blocks:
            break
        at = ends[block - 1] if block > 0 else 0
        for start in range(0, job.depth, _CHUNK):
            head = target[block, start // _CHUNK * _CHUNK_BYTES :]
            codes[:] = _CODES
            for code in range(_CODES):
                codes[head[code]] = code
            for row in range(start, min(start + _CHUNK, job.depth)):
                place = head[LINE_BYTES + (row - start) * _ROW_BYTES :]
                place[2 * LINE_BYTES : 3 * LINE_BYTES] = 0
                for number in range(_NUMBERS):
                    weight = source[block, row, number]
                    line, byte = number // LINE_BYTES, places[number % LINE_BYTES]
                    code, lower = codes[weight >> np.uint16(8)], np.uint8(weight & np.uint16(255))
                    if code == _CODES:
                        one = corrections[at]
                        one.input, one.output = 2 * row + number % 2, number // 2
                        one.weight = load(source[block, row], number)
                        code, lower = np.uint8(0), np.uint8(0)
                        at += 1
                    place[line * LINE_BYTES + byte] = lower
                    place[2 * LINE_BYTES + byte] |= np.uint8(code << np.uint8(4 * line))


_CHUNK_BYTES = block_bytes(COMPACT, _CHUNK)
_ROW_BYTES = COMPACT.lines * LINE_BYTES
