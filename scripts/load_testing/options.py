"""What one load test is told, as one frozen record. The command line that fills it is `command_line.py`."""

import math
from typing import Any
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from scripts.load_testing.workloads import KINDS, MIX, Kind, KindName, LengthShape, WorkloadName

LEAST_REQUESTS = 64
WAVES = 4  # requests for each one that is open at once, where the number of requests is not given


class Targets(Struct, frozen=True):
    """Latencies a request has to keep, milliseconds; None: any."""

    ttft_ms: float | None = None
    itl_ms: float | None = None
    e2e_ms: float | None = None

    def __bool__(self) -> bool:
        return (self.ttft_ms, self.itl_ms, self.e2e_ms) != (None, None, None)

    def __str__(self) -> str:
        named = {"first token": self.ttft_ms, "each further token": self.itl_ms, "end": self.e2e_ms}
        return ", ".join(f"{name} within {value:g} ms" for name, value in named.items() if value is not None)


class LoadOptions(Struct, frozen=True, kw_only=True):
    """One load test. Fields are named like the options. None: every kind of request has its own (`KINDS`)."""

    url: str = "http://127.0.0.1:8000"
    model: str = ""  # "": the first one the server lists for the workload's task
    timeout: float = 300.0

    workload: WorkloadName = "completion"
    mix: dict[KindName, float] | None = None  # of "mixed": weights of the kinds; None: MIX without what is not served
    concurrency: int = 8
    rate: float = 0.0  # requests a second; 0: closed loop
    spread: float = 0.5  # seconds over which a closed loop opens its requests
    ramp: tuple[float, ...] = ()
    ramp_is_rate: bool = False
    requests: int | None = None  # of each step; None: see `num_requests`
    duration: float = 60.0  # of each step, seconds
    warmup: int = 1

    lengths: LengthShape | None = None
    prompt_tokens: int | None = None
    max_tokens: int | None = None
    shared_prefix_tokens: int | None = None
    turns: int | None = None
    texts: int = 16
    ignore_eos: bool = True
    stream: bool = True
    seed: int = 0
    salt: str = ""  # changes the words and nothing else: no prefix cache knows them from another run

    target_ttft_ms: float | None = None
    target_itl_ms: float | None = None
    target_e2e_ms: float | None = None
    target_share: float = 0.9
    metrics_interval: float = 1.0  # seconds between two looks at the server's /metrics; 0: none

    @property
    def is_open_loop(self) -> bool:
        return self.rate > 0

    @property
    def targets(self) -> Targets:
        return Targets(self.target_ttft_ms, self.target_itl_ms, self.target_e2e_ms)

    @property
    def kinds(self) -> dict[KindName, float]:
        """Weight of each kind of request."""
        if self.workload != "mixed":
            return {self.workload: 1.0}
        return self.mix or MIX

    @property
    def whole_after(self) -> float:
        """Seconds until the load is as large as it shall be."""
        return 0.0 if self.is_open_loop else min(self.spread, self.duration)

    @property
    def num_requests(self) -> int:
        """At most so many in a step. Where it is not given, `duration` alone ends an open loop."""
        if self.requests is not None:
            return self.requests
        if self.is_open_loop:
            return max(LEAST_REQUESTS, math.ceil(2 * self.rate * self.duration))
        return max(LEAST_REQUESTS, WAVES * self.concurrency)

    @property
    def load(self) -> str:
        """How much at once, for people."""
        return f"{self.rate:g} requests/s" if self.is_open_loop else f"{self.concurrency} at a time"

    @property
    def steps(self) -> tuple["LoadOptions", ...]:
        """The loads of the ramp, one after the other; only this one where there is none."""
        if not self.ramp:
            return (self,)
        if self.ramp_is_rate:
            return tuple(msgspec.structs.replace(self, ramp=(), rate=float(level)) for level in self.ramp)
        return tuple(msgspec.structs.replace(self, ramp=(), rate=0.0, concurrency=int(level)) for level in self.ramp)

    def kind(self, name: KindName) -> Kind:
        """The kind with the sizes that were given in place of its own."""
        sizes = ("lengths", "prompt_tokens", "max_tokens", "shared_prefix_tokens", "turns")
        given = {size: getattr(self, size) for size in sizes}
        return msgspec.structs.replace(
            KINDS[name], **{size: value for size, value in given.items() if value is not None}
        )


def load_options(**given: Any) -> LoadOptions:
    """Options with these fields, the others as usual. Raises ValueError with the option's name and the reason."""
    options = LoadOptions(**given)
    for name in ("concurrency", "duration", "timeout", "texts", "target_share"):
        _check_above(options, name)
    for name in (
        "requests",
        "prompt_tokens",
        "max_tokens",
        "turns",
        "target_ttft_ms",
        "target_itl_ms",
        "target_e2e_ms",
    ):
        if getattr(options, name) is not None:
            _check_above(options, name)
    for name in ("rate", "warmup", "shared_prefix_tokens", "metrics_interval", "spread"):
        if (getattr(options, name) or 0) < 0:
            raise ValueError(f"--{_dashed(name)} must not be below 0, not {getattr(options, name)}")
    if options.target_share > 1:
        raise ValueError(f"--target-share is a share, at most 1, not {options.target_share:g}")
    if any(level <= 0 for level in options.ramp):
        raise ValueError("--ramp takes numbers above 0")
    if any(level != int(level) for level in options.ramp) and not options.ramp_is_rate:
        raise ValueError("--ramp of requests open at once takes whole numbers; for rates write 0.5/s,1/s")
    if not options.stream and (options.target_ttft_ms or options.target_itl_ms):
        raise ValueError("--target-ttft-ms and --target-itl-ms need a stream: without one only the end is seen")
    if options.mix is not None and options.workload != "mixed":
        raise ValueError("--mix belongs to --workload mixed")
    if (options.target_ttft_ms or options.target_itl_ms) and not _generates(options):
        raise ValueError("--target-ttft-ms and --target-itl-ms are of tokens, and this workload has only an end")
    _check_url(options.url)
    return msgspec.structs.replace(options, url=options.url.rstrip("/"))


def _generates(options: LoadOptions) -> bool:
    """Some of the requests want tokens."""
    return any(KINDS[kind].task == "generate" for kind in options.kinds)


def _check_url(url: str) -> None:
    wanted = f"--url is where the server listens, as {LoadOptions().url}, without a path; not {url!r}"
    try:
        found = urlsplit(url.rstrip("/"))
        is_whole = found.scheme in ("http", "https") and bool(found.hostname) and found.port != 0
    except ValueError as error:  # a port or an address that cannot be
        raise ValueError(f"{wanted}: {error}") from error
    if not is_whole or found.path or found.query or found.fragment:
        raise ValueError(wanted)


def _check_above(options: LoadOptions, name: str) -> None:
    if not getattr(options, name) > 0:
        raise ValueError(f"--{_dashed(name)} must be above 0, not {getattr(options, name)}")


def _dashed(name: str) -> str:
    return name.replace("_", "-")
