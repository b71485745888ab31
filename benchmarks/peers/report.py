"""The comparison as text, at most 120 characters wide."""

import statistics
from collections.abc import Iterator, Mapping, Sequence

from benchmarks.peers.figures import (
    DISTURBED_CORES,
    Run,
    Spread,
    agreement,
    counted_runs,
    ratio_of,
    score_distance,
    spread_of,
)
from benchmarks.peers.loads import Cell

OURS = "ours"
_RATIOS = (("rate", "rate"), ("first_p50", "first token"), ("gap_p50", "inter-token"))
_SCORE_RATIOS = (("rate", "rate"), ("first_p50", "latency"))


def report(cells: Sequence[Cell], peers: Mapping[str, str], runs: Sequence[Run]) -> str:
    """`peers`: what each of them is, by name, in the order of the table."""
    lines = [line for cell in cells for line in _cell_lines(cell, list(peers), runs)]
    ran = {run.peer for run in runs}
    lines += ["", *(f"{name}: {about}" for name, about in peers.items() if name in ran)]
    lines.append(
        f"Ratios: median (quartiles) of runs of the same round. Runs in which others used over {DISTURBED_CORES} cores"
        " count only where no other pair is there."
    )
    return "\n".join(lines)


def _cell_lines(cell: Cell, peers: Sequence[str], runs: Sequence[Run]) -> Iterator[str]:
    ran = [peer for peer in peers if counted_runs(runs, peer, cell.name)]
    if not ran:
        return
    unit = "pairs/s" if cell.is_scoring else "tokens/s"
    yield ""
    yield f"{cell.name}  ({cell.num_requests} requests, at most {cell.streams} at once)"
    yield (
        f"  {'':<18}{unit + ' (quartiles)':>24}{'first ms p50':>14}{'p99':>8}{'gap ms p50':>12}{'p99':>8}"
        f"{'ms/token':>10}{'foreign':>9}{'runs':>6}"
    )
    for peer in ran:
        yield "  " + _peer_line(peer, list(counted_runs(runs, peer, cell.name).values()))
    for ours in (peer for peer in ran if peer.startswith(OURS)):
        for theirs in ran:
            if theirs != ours and (theirs == OURS or not theirs.startswith(OURS)):
                yield "  " + _ratio_line(cell, ours, theirs, runs) + _sameness(cell, ours, theirs, runs)


def _peer_line(peer: str, runs: Sequence[Run]) -> str:
    figures = [run.figures for run in runs]
    rate = spread_of([found.rate for found in figures])
    medians = [
        spread_of([getattr(found, name) for found in figures]).median
        for name in ("first_p50", "first_p99", "gap_p50", "gap_p99", "token_p50")
    ]
    foreign = max(run.foreign_cores for run in runs)
    disturbed = sum(run.is_disturbed for run in runs)
    first, first_late, gap, gap_late, token = medians
    return (
        f"{peer:<18}{_spread(rate, 1):>24}{first:>14.0f}{first_late:>8.0f}{gap:>12.1f}{gap_late:>8.1f}{token:>10.1f}"
        f"{foreign:>9.2f}{len(runs):>6}" + (f"  {disturbed} disturbed" if disturbed else "")
    )


def _ratio_line(cell: Cell, ours: str, theirs: str, runs: Sequence[Run]) -> str:
    parts, is_disturbed, count = [], False, 0
    for figure, title in _SCORE_RATIOS if cell.is_scoring else _RATIOS:
        found = ratio_of(runs, ours, theirs, cell.name, figure)
        if found is not None:
            parts.append(f"{title} {_spread(found.spread, 2)}")
            is_disturbed, count = found.is_disturbed, found.spread.count
    text = f"{ours} / {theirs}: {', '.join(parts)}; pairs: {count}"
    return text + (", all DISTURBED" if is_disturbed else "")


def _sameness(cell: Cell, ours: str, theirs: str, runs: Sequence[Run]) -> str:
    """Whether both computed the same: a peer that lost a part of the model would be fast for nothing."""
    mine, others = counted_runs(runs, ours, cell.name), counted_runs(runs, theirs, cell.name)
    compare = score_distance if cell.is_scoring else agreement
    found = [compare(mine[number], others[number]) for number in mine.keys() & others.keys()]
    values = [value for value in found if value is not None]
    if not values:
        return ""
    if cell.is_scoring:
        return f"; scores differ by at most {max(values):.4f}"
    return f"; texts begin alike for {100 * statistics.median(values):.0f} %"


def _spread(found: Spread, digits: int) -> str:
    return f"{found.median:.{digits}f} ({found.low:.{digits}f}-{found.high:.{digits}f})"
