"""The options of `zerolane serve`, derived from `ServeConfig`: one a field, with its bounds, help text and default.

Nothing is written twice: a field added to `ServeConfig` is an option at once.
"""

import argparse
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from typing import Annotated, Any, Literal, NoReturn, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta

from ipc.config import ServeConfig

_KIND_NAMES = {int: "an integer", float: "a number", str: "text"}


class BadOption(ValueError):
    """What was typed is not what an option takes; the text names option, value and wanted type."""


class OptionParser(argparse.ArgumentParser):
    """Raises BadOption instead of ending the process, and suggests the option that was probably meant."""

    def error(self, message: str) -> NoReturn:
        raise BadOption(message)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        found, unknown = super().parse_known_args(args, namespace)
        for word in unknown:
            raise BadOption(f"unknown option or argument {word!r}{self._suggestion(word)}")
        return found, unknown

    def _suggestion(self, word: str) -> str:
        known = [option for option in self._option_string_actions if option.startswith("--")]
        close = get_close_matches(word.split("=")[0], known, n=1)
        return f"; did you mean {close[0]}?" if close else ""


def option_name(field: str) -> str:
    """The flag of a field: max_num_seqs is --max-num-seqs."""
    return "--" + field.replace("_", "-")


def add_serve_options(parser: argparse.ArgumentParser) -> None:
    """One option for every field of ServeConfig."""
    hints = get_type_hints(ServeConfig, include_extras=True)
    for field in msgspec.structs.fields(ServeConfig):
        kind, meta = get_args(hints[field.name])
        _add_option(parser, field.name, kind, meta, field.default)


def serve_config(options: argparse.Namespace) -> ServeConfig:
    """The frozen settings `options` say."""
    values = {field.name: getattr(options, field.name) for field in msgspec.structs.fields(ServeConfig)}
    return msgspec.convert(values, ServeConfig)


def _add_option(parser: argparse.ArgumentParser, field: str, kind: Any, meta: Meta, default: object) -> None:
    flag = option_name(field)
    if kind is bool:
        text = f"{meta.description} (default: {'on' if default else 'off'})"
        parser.add_argument(flag, action=argparse.BooleanOptionalAction, default=default, help=text)
        return
    shown = f" (default: {default})" if default != "" else ""
    parser.add_argument(
        flag,
        type=_converter(kind, meta),
        default=default,
        metavar=_placeholder(kind),
        help=f"{meta.description}{shown}".replace("%", "%%"),
    )


def _converter(kind: Any, meta: Meta) -> Callable[[str], object]:
    """Turns the typed text into a value of `kind` within the bounds of `meta`."""
    wanted = _wanted(kind, meta)
    bounded: Any = Annotated[kind, meta]

    def convert(text: str) -> object:
        try:
            return msgspec.convert(text, bounded, strict=False)
        except msgspec.ValidationError:
            raise argparse.ArgumentTypeError(f"{text!r} is not {wanted}") from None

    return convert


def _wanted(kind: Any, meta: Meta) -> str:
    """In words what a value must be: "an integer from 1 to 64"."""
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(get_args(kind))
    bounds: Sequence[tuple[str, object]] = (("from", meta.ge), ("above", meta.gt), ("to", meta.le), ("below", meta.lt))
    said = [f"{word} {_plain(bound)}" for word, bound in bounds if bound is not None]
    if meta.ge is not None and meta.le is None:
        said = [f"of at least {_plain(meta.ge)}"]
    return " ".join([_KIND_NAMES[kind], *said])


def _plain(bound: object) -> str:
    return f"{bound:g}" if isinstance(bound, float) else str(bound)


def _placeholder(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return "{" + ",".join(get_args(kind)) + "}"
    return {int: "N", float: "X", str: "TEXT"}[kind]
