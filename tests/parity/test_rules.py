"""Streams with rules: what transformers' generate says with the same rules, whoever computes, however often."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from ipc.token_rules import TokenRules
from tests.parity.in_process import open_decoder
from tests.parity.ruled_driver import RuledDriver, RuledStream
from tests.parity.small_models import VOCAB, save_decoder

pytestmark = pytest.mark.parity
NUM_TOKENS = 24


def column(*tokens: int) -> bytes:
    return np.array(tokens, np.int32).tobytes()


PROMPTS = [[5, 9, 200, 17, 5], list(range(100, 140)), [3]]
# How the rules are said to us, and to transformers' generate.
CASES: dict[str, tuple[TokenRules, dict[str, Any]]] = {
    "repetition": (TokenRules(repetition_penalty=1.6), {"repetition_penalty": 1.6}),
    "bias": (
        TokenRules(bias_ids=column(8, 9), bias_values=np.array([9.0, -9.0], np.float32).tobytes()),
        {"sequence_bias": [[[8], 9.0], [[9], -9.0]]},
    ),
    "min_tokens": (
        TokenRules(min_tokens=9, stop_ids=column(*range(0, VOCAB, 2))),
        {"min_new_tokens": 9, "eos_token_id": list(range(0, VOCAB, 2))},
    ),
}


def expected_tokens(folder: Path, prompt: list[int], options: dict[str, Any]) -> list[int]:
    model: Any = transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager"
    )
    ids = torch.tensor([prompt])
    options = {"eos_token_id": None, "pad_token_id": 0} | options
    output = model.generate(
        ids, attention_mask=torch.ones_like(ids), max_new_tokens=NUM_TOKENS, do_sample=False, **options
    )
    tokens: list[int] = output[0, len(prompt) :].tolist()
    return tokens


@pytest.mark.parametrize("case", list(CASES))
@pytest.mark.parametrize("batch_invariant", [False, True])
def test_equals_generate(case: str, batch_invariant: bool, tmp_path: Path) -> None:
    save_decoder("llama", tmp_path)
    rules, options = CASES[case]
    card, decoder = open_decoder(tmp_path, batch_invariant=batch_invariant)
    decoder.warm_up()
    streams = [RuledStream(prompt, rules, eos_ids=tuple(options.get("eos_token_id", ()))) for prompt in PROMPTS]
    others = [RuledStream(prompt) for prompt in PROMPTS]
    RuledDriver([decoder], card).run(streams + others, NUM_TOKENS)
    for stream, other in zip(streams, others, strict=True):
        assert stream.output == expected_tokens(tmp_path, stream.prompt, options)
        assert other.output == expected_tokens(tmp_path, stream.prompt, {})


def test_bad_words_equal_generate(tmp_path: Path) -> None:
    """Those are forbidden that the model would else have said."""
    save_decoder("llama", tmp_path)
    plain = expected_tokens(tmp_path, PROMPTS[1], {})
    words = [plain[:1], plain[3:5], plain[7:10], [PROMPTS[1][-1], plain[1]]]
    card, decoder = open_decoder(tmp_path)
    stream = RuledStream(PROMPTS[1], TokenRules(bad_words=tuple(column(*word) for word in words)))
    RuledDriver([decoder], card).run([stream], NUM_TOKENS)
    assert stream.output == expected_tokens(tmp_path, PROMPTS[1], {"bad_words_ids": words})
    assert stream.output[0] != plain[0]


def test_logprobs_are_the_models_own(tmp_path: Path) -> None:
    """Biases and penalties do not show in them."""
    save_decoder("llama", tmp_path)
    card, decoder = open_decoder(tmp_path)
    rules = TokenRules(allowed_ids=column(40, 41, 42), repetition_penalty=3.0, presence_penalty=2.0)
    stream = RuledStream(PROMPTS[0], rules, temperature=0.7, seed=3, num_logprobs=2)
    RuledDriver([decoder], card).run([stream], NUM_TOKENS)
    assert set(stream.output) <= {40, 41, 42}
    for number, told in enumerate(stream.told):
        alone = RuledStream(stream.tokens[: len(stream.prompt) + number], num_logprobs=VOCAB)
        RuledDriver([decoder], card).run([alone], 1)
        (own,) = alone.told
        place = own.top_ids.index(told.token)
        assert told.rank == place + 1
        assert told.logprob == pytest.approx(own.top_logprobs[place], abs=1e-4)
        assert told.top_ids == own.top_ids[:2]


def test_rules_nobody_can_use_fail_their_own_row(tmp_path: Path) -> None:
    save_decoder("llama", tmp_path)
    card, decoder = open_decoder(tmp_path)
    broken = RuledStream(PROMPTS[0], TokenRules(allowed_ids=column(VOCAB)))
    sound = RuledStream(PROMPTS[0], num_logprobs=1)
    RuledDriver([decoder], card).run([broken, sound], 5)
    assert (broken.status.name, broken.output) == ("FAILED", [])
    assert sound.output == expected_tokens(tmp_path, PROMPTS[0], {})[:5]
