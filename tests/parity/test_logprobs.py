"""Log-probabilities of drawn tokens, prompts and likeliest tokens equal those of transformers' own model."""

import random
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from tests.parity.in_process import open_decoder
from tests.parity.ruled_driver import RuledDriver, RuledStream, Told
from tests.parity.small_models import VOCAB, save_decoder

pytestmark = pytest.mark.parity
NUM_TOKENS = 6
TOLERANCE = 1e-4


def make_streams(num: int = 6) -> list[RuledStream]:
    """Greedy and random ones; some want prompts' log-probabilities, one wants none at all."""
    source = random.Random(5)
    streams = [
        RuledStream(
            [source.randrange(3, VOCAB) for _ in range(length)],
            temperature=float(number % 2),
            seed=number,
            num_logprobs=number,
            num_prompt_logprobs=[-1, 0, 3, -1, 7, 2][number],
        )
        for number, length in enumerate([1, 2, 17, 40, 100, 150][:num])
    ]
    streams[1].num_logprobs = -1
    return streams


def check(told: Told, logprobs: torch.Tensor, num_top: int) -> None:
    """`logprobs` [vocab] are the right ones."""
    assert told.logprob == pytest.approx(float(logprobs[told.token]), abs=TOLERANCE)
    assert told.rank == int((logprobs > logprobs[told.token]).sum()) + 1
    likeliest = logprobs.topk(num_top)
    assert told.top_ids == likeliest.indices.tolist()
    assert told.top_logprobs == pytest.approx(likeliest.values.tolist(), abs=TOLERANCE)


@pytest.mark.parametrize(
    ("name", "batch_invariant"),
    [("llama", False), ("llama", True), ("gemma2", False), ("granite", False), ("gpt2", False), ("cohere2", False)],
)
def test_equal_log_softmax(name: str, batch_invariant: bool, tmp_path: Path) -> None:
    save_decoder(name, tmp_path)
    model: Any = transformers.AutoModelForCausalLM.from_pretrained(
        tmp_path, dtype=torch.float32, attn_implementation="eager"
    )
    card, decoder = open_decoder(tmp_path, batch_invariant=batch_invariant)
    decoder.warm_up()
    streams = make_streams()
    RuledDriver([decoder], card, chunk=90).run(streams, NUM_TOKENS)
    for stream in streams:
        with torch.inference_mode():
            expected = torch.log_softmax(model(torch.tensor([stream.tokens])).logits[0].float(), dim=-1)
        assert len(stream.told) == (NUM_TOKENS if stream.num_logprobs >= 0 else 0)
        for position, told in enumerate(stream.told, len(stream.prompt)):
            assert told.token == stream.tokens[position]
            check(told, expected[position - 1], stream.num_logprobs)
        wanted = range(1, len(stream.prompt)) if stream.num_prompt_logprobs >= 0 else range(0)
        assert sorted(stream.prompt_told) == list(wanted)
        for position, told in stream.prompt_told.items():
            check(told, expected[position - 1], stream.num_prompt_logprobs)


def test_batch_invariant_ones_have_the_same_bits_in_every_mixture(tmp_path: Path) -> None:
    save_decoder("llama", tmp_path)
    card, decoder = open_decoder(tmp_path, batch_invariant=True)
    decoder.warm_up()
    together, alone = make_streams(), make_streams()
    RuledDriver([decoder], card, chunk=37).run(together, NUM_TOKENS)
    for number, stream in enumerate(alone):
        RuledDriver([decoder], card, chunk=21 + number).run([stream], NUM_TOKENS)
    for mixed, single in zip(together, alone, strict=True):
        assert (mixed.output, mixed.told) == (single.output, single.told)
        assert mixed.prompt_told == single.prompt_told


def test_few_logits_exist_at_the_same_time(tmp_path: Path) -> None:
    save_decoder("gpt2", tmp_path)
    card, decoder = open_decoder(tmp_path)
    heads: list[int] = []
    decoder._model.lm_head.register_forward_hook(lambda module, given, output: heads.append(output.shape[1]))
    layers: list[int] = []
    decoder._model.get_submodule("transformer.h.0").register_forward_hook(lambda *_: layers.append(1))
    stream = RuledStream([7] * 150, num_prompt_logprobs=1)
    RuledDriver([decoder], card, chunk=150).run([stream], 1)
    assert heads == [1, 64, 64, 21]
    assert len(layers) == 1


def test_lean_layers_make_few_logits_at_the_same_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_decoder("llama", tmp_path)
    card, decoder = open_decoder(tmp_path)
    lean = decoder._lean
    assert lean is not None
    heads: list[int] = []
    layers: list[int] = []
    head, run_gate = lean._head, lean._run_gate

    def count_head(rows: torch.Tensor) -> torch.Tensor:
        heads.append(len(rows))
        return head(rows)

    def count_layer(gate_up: torch.Tensor, count: int, threads: int) -> torch.Tensor:
        layers.append(1)
        return run_gate(gate_up, count, threads)

    monkeypatch.setattr(lean, "_head", count_head)
    monkeypatch.setattr(lean, "_run_gate", count_layer)
    stream = RuledStream([7] * 150, num_prompt_logprobs=1)
    RuledDriver([decoder], card, chunk=150).run([stream], 1)
    assert heads == [1, 64, 64, 21]
    assert len(layers) == 2  # the model has two
