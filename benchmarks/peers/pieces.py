"""From the bytes of an answer, with the times they came, to the times of its tokens. Pure arithmetic, after the run."""

import itertools
from collections.abc import Iterator, Sequence

import msgspec
from msgspec import Struct

from benchmarks.peers.orders import RequestTimes

Pieces = Sequence[tuple[float, bytes]]
SAMPLE_CHARACTERS = 80


class Choice(Struct):
    text: str | None = None


class UsageTold(Struct):
    prompt_tokens: int = 0
    completion_tokens: int = 0


class Event(Struct):
    """The fields of a completion event that matter here; peers send others."""

    choices: list[Choice] = []
    usage: UsageTold | None = None
    error: msgspec.Raw = msgspec.Raw()


class Score(Struct):
    """As /v1/score and /rerank tell it."""

    index: int = 0
    score: float | list[float] | None = None  # zerolane may give a list, for models with several labels
    relevance_score: float | None = None


class ScoreAnswer(Struct):
    data: list[Score] = []
    results: list[Score] = []
    usage: UsageTold | None = None


_event = msgspec.json.Decoder(Event)
_score_answer = msgspec.json.Decoder(ScoreAnswer)


def generate_times(began: float, pieces: Pieces, start: float) -> RequestTimes:
    """Of one stream. `output_tokens` is what the peer itself counted. Raises RuntimeError when it told an error, told
    no usage or showed no text."""
    shown: list[float] = []
    texts: list[str] = []
    usage: UsageTold | None = None
    for now, event in _events(pieces):
        if event.error:
            raise RuntimeError(f"the stream told an error: {bytes(event.error)[:500]!r}")
        usage = event.usage or usage
        text = "".join(choice.text or "" for choice in event.choices)
        if text:
            shown.append(now)
            texts.append(text)
    if not shown or usage is None:
        tail = b"".join(piece for _, piece in pieces)[-300:]
        raise RuntimeError(f"a stream without text or usage; its last bytes: {tail!r}")
    return RequestTimes(
        began=began - start,
        first=shown[0] - start,
        ended=shown[-1] - start,
        gaps=[later - earlier for earlier, later in itertools.pairwise(shown)],
        output_tokens=usage.completion_tokens,
        prompt_tokens=usage.prompt_tokens,
        sample="".join(texts)[:SAMPLE_CHARACTERS],
    )


def score_times(began: float, pieces: Pieces, start: float) -> RequestTimes:
    """Of one request for scores, which come in the order of the documents. Raises RuntimeError when there are none."""
    if not pieces:
        raise RuntimeError("an empty answer")
    body = b"".join(piece for _, piece in pieces)
    answer = _score_answer.decode(body)
    found = sorted(answer.data or answer.results, key=lambda item: item.index)
    if not found:
        raise RuntimeError(f"no scores: {body[:300]!r}")
    ended = pieces[-1][0] - start
    return RequestTimes(
        began=began - start,
        first=ended,
        ended=ended,
        gaps=[],
        output_tokens=0,
        prompt_tokens=answer.usage.prompt_tokens if answer.usage is not None else 0,
        scores=[_number(item) for item in found],
    )


def _number(item: Score) -> float:
    """Raises RuntimeError for an item without a score."""
    score = item.score if item.score is not None else item.relevance_score
    if isinstance(score, list):
        score = score[0] if score else None
    if score is None:
        raise RuntimeError("an item without a score")
    return score


def _events(pieces: Pieces) -> Iterator[tuple[float, Event]]:
    """Server-sent events, each with the time its last byte came."""
    rest = b""
    for now, piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            data = line.strip().removeprefix(b"data:").strip() if line.startswith(b"data:") else b""
            if data and data != b"[DONE]":
                yield now, _event.decode(data)
