"""What `scripts/chaos` can be told, checked once."""

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from msgspec import Struct

Target = Literal["workers", "scheduler", "frontends", "forkserver", "any"]
TARGETS: tuple[Target, ...] = ("workers", "scheduler", "frontends", "forkserver", "any")
FaultKind = Literal["kill", "stop", "mixed"]
FAULT_KINDS: tuple[FaultKind, ...] = ("kill", "stop", "mixed")
DEFAULT_KILLS = 20
DEFAULT_STREAMS = 2  # a pause is two steps and a little more, and steps grow with the streams
POISON_COMPANY = 31  # clients around a poisonous request
EXAMPLES = """examples:
  scripts/chaos --kills 300                              workers, with one spare, on a model of 100 million parameters
  scripts/chaos --kills 20 --fault stop                  SIGSTOP instead of SIGKILL
  scripts/chaos --kills 20 --target scheduler
  scripts/chaos --kills 20 --target frontends            with two frontends
  scripts/chaos --scale 1,4,1 --rounds 10                workers come and go under load
  scripts/chaos --pools 2 --pools-remove-add             a KV memory is emptied, removed and added again
  scripts/chaos --restarts 3                             every process gets a successor
  scripts/chaos --poison                                 one request among others kills whatever computes it
  scripts/chaos --model fake:generate --model fake:score --kills 5 --interval 0.2        a quick look
"""


class ChaosOptions(Struct, frozen=True, kw_only=True):
    """One soak. Field names are the options' (with dashes)."""

    kills: int
    target: Target
    fault: FaultKind
    interval: float  # mean seconds between "whole again" and the next fault
    min_life: float  # seconds a process has run at least when it is struck
    scale: tuple[int, ...]  # numbers of workers, the first one at the start; empty: no scaling
    pools_remove_add: bool
    rounds: int  # of --scale and --pools-remove-add
    restarts: int  # rolling restarts of all processes
    poison: int  # how often a poisonous request is sent
    model: tuple[str, ...]  # as `zerolane serve` takes them; empty: made on the spot
    workers: int
    spares: int
    frontends: int
    pools: int
    server_args: tuple[str, ...]
    streams: int  # clients that ask at once
    questions: int  # distinct requests
    reference_rounds: int
    seed: int
    max_pause: float  # seconds: the 99th percentile of the pauses at faults must not be above; 0: it is only shown
    time_limit: float  # seconds after which nothing new is done to the server
    report: Path | None
    keep_log: Path | None


def parse_options(arguments: Sequence[str]) -> ChaosOptions:
    """Options from the command line; a bad one ends the program with exit code 2 and says why."""
    parser = _parser()
    found = vars(parser.parse_args(arguments))
    disturbs_otherwise = any(found[name] for name in ("scale", "pools_remove_add", "poison", "restarts"))
    if found["kills"] is None:
        found["kills"] = 0 if disturbs_otherwise else DEFAULT_KILLS
    if found["scale"]:
        found["workers"] = found["scale"][0]
    if found["streams"] is None:
        enough_for_all = 2 * max(found["scale"], default=0)  # else a new worker has nothing to compute
        found["streams"] = POISON_COMPANY if found["poison"] else max(DEFAULT_STREAMS, enough_for_all)
    if found["frontends"] is None:
        found["frontends"] = 2 if found["target"] in ("frontends", "any") else 1
    for name in ("streams", "questions", "rounds", "reference_rounds", "interval", "time_limit", "workers"):
        if not found[name] > 0:
            parser.error(f"--{name.replace('_', '-')} must be above 0, not {found[name]}")
    if found["pools_remove_add"] and found["pools"] < 2:
        parser.error("--pools-remove-add needs --pools 2 or more: requests must have somewhere to go")
    if found["poison"] and not are_fake(found["model"]):
        parser.error("--poison needs fake models or the ones made on the spot: of others no unused token is known")
    found["model"] = tuple(found["model"])
    return ChaosOptions(**found)


def are_fake(models: Sequence[str]) -> bool:
    """No model has weights; so too when there are none."""
    return all(model.rpartition("=")[2].startswith("fake:") for model in models)


def _worker_counts(text: str) -> tuple[int, ...]:
    counts = tuple(int(part) for part in text.split(","))
    if len(counts) < 2 or min(counts) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of at least two numbers of workers, like 1,4,1")
    return counts


def _server_args(text: str) -> tuple[str, ...]:
    return tuple(shlex.split(text))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/chaos",
        description="Starts a server, kills its processes under load, and checks that no client notices.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    faults = parser.add_argument_group("what happens to the server")
    faults.add_argument(
        "--kills", type=int, metavar="N", help=f"faults (default: {DEFAULT_KILLS}, or 0 with the below)"
    )
    faults.add_argument("--target", choices=TARGETS, default="workers", help="which processes (default: %(default)s)")
    faults.add_argument("--fault", choices=FAULT_KINDS, default="kill", help="SIGKILL, SIGSTOP or either at random")
    faults.add_argument("--interval", type=float, default=1.5, metavar="S", help="mean seconds between faults")
    faults.add_argument(
        "--min-life",
        type=float,
        default=3.0,
        metavar="S",
        help="strike no process younger than this (default: %(default)s): who dies young again and again is replaced "
        "later and later, on purpose",
    )
    faults.add_argument("--scale", type=_worker_counts, default=(), metavar="A,B,..", help="workers, like 1,4,1")
    faults.add_argument("--pools-remove-add", action="store_true", help="the last pool is removed and added again")
    faults.add_argument("--rounds", type=int, default=10, metavar="N", help="of the two above (default: %(default)s)")
    faults.add_argument("--restarts", type=int, default=0, metavar="N", help="rolling restarts of every process")
    faults.add_argument("--poison", type=int, nargs="?", const=1, default=0, metavar="N", help="poisonous requests")
    faults.add_argument("--max-pause", type=float, default=0.0, metavar="S", help="fail when pauses' p99 is above it")
    faults.add_argument("--time-limit", type=float, default=3600.0, metavar="S", help="default: %(default)s")
    server = parser.add_argument_group("the server")
    server.add_argument("--model", action="append", default=[], metavar="[NAME=]MODEL", help="may be said repeatedly")
    server.add_argument("--workers", type=int, default=1, metavar="N", help="default: %(default)s")
    server.add_argument("--spares", type=int, default=1, metavar="N", help="default: %(default)s")
    server.add_argument("--frontends", type=int, metavar="N", help="default: 1, or 2 where they are killed")
    server.add_argument("--pools", type=int, default=1, metavar="N", help="default: %(default)s")
    server.add_argument(
        "--server-args", type=_server_args, default=(), metavar="'..'", help="for serve: --server-args='--threads=1 ..'"
    )
    load = parser.add_argument_group("the load")
    load.add_argument(
        "--streams",
        type=int,
        metavar="N",
        help=f"clients that ask at once (default: {DEFAULT_STREAMS}; with --scale, two a worker)",
    )
    load.add_argument("--questions", type=int, default=32, metavar="N", help="distinct requests (default: 32)")
    load.add_argument("--reference-rounds", type=int, default=2, metavar="N", help="undisturbed (default: 2)")
    load.add_argument("--seed", type=int, default=0, metavar="N", help="of questions, victims and pauses")
    parser.add_argument("--report", type=Path, metavar="FILE", help="write everything here as JSON")
    parser.add_argument("--keep-log", type=Path, metavar="FILE", help="keep the server's log here")
    return parser
