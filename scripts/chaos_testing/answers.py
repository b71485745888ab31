"""What came back, in a form that can be compared: texts, reasons, token counts and scores, but no ids and no times."""

from typing import Any

import msgspec
from msgspec import Struct


class BrokenAnswer(Exception):
    """What came back is no proper answer; the text says why."""


class ChoiceText(Struct, frozen=True):
    text: str
    finish_reason: str


class Answer(Struct, frozen=True):
    """All a client can rely on."""

    choices: tuple[ChoiceText, ...] = ()
    prompt_tokens: int = 0
    completion_tokens: int = 0
    scores: tuple[float, ...] = ()


class StreamedAnswer:
    """Puts an answer together from its events."""

    def __init__(self) -> None:
        self._texts: dict[int, list[str]] = {}
        self._reasons: dict[int, str] = {}
        self._usage: dict[str, int] = {}
        self._is_done = False

    def take(self, data: bytes) -> list[int]:
        """One event; the choices it has text of. Raises BrokenAnswer for an error or what must not come here."""
        if self._is_done:
            raise BrokenAnswer("an event after [DONE]")
        if data == b"[DONE]":
            self._is_done = True
            return []
        event = _decoded(data)
        self._usage = event.get("usage") or self._usage
        return [choice["index"] for choice in event["choices"] if self._take_choice(choice)]

    def answer(self) -> Answer:
        """The whole. Raises BrokenAnswer when its end is missing."""
        if not self._is_done:
            raise BrokenAnswer("the stream ended without [DONE]")
        if not self._texts or self._texts.keys() != self._reasons.keys():
            raise BrokenAnswer("a choice has no finish_reason")
        choices = [ChoiceText("".join(self._texts[index]), self._reasons[index]) for index in sorted(self._texts)]
        return _with_usage(choices, self._usage)

    def _take_choice(self, choice: dict[str, Any]) -> bool:
        index = choice["index"]
        if index in self._reasons:
            raise BrokenAnswer("an event of a choice after its finish_reason")
        text = choice.get("text") or choice.get("delta", {}).get("content") or ""
        self._texts.setdefault(index, []).append(text)
        if choice["finish_reason"] is not None:
            self._reasons[index] = choice["finish_reason"]
        return bool(text)


def whole_answer(body: bytes) -> Answer:
    """An answer that came in one piece. Raises BrokenAnswer for an error."""
    found = _decoded(body)
    if "data" in found:
        return Answer(scores=tuple(_score(item) for item in sorted(found["data"], key=lambda item: item["index"])))
    choices = [
        ChoiceText(choice["text"] if "text" in choice else choice["message"]["content"], choice["finish_reason"])
        for choice in sorted(found["choices"], key=lambda choice: choice["index"])
    ]
    return _with_usage(choices, found["usage"])


def error_code(body: bytes) -> str:
    """The code in an error's body, or its beginning where there is none."""
    try:
        return str(msgspec.json.decode(body)["error"]["code"])
    except (msgspec.DecodeError, KeyError, TypeError):
        return body[:200].decode(errors="replace")


def _decoded(data: bytes) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(data, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise BrokenAnswer(f"not JSON: {error}") from error
    if "error" in found:
        raise BrokenAnswer(f"error {found['error'].get('code')}: {found['error'].get('message')}")
    return found


def _score(item: dict[str, Any]) -> float:
    score = item["score"]
    return float(score[0] if isinstance(score, list) else score)


def _with_usage(choices: list[ChoiceText], usage: dict[str, int]) -> Answer:
    return Answer(tuple(choices), usage.get("prompt_tokens", 0), usage.get("completion_tokens", 0))
