"""Layers of our own against transformers' modules: every recognised family, both types, mixed steps, short windows."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from msgspec.structs import replace

from ipc.fake_card import fake_card
from ipc.step_layout import StepKind, StepShape
from tests.parity.in_process import load_card
from tests.parity.plan_driver import make_columns
from tests.parity.small_models import DECODERS, VOCAB, save_decoder
from workers.batch import attention_plan
from workers.lean.choose import choose_layers
from workers.lean.lean_decoder import LeanDecoder
from workers.lean.structure import UnusualStructure
from workers.model_probe import probe_decoder
from workers.paged_attention.interface import LayerPages
from workers.rows import token_positions, token_rows

pytestmark = pytest.mark.parity
LEAN = ["llama", "llama_tied", "qwen3", "mistral_window_12", "gemma2", "gemma3", "phi3", "granite"]
NUM_TOKENS, BLOCK = 60, 16
CUTS = ((0, 20, 31, 32, 33, 60), (0, 1, 2, 40, 41, 60))  # where the chunks of two sequences begin; computed together


def load(folder: Path, dtype: torch.dtype) -> Any:
    return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, attn_implementation="eager").eval()


@torch.inference_mode()
def logits_of_lean(model: Any, ids: torch.Tensor) -> torch.Tensor:
    """float32 [2, NUM_TOKENS, vocab] for two sequences, whose chunks and single tokens share steps."""
    lean, config, width = LeanDecoder(model, {}), model.config, -(-NUM_TOKENS // BLOCK)
    shape = (2 * width, config.num_key_value_heads, BLOCK, model.model.layers[0].self_attn.head_dim)
    empty = torch.full(shape, float("nan"), dtype=model.dtype)
    pages = [LayerPages(empty.clone(), empty.clone()) for _ in model.model.layers]
    tables = np.random.default_rng(0).permutation(2 * width).reshape(2, width)
    parts: tuple[list[torch.Tensor], list[torch.Tensor]] = ([], [])
    for (first, first_end), (second, second_end) in zip(*(pairwise(cuts) for cuts in CUTS), strict=True):
        counts = [first_end - first, second_end - second]
        columns = make_columns(StepShape(StepKind.GENERATE, 2, sum(counts), width))
        columns.num_new[:], columns.start[:], columns.block_tables[:] = counts, [first, second], tables
        positions = token_positions(columns)
        plan = attention_plan(columns, BLOCK, token_rows(columns.num_new), positions)
        tokens = torch.cat([ids[0, first:first_end], ids[1, second:second_end]])
        found = lean.step(tokens, torch.from_numpy(positions), pages, plan, torch.arange(len(tokens))).float().clone()
        for sequence, part in zip(parts, found.split(counts), strict=True):
            sequence.append(part)
    return torch.stack([torch.cat(sequence) for sequence in parts])


@torch.inference_mode()
def logits_of_modules(model: Any, ids: torch.Tensor) -> torch.Tensor:
    logits: torch.Tensor = model(input_ids=ids, use_cache=False).logits.float()
    return logits


@pytest.mark.parametrize("name", LEAN)
def test_logits_are_those_of_the_modules(name: str, tmp_path: Path) -> None:
    save_decoder(name, tmp_path)
    ids = torch.randint(3, VOCAB, (2, NUM_TOKENS), generator=torch.Generator().manual_seed(2))
    wide, narrow = load(tmp_path, torch.float32), load(tmp_path, torch.bfloat16)
    exact = logits_of_modules(wide, ids)
    torch.testing.assert_close(logits_of_lean(wide, ids), exact, rtol=1e-4, atol=1e-4 * float(exact.abs().max()))
    rounding = (logits_of_modules(narrow, ids) - exact).norm()  # what bfloat16 costs the modules
    assert (logits_of_lean(narrow, ids) - exact).norm() < 1.1 * rounding


@pytest.mark.parametrize("name", list(DECODERS))
def test_the_loader_tells_which_layers_run_and_why(name: str, tmp_path: Path) -> None:
    save_decoder(name, tmp_path)
    card, _ = load_card(tmp_path, "auto", "auto")
    assert (card.layers == "lean") == (name in LEAN), card.layers_reason
    assert card.layers_reason
    assert load_card(tmp_path, "reference", "auto")[0].layers == "modules"


@pytest.mark.parametrize(
    ("architecture", "options"),
    [
        ("SmolLM3ForCausalLM", {"no_rope_layers": [1, 0]}),  # layers without rotary embedding
        ("GlmForCausalLM", {}),  # rotates neighbours
        ("Ministral3ForCausalLM", {}),  # queries grow beyond some thousand positions
    ],
)
def test_what_hardly_shows_in_logits_shows_in_queries_and_keys(architecture: str, options: dict[str, Any]) -> None:
    """Fresh bfloat16 models are nearly indifferent to where tokens stand: such families were taken for Llamas."""
    cls: Any = getattr(transformers, architecture)
    sizes = {"hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 2, "num_attention_heads": 4}
    model = cls(
        cls.config_class(vocab_size=VOCAB, num_key_value_heads=2, head_dim=32, pad_token_id=0, **sizes | options)
    )
    model = model.bfloat16().eval()
    card = replace(fake_card(0, "m", "fake:generate", 0, BLOCK, 0), attention_backend="paged")
    choice = choose_layers(card, model, probe_decoder("m", model), batch_invariant=False)
    assert choice.name == "modules"
    assert "queries and keys" in choice.reason


def test_layers_of_several_shapes_are_not_taken(tmp_path: Path) -> None:
    """Kernels get addresses and one layer's sizes."""
    save_decoder("llama", tmp_path)
    model = load(tmp_path, torch.float32)
    narrow = model.model.layers[1].mlp
    for name in ("gate_proj", "up_proj"):
        setattr(narrow, name, torch.nn.Linear(64, 48, bias=False))
    narrow.down_proj = torch.nn.Linear(48, 64, bias=False)
    with pytest.raises(UnusualStructure, match="several shapes"):
        LeanDecoder(model, {})
