"""One choice on its way: tokens come in, text goes out. It keeps its tokens, so any scheduler can go on after them."""

from array import array
from collections.abc import Sequence

from msgspec import structs

from frontend.detokenize import Detokenizer
from frontend.stop_strings import StopStrings
from frontend.stream import Stream
from frontend.stream_group import StreamGroup
from ipc.messages import FinishReason, SubmitGenerate

FINISH_NAMES = {FinishReason.STOP: "stop", FinishReason.LENGTH: "length", FinishReason.ABORT: "abort"}


class TokenStream(Stream):
    """`submit` is its first submission, without a number yet."""

    def __init__(
        self,
        submit: SubmitGenerate,
        group: "StreamGroup[TokenStream]",
        choice: int,
        detokenizer: Detokenizer,
        stops: Sequence[str],
        stop_token_ids: Sequence[int],
    ) -> None:
        super().__init__()
        self.choice = choice  # index in the reply
        self.num_cached = 0  # prompt tokens found in the prefix cache when the first token was computed
        self.finish_reason: str | None = None
        self.stop_reason: str | int | None = None
        self._submit = submit
        self._group = group
        self._detokenizer = detokenizer
        self._stops = StopStrings(stops)
        self._stop_token_ids = stop_token_ids
        self._output = array("i")  # int32, 4 bytes a token
        self._text: list[str] = []

    @property
    def num_tokens(self) -> int:
        """Output tokens so far: also the position the next one must have."""
        return len(self._output)

    @property
    def num_received(self) -> int:
        return len(self._output)

    @property
    def is_finished(self) -> bool:
        return self.finish_reason is not None or self.error is not None

    def submission(self) -> SubmitGenerate:
        """Goes on after the last token: the output so far is the end of the prompt. Draws are keyed by (seed,
        position), so the rest is what it would have been."""
        return structs.replace(
            self._submit,
            stream_id=self.stream_id,
            prompt=self._submit.prompt + self._output.tobytes(),
            num_output=len(self._output),
            resumes=self.was_submitted,
        )

    def take_text(self) -> str:
        """The text that gathered since the last call."""
        text = "".join(self._text)
        self._text.clear()
        return text

    def push(self, token_id: int, finish: int, num_cached: int) -> None:
        """The next token. `finish`: a FinishReason; a stopping token is counted but shows no text."""
        if not self._output:  # later on the output may have been in a cache too
            self.num_cached = num_cached
        if finish != FinishReason.ABORT:
            self._output.append(token_id)
        if finish in (FinishReason.NONE, FinishReason.LENGTH):
            self._add(self._stops.push(self._detokenizer.push(token_id)))
        if self._stops.matched is not None:
            self.finish_reason, self.stop_reason = "stop", self._stops.matched
        elif finish != FinishReason.NONE:
            self._add(self._stops.finish())
            self.finish_reason = FINISH_NAMES[FinishReason(finish)]
            if finish == FinishReason.STOP and token_id in self._stop_token_ids:
                self.stop_reason = token_id
        elif not self._text or not self._group.tells_text:
            return  # all of it is held back, or nobody wants parts
        self._group.tell(self)

    def fail(self, error: BaseException) -> None:
        self.error = error
        self._group.tell(self)

    def _add(self, text: str) -> None:
        if text:
            self._text.append(text)
