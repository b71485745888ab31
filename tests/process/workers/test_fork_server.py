"""The fork server makes workers that have everything in memory, and nothing that is not theirs."""

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ipc.config import ForkServerConfig
from ipc.control_messages import Fatal, ForkWorker, ModelsReady, StartForkServer, Stop
from ipc.fake_card import fake_card
from tests.support.worker_under_test import DEADLINE_S, ForkServer, RoleProcess
from workers.fork_worker import _fork_and_leave

pytestmark = pytest.mark.process
CARDS = [fake_card(0, "chat", "fake:generate", 0, 16, 0)]


@pytest.fixture
def fork_server() -> Iterator[ForkServer]:
    with contextlib.ExitStack() as stack:
        yield ForkServer(CARDS, [], stack)


def descriptors(pid: int) -> list[str]:
    """What each descriptor from 3 on refers to."""
    folder = Path(f"/proc/{pid}/fd")
    return sorted(os.readlink(folder / name) for name in os.listdir(folder) if int(name) > 2)


def session_of_its_own(pid: int) -> None:
    """Wait until a forked worker has come so far; its descriptors are in order by then."""
    deadline = time.monotonic() + DEADLINE_S
    while os.getsid(pid) != pid:
        assert time.monotonic() < deadline
        time.sleep(0.001)  # it can only be looked at


def test_a_worker_has_one_descriptor_its_control_link(fork_server: ForkServer) -> None:
    workers = [fork_server.fork(worker_id) for worker_id in range(2)]
    for worker in workers:
        session_of_its_own(worker.pid)
    links = [descriptors(pid) for pid in (*[worker.pid for worker in workers], fork_server.process.pid)]
    assert [len(found) for found in links] == [1, 1, 1]
    assert len({found[0] for found in links}) == 3
    assert all(found[0].startswith("socket:") for found in links)


def test_the_process_in_the_middle_leaves_also_when_the_fork_server_has_died() -> None:
    """It has everything a fork server has, and must not go on as one."""
    reader, writer = os.pipe()
    os.close(reader)
    middle = os.fork()
    if middle == 0:
        with contextlib.suppress(OSError):
            _fork_and_leave(writer)
            os._exit(0)  # the new process came back
        os._exit(1)
    os.close(writer)
    assert os.waitstatus_to_exitcode(os.waitpid(middle, 0)[1]) == 0


def test_a_worker_is_the_child_of_the_fork_servers_parent(fork_server: ForkServer) -> None:
    worker = fork_server.fork()
    assert Path(f"/proc/{worker.pid}/stat").read_text().rpartition(")")[2].split()[1] == str(os.getpid())
    assert Path(f"/proc/{fork_server.process.pid}/task/{fork_server.process.pid}/children").read_text() == ""


def test_workers_outlive_the_fork_server(fork_server: ForkServer) -> None:
    worker = fork_server.fork()
    fork_server.process.kill()
    fork_server.process.wait(DEADLINE_S)
    worker.control.send(Stop())  # a worker wants StartWorker first, and says so
    assert "StartWorker" in worker.expect(Fatal).message
    assert worker.exit_code() == 1


def test_a_worker_leaves_with_its_control_link(fork_server: ForkServer) -> None:
    worker = fork_server.fork()
    worker.control.close()
    assert worker.exit_code() == 1


def test_a_killed_worker_is_reaped_as_our_child(fork_server: ForkServer) -> None:
    worker = fork_server.fork()
    os.kill(worker.pid, signal.SIGKILL)
    assert worker.exit_code() == -signal.SIGKILL


def test_stop_ends_it_with_zero(fork_server: ForkServer) -> None:
    fork_server.control.send(Stop())
    assert fork_server.exit_code() == 0


def test_a_server_of_fake_models_imports_no_torch(fork_server: ForkServer) -> None:
    assert "libtorch" not in Path(f"/proc/{fork_server.process.pid}/maps").read_text()


def test_a_second_thread_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As a library might start one when it is imported."""
    (tmp_path / "sitecustomize.py").write_text(
        "import threading, time\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with contextlib.ExitStack() as stack:
        process = RoleProcess("forkserver", stack)
        process.control.send(StartForkServer(ForkServerConfig(has_real_models=False, max_num_seqs=8)))
        process.control.send(ModelsReady(CARDS))
        assert "2 threads" in process.expect(Fatal).message
        assert process.exit_code() == 1


def test_nonsense_ends_it_with_a_sentence(fork_server: ForkServer) -> None:
    fork_server.control.send(ForkWorker(0, 1))  # without its descriptor
    assert "one descriptor" in fork_server.expect(Fatal).message


def test_it_wants_its_settings_first() -> None:
    with contextlib.ExitStack() as stack:
        process = RoleProcess("forkserver", stack)
        process.control.send(Stop())
        assert "StartForkServer" in process.expect(Fatal).message
