"""What an operator's command and the server say to each other over control.sock: a JSON request line, then JSON lines.

A request is {"cmd": "status"} or {"cmd": "scale", "workers": N}. Any number of {"reply": "progress", ...} lines is
followed by exactly one other reply, and the server closes the connection.
"""

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from ipc.errors import ProtocolError

MAX_LINE_BYTES = 1 << 20

# --- requests --------------------------------------------------------------------------------------------------------


class AskStatus(Struct, frozen=True, tag_field="cmd", tag="status", forbid_unknown_fields=True):
    """Answered by Status."""


class AskScale(Struct, frozen=True, tag_field="cmd", tag="scale", forbid_unknown_fields=True):
    """Answered by Progress lines, then Scaled once exactly so many workers serve."""

    workers: Annotated[int, Meta(ge=1, le=64)]


Request = AskStatus | AskScale

# --- replies ---------------------------------------------------------------------------------------------------------


class ScaleProgress(Struct, frozen=True, tag_field="reply", tag="progress"):
    text: str


class Scaled(Struct, frozen=True, tag_field="reply", tag="scaled"):
    workers: int
    started: int
    stopped: int
    seconds: float


class Refused(Struct, frozen=True, tag_field="reply", tag="refused"):
    """The command was not, or not wholly, carried out."""

    message: str
    advice: str = ""


class ProcessStatus(Struct, frozen=True):
    role: str  # supervisor, frontend, scheduler, worker, loader
    id: int
    pid: int  # 0: no process now
    epoch: int
    state: str
    restarts: int
    uptime_s: float
    pss_mib: float | None  # its share of memory, shared pages divided by their users; None where it cannot be read
    shared_pss_mib: float | None = None  # the part of it in memory segments: weights, KV pages, steps


class ModelStatus(Struct, frozen=True):
    index: int
    name: str
    task: str
    architecture: str
    dtype: str
    attention_backend: str
    max_model_len: int
    num_parameters: int
    weights_mib: float
    kv_mib: float
    num_pages: int
    block_size: int


class QueueStatus(Struct, frozen=True):
    running: int
    waiting: int
    waiting_tokens: int


class Status(Struct, frozen=True, tag_field="reply", tag="status"):
    version: str
    address: str
    ready: bool
    reason: str  # why it is not ready
    phase: str  # starting, serving, draining, stopping
    processes: list[ProcessStatus]
    models: list[ModelStatus]
    queue: QueueStatus


Reply = ScaleProgress | Scaled | Refused | Status

# --- lines -----------------------------------------------------------------------------------------------------------

_encoder = msgspec.json.Encoder()
_requests: msgspec.json.Decoder[Request] = msgspec.json.Decoder(Request)
_replies: msgspec.json.Decoder[Reply] = msgspec.json.Decoder(Reply)


def to_line(record: Struct) -> bytes:
    return _encoder.encode(record) + b"\n"


def parse_request(line: bytes) -> Request:
    """Raises ProtocolError with a sentence."""
    request: Request = _parse(_requests, line)
    return request


def parse_reply(line: bytes) -> Reply:
    """Raises ProtocolError with a sentence."""
    reply: Reply = _parse(_replies, line)
    return reply


def _parse(decoder: msgspec.json.Decoder[Any], line: bytes) -> Any:
    try:
        return decoder.decode(line)
    except msgspec.DecodeError as error:
        raise ProtocolError(f"cannot understand: {error}") from error
