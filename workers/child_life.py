"""How a child of the supervisor starts and ends."""

import ctypes
import logging
import os
import signal
from typing import NoReturn

from ipc.control_link import ControlLink, LinkClosed
from ipc.control_messages import Fatal, ToChild

PR_SET_PDEATHSIG = 1  # linux/prctl.h
PR_SET_NAME = 15

_logger = logging.getLogger("zerolane.workers.child_life")


def die_with_parent() -> None:
    """Let the kernel kill this process when its parent dies, however busy it is. The control link's end says so too.

    Whether to stop is the supervisor's to decide: a terminal's Ctrl-C or a service manager may tell everybody.
    """
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, signal.SIG_IGN)


def show_as(name: str) -> None:
    """What `ps -o comm` and `top` call this process, at most 15 bytes: its command line is the fork server's."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_NAME, name.encode()[:15])


def leave_at_once() -> NoReturn:
    """The supervisor is gone: nothing is worth finishing, and nothing of ours survives us."""
    os._exit(1)


def say_fatal(control: ControlLink[ToChild], fatal: Fatal) -> None:
    """This process cannot go on, and ends next: for the log and the supervisor, if there still is one."""
    _logger.error("cannot go on: %s", fatal.message)
    try:
        control.send(fatal)
    except LinkClosed:
        leave_at_once()
