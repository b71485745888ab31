"""The loader fills segments that workers answer from, and says clearly why it cannot."""

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from ipc.config import LoaderConfig, ModelSpec
from ipc.control_messages import Fatal
from tests.parity.small_models import save_decoder, save_scorer
from tests.support.worker_under_test import LinkedWorker, load

pytestmark = pytest.mark.process
PROMPT = [5, 9, 200, 31, 7, 77, 12]


def test_two_models_load_and_answer(tmp_path: Path) -> None:
    save_decoder("llama", tmp_path / "chat")
    save_scorer("bert", tmp_path / "rank")
    specs = [ModelSpec("chat", str(tmp_path / "chat")), ModelSpec("rank", str(tmp_path / "rank"))]
    with contextlib.ExitStack() as stack:
        loaded = load(LoaderConfig(models=specs, threads=1, dtype="float32"), stack)
        assert not isinstance(loaded, Fatal), loaded
        cards, weights = loaded
        assert all(segment.is_write_sealed for segment in weights)
        worker = LinkedWorker(cards, weights, stack)
        model: Any = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "chat")
        ids = torch.tensor([PROMPT])
        expected = model.generate(ids, max_new_tokens=20, do_sample=False, eos_token_id=None, pad_token_id=0)
        assert worker.generate(0, PROMPT, 20, [7, 3, 50, 21]) == expected[0, len(PROMPT) :].tolist()
        scorer: Any = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path / "rank")
        with torch.inference_mode():
            logits = [float(scorer(torch.tensor([pair])).logits[0, 0]) for pair in (PROMPT, PROMPT[:3])]
        assert worker.score(1, [PROMPT, PROMPT[:3]]) == pytest.approx(logits, abs=1e-5)


def refusal(folder: Path, **settings: Any) -> Fatal:
    with contextlib.ExitStack() as stack:
        answer = load(LoaderConfig(models=[ModelSpec("small", str(folder))], threads=1, **settings), stack)
    assert isinstance(answer, Fatal), answer
    assert str(folder) not in answer.message
    return answer


def test_an_architecture_with_its_own_attention_is_refused_by_name(tmp_path: Path) -> None:
    transformers.BloomConfig(architectures=["BloomForCausalLM"], hidden_size=32, n_layer=1, n_head=2).save_pretrained(
        tmp_path
    )
    (tmp_path / "model.safetensors").write_bytes(b"")
    answer = refusal(tmp_path)
    assert "BloomForCausalLM" in answer.message
    assert "attention" in answer.message


def test_a_longer_context_than_the_models_is_refused_with_the_number(tmp_path: Path) -> None:
    save_decoder("llama", tmp_path)
    answer = refusal(tmp_path, max_model_len=5000)
    assert "5000" in answer.message
    assert "1024" in answer.message
    assert "--max-model-len 1024" in answer.advice


def test_weights_that_do_not_fit_the_configuration_are_refused(tmp_path: Path) -> None:
    save_decoder("llama", tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 3}))
    assert "lack" in refusal(tmp_path).message
