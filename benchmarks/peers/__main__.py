"""python -m benchmarks.peers install|models|run [--home FOLDER]

    python -m benchmarks.peers install            # each peer in an environment of its own; an hour, 20 GB
    python -m benchmarks.peers models             # random weights, and their forms for llama.cpp and OpenVINO
    python -m benchmarks.peers run --only ours,vllm,llama --cells qwen3:1,8,32 qwen3/mixed:8 --rounds 3

What is there already is skipped; PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu keeps torch small. `run`
prints its table to standard output and its progress to standard error.
"""

import argparse
import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from benchmarks.peers.commands import PEERS
from benchmarks.peers.home import Home, default_home
from benchmarks.peers.install import ENVIRONMENTS, convert_models, install
from benchmarks.peers.loads import SHAPE_NAMES
from benchmarks.peers.run import run_comparison

DEFAULT_CELLS = [
    *("qwen3:1,8,32", "qwen3/mixed:8", "gqa:1,8,32", "gqa/mixed:8", "window:1,8,32", "window/mixed:8"),
    *("rerank:1", "rerank/mixed:1"),
]


def say(text: str) -> None:
    """Progress, with the time of day."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def main() -> int:
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _end)
    options = _parser().parse_args()
    home = Home(options.home.expanduser().resolve())
    match options.command:
        case "install":
            return install(home, options.only.split(",") if options.only else list(ENVIRONMENTS), say)
        case "models":
            # torch and transformers are slow to import and only this needs them.
            from benchmarks.peers.shapes import make_missing

            shapes = options.only.split(",") if options.only else list(SHAPE_NAMES)
            make_missing(home.root / "models", shapes, say)
            return convert_models(home, shapes, say)
        case _:
            return run_comparison(home, options, say)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.peers", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--home", type=Path, default=default_home(), help="where everything lies")
    for name, names in (("install", ENVIRONMENTS), ("models", SHAPE_NAMES)):
        command = commands.add_parser(name, parents=[common])
        command.add_argument("--only", default="", help=f"some of {','.join(names)}")
    run = commands.add_parser("run", parents=[common], epilog=_peer_list(), formatter_class=_formatter())
    run.add_argument("--only", default="", help="peers, separated by commas; default: those without a star below")
    run.add_argument("--cells", nargs="+", type=str, default=DEFAULT_CELLS, help="SHAPE[/mixed]:STREAMS,STREAMS ...")
    run.add_argument("--rounds", type=int, default=3, help="runs of every peer in every cell")
    run.add_argument("--tries", type=int, default=2, help="attempts at a run that other programs disturbed")
    run.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="for peers that must be told")
    run.add_argument("--time-limit", type=float, default=7200.0, help="seconds after which no further run begins")
    run.add_argument("--seed", type=int, default=0, help="of the prompts; 0: the time")
    run.add_argument("--json", type=Path, help="everything found; default: a file with the time below HOME/results")
    return parser


def _formatter() -> type[argparse.HelpFormatter]:
    return argparse.RawDescriptionHelpFormatter


def _peer_list() -> str:
    lines = [f"  {name + ('' if peer.is_default else ' *'):<20} {peer.about}" for name, peer in PEERS.items()]
    return "peers (* only when named):\n" + "\n".join(lines)


def _end(number: int, frame: FrameType | None) -> None:
    """Leave through every `finally`."""
    raise SystemExit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
