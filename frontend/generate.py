"""Opens the streams of a completions or chat request with the scheduler; gives them up when it ends early."""

from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from frontend.request_rules import GenerateRules, choice_sampling, token_column
from frontend.serving import Serving
from frontend.stream_group import StreamGroup
from frontend.text_model import TextModel
from frontend.token_stream import TokenStream
from ipc.messages import SamplingParams, SubmitGenerate


@dataclass(frozen=True)
class Prompt:
    """One prompt and the output it may have, in tokens."""

    token_ids: Sequence[int]
    max_tokens: int


class Choices:
    """All choices of one request: index = prompt index * n + i. A context manager: leaving it aborts what is open."""

    def __init__(
        self, serving: Serving, model: TextModel, prompts: Sequence[Prompt], rules: GenerateRules, request_id: str
    ) -> None:
        self._serving = serving
        self._model = model
        self._prompts = prompts
        self._rules = rules
        self._request_id = request_id
        self._group: StreamGroup[TokenStream] = StreamGroup(tells_text=rules.stream)
        self.streams = self._new_streams()
        self._num_open = len(self.streams)  # choices whose end `changed` has not told yet

    def submit(self) -> None:
        """Hands all streams to the scheduler. Raises RequestError when the link is full; `__exit__` cleans up."""
        for stream in self.streams:
            self._serving.submissions.open(stream)

    @property
    def is_open(self) -> bool:
        """`changed` will tell more."""
        return self._num_open > 0

    async def changed(self) -> list[TokenStream]:
        """The choices with something new; waits for it. Raises the error of a choice that failed."""
        changed = await self._group.changed()
        for stream in changed:
            if stream.error is not None:
                raise stream.error
            if stream.finish_reason is not None:  # the last news of a stream, told once
                self._num_open -= 1
        return changed

    async def finished(self) -> list[TokenStream]:
        """All choices, once all have ended. Raises the error of one that failed."""
        while self.is_open:
            await self.changed()
        return self.streams

    def usage(self) -> dict[str, Any]:
        """OpenAI's usage object over all choices: a prompt counts once, however many choices it has."""
        num_prompt = sum(len(prompt.token_ids) for prompt in self._prompts)
        num_output = sum(stream.num_tokens for stream in self.streams)
        num_cached = sum(stream.num_cached for stream in self.streams[:: self._rules.num_choices])
        return {
            "prompt_tokens": num_prompt,
            "completion_tokens": num_output,
            "total_tokens": num_prompt + num_output,
            "prompt_tokens_details": {"cached_tokens": num_cached},
        }

    def __enter__(self) -> "Choices":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._serving.submissions.close(self.streams)

    def _new_streams(self) -> list[TokenStream]:
        rules = self._rules
        samplings = [choice_sampling(rules, choice) for choice in range(rules.num_choices)]
        submits = [self._submit(prompt, sampling) for prompt in self._prompts for sampling in samplings]
        return [
            TokenStream(
                submit, self._group, choice, self._model.tokenizer.detokenizer(), rules.stops, rules.stop_token_ids
            )
            for choice, submit in enumerate(submits)
        ]

    def _submit(self, prompt: Prompt, sampling: SamplingParams) -> SubmitGenerate:
        rules = self._rules
        return SubmitGenerate(
            stream_id=0,
            request_id=self._request_id,
            model=self._model.card.index,
            prompt=token_column(prompt.token_ids),
            max_tokens=prompt.max_tokens,
            sampling=sampling,
            stop_token_ids=token_column(rules.stop_token_ids),
            ignore_eos=rules.ignore_eos,
            cache_salt=rules.cache_salt,
            priority=rules.priority,
        )
