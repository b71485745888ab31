"""Numbers as replies carry them: JSON lists, base64, and the small types of Cohere's API. Pure functions."""

import asyncio
from base64 import b64encode
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
from sanic import HTTPResponse

from frontend.http_reply import JSON

Row = npt.NDArray[np.float32]
NUMBERS_A_TURN = 1 << 16  # about a millisecond of writing
_INT8_SCALE = 127.0  # a vector of length 1 has no number above 1


def numbers_reply(body: dict[str, Any]) -> HTTPResponse:
    """A JSON body in which arrays stand for lists; float32 is written with as many digits as it has."""
    return HTTPResponse(orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY), 200, None, JSON)


async def encoded_rows(rows: npt.NDArray[np.float32], encoding_format: str | None) -> list[orjson.Fragment]:
    """Each row as its field in a reply; other requests get their turns in between."""
    rows_a_turn = max(1, NUMBERS_A_TURN // max(1, rows.shape[1]))
    found: list[orjson.Fragment] = []
    for begin in range(0, len(rows), rows_a_turn):
        found += [encoded(row, encoding_format) for row in rows[begin : begin + rows_a_turn]]
        await asyncio.sleep(0)
    return found


def encoded(row: Row, encoding_format: str | None) -> orjson.Fragment:
    """JSON: a list of numbers for "float", a text of little-endian float32 in base64 for "base64"."""
    if encoding_format == "base64":
        return orjson.Fragment(b'"' + b64encode(np.ascontiguousarray(row, "<f4").tobytes()) + b'"')
    return orjson.Fragment(orjson.dumps(np.ascontiguousarray(row), option=orjson.OPT_SERIALIZE_NUMPY))


def cohere_encoded(rows: npt.NDArray[np.float32], kind: str) -> list[Any]:
    """Vectors [texts, width] of length 1 as Cohere's `embedding_types` has them.

    int8 and uint8 count in 127ths; binary and ubinary hold the sign of eight numbers in one, first number highest.
    """
    match kind:
        case "base64":
            return [encoded(row, "base64") for row in rows]
        case "int8":
            return list(_int8(rows))
        case "uint8":
            return list((_int8(rows).astype(np.int16) + 128).astype(np.uint8))
        case "ubinary":
            return list(np.packbits(rows > 0, axis=1))
        case "binary":
            return list((np.packbits(rows > 0, axis=1).astype(np.int16) - 128).astype(np.int8))
        case _:
            return list(np.ascontiguousarray(rows))


def _int8(rows: npt.NDArray[np.float32]) -> npt.NDArray[np.int8]:
    small: npt.NDArray[np.int8] = np.clip(np.rint(rows * _INT8_SCALE), -128, 127).astype(np.int8)
    return small
