"""Limits, ends and defaults read from a model's files."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from ipc.errors import StartupError
from ipc.model_card import DefaultSampling
from workers.model_limits import (
    LengthLimit,
    choose_max_model_len,
    default_sampling,
    eos_token_ids,
    length_limits,
)


def limit(
    wanted: int = 0, offset: int = 0, tokenizer: dict[str, object] | None = None, **config: object
) -> LengthLimit:
    limits = length_limits(SimpleNamespace(**config), tokenizer or {}, offset)
    return choose_max_model_len("small", limits, wanted)


def test_the_smallest_bound_counts() -> None:
    assert limit(max_position_embeddings=512).tokens == 512
    assert limit(max_position_embeddings=514, offset=2).tokens == 512
    assert limit(max_position_embeddings=8192, tokenizer={"model_max_length": 512}).tokens == 512
    assert limit(max_position_embeddings=8192, tokenizer={"model_max_length": 10**30}).tokens == 8192
    assert limit(max_position_embeddings=8192, attention_chunk_size=100).tokens == 100


def test_rotary_embeddings_that_depend_on_the_batch_are_cut() -> None:
    longrope = {"rope_type": "longrope", "original_max_position_embeddings": 4096}
    cut = limit(max_position_embeddings=131072, rope_parameters=longrope)
    assert cut.tokens == 4096
    assert "longrope" in cut.reason
    assert limit(max_position_embeddings=2048, rope_parameters={"rope_type": "dynamic"}).tokens == 2048
    by_type = {"full_attention": {"rope_type": "default"}, "sliding_attention": longrope}
    assert limit(max_position_embeddings=131072, rope_parameters=by_type).tokens == 4096
    assert limit(max_position_embeddings=9000, rope_parameters={"rope_type": "llama3"}).tokens == 9000


def test_the_operator_may_only_lower_it() -> None:
    assert limit(wanted=100, max_position_embeddings=512).tokens == 100
    with pytest.raises(StartupError, match=r"513.*512.*max_position_embeddings") as refused:
        limit(wanted=513, max_position_embeddings=512)
    assert "512" in refused.value.advice
    assert limit(wanted=513).tokens == 513  # the files say nothing
    with pytest.raises(StartupError, match="states no longest"):
        limit()


def test_eos_is_what_all_files_say_together(tmp_path: Path) -> None:
    (tmp_path / "generation_config.json").write_text(json.dumps({"eos_token_id": [7, 8]}))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"eos_token": {"content": "<end>"}}))
    tokens = {"added_tokens": [{"id": 11, "content": "<end>"}, {"id": 12, "content": "<pad>"}]}
    (tmp_path / "tokenizer.json").write_text(json.dumps(tokens))
    assert eos_token_ids(SimpleNamespace(eos_token_id=2), str(tmp_path)) == (2, 7, 8, 11)
    assert eos_token_ids(SimpleNamespace(eos_token_id=None), str(tmp_path / "nowhere")) == ()


def test_default_sampling(tmp_path: Path) -> None:
    assert default_sampling(str(tmp_path)) == DefaultSampling()
    (tmp_path / "generation_config.json").write_text(json.dumps({"temperature": 0.6, "repetition_penalty": 1.1}))
    assert default_sampling(str(tmp_path)) == DefaultSampling(temperature=0.6, repetition_penalty=1.1)
    assert default_sampling(str(tmp_path), "vllm") == DefaultSampling()
