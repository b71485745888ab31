"""How linear layers are kept, why, and what happens when that does not work."""

import pytest
import torch
import torch.nn.functional as F
from msgspec.structs import replace
from torch import nn

from ipc.config import CompactWeights
from ipc.errors import StartupError
from ipc.fake_card import fake_card
from ipc.model_card import ModelCard
from workers.linear import self_check
from workers.linear.choose import COMPACT, PACKED, PLAIN, WANTED, checked_plan, choose_compact, choose_linear
from workers.linear.interface import LinearShape
from workers.linear.kinds import KINDS
from workers.linear.mkldnn_blob import blob_obstacle

pytestmark = pytest.mark.skipif(blob_obstacle() != "", reason=f"nothing is packed here: {blob_obstacle()}")
needs_few_rows = pytest.mark.skipif(
    "compact" not in KINDS or KINDS["compact"].obstacle(LinearShape(64, 64, torch.bfloat16)) != "",
    reason="this CPU has no kernels for few rows",
)
CARD = replace(fake_card(0, "m", "fake:embed", 0, 16, 0), linear=PACKED, linear_reason="faster")


class Curious(nn.Module):
    """Looks into its linear layer instead of calling it."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Linear(128, 128)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return F.linear(rows, self.one.weight)


def run(model: nn.Module, card: ModelCard = CARD) -> tuple[ModelCard, int]:
    card, plan = checked_plan(card, model, lambda: model(torch.zeros(2, 128)))
    return card, len(plan)


def test_packed_by_default_on_a_cpu() -> None:
    assert choose_linear("none", False, "cpu", "float32").kind == PACKED


@pytest.mark.parametrize(
    ("batch_invariant", "device", "dtype", "why"),
    [(True, "cpu", "float32", "batch-invariant"), (False, "cuda", "bfloat16", "GPU"), (False, "cpu", "float16", "16")],
)
def test_plain_otherwise(batch_invariant: bool, device: str, dtype: str, why: str) -> None:
    choice = choose_linear("none", batch_invariant, device, dtype)
    assert choice.kind == PLAIN
    assert why in choice.reason
    with pytest.raises(StartupError, match="--quantization int8"):
        choose_linear("int8", batch_invariant, device, dtype)


def test_layers_that_multiply_rightly_stay_packed() -> None:
    assert run(nn.Sequential(nn.Linear(128, 128), nn.Linear(128, 64))) == (CARD, 2)


def test_layers_that_multiply_wrongly_stay_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(self_check.TOLERANCE, PACKED, -1.0)
    card, num_packed = run(nn.Sequential(nn.Linear(128, 128)))
    assert (card.linear, num_packed) == (PLAIN, 0)
    assert "differs from plain" in card.linear_reason


def test_a_model_that_looks_into_its_layers_keeps_them() -> None:
    model = Curious()
    card, num_packed = run(model)
    assert (card.linear, num_packed) == (PLAIN, 0)
    assert "looks into its linear layers" in card.linear_reason
    assert type(model.one) is nn.Linear


def test_what_was_asked_for_fails_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(self_check.TOLERANCE, PACKED, -1.0)
    monkeypatch.setitem(WANTED, "int8", (PACKED,))
    with pytest.raises(StartupError, match="--quantization int8 fails"):
        run(nn.Sequential(nn.Linear(128, 128)), replace(CARD, linear="int8"))


def test_a_model_without_large_layers_is_plain() -> None:
    card, num_packed = run(nn.Sequential(nn.Linear(128, 1)))
    assert (card.linear, num_packed) == (PLAIN, 0)


def test_every_kind_has_a_tolerance() -> None:
    assert set(KINDS) <= set(self_check.TOLERANCE)


def decoder_card() -> ModelCard:
    card = fake_card(0, "m", "fake:generate", 0, 16, 0)
    return replace(card, task="generate", dtype="bfloat16", linear=PACKED, linear_reason="faster")


def compact_for(card: ModelCard, wanted: CompactWeights, free: int) -> ModelCard:
    with torch.device("meta"):
        model = nn.Sequential(nn.Linear(512, 512), nn.Linear(512, 256)).bfloat16()
    return choose_compact(card, model, wanted, free)


WEIGHTS = 2 * (512 * 512 + 512 * 256)  # bytes
COPIES = 0.8 * WEIGHTS  # at most


@needs_few_rows
def test_decoders_are_compact_where_there_is_memory() -> None:
    card = compact_for(decoder_card(), "auto", int(WEIGHTS + 8 * COPIES))
    assert card.linear == COMPACT
    assert WANTED[COMPACT] == (COMPACT, PACKED)


@needs_few_rows
def test_little_memory_is_not_taken_for_copies() -> None:
    free = int(WEIGHTS + 5 * COPIES)
    card = compact_for(decoder_card(), "auto", free)
    assert card.linear == PACKED
    assert "copies would take" in card.linear_reason
    assert compact_for(decoder_card(), "on", free).linear == COMPACT


@needs_few_rows
@pytest.mark.parametrize(
    ("card", "wanted"),
    [
        (decoder_card(), "off"),
        (replace(decoder_card(), task="score"), "auto"),
        (replace(decoder_card(), task="embed", dtype="float32"), "on"),
        (replace(decoder_card(), task="embed"), "on"),
        (replace(decoder_card(), dtype="float32"), "auto"),
        (replace(decoder_card(), linear="int8"), "auto"),
    ],
)
def test_others_are_not_compact(card: ModelCard, wanted: CompactWeights) -> None:
    assert compact_for(card, wanted, 1 << 40) == card


@pytest.mark.parametrize("changes", [{"dtype": "float32"}, {"linear": "int8"}])
def test_impossible_copies_fail_the_start(changes: dict[str, str]) -> None:
    with pytest.raises(StartupError, match="--compact-weights is not possible"):
        compact_for(replace(decoder_card(), **changes), "on", 1 << 40)


@needs_few_rows
def test_a_model_without_fitting_layers_is_not_compact() -> None:
    with torch.device("meta"):
        model = nn.Sequential(nn.Linear(48, 80)).bfloat16()
    assert choose_compact(decoder_card(), model, "auto", 1 << 40) == decoder_card()
    with pytest.raises(StartupError, match="no linear layer of a shape"):
        choose_compact(decoder_card(), model, "on", 1 << 40)


@needs_few_rows
def test_copies_that_multiply_wrongly_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(self_check.TOLERANCE, COMPACT, -1.0)
    model = nn.Sequential(nn.Linear(128, 128), nn.Linear(128, 64)).bfloat16()
    card, plan = checked_plan(
        replace(CARD, linear=COMPACT, dtype="bfloat16"), model, lambda: model(torch.zeros(2, 128).bfloat16())
    )
    assert card.linear == PACKED
    assert "no compact ones" in card.linear_reason
    assert {layer.kind for layer in plan} == {PACKED}
