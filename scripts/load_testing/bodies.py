"""What is sent: the body of every request, a pure function of the options and the request's number.

So every server gets the same load, and no answer changes what is asked next. A conversation's earlier answers are
therefore words of ours in place of the model's; a prefix cache knows everything up to the last question, but not what
the model said to it.
"""

import random
from typing import Any

from msgspec import Struct

from scripts.load_testing.lengths import Lengths
from scripts.load_testing.options import LoadOptions
from scripts.load_testing.prompt_text import PromptText
from scripts.load_testing.word_length import ServedModel
from scripts.load_testing.workloads import Kind, KindName

QUERY_SHARE = 0.15  # of a score document's tokens: so long is the query
OPEN_CONVERSATIONS = 16  # at least; each has one turn in so many requests
CONTEXT_SHARE = 0.85  # of the model's context is used at most: word lengths are averages, and short texts differ most


class Call(Struct, frozen=True):
    """One request to be sent."""

    kind: KindName
    path: str
    body: dict[str, Any]
    num_texts: int = 0  # documents or texts in it


class Bodies:
    """Makes the requests of one load test. `models` are those that serve each kind of request."""

    def __init__(self, options: LoadOptions, models: dict[KindName, ServedModel]) -> None:
        self._options = options
        self._models = models
        self._kinds = {name: options.kind(name) for name in models}
        self._weights = [options.kinds[name] for name in models]
        self._text = PromptText(options.seed, options.salt)
        self._num_open = max(OPEN_CONVERSATIONS, *(2 * step.concurrency for step in options.steps))

    @property
    def model_names(self) -> str:
        """Every model that is asked, for people."""
        return ", ".join(dict.fromkeys(model.name for model in self._models.values()))

    def call(self, group: str, index: int) -> Call:
        """Request `index` of a group: "warmup", or a name for each step, so that no step repeats another's words."""
        source = random.Random(f"{self._options.seed}/{group}/{index}")
        name = source.choices(list(self._kinds), self._weights)[0]
        kind = self._kinds[name]
        if kind.task == "generate":
            return self._generate(name, kind, group, index, source)
        return self._texts(name, kind, group, index, source)

    def _generate(self, name: KindName, kind: Kind, group: str, index: int, source: random.Random) -> Call:
        model = self._models[name]
        room = model.room(CONTEXT_SHARE) if kind.lengths == "sharegpt" else None
        if name == "chat":
            asked, num_output = self._conversation(kind, model, group, index, room)
        else:
            num_prompt, num_output = _sizes(kind, source, room)
            shared = _shared_words(kind, model)
            asked = {"prompt": self._text.with_shared(group, index, shared + model.num_words(num_prompt), shared)}
        body: dict[str, Any] = {"model": model.name, "temperature": 0.0, "max_tokens": num_output, **asked}
        if self._options.ignore_eos:
            body["ignore_eos"] = True
        if self._options.stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        return Call(name, kind.path, body)

    def _conversation(
        self, kind: Kind, model: ServedModel, group: str, index: int, room: int | None
    ) -> tuple[dict[str, Any], int]:
        """Messages and output tokens: system prompt, as many earlier turns as fit into `room`, the question."""
        number, turn = self._turn(kind, index)
        place = f"{group}-{number}"
        turns = [_sizes(kind, random.Random(f"{self._options.seed}/{place}/{each}"), room) for each in range(turn + 1)]
        num_prompt, num_output = turns[turn]
        left = None if room is None else room - kind.shared_prefix_tokens - num_prompt - num_output
        messages = [self._message("user", place, turn, model, num_prompt)]
        for earlier in reversed(range(turn)):
            left = None if left is None else left - sum(turns[earlier])
            if left is not None and left < 0:
                break
            question = self._message("user", place, earlier, model, turns[earlier][0])
            messages[:0] = [question, self._message("assistant", place, earlier, model, turns[earlier][1])]
        shared = _shared_words(kind, model)
        system = [{"role": "system", "content": self._text.words("shared", 0, shared)}] if shared else []
        return {"messages": [*system, *messages]}, num_output

    def _message(self, role: str, place: str, turn: int, model: ServedModel, num_tokens: int) -> dict[str, str]:
        return {"role": role, "content": self._text.words(f"{place}-{role}", turn, model.words_of(num_tokens))}

    def _turn(self, kind: Kind, index: int) -> tuple[int, int]:
        """Conversation and turn of request `index`. So many conversations as are open take turns; each begins where
        the first request finds it, so that the load is the same from the first request to the last."""
        round_number, place = divmod(index, self._num_open)
        generation, turn = divmod(round_number + place, kind.turns)
        return generation * self._num_open + place, turn

    def _texts(self, name: KindName, kind: Kind, group: str, index: int, source: random.Random) -> Call:
        """A query with documents, or texts to embed."""
        model, num_texts = self._models[name], self._options.texts
        room = model.room(CONTEXT_SHARE) if kind.lengths == "sharegpt" else None
        num_query = max(1, round(kind.prompt_tokens * QUERY_SHARE)) if name == "score" else 0
        shared = _shared_words(kind, model)
        texts = []
        for number in range(num_texts):
            num_tokens = _prompt_lengths(kind).draw(source)
            if room is not None:
                num_tokens = max(1, min(num_tokens, room - num_query - kind.shared_prefix_tokens))
            own = model.num_words(num_tokens)
            before = 0 if name == "score" else shared  # a score request shares the start of its queries
            texts.append(self._text.with_shared(f"{group}-text", index * num_texts + number, before + own, before))
        if name == "embed":
            return Call(name, kind.path, {"model": model.name, "input": texts}, num_texts)
        query = self._text.with_shared(f"{group}-query", index, shared + model.words_of(num_query), shared)
        return Call(name, kind.path, {"model": model.name, "text_1": query, "text_2": texts}, num_texts)


def _shared_words(kind: Kind, model: ServedModel) -> int:
    return model.words_of(kind.shared_prefix_tokens) if kind.shared_prefix_tokens else 0


def _sizes(kind: Kind, source: random.Random, room: int | None) -> tuple[int, int]:
    """Tokens of a prompt and of its output, drawn; together with the shared prefix they fit into `room`."""
    num_prompt, num_output = _prompt_lengths(kind).draw(source), _output_lengths(kind).draw(source)
    if room is None:
        return num_prompt, num_output
    num_output = min(num_output, max(1, room // 2))
    return max(1, min(num_prompt, room - num_output - kind.shared_prefix_tokens)), num_output


def _prompt_lengths(kind: Kind) -> Lengths:
    return Lengths(kind.prompt_tokens, 0.0 if kind.lengths == "fixed" else kind.prompt_spread)


def _output_lengths(kind: Kind) -> Lengths:
    return Lengths(kind.max_tokens, 0.0 if kind.lengths == "fixed" else kind.output_spread)
