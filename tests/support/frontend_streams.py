"""Streams of a frontend without a process: made in one line, with a link that keeps what is sent."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
from msgspec import Struct

from frontend.byte_tokenizer import ByteTokenizer
from frontend.detokenize import NONE_SHOWN, Detokenizer
from frontend.from_scheduler import SchedulerReceiver
from frontend.open_streams import OpenStreams
from frontend.score_stream import ScoreStream
from frontend.stream_group import StreamGroup
from frontend.submissions import Submissions
from frontend.to_scheduler import ToScheduler
from frontend.token_stream import TextRules, TokenStream
from ipc.codec import encode
from ipc.messages import Abort, SamplingParams, SubmitGenerate, SubmitScore, Welcome

R = TypeVar("R", bound=Struct)


def token_stream(
    group: StreamGroup[TokenStream] | None = None,
    choice: int = 0,
    prompt: str = "prompt",
    detokenizer: Detokenizer | None = None,
    num_logprobs: int = -1,
    num_prompt_logprobs: int = -1,
    **text_rules: Any,
) -> TokenStream:
    """One choice; its tokens are bytes. `text_rules` are those of TextRules."""
    column = np.frombuffer(prompt.encode(), np.uint8).astype("<i4").tobytes()
    submit = SubmitGenerate(
        0,
        "request",
        0,
        column,
        100,
        SamplingParams(seed=7),
        num_logprobs=num_logprobs,
        num_prompt_logprobs=num_prompt_logprobs,
    )
    group = group or StreamGroup(tells_text=True)
    return TokenStream(submit, group, choice, OneDetokenizer(detokenizer), TextRules(**text_rules))


class OneDetokenizer(ByteTokenizer):
    """Gives every stream the same detokenizer, where there is one."""

    def __init__(self, detokenizer: Detokenizer | None) -> None:
        self._detokenizer = detokenizer

    def detokenizer(self, shown: frozenset[str] | None = NONE_SHOWN, after: Sequence[int] = ()) -> Detokenizer:
        return self._detokenizer or super().detokenizer(shown, after)


def score_stream(
    pairs: Sequence[Sequence[int]], group: StreamGroup[ScoreStream] | None = None, types: bool = False
) -> ScoreStream:
    """Pairs of token ids; `types`: each token's type id is its id + 100."""
    lengths = np.array([len(pair) for pair in pairs], "<i4")
    ids = np.array([token for pair in pairs for token in pair], "<i4")
    type_ids = (ids + 100).tobytes() if types else b""
    submit = SubmitScore(0, "request", 1, lengths.tobytes(), ids.tobytes(), type_ids)
    return ScoreStream(submit, group or StreamGroup(tells_text=False))


def pairs_of(record: SubmitScore) -> list[list[int]]:
    """The token ids of each pair a submission asks for."""
    ends = np.frombuffer(record.lengths, "<i4").cumsum()[:-1]
    return [pair.tolist() for pair in np.split(np.frombuffer(record.token_ids, "<i4"), ends)]


def text_of(record: SubmitGenerate) -> str:
    """A submission's prompt, output so far included."""
    return bytes(np.frombuffer(record.prompt, "<i4").tolist()).decode()


class RecordingSender(ToScheduler):
    """Keeps what would be sent; takes `room` submissions, and while `takes_aborts` all aborts, then it is full."""

    def __init__(self) -> None:
        super().__init__("ipc:///nowhere", 0, 1)
        self.sent: list[Struct] = []
        self.room = 1 << 30
        self.takes_aborts = True
        self.num_links = 0
        self.rest: list[bytes] = []  # frames that have arrived when `take_rest` is called
        self._on_frame: Callable[[bytes], None] | None = None

    def connect(self, on_frame: Callable[[bytes], None]) -> None:
        self.close()
        self._on_frame = on_frame
        self._welcomed.clear()
        self.num_links += 1

    def take_rest(self) -> None:
        while self.rest and self._on_frame is not None:
            self._on_frame(self.rest.pop(0))

    def send(self, record: Struct) -> bool:
        if isinstance(record, Abort):
            if not self.takes_aborts:
                return False
        elif self.room <= 0:
            return False
        else:
            self.room -= 1
        self.sent.append(record)
        return True

    def take(self, kind: type[R]) -> list[R]:
        """What was sent of this kind since the last call."""
        taken = [record for record in self.sent if isinstance(record, kind)]
        self.sent = [record for record in self.sent if not isinstance(record, kind)]
        return taken

    def aborted(self) -> list[int]:
        """The numbers given up since the last call."""
        return [number for record in self.take(Abort) for number in np.frombuffer(record.stream_ids, "<u8").tolist()]


class FrontendCore:
    """Everything of a frontend that deals with the scheduler, linked and welcomed by epoch 1."""

    def __init__(self, resume_timeout_s: float = 30.0) -> None:
        self.streams = OpenStreams()
        self.sender = RecordingSender()
        self.submissions = Submissions(self.streams, self.sender, resume_timeout_s)
        self.receiver = SchedulerReceiver(self.streams, self.submissions, self.sender)
        self.sender.connect(self.receiver.on_frame)
        self.take(Welcome(1))

    def take(self, record: Struct) -> None:
        """A record of the scheduler arrives."""
        self.receiver.on_frame(encode(record))

    def lose_scheduler(self, epoch: int) -> None:
        """As the supervisor tells it; `epoch` is the successor's, which says Welcome at once."""
        self.receiver.scheduler_gone(epoch)
        self.take(Welcome(epoch))
