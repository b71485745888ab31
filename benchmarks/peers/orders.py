"""What travels between the harness, its client process and the library runners: one order, one answer, as JSON."""

from typing import Literal

from msgspec import Struct


class Request(Struct, frozen=True, omit_defaults=True):
    """A prompt to go on from, or a query with documents to score."""

    text: str
    num_tokens: int  # of `text`, or of all pairs together: what the peer should count
    documents: list[str] = []


class Order(Struct, frozen=True):
    """One run: all requests, at most `streams` at once."""

    kind: Literal["generate", "score"]
    streams: int
    output_tokens: int  # new tokens of each request; 0 for scores
    requests: list[Request]
    label: str = ""  # of the load: a runner may tune itself once for each


class Target(Struct, frozen=True):
    """Where and how a server is asked."""

    url: str
    model: str
    path: str
    extra: dict[str, bool | int | str]  # fields a peer needs beside the common ones
    dialect: Literal["completions", "score", "rerank"]
    root_pid: int  # its process; the processor time of its whole tree counts as its own


class ClientOrder(Struct, frozen=True):
    target: Target
    order: Order


class RequestTimes(Struct, frozen=True):
    """Of one request, in seconds since the run began. `gaps` lie between events that carry text."""

    began: float
    first: float
    ended: float
    gaps: list[float]
    output_tokens: int
    prompt_tokens: int
    sample: str = ""
    scores: list[float] = []


class Usage(Struct, frozen=True):
    """Who used the cores while a run went on; in cores (processor seconds a second)."""

    seconds: float
    peer_cores: float
    foreign_cores: float  # neither the peer nor the client
    stolen_cores: float  # by the host of this virtual machine


class Answer(Struct, frozen=True):
    requests: list[RequestTimes]
    usage: Usage
    note: str = ""  # for example the batch size a library chose


class RunnerAnswer(Struct, frozen=True):
    """What a library runner prints; the harness adds the usage."""

    requests: list[RequestTimes] = []
    note: str = ""
    error: str = ""
