"""The entry pins our rooms and starts the right one."""

import sys
from pathlib import Path
from types import ModuleType

import pytest

from zerolane import __main__ as entry


@pytest.fixture(autouse=True)
def _own_import_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))


def fake_module(monkeypatch: pytest.MonkeyPatch, name: str) -> ModuleType:
    module = ModuleType(name)
    monkeypatch.setitem(sys.modules, name, module)
    return module


def test_the_checkout_comes_first_on_the_import_path() -> None:
    entry.pin_code_root()
    assert Path(sys.path[0]) == Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("file", ["/elsewhere/ipc/__init__.py", None])
def test_a_foreign_ipc_stops_the_start_with_a_sentence(monkeypatch: pytest.MonkeyPatch, file: str | None) -> None:
    fake_module(monkeypatch, "ipc").__file__ = file
    with pytest.raises(SystemExit, match="the module 'ipc' comes from"):
        entry.pin_code_root()


@pytest.mark.parametrize("role", entry.ROLES)
def test_a_role_runs_its_room_and_hands_back_its_status(monkeypatch: pytest.MonkeyPatch, role: str) -> None:
    descriptors: list[int] = []

    def room_main(control_fd: int) -> int:
        descriptors.append(control_fd)
        return 3

    monkeypatch.setattr(fake_module(monkeypatch, entry.ROLES[role]), "main", room_main, raising=False)
    assert entry.main([role, "--control-fd", "7"]) == 3
    assert descriptors == [7]


def test_a_role_without_its_descriptor_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        entry.main(["loader"])
    assert "--control-fd" in capsys.readouterr().err
