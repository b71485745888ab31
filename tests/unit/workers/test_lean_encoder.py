"""Our own layers of an encoder, part by part, against torch's plain functions and transformers' modules."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from transformers import (
    BertConfig,
    BertModel,
    PreTrainedModel,
    SplinterConfig,
    SplinterModel,
    XLMRobertaConfig,
    XLMRobertaModel,
)

from workers.lean_encoder.attention import PackedAttention
from workers.lean_encoder.choose import is_lean_encoder
from workers.lean_encoder.layers import LeanEncoder
from workers.lean_encoder.structure import encoder_groups, encoder_obstacle
from workers.lean_encoder.sum_norm import SumNorm

SHAPE: dict[str, Any] = {
    "vocab_size": 50,
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 96,
}


def plain_attention(qkv: torch.Tensor, heads: int, scaling: float, lengths: list[int]) -> torch.Tensor:
    """Each sequence by torch's function, in float32."""
    parts = []
    for sequence in qkv.float().split(lengths):
        query, key, value = (part.unflatten(1, (heads, -1)).transpose(0, 1) for part in sequence.chunk(3, dim=1))
        parts.append(F.scaled_dot_product_attention(query, key, value, scale=scaling).transpose(0, 1).flatten(1))
    return torch.cat(parts)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize(("heads", "head_dim"), [(2, 32), (3, 64), (2, 24)])  # the kernel takes multiples of 32
@pytest.mark.parametrize("lengths", [[1], [31, 2, 33], [65, 7]])
def test_attention(lengths: list[int], heads: int, head_dim: int, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    qkv = torch.randn(sum(lengths), 3 * heads * head_dim).to(dtype)
    attention = PackedAttention(heads, head_dim, head_dim**-0.5, dtype)
    expected = plain_attention(qkv, heads, head_dim**-0.5, lengths)
    tolerance = 2e-2 if dtype is torch.bfloat16 else 1e-5
    for _ in range(2):  # scratch memory of the first call is used again
        torch.testing.assert_close(attention.attend(qkv, lengths).float(), expected, atol=tolerance, rtol=0)


def test_attention_shows_a_broken_sequence_and_no_other() -> None:
    qkv = torch.ones(40, 3 * 64, dtype=torch.bfloat16)
    qkv[30, 0] = float("nan")
    attended = PackedAttention(2, 32, 1.0, torch.bfloat16).attend(qkv, [20, 20])
    assert not attended[:20].isnan().any()
    assert attended[30].isnan().any()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_sum_norm(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    module = nn.LayerNorm(96)
    nn.init.normal_(module.weight)
    nn.init.normal_(module.bias)
    states, delta = torch.randn(7, 96), torch.randn(7, 96).to(dtype)
    with torch.inference_mode():
        expected = module(states + delta.float())
        rounded = SumNorm(module, dtype)(states, delta)
    torch.testing.assert_close(states, expected, atol=1e-5, rtol=0)
    assert torch.equal(rounded, states.to(dtype))


@pytest.mark.parametrize(
    "model",
    [
        BertModel(BertConfig(**SHAPE), add_pooling_layer=False),
        XLMRobertaModel(XLMRobertaConfig(**SHAPE, pad_token_id=1), add_pooling_layer=False),
    ],
    ids=["bert", "xlm-roberta"],
)
@torch.inference_mode()
def test_equals_the_modules(model: PreTrainedModel) -> None:
    model.eval()
    lengths = [3, 1, 34]
    ids = torch.randint(5, 50, (sum(lengths),))
    ours = LeanEncoder(model, "", {}).states(ids, torch.zeros_like(ids), lengths)
    theirs = torch.cat([model(input_ids=part[None]).last_hidden_state[0] for part in ids.split(lengths)])
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


def test_what_is_not_berts_structure_is_said() -> None:
    with torch.device("meta"):
        odd = BertModel(BertConfig(**SHAPE, hidden_act="relu"))
        usual = BertModel(BertConfig(**SHAPE))
    assert "relu" in encoder_obstacle(odd)
    assert "another structure" in encoder_obstacle(nn.Linear(1, 1))
    assert encoder_obstacle(usual) == ""
    assert len(encoder_groups(usual, "bert.")) == 8
    assert encoder_groups(usual, "bert.")[0][1] == "bert.encoder.layer.0.attention.self.key"


def test_layers_with_more_to_them_are_not_run_without_it() -> None:
    """In bfloat16 the states of a model with adapters hardly differed: they were left out."""
    with torch.device("meta"):
        adapted = BertModel(BertConfig(**SHAPE))
        adapted.get_submodule("encoder.layer.1.output").add_module("adapter", nn.Linear(64, 64))
        spans = SplinterModel(SplinterConfig(**SHAPE))  # its configuration lacks what BERT's says of decoders
    assert "more to them" in encoder_obstacle(adapted)
    assert "another structure" in encoder_obstacle(spans)


def test_a_configuration_is_enough_to_know() -> None:
    assert is_lean_encoder(BertModel, BertConfig(**SHAPE), {})
    assert not is_lean_encoder(BertModel, BertConfig(**SHAPE, hidden_act="relu"), {})
