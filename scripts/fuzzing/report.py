"""What a fuzz found, for people."""

from collections import Counter

from scripts.fuzzing.cases import Case
from scripts.fuzzing.fuzz import Result
from scripts.fuzzing.options import FuzzOptions
from scripts.fuzzing.sender import NOTHING_CAME
from scripts.fuzzing.witness import Witnesses

MAX_SHOWN = 20


def table(result: Result, witnesses: Witnesses) -> str:
    """Statuses by kind of body, then the witnesses and the memory."""
    statuses = sorted({status for _, status in result.statuses})
    names = ["closed" if status == NOTHING_CAME else str(status) for status in statuses]
    lines = [f"{'':24}" + "".join(f"{name:>8}" for name in names)]
    for kind in sorted({kind for kind, _ in result.statuses}):
        counts = [result.statuses[kind, status] for status in statuses]
        lines.append(f"{kind:24}" + "".join(f"{count or '':>8}" for count in counts))
    totals: Counter[int] = Counter()
    for (_, status), count in result.statuses.items():
        totals[status] += count
    lines.append(f"{f'all {result.num_sent}':24}" + "".join(f"{totals[status]:>8}" for status in statuses))
    lines.append(
        f"{witnesses.num_right} streams of other clients were right, {len(witnesses.wrong)} were not; "
        f"the longest pause was {witnesses.longest_pause_s:.2f} s"
    )
    before, after = result.memory_mib
    lines.append(f"memory of all processes: {before:.0f} MiB after warming up, {after:.0f} MiB at the end")
    return "\n".join(lines)


def problems(result: Result, witnesses: Witnesses, options: FuzzOptions) -> list[str]:
    """One sentence each; none: all is well."""
    found = [f"{count} times {fault.name}" for fault, count in result.num_faults.items()]
    for outcome in result.faults[:MAX_SHOWN]:
        case = outcome.case
        fault = outcome.fault.name if outcome.fault else ""
        found.append(
            f"{fault}: --seed {options.seed} --only {case.number} ({case.spoilt.kind}, {case.path}): "
            f"status {outcome.status} for {case.spoilt.data[:200]!r}: {outcome.reply[-400:]!r}"
        )
    found += [f"a stream was wrong: {words}" for words in witnesses.wrong[:MAX_SHOWN]]
    if witnesses.all and not witnesses.num_right:
        found.append("no other client's stream came to its end")
    if witnesses.longest_pause_s > options.max_pause:
        found.append(f"a stream stood still for {witnesses.longest_pause_s:.1f} s")
    before, after = result.memory_mib
    if after - before > options.max_growth_mib:
        found.append(f"memory grew by {after - before:.0f} MiB")
    return found


def show_one(case: Case, result: Result) -> str:
    """A case and what came back."""
    lines = [f"{case.spoilt.kind} to {case.path}, must be {case.spoilt.verdict.name}", f"{case.spoilt.data[:4000]!r}"]
    lines += [f"status {status}" for _, status in result.statuses]
    lines += [f"{outcome.fault}: {outcome.reply!r}" for outcome in result.faults]
    return "\n".join(lines)
