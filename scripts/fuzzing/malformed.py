"""Ways to spoil a good body. Each gives the raw request and says whether the server may still take it."""

import json
import random
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

Body = dict[str, Any]
HUGE_TEXT = 300_000
DEEP = 20_000
JUNK: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1.5, 1e308, -1e308, 1e-320, 2**31, 2**63, 2**64, 10**30, -(10**30), "", "x", "1"),
    *(
        "\x00",
        "a" * 5000,
        "-1",
        "NaN",
        "\u202e",
        [],
        {},
        [[]],
        [{}],
        [None],
        {"a": 1},
        {"type": "x"},
        ["x"] * 50,
        [1.5],
    ),
    *([[[[1]]]], {"": ""}, [1, "x", None], {"$ref": "#"}, {"type": "function"}, [{"type": "text"}], [-1], [2**40]),
)
RAW_NUMBERS = ("NaN", "Infinity", "-Infinity", "1e999", "-1e999", "01", "+1", "1.", ".5", "0x10", "1" * 5000, "1_000")


class Verdict(Enum):
    """What may come back."""

    REFUSED = auto()  # 4xx and nothing else
    ANY = auto()  # 4xx, or an answer, if what was sent makes sense after all
    MAY_CLOSE = auto()  # 4xx, or the connection is closed without a word: this is no HTTP


@dataclass(frozen=True)
class Spoilt:
    """One request. `data` are the bytes of its body; `headers` replace those it would have."""

    kind: str
    data: bytes
    verdict: Verdict
    headers: tuple[str, ...] | None = None  # without Host and Connection; None: JSON with the right length


Spoil = Callable[[Body, random.Random], Spoilt]


def wrong_values(body: Body, source: random.Random) -> Spoilt:
    """Some values anywhere in the body become something else."""
    for _ in range(source.choice((1, 1, 1, 2, 5))):
        holder, key = source.choice(list(_places(body)))
        holder[key] = _junk(source)
    return Spoilt("wrong values", json.dumps(body).encode(), Verdict.ANY)


def missing_field(body: Body, source: random.Random) -> Spoilt:
    body.pop(source.choice(list(body)))
    return Spoilt("missing field", json.dumps(body).encode(), Verdict.ANY)


def raw_number(body: Body, source: random.Random) -> Spoilt:
    """A number as JSON does not know it, or far out of range."""
    number = source.choice(RAW_NUMBERS)
    whole = number == "1" * 5000  # a number without end is a number
    return Spoilt("raw number", _with_raw(body, source, number), Verdict.ANY if whole else Verdict.REFUSED)


def nested(body: Body, source: random.Random) -> Spoilt:
    """Brackets without end in the place of a value; closed or not."""
    opening, closing = source.choice((("[", "]"), ('{"a":', "}")))
    inner = opening * DEEP + "1" + (closing * DEEP if source.random() < 0.5 else "")
    return Spoilt("deep nesting", _with_raw(body, source, inner), Verdict.REFUSED)


def nested_a_little(body: Body, source: random.Random) -> Spoilt:
    """Deep enough to hurt whoever goes through it by recursion, not so deep that JSON's decoder refuses."""
    holder, key = source.choice(list(_places(body)))
    value: Any = _junk(source)
    for _ in range(source.choice((50, 200, 900))):
        value = [value] if source.random() < 0.5 else {"items": value}
    holder[key] = value
    return Spoilt("some nesting", json.dumps(body).encode(), Verdict.ANY)


def broken_utf8(body: Body, source: random.Random) -> Spoilt:
    bad = source.choice((b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc0\xaf"))
    return Spoilt("broken UTF-8", _with_text(body, source, bad), Verdict.REFUSED)


def lone_surrogate(body: Body, source: random.Random) -> Spoilt:
    return Spoilt("lone surrogate", _with_text(body, source, rb"\ud800"), Verdict.ANY)


def control_character(body: Body, source: random.Random) -> Spoilt:
    return Spoilt("raw control character", _with_text(body, source, b"\x01"), Verdict.REFUSED)


def giant_text(body: Body, source: random.Random) -> Spoilt:
    text = source.choice(("x", "ab ", "é", "\\n", '\\"')) * HUGE_TEXT
    return Spoilt("giant text", _with_text(body, source, text.encode()), Verdict.ANY)


def giant_list(body: Body, source: random.Random) -> Spoilt:
    holder, key = source.choice(list(_places(body)))
    holder[key] = [_junk(source)] * 20_000
    return Spoilt("giant list", json.dumps(body).encode(), Verdict.ANY)


def duplicate_keys(body: Body, source: random.Random) -> Spoilt:
    name = source.choice(list(body))
    more = f"{json.dumps(name)}: {json.dumps(_junk(source))}, ".encode()
    return Spoilt("duplicate keys", b"{" + more * source.choice((1, 1000)) + json.dumps(body).encode()[1:], Verdict.ANY)


def truncated(body: Body, source: random.Random) -> Spoilt:
    data = json.dumps(body).encode()
    return Spoilt("truncated", data[: source.randrange(len(data))], Verdict.REFUSED)


def no_object(body: Body, source: random.Random) -> Spoilt:
    data = source.choice(
        (b"", b"null", b"[]", b'"x"', b"1", b"true", b"\xef\xbb\xbf{}", b"{}{}", b"undefined", b"{a:1}")
    )
    return Spoilt("no object", data, Verdict.REFUSED)


def flipped_bytes(body: Body, source: random.Random) -> Spoilt:
    data = bytearray(json.dumps(body).encode())
    for _ in range(source.choice((1, 3, 20))):
        data[source.randrange(len(data))] = source.randrange(256)
    return Spoilt("flipped bytes", bytes(data), Verdict.ANY)


def wrong_content_type(body: Body, source: random.Random) -> Spoilt:
    kind = source.choice(("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "a/b", ";", "\xff"))
    data = json.dumps(body).encode()
    headers = (f"Content-Type: {kind}", f"Content-Length: {len(data)}")
    return Spoilt("wrong content type", data, Verdict.REFUSED, headers)


def broken_framing(body: Body, source: random.Random) -> Spoilt:
    """Lengths and chunks that are none, or do not agree."""
    data = json.dumps(body).encode()
    headers = source.choice(
        (
            ("Content-Length: abc",),
            ("Content-Length: -5",),
            (f"Content-Length: {10**30}",),
            (f"Content-Length: {len(data) + 50}",),
            ("Content-Length: 3", "Content-Length: 5"),
            ("Transfer-Encoding: chunked", f"Content-Length: {len(data)}"),
            ("Transfer-Encoding: gzip",),
            ("Transfer-Encoding: chunked",),
            ("Content-Type: application/json", "Content-Type: text/plain", "Content-Length: 1"),
            ("Expect: 100-continue, nonsense", "Content-Length: 2"),
            ("X: " + "y" * 20_000, "Content-Length: 2"),
        )
    )
    if headers == ("Transfer-Encoding: chunked",):
        data = source.choice((b"zz\r\n", b"5\r\nab\r\n", b"-1\r\n\r\n", b"ffffffffffffffffffff\r\n", b"\r\n\r\n"))
    return Spoilt("broken framing", data, Verdict.MAY_CLOSE, headers)


SPOILERS: tuple[Spoil, ...] = (
    *(wrong_values,) * 12,
    *(missing_field, raw_number, nested, nested_a_little, broken_utf8, lone_surrogate, control_character, giant_text),
    *(giant_list, duplicate_keys, truncated, no_object, flipped_bytes, wrong_content_type, broken_framing),
)


def _junk(source: random.Random) -> Any:
    """A value of its own: it may be spoilt further."""
    return deepcopy(source.choice(JUNK))


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every (holder, key or index) in a JSON value."""
    pairs = list(value.items()) if isinstance(value, dict) else list(enumerate(value))
    for key, inner in pairs:
        yield value, key
        if isinstance(inner, dict | list):
            yield from _places(inner)


def _with_raw(body: Body, source: random.Random, raw: str) -> bytes:
    """The body's JSON with these characters in the place of one value."""
    holder, key = source.choice(list(_places(body)))
    holder[key] = "\u2603here"
    return json.dumps(body).replace(json.dumps("\u2603here"), raw).encode()


def _with_text(body: Body, source: random.Random, text: bytes) -> bytes:
    """The body's JSON with these bytes inside a text: one that it has, or a field more."""
    places = [(holder, key) for holder, key in _places(body) if isinstance(holder[key], str)] or [(body, "user")]
    holder, key = source.choice(places)
    holder[key] = "\u2603here"
    return json.dumps(body).encode().replace(json.dumps("\u2603here").encode(), b'"a' + text + b'b"')
