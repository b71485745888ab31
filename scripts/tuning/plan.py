"""How the time is divided: how long loads are, and how many of them make a comparison. Pure."""

from dataclasses import dataclass

from scripts.tuning.duel import Stage

CONFIRM_SHARE = 0.28  # of the time limit, for the last comparison of the defaults with the best
DUELS_PER_AXIS = 2.5  # up, down, and now and then one step further
LOADS_PER_DUEL = 7.0  # in units of a short load, on average: most challengers fall behind in the first stage
PAIRS = 2  # of each stage
LONGER = 2.0  # a load of the second stage, in units of one of the first
SHORTEST_S, LONGEST_S = 0.5, 20.0  # of a short load
MIN_CONFIRM_PAIRS, WANTED_CONFIRM_PAIRS, MAX_CONFIRM_PAIRS = 3, 8, 12
SLACK = 1.15  # loads take longer than planned


class TooLittleTime(Exception):
    """The time limit does not even let one change be tried; the text says how much would."""


@dataclass(frozen=True)
class Plan:
    """Times in seconds."""

    short_s: float
    search_s: float  # from now on
    confirm_s: float  # after it

    @property
    def stages(self) -> list[Stage]:
        """The second one is for who is not behind after the first, the third for who leads by less than the noise."""
        return [Stage(PAIRS, self.short_s), Stage(PAIRS, LONGER * self.short_s), Stage(PAIRS, LONGER * self.short_s)]


def make_plan(left_s: float, limit_s: float, start_s: float, shortest_s: float, num_axes: int) -> Plan:
    """`left_s` of `limit_s` are left; a server starts in `start_s`, and no load is shorter than `shortest_s`.

    Raises TooLittleTime.
    """
    confirm_s = max(CONFIRM_SHARE * limit_s, SLACK * 2 * MIN_CONFIRM_PAIRS * shortest_s)
    search_s = left_s - confirm_s
    one_try_s = SLACK * (start_s + (1 + 2 * PAIRS) * shortest_s)
    if search_s < one_try_s:
        wanted = limit_s - search_s + DUELS_PER_AXIS * num_axes * one_try_s
        raise TooLittleTime(
            f"a server takes {start_s:.0f} s to start and the shortest load {shortest_s:.0f} s: no change can be tried "
            f"within the time limit; say --time-limit {wanted:.0f}, or --concurrency and a workload with fewer tokens"
        )
    per_duel_s = search_s / (DUELS_PER_AXIS * num_axes)
    short_s = min(max((per_duel_s - start_s) / LOADS_PER_DUEL, SHORTEST_S), LONGEST_S)
    return Plan(max(short_s, shortest_s), search_s, confirm_s)


def confirm_stage(left_s: float, short_s: float, shortest_s: float) -> Stage:
    """The last comparison in `left_s`: as many pairs as are wanted, with shorter loads where time is short."""
    for_pair_s = left_s / SLACK / 2
    seconds = max(shortest_s, min(LONGER * short_s, for_pair_s / WANTED_CONFIRM_PAIRS))
    return Stage(min(max(int(for_pair_s / seconds), MIN_CONFIRM_PAIRS), MAX_CONFIRM_PAIRS), seconds)
