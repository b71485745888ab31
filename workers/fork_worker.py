"""How a process is made that starts where this one stands, and whose parent is our parent.

A double fork: the process in the middle ends at once, and the kernel gives its child to the nearest ancestor that asked
for orphans, which is the supervisor.
"""

import os
import signal
import struct
import time

from ipc.errors import StartupError
from workers.child_life import die_with_parent, leave_at_once

ADOPTION_S = 5.0  # the process in the middle has this long to end
_PID = struct.Struct("<q")


def check_single_thread() -> None:
    """Raises StartupError if this process has a second thread: a fork would copy its locks, and not it."""
    names = [_thread_name(task) for task in os.listdir("/proc/self/task")]
    if len(names) > 1:
        raise StartupError(
            f"the fork server has {len(names)} threads ({', '.join(sorted(names))}) and cannot be forked safely",
            "a library, or code of a model, has started a thread when it was imported; leave that model out",
        )


def fork_orphan() -> int:
    """Returns twice: the new process' pid here, 0 there. Here it is our parent's child already, or its ancestor's.

    Raises OSError, here only, when the system has no process left.
    """
    reader, writer = os.pipe()
    try:
        middle = os.fork()
    except OSError:
        os.close(reader)
        os.close(writer)
        raise
    if middle == 0:
        os.close(reader)
        return _fork_and_leave(writer)
    os.close(writer)
    said = os.read(reader, _PID.size)  # at the end of the pipe the process in the middle had nothing to say
    os.close(reader)
    code = os.waitstatus_to_exitcode(os.waitpid(middle, 0)[1])
    if len(said) < _PID.size:
        raise OSError(code, os.strerror(code) if code > 0 else "the process in the middle was killed")
    pid: int = _PID.unpack(said)[0]
    return pid


def _fork_and_leave(writer: int) -> int:
    """In the process in the middle, which never comes back; the new one does, with 0."""
    try:
        pid = os.fork()
    except OSError as error:
        os._exit(error.errno or 1)
    if pid == 0:
        os.close(writer)
        return 0
    try:
        os.write(writer, _PID.pack(pid))
    finally:  # when nobody reads any more, too: this is no second fork server
        os._exit(0)


def begin_own_life(supervisor_pid: int) -> None:
    """First thing in the new process: a session and signals of its own, and an end when the supervisor ends."""
    os.setsid()
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    deadline = time.monotonic() + ADOPTION_S
    while os.getppid() != supervisor_pid:
        if time.monotonic() > deadline:
            leave_at_once()  # the supervisor has died, or never was who we think
        time.sleep(0.0002)  # nothing tells when the kernel has changed a parent
    die_with_parent()
    if os.getppid() != supervisor_pid:
        leave_at_once()  # it died before the kernel knew that we end with it


def _thread_name(task: str) -> str:
    try:
        with open(f"/proc/self/task/{task}/comm") as comm:
            return comm.read().strip()
    except OSError:
        return "one that has just ended"
