"""The compiled kernel between a layer's QKV product and its output product.

Parallel over (token, KV head): norms and rotary embedding of the query heads that share the KV head and of its key, key
and value to their page, and for single tokens attention at once, while all that is in the nearest cache. Scores of a
whole sequence are kept, so keys and values are each read once, page by page, at the speed memory gives them.

Rounding happens where transformers' modules round: after norms (before their weights, for families that do so), after
each product of the rotary embedding and their sum; scores, softmax and the sum over values are float32.
"""

from typing import Any

import numba
import numpy as np

from workers.lean.compiled import (
    INNER,
    exponential,
    first_of_pair,
    kernel,
    largest,
    load,
    pointer_to,
    prefetch,
    rounded,
    second_of_pair,
    sigmoid,
    store,
    store_pair,
    take_ticket,
)
from workers.lean.jobs import ATTENTION

_LINE = 64  # bytes of memory that come at once


@numba.njit(**INNER)
def _prepare_head(head: Any, weight: Any, has_norm: Any, job: Any, cosine: Any, sine: Any, line: Any) -> None:
    """Norm and rotate one head [head dim], in place; `line` float32 [head dim] is scratch."""
    dim, rotated, half = len(head), job.rotated, job.rotated // 2
    total = np.float32(0.0)
    for d in range(dim):
        value = load(head, d)
        line[d] = value
        total += value * value
    if has_norm:
        scale = np.float32(1.0) / np.sqrt(total / np.float32(dim) + np.float32(job.norm_eps))
        if job.rounds_first != 0:
            for d in range(dim):
                line[d] = rounded(head, rounded(head, line[d] * scale) * weight[d])
        else:
            for d in range(dim):
                line[d] = rounded(head, line[d] * scale * weight[d])
    first, second, x, y = head[:half], head[half:rotated], line[:half], line[half:rotated]
    cosines, more_cosines, sines, more_sines = cosine[:half], cosine[half:rotated], sine[:half], sine[half:rotated]
    for d in range(len(first)):
        store(first, d, rounded(head, x[d] * cosines[d]) - rounded(head, y[d] * sines[d]))
        store(second, d, rounded(head, y[d] * more_cosines[d]) + rounded(head, x[d] * more_sines[d]))
    for d in range(rotated, dim):
        store(head, d, line[d])


@numba.njit(**INNER)
def _fetch(address: Any, num_bytes: Any) -> None:
    for offset in range(0, num_bytes, _LINE):
        prefetch(np.uintp(address + offset))


@numba.njit(**INNER)
def _score_page(queries: Any, keys: Any, low: Any, high: Any, scores: Any, at: Any, ahead: Any) -> None:
    """Scores of positions low ... high - 1 of a page's keys to scores[:, at + low] onwards.

    queries float32 [group, 2, half]; keys [block, pairs].
    """
    group, half = queries.shape[0], queries.shape[2]
    row_bytes = keys.shape[1] * keys.itemsize
    t = low
    while t + 4 <= high:
        _fetch(ahead + t * row_bytes, 4 * row_bytes)
        k0, k1, k2, k3 = keys[t], keys[t + 1], keys[t + 2], keys[t + 3]
        for g in range(group):
            a, b = queries[g, 0], queries[g, 1]
            s0, s1, s2, s3 = np.float32(0.0), np.float32(0.0), np.float32(0.0), np.float32(0.0)
            for i in range(half):
                s0 += a[i] * first_of_pair(k0, i) + b[i] * second_of_pair(k0, i)
                s1 += a[i] * first_of_pair(k1, i) + b[i] * second_of_pair(k1, i)
                s2 += a[i] * first_of_pair(k2, i) + b[i] * second_of_pair(k2, i)
                s3 += a[i] * first_of_pair(k3, i) + b[i] * second_of_pair(k3, i)
            scores[g, at + t], scores[g, at + t + 1] = s0, s1
            scores[g, at + t + 2], scores[g, at + t + 3] = s2, s3
        t += 4
    while t < high:
        key = keys[t]
        for g in range(group):
            s = np.float32(0.0)
            for i in range(half):
                s += queries[g, 0, i] * first_of_pair(key, i) + queries[g, 1, i] * second_of_pair(key, i)
            scores[g, at + t] = s
        t += 1


@numba.njit(**INNER)
def _sum_page(weights: Any, values: Any, low: Any, high: Any, at: Any, sums: Any, ahead: Any) -> None:
    """Add positions low ... high - 1 of a page's values [block, pairs], weighted, to sums float32 [group, 2, half]."""
    group, half = sums.shape[0], sums.shape[2]
    row_bytes = values.shape[1] * values.itemsize
    t = low
    while t + 4 <= high:
        _fetch(ahead + t * row_bytes, 4 * row_bytes)
        v0, v1, v2, v3 = values[t], values[t + 1], values[t + 2], values[t + 3]
        for g in range(group):
            a, b = sums[g, 0], sums[g, 1]
            w0, w1 = weights[g, at + t], weights[g, at + t + 1]
            w2, w3 = weights[g, at + t + 2], weights[g, at + t + 3]
            for i in range(half):
                first, second = w0 * first_of_pair(v0, i), w0 * second_of_pair(v0, i)
                first += w1 * first_of_pair(v1, i)
                second += w1 * second_of_pair(v1, i)
                first += w2 * first_of_pair(v2, i)
                second += w2 * second_of_pair(v2, i)
                a[i] += first + w3 * first_of_pair(v3, i)
                b[i] += second + w3 * second_of_pair(v3, i)
        t += 4
    while t < high:
        value = values[t]
        for g in range(group):
            weight = weights[g, at + t]
            for i in range(half):
                sums[g, 0, i] += weight * first_of_pair(value, i)
                sums[g, 1, i] += weight * second_of_pair(value, i)
        t += 1


@numba.njit(**INNER)
def _softmax(scores: Any, first: Any, length: Any, softcap: Any, sink: Any, has_sink: Any) -> Any:
    """Make one head's scores [first ... length) into weights, not yet divided by their sum, which is returned."""
    if softcap > np.float32(0.0):
        for t in range(first, length):
            inner = scores[t] / softcap
            scores[t] = softcap * (np.float32(2.0) * sigmoid(inner + inner) - np.float32(1.0))
    highest = largest(scores, first, length)
    if has_sink:
        highest = max(highest, sink)
    for t in range(first, length):
        scores[t] = exponential(scores[t] - highest)
    total = exponential(sink - highest) if has_sink else np.float32(0.0)
    for t in range(first, length):
        total += scores[t]
    return total


@numba.njit(**INNER)
def _attend(query_heads: Any, job: Any, row: Any, first_head: Any, pages: Any, scratch: Any, output: Any) -> None:
    """One token's query heads of neighbouring KV heads, [pairs of all], over its sequence's pages, to output, as long.

    Page after page, in it head after head: keys of all heads lie one after the other in a page, and memory is fast
    where it is read on and on.
    """
    keys, values = pages
    queries, scores, sums = scratch
    count, half, width = queries.shape[0], queries.shape[2], keys.shape[3]
    block_size, group = job.block_size, job.heads // job.kv_heads
    lengths = numba.carray(pointer_to(job.lengths), (job.rows,), np.int32)
    tables = numba.carray(pointer_to(job.tables), (job.rows, job.table_width), np.int32)
    sinks = numba.carray(pointer_to(job.sinks), (job.heads,), np.float32)
    table = tables[row]
    length = np.int64(lengths[row])
    first = max(length - job.window, 0) if job.window > 0 else 0
    first_page, last_page = first // block_size, (length - 1) // block_size
    scaling = np.float32(job.scaling)
    for g in range(count):
        head, first_numbers, second_numbers = query_heads[g * width : (g + 1) * width], queries[g, 0], queries[g, 1]
        for i in range(half):
            first_numbers[i] = first_of_pair(head, i) * scaling
            second_numbers[i] = second_of_pair(head, i) * scaling
    sums[:] = np.float32(0.0)
    for index in range(first_page, last_page + 1):
        at = index * block_size
        low, high, page = max(first - at, 0), min(length - at, block_size), keys[table[index]]
        following = keys[table[min(index + 1, last_page)]]
        for h in range(count // group):
            mine = slice(h * group, (h + 1) * group)
            ahead = following[first_head + h].ctypes.data
            _score_page(queries[mine], page[first_head + h], low, high, scores[mine], at, ahead)
    for g in range(count):
        sink = sinks[first_head * group + g] if job.sinks != 0 else np.float32(0.0)
        total = _softmax(scores[g], first, length, np.float32(job.softcap), sink, job.sinks != 0)
        share = np.float32(1.0) / total
        for t in range(first, length):
            scores[g, t] *= share
    for index in range(first_page, last_page + 1):
        at = index * block_size
        low, high, page = max(first - at, 0), min(length - at, block_size), values[table[index]]
        following = values[table[min(index + 1, last_page)]]
        for h in range(count // group):
            mine = slice(h * group, (h + 1) * group)
            ahead = following[first_head + h].ctypes.data
            _sum_page(scores[mine], page[first_head + h], low, high, at, sums[mine], ahead)
    for g in range(count):
        head, first_sums, second_sums = output[g * width : (g + 1) * width], sums[g, 0], sums[g, 1]
        for i in range(half):
            store_pair(head, i, first_sums[i], second_sums[i])


@numba.njit(**INNER)
def _run(job: Any, ticket_at: Any, kind: Any, pairs: Any) -> None:
    heads, kv_heads, dim = job.heads, job.kv_heads, job.head_dim
    group, tokens = heads // kv_heads, job.tokens
    qkv = numba.carray(pointer_to(job.qkv), (tokens, (heads + 2 * kv_heads) * dim), kind)
    pages_shape = (job.num_pages, kv_heads, job.block_size, dim)
    keys = numba.carray(pointer_to(job.keys), pages_shape, kind)
    values = numba.carray(pointer_to(job.values), pages_shape, kind)
    cosine = numba.carray(pointer_to(job.cosine), (tokens, job.rotated), np.float32)
    sine = numba.carray(pointer_to(job.sine), (tokens, job.rotated), np.float32)
    query_weight = numba.carray(pointer_to(job.query_weight), (dim,), np.float32)
    key_weight = numba.carray(pointer_to(job.key_weight), (dim,), np.float32)
    token_page = numba.carray(pointer_to(job.token_page), (tokens,), np.int64)
    token_offset = numba.carray(pointer_to(job.token_offset), (tokens,), np.int64)
    single_tokens = numba.carray(pointer_to(job.single_tokens), (job.rows,), np.int64)
    # the same memory as `qkv`, `keys` and `values`
    width = dim * keys.itemsize // 4
    pairs_shape = (job.num_pages, kv_heads, job.block_size, width)
    query_pairs = numba.carray(pointer_to(job.qkv), (tokens, (heads + 2 * kv_heads) * width), pairs)
    output = numba.carray(pointer_to(job.output), (tokens, heads * width), pairs)
    key_pairs = numba.carray(pointer_to(job.keys), pairs_shape, pairs)
    value_pairs = numba.carray(pointer_to(job.values), pairs_shape, pairs)
    line = np.empty(dim, np.float32)
    longest = job.longest if job.attends != 0 else 1
    at_once = job.heads_at_once
    shape = (at_once * group, 2, dim // 2)
    scratch = (np.empty(shape, np.float32), np.empty((shape[0], longest), np.float32), np.empty(shape, np.float32))
    while True:
        item = take_ticket(ticket_at) * at_once
        if item >= job.rows * kv_heads:
            break
        row, first_head = item // kv_heads, item % kv_heads
        token = single_tokens[row] if job.single_tokens != 0 else row
        mine = slice(first_head * group * width, (first_head + at_once) * group * width)
        if job.prepares != 0:
            for h in range(first_head * group, (first_head + at_once) * group):
                query = qkv[token, h * dim : (h + 1) * dim]
                _prepare_head(query, query_weight, job.query_weight != 0, job, cosine[token], sine[token], line)
            page, place = token_page[token], token_offset[token]
            for head in range(first_head, first_head + at_once):
                key = qkv[token, (heads + head) * dim : (heads + head + 1) * dim]
                value = qkv[token, (heads + kv_heads + head) * dim : (heads + kv_heads + head + 1) * dim]
                _prepare_head(key, key_weight, job.key_weight != 0, job, cosine[token], sine[token], line)
                kept_key, kept_value = keys[page, head, place], values[page, head, place]
                for d in range(dim):
                    kept_key[d], kept_value[d] = key[d], value[d]
        if job.attends != 0:
            pages = (key_pairs, value_pairs)
            _attend(query_pairs[token, mine], job, row, first_head, pages, scratch, output[token, mine])


@kernel
def attention_bfloat16(job_at: Any) -> None:
    """An ATTENTION job of bfloat16 rows and pages."""
    job = numba.carray(job_at, 1, ATTENTION)
    _run(job[0], job.ctypes.data, np.uint16, np.uint32)


@kernel
def attention_float32(job_at: Any) -> None:
    """An ATTENTION job of float32 rows and pages."""
    job = numba.carray(job_at, 1, ATTENTION)
    _run(job[0], job.ctypes.data, np.float32, np.float32)
