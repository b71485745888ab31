"""The keeper: owns one GPU's pool, which holds every model's weights and KV pages, and computes nothing.

    control link: StartKeeper -> ModelsReady -> (KeeperReady) -> ... -> Stop

Workers open the pool and come and go; the memory stays, because this process does. When it dies the pool is lost, and
nothing that lay there counts any more: its workers end, a new keeper is filled from the host's copy of the weights, and
streams are computed again. It is told to stop after its last user has gone.
"""

import logging
import time

from ipc.config import KeeperConfig
from ipc.control_link import ControlLink, LinkClosed
from ipc.control_messages import Fatal, KeeperReady, ModelsReady, StartKeeper, Stop, ToChild
from ipc.errors import ProtocolError, StartupError, ZerolaneError
from ipc.process_log import configure
from workers.child_life import die_with_parent, leave_at_once, say_fatal
from workers.compute_threads import limit_spinning
from workers.cuda_environment import prepare_cuda

_logger = logging.getLogger("zerolane.workers.keeper_process")


def main(control_fd: int) -> int:
    """The keeper's life on its control link; returns the exit status."""
    die_with_parent()
    limit_spinning()
    prepare_cuda()
    control = ControlLink.of_child(control_fd)
    try:
        config = _start_config(control)
        configure(f"keeper {config.pool}", config.log_format, config.log_level)
        _keep(control, config)
        return 0
    except LinkClosed:
        leave_at_once()
    except StartupError as error:
        say_fatal(control, Fatal(str(error), error.advice))
        return 1
    except ZerolaneError as error:
        say_fatal(control, Fatal(str(error)))
        return 1
    except Exception as error:  # the process border: whatever CUDA raises must end the start with a sentence
        _logger.exception("the keeper failed")
        say_fatal(control, Fatal(f"GPU memory cannot be kept: {type(error).__name__}: {error}"))
        return 1


def _keep(control: ControlLink[ToChild], config: KeeperConfig) -> None:
    """Take the pool as soon as the models are known, keep it until Stop."""
    from workers.kept_pool import KeptPool  # imports torch, whose settings are read once

    pool: KeptPool | None = None
    while True:
        received = control.receive()
        if received is None:
            continue
        match received.record:
            case ModelsReady(cards) if pool is None:
                began = time.monotonic()
                pool = KeptPool(cards, received.fds, config)
                fields = {"bytes": pool.size, "seconds": round(time.monotonic() - began, 3)}
                _logger.info("weights and KV pages are on the device", extra={"fields": fields})
                control.send(KeeperReady(pool.export(config.epoch)))
            case Stop():
                if pool is not None:
                    pool.free()
                return
            case other:
                raise ProtocolError(f"a keeper does not understand {type(other).__name__} now")


def _start_config(control: ControlLink[ToChild]) -> KeeperConfig:
    received = control.receive()
    if received is None or not isinstance(received.record, StartKeeper):
        raise ProtocolError("a keeper's first message is StartKeeper")
    return received.record.config
