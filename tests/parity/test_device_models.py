"""Models whose memory lies on a device: the same tokens through tensors of a pool and the portable attention, and
nothing is made on the CPU by mistake.

The pool here is host memory laid out as a GPU's. That a step stays on its device is seen on torch's meta device, which
computes nothing but refuses operands of two devices, up to the point where results are fetched from it.
"""

from pathlib import Path

import pytest
import torch
from msgspec.structs import replace

from ipc.device_memory.pool_layout import pool_layout
from ipc.model_card import ModelCard
from ipc.step_layout import RowFlag, StepKind, StepShape
from tests.parity.in_process import load_card, open_decoder
from tests.parity.plan_driver import PlanDriver, make_columns
from tests.parity.small_models import save_decoder, save_scorer
from tests.parity.test_embedders import save_sentence_model
from workers.decoder import Decoder
from workers.device_tensors import fill_weights, kv_pages_in, weights_in
from workers.encoder import Encoder

PROMPTS = [[1, 5, 9, 200, 17] * 9, [3, 4], list(range(100, 133))]
NUM_PAGES = 60
NOT_FETCHED = pytest.raises(NotImplementedError, match="Cannot copy out of meta tensor")


@pytest.fixture
def _meta_has_no_values(monkeypatch: pytest.MonkeyPatch) -> None:
    """transformers looks at the values of positions before it asks us for a mask, which needs none."""
    monkeypatch.setattr("transformers.masking_utils.find_packed_sequence_indices", lambda position_ids: None)


@pytest.mark.parametrize("name", ["llama_tied", "gemma2", "gpt_oss", "mistral_window_12", "qwen3"])
def test_equals_the_same_model_on_the_host(name: str, tmp_path: Path) -> None:
    save_decoder(name, tmp_path)
    card, on_host = open_decoder(tmp_path, "reference", "float32")
    expected = PlanDriver(on_host, card).run(PROMPTS, 12)
    card, weights = load_card(tmp_path, "reference", "float32", device="fake-cuda")
    card = replace(card, num_pages=NUM_PAGES, attention_backend="gathered", device="fake-cuda")
    layout = pool_layout([card])
    pool = torch.full((layout.size,), 255, dtype=torch.uint8)  # not-a-number wherever nothing was written
    fill_weights(pool, layout.weights[0], memoryview(weights))
    decoder = Decoder(card, None, max_num_seqs=32)
    decoder.use_weights(weights_in(pool, layout.weights[0]))
    decoder.use_pages(0, kv_pages_in(pool, layout, card))
    decoder.warm_up()
    assert PlanDriver(decoder, card).run(PROMPTS, 12) == expected


@pytest.mark.usefixtures("_meta_has_no_values")
@pytest.mark.parametrize("tells_prompt", [False, True])
@pytest.mark.parametrize("name", ["llama", "gemma2", "mistral_window_12"])
def test_a_step_of_a_decoder_stays_on_its_device(name: str, tells_prompt: bool, tmp_path: Path) -> None:
    save_decoder(name, tmp_path)
    card, _ = load_card(tmp_path, "reference", "float32", device="fake-cuda")
    card = replace(card, num_pages=NUM_PAGES, attention_backend="gathered")
    decoder = Decoder(card, None, max_num_seqs=4)
    layout = pool_layout([replace(card, device="cuda")])
    decoder._device = torch.device("meta")  # where the model is built, and where it stays without weights
    decoder.use_pages(0, kv_pages_in(torch.empty(layout.size, dtype=torch.uint8, device="meta"), layout, card))
    columns = make_columns(StepShape(StepKind.GENERATE, 2, 6, 2, has_prompt_logprobs=tells_prompt))
    columns.num_new[:] = [1, 5]
    columns.start[:] = [7, 3]
    columns.token_ids[:] = 1
    columns.flags[:] = RowFlag.SAMPLE | (RowFlag.PROMPT_LOGPROBS if tells_prompt else 0)
    columns.block_tables[:] = [[4, 5], [9, 8]]
    with NOT_FETCHED:
        decoder.run(columns)


def step_stays_on_its_device(card: ModelCard) -> None:
    encoder = Encoder(card, None)
    encoder._device = torch.device("meta")
    encoder._scorer.take(encoder._model)
    columns = make_columns(StepShape(StepKind.SCORE, 3, 9, num_labels=card.num_labels))
    columns.num_new[:] = [3, 2, 4]
    columns.token_ids[:] = 7
    with NOT_FETCHED:
        encoder.run(columns)


@pytest.mark.usefixtures("_meta_has_no_values")
@pytest.mark.parametrize("name", ["bert", "roberta", "modernbert_mean", "deberta_padded", "qwen3_decoder"])
def test_a_step_of_an_encoder_stays_on_its_device(name: str, tmp_path: Path) -> None:
    save_scorer(name, tmp_path)
    card, _ = load_card(tmp_path, "auto", "float32", device="fake-cuda")
    step_stays_on_its_device(card)


@pytest.mark.usefixtures("_meta_has_no_values")
@pytest.mark.parametrize("name", ["modernbert several", "deberta weighted", "distilbert dense", "qwen3 last token"])
def test_a_step_of_an_embedder_stays_on_its_device(name: str, tmp_path: Path) -> None:
    save_sentence_model(name, tmp_path)
    card, _ = load_card(tmp_path, "auto", "float32", device="fake-cuda")
    step_stays_on_its_device(card)
