"""Steps from the scheduler: with `to_scheduler.py` the only place where a worker touches its link.

A link comes and goes with a scheduler's life; between two links there is simply nothing to do.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ipc.arena import ArenaReader, Handle
from ipc.doorbell import Doorbell
from ipc.errors import ProtocolError
from ipc.segments import Segment
from ipc.step_layout import StepColumns, read_columns
from ipc.worker_link import StepTicket, WorkerLink
from workers.rules_of_rows import ReadRules


class Step(NamedTuple):
    """A step to run. `columns` are views on the arena: valid until the step is reported."""

    ticket: StepTicket
    columns: StepColumns


def open_link(epoch: int, fds: list[int]) -> WorkerLink:
    """The link a LinkWorker message brought. Takes over the descriptors [link segment, own bell, scheduler's bell]."""
    if len(fds) != 3:
        raise ProtocolError(f"a worker's link comes with 3 descriptors, not {len(fds)}")
    return WorkerLink(Segment.attach(fds[0]), epoch, Doorbell(fds[1]), Doorbell(fds[2]))


def next_ticket(link: WorkerLink) -> StepTicket | None:
    """The next step's ticket, None if there is none. Raises FencedError when the link belongs to another epoch."""
    return link.poll()


def read_step(arena: ArenaReader, ticket: StepTicket, epoch: int) -> Step:
    """The columns behind a ticket. Raises StaleHandle, or ProtocolError for what is no plan of this epoch."""
    columns = read_columns(arena.view(ticket.handle))
    if columns.header.epoch != epoch:
        raise ProtocolError(f"step {ticket.step_id} was planned for epoch {columns.header.epoch}, this is {epoch}")
    return Step(ticket, columns)


def rules_reader(arena: ArenaReader) -> ReadRules:
    """What models read the encoded rules of streams with; it raises StaleHandle when their lease has ended."""

    def read(words: npt.NDArray[np.uint64]) -> bytes:
        handle = Handle(*words.tolist())
        rules = bytes(arena.view(handle))
        arena.view(handle)  # still leased: what was read belongs to the handle
        return rules

    return read


def wait_for_step(link: WorkerLink, timeout_s: float, control_fd: int) -> bool:
    """Sleep until a step or a control message is there; True: a control message. Raises FencedError."""
    return bool(link.wait(timeout_s, (control_fd,)))
