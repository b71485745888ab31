"""What an operator's command and the server say to each other over control.sock: a JSON request line, then JSON lines.

A request is {"cmd": "status"}, {"cmd": "scale", "workers": N, ...}, {"cmd": "restart"} or {"cmd": "drain"}. Any number
of {"reply": "progress", ...} lines is followed by exactly one other reply, and the server closes the connection.
"""

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from ipc.errors import ProtocolError

CONTROL_SOCKET = "control.sock"  # its name in the runtime directory
MAX_LINE_BYTES = 1 << 20
RESTART_TIMEOUT_S = 600.0
Seconds = Annotated[float, Meta(ge=0, le=7 * 24 * 3600)]

# --- requests --------------------------------------------------------------------------------------------------------


class AskStatus(Struct, frozen=True, tag_field="cmd", tag="status", forbid_unknown_fields=True):
    """Answered by Status."""


class AskScale(Struct, frozen=True, tag_field="cmd", tag="scale", forbid_unknown_fields=True):
    """Answered by CommandProgress lines, then Scaled once exactly so many serve. None: as many as there are."""

    workers: Annotated[int, Meta(ge=1, le=64)] | None = None
    spares: Annotated[int, Meta(ge=0, le=64)] | None = None
    pools: Annotated[int, Meta(ge=1, le=16)] | None = None


class AskRollingRestart(Struct, frozen=True, tag_field="cmd", tag="restart", forbid_unknown_fields=True):
    """Answered by CommandProgress lines, then Restarted once every process has been replaced."""

    timeout_s: Seconds = RESTART_TIMEOUT_S  # the longest a frontend may take for its open requests


class AskDrain(Struct, frozen=True, tag_field="cmd", tag="drain", forbid_unknown_fields=True):
    """Refuse new requests, finish the open ones, end. Answered by CommandProgress lines, then Ended."""

    timeout_s: Seconds | None = None  # None: --shutdown-timeout of the server


Request = AskStatus | AskScale | AskRollingRestart | AskDrain

# --- replies ---------------------------------------------------------------------------------------------------------


class CommandProgress(Struct, frozen=True, tag_field="reply", tag="progress"):
    text: str


class Scaled(Struct, frozen=True, tag_field="reply", tag="scaled"):
    """As it is now: numbers that serve or wait. `started` and `stopped`: processes of workers and spares."""

    workers: int
    started: int
    stopped: int
    seconds: float
    spares: int = 0
    pools: int = 1


class Restarted(Struct, frozen=True, tag_field="reply", tag="restarted"):
    """So many processes of each role have a successor."""

    fork_servers: int
    workers: int
    spares: int
    frontends: int
    schedulers: int
    frontends_killed: int  # of `frontends`: they still had open requests after the timeout, which were lost
    seconds: float


class Ended(Struct, frozen=True, tag_field="reply", tag="ended"):
    """The server's processes are gone; it leaves with `exit_code` next."""

    requests_ended: int  # still open after the timeout, so ended with an error
    exit_code: int
    seconds: float


class Refused(Struct, frozen=True, tag_field="reply", tag="refused"):
    """The command was not, or not wholly, carried out."""

    message: str
    advice: str = ""


class ProcessStatus(Struct, frozen=True):
    """One process. What lies in /proc (memory, CPU time) is read by who asks: see zerolane/process_usage.py."""

    role: str  # supervisor, frontend, scheduler, worker, spare, forkserver, loader
    id: int
    pid: int  # 0: no process now
    epoch: int
    state: str
    restarts: int
    uptime_s: float
    pss_mib: float | None = None  # its share of memory, shared pages divided by their users; None: not known
    shared_pss_mib: float | None = None  # the part of it in memory segments: weights, KV pages, steps
    pool: int | None = None  # workers: whose KV pages their steps use
    phases: str = ""  # workers: both, prefill, decode
    steps: int | None = None  # workers: computed in this seat, by all its lives
    cpu_s: float | None = None  # processor time it has used


class ModelStatus(Struct, frozen=True):
    """One model: what it is, and from the metrics what it does. Totals outlive every process but the supervisor."""

    index: int
    name: str
    task: str
    architecture: str
    dtype: str
    attention_backend: str
    max_model_len: int
    num_parameters: int
    weights_mib: float
    kv_mib: float  # of one pool
    num_pages: int  # of one pool
    block_size: int
    running: int = 0
    waiting: int = 0
    pages_total: int = 0  # of all pools together
    pages_used: int = 0
    pages_cached: int = 0
    steps_total: int = 0
    tokens_total: int = 0  # output tokens
    prompt_tokens_total: int = 0
    score_pairs_total: int = 0


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
    http_requests: int = 0  # being answered
    pools: int = 1


FinalReply = Scaled | Restarted | Ended | Refused | Status
Reply = CommandProgress | FinalReply

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
