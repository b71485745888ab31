"""The supervisor: claims what a server needs, starts it, says that it is ready, watches over it, and ends it.

One process, one poll loop, no threads, no torch. It computes nothing and sees no request.
"""

import logging
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from ipc.config import ModelSpec, ServeConfig
from ipc.errors import StartupError
from ipc.process_log import configure
from zerolane import lifecycle, recovery, runtime_dir, shutdown, start_sequence, tcp_listener
from zerolane.children import Command, role_command
from zerolane.house import House, Phase, Reactions
from zerolane.operator_control import OperatorControl
from zerolane.ready_line import ready_line
from zerolane.stop_signals import KillRequested, StopRequested, StopSignals
from zerolane.watchdog import Watchdog

log = logging.getLogger("zerolane.supervisor.supervisor")


class Supervisor:
    """One server, from claim to end. `run` is called once."""

    def __init__(self, config: ServeConfig, specs: Sequence[ModelSpec], command: Command = role_command) -> None:
        """`command` says how a role's process is started; tests put stand-ins there."""
        configure("supervisor", config.log_format, config.log_level)
        self._started_at = time.monotonic()
        self._base = runtime_dir.base_dir(config.runtime_dir)
        reactions = Reactions(lifecycle.on_link, recovery.on_exit, recovery.on_not_born)
        self._house = House(config, specs, command, reactions, self._settle)
        self._operator: OperatorControl | None = None
        self._requests_ended = 0  # still open when the time to finish them was over

    def run(self) -> int:
        """The server's whole life; the exit code: 0 if it was asked to stop, 1 if it could not live."""
        signals = StopSignals(self._house.loop)
        exit_code = 1
        try:
            exit_code = self._live(signals)
        except KillRequested as request:
            shutdown.kill_everyone(self._house)
            exit_code = request.exit_code
        finally:
            signals.close()
            self._let_go(exit_code)
        return exit_code

    def _live(self, signals: StopSignals) -> int:
        try:
            self._claim()
            self._start()
            self._announce()
            self._watch()
        except StopRequested as request:
            signals.is_stopping = True
            self._end(request.timeout_s)
            return 0
        except StartupError as error:
            self._house.progress_bar.end()
            say_error(error)
        except recovery.GaveUp as error:
            log.error(f"giving up: {error}")
        signals.is_stopping = True
        shutdown.stop_everyone(self._house)
        return 1

    def _claim(self) -> None:
        """Address and folder: ours alone, or nothing is started."""
        house, config = self._house, self._house.config
        runtime_dir.check_base(self._base)
        house.listener = tcp_listener.listen(config.host, config.port)
        port = tcp_listener.bound_port(house.listener)
        house.url = tcp_listener.url(config.host, port, bool(config.ssl_certfile))
        house.runtime_dir = runtime_dir.claim(self._base, port)
        self._operator = OperatorControl(house)

    def _start(self) -> None:
        deadline = time.monotonic() + self._house.config.startup_timeout
        start_sequence.start_processes(self._house)
        cards = start_sequence.load_models(self._house, deadline)
        self._house.cards = start_sequence.lay_out_memory(self._house, cards)
        start_sequence.wait_until_serving(self._house, deadline)
        self._house.phase = Phase.SERVING
        Watchdog(self._house).start()

    def _announce(self) -> None:
        print(ready_line(self._house.url, self._house.cards, time.monotonic() - self._started_at), flush=True)

    def _watch(self) -> None:
        """Until a signal, or until something cannot be repaired."""
        self._house.loop.run_until(lambda: False)

    def _end(self, timeout_s: float | None) -> None:
        """Asked to stop: finish what is open, if anything can be, within `shutdown_timeout` or `timeout_s`."""
        if self._house.phase is Phase.SERVING:
            try:
                self._requests_ended = shutdown.drain(self._house, timeout_s)
            except recovery.GaveUp as error:
                log.error(f"ending open requests: {error}")
        shutdown.stop_everyone(self._house)

    def _settle(self, house: House) -> None:
        lifecycle.settle(house)
        if self._operator is not None:
            self._operator.settle()

    def _let_go(self, exit_code: int) -> None:
        if self._operator is not None:
            self._operator.close(exit_code, self._requests_ended)
        if self._house.runtime_dir != Path():
            runtime_dir.release(self._house.runtime_dir)
        self._house.close()


def say_error(error: StartupError) -> None:
    """Why it cannot start and what to do, for the person who typed the command."""
    print(f"zerolane: {error}", file=sys.stderr)
    if error.advice:
        print(f"          {error.advice}", file=sys.stderr)
