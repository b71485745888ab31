"""What MODEL arguments mean."""

from pathlib import Path

import pytest

from ipc.config import ModelSpec
from zerolane import model_specs as module
from zerolane.model_specs import model_specs
from zerolane.options import BadOption


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "my-model"
    made.mkdir()
    (made / "config.json").write_text("{}")
    return made


def test_names_follow_from_sources(folder: Path) -> None:
    specs = model_specs([str(folder), "Qwen/Qwen3-0.6B", "gpt2", "fake:score"])
    assert specs == [
        ModelSpec("my-model", str(folder)),
        ModelSpec("Qwen/Qwen3-0.6B", "Qwen/Qwen3-0.6B"),
        ModelSpec("gpt2", "gpt2"),
        ModelSpec("fake-score", "fake:score"),
    ]


def test_a_name_can_be_given(folder: Path) -> None:
    assert model_specs([f"chat={folder}"]) == [ModelSpec("chat", str(folder))]
    assert model_specs(["a/b=fake:generate"]) == [ModelSpec("a/b", "fake:generate")]


def test_a_folder_may_have_an_equals_sign_in_its_name(tmp_path: Path) -> None:
    folder = tmp_path / "a=b"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    assert model_specs([f"x={folder}"]) == [ModelSpec("x", str(folder))]


def test_relative_folders_become_absolute(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    assert model_specs(["./my-model", "other=my-model"]) == [
        ModelSpec("my-model", str(folder)),
        ModelSpec("other", str(folder)),
    ]


def test_without_any_the_tiny_models_are_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("tiny-chat", "tiny-rerank", "tiny-embed"):
        (tmp_path / "tiny" / name).mkdir(parents=True)
        (tmp_path / "tiny" / name / "config.json").write_text("{}")
    monkeypatch.setattr(module, "__file__", str(tmp_path / "model_specs.py"))
    assert [spec.name for spec in model_specs([])] == ["tiny-chat", "tiny-rerank", "tiny-embed"]


def test_served_model_name_renames_the_only_one() -> None:
    assert model_specs(["fake:generate"], "gpt-4o") == [ModelSpec("gpt-4o", "fake:generate")]


@pytest.mark.parametrize(
    ("arguments", "name", "said"),
    [
        (["fake:generate", "fake:score"], "x", "--served-model-name names one model"),
        (["a=fake:generate", "a=fake:score"], "", "two models would be called 'a'"),
        (["/no/such/folder"], "", "there is no such folder"),
        (["./no"], "", "there is no such folder"),
        (["a b=fake:score"], "", "'a b' cannot name a model"),
        (["fake:dance"], "", "is not a folder, a hub id"),
        (["=fake:score"], "", "'' cannot name a model"),
        (["x="], "", "MODEL is empty in 'x='"),
        ([""], "", "MODEL is empty in ''"),
    ],
)
def test_what_cannot_be_is_said(arguments: list[str], name: str, said: str) -> None:
    with pytest.raises(BadOption, match=said.replace("(", "\\(")):
        model_specs(arguments, name)


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadOption, match=r"without config\.json"):
        model_specs([str(tmp_path)])
