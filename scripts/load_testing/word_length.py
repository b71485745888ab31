"""How many tokens words have, for a model: the server itself is asked. Nothing here knows a tokenizer."""

import time
from typing import Any

from msgspec import Struct

from scripts.load_testing.answers import Model
from scripts.load_testing.options import LoadOptions
from scripts.load_testing.prompt_text import PromptText
from scripts.load_testing.records import Outcome, RequestRecord
from scripts.load_testing.server import Server, ServerError
from scripts.load_testing.workloads import KINDS, KindName, Task

SAMPLE_WORDS = (16, 96)  # two lengths give the tokens of a word, and those around the text (a chat template)


class ServedModel(Struct, frozen=True):
    """A model and its word length: tokens = around + per_word * words."""

    name: str
    per_word: float = 1.0
    around: float = 0.0
    max_model_len: int | None = None

    def num_words(self, num_tokens: int) -> int:
        """Words of a text that is about `num_tokens` tokens long with what is put around it."""
        return max(1, round((num_tokens - self.around) / self.per_word))

    def words_of(self, num_tokens: int) -> int:
        """Words that are about `num_tokens` tokens by themselves."""
        return max(1, round(num_tokens / self.per_word))

    def room(self, share: float) -> int | None:
        """Tokens of the context that prompt and output may fill together; None: the server does not say."""
        return None if self.max_model_len is None else max(2, int(self.max_model_len * share - self.around))


async def served_models(server: Server, options: LoadOptions) -> dict[KindName, ServedModel]:
    """The model of each kind of request in the workload, measured. Kinds that nothing serves are left out of a mixed
    workload whose mix was not given. Raises ServerError."""
    listed = await server.models()
    chosen = {name: _choose(listed, KINDS[name].task, options) for name in options.kinds}
    may_miss = options.workload == "mixed" and options.mix is None
    for name, model in chosen.items():
        if model is None and not may_miss:
            raise ServerError(
                f"{options.url} serves no model with task {KINDS[name].task}; it has: {[model.id for model in listed]}"
            )
    found = {name: model for name, model in chosen.items() if model is not None}
    if not found:
        raise ServerError(f"{options.url} serves no model")
    return {name: await _measured(server, options, name, model) for name, model in found.items()}


def _choose(listed: list[Model], task: Task, options: LoadOptions) -> Model | None:
    is_main = options.workload != "mixed" or task == "generate"
    if options.model and is_main:
        same = [model for model in listed if model.id == options.model]
        return same[0] if same else Model(options.model)  # an adapter or alias may be served without being listed
    wanted = (task, None) if is_main else (task,)  # a server that does not say the task is not asked for everything
    return next((model for model in listed if model.task in wanted), None)


async def _measured(server: Server, options: LoadOptions, name: KindName, model: Model) -> ServedModel:
    few, many = SAMPLE_WORDS
    num_short = await _num_tokens(server, options, name, model.id, few)
    num_long = await _num_tokens(server, options, name, model.id, many)
    if num_short is None or num_long is None or num_long <= num_short:
        return ServedModel(model.id, max_model_len=model.max_model_len)
    per_word = (num_long - num_short) / (many - few)
    return ServedModel(model.id, per_word, num_short - per_word * few, model.max_model_len)


async def _num_tokens(server: Server, options: LoadOptions, name: KindName, model: str, num_words: int) -> int | None:
    """Tokens of a prompt of so many words, as the server counts them; None: it does not say. Raises ServerError."""
    text = PromptText(options.seed, options.salt).words("sample", num_words, num_words)
    record = RequestRecord(time.perf_counter())
    await server.ask(KINDS[name].path, {"model": model} | _sample(name, text), record)
    if record.outcome is not Outcome.OK:
        raise ServerError(f"a first request failed: {record.error} {record.error_detail}")
    if record.num_prompt_tokens is None:
        return await server.count_tokens(model, text)
    return record.num_prompt_tokens


def _sample(name: KindName, text: str) -> dict[str, Any]:
    match name:
        case "score":
            words = text.split(" ")
            half = len(words) // 2
            return {"text_1": " ".join(words[:half]), "text_2": [" ".join(words[half:])]}
        case "embed":
            return {"input": [text]}
        case "chat":
            return {"messages": [{"role": "user", "content": text}], "max_tokens": 1}
        case _:
            return {"prompt": text, "max_tokens": 1}
