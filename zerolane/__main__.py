"""The entry of every zerolane process: the command line, and ``python -m zerolane ROLE --control-fd N`` for a child.

The rooms are imported by their plain names (``ipc``, ``workers``, ...), which others use too. So the folder that holds
ours is put first on the import path before anything else of ours is imported. This file knows the rooms by name only:
each role imports nothing but its own.
"""

import argparse
import importlib
import os
import signal
import sys
from pathlib import Path
from types import FrameType

ROLES = {
    "frontend": "frontend.frontend_process",
    "scheduler": "scheduler.scheduler_process",
    "forkserver": "workers.forkserver_process",
    "keeper": "workers.keeper_process",
    "loader": "workers.loader_process",
}


def code_root() -> Path:
    """The folder that holds the rooms: ``_app`` beside this file in a wheel, else the checkout."""
    package = Path(__file__).resolve().parent
    app = package / "_app"
    return app if app.is_dir() else package.parent


def pin_code_root() -> None:
    """Puts ``code_root()`` first on the import path; exits with a sentence if another ``ipc`` was there before."""
    root = code_root()
    sys.path.insert(0, str(root))
    found = getattr(importlib.import_module("ipc"), "__file__", None)
    if found is None or not Path(found).resolve().is_relative_to(root):
        raise SystemExit(f"zerolane: the module 'ipc' comes from {found}, not from {root}; it was imported too early.")


def end_quietly_when_asked() -> None:
    """A server asked to stop while it still imports has nothing to undo; later `stop_signals.py` takes over."""
    for signum in (signal.SIGTERM, signal.SIGINT):
        if signal.getsignal(signum) is not signal.SIG_IGN:
            signal.signal(signum, _end_at_once)


def _end_at_once(signum: int, frame: FrameType | None) -> None:
    os._exit(0)


def run_role(role: str, arguments: list[str]) -> int:
    """Runs a child process of the supervisor and returns its exit status."""
    parser = argparse.ArgumentParser(prog=f"zerolane {role}")
    parser.add_argument("--control-fd", type=int, required=True, help="the supervisor's end of this process, inherited")
    control_fd = parser.parse_args(arguments).control_fd
    status: int = importlib.import_module(ROLES[role]).main(control_fd)
    return status


def main(argv: list[str] | None = None) -> int:
    """Runs a role, or else the command line, with ``argv`` (default: the process's own) and returns the exit status."""
    arguments = sys.argv[1:] if argv is None else argv
    if arguments[:1] == ["serve"]:
        end_quietly_when_asked()
    pin_code_root()
    if arguments and arguments[0] in ROLES:
        return run_role(arguments[0], arguments[1:])
    from zerolane.cli import main as run_command_line

    return run_command_line(arguments)


if __name__ == "__main__":
    if not sys.flags.safe_path:
        # "python -m" put the current folder first; nothing that lies there may stand in for a library of ours.
        sys.path.pop(0)
    sys.exit(main())
