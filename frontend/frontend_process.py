"""A frontend's life: take the config and the listening socket from the supervisor, serve until told to stop.

StartFrontend -> serve (/health at once, the rest says "models are loading") -> Ready
ModelsReady -> tokenizers are loaded -> Ready -> requests are answered
Drain -> Drained -> Stop -> exit 0
"""

import os
import signal
import socket
import ssl
import sys

from frontend import constraint, listening
from frontend.from_scheduler import SchedulerReceiver
from frontend.from_supervisor import SupervisorReceiver, leave_orphaned
from frontend.http_app import App, build_app
from frontend.serving import Serving
from ipc import fault_points
from ipc.config import FrontendConfig
from ipc.control_link import ControlLink, LinkClosed
from ipc.control_messages import Fatal, StartFrontend, ToChild
from ipc.errors import ZerolaneError
from ipc.metrics_page import MetricsPage
from ipc.process_log import configure
from ipc.tls import server_context

START_TIMEOUT_S = 30.0
EXIT_FAILED = 1
BACKLOG = 1024  # waiting connections; the event loop says it once more to the supervisor's socket, 100 by default


def main(control_fd: int) -> int:
    """Runs a frontend on its end of the control link; returns the exit status."""
    hide_torch()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the supervisor decides
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # and so for a group-wide SIGTERM
    link = ControlLink.of_child(control_fd)
    try:
        received = link.receive(START_TIMEOUT_S)
    except LinkClosed:
        return EXIT_FAILED
    if received is None or not isinstance(received.record, StartFrontend) or len(received.fds) != 2:
        return EXIT_FAILED
    config = received.record.config
    configure(f"frontend {config.frontend_id}", config.log_format, config.log_level)
    fault_points.begin_life(config.epoch, "frontend")
    listener = socket.socket(fileno=received.fds[0])
    try:
        serving = Serving(config, MetricsPage.attach(received.fds[1]))
        tls = _tls(config)
        if config.responses_store:
            serving.responses.check()
    except (ZerolaneError, OSError) as error:
        link.send(Fatal(str(error)))
        return EXIT_FAILED
    serving.metrics.reset_gauges()
    return _serve(link, serving, listener, tls)


def hide_torch() -> None:
    """Lets transformers believe that torch is not installed: tokenizers do not need it, and it would cost each frontend
    2 s and 180 MB. None in sys.modules is Python's own way to say that a module cannot be imported."""
    sys.modules["torch"] = None  # type: ignore[assignment]
    os.environ["TRANSFORMERS_NO_ADVISORY_WARNINGS"] = "1"  # or it says so on stderr


def _serve(link: ControlLink[ToChild], serving: Serving, listener: socket.socket, tls: ssl.SSLContext | None) -> int:
    listening.use()
    app = build_app(serving)
    scheduler = SchedulerReceiver(serving.streams, serving.submissions, serving.to_scheduler)
    supervisor = SupervisorReceiver(link, serving, scheduler, stop=lambda: app.stop(terminate=False))

    async def connect(app: App) -> None:
        serving.to_scheduler.connect(scheduler.on_frame)

    async def say_ready(app: App) -> None:
        try:
            supervisor.start()
        except LinkClosed:
            leave_orphaned(serving.config.runtime_dir)

    async def disconnect(app: App) -> None:
        serving.to_scheduler.close()
        serving.responses.close()
        constraint.close()

    app.register_listener(connect, "before_server_start")
    app.register_listener(say_ready, "after_server_start")
    app.register_listener(disconnect, "after_server_stop")
    app.run(
        sock=listener,
        ssl=tls,
        single_process=True,
        access_log=False,
        motd=False,
        register_sys_signals=False,
        backlog=BACKLOG,
    )
    return supervisor.exit_status


def _tls(config: FrontendConfig) -> ssl.SSLContext | None:
    """None: plain HTTP. Raises OSError when the files are no longer what the supervisor saw at the start."""
    if not config.ssl_certfile:
        return None
    return server_context(config.ssl_certfile, config.ssl_keyfile, config.ssl_ca_certs)
