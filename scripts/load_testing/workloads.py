"""The workloads by name: what a request is, and the sizes it has where the command line does not say."""

from typing import Literal

from msgspec import Struct

Task = Literal["generate", "score", "embed"]
WorkloadName = Literal["completion", "chat", "long", "score", "embed", "mixed"]
KindName = Literal["completion", "chat", "long", "score", "embed"]  # of one request: everything but "mixed"
LengthShape = Literal["fixed", "sharegpt"]


class Kind(Struct, frozen=True, kw_only=True):
    """One kind of request. Sizes are in tokens; with lengths of the shape "sharegpt" they are the means."""

    about: str
    task: Task
    path: str
    lengths: LengthShape = "fixed"
    prompt_tokens: int
    max_tokens: int = 0
    prompt_spread: float = 1.2  # sigma of the log-normal distribution: e**sigma is one standard deviation as a factor
    output_spread: float = 0.9
    shared_prefix_tokens: int = 0
    turns: int = 1


KINDS: dict[KindName, Kind] = {
    "completion": Kind(
        about="one prompt, all of one size",
        task="generate",
        path="/v1/completions",
        prompt_tokens=128,
        max_tokens=64,
    ),
    "chat": Kind(
        about="conversations of up to 4 turns behind one system prompt that all share",
        task="generate",
        path="/v1/chat/completions",
        lengths="sharegpt",
        prompt_tokens=80,
        max_tokens=100,
        shared_prefix_tokens=200,
        turns=4,
    ),
    "long": Kind(
        about="long prompts, short answers",
        task="generate",
        path="/v1/completions",
        lengths="sharegpt",
        prompt_tokens=2000,
        max_tokens=64,
        prompt_spread=0.5,
    ),
    "score": Kind(
        about="one query and --texts documents a request",
        task="score",
        path="/v1/score",
        lengths="sharegpt",
        prompt_tokens=100,
        prompt_spread=0.7,
    ),
    "embed": Kind(
        about="--texts texts a request",
        task="embed",
        path="/v1/embeddings",
        lengths="sharegpt",
        prompt_tokens=100,
        prompt_spread=0.7,
    ),
}
MIX: dict[KindName, float] = {"chat": 6, "completion": 2, "long": 1, "score": 2, "embed": 1}  # of "mixed"
WORKLOADS: tuple[WorkloadName, ...] = ("completion", "chat", "long", "score", "embed", "mixed")
