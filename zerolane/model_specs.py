"""What the MODEL arguments mean: `[NAME=]SOURCE`, where SOURCE is a local folder, a hub id or a built-in fake model."""

import re
from collections.abc import Sequence
from pathlib import Path

from ipc.config import ModelSpec
from ipc.fake_card import FAKE_SOURCES
from zerolane.options import BadOption

TINY_MODELS = ("tiny-chat", "tiny-rerank", "tiny-embed")  # shipped beside this file; served when no MODEL is given
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?", re.ASCII)
_NAME = re.compile(r"\w[\w./:@-]{0,199}", re.ASCII)


def model_specs(arguments: Sequence[str], served_model_name: str = "") -> list[ModelSpec]:
    """The models to serve, in order, each with a name of its own. Raises BadOption and says what is wrong."""
    specs = [_parse(argument) for argument in arguments] or [_tiny(name) for name in TINY_MODELS]
    if served_model_name:
        if len(specs) != 1:
            raise BadOption("--served-model-name names one model and there are several: write NAME=MODEL for each")
        specs = [ModelSpec(_checked_name(served_model_name), specs[0].source)]
    names = [spec.name for spec in specs]
    for name in names:
        if names.count(name) > 1:
            raise BadOption(f"two models would be called {name!r}: write NAME=MODEL to name one of them")
    return specs


def _tiny(name: str) -> ModelSpec:
    return ModelSpec(name, _checked_source(str(Path(__file__).parent / "tiny" / name)))


def _parse(argument: str) -> ModelSpec:
    name, separator, source = argument.partition("=")
    if not argument or (separator and not source and not Path(argument).exists()):
        wanted = "a folder, a hub id or " + " or ".join(FAKE_SOURCES)
        raise BadOption(f"MODEL is empty in {argument!r}: write [NAME=]MODEL, where MODEL is {wanted}")
    if not separator or Path(argument).expanduser().exists():
        source = _checked_source(argument)
        return ModelSpec(_default_name(source), source)
    return ModelSpec(_checked_name(name), _checked_source(source))


def _default_name(source: str) -> str:
    """fake-generate for fake:generate, the folder's name for a path, the whole id for a hub model."""
    if source in FAKE_SOURCES:
        return source.replace(":", "-")
    return _checked_name(Path(source).name) if Path(source).is_absolute() else source


def _checked_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise BadOption(f"{name!r} cannot name a model: letters, digits and . _ - / : @ only")
    return name


def _checked_source(source: str) -> str:
    """The fake source, the absolute path, or the hub id. A hub id is not looked up here."""
    if source in FAKE_SOURCES:
        return source
    folder = Path(source).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise BadOption(f"MODEL {source!r} is a folder without config.json, so it holds no model")
        return str(folder.resolve())
    if source.startswith(("/", ".", "~")) or source.count("/") > 1:
        raise BadOption(f"MODEL {source!r}: there is no such folder")
    if not _HUB_ID.fullmatch(source):
        wanted = "a folder, a hub id like owner/name, " + " or ".join(FAKE_SOURCES)
        raise BadOption(f"MODEL {source!r} is not {wanted}")
    return source
