"""What is tried: for each axis its choices in order, so that a search can walk from the default in both directions."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from scripts.tuning.candidate import DEFAULTS, Candidate, Value

Sweep = Literal["step-time", "batched-tokens", "cores", "streams", "frontends", "block-size"]
SWEEPS: tuple[Sweep, ...] = ("step-time", "batched-tokens", "cores", "streams", "frontends", "block-size")
USUAL_SWEEPS: tuple[Sweep, ...] = SWEEPS[:5]  # a page's size has never mattered by more than the noise
STEP_TIMES = (0.125, 0.25, 0.5, 1.0, 2.0)  # seconds
BATCHED_TOKENS = (64, 128, 256, 512, 1024, 2048, 4096)
BLOCK_SIZES = (8, 16, 32, 64)
STREAM_SHARES = (4, 2)  # of the streams that are open at once, these fractions run and the others wait

Choice = Mapping[str, Value]


@dataclass(frozen=True)
class Axis:
    """Settings that change together. `choices` are in order of size; one of them is the default."""

    name: Sweep
    choices: tuple[Choice, ...]

    def place_of(self, candidate: Candidate) -> int:
        """Which choice `candidate` has."""
        return next(place for place, choice in enumerate(self.choices) if candidate.has(choice))


def make_axes(
    sweeps: Collection[Sweep], num_cores: int, concurrency: int, is_generating: bool, fixed: Collection[str] = ()
) -> list[Axis]:
    """The axes of `sweeps` in the order in which they are worth trying, without those whose settings are in `fixed`.

    `concurrency`: requests open at once, at most; 0 where nobody knows.
    """
    axes = [
        Axis("step-time", tuple({"target_step_time": value} for value in STEP_TIMES if is_generating)),
        Axis("batched-tokens", tuple({"max_num_batched_tokens": value} for value in BATCHED_TOKENS)),
        Axis("cores", tuple(_layouts(num_cores))),
        Axis("streams", tuple({"max_num_seqs": value} for value in _streams(concurrency, is_generating))),
        Axis("frontends", tuple({"frontends": value} for value in (1, 2, 4) if value <= num_cores)),
        Axis("block-size", tuple({"block_size": value} for value in BLOCK_SIZES)),
    ]
    return [axis for axis in axes if axis.name in sweeps and len(axis.choices) > 1 and not _is_fixed(axis, fixed)]


def _is_fixed(axis: Axis, fixed: Collection[str]) -> bool:
    return any(name in fixed for choice in axis.choices for name in choice)


def _layouts(num_cores: int) -> Iterator[Choice]:
    """Workers and the threads of each: some cores left to the other processes, all of them in one worker (the default),
    all of them in several."""
    for threads in sorted({num_cores // 2, num_cores - 1} - {0, num_cores}):
        yield {"workers": 1, "threads": threads}
    yield {"workers": 1, "threads": 0}
    workers = 2
    while workers <= min(num_cores, 8):
        yield {"workers": workers, "threads": num_cores // workers}
        workers *= 2


def _streams(concurrency: int, is_generating: bool) -> list[int]:
    """Numbers that make a difference: the default lets every request run that is open."""
    default = int(DEFAULTS.value("max_num_seqs"))
    if not is_generating:
        return [default]
    fewer = [concurrency // share for share in STREAM_SHARES if concurrency // share >= 2]
    more = [concurrency] if concurrency > default else []
    return sorted({*fewer, default, *more} - {0}) if fewer else [default, *more]
