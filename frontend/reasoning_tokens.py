"""How many tokens of an answer were thinking, for `usage`."""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import accumulate

from frontend.answer_parts import Reasoning
from frontend.reasoning.format import PLAIN, ReasoningFormat
from frontend.tokenize import Tokenizer


def num_reasoning_tokens(
    token_ids: Sequence[int], tokenizer: Tokenizer, reasoning: ReasoningFormat, opens_reasoning: bool
) -> int:
    """Of a whole answer: the thinking with its tags; without them where the form has no closing tag. `opens_reasoning`:
    it began in the prompt. Tags are looked for in the tokens' bytes, for a tag may be one token or several."""
    if reasoning is PLAIN:
        return 0
    texts = [tokenizer.token_bytes(token_id) for token_id in token_ids]
    whole = b"".join(texts)
    if not reasoning.end:
        return _num_in_thoughts(texts, whole, _thoughts(whole, reasoning, opens_reasoning))
    if not (opens_reasoning or reasoning.always_opens or whole.lstrip().startswith(reasoning.start.encode())):
        return 0
    end = whole.find(reasoning.end.encode())
    if end < 0:
        return len(token_ids)
    num_bytes = 0
    for number, text in enumerate(texts, 1):
        num_bytes += len(text)
        if num_bytes >= end + len(reasoning.end.encode()):
            return number
    return len(token_ids)


def _thoughts(whole: bytes, reasoning: ReasoningFormat, opens_reasoning: bool) -> list[bytes]:
    """What the form's own parser takes for thinking, in order. Broken characters stay the bytes that they are."""
    parser = reasoning.make(opens_reasoning)
    pieces = [whole.decode(errors="surrogateescape")]
    if reasoning.shown_tokens:  # a parser joins what one text has on both sides of a tag
        pieces = re.split("(" + "|".join(map(re.escape, sorted(reasoning.shown_tokens))) + ")", pieces[0])
    parts = [part for piece in pieces for part in parser.push(piece)] + parser.finish()
    return [part.text.encode(errors="surrogateescape") for part in parts if isinstance(part, Reasoning)]


def _num_in_thoughts(texts: Sequence[bytes], whole: bytes, thoughts: Sequence[bytes]) -> int:
    """Tokens that have some of the thoughts in them."""
    ends = list(accumulate(map(len, texts)))
    count = num_seen = place = 0
    for thought in thoughts:
        begin = whole.find(thought, place)
        if begin < 0 or not thought:
            continue
        place = begin + len(thought)
        first = max(num_seen, bisect_right(ends, begin))
        num_seen = bisect_left(ends, place) + 1
        count += max(0, num_seen - first)
    return count
