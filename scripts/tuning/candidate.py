"""A set of settings that is tried: what differs from the defaults of `zerolane serve`."""

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from ipc.config import ServeConfig

Value = int | float  # every setting that is tuned is a number
_DEFAULTS: dict[str, Value] = {
    field.name: field.default
    for field in msgspec.structs.fields(ServeConfig)
    if type(field.default) in (int, float)  # not bool
}


@dataclass(frozen=True)
class Candidate:
    """Make it with `changed`: settings at their default are never listed, so equal settings are equal objects."""

    changes: tuple[tuple[str, Value], ...] = ()  # sorted by name

    def changed(self, values: Mapping[str, Value]) -> "Candidate":
        """The same with some settings at other values."""
        merged = {**dict(self.changes), **values}
        return Candidate(tuple(sorted((name, value) for name, value in merged.items() if value != _DEFAULTS[name])))

    def value(self, name: str) -> Value:
        return dict(self.changes).get(name, _DEFAULTS[name])

    def has(self, values: Mapping[str, Value]) -> bool:
        """All these settings are at these values."""
        return all(self.value(name) == value for name, value in values.items())

    def differences(self, other: "Candidate") -> dict[str, Value]:
        """The settings in which `other` differs, at the value they have here."""
        names = {name for name, _ in (*self.changes, *other.changes)}
        return {name: self.value(name) for name in sorted(names) if self.value(name) != other.value(name)}

    def __str__(self) -> str:
        said = ", ".join(f"{name.replace('_', '-')} {value}" for name, value in self.changes)
        return said or "defaults"


DEFAULTS = Candidate()
