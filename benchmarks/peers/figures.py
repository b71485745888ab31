"""The arithmetic: figures of one run, quartiles over rounds, ratios of runs that were neighbours in time."""

import statistics
from collections.abc import Sequence

from msgspec import Struct

from benchmarks.peers.orders import Answer, Order

DISTURBED_CORES = 0.15  # used by others: above it two compute threads that wait for each other suffer most
COUNT_SLACK = 2  # tokens a prompt may be longer than ordered: a peer may put a begin mark before it


class Figures(Struct, frozen=True):
    """Of one run. Milliseconds; rates over all streams, from the first request's begin to the last one's end."""

    rate: float  # output tokens a second, or pairs a second
    first_p50: float  # to the first token, or to the scores
    first_p99: float
    gap_p50: float  # between events with text; 0 where there are none
    gap_p99: float
    token_p50: float  # mean time a token after the first, by request
    seconds: float


class Run(Struct, frozen=True):
    """One run of one peer in one cell."""

    peer: str
    cell: str
    round: int
    attempt: int
    figures: Figures
    foreign_cores: float
    stolen_cores: float
    peer_cores: float
    seed: int
    note: str = ""
    sample: str = ""  # how the text of the longest prompt begins
    scores: list[float] = []  # of the same request

    @property
    def is_disturbed(self) -> bool:
        return self.foreign_cores > DISTURBED_CORES


class Spread(Struct, frozen=True):
    median: float
    low: float  # first quartile
    high: float  # third quartile
    count: int


class Ratio(Struct, frozen=True):
    """Ours over theirs, of runs of the same round. `is_disturbed`: no pair was left alone, so all were taken."""

    spread: Spread
    is_disturbed: bool


def check_answer(order: Order, answer: Answer) -> None:
    """Raises ValueError when less or more was done than ordered."""
    if len(answer.requests) != len(order.requests):
        raise ValueError(f"{len(answer.requests)} of {len(order.requests)} requests were answered")
    for asked, told in zip(order.requests, answer.requests, strict=True):
        if order.kind == "score":
            if len(told.scores) != len(asked.documents):
                raise ValueError(f"{len(told.scores)} scores for {len(asked.documents)} documents")
        elif told.output_tokens != order.output_tokens:
            raise ValueError(f"{told.output_tokens} tokens made, {order.output_tokens} ordered")
        elif not 0 <= told.prompt_tokens - asked.num_tokens <= COUNT_SLACK:
            raise ValueError(f"a prompt of {asked.num_tokens} tokens was counted as {told.prompt_tokens}")


def figures_of(order: Order, answer: Answer) -> Figures:
    """Of an answer that was checked."""
    requests = answer.requests
    seconds = max(r.ended for r in requests) - min(r.began for r in requests)
    gaps = [gap for request in requests for gap in request.gaps]
    firsts = [request.first - request.began for request in requests]
    per_token = [(r.ended - r.first) / max(r.output_tokens - 1, 1) for r in requests]
    done = sum(len(request.scores) + request.output_tokens for request in requests)
    return Figures(
        rate=done / seconds,
        first_p50=1000 * percentile(firsts, 50),
        first_p99=1000 * percentile(firsts, 99),
        gap_p50=1000 * percentile(gaps, 50),
        gap_p99=1000 * percentile(gaps, 99),
        token_p50=1000 * percentile(per_token, 50),
        seconds=seconds,
    )


def percentile(values: Sequence[float], percent: float) -> float:
    """Between the neighbours in proportion; 0 of nothing."""
    if not values:
        return 0.0
    ordered = sorted(values)
    place = (len(ordered) - 1) * percent / 100
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def spread_of(values: Sequence[float]) -> Spread:
    """Raises ValueError when there are none."""
    if not values:
        raise ValueError("no values")
    return Spread(statistics.median(values), percentile(values, 25), percentile(values, 75), len(values))


def counted_runs(runs: Sequence[Run], peer: str, cell: str) -> dict[int, Run]:
    """By round: the run that counts, which is the least disturbed attempt."""
    best: dict[int, Run] = {}
    for run in runs:
        if run.peer == peer and run.cell == cell:
            kept = best.get(run.round)
            if kept is None or run.foreign_cores < kept.foreign_cores:
                best[run.round] = run
    return best


def ratio_of(runs: Sequence[Run], ours: str, theirs: str, cell: str, figure: str) -> Ratio | None:
    """Of one figure, by rounds that both have; None when there is none. Pairs with a disturbed run are left out while
    others are there."""
    mine, others = counted_runs(runs, ours, cell), counted_runs(runs, theirs, cell)
    pairs = [(mine[number], others[number]) for number in sorted(mine.keys() & others.keys())]
    calm = [pair for pair in pairs if not (pair[0].is_disturbed or pair[1].is_disturbed)]
    values = [_quotient(pair, figure) for pair in calm or pairs]
    if not values:
        return None
    return Ratio(spread_of(values), is_disturbed=not calm)


def agreement(ours: Run, theirs: Run) -> float | None:
    """Which part of the samples is the same; None when they were asked different things."""
    mine, other = ours.sample.strip(), theirs.sample.strip()
    length = min(len(mine), len(other))
    if ours.seed != theirs.seed or length == 0:
        return None
    common = next((i for i in range(length) if mine[i] != other[i]), length)
    return common / length


def score_distance(ours: Run, theirs: Run) -> float | None:
    """The largest difference of two scores of the same pair; None when they were asked different things."""
    if ours.seed != theirs.seed or not ours.scores:
        return None
    return max(abs(a - b) for a, b in zip(ours.scores, theirs.scores, strict=True))


def _quotient(pair: tuple[Run, Run], figure: str) -> float:
    ours, theirs = (float(getattr(run.figures, figure)) for run in pair)
    return ours / theirs if theirs else float("nan")
