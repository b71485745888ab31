"""How far --quantization moves what the models we ship say."""

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from benchmarks.kept_linears import keep_linears
from benchmarks.perplexity import TINY_CHAT, conversations, perplexity
from workers.linear.int8_layout import machine_obstacle

pytestmark = pytest.mark.skipif(machine_obstacle() != "", reason=machine_obstacle())


def test_perplexity_of_the_chat_model() -> None:
    """int8 within 0.5 % of the full model's, int4 within 2 %."""
    model = AutoModelForCausalLM.from_pretrained(TINY_CHAT, dtype=torch.bfloat16).eval()
    texts = conversations(AutoTokenizer.from_pretrained(TINY_CHAT), tokens=3000)
    full = perplexity(model, texts)
    for kind, bound in (("int8", 1.005), ("int4", 1.02)):
        kept, count = keep_linears(model, kind)
        assert count > 20
        assert full / bound <= perplexity(kept, texts) <= full * bound
