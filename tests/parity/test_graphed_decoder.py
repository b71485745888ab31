"""A decoder whose decode steps are replayed from buffers gives the tokens of one without. Replays are made by hand:
there is no GPU here."""

from pathlib import Path

import pytest
import torch

from tests.parity.in_process import open_decoder
from tests.parity.plan_driver import PlanDriver
from tests.parity.small_models import save_decoder
from tests.support.graphs_by_hand import GraphsByHand
from workers.decode_graphs import DecodeGraphs
from workers.paged_attention.gathered import GatheredAttention

PROMPTS = [[1, 5, 9, 200, 17] * 4, [3, 4], list(range(100, 119))]


@pytest.mark.parametrize("name", ["llama_tied", "mistral_window_12"])
def test_the_same_tokens_from_replayed_steps(name: str, tmp_path: Path) -> None:
    save_decoder(name, tmp_path)
    card, plain = open_decoder(tmp_path, "reference", "float32")
    expected = PlanDriver(plain, card).run(PROMPTS, 10)
    card, decoder = open_decoder(tmp_path, "reference", "float32")
    decoder._backend = GatheredAttention()
    maker = GraphsByHand()
    cpu = torch.device("cpu")
    decoder._graphs = DecodeGraphs(decoder._on_device, card, cpu, maker, heights=(2, 4), widths=(1, 2, 4))
    decoder.warm_up()
    assert PlanDriver(decoder, card).run(PROMPTS, 10) == expected
    assert 0 < maker.num_captured <= 7
    assert decoder._graphs.obstacle == ""
