"""When a stream is due: prompts are computed in this order, short ones first, and none waits for ever.

A model's clock counts the prompt tokens planned so far. A stream is due when it has counted STRETCH times the stream's
own tokens:

    due = clock when it was opened + STRETCH * tokens that must be computed for it

Of those that come together the shortest goes first. The bound: once STRETCH times its own tokens were planned, whatever
is opened is due later, however short it is. So a prompt of n tokens is passed only by what comes while STRETCH * n
tokens are computed: where work comes no faster than it is done, by no more than that, plus what came together with it.
(Within a priority class and a tenant: between those the order is theirs, see `waiting.py`.)

STRETCH is 4: in a mixture of 16 to 1,000 tokens nearly every shorter prompt passes a longer one that came a little
before it, while the longest waits for newcomers no longer than four prompts of its own length would have taken it.
Much more is starvation by another name for whoever asks for a thousand tokens; at 1, a prompt of half the length passes
only until half the longer one's tokens were planned, which is little more than the order of arrival.
"""

from collections.abc import Callable
from dataclasses import dataclass

from ipc.config import PromptOrder
from scheduler.stream import Stream

STRETCH = 4
AT_ONCE = -1  # due time of a stream that ran already: somebody reads its output


@dataclass(slots=True)
class PromptClock:
    """One of each generate model."""

    order: PromptOrder
    now: int = 0  # tokens planned in chunks
    num_opened: int = 0

    def set_due(self, stream: Stream, num_to_compute: Callable[[Stream], int]) -> None:
        """A stream is opened. One that comes with output had run under a scheduler that died: it goes on as if it had
        been preempted."""
        self.num_opened += 1
        stream.number = self.num_opened
        if stream.has_output:
            stream.due = AT_ONCE
        elif self.order == "arrival":
            stream.due = 0  # all the same: its number decides
        else:
            stream.due = self.now + STRETCH * num_to_compute(stream)
