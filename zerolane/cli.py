"""The command line: `zerolane serve`, `scale`, `status`. Exit code: 0 done or asked to stop, 2 bad usage, else 1."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from ipc.config import ServeConfig
from ipc.errors import StartupError, ZerolaneError
from zerolane import __version__
from zerolane.byte_sizes import parse_bytes
from zerolane.model_specs import model_specs
from zerolane.operator_client import ask, find_server
from zerolane.operator_protocol import AskScale, AskStatus, Refused, Scaled, ScaleProgress, Status
from zerolane.options import BadOption, OptionParser, add_serve_options, serve_config
from zerolane.status_table import status_text

STATUS_TIMEOUT_S = 10.0
SCALE_TIMEOUT_S = 900.0  # the server has a deadline of its own, which comes first by default
_MODEL_HELP = (
    "local folder, hub id, or the built-in fake:generate or fake:score; NAME= says what clients call it. "
    "Without any, the two tiny models that come with zerolane are served"
)


def main(argv: Sequence[str]) -> int:
    """Carry out one command; the exit code."""
    try:
        exit_code = _guarded(argv)
        sys.stdout.flush()
    except BrokenPipeError:  # `zerolane status | head -1`: whoever reads our output has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python would try again at its end
        return 1
    return exit_code


def _guarded(argv: Sequence[str]) -> int:
    try:
        return _run(argv)
    except BadOption as error:
        print(f"zerolane: {error}\n          See 'zerolane {_command(argv)}--help'.", file=sys.stderr)
        return 2
    except ZerolaneError as error:
        print(f"zerolane: {error}", file=sys.stderr)
        return 1
    except SystemExit as end:  # argparse ends the process after --help and --version
        return end.code if isinstance(end.code, int) else 0


def _run(argv: Sequence[str]) -> int:
    options = _parser().parse_args(argv)
    match options.command:
        case "serve":
            return _serve(options)
        case "scale":
            return _scale(options)
        case _:
            return _status(options)


def _parser() -> OptionParser:
    parser = OptionParser(prog="zerolane", description="Serves language models and rerankers over OpenAI's HTTP API.")
    parser.add_argument("--version", action="version", version=f"zerolane {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    serve = commands.add_parser("serve", help="start a server", allow_abbrev=False)
    serve.add_argument("model", nargs="*", metavar="[NAME=]MODEL", help=_MODEL_HELP)
    add_serve_options(serve)

    scale = commands.add_parser("scale", help="add or remove workers of a running server", allow_abbrev=False)
    scale.add_argument(
        "--workers", type=_number_of_workers, required=True, metavar="N", help="workers that shall serve"
    )
    status = commands.add_parser("status", help="show a running server's processes and models", allow_abbrev=False)
    status.add_argument("--json", action="store_true", help="as one JSON object")
    for command in (scale, status):
        command.add_argument("--runtime-dir", default="", metavar="DIR", help="what the server was started with")
        command.add_argument("--port", type=int, metavar="N", help="which server, if several run")
    return parser


def _number_of_workers(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 64:
        raise argparse.ArgumentTypeError(f"{text!r} is not an integer from 1 to 64")
    return int(text)


def _serve(options: argparse.Namespace) -> int:
    """Everything that is cheap to check is checked before a process is started."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # numpy would start a thread a core, here and in each child
    from zerolane.supervisor import Supervisor, say_error  # loads numpy: not needed by the other commands

    config = serve_config(options)
    specs = model_specs(options.model, config.served_model_name)
    _check_values(config)
    try:
        return Supervisor(config, specs).run()
    except StartupError as error:
        say_error(error)
        return 1


def _check_values(config: ServeConfig) -> None:
    """What a type and bounds cannot say. Raises BadOption."""
    try:
        parse_bytes(config.kv_cache_memory)
    except ValueError as error:
        raise BadOption(f"argument --kv-cache-memory: {error}") from error
    if config.chat_template and not Path(config.chat_template).is_file():
        raise BadOption(f"argument --chat-template: {config.chat_template!r} is not a file that exists")


def _scale(options: argparse.Namespace) -> int:
    server = find_server(options.runtime_dir, options.port)
    for reply in ask(server, AskScale(options.workers), SCALE_TIMEOUT_S):
        match reply:
            case ScaleProgress(text):
                print(text, file=sys.stderr)
            case Scaled():
                changes = f"{reply.started} started, {reply.stopped} stopped, {reply.seconds} s"
                print(f"workers that serve: {reply.workers} ({changes})")
                return 0
            case Refused():
                return _refused(reply)
    return 1


def _status(options: argparse.Namespace) -> int:
    server = find_server(options.runtime_dir, options.port)
    for reply in ask(server, AskStatus(), STATUS_TIMEOUT_S):
        match reply:
            case Status():
                print(msgspec.json.encode(reply).decode() if options.json else status_text(reply))
                return 0
            case Refused():
                return _refused(reply)
    return 1


def _refused(reply: Refused) -> int:
    print(f"zerolane: {reply.message} {reply.advice}".rstrip(), file=sys.stderr)
    return 1


def _command(argv: Sequence[str]) -> str:
    return f"{argv[0]} " if argv and argv[0] in ("serve", "scale", "status") else ""
