"""Places where a test lets this process die or stop, named in the code and chosen by the environment.

    ZEROLANE_FAULT="worker.computed=kill@3"         SIGKILL to itself the third time it gets there
    ZEROLANE_FAULT="worker.computed#2=stop@1,..."   SIGSTOP, in the life with epoch 2; commas separate several places
    ZEROLANE_FAULT="worker.computed=hang@1"         it never goes on, as in an endless loop
    ZEROLANE_POISON_TOKEN=7                         SIGKILL to itself whenever a step holds the token id 7
    ZEROLANE_RAISE_TOKEN=7                          the same, with an exception

A place counts only in the life it is meant for, by default the first one (epoch 1): otherwise each replacement would
die at the same place for ever. Nothing counts before `begin_life`, so that a forked process does not go on counting
where its parent was. `ipc` is used by several kinds of processes: its places are written with the kind in front
("worker.ring.written"). Without the variables a place costs one look at an empty table. docs/failure.md lists all.
"""

import os
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FAULT = "ZEROLANE_FAULT"
POISON_TOKEN = "ZEROLANE_POISON_TOKEN"
RAISE_TOKEN = "ZEROLANE_RAISE_TOKEN"
FIRST_EPOCH = 1
_SIGNALS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP, "hang": None}


class PoisonError(Exception):
    """What a step with the token of ZEROLANE_RAISE_TOKEN raises."""


@dataclass
class Fault:
    """What happens at a place, and how often it is passed unharmed before."""

    signum: signal.Signals | None  # None: it hangs
    num_passes: int


_Wanted = dict[tuple[str, int], Fault]  # by place and epoch


def parse_faults(text: str) -> _Wanted:
    """The faults of a ZEROLANE_FAULT. Raises ValueError for what is none."""
    faults: _Wanted = {}
    for fault in filter(None, text.split(",")):
        where, _, action = fault.partition("=")
        place, has_epoch, epoch = where.partition("#")
        kind, _, count = action.partition("@")
        numbers_are_fine = count.isdecimal() and int(count) > 0 and (epoch.isdecimal() or not has_epoch)
        if not place or kind not in _SIGNALS or not numbers_are_fine:
            raise ValueError(f"{FAULT}: {fault!r} is not PLACE[#EPOCH]=kill@N, =stop@N or =hang@N")
        faults[place, int(epoch) if has_epoch else FIRST_EPOCH] = Fault(_SIGNALS[kind], int(count) - 1)
    return faults


def faults_of_life(wanted: _Wanted, kind: str, epoch: int) -> dict[str, Fault]:
    """Place, as the code names it -> fault, for a process of this kind ("worker") and epoch."""
    places: dict[str, Fault] = {}
    for (place, at_epoch), fault in wanted.items():
        shared = place.removeprefix(f"{kind}.")
        if at_epoch == epoch:
            places[shared if "." in shared else place] = Fault(fault.signum, fault.num_passes)
    return places


def _token(environment: Mapping[str, str], variable: str) -> int | None:
    """Raises ValueError for what is no token id."""
    text = environment.get(variable, "")
    if text and not text.isdecimal():
        raise ValueError(f"{variable}: {text!r} is no token id")
    return int(text) if text else None


_wanted = parse_faults(os.environ.get(FAULT, ""))
_poison_token = _token(os.environ, POISON_TOKEN)
_raise_token = _token(os.environ, RAISE_TOKEN)
_faults: dict[str, Fault] = {}  # of this life, by place


def begin_life(epoch: int, kind: str = "worker") -> None:
    """This process is a `kind` and has this epoch from now on; counting starts."""
    global _faults
    _faults = faults_of_life(_wanted, kind, epoch)


def reach(place: str) -> None:
    """The process is at `place`: it dies, stops or hangs here if that was asked for."""
    if place in _faults:
        fault = _faults[place]
        if fault.num_passes > 0:
            fault.num_passes -= 1
            return
        del _faults[place]
        if fault.signum is not None:
            os.kill(os.getpid(), fault.signum)
        while fault.signum is None:
            time.sleep(1.0)


def poison(token_ids: npt.NDArray[np.int32]) -> None:
    """A worker is about to compute these tokens: it dies, or raises PoisonError, if one of them was named."""
    if _poison_token is not None and (token_ids == _poison_token).any():
        os.kill(os.getpid(), signal.SIGKILL)
    if _raise_token is not None and (token_ids == _raise_token).any():
        raise PoisonError(f"token {_raise_token} was named by {RAISE_TOKEN}")
