"""The options of `zerolane serve`, derived from `ServeConfig`: one a field, with its bounds, help text and default.

Nothing is written twice: a field added to `ServeConfig` is an option at once, and a key of the config file.
"""

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Annotated, Any, Literal, NamedTuple, NoReturn, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta

from ipc.config import ServeConfig

TextList = tuple[str, ...]  # the one kind of setting with several values
_KIND_NAMES: dict[Any, str] = {
    int: "an integer",
    float: "a number",
    str: "text",
    bool: "true or false",
    TextList: "a list of texts",
}


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


class Setting(NamedTuple):
    """One field of ServeConfig."""

    name: str
    kind: Any
    meta: Meta
    default: object


def settings() -> Iterator[Setting]:
    """All of them, in the order of ServeConfig."""
    hints = get_type_hints(ServeConfig, include_extras=True)
    for field in msgspec.structs.fields(ServeConfig):
        kind, meta = get_args(hints[field.name])
        yield Setting(field.name, kind, meta, field.default)


def add_serve_options(parser: argparse.ArgumentParser) -> None:
    """One option for every field of ServeConfig. What is not said is missing in what the parser returns."""
    for setting in settings():
        _add_option(parser, setting)


def serve_config(options: argparse.Namespace, from_file: Mapping[str, object] | None = None) -> ServeConfig:
    """The frozen settings: what `options` say, then the config file, then the defaults."""
    typed = {name: value for name, value in vars(options).items() if name in ServeConfig.__struct_fields__}
    return msgspec.convert({**(from_file or {}), **typed}, ServeConfig)


def _add_option(parser: argparse.ArgumentParser, setting: Setting) -> None:
    flag = option_name(setting.name)
    text = help_text(setting).replace("%", "%%")
    if setting.kind is bool:
        parser.add_argument(flag, action=argparse.BooleanOptionalAction, default=argparse.SUPPRESS, help=text)
        return
    parser.add_argument(
        flag,
        type=_converter(setting.kind, setting.meta),
        action="extend" if setting.kind == TextList else "store",
        default=argparse.SUPPRESS,
        metavar=_placeholder(setting.kind),
        help=text,
    )


def help_text(setting: Setting) -> str:
    """What it is for, and its default."""
    shown = shown_default(setting)
    return f"{setting.meta.description} (default: {shown})" if shown else str(setting.meta.description)


def shown_default(setting: Setting) -> str:
    """The default as one would type it; "" for an empty one."""
    if isinstance(setting.default, bool):
        return "on" if setting.default else "off"
    return ",".join(setting.default) if isinstance(setting.default, tuple) else str(setting.default)


def _converter(kind: Any, meta: Meta) -> Callable[[str], object]:
    """Turns the typed text into a value of `kind` within the bounds of `meta`."""
    wanted = wanted_value(kind, meta)
    bounded: Any = Annotated[kind, meta]

    def convert(text: str) -> object:
        try:
            return msgspec.convert(texts(text) if kind == TextList else text, bounded, strict=False)
        except msgspec.MsgspecError:
            raise argparse.ArgumentTypeError(f"{text!r} is not {wanted}") from None

    return convert


def texts(text: str) -> list[str]:
    """Several texts in one: a JSON list, as vLLM takes it, or with commas between. Raises MsgspecError."""
    if text.startswith("["):
        return msgspec.json.decode(text, type=list[str])
    return [part.strip() for part in text.split(",") if part.strip()]


def wanted_value(kind: Any, meta: Meta) -> str:
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
    return {int: "N", float: "X", str: "TEXT", TextList: "TEXT[,...]"}[kind]
