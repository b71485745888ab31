"""How many tokens of an answer were thinking, for `usage`."""

from collections.abc import Sequence

from frontend.reasoning.format import ReasoningFormat
from frontend.tokenize import Tokenizer


def num_reasoning_tokens(
    token_ids: Sequence[int], tokenizer: Tokenizer, reasoning: ReasoningFormat, opens_reasoning: bool
) -> int:
    """Of a whole answer: the thinking with its tags. `opens_reasoning`: it began in the prompt. Tags are looked for in
    the tokens' bytes, for a tag may be one token or several."""
    if not reasoning.end:
        return 0
    texts = [tokenizer.token_bytes(token_id) for token_id in token_ids]
    whole = b"".join(texts)
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
