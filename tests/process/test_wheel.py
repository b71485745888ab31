"""The wheel installs one name, and runs in a folder whose own packages are called like our rooms."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import zerolane

CHECKOUT = Path(__file__).resolve().parents[2]
DEADLINE_S = 60


def run(*command: str, cwd: Path, **environment: str) -> str:
    """Runs ``command`` and returns what it wrote; fails the test with all of that if its status is not 0."""
    result = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert result.returncode == 0, result.stdout
    return result.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("built wheel")
    run(str(CHECKOUT / "scripts" / "build"), str(out), cwd=out, ZEROLANE_PYTHON=sys.executable)
    (path,) = out.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel's content, as an installer leaves it."""
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """A user's folder with a package called like one of our rooms."""
    (tmp_path / "workers").mkdir()
    (tmp_path / "workers" / "__init__.py").write_text("raise SystemExit('a foreign package was imported')\n")
    return tmp_path


def test_the_wheel_installs_only_zerolane(site: Path) -> None:
    assert sorted(path.name for path in site.iterdir()) == ["zerolane", f"zerolane-{zerolane.__version__}.dist-info"]


def test_the_wheel_leaves_out_what_only_developers_need(site: Path) -> None:
    for name in ("tests", "scripts", "benchmarks", "docs"):
        assert not list(site.rglob(name))


def test_the_wheel_runs_beside_a_foreign_package(site: Path, foreign: Path) -> None:
    printed = run(sys.executable, "-m", "zerolane", "--version", cwd=foreign, PYTHONPATH=str(site))
    assert zerolane.__version__ in printed


def test_the_wheel_imports_its_own_rooms(site: Path, foreign: Path) -> None:
    program = "from zerolane.__main__ import pin_code_root as pin; pin(); import workers; print(workers.__file__)"
    printed = run(sys.executable, "-c", program, cwd=foreign, PYTHONPATH=str(site))
    assert Path(printed.strip()) == site.resolve() / "zerolane" / "_app" / "workers" / "__init__.py"
