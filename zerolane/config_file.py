"""`zerolane serve --config serve.yaml`: the options of the command line in a file, by their long names.

```yaml
models: [qwen=Qwen/Qwen2.5-0.5B-Instruct]
port: 8080
max-num-seqs: 64        # dashes or underscores
allowed-origins: [https://chat.example.com]
```

The command line wins over the file, the file over the defaults. Paths are relative to the working directory.
"""

from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, NamedTuple, NoReturn

import msgspec
import yaml

from zerolane.options import BadOption, Setting, TextList, settings, texts, wanted_value

MODEL_KEYS = ("model", "models")
SECRETS = ("api_key", "admin_key")  # messages end up in logs


class FileSettings(NamedTuple):
    """What a file says."""

    values: dict[str, object]  # by the name of the setting; valid for its type and bounds
    models: list[str]  # as they are typed on the command line


class _Entry(NamedTuple):
    """One line of the file."""

    place: str  # "serve.yaml, line 3"
    key: str
    value: object


def read_config_file(path: Path) -> FileSettings:
    """Raises BadOption, which names file, line, key, value and the wanted type."""
    known = {setting.name: setting for setting in settings()}
    found = FileSettings({}, [])
    seen: dict[str, str] = {}
    for entry in _entries(path):
        name = entry.key.replace("-", "_")
        name = "models" if name in MODEL_KEYS else name
        if name in seen:
            raise BadOption(f"{entry.place}: {entry.key} was already said in {seen[name]}")
        seen[name] = entry.place
        if name == "models":
            found.models.extend(_models(entry))
        elif name in known:
            found.values[name] = _value(entry, known[name])
        else:
            _refuse_key(entry, [*known, *MODEL_KEYS])
    return found


def _entries(path: Path) -> Iterator[_Entry]:
    """The keys of the file's one mapping with their values, in order. Raises BadOption."""
    try:
        loader = yaml.SafeLoader(path.read_text(encoding="utf-8"))
        root = loader.get_single_node()
        if root is None:
            return
        if not isinstance(root, yaml.MappingNode):
            raise BadOption(f"{path} does not hold options as 'name: value' lines")
        for key, value in root.value:
            place = f"{path}, line {key.start_mark.line + 1}"
            yield _Entry(place, str(loader.construct_object(key)), loader.construct_object(value, deep=True))
    except (OSError, UnicodeDecodeError, ValueError) as error:
        if isinstance(error, BadOption):
            raise
        raise BadOption(f"argument --config: {path} cannot be read: {error}") from error
    except yaml.YAMLError as error:
        raise BadOption(f"argument --config: {path} is not valid YAML: {' '.join(str(error).split())}") from error


def _models(entry: _Entry) -> list[str]:
    given = [entry.value] if isinstance(entry.value, str) else entry.value
    try:
        return msgspec.convert(given, list[str])
    except msgspec.ValidationError:
        _refuse_value(entry, "a model or a list of models ([NAME=]MODEL)")


def _value(entry: _Entry, setting: Setting) -> object:
    bounded: Any = Annotated[setting.kind, setting.meta]
    is_text_of_list = setting.kind == TextList and isinstance(entry.value, str)
    try:
        return msgspec.convert(texts(str(entry.value)) if is_text_of_list else entry.value, bounded)
    except msgspec.MsgspecError:
        _refuse_value(entry, wanted_value(setting.kind, setting.meta))


def _refuse_value(entry: _Entry, wanted: str) -> NoReturn:
    shown = "the value" if entry.key.replace("-", "_") in SECRETS else repr(entry.value)
    raise BadOption(f"{entry.place}: {entry.key}: {shown} is not {wanted}")


def _refuse_key(entry: _Entry, known: list[str]) -> NoReturn:
    close = get_close_matches(entry.key.replace("-", "_"), known, n=1)
    suggestion = f"; did you mean {close[0].replace('_', '-')}?" if close else ""
    raise BadOption(f"{entry.place}: unknown option {entry.key!r}{suggestion}")
