"""Where a model comes from, and what is said when it cannot be had."""

from pathlib import Path

import pytest

from ipc.config import LoaderConfig, ModelSpec
from ipc.errors import StartupError
from workers.model_source import resolve_source


def resolve(folder: Path | str, allow_pickle: bool = False) -> str:
    spec = ModelSpec("small", str(folder))
    config = LoaderConfig(models=[spec], allow_pickle_weights=allow_pickle)
    return resolve_source(spec, config, lambda done, total: None)


def test_a_complete_folder_is_taken(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"")
    assert resolve(tmp_path) == str(tmp_path.resolve())


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match="no folder"):
        resolve(tmp_path / "nowhere")
    with pytest.raises(StartupError, match=r"config\.json"):
        resolve(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(StartupError, match="safetensors"):
        resolve(tmp_path)


def test_pickle_weights_only_when_allowed(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(StartupError, match="pickle") as refused:
        resolve(tmp_path)
    assert "--allow-pickle-weights" in refused.value.advice
    assert resolve(tmp_path, allow_pickle=True) == str(tmp_path.resolve())


def test_a_hub_model_that_is_not_cached_offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(StartupError, match="local cache") as refused:
        resolve("nobody/no-such-model")
    assert "HF_HUB_OFFLINE" in refused.value.advice
