"""What `scripts/tune` can be told, checked once."""

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct

from scripts.load_testing.command_line import Command, parse_command, unwritable
from scripts.load_testing.options import LoadOptions
from scripts.load_testing.workloads import WORKLOADS
from scripts.tuning.objective import KINDS, Kind
from scripts.tuning.space import SWEEPS, USUAL_SWEEPS, Sweep
from zerolane.config_file import FileSettings, read_config_file
from zerolane.model_specs import model_specs
from zerolane.options import BadOption

MIN_TIME_S = 20.0
OWN = ("url", "requests", "duration", "warmup")  # of a load: they follow from the time there is
UNTOLD = LoadOptions()
SECRETS = ("api_key", "api_key_file", "admin_key")
EXAMPLES = """examples:
  scripts/tune                                             the tiny models that come with zerolane
  scripts/tune Qwen/Qwen3-0.6B --concurrency 32            for 32 requests at a time
  scripts/tune ./model --target-ttft-ms 500 --target-itl-ms 80
                                                           the most tokens/s among settings that keep both
  scripts/tune ./model --objective goodput --target-ttft-ms 500 --load-args="--rate 4"
  scripts/tune ./reranker --workload score --load-args="--texts 64"
  scripts/tune --config base.yaml --output serve.yaml      what base.yaml says stays as it is
"""


class TuneOptions(Struct, frozen=True, kw_only=True):
    """One run. Field names are the options' (with dashes)."""

    models: list[str]
    config: Path | None
    load: LoadOptions  # its targets are the objective's too
    load_arguments: str  # of scripts/load_test, as one types them
    objective: Kind
    sweep: list[Sweep]
    time_limit: float
    output: Path
    json: Path | None
    command: str  # as it was typed, for the file that is written


def parse_options(arguments: Sequence[str]) -> TuneOptions:
    """Options from the command line; a bad one ends the program with exit code 2 and says why."""
    parser = _parser()
    found = vars(parser.parse_args(arguments))
    load_arguments = _load_arguments(found)
    command = parse_command(load_arguments)
    options = TuneOptions(
        models=found.pop("model") or [],
        load=command.load,
        load_arguments=shlex.join(load_arguments),
        sweep=found.pop("sweep").split(","),
        command=shlex.join(["scripts/tune", *arguments]),
        **found,
    )
    problem = _ignored(command) or _problem(options)
    if problem:
        parser.error(problem)
    return options


def base_settings(options: TuneOptions) -> FileSettings:
    """What --config says. Raises BadOption."""
    return read_config_file(options.config) if options.config else FileSettings({}, [])


def _load_arguments(found: dict[str, Any]) -> list[str]:
    """Takes what concerns the load out of `found`."""
    arguments = [f"--{name}={found.pop(name.replace('-', '_'))}" for name in ("workload", "concurrency")]
    for name in ("target-ttft-ms", "target-itl-ms"):
        target = found.pop(name.replace("-", "_"))
        arguments += [] if target is None else [f"--{name}={target:g}"]
    return [*arguments, *shlex.split(found.pop("load_args"))]


def _ignored(command: Command) -> str:
    """What the load was told in vain; "" when nothing was."""
    said = {name: getattr(command.load, name) != getattr(UNTOLD, name) for name in OWN}
    said |= {"json": command.json is not None, "html": command.html is not None}
    return next((f"--load-args: no --{name}: every load has its own" for name, is_said in said.items() if is_said), "")


def _problem(options: TuneOptions) -> str:
    """What is wrong; "" when nothing is."""
    unknown = [name for name in options.sweep if name not in SWEEPS]
    if unknown:
        return f"--sweep: {unknown[0]!r} is none of {', '.join(SWEEPS)}"
    if options.time_limit < MIN_TIME_S:
        return f"--time-limit must be at least {MIN_TIME_S:g} seconds, not {options.time_limit:g}"
    if options.load.ramp:
        return "--load-args: no --ramp: every candidate gets one and the same load"
    if options.objective == "goodput" and not options.load.targets:
        return "--objective goodput counts requests that keep a target: say --target-ttft-ms or --target-itl-ms"
    for name, path in (("output", options.output), ("json", options.json)):
        if problem := unwritable(path):
            return f"--{name}: {problem}"
    return _base_problem(options)


def _base_problem(options: TuneOptions) -> str:
    try:
        base = base_settings(options)
        model_specs(options.models or base.models, str(base.values.get("served_model_name", "")))
    except BadOption as error:
        return str(error)
    secret = [name for name in SECRETS if name in base.values]
    return f"--config: {secret[0]}: the load has no key; leave it out, and set it where you serve" if secret else ""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/tune",
        description="Finds the settings that are best for a model and a load on this machine, and writes serve.yaml.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("model", nargs="*", metavar="[NAME=]MODEL", help="as of zerolane serve; default: the tiny ones")
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings that stay as they are, and models")
    load = parser.add_argument_group("the load")
    load.add_argument("--workload", choices=WORKLOADS, default="chat", help="of scripts/load_test (default: chat)")
    load.add_argument("--concurrency", type=int, default=16, metavar="N", help="requests open at once (default: 16)")
    load.add_argument(
        "--load-args", default="", metavar="TEXT", help="more options of scripts/load_test: --load-args='--rate 4'"
    )
    wanted = parser.add_argument_group("what is best")
    wanted.add_argument("--objective", choices=KINDS, default="throughput", help="default: %(default)s")
    wanted.add_argument("--target-ttft-ms", type=float, metavar="MS", help="longest first-token time, 90th percentile")
    wanted.add_argument("--target-itl-ms", type=float, metavar="MS", help="longest inter-token time, 90th percentile")
    search = parser.add_argument_group("the search")
    usual = ",".join(USUAL_SWEEPS)
    search.add_argument("--sweep", default=usual, metavar="NAME,...", help=f"of {','.join(SWEEPS)} (default: {usual})")
    search.add_argument("--time-limit", type=float, default=240.0, metavar="S", help="default: %(default)g seconds")
    search.add_argument("--output", type=Path, default=Path("serve.yaml"), metavar="FILE", help="default: %(default)s")
    search.add_argument("--json", type=Path, metavar="FILE", help="write everything that was measured here")
    return parser
