"""Reports to the scheduler: with `from_scheduler.py` the only place where a worker touches its link."""

from ipc.worker_link import StepTicket, WorkerLink


def report_done(link: WorkerLink, ticket: StepTicket) -> None:
    """The result columns are written. Afterwards the block is the scheduler's: touch no column of it any more.

    Raises FencedError when the link belongs to another epoch: then nobody wants the result.
    """
    link.done(ticket)


def report_failed(link: WorkerLink, ticket: StepTicket, text: str) -> None:
    """The step could not be computed; `text` is for the log. Raises FencedError."""
    link.failed(ticket, text)
