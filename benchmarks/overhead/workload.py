"""What is measured: the same numbers for the bare loop, the server and the transformers loop."""

import random

from msgspec import Struct


class Workload(Struct, frozen=True, kw_only=True):
    """One benchmark's settings. Travels to the loops' processes as JSON."""

    model_path: str
    dtype: str
    attention: str
    threads: int
    max_num_batched_tokens: int
    prompt_tokens: int
    output_tokens: int
    most_streams: int


class RunOrder(Struct, frozen=True):
    """One run of a loop. Another seed, other prompts."""

    num_streams: int
    output_tokens: int
    seed: int


def make_prompts(text_ids: list[int], order: RunOrder, prompt_tokens: int) -> list[list[int]]:
    """[streams][prompt tokens] token ids."""
    source = random.Random(order.seed)
    return [source.choices(text_ids, k=prompt_tokens) for _ in range(order.num_streams)]
