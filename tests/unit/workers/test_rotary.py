"""Tables of positions, kept where they follow from the position alone: always what the model's own module gives."""

from typing import Any

import pytest
import torch
from transformers import Gemma3TextConfig, LlamaConfig, PreTrainedConfig
from transformers.models.auto.modeling_auto import AutoModelForCausalLM

from workers.lean.rotary import BLOCK, Rotary
from workers.lean.structure import read_structure

STEPS = ([0], [5, 6, 7], [BLOCK - 1, BLOCK], [3 * BLOCK + 1], [2, 3 * BLOCK + 1, BLOCK + 7], list(range(40, 300)))
SMALL: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "vocab_size": 64,
    "max_position_embeddings": 8 * BLOCK,
}
LLAMA3: dict[str, Any] = {
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": BLOCK,
}


class Counted:
    """The model's module, and how often it was asked."""

    def __init__(self, module: Any) -> None:
        self.forward = module.forward  # whose parameters are looked at
        self.rope_type = getattr(module, "rope_type", None)
        self._module = module
        self.calls = 0

    def __call__(self, *positional: Any, **named: Any) -> Any:
        self.calls += 1
        return self._module(*positional, **named)


def llama(**rope: Any) -> PreTrainedConfig:
    return LlamaConfig(**SMALL, rope_parameters={"rope_theta": 10_000.0, **rope})


def two_types() -> PreTrainedConfig:
    return Gemma3TextConfig(**SMALL, head_dim=16, layer_types=["sliding_attention", "full_attention"])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    ("config", "num_types", "is_kept"),
    [
        (llama(rope_type="default"), 1, True),
        (llama(rope_type="linear", factor=4.0), 1, True),
        (llama(rope_type="llama3", **LLAMA3), 1, True),
        (llama(rope_type="yarn", factor=4.0, original_max_position_embeddings=BLOCK), 1, True),
        (llama(rope_type="dynamic", factor=4.0), 1, False),
        (two_types(), 2, True),
    ],
    ids=["default", "linear", "llama3", "yarn", "dynamic", "two types"],
)
def test_the_same_bits_as_the_module(
    config: PreTrainedConfig, num_types: int, is_kept: bool, dtype: torch.dtype
) -> None:
    parts = read_structure(AutoModelForCausalLM.from_config(config, dtype=dtype))
    like = torch.empty(0, dtype=dtype)
    rotary: Any = Rotary(parts, dtype)
    counted = rotary._module = Counted(parts.rotary)
    for positions in [torch.tensor(step) for step in (*STEPS, *STEPS)]:
        tables = rotary.tables(positions)
        assert list(tables) == list(dict.fromkeys(rotary.types))
        assert len(tables) == num_types
        for kind, table in tables.items():
            cosine, sine = parts.rotary(like, positions[None], **({"layer_type": kind} if kind else {}))
            assert torch.equal(table.cosine, cosine[0].float())
            assert torch.equal(table.sine, sine[0].float())
            assert table.cosine.is_contiguous()
            assert table.sine.is_contiguous()
    assert counted.calls == (3 if is_kept else 2 * len(STEPS)) * num_types  # the steps lie in three blocks
