"""The command line of `scripts/load_test`: every option says what it trades."""

import argparse
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct

from scripts.load_testing.options import LoadOptions, load_options
from scripts.load_testing.workloads import KINDS, MIX, WORKLOADS

DEFAULTS = LoadOptions()
EXAMPLES = """examples:
  scripts/load_test                                            64 completions of equal size, 8 at a time
  scripts/load_test --workload chat --ramp 1,2,4,8,16,32 --html ramp.html
                                                               how far it goes, as a page with plots
  scripts/load_test --workload chat --ramp 1,2,4,8,16,32 --target-ttft-ms 500 --target-itl-ms 60
                                                               how far it goes within a latency people accept
  scripts/load_test --workload mixed --rate 4 --duration 30    4 requests a second, whatever the server does
  scripts/load_test --workload score --texts 64                1 query and 64 documents a request
  scripts/load_test compare before.json after.json             what changed, and what is within noise

Exit code: 0 measured; 1 nothing was answered, or something failed with --fail-on-errors; 2 no server, or an option
that cannot be; 3 the latency targets were missed (in a ramp: by every step); 130 Ctrl-C, after printing what there was.
"""


class Command(Struct, frozen=True):
    """The load test and what becomes of its result."""

    load: LoadOptions
    json: Path | None
    html: Path | None
    fail_on_errors: bool


def parse_command(arguments: Sequence[str]) -> Command:
    """Options from the command line; a bad one ends the program with exit code 2 and says why."""
    parser = _parser()
    found = vars(parser.parse_args(arguments))
    command = {name: found.pop(name) for name in ("json", "html", "fail_on_errors")}
    salt = "" if found.pop("same_words") else f"{time.time_ns():x}"
    try:
        ramp, is_rate = found["ramp"]
        load = load_options(**found | {"ramp": ramp, "ramp_is_rate": is_rate, "salt": salt})
    except ValueError as error:
        parser.error(str(error))
    for name in ("json", "html"):  # said now: after the load the figures would be lost
        if problem := unwritable(command[name]):
            parser.error(f"--{name}: {problem}")
    return Command(load, **command)


def unwritable(path: Path | None) -> str:
    """Why no file can be there; "" when nothing is known against it."""
    if path is None or (path.parent.is_dir() and not path.is_dir()):
        return ""
    return f"{path} is a folder" if path.is_dir() else f"there is no folder {path.parent}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/load_test",
        description="Puts load on a running OpenAI-compatible server and reports throughput and latency.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_server(parser.add_argument_group("the server"))
    _add_load(parser.add_argument_group("how much at once, and how long"))
    _add_sizes(parser.add_argument_group("what a request holds"))
    _add_targets(parser.add_argument_group("latency targets (a request is good when it keeps all that are given)"))
    _add_output(parser.add_argument_group("what comes out"))
    return parser


def _add(group: Any, name: str, kind: type, metavar: str, help_text: str) -> None:
    default = getattr(DEFAULTS, name)
    shown = "" if default is None or default == "" else f" (default: {default:g})"
    group.add_argument(
        f"--{name.replace('_', '-')}",
        type=_finite if kind is float else kind,
        default=default,
        metavar=metavar,
        help=help_text + shown,
    )


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise argparse.ArgumentTypeError(f"{text} is no number one can count to")
    return number


def _add_server(group: Any) -> None:
    group.add_argument("--url", default=DEFAULTS.url, help="where it listens (default: %(default)s)")
    group.add_argument(
        "--model",
        default="",
        help="which of its models (default: the first listed for the workload's task). OPENAI_API_KEY is sent if set",
    )
    _add(group, "timeout", float, "S", "seconds until an unanswered request counts as failed; bounds the whole run too")


def _add_load(group: Any) -> None:
    described = "; ".join(f"{name}: {kind.about}" for name, kind in KINDS.items())
    group.add_argument(
        "--workload",
        choices=WORKLOADS,
        default=DEFAULTS.workload,
        help=f"{described}; mixed: several kinds at once, to see how they delay one another (default: %(default)s)",
    )
    shown = ",".join(f"{name}={weight:g}" for name, weight in MIX.items())
    group.add_argument(
        "--mix", type=_mix, metavar="K=W,...", help=f"weights of mixed (default: {shown}, without what is not served)"
    )
    _add(group, "concurrency", int, "N", "requests open at once: more gives throughput and takes latency")
    _add(
        group,
        "rate",
        float,
        "R",
        "requests a second at random (Poisson) moments instead: true to strangers, who do "
        "not wait for one another; beyond what the server can do, queues grow until the end",
    )
    _add(
        group,
        "spread",
        float,
        "S",
        "seconds over which a closed loop opens its requests; 0: all at once, so that the first ones wait for one "
        "another and those of equal size stay in step",
    )
    group.add_argument(
        "--ramp",
        type=_ramp,
        default=((), False),
        metavar="N,N,...",
        help="one step after the other with so many open at once, or 1/s,2/s,... with such rates; ends early when the "
        "targets are missed by two steps in a row. Longer, but shows where throughput stops growing",
    )
    _add(
        group,
        "requests",
        int,
        "N",
        "of each step; fewer are quicker and noisier, below 100 the p99 is the largest "
        "(default: 4 for each open at once, at least 64; with --rate only --duration counts)",
    )
    _add(group, "duration", float, "S", "seconds of each step until nothing new is started; what is open may finish")
    _add(group, "warmup", int, "N", "requests before that are not counted: first ones may pay for caches")


def _add_sizes(group: Any) -> None:
    group.add_argument(
        "--lengths",
        choices=("fixed", "sharegpt"),
        help="fixed: all of one size, easy to compare. sharegpt: drawn from a log-normal distribution with "
        "ShareGPT's long tail, true to people; the sizes below are then means (default: depends on the workload)",
    )
    sizes = {
        size: ", ".join(f"{name} {getattr(kind, size)}" for name, kind in KINDS.items() if getattr(kind, size))
        for size in ("prompt_tokens", "max_tokens", "shared_prefix_tokens")
    }
    _add(
        group,
        "prompt_tokens",
        int,
        "N",
        f"of a prompt, message or document, about; ShareGPT: 161 (default: {sizes['prompt_tokens']})",
    )
    _add(group, "max_tokens", int, "N", f"output tokens; ShareGPT: 338 (default: {sizes['max_tokens']})")
    _add(
        group,
        "shared_prefix_tokens",
        int,
        "N",
        "in front of every prompt and equal in all, what a prefix cache is "
        f"good for (default: {sizes['shared_prefix_tokens']}, else 0)",
    )
    _add(
        group,
        "turns",
        int,
        "N",
        "turns of a conversation: more makes longer prompts that a cache mostly knows (default: 4)",
    )
    _add(group, "texts", int, "N", "documents of a score request, texts of an embedding")
    on_off = argparse.BooleanOptionalAction
    group.add_argument(
        "--ignore-eos",
        action=on_off,
        default=True,
        help="outputs have their full length. Off is true to the model; then two servers may do different work",
    )
    group.add_argument(
        "--stream",
        action=on_off,
        default=True,
        help="take tokens as they come. Off costs less on both sides and shows only the end",
    )
    _add(
        group, "seed", int, "N", "of lengths, mix and arrivals: the same seed sends the same sizes at the same moments"
    )
    group.add_argument(
        "--same-words",
        action="store_true",
        help="the same words in every run too, which lets a prefix cache know them from the run before",
    )


def _add_targets(group: Any) -> None:
    _add(group, "target_ttft_ms", float, "MS", "until the first token (TTFT)")
    _add(group, "target_itl_ms", float, "MS", "mean of a request's further tokens (TPOT); single pauses may be longer")
    _add(group, "target_e2e_ms", float, "MS", "until the last token (E2EL)")
    _add(
        group,
        "target_share",
        float,
        "SHARE",
        "of the requests that must be good, else the exit code is 3: a higher "
        "one is stricter and needs more requests to tell",
    )


def _add_output(group: Any) -> None:
    group.add_argument("--json", type=Path, metavar="FILE", help="figures and every request, for `compare`")
    group.add_argument(
        "--html", type=Path, metavar="FILE", help="the report as one page with plots; it needs no network"
    )
    group.add_argument("--fail-on-errors", action="store_true", help="exit code 1 when any request failed: for CI")
    _add(
        group,
        "metrics_interval",
        float,
        "S",
        "seconds between two looks at the server's /metrics for the plots of "
        "queue and KV use; shorter sees more and costs the server more; 0: never look",
    )


def _ramp(text: str) -> tuple[tuple[float, ...], bool]:
    """Levels, and whether they are rates. `1,2,4` are requests open at once, `1/s,2/s` rates."""
    parts = [part.strip() for part in text.split(",")]
    is_rate = parts[-1].endswith("/s")
    levels = tuple(float(part.removesuffix("/s") if is_rate else part) for part in parts)
    if not all(math.isfinite(level) for level in levels):
        raise ValueError(text)
    return levels, is_rate


def _mix(text: str) -> dict[str, float]:
    pairs = [part.split("=") for part in text.split(",")]
    mix = {name.strip(): float(weight) for name, weight in pairs}
    unknown = [name for name in mix if name not in KINDS]
    if unknown or not all(weight > 0 for weight in mix.values()):
        raise argparse.ArgumentTypeError(f"{text!r}: a kind is one of {', '.join(KINDS)}, its weight above 0")
    return mix
