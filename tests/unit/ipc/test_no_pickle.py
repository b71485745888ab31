"""Nothing in the product reads a format that can run code. Messages are typed records; weights are safetensors."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
ROOMS = ("ipc", "frontend", "scheduler", "workers", "zerolane")
SOURCES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))
# multiprocessing's queues, pipes and pools pickle what goes through them.
BANNED = {"pickle", "_pickle", "cPickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "multiprocessing"}


def _banned_uses(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names if alias.name.split(".")[0] in BANNED)
            case ast.ImportFrom(module=str(module)) if module.split(".")[0] in BANNED:
                yield module
            case ast.Attribute(attr="ProcessPoolExecutor"):
                yield "ProcessPoolExecutor"
            case ast.Call(func=ast.Attribute(value=ast.Name(id="torch"), attr="load"), keywords=keywords):
                if not _is_true(keywords, "weights_only"):
                    yield "torch.load without weights_only=True"
            case ast.Call(func=ast.Attribute(attr="load"), keywords=keywords) if _is_true(keywords, "allow_pickle"):
                yield "load with allow_pickle=True"


def _is_true(keywords: list[ast.keyword], name: str) -> bool:
    return any(
        keyword.arg == name and isinstance(keyword.value, ast.Constant) and keyword.value.value is True
        for keyword in keywords
    )


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_source_never_pickles(path: Path) -> None:
    assert list(_banned_uses(ast.parse(path.read_text(), path.name))) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from marshal import loads",
        "import multiprocessing.shared_memory",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path, allow_pickle=True)",
        "concurrent.futures.ProcessPoolExecutor()",
    ],
)
def test_the_scan_finds_it(source: str) -> None:
    assert list(_banned_uses(ast.parse(source)))


def test_there_is_something_to_scan() -> None:
    assert len(SOURCES) > 20
