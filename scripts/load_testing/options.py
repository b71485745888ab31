"""What `scripts/load_test` can be told, checked once."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from msgspec import Struct

Endpoint = Literal["completions", "chat", "score"]
ENDPOINTS: tuple[Endpoint, ...] = ("completions", "chat", "score")
EXAMPLES = """examples:
  scripts/load_test                                        64 completions, 8 at a time
  scripts/load_test --endpoint chat --concurrency 32       chat, 32 at a time
  scripts/load_test --rate 4 --duration 30 --requests 1000 four a second on average, whatever the server does
  scripts/load_test --endpoint score --pairs 64            64 pairs of texts a request
  scripts/load_test --shared-prefix-tokens 96              what the prefix cache is worth
"""


class LoadOptions(Struct, frozen=True, kw_only=True):
    """One load test. Field names are the options' (with dashes)."""

    url: str
    endpoint: Endpoint
    model: str  # "": the first one the server lists for the endpoint's task
    concurrency: int
    rate: float  # requests a second; 0: closed loop
    requests: int
    duration: float
    prompt_tokens: int
    shared_prefix_tokens: int
    max_tokens: int
    pairs: int
    ignore_eos: bool
    stream: bool
    seed: int
    warmup: int
    timeout: float
    json: Path | None

    @property
    def is_score(self) -> bool:
        return self.endpoint == "score"

    @property
    def is_open_loop(self) -> bool:
        return self.rate > 0


def parse_options(arguments: Sequence[str]) -> LoadOptions:
    """Options from the command line; a bad one ends the program with exit code 2 and says why."""
    parser = _parser()
    found = vars(parser.parse_args(arguments))
    options = LoadOptions(**found | {"url": found["url"].rstrip("/")})
    for name in ("concurrency", "requests", "duration", "prompt_tokens", "max_tokens", "pairs", "timeout"):
        if not found[name] > 0:
            parser.error(f"--{name.replace('_', '-')} must be above 0, not {found[name]}")
    for name in ("rate", "warmup", "shared_prefix_tokens"):
        if not found[name] >= 0:
            parser.error(f"--{name.replace('_', '-')} must not be below 0, not {found[name]}")
    if options.shared_prefix_tokens >= options.prompt_tokens:
        parser.error("--shared-prefix-tokens must be below --prompt-tokens: each request needs something of its own")
    return options


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/load_test",
        description="Puts load on a running server and reports throughput and latency.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    server = parser.add_argument_group("the server")
    server.add_argument("--url", default="http://127.0.0.1:8000", help="default: %(default)s")
    server.add_argument("--endpoint", choices=ENDPOINTS, default="completions", help="default: %(default)s")
    server.add_argument("--model", default="", help="default: the first one listed for the endpoint's task")
    server.add_argument("--timeout", type=float, default=300.0, metavar="S", help="seconds until a request has failed")
    load = parser.add_argument_group(
        "how much at once, and how long (whichever of --requests and --duration ends first)"
    )
    load.add_argument("--concurrency", type=int, default=8, metavar="N", help="requests open at once (default: 8)")
    load.add_argument("--rate", type=float, default=0.0, metavar="R", help="Poisson arrivals a second instead")
    load.add_argument("--requests", type=int, default=64, metavar="N", help="default: %(default)s")
    load.add_argument("--duration", type=float, default=60.0, metavar="S", help="seconds until nothing new is started")
    load.add_argument("--warmup", type=int, default=1, metavar="N", help="requests before that are not counted")
    size = parser.add_argument_group("what a request holds")
    size.add_argument("--prompt-tokens", type=int, default=128, metavar="N", help="of a prompt, or of a pair (about)")
    size.add_argument("--shared-prefix-tokens", type=int, default=0, metavar="N", help="of them equal in all requests")
    size.add_argument("--max-tokens", type=int, default=64, metavar="N", help="output tokens (default: 64)")
    size.add_argument("--pairs", type=int, default=16, metavar="N", help="pairs of a score request (default: 16)")
    on_off = argparse.BooleanOptionalAction
    size.add_argument("--ignore-eos", action=on_off, default=True, help="output always has --max-tokens")
    size.add_argument("--stream", action=on_off, default=True, help="take tokens as they come")
    size.add_argument(
        "--seed", type=int, default=0, metavar="N", help="of prompts and arrivals; another one, other prompts"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here too")
    return parser
