"""The fixed set of requests that is asked over and over: streams, whole answers, scores, of many lengths.

Everything that is drawn at random has its seed in the request, so each has one right answer.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from scripts.load_testing.prompt_text import PromptText

COMPLETIONS, CHAT, SCORE = "/v1/completions", "/v1/chat/completions", "/v1/score"
SHARED_WORDS = 24  # equal beginning of the prompts that share one: more than a KV page
STREAM_OPTIONS = {"include_usage": True}


@dataclass(frozen=True)
class Question:
    """One request. `num_streams` is what the scheduler counts as its requests: choices, or one for all pairs."""

    name: str
    path: str
    body: bytes
    num_streams: int
    num_pairs: int = 0
    is_poison: bool = False


def make_questions(number: int, seed: int, generate_model: str, score_model: str | None) -> list[Question]:
    """`number` distinct questions, kinds taking turns. Without a score model there are no scores."""
    makers = [*_GENERATE_KINDS] + ([_score] if score_model else [])
    text = PromptText(seed)
    questions = []
    for index in range(number):
        maker = makers[index % len(makers)]
        questions.append(maker(text, index, seed, (score_model or "") if maker is _score else generate_model))
    return questions


def poison_question(model: str, token_ids: list[int]) -> Question:
    """A stream whose prompt holds the poisonous token."""
    body = {"model": model, "prompt": token_ids, "max_tokens": 32, "temperature": 0}
    return Question("poison", COMPLETIONS, msgspec.json.encode(body), 1, is_poison=True)


def _lengths(index: int) -> tuple[int, int]:
    """Words of the prompt and output tokens: different for all neighbours, the same every time."""
    return 4 + index * 7 % 40, 16 + index * 11 % 40


def _sampling(index: int, seed: int) -> dict[str, Any]:
    return {"temperature": 1.0, "top_p": 0.95, "seed": seed * 1000 + index}


def _generate(name: str, path: str, index: int, model: str, prompt: str, **fields: Any) -> Question:
    _, num_tokens = _lengths(index)
    where = {"messages": [{"role": "user", "content": prompt}]} if path == CHAT else {"prompt": prompt}
    body = {"model": model, "max_tokens": num_tokens, "ignore_eos": index % 5 != 0, **where, **fields}
    if body.get("stream"):
        body["stream_options"] = STREAM_OPTIONS
    return Question(f"{index} {name}", path, msgspec.json.encode(body), int(fields.get("n", 1)))


def _greedy_stream(text: PromptText, index: int, seed: int, model: str) -> Question:
    prompt = text.words("greedy", index, _lengths(index)[0])
    return _generate("greedy stream", COMPLETIONS, index, model, prompt, stream=True, temperature=0)


def _greedy_chat(text: PromptText, index: int, seed: int, model: str) -> Question:
    prompt = text.words("chat", index, _lengths(index)[0])
    return _generate("greedy chat", CHAT, index, model, prompt, stream=True, temperature=0)


def _seeded_stream(text: PromptText, index: int, seed: int, model: str) -> Question:
    prompt = text.with_shared("seeded", index, _lengths(index)[0] + SHARED_WORDS, SHARED_WORDS)
    return _generate("seeded stream", COMPLETIONS, index, model, prompt, stream=True, **_sampling(index, seed))


def _two_choices(text: PromptText, index: int, seed: int, model: str) -> Question:
    prompt = text.words("choices", index, _lengths(index)[0])
    return _generate("chat with n=2", CHAT, index, model, prompt, stream=True, n=2, **_sampling(index, seed))


def _whole_greedy(text: PromptText, index: int, seed: int, model: str) -> Question:
    prompt = text.with_shared("whole", index, _lengths(index)[0] + SHARED_WORDS, SHARED_WORDS)
    return _generate("whole completion", COMPLETIONS, index, model, prompt, temperature=0)


def _whole_two_choices(text: PromptText, index: int, seed: int, model: str) -> Question:
    prompt = text.words("whole-choices", index, _lengths(index)[0])
    return _generate("whole completion with n=2", COMPLETIONS, index, model, prompt, n=2, **_sampling(index, seed))


def _score(text: PromptText, index: int, seed: int, model: str) -> Question:
    num_pairs = 2 + index % 7
    documents = [text.words("document", index * 16 + pair, 8 + pair * 5 % 30) for pair in range(num_pairs)]
    body = {"model": model, "text_1": text.words("query", index, 6), "text_2": documents}
    return Question(f"{index} score", SCORE, msgspec.json.encode(body), 1, num_pairs)


_GENERATE_KINDS: tuple[Callable[[PromptText, int, int, str], Question], ...] = (
    _greedy_stream,
    _seeded_stream,
    _two_choices,
    _greedy_chat,
    _whole_greedy,
    _whole_two_choices,
)
