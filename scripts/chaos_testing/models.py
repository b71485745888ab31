"""Which models the server under test serves: given ones, or a Llama with random weights made on the spot."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from scripts.chaos_testing.options import ChaosOptions, are_fake

ROOT = Path(__file__).resolve().parents[2]
RERANKER = ROOT / "zerolane/tiny/tiny-rerank"
# Greedy and seeded answers are compared bit for bit: the exact back end, one type, no influence of the step's company.
EXACT_ARGUMENTS = ("--attention-backend=reference", "--dtype=float32", "--batch-invariant")
# A few rows take as long as reading the weights, which one thread does as fast as two: the other core is free for what
# a death costs. And bits are only promised for one number of threads.
VOCAB_SIZE = 20_000  # makes it 100 million parameters
SMALL_STEPS = ("--max-num-batched-tokens=16", "--threads=1", "--kv-cache-memory=512MiB")
MAX_MODEL_LEN = 512  # tokens
CHAT_TEMPLATE = (
    "{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant:{% endif %}"
)


@dataclass(frozen=True)
class ServedModels:
    """serve's arguments for the models, and a token that is in no question, no answer and no pair of texts."""

    arguments: tuple[str, ...]
    poison_token: int


def served_models(options: ChaosOptions, folder: Path) -> ServedModels:
    """The models of one soak; files that only it needs are put into `folder`. May take a minute the first time."""
    if options.model:  # fake ones, where poison is wanted: a token is a byte, and this one is no text
        return ServedModels((*options.model, *_exactness(options.model)), poison_token=1)
    # imported here: making a model needs torch, serving the fake ones does not
    from benchmarks.model_shapes import LLAMA_100M, default_model_dir, make_llama

    shape = replace(LLAMA_100M, name="chaos-llama-100m", vocab_size=VOCAB_SIZE, max_model_len=MAX_MODEL_LEN)
    llama = make_llama(shape, "float32", default_model_dir())
    template = folder / "chat_template.jinja"
    template.write_text(CHAT_TEMPLATE)
    arguments = (f"llama={llama}", f"rerank={RERANKER}", f"--chat-template={template}")
    return ServedModels((*arguments, *EXACT_ARGUMENTS, *SMALL_STEPS), poison_token=shape.vocab_size - 1)


def _exactness(models: Sequence[str]) -> tuple[str, ...]:
    """Fake models are exact by nature."""
    return ("--kv-cache-memory=64MiB",) if are_fake(models) else EXACT_ARGUMENTS
