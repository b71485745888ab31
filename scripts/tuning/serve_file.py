"""The `serve.yaml` that is written: the settings, and for each in a comment why it has its value."""

import datetime
import platform
import textwrap
from collections.abc import Iterator
from pathlib import Path

import yaml

from scripts.tuning.candidate import DEFAULTS
from scripts.tuning.comparison import Comparison
from scripts.tuning.result import Result
from zerolane.cores import usable_cores

WIDTH = 120


def write_serve_file(path: Path, result: Result) -> None:
    """Replaces what was there."""
    path.write_text(serve_file(result), encoding="utf-8")


def serve_file(result: Result, today: datetime.date | None = None) -> str:
    """Its text, which `zerolane serve --config` reads."""
    lines = [*_comment(_head(result, today or datetime.date.today())), ""]
    if result.models:
        lines.append(_setting("models", result.models))
    lines += [_setting(name, value) for name, value in result.base.items()]
    for axis in result.axes:
        lines += ["", *_comment(_reasons(result, {name for choice in axis.choices for name in choice}))]
        lines += [
            _setting(name, result.chosen.value(name))
            for name in dict.fromkeys(name for choice in axis.choices for name in choice)
            if result.chosen.value(name) != DEFAULTS.value(name)
        ]
    return "\n".join(lines) + "\n"


def _head(result: Result, today: datetime.date) -> Iterator[str]:
    yield f"Written on {today} by: {result.command}"
    yield f"Measured on {usable_cores()} cores ({_processor()}) with the load of: scripts/load_test {result.load}"
    wanted = f" with {result.objective.targets}" if result.objective.targets else ""
    yield f"Wanted: the most {result.objective.value_name}{wanted}."
    yield result.verdict


def _reasons(result: Result, names: set[str]) -> Iterator[str]:
    """What was tried on the settings `names` and what came of it."""
    found = [
        comparison
        for comparison in result.comparisons
        if names & comparison.challenger.differences(comparison.incumbent).keys()
    ]
    shown = ", ".join(f"{_key(name)} {result.chosen.value(name)}" for name in sorted(names))
    if not found:
        yield f"{shown}: the default; nothing else was tried in the time there was."
        return
    is_default = all(result.chosen.value(name) == DEFAULTS.value(name) for name in names)
    yield f"{shown}{': the default' if is_default else ''}. Tried:"
    for comparison in found:
        yield f"  {_tried(comparison)}"


def _tried(comparison: Comparison) -> str:
    difference = comparison.challenger.differences(comparison.incumbent)
    instead = comparison.incumbent.differences(comparison.challenger)
    new = ", ".join(f"{_key(name)} {value}" for name, value in difference.items())
    old = ", ".join(str(value) for value in instead.values())
    return f"{new} instead of {old}: {comparison}"


def _setting(name: str, value: object) -> str:
    plain = list(value) if isinstance(value, tuple) else value
    return str(yaml.safe_dump({_key(name): plain}, default_flow_style=False, width=10_000, allow_unicode=True)).rstrip()


def _key(name: str) -> str:
    return name.replace("_", "-")


def _comment(lines: Iterator[str]) -> Iterator[str]:
    for line in lines:
        yield from textwrap.wrap(
            line, WIDTH, initial_indent="# ", subsequent_indent="#     ", break_long_words=False, break_on_hyphens=False
        )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
