"""The fork server: imports the libraries and opens the models once, then makes every worker by forking itself.

    control link: StartForkServer -> ModelsReady -> (Ready) -> ForkWorker -> (Forked) -> ... -> Stop

A worker made this way has everything in memory from its first moment: it starts in a tenth of a second instead of the
five that importing takes, and shares the libraries' memory with its siblings. The fork server computes nothing: only a
process with a single thread can be forked safely, so no library may have started a second one.
"""

import logging
import os

from ipc.config import ForkServerConfig
from ipc.control_link import ControlLink, LinkClosed
from ipc.control_messages import Fatal, StartForkServer, ToChild
from ipc.errors import ProtocolError, StartupError, ZerolaneError
from ipc.process_log import configure
from workers.child_life import die_with_parent, leave_at_once, say_fatal
from workers.compute_threads import limit_spinning, stay_single_threaded
from workers.cuda_environment import prepare_cuda

_logger = logging.getLogger("zerolane.workers.forkserver_process")


def main(control_fd: int) -> int:
    """The fork server's life on its control link; returns the exit status. In a forked worker it does not return."""
    supervisor_pid = os.getppid()
    die_with_parent()
    limit_spinning()
    stay_single_threaded()
    prepare_cuda()
    control = ControlLink.of_child(control_fd)
    try:
        _serve(control, supervisor_pid)
    except LinkClosed:
        leave_at_once()
    except StartupError as error:
        say_fatal(control, Fatal(str(error), error.advice))
        return 1
    except ZerolaneError as error:
        say_fatal(control, Fatal(str(error)))
        return 1
    except Exception as error:  # the process border: whatever goes wrong must be told in a sentence
        _logger.exception("the fork server failed")
        say_fatal(control, Fatal(f"workers cannot be made: {type(error).__name__}: {error}"))
        return 1
    return 0


def _serve(control: ControlLink[ToChild], supervisor_pid: int) -> None:
    """Comes back when the fork server was told to stop; a worker ends in here."""
    # numpy comes with these, and must not come before stay_single_threaded
    from workers.fork_server import ForkServer
    from workers.worker_process import live_forked

    born = ForkServer(control, _start_config(control)).run()
    if born is not None:
        control.close()  # this is the worker now: the fork server's link is not its own
        live_forked(born, supervisor_pid)


def _start_config(control: ControlLink[ToChild]) -> ForkServerConfig:
    received = control.receive()
    if received is None or not isinstance(received.record, StartForkServer):
        raise ProtocolError("the fork server's first message is StartForkServer")
    config = received.record.config
    configure("fork server", config.log_format, config.log_level)
    return config
