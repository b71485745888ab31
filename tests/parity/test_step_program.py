"""Steps as one program of kernels: the very bits that its kernels give one by one."""

from pathlib import Path
from typing import Any

import pytest
import torch

from ipc.config import CompactWeights, DType, Quantization
from tests.parity.in_process import open_decoder
from tests.parity.plan_driver import PlanDriver
from tests.parity.small_models import VOCAB, save_decoder
from workers.compute_threads import use_threads
from workers.lean.program import can_run
from workers.linear.int8_layout import machine_obstacle
from workers.linear.mkldnn_blob import blob_obstacle
from workers.linear.packed_product import is_possible

pytestmark = [
    pytest.mark.parity,
    pytest.mark.skipif(
        bool(blob_obstacle()) or not is_possible(64, 32) or not can_run(), reason="this CPU has no kernels for few rows"
    ),
]


class Unused:
    """In a program's place."""

    def run(self, *_all: object) -> bool:
        return False


def play(
    folder: Path,
    threads: int,
    with_program: bool,
    dtype: DType = "bfloat16",
    quantization: Quantization = "none",
    compact_weights: CompactWeights = "auto",
) -> tuple[list[torch.Tensor], int]:
    """All logits of some streams of several lengths, and how many steps were programs."""
    card, decoder = open_decoder(folder, dtype=dtype, quantization=quantization, compact_weights=compact_weights)
    assert card.linear == {"on": "compact", "off": "packed"}.get(compact_weights, card.linear)
    lean: Any = decoder._lean
    assert lean is not None
    use_threads(threads)
    found: list[torch.Tensor] = []
    ran: list[bool] = []
    if not with_program:
        lean._program = Unused()
    run, step = lean._program.run, lean.step

    def counted(*all_: Any) -> bool:
        ran.append(run(*all_))
        return ran[-1]

    def kept(*all_: Any) -> torch.Tensor:
        logits: torch.Tensor = step(*all_)
        found.append(logits.clone())
        return logits

    lean._program.run, lean.step = counted, kept
    lengths = (1, 9, 16, 33, 40, 70)
    prompts = [[3 + (7 * i + j) % (VOCAB - 3) for j in range(length)] for i, length in enumerate(lengths)]
    PlanDriver(decoder, card).run(prompts, 24)
    return found, sum(ran)


def check(
    folder: Path,
    threads: int,
    dtype: DType = "bfloat16",
    quantization: Quantization = "none",
    compact_weights: CompactWeights = "auto",
    all_steps: bool = False,
) -> None:
    apart, none = play(folder, threads, False, dtype, quantization, compact_weights)
    together, programs = play(folder, threads, True, dtype, quantization, compact_weights)
    assert none == 0
    assert programs >= (len(together) if all_steps else 15)
    assert len(apart) == len(together)
    assert all(torch.equal(one, other) for one, other in zip(apart, together, strict=True))


@pytest.mark.parametrize(
    ("name", "threads"),
    [("llama", 1), ("llama", 2), ("qwen3", 2), ("mistral_window_12", 2), ("gemma2", 2), ("granite", 2)],
)
def test_the_same_bits(name: str, threads: int, tmp_path: Path) -> None:
    """Chunks of prompts, alone and beside single tokens, with and without a token somebody looks at."""
    save_decoder(name, tmp_path, head_dim=32)
    check(tmp_path, threads, all_steps=True)


def test_only_single_tokens_where_chunks_have_no_kernel(tmp_path: Path) -> None:
    save_decoder("qwen3", tmp_path)
    check(tmp_path, 2)


@pytest.mark.skipif(bool(machine_obstacle()), reason="no int8 products here")
@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
@pytest.mark.parametrize("quantization", ["int8", "int4"])
def test_the_same_bits_of_quantized_weights(quantization: Quantization, dtype: DType, tmp_path: Path) -> None:
    save_decoder("qwen3", tmp_path)
    check(tmp_path, 2, dtype, quantization)


@pytest.mark.parametrize("compact_weights", ["on", "off"])
def test_the_same_bits_of_compact_weights(compact_weights: CompactWeights, tmp_path: Path) -> None:
    save_decoder("llama", tmp_path)
    check(tmp_path, 2, compact_weights=compact_weights)


def test_compact_weights_are_the_same_weights(tmp_path: Path) -> None:
    """All that changes is the order of a few sums."""
    save_decoder("qwen3", tmp_path)
    packed, _ = play(tmp_path, 2, True, compact_weights="off")
    compact, programs = play(tmp_path, 2, True, compact_weights="on")
    assert programs >= 15
    for one, other in zip(packed, compact, strict=True):
        assert float((one.float() - other.float()).abs().max()) <= 0.02 * float(one.float().abs().max())
