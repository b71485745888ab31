"""Products of up to a few hundred rows with a packed bfloat16 weight, at the speed of memory or of the processor.

oneDNN reads packed weights at two thirds of what memory gives for a few rows: the processor's own look-ahead ends with
every page of memory. The kernel here walks blocks of 64 outputs once, in order, and asks for memory ahead; sums are
float32. More rows it multiplies as fast as oneDNN does, and as one kernel among others (`lean/step_program.py`). It
walks oneDNN's packed blocks, in the order it takes on CPUs with AVX-512 ("AB16b64a2b": blocks of 64 outputs and 32
inputs, in them pairs of inputs for each output); where packing gives another, these products stay oneDNN's. Of eight
rows and less it can walk a copy of 12 bits a weight (`compact_weight.py`), less to read by a quarter.
"""

import ctypes
import functools
from typing import Any, NamedTuple

import numba
import numpy as np
import torch

from workers.lean.bfloat16_products import has_products, has_tiles
from workers.lean.compiled import INNER, kernel, load, pointer_to, store, take_ticket
from workers.lean.openmp import run_kernel
from workers.linear.row_tile import (
    COMPACT,
    PLAIN,
    Passes,
    WeightRows,
    block_bytes,
    grouped_passes,
    multiply_compact_pairs,
    multiply_pairs,
)
from workers.linear.weight_rows import CORRECTION, CompactAddresses

MOST_ROWS = 320  # with more, oneDNN is faster by a fiftieth, and what lies around the products is little
MOST_ROWS_BESIDE_TILES = 36  # where oneDNN has the processor's tiles to multiply with
_OUTPUTS, _INPUTS = 64, 32  # of a block
_JOB = np.dtype(
    [
        ("next", np.int64),  # the counter threads take blocks of outputs from; 0 before a call
        ("rows", np.int64),
        ("in_features", np.int64),
        ("out_features", np.int64),
        ("inputs", np.uintp),  # bfloat16 [rows, in_features]
        ("weight", np.uintp),  # bfloat16, packed
        ("bias", np.uintp),  # bfloat16 [out_features]; 0: none
        ("outputs", np.uintp),  # bfloat16 [rows, out_features]
        ("tiles", np.uintp),  # those of `Passes`
        ("groups", np.int64),
        ("group_ends", np.uintp),
        ("block_bytes", np.int64),  # of 64 outputs
        ("ends", np.uintp),  # int64 [blocks], where each block's corrections end; 0: the weight is not compact
        ("corrections", np.uintp),  # CORRECTION [any number]
    ],
    align=True,
)


@numba.njit(**INNER)
def _keep(job: Any, sums: Any, tiles: Any, block: Any) -> None:
    """Write a block's sums of a group of rows to the outputs, the bias added."""
    outputs = job.out_features
    result = numba.carray(pointer_to(job.outputs), (job.rows, outputs), np.uint16)
    bias = numba.carray(pointer_to(job.bias), (outputs,), np.uint16)
    at = block * _OUTPUTS
    for index in range(len(tiles)):
        for r in range(tiles[index, 1]):
            source, target = sums[index, r], result[tiles[index, 0] + r, at : at + _OUTPUTS]
            if job.bias != 0:
                added = bias[at : at + _OUTPUTS]
                for o in range(_OUTPUTS):
                    store(target, o, source[o] + load(added, o))
            else:
                for o in range(_OUTPUTS):
                    store(target, o, source[o])


@numba.njit(**INNER)
def _correct(job: Any, sums: Any, tiles: Any, block: Any) -> None:
    """Add the products of a block's weights that its codes have no place for."""
    ends = numba.carray(pointer_to(job.ends), (job.out_features // _OUTPUTS,), np.int64)
    corrections = numba.carray(pointer_to(job.corrections), (ends[-1],), CORRECTION)
    inputs = numba.carray(pointer_to(job.inputs), (job.rows, job.in_features), np.uint16)
    for at in range(ends[block - 1] if block > 0 else 0, ends[block]):
        one = corrections[at]
        for index in range(len(tiles)):
            for r in range(tiles[index, 1]):
                sums[index, r, one.output] += one.weight * load(inputs[tiles[index, 0] + r], one.input)


@kernel
def _multiply(job_at: Any) -> None:
    record = numba.carray(job_at, 1, _JOB)
    job, ticket_at = record[0], record.ctypes.data
    groups, count, depth = job.groups, job.out_features // _OUTPUTS, job.in_features // 2
    ends = numba.carray(pointer_to(job.group_ends), (groups,), np.int64)
    every_tile = numba.carray(pointer_to(job.tiles), (ends[groups - 1], 4), np.int64)
    room = np.empty((ends[0], every_tile[0, 1], _OUTPUTS), np.float32)
    ticket = take_ticket(ticket_at)
    while ticket < count * groups:
        following = take_ticket(ticket_at)
        block, group = ticket // groups, ticket % groups
        tiles = every_tile[ends[group - 1] if group > 0 else 0 : ends[group]]
        sums = room[: len(tiles)]
        weight = job.weight + np.uintp(block * job.block_bytes)
        after = job.weight + np.uintp(min(following // groups, count - 1) * job.block_bytes)
        if job.ends == 0:
            multiply_pairs(job.inputs, 2 * job.in_features, weight, after, depth, tiles, sums)
        else:
            multiply_compact_pairs(job.inputs, 2 * job.in_features, weight, after, depth, tiles, sums)
            _correct(job, sums, tiles, block)
        _keep(job, sums, tiles, block)
        ticket = following


class _Weight(NamedTuple):
    """One of the forms the kernel walks."""

    address: int
    rows: WeightRows
    block_bytes: int
    ends: int = 0
    corrections: int = 0


class PackedProduct:
    """One packed weight, ready for products of up to `most_rows` rows. Used by one thread at a time."""

    def __init__(
        self,
        weight_address: int,
        out_features: int,
        in_features: int,
        bias: torch.Tensor | None,
        compact: CompactAddresses | None = None,
    ) -> None:
        """oneDNN's blocks, and the same weight once more if there is a compact one. Their memory must stay mapped;
        `bias` is kept. Computes nothing.

        Reads the kernel from disk, or compiles it: once, before workers are forked.
        """
        _multiply()
        self.most_rows = MOST_ROWS_BESIDE_TILES if has_tiles() else MOST_ROWS
        self._out_features, depth = out_features, in_features // 2
        self._packed = _Weight(weight_address, PLAIN, block_bytes(PLAIN, depth))
        self._compact = self._packed
        if compact is not None:
            self._compact = _Weight(
                compact.blocks, COMPACT, block_bytes(COMPACT, depth), compact.ends, compact.corrections
            )
        self._bias = None if bias is None else bias.contiguous()
        self._named: list[Passes | None] = [None, None]  # memory the jobs name
        # One for calls, one for steps of a program.
        self._jobs = np.zeros(2, _JOB)
        self._address: int = self._jobs.ctypes.data
        for record in self._jobs:
            record["in_features"], record["out_features"] = in_features, out_features
            record["bias"] = 0 if self._bias is None else self._bias.data_ptr()

    def multiply(self, rows: torch.Tensor) -> torch.Tensor:
        """bfloat16 [n, out_features] for contiguous bfloat16 [n, in_features], n from 1 to `most_rows`."""
        result = rows.new_empty(len(rows), self._out_features)
        self._fill_in(0, len(rows), rows.data_ptr(), result.data_ptr())
        run_kernel(_multiply(), self._address, torch.get_num_threads())
        return result

    def step(self, count: int, rows_at: int, result_at: int) -> tuple[int, int]:
        """Kernel and job, for a program: `multiply` of `count` rows at one address, with its result at the other."""
        self._fill_in(1, count, rows_at, result_at)
        return _multiply(), self._address + _JOB.itemsize

    def _fill_in(self, at: int, count: int, rows_at: int, result_at: int) -> None:
        record = self._jobs[at]
        weight = self._compact if count <= COMPACT.most_rows else self._packed
        record["weight"], record["block_bytes"] = weight.address, weight.block_bytes
        record["ends"], record["corrections"] = weight.ends, weight.corrections
        tiles, ends = self._named[at] = grouped_passes(count, weight.rows)
        record["next"], record["rows"] = 0, count
        record["tiles"], record["groups"], record["group_ends"] = tiles.ctypes.data, len(ends), ends.ctypes.data
        record["inputs"], record["outputs"] = rows_at, result_at


def is_possible(out_features: int, in_features: int) -> bool:
    """The kernel can walk weights of this shape, packed on this machine. Packs a small one to see, once."""
    is_whole = out_features % _OUTPUTS == 0 and in_features % _INPUTS == 0
    return is_whole and has_products() and _is_known_order()


@functools.cache
def _is_known_order() -> bool:
    """Small whole numbers, all exact in bfloat16, come back from where they are expected."""
    numbers = (torch.arange(2 * _OUTPUTS * 2 * _INPUTS) % 251).view(2 * _OUTPUTS, 2 * _INPUTS)
    packed = torch.ops.mkldnn._reorder_linear_weight(numbers.bfloat16())
    if torch.ops.mkldnn._nbytes(packed) != 2 * numbers.numel():
        return False
    address = torch.ops.mkldnn.data_ptr(packed)
    found = np.ctypeslib.as_array((ctypes.c_uint16 * numbers.numel()).from_address(address))
    blocks = numbers.bfloat16().view(2, _OUTPUTS, 2, _INPUTS // 2, 2).permute(0, 2, 3, 1, 4).reshape(-1)
    return bool(np.array_equal(found, blocks.contiguous().view(torch.uint16).numpy()))
