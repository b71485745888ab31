"""What `scripts/fuzz_bodies` can be told."""

import argparse
from collections.abc import Sequence

from msgspec import Struct


class FuzzOptions(Struct, frozen=True, kw_only=True):
    """Field names are the options' (with dashes)."""

    count: int
    seed: int
    concurrency: int
    witnesses: int
    max_growth_mib: float
    max_pause: float
    only: int | None


def parse_options(arguments: Sequence[str]) -> FuzzOptions:
    """Exits with a message for options that cannot be."""
    parser = argparse.ArgumentParser(
        prog="scripts/fuzz_bodies",
        description="Starts a server with fake models and sends malformed bodies to every endpoint that takes one, "
        "while other clients stream. Exits 1 if one was not refused properly, a stream was wrong, or memory grew.",
    )
    parser.add_argument("--count", type=int, default=10_000, help="bodies (default %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="other bodies (default %(default)s)")
    parser.add_argument("--concurrency", type=int, default=8, help="bodies at a time (default %(default)s)")
    parser.add_argument("--witnesses", type=int, default=4, help="clients that stream meanwhile (default %(default)s)")
    parser.add_argument(
        "--max-growth-mib",
        type=float,
        default=48.0,
        help="how much more memory all processes may have at the end than after a fifth of the bodies, when every "
        "cache and buffer has been used once (default %(default)s)",
    )
    parser.add_argument(
        "--max-pause", type=float, default=5.0, help="seconds a stream may stand still (default %(default)s)"
    )
    parser.add_argument("--only", type=int, default=None, help="send this one case and print it")
    return FuzzOptions(**vars(parser.parse_args(arguments)))
