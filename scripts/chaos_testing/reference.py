"""The undisturbed answers, and what differs from them."""

from collections.abc import Sequence

from msgspec import Struct

from scripts.chaos_testing.answers import Answer
from scripts.chaos_testing.http_client import Attempt


class Difference(Struct, frozen=True):
    """One attempt whose answer is not the undisturbed one."""

    question: str
    began_s: float
    expected: str
    got: str


class Reference:
    """One answer for each question, the first that came."""

    def __init__(self, attempts: Sequence[Attempt]) -> None:
        self._answers: dict[str, Answer] = {}
        for attempt in attempts:
            if attempt.answer is not None:
                self._answers.setdefault(attempt.question.name, attempt.answer)

    def differences(self, attempts: Sequence[Attempt]) -> list[Difference]:
        """Answers that are not equal in every byte, count and float. Attempts without an answer are not looked at."""
        found = []
        for attempt in attempts:
            expected = self._answers.get(attempt.question.name)
            if attempt.answer is not None and attempt.answer != expected:
                shown = _first_difference(expected, attempt.answer)
                found.append(Difference(attempt.question.name, attempt.began, *shown))
        return found


def _first_difference(expected: Answer | None, got: Answer) -> tuple[str, str]:
    """The two from shortly before where they part."""
    texts = repr(expected), repr(got)
    same = next((i for i, (a, b) in enumerate(zip(*texts, strict=False)) if a != b), min(map(len, texts)))
    begin = max(0, same - 40)
    return texts[0][begin : same + 80], texts[1][begin : same + 80]
