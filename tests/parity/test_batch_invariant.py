"""`--batch-invariant`: the bits of every logit are those of the stream, or the pair, computed alone."""

import random
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

from ipc.config import AttentionChoice
from ipc.errors import StartupError
from ipc.step_layout import StepColumns, StepKind, StepShape
from tests.parity.in_process import open_decoder, open_encoder
from tests.parity.plan_driver import PlanDriver, make_columns
from tests.parity.small_models import VOCAB, save_decoder, save_scorer
from tests.parity.test_decoders import generate
from workers import draw_rows as draw_rows_module
from workers import greedy_on_device as greedy_module
from workers.decoder import Decoder
from workers.encoder import Encoder
from workers.sampler import SamplingColumns, largest, sample

pytestmark = pytest.mark.parity
NUM_TOKENS = 20
LENGTHS = [1, 2, 3, 15, 16, 17, 31, 33, 64, 65, 100, 150, 257]
Bits = dict[tuple[int, int], bytes]  # (stream, position of the token drawn) -> its logits


def make_prompts() -> list[list[int]]:
    """Some begin alike."""
    source = random.Random(3)
    shared = [source.randrange(3, VOCAB) for _ in range(40)]
    prompts = [[source.randrange(3, VOCAB) for _ in range(length)] for length in LENGTHS]
    for prompt in prompts[8:11]:
        prompt[:40] = shared
    return prompts


class Recorder:
    """A decoder that also keeps the logits every token was drawn from. Odd streams draw by chance."""

    def __init__(self, decoder: Decoder, monkeypatch: pytest.MonkeyPatch) -> None:
        self._decoder = decoder
        self._drawn_from = torch.empty(0, VOCAB)
        self.streams: list[int] = []  # by slot
        self.bits: Bits = {}
        monkeypatch.setattr(draw_rows_module, "sample", self._sample)
        monkeypatch.setattr(greedy_module, "largest", self._largest)  # steps without an odd stream

    def _sample(self, logits: torch.Tensor, columns: SamplingColumns) -> npt.NDArray[np.int32]:
        self._drawn_from = logits
        return sample(logits, columns)

    def _largest(self, logits: torch.Tensor) -> npt.NDArray[np.int32]:
        self._drawn_from = logits.float()
        return largest(logits)

    def run(self, columns: StepColumns) -> None:
        """See `ServedModel.run`."""
        streams = np.array(self.streams)[columns.slot]
        columns.temperature[:], columns.seed[:], columns.top_p[:] = streams % 2, streams, 0.9
        self._drawn_from = torch.empty(0, VOCAB)
        self._decoder.run(columns)
        rows = np.flatnonzero(columns.sampled >= 0)
        for row, logits in zip(rows, self._drawn_from, strict=True):
            position = int(columns.start[row] + columns.num_new[row])
            self.bits[int(streams[row]), position] = logits.numpy().tobytes()


class Mixer:
    """Computes some of the prompts together, in random order and pages, and says what bits came of it."""

    def __init__(self, folder: Path, backend: AttentionChoice, monkeypatch: pytest.MonkeyPatch) -> None:
        self._card, decoder = open_decoder(folder, backend=backend, batch_invariant=True)
        decoder.warm_up()
        self._recorder = Recorder(decoder, monkeypatch)
        self._prompts = make_prompts()
        self.outputs: dict[int, list[int]] = {}  # of the last run, by stream

    def bits(self, streams: list[int], budget: int, seed: int, cached: list[int] | None = None) -> Bits:
        """Steps of at most `budget` tokens; the prompts of `cached` are in the prefix cache before."""
        driver = PlanDriver(self._recorder, self._card, budget, seed)  # type: ignore[arg-type]  # it only runs steps
        self._recorder.streams = cached or []
        driver.run([self._prompts[stream] for stream in cached or []], 1)
        self._recorder.streams, self._recorder.bits = streams, {}
        outputs = driver.run([self._prompts[stream] for stream in streams], NUM_TOKENS)
        self.outputs = dict(zip(streams, outputs, strict=True))
        assert not cached or driver.num_cached_tokens > 100
        return self._recorder.bits

    def bits_resumed(self, streams: list[int], num_sent: int, budget: int, seed: int) -> Bits:
        """The streams' prompts with `num_sent` tokens of the last `outputs`, as after a scheduler's death."""
        driver = PlanDriver(self._recorder, self._card, budget, seed)  # type: ignore[arg-type]  # it only runs steps
        self._recorder.streams, self._recorder.bits = streams, {}
        prompts = [self._prompts[stream] + self.outputs[stream][:num_sent] for stream in streams]
        driver.run(prompts, NUM_TOKENS - num_sent)
        return self._recorder.bits


@pytest.mark.parametrize("backend", ["reference", "paged"])
@pytest.mark.parametrize("name", ["llama", "gemma2", "gpt2"])
def test_logits_do_not_depend_on_the_mixture(
    name: str, backend: AttentionChoice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_decoder(name, tmp_path)
    mixer = Mixer(tmp_path, backend, monkeypatch)
    everybody = list(range(len(LENGTHS)))
    alone: Bits = {}
    for stream in everybody:
        alone |= mixer.bits([stream], budget=1000, seed=stream)
    assert mixer.bits(everybody, budget=64, seed=1) == alone
    assert mixer.bits(everybody[::-1], budget=17, seed=2) == alone
    assert mixer.bits(everybody, budget=200, seed=3, cached=[9, 10, 11, 12]) == alone
    resumed = mixer.bits_resumed(everybody, 11, budget=50, seed=4)
    assert len(resumed) == len(everybody) * (NUM_TOKENS - 11)
    assert resumed.items() <= alone.items()


def test_equals_generate(tmp_path: Path) -> None:
    save_decoder("llama", tmp_path)
    prompts = make_prompts()
    card, decoder = open_decoder(tmp_path, batch_invariant=True)
    decoder.warm_up()
    expected = [tokens[:NUM_TOKENS] for tokens in generate(tmp_path, prompts)]
    assert PlanDriver(decoder, card, budget=64).run(prompts, NUM_TOKENS) == expected


def test_a_mixture_of_experts_is_refused(tmp_path: Path) -> None:
    save_decoder("mixtral", tmp_path)
    with pytest.raises(StartupError, match="mixture of experts"):
        open_decoder(tmp_path, batch_invariant=True)


def scores_of(encoder: Encoder, texts: list[list[int]]) -> list[bytes]:
    """The bits of each text's score, all in one step."""
    columns = make_columns(StepShape(StepKind.SCORE, len(texts), sum(map(len, texts)), num_labels=1))
    columns.num_new[:] = [len(text) for text in texts]
    columns.token_ids[:] = np.concatenate(texts)
    encoder.run(columns)
    assert not columns.row_status.any()
    return [score.tobytes() for score in columns.scores]


@pytest.mark.parametrize("name", ["bert", "modernbert_mean", "deberta_padded"])
def test_scores_do_not_depend_on_the_mixture(name: str, tmp_path: Path) -> None:
    save_scorer(name, tmp_path)
    _, encoder = open_encoder(tmp_path, batch_invariant=True)
    source = random.Random(1)
    texts = [[source.randrange(5, VOCAB) for _ in range(length)] for length in (1, 3, 17, 17, 40, 64, 100, 17, 3)]
    alone = [scores_of(encoder, [text])[0] for text in texts]
    assert scores_of(encoder, texts) == alone
    assert scores_of(encoder, texts[::-1]) == alone[::-1]
