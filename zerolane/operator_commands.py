"""The commands of an operator: `zerolane scale`, `restart`, `drain`, `status`: their options, and what each asks.

The server does what they ask (`operator_control.py`); ending one with Ctrl-C ends nothing there.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from ipc.operator_protocol import (
    RESTART_TIMEOUT_S,
    AskDrain,
    AskRollingRestart,
    AskScale,
    AskStatus,
    CommandProgress,
    FinalReply,
    Request,
    Status,
)
from zerolane.operator_client import NoServer, ask, find_server
from zerolane.operator_replies import say_reply
from zerolane.options import BadOption
from zerolane.process_usage import with_usage
from zerolane.status_table import status_text
from zerolane.status_watch import StatusWatch

STATUS_SILENCE_S = 10.0
COMMAND_SILENCE_S = 30.0  # the server says every few seconds how far it is
WATCH_S = 1.0
INTERRUPTED = 130  # what shells expect after Ctrl-C


def add_operator_commands(commands: Any) -> None:
    """`commands`: argparse's object that makes a parser for each command."""
    scale = commands.add_parser(
        "scale", help="add or remove workers, spares and pools of a running server", allow_abbrev=False
    )
    scale.add_argument("--workers", type=_integer(1, 64), metavar="N", help="workers that shall serve")
    scale.add_argument("--spares", type=_integer(0, 64), metavar="N", help="workers that shall wait to take over")
    scale.add_argument(
        "--pools", type=_integer(1, 16), metavar="N", help="separate KV memories; the last one goes first"
    )
    restart = commands.add_parser(
        "restart", help="replace every process of a running server, one after the other", allow_abbrev=False
    )
    restart.add_argument("--rolling", action="store_true", help="must be given: no request is lost")
    restart.add_argument(
        "--timeout",
        type=_seconds,
        default=RESTART_TIMEOUT_S,
        metavar="S",
        help=f"seconds a frontend may take for its open requests; then they are lost (default: {RESTART_TIMEOUT_S:g})",
    )
    drain = commands.add_parser("drain", help="finish open requests, refuse new ones, then end", allow_abbrev=False)
    drain.add_argument(
        "--timeout",
        type=_seconds,
        metavar="S",
        help="seconds for open requests (default: the server's shutdown timeout)",
    )
    status = commands.add_parser("status", help="show a running server's processes and models", allow_abbrev=False)
    status.add_argument("--json", action="store_true", help="as one JSON object")
    status.add_argument(
        "--watch",
        type=_interval,
        nargs="?",
        const=WATCH_S,
        metavar="SECONDS",
        help=f"again and again, with rates, until Ctrl-C or the server's end (default: every {WATCH_S:g} s)",
    )
    for command in (scale, restart, drain, status):
        command.add_argument("--runtime-dir", default="", metavar="DIR", help="what the server was started with")
        command.add_argument("--port", type=int, metavar="N", help="which server, if several run")


def run_operator_command(options: argparse.Namespace) -> int:
    """The exit code. Raises BadOption, NoServer."""
    request = _request(options)
    server = find_server(options.runtime_dir, options.port)
    if options.command == "status":
        return _status(server, options)
    try:
        return say_reply(_finished(server, request))
    except KeyboardInterrupt:
        print("zerolane: not waiting any longer; the server goes on with the command.", file=sys.stderr)
        return INTERRUPTED


def _request(options: argparse.Namespace) -> Request:
    match options.command:
        case "scale":
            if options.workers is options.spares is options.pools is None:
                raise BadOption("say at least one of --workers, --spares and --pools")
            return AskScale(options.workers, options.spares, options.pools)
        case "restart":
            if not options.rolling:
                raise BadOption(
                    "say --rolling: processes are replaced one by one and no request is lost. "
                    "To end the server and start another, use 'zerolane drain' and 'zerolane serve'"
                )
            return AskRollingRestart(options.timeout)
        case "drain":
            return AskDrain(options.timeout)
        case _:
            return AskStatus()


def _finished(server: Path, request: Request) -> FinalReply:
    """The final reply; progress goes to stderr, each text once."""
    said = ""
    for reply in ask(server, request, COMMAND_SILENCE_S):
        if not isinstance(reply, CommandProgress):
            return reply
        if reply.text != said:
            said = reply.text
            print(said, file=sys.stderr)
    raise NoServer("The server did not answer.")


def _status(server: Path, options: argparse.Namespace) -> int:
    if options.watch is not None:
        StatusWatch(lambda: _look(server), options.watch, sys.stdout, _json if options.json else None).run()
        return 0
    render: Callable[[Status], str] = _json if options.json else status_text
    print(render(_look(server)))
    return 0


def _look(server: Path) -> Status:
    *_, reply = ask(server, AskStatus(), STATUS_SILENCE_S)
    if not isinstance(reply, Status):
        raise NoServer(f"The server gives no status: {reply}.")
    return with_usage(reply)


def _json(status: Status) -> str:
    return msgspec.json.encode(status).decode()


def _integer(lowest: int, highest: int) -> Callable[[str], int]:
    def convert(text: str) -> int:
        if not text.isdecimal() or not lowest <= int(text) <= highest:
            raise argparse.ArgumentTypeError(f"{text!r} is not an integer from {lowest} to {highest}")
        return int(text)

    return convert


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= 7 * 24 * 3600:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")
    return seconds


def _interval(text: str) -> float:
    seconds = _seconds(text)
    if seconds < 0.1:
        raise argparse.ArgumentTypeError(f"{text!r} is too short: at least 0.1 s")
    return seconds
