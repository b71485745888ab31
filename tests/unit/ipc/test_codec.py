"""Records survive the wire; anything else ends in ProtocolError and nothing but ProtocolError."""

import contextlib
from typing import Any

import hypothesis.strategies as st
import msgspec
import pytest
from hypothesis import given, settings

from ipc.codec import Decoder, encode
from ipc.control_messages import AddWorker, Fatal, Loaded, ToChild, ToSupervisor
from ipc.errors import ErrorCode, ProtocolError
from ipc.messages import (
    PROTOCOL_VERSION,
    Abort,
    Failed,
    FromScheduler,
    Hello,
    SamplingParams,
    ScoreBatch,
    SubmitGenerate,
    SubmitScore,
    TokenBatch,
    ToScheduler,
    Welcome,
)
from ipc.model_card import KvLayer, ModelCard

CARD = ModelCard(
    index=0,
    name="tiny",
    path="/models/tiny",
    task="generate",
    architecture="LlamaForCausalLM",
    dtype="float32",
    vocab_size=100,
    max_model_len=512,
    kv_layers=(KvLayer(2, 8, 8),),
)
RECORDS: list[tuple[Any, msgspec.Struct]] = [
    (ToScheduler, Hello(1, 2)),
    (ToScheduler, SubmitGenerate(7, "req", 0, b"\1\0\0\0", 5, SamplingParams(seed=3), priority=-1)),
    (ToScheduler, SubmitScore(8, "req", 1, b"\2\0\0\0", b"\1\0\0\0\2\0\0\0")),
    (ToScheduler, Abort(bytes(16))),
    (FromScheduler, Welcome(4)),
    (FromScheduler, TokenBatch(bytes(8), bytes(4), bytes(4), b"\1", bytes(4))),
    (FromScheduler, ScoreBatch(bytes(8), bytes(4), bytes(4))),
    (FromScheduler, Failed(7, ErrorCode.QUEUE_FULL, "full", 1.5)),
    (ToChild, AddWorker(1, 2)),
    (ToSupervisor, Loaded([CARD])),
    (ToSupervisor, Fatal("no", "try again")),
]
UNIONS = [ToScheduler, FromScheduler, ToChild, ToSupervisor]


def _decode_or_refuse(union: Any, frame: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        Decoder[object](union).decode(frame)


@pytest.mark.parametrize(("union", "record"), RECORDS, ids=lambda value: type(value).__name__)
def test_records_come_back(union: Any, record: msgspec.Struct) -> None:
    decoder = Decoder[object](union)
    assert decoder.decode(encode(record)) == record
    assert decoder.decode(memoryview(encode(record))) == record


@given(union=st.sampled_from(UNIONS), frame=st.binary(max_size=300), versioned=st.booleans())
@settings(max_examples=1500, deadline=None)
def test_random_bytes_are_refused_with_a_sentence(union: Any, frame: bytes, versioned: bool) -> None:
    _decode_or_refuse(union, bytes([PROTOCOL_VERSION]) * versioned + frame)


@given(
    case=st.sampled_from(RECORDS),
    position=st.integers(0, 400),
    replacement=st.binary(max_size=6),
    removed=st.integers(0, 6),
)
@settings(max_examples=1500, deadline=None)
def test_damaged_records_are_refused_or_are_records(
    case: tuple[Any, msgspec.Struct], position: int, replacement: bytes, removed: int
) -> None:
    union, record = case
    frame = encode(record)
    position %= len(frame)
    _decode_or_refuse(union, frame[:position] + replacement + frame[position + removed :])


@given(
    value=st.recursive(
        st.none() | st.integers(-(1 << 63), (1 << 64) - 1) | st.floats() | st.text(max_size=5) | st.binary(max_size=5),
        lambda inner: st.lists(inner, max_size=6),
        max_leaves=12,
    ),
    union=st.sampled_from(UNIONS),
    kind=st.integers(0, 6),
)
@settings(max_examples=300, deadline=None)
def test_well_formed_msgpack_of_other_types_is_refused(value: Any, union: Any, kind: int) -> None:
    fields = value if isinstance(value, list) else [value]
    _decode_or_refuse(union, bytes([PROTOCOL_VERSION]) + msgspec.msgpack.encode([kind, *fields]))


def test_deep_nesting_is_refused() -> None:
    for union in UNIONS:
        with pytest.raises(ProtocolError):
            Decoder[object](union).decode(bytes([PROTOCOL_VERSION]) + b"\x91" * 100_000 + b"\0")


def test_a_promised_length_costs_no_memory() -> None:
    """An array that says it has four billion items, in nine bytes."""
    with pytest.raises(ProtocolError):
        Decoder[object](ToScheduler).decode(bytes([PROTOCOL_VERSION]) + b"\xdd\xff\xff\xff\xff\2\1")


def test_another_version_is_refused() -> None:
    frame = encode(Hello(1, 2))
    with pytest.raises(ProtocolError, match="version"):
        Decoder[object](ToScheduler).decode(bytes([PROTOCOL_VERSION + 1]) + frame[1:])


@pytest.mark.parametrize("frame", [b"", bytes([PROTOCOL_VERSION])])
def test_an_empty_frame_is_refused(frame: bytes) -> None:
    with pytest.raises(ProtocolError):
        Decoder[object](ToScheduler).decode(frame)


@pytest.mark.parametrize(
    "record",
    [
        SubmitGenerate(-1, "", 0, b"", 1, SamplingParams()),
        SubmitGenerate(1, "x" * 513, 0, b"", 1, SamplingParams()),
        SubmitGenerate(1, "", 0, b"", 0, SamplingParams()),
        SubmitGenerate(1, "", 0, b"", 1, SamplingParams(temperature=-0.5)),
        SubmitGenerate(1, "", 0, b"", 1, SamplingParams(top_p=0.0)),
        SubmitGenerate(1, "", 0, b"", 1, SamplingParams(seed=1 << 63)),
        SubmitGenerate(1, "", 0, bytes((64 << 20) + 1), 1, SamplingParams()),
        Abort(bytes((1 << 20) + 1)),
    ],
)
def test_bounds_hold_on_decode(record: msgspec.Struct) -> None:
    with pytest.raises(ProtocolError):
        Decoder[object](ToScheduler).decode(encode(record))


def test_a_sender_that_knows_fewer_fields_is_understood() -> None:
    """New fields go last and have defaults: an older frame is shorter."""
    short = bytes([PROTOCOL_VERSION]) + msgspec.msgpack.encode([2, 7, "req", 0, b"", 5, [0.0]])
    record = Decoder[ToScheduler](ToScheduler).decode(short)
    assert record == SubmitGenerate(7, "req", 0, b"", 5, SamplingParams(temperature=0.0))
