"""Parsers of others: from installed packages, and from a file the operator names. Both run code, as the operator asked.

A package announces an object under the entry point group `zerolane.tool_call_parsers` or `zerolane.reasoning_parsers`;
it is loaded only when its name is asked for. A file defines such objects as variables of its module.
"""

import importlib.util
from collections.abc import Mapping
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from frontend.reasoning.format import ReasoningFormat
from frontend.tool_calls.format import ToolCallFormat
from ipc.errors import StartupError

Format = TypeVar("Format", ToolCallFormat, ReasoningFormat)


def installed(group: str, name: str, kind: type[Format]) -> Format | None:
    """The object a package announces under this name. Raises StartupError if it cannot be loaded."""
    for point in entry_points(group=group, name=name):
        try:
            found = point.load()
        except Exception as error:  # foreign code
            raise StartupError(f"The parser {name} of {point.value} cannot be loaded: {error}") from error
        if not isinstance(found, kind):
            raise StartupError(f"The parser {name} of {point.value} is no {kind.__name__}.")
        return found
    return None


def load_file(path: str) -> ModuleType:
    """Runs a file of parsers. Raises StartupError."""
    spec = importlib.util.spec_from_file_location("zerolane_parser_plugin", Path(path))
    if spec is None or spec.loader is None:
        raise StartupError(f"The parser plugin {path} is no Python file.", "See --tool-parser-plugin.")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # foreign code
        raise StartupError(
            f"The parser plugin {path} cannot be loaded: {error}", "See --tool-parser-plugin."
        ) from error
    return module


def defined_in(module: ModuleType, kind: type[Format]) -> Mapping[str, Format]:
    """The formats a plugin file defines, by name."""
    return {value.name: value for value in vars(module).values() if isinstance(value, kind)}
