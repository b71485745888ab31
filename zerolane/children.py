"""Child processes: how one is started, spoken to, and known to be gone."""

import contextlib
import ctypes
import logging
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Container, Sequence
from enum import StrEnum
from pathlib import Path

from msgspec import Struct

from ipc.control_link import ControlLink, LinkClosed
from ipc.control_messages import ToSupervisor
from ipc.errors import ProtocolError

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_PR_SET_CHILD_SUBREAPER = 36
_libc = ctypes.CDLL(None, use_errno=True)

log = logging.getLogger("zerolane.supervisor.children")


class Role(StrEnum):
    """What a child does; the value is its word on the command line and in the metrics."""

    FRONTEND = "frontend"
    SCHEDULER = "scheduler"
    KEEPER = "keeper"  # of one GPU's memory
    FORKSERVER = "forkserver"
    WORKER = "worker"  # forked by the fork server; the others are started by us
    LOADER = "loader"


Command = Callable[[Role, int], Sequence[str]]
"""The command line that starts a role with this control descriptor."""


def role_command(role: Role, control_fd: int) -> Sequence[str]:
    """Our own interpreter and program. -P: what lies in the current folder must not stand in for a module of ours."""
    return [sys.executable, "-P", "-m", "zerolane", role.value, "--control-fd", str(control_fd)]


def start_child(command: Command, role: Role) -> "Child":
    """Start a process in a session of its own, so that a terminal's Ctrl-C reaches the supervisor only.

    Raises OSError when the system has no process or descriptor left; then nothing stays behind.
    """
    link, control_fd = ControlLink.pair()
    try:
        process = subprocess.Popen(
            command(role, control_fd),
            stdin=subprocess.DEVNULL,
            pass_fds=(control_fd,),
            start_new_session=True,
            env=_environment(),
            preexec_fn=_die_with_parent if role in (Role.FORKSERVER, Role.LOADER, Role.KEEPER) else None,
        )
    except OSError:
        link.close()
        raise
    finally:
        os.close(control_fd)
    process.returncode = 0  # Popen has done its part: like every child, it is waited for by its number
    return Child(process.pid, link)


class Child:
    """One process, from its start to its end."""

    def __init__(self, pid: int, link: ControlLink[ToSupervisor]) -> None:
        """`pid`: a child of ours, started or forked, that nobody has waited for. Takes over `link`.

        Raises OSError when it is none, or no descriptor is left; then the link is closed, which ends the process.
        """
        self.pid = pid
        self.link = link
        self.started_at = time.monotonic()
        try:
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)  # ChildProcessError: it is not ours
            self.pidfd = os.pidfd_open(pid)  # readable once the process has ended
        except OSError:
            link.close()
            raise

    @property
    def uptime_s(self) -> float:
        return time.monotonic() - self.started_at

    def send(self, record: Struct, fds: Sequence[int] = ()) -> None:
        """A child that does not read its link is ended. One that has closed it is leaving, as its pidfd will say: it is
        left to it, so that its own exit code is seen."""
        try:
            self.link.send(record, fds)
        except LinkClosed:
            if not self._has_hung_up():
                self.kill()

    def received(self) -> tuple[list[ToSupervisor], bool]:
        """All records that are there, and whether the link goes on. Nonsense ends the child."""
        records: list[ToSupervisor] = []
        while True:
            try:
                received = self.link.poll()
            except LinkClosed:
                return records, False
            except ProtocolError as error:
                log.error("a child sends nonsense, ending it", extra={"fields": {"pid": self.pid, "error": str(error)}})
                self.kill()
                return records, False
            if received is None:
                return records, True
            for fd in received.fds:  # no child has anything to hand over
                os.close(fd)
            records.append(received.record)

    def kill(self) -> None:
        """SIGKILL; also fine when it has ended."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)

    def is_stopped(self) -> bool:
        """Somebody sent it SIGSTOP: it does nothing, and is not dead either. A debugger's stop is another state."""
        try:
            stat = Path(f"/proc/{self.pid}/stat").read_text()
        except OSError:
            return False  # it has just ended
        return stat.rpartition(")")[2].split()[0] == "T"

    def _has_hung_up(self) -> bool:
        poller = select.poll()
        poller.register(self.link.fileno(), 0)  # the end of the link is always told
        return bool(poller.poll(0))

    def reap(self) -> int:
        """Called once the pidfd is readable: the exit code (minus the signal's number), and everything is closed."""
        _, status = os.waitpid(self.pid, 0)
        self.link.close()
        os.close(self.pidfd)
        return os.waitstatus_to_exitcode(status)


def adopt_orphans() -> None:
    """From now on a process below us whose parent ends becomes our child: so the fork server's workers do."""
    if _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "this system does not give us orphans")  # Linux can since 3.4


def reap_stray(known: Container[int]) -> None:
    """Wait for one orphan that has ended and is none of `known`, so that no zombie is left of it."""
    try:
        ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return
    if ended is not None and ended.si_pid not in known:
        os.waitpid(ended.si_pid, 0)
        log.info("an orphan has ended", extra={"fields": {"pid": ended.si_pid}})


def _die_with_parent() -> None:
    """In a computing child, before it becomes its program: SIGKILL when we are gone, even while it hears nothing.

    Importing torch takes seconds. The other roles must not have it: they remove the runtime directory first. Running
    Python between fork and exec is safe because we have no threads.
    """
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def describe_exit(code: int) -> str:
    """In words: "ended with exit code 3", "was killed by SIGSEGV"."""
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"


def _environment() -> dict[str, str]:
    """Ours, with the checkout on the import path where zerolane is not installed."""
    package = Path(__file__).resolve().parent
    if (package / "_app").is_dir():
        return dict(os.environ)
    paths = [str(package.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
