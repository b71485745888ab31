"""The error vocabulary every process shares.

Each error a client can see has one `ErrorCode`; the frontend's `http_errors.py` holds the one table from these codes
to an HTTP status and an OpenAI body. This module knows nothing of HTTP.
"""

from enum import IntEnum


class ErrorCode(IntEnum):
    """Why a request was refused or failed. Numbers travel between processes: never renumber, append."""

    INVALID_REQUEST = 1  # the client's mistake; the message names the field
    MODEL_NOT_FOUND = 2
    CONTEXT_LENGTH_EXCEEDED = 3  # prompt (plus wanted output) does not fit the model's context
    QUEUE_FULL = 4  # refused at once; the message's retry_after_s says when to come back
    WORKER_CRASH_LOOP = 5  # the request was aboard too many worker deaths
    SCHEDULER_LOST = 6  # the scheduler died while the request was open
    SHUTTING_DOWN = 7  # the server drains and takes nothing new, or its drain time is over
    NO_WORKER = 8  # no worker could be started to serve it
    STEP_FAILED = 9  # the model raised an exception in a step this request was aboard
    NOT_READY = 10  # models are still loading
    DEADLINE_EXCEEDED = 11  # the time the client gave the request is over
    RESPONSE_NOT_FOUND = 12  # no response with this id is stored, or none of this client's
    STORE_FAILED = 13  # the store of responses cannot be read or written


class ZerolaneError(Exception):
    """Base of our own exceptions: `str(error)` may be shown to a client, so it holds no path and no trace."""


class StartupError(ZerolaneError):
    """The server cannot start. `advice` tells the operator what to do about it."""

    def __init__(self, message: str, advice: str = "") -> None:
        super().__init__(message)
        self.advice = advice


class RequestError(ZerolaneError):
    """A request is refused or failed.

    `param` names the request's field at fault, where there is one; `retry_after_s` is set for QUEUE_FULL.
    """

    def __init__(
        self, code: ErrorCode, message: str, param: str | None = None, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.param = param
        self.retry_after_s = retry_after_s


class ProtocolError(ZerolaneError):
    """A message or a shared-memory record does not have the agreed form."""
