"""Which tokens belong to the text of an answer.

A choice's tokens also hold its thinking, its calls, and the tags around them. The text is found among the tokens' own
bytes, from where the last text ended, so it does not matter how either was divided.
"""

from collections import deque
from collections.abc import Iterable

from frontend.output_tokens import OutputToken


class TextTokens:
    """Tokens of one choice that no text was found in yet."""

    def __init__(self) -> None:
        self._tokens: deque[OutputToken] = deque()
        self._bytes = bytearray()  # of `_tokens`, less the first `_num_taken` of the first one
        self._num_taken = 0

    def add(self, tokens: Iterable[OutputToken]) -> None:
        for token in tokens:
            self._tokens.append(token)
            self._bytes += token.text

    def take(self, text: str) -> list[OutputToken]:
        """The tokens in which the text begins or goes on, each told once; what lies before them is passed over."""
        wanted = text.encode()
        begin = self._bytes.find(wanted)
        if begin < 0 or not wanted:
            return []  # the bytes of a broken character are shown as another one
        found: list[OutputToken] = []
        end = begin + len(wanted)
        del self._bytes[:end]
        place = -self._num_taken  # of the first token's first byte, relative to the old beginning
        while self._tokens and place < end:
            token = self._tokens[0]
            next_place = place + len(token.text)
            was_told = place < 0
            if next_place > begin and not was_told:
                found.append(token)
            if next_place > end:
                self._num_taken = end - place
                return found
            self._tokens.popleft()
            place = next_place
        self._num_taken = 0
        return found
