"""Every setting is an option, and a bad value names option, value and wanted type."""

import argparse
from typing import get_args, get_origin, get_type_hints

import msgspec
import pytest

from ipc.config import ServeConfig
from zerolane.options import BadOption, OptionParser, TextList, add_serve_options, option_name, serve_config

FIELDS = msgspec.structs.fields(ServeConfig)


def parser() -> OptionParser:
    made = OptionParser(allow_abbrev=False)
    add_serve_options(made)
    return made


def parse(*arguments: str) -> ServeConfig:
    return serve_config(parser().parse_args(arguments))


def test_no_arguments_give_the_defaults() -> None:
    assert parse() == ServeConfig()


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.name)
def test_every_setting_can_be_set_by_its_option(field: msgspec.structs.FieldInfo) -> None:
    kind, _ = get_args(get_type_hints(ServeConfig, include_extras=True)[field.name])
    flag = option_name(field.name)
    if kind is bool:
        wanted: object = not field.default
        arguments = [flag if wanted else flag.replace("--", "--no-", 1)]
    else:
        wanted = other_value(kind, field.default)
        arguments = [flag, ",".join(wanted) if isinstance(wanted, tuple) else str(wanted)]
    assert getattr(parse(*arguments), field.name) == wanted


def other_value(kind: object, default: object) -> object:
    """Some valid value that is not the default."""
    if kind is str:
        return "something"
    if kind == TextList:
        return ("something",)
    if kind in (int, float):
        assert isinstance(default, int | float)
        return default + 1
    return next(value for value in get_args(kind) if value != default)


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.name)
def test_help_says_what_it_is_for_and_its_default(field: msgspec.structs.FieldInfo) -> None:
    _, meta = get_args(get_type_hints(ServeConfig, include_extras=True)[field.name])
    help_text = " ".join(parser().format_help().split())
    assert " ".join((meta.description or "").split()) in help_text
    if get_origin(field.type) is None and field.default not in ("", True, False) and field.default != ():
        shown = ",".join(field.default) if isinstance(field.default, tuple) else field.default
        assert f"(default: {shown})" in help_text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--port", "99999"], "argument --port: '99999' is not an integer from 0 to 65535"),
        (["--port", "http"], "argument --port: 'http' is not an integer from 0 to 65535"),
        (["--workers", "0"], "argument --workers: '0' is not an integer from 1 to 64"),
        (["--startup-timeout", "0"], "argument --startup-timeout: '0' is not a number above 0"),
        (["--dtype", "int3"], "argument --dtype: 'int3' is not one of auto, float32, bfloat16, float16"),
        (["--max-waiting-tokens", "-1"], "argument --max-waiting-tokens: '-1' is not an integer of at least 1"),
        (["--prot", "80"], "unknown option or argument '--prot'; did you mean --port?"),
        (["--port"], "argument --port: expected one argument"),
        (["--allowed-origins", "[1]"], "argument --allowed-origins: '[1]' is not a list of texts"),
    ],
)
def test_a_bad_value_names_option_value_and_wanted_type(arguments: list[str], said: str) -> None:
    with pytest.raises(BadOption) as caught:
        parse(*arguments)
    assert str(caught.value) == said


def test_switches_go_both_ways() -> None:
    assert not parse("--no-enable-prefix-caching").enable_prefix_caching
    assert parse("--trust-remote-code").trust_remote_code
    assert isinstance(parser(), argparse.ArgumentParser)


def test_a_list_is_said_with_commas_as_json_or_option_by_option() -> None:
    wanted = ("https://a.example", "https://b.example")
    assert parse("--allowed-origins", ",".join(wanted)).allowed_origins == wanted
    assert parse("--allowed-origins", '["https://a.example", "https://b.example"]').allowed_origins == wanted
    assert parse("--allowed-origins", wanted[0], "--allowed-origins", wanted[1]).allowed_origins == wanted
    assert parse("--allowed-origins", "").allowed_origins == ()


def test_the_command_line_wins_over_the_file_and_the_file_over_the_defaults() -> None:
    from_file = {"port": 1234, "workers": 2, "allowed_origins": ("https://file.example",)}
    config = serve_config(
        parser().parse_args(["--port", "8000", "--allowed-origins", "https://typed.example"]), from_file
    )
    assert (config.port, config.workers, config.pools) == (8000, 2, 1)  # 8000 is also the default
    assert config.allowed_origins == ("https://typed.example",)
