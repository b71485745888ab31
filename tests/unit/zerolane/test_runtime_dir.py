"""The folder of a server's sockets: whose it may be, and what happens to an old one."""

import os
import socket
import stat
from pathlib import Path

import pytest

from ipc.errors import StartupError
from ipc.operator_protocol import CONTROL_SOCKET
from zerolane.runtime_dir import base_dir, check_base, claim, is_live, live_servers, release


def listener(folder: Path) -> socket.socket:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    made.bind(str(folder / CONTROL_SOCKET))
    made.listen()
    return made


def test_it_is_made_for_its_owner_only(tmp_path: Path) -> None:
    folder = claim(tmp_path / "base", 8000)
    assert folder == tmp_path / "base" / "8000"
    for made in (folder, folder.parent):
        assert stat.S_IMODE(made.stat().st_mode) == 0o700
    release(folder)
    assert list((tmp_path / "base").iterdir()) == []


def test_an_existing_base_is_left_as_it_is(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    claim(tmp_path, 1)
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


def test_a_stale_one_is_taken_over(tmp_path: Path) -> None:
    folder = claim(tmp_path, 8000)
    listener(folder).close()
    folder.chmod(0o755)
    assert not is_live(folder)
    assert claim(tmp_path, 8000) == folder
    assert list(folder.iterdir()) == []
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_live_one_is_refused_by_name(tmp_path: Path) -> None:
    folder = claim(tmp_path, 8000)
    with listener(folder):
        assert live_servers(tmp_path) == {8000: folder}
        with pytest.raises(StartupError, match=f"already running in {folder}") as caught:
            claim(tmp_path, 8000)
        assert "--port 8000" in caught.value.advice
        claim(tmp_path, 8001)


def test_somebodys_files_are_not_touched(tmp_path: Path) -> None:
    folder = tmp_path / "8000"
    folder.mkdir()
    (folder / "thesis.tex").write_text("all of it")
    with pytest.raises(StartupError, match="holds files that are not a server's"):
        claim(tmp_path, 8000)
    assert (folder / "thesis.tex").read_text() == "all of it"


def test_a_link_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "8000").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StartupError, match="not a folder owned by this user"):
        claim(tmp_path, 8000)


def test_a_base_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StartupError, match="Cannot make the runtime directory"):
        claim(tmp_path / "file", 8000)


def test_too_long_a_path_is_said_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match="too long"):
        check_base(tmp_path / ("x" * 100))
    check_base(Path("/tmp/zerolane-0"))


def test_where_it_is_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/7")
    assert base_dir("") == Path("/run/user/7/zerolane")
    assert base_dir("/somewhere") == Path("/somewhere")
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    monkeypatch.setattr("tempfile.tempdir", "/tmp")
    assert base_dir("") == Path(f"/tmp/zerolane-{os.getuid()}")
