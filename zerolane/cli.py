"""The command line: `zerolane serve` and an operator's commands. Exit code: 0 done or asked to stop, 2 bad usage, 1."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from ipc.config import ServeConfig
from ipc.errors import StartupError, ZerolaneError
from zerolane import __version__
from zerolane.byte_sizes import parse_bytes
from zerolane.config_file import FileSettings, read_config_file
from zerolane.gpus import why_no_gpu
from zerolane.key_sources import with_keys
from zerolane.model_specs import model_specs
from zerolane.operator_commands import add_operator_commands, run_operator_command
from zerolane.options import BadOption, OptionParser, add_serve_options, serve_config
from zerolane.tls import check_tls

MAX_WORKERS = 64
COMMANDS = ("serve", "scale", "restart", "drain", "status")
_CONFIG_HELP = (
    "YAML file with options by their long names, and the models as 'models: [...]'; the command line wins over it"
)
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
    return _serve(options) if options.command == "serve" else run_operator_command(options)


def _parser() -> OptionParser:
    parser = OptionParser(prog="zerolane", description="Serves language models and rerankers over OpenAI's HTTP API.")
    parser.add_argument("--version", action="version", version=f"zerolane {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    serve = commands.add_parser("serve", help="start a server", allow_abbrev=False)
    serve.add_argument("model", nargs="*", metavar="[NAME=]MODEL", help=_MODEL_HELP)
    serve.add_argument("--config", metavar="FILE", type=Path, help=_CONFIG_HELP)
    add_serve_options(serve)

    add_operator_commands(commands)
    return parser


def _serve(options: argparse.Namespace) -> int:
    """Everything that is cheap to check is checked before a process is started."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # numpy would start a thread a core, here and in each child
    from zerolane.supervisor import Supervisor, say_error  # loads numpy: not needed by the other commands

    from_file = read_config_file(options.config) if options.config else FileSettings({}, [])
    if vars(options).get("api_key", from_file.values.get("api_key")) in ([], ()):
        raise BadOption("argument --api-key: an empty text is no key")  # --api-key "$KEY" without KEY opens no server
    config = with_keys(serve_config(options, from_file.values))
    specs = model_specs(options.model or from_file.models, config.served_model_name)
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
    if _looks_like_path(config.chat_template) and not Path(config.chat_template).is_file():
        raise BadOption(f"argument --chat-template: {config.chat_template!r} is not a file that exists")
    if config.tool_parser_plugin and not Path(config.tool_parser_plugin).is_file():
        raise BadOption(f"argument --tool-parser-plugin: {config.tool_parser_plugin!r} is not a file that exists")
    if config.allow_credentials and "*" in config.allowed_origins:
        raise BadOption("argument --allow-credentials: name the --allowed-origins; with * every page would have them")
    _check_workers(config)
    check_tls(config)
    if config.device == "cuda" and (reason := why_no_gpu()):
        raise BadOption(f"argument --device: no GPU is usable: {reason}")


def _looks_like_path(template: str) -> bool:
    """Not a template in one line, and not the name of one of the model's own, such as tool_use."""
    return "{" not in template and ("/" in template or "." in template)


def _check_workers(config: ServeConfig) -> None:
    """Raises BadOption."""
    if bool(config.prefill_workers) != bool(config.decode_workers):
        missing = "decode" if config.prefill_workers else "prefill"
        raise BadOption(f"argument --{missing}-workers: --prefill-workers and --decode-workers belong together")
    num_workers = config.prefill_workers + config.decode_workers or config.workers
    if num_workers > MAX_WORKERS:
        raise BadOption(f"argument --decode-workers: {num_workers} workers together, {MAX_WORKERS} are possible")
    if config.pools > num_workers:
        raise BadOption(f"argument --pools: {config.pools} pools need as many workers, not {num_workers}")


def _command(argv: Sequence[str]) -> str:
    return f"{argv[0]} " if argv and argv[0] in COMMANDS else ""
