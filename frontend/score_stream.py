"""All sequences of one score or embed request on their way. Each counts once, however often it was asked for.

A sequence is a pair of texts for a reranker, one text for an embedding model.
"""

import numpy as np
import numpy.typing as npt
from msgspec import structs

from frontend.stream import Stream
from frontend.stream_group import StreamGroup
from ipc.messages import SubmitScore

_INT32 = np.dtype("<i4")


class ScoreStream(Stream):
    """`submit` is its first submission, without a number yet, with all pairs.

    `logits`: float32 [pairs, num_labels], NaN where nothing came yet; `num_labels` is the card's.
    """

    def __init__(self, submit: SubmitScore, group: "StreamGroup[ScoreStream]", num_labels: int = 1) -> None:
        super().__init__()
        num_pairs = len(submit.lengths) // _INT32.itemsize
        self.logits: npt.NDArray[np.float32] = np.full((num_pairs, num_labels), np.nan, np.float32)
        self._submit = submit
        self._group = group
        self._is_missing = np.ones(num_pairs, np.bool_)
        self._num_missing = num_pairs
        self._asked_for: npt.NDArray[np.intp] = np.arange(num_pairs)  # pair of the request, by index in the submission

    @property
    def num_labels(self) -> int:
        width: int = self.logits.shape[1]
        return width

    @property
    def is_finished(self) -> bool:
        return self._num_missing == 0 or self.error is not None

    @property
    def num_received(self) -> int:
        return len(self.logits) - self._num_missing

    def submission(self) -> SubmitScore:
        """Asks for the missing pairs; from now on `push` takes their indexes in this record."""
        self._asked_for = np.flatnonzero(self._is_missing)
        lengths = np.frombuffer(self._submit.lengths, _INT32)
        return structs.replace(
            self._submit,
            stream_id=self.stream_id,
            lengths=lengths[self._is_missing].tobytes(),
            token_ids=self._of_missing(self._submit.token_ids, lengths),
            token_type_ids=self._of_missing(self._submit.token_type_ids, lengths),
            resumes=self.was_submitted,
        )

    @property
    def scores(self) -> npt.NDArray[np.float32]:
        """[pairs]: the first label's column, all there is of a model with one."""
        return self.logits[:, 0]

    def push(self, index: int, logits: "float | npt.NDArray[np.float32]") -> None:
        """The outputs [num_labels] (a number where there is one) of a pair of the latest submission.

        A pair that comes twice counts once.
        """
        if not 0 <= index < len(self._asked_for):
            return
        pair = self._asked_for[index]
        if not self._is_missing[pair]:
            return
        self.logits[pair] = logits
        self._is_missing[pair] = False
        self._num_missing -= 1
        if self._num_missing == 0 or self._group.tells_text:
            self._group.tell(self)

    @property
    def has_come(self) -> npt.NDArray[np.bool_]:
        """[pairs]: those whose outputs are here."""
        return ~self._is_missing

    def fail(self, error: BaseException) -> None:
        self.error = error
        self._group.tell(self)

    def _of_missing(self, column: bytes, lengths: npt.NDArray[np.int32]) -> bytes:
        """The part of a token column that belongs to missing pairs."""
        if not column or not self.num_received:
            return column
        return np.frombuffer(column, _INT32)[np.repeat(self._is_missing, lengths)].tobytes()
