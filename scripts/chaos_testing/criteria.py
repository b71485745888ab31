"""The sentences that must all be true, each with what was found against it."""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise

from msgspec import Struct

from scripts.chaos_testing.http_client import Attempt
from scripts.chaos_testing.inventory import leaks
from scripts.chaos_testing.metrics import disagreements
from scripts.chaos_testing.scaling import Change
from scripts.chaos_testing.soak import Soak
from scripts.load_testing.figures import Distribution

FIRST_STEP_S = 3.0
MOST_WEIGHTS_GROWTH = 0.15  # of the weights' size, a worker


class Criterion(Struct, frozen=True):
    """One sentence that must be true. `problems` is empty when it is."""

    name: str
    problems: list[str]

    @property
    def holds(self) -> bool:
        return not self.problems


def criteria(soak: Soak) -> Iterator[Criterion]:
    """All but those about pauses."""
    findings, options = soak.findings, soak.options
    asked = [attempt for attempt in findings.disturbed if not attempt.question.is_poison]
    yield Criterion("the soak went to its end and the server ended well", findings.trouble + _unfinished(soak))
    yield Criterion("undisturbed, every request is answered", _failures(findings.undisturbed))
    if findings.reference is not None:
        differ = findings.reference.differences
        yield Criterion("undisturbed, the same request has the same answer", _shown(differ(findings.undisturbed)))
        yield Criterion("every answer equals the undisturbed one", _shown(differ(asked)))
    yield Criterion("no request failed", _failures(asked))
    if findings.metrics is not None:
        killed = soak.faults.killed() if soak.faults else Counter[str]()
        killed["worker"] += sum(poisoning.num_deaths for poisoning in findings.poisonings)
        killed["scheduler"] += len(findings.restarts)  # suddenly: two cannot share one address
        every = findings.undisturbed + findings.disturbed
        yield Criterion("/metrics agrees with what was done", disagreements(findings.metrics, every, killed))
    if findings.before is not None and findings.after is not None:
        replaced = frozenset(soak.faults.killed()) if soak.faults else frozenset[str]()
        replaced |= {"scheduler", "forkserver"} if findings.restarts else frozenset()
        yield Criterion("nothing leaked", leaks(findings.before, findings.after, replaced))
    if options.scale and soak.scaling:
        yield from scaling_criteria(soak.scaling.changes, findings.weights_mib)
    if options.poison:
        unexpected = [f"{poisoning}" for poisoning in findings.poisonings if not poisoning.is_as_expected]
        yield Criterion("a poisonous request fails alone, with few deaths", unexpected)


def pause_criteria(pause_s: Distribution | None, max_pause_s: float) -> Iterator[Criterion]:
    """One, where a longest pause was asked for."""
    if max_pause_s > 0:
        p99 = pause_s.p99 if pause_s is not None else None
        late = [f"p99 is {p99:.3f} s"] if p99 is not None and p99 > max_pause_s else []
        late += ["no pause was measured"] if p99 is None else []
        yield Criterion(f"99 of 100 pauses are at most {max_pause_s:g} s", late)


def scaling_criteria(changes: Sequence[Change], weights_mib: float) -> Iterator[Criterion]:
    """What holds for scale commands; `weights_mib` is the size of all weights."""
    late = [change for change in changes if (change.first_step_s or 0.0) > FIRST_STEP_S]
    late += [now for was, now in pairwise(changes) if now.workers > was.workers and now.first_step_s is None]
    yield Criterion(f"new workers compute within {FIRST_STEP_S:g} s", [f"{change}" for change in late])
    yield Criterion("weights are there once", list(_second_copies(changes, weights_mib)))


def _second_copies(changes: Sequence[Change], weights_mib: float) -> Iterator[str]:
    """Memory in segments is compared with what there was with the fewest workers."""
    fewest = min(changes, key=lambda change: change.workers, default=None)
    if fewest is None or weights_mib == 0:
        return
    for change in changes:
        allowed = MOST_WEIGHTS_GROWTH * weights_mib * max(1, change.workers - fewest.workers)
        growth = change.segments_pss_mib - fewest.segments_pss_mib
        if growth > allowed:
            yield f"{growth:.1f} MiB more in segments with {change.workers} workers, of {allowed:.1f} allowed"


def _unfinished(soak: Soak) -> list[str]:
    problems = []
    num_struck = len(soak.faults.struck) if soak.faults else 0
    if soak.findings.after is None:
        problems.append("its end was not reached: nothing is known of what the server holds")
    if not any(attempt.answer for attempt in soak.findings.disturbed):
        problems.append("no request was answered while the server was disturbed")
    if num_struck < soak.options.kills:
        problems.append(f"{num_struck} of {soak.options.kills} faults happened")
    scales = bool(soak.options.scale or soak.options.pools_remove_add)
    if scales and (soak.scaling is None or not soak.scaling.is_complete):
        problems.append("not all scale commands were given")
    if len(soak.findings.restarts) < soak.options.restarts:
        problems.append("not all rolling restarts were carried out")
    num_killed = sum(restarted.frontends_killed for restarted in soak.findings.restarts)
    if num_killed:
        problems.append(f"{num_killed} frontends were killed in rolling restarts")
    if len(soak.findings.poisonings) < soak.options.poison:
        problems.append("not all poisonous requests were sent")
    return problems


def _failures(attempts: Sequence[Attempt]) -> list[str]:
    return [f"{one.question.name}: {one.failure}" for one in attempts if one.failure and not one.is_excused]


def _shown(differences: Sequence[object]) -> list[str]:
    return [str(difference) for difference in differences]
