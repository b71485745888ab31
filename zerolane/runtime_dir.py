"""The folder that holds a running server's sockets: `<base>/<port>`, readable by its owner only.

    <base>/8000/control.sock     the operator's commands; somebody listens there exactly as long as the server lives
    <base>/8000/scheduler.sock   frontends and scheduler

A server that was killed may leave a folder behind; the next one on that port takes it over.
"""

import os
import shutil
import socket
import stat
import tempfile
from pathlib import Path

from ipc.errors import StartupError
from ipc.operator_protocol import CONTROL_SOCKET

SCHEDULER_SOCKET = "scheduler.sock"
_LONGEST_SOCKET_PATH = 107  # bytes a Unix socket's address has room for
_PROBE_S = 2.0  # a live server accepts a connection at once


def base_dir(runtime_dir: str) -> Path:
    """The folder of all servers of this user: `runtime_dir` if given, else below XDG_RUNTIME_DIR or the temp folder."""
    if runtime_dir:
        return Path(runtime_dir).expanduser().absolute()
    if xdg := os.environ.get("XDG_RUNTIME_DIR"):
        return Path(xdg) / "zerolane"
    return Path(tempfile.gettempdir()) / f"zerolane-{os.getuid()}"


def check_base(base: Path) -> None:
    """Raises StartupError if sockets below `base` could not be made. Writes nothing."""
    longest = len(os.fsencode(base / "65535" / SCHEDULER_SOCKET))
    if longest > _LONGEST_SOCKET_PATH:
        message = f"The runtime directory {base} is too long: its sockets' names take {longest} bytes"
        raise StartupError(f"{message}, {_LONGEST_SOCKET_PATH} are possible.", "Give a shorter --runtime-dir.")


def claim(base: Path, port: int) -> Path:
    """Make `<base>/<port>`, empty and ours alone, and return it. Raises StartupError if a live server has it."""
    folder = base / str(port)
    _make(base)
    if is_live(folder):
        raise StartupError(
            f"A zerolane server is already running in {folder}.",
            f"Look at it with 'zerolane status --port {port}', or take another --port or --runtime-dir.",
        )
    _make(folder)
    _take_over(folder)
    return folder


def release(folder: Path) -> None:
    """Remove the folder of a server that ends. Its base stays: other servers may live there."""
    shutil.rmtree(folder, ignore_errors=True)


def is_live(folder: Path) -> bool:
    """Whether a server listens on the folder's control socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_PROBE_S)
        try:
            probe.connect(str(folder / CONTROL_SOCKET))
        except TimeoutError:
            return True  # somebody listens and is busy
        except OSError:
            return False
    return True


def live_servers(base: Path) -> dict[int, Path]:
    """Port and folder of each live server below `base`."""
    folders = [folder for folder in base.glob("*") if folder.name.isdecimal() and is_live(folder)]
    return {int(folder.name): folder for folder in sorted(folders)}


def _make(folder: Path) -> None:
    """Make `folder` with mode 0700, or check that nobody but us (or root) could swap what lies in the existing one."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        advice = "Give a --runtime-dir that can be written."
        raise StartupError(f"Cannot make the runtime directory {folder}: {error.strerror}.", advice) from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in (0, os.getuid()):
        message = f"The runtime directory {folder} is not a folder owned by this user."
        raise StartupError(message, "Give another --runtime-dir.")


def _take_over(folder: Path) -> None:
    """Empty what a killed server left. A folder with anything but sockets in it is somebody's, and not touched."""
    left = list(folder.iterdir())
    if any(not path.is_socket() for path in left) or folder.stat().st_uid != os.getuid():
        message = f"The runtime directory {folder} holds files that are not a server's."
        raise StartupError(message, "Give another --runtime-dir.")
    folder.chmod(0o700)
    for path in left:
        path.unlink()
