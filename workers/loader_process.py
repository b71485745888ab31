"""The loader: reads the models' weights into the supervisor's segments, once, and ends.

    control link: StartLoader -> Inspected -> WeightSegments -> Loaded -> exit 0, with Progress in between

What it learns goes into the model cards; every worker follows those. Fake models never come here.
"""

import logging

from ipc.config import LoaderConfig
from ipc.control_link import ControlLink, LinkClosed
from ipc.control_messages import Fatal, StartLoader, ToChild
from ipc.errors import ProtocolError, StartupError, ZerolaneError
from ipc.process_log import configure
from workers.child_life import die_with_parent, leave_at_once
from workers.compute_threads import limit_spinning

_logger = logging.getLogger("zerolane.workers.loader_process")


def main(control_fd: int) -> int:
    """The loader's life on its control link; returns the exit status."""
    die_with_parent()
    limit_spinning()
    control = ControlLink.of_child(control_fd)
    try:
        received = control.receive()
        if received is None or not isinstance(received.record, StartLoader):
            raise ProtocolError("the loader's first message is StartLoader")
        config = received.record.config
        configure("loader", config.log_format, config.log_level)
        _load(control, config)
        return 0
    except LinkClosed:
        leave_at_once()
    except StartupError as error:
        control.send(Fatal(str(error), error.advice))
    except ZerolaneError as error:
        control.send(Fatal(str(error)))
    except Exception as error:  # the process border: whatever goes wrong must end the start with a sentence
        _logger.exception("loading failed")
        control.send(Fatal(f"loading failed: {type(error).__name__}: {error}", "see the loader's log lines above"))
    return 1


def _load(control: ControlLink[ToChild], config: LoaderConfig) -> None:
    from workers.load_all import Stopped, load_all  # imports torch, which must not come before limit_spinning

    try:
        load_all(control, config)
    except Stopped:
        _logger.info("stopped before the models were loaded")
