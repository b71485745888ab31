"""JSON values that a request's type takes, made up from the type itself: a new endpoint or field needs nothing here."""

import random
from typing import Any

from msgspec import inspect

TEXTS = ("x", "What is it?", "a b c", "größe")
NAMES = {"model": None, "stream": False}  # fields whose sample is always this
USUAL: dict[str, Any] = {  # of which a type may require none, while its endpoint does
    "input": "x",
    "prompt": "x",
    "query": "x",
    "documents": ["x", "y"],
    "text_1": "x",
    "text_2": ["x", "y"],
    "texts": ["x"],
    "input_type": "search_query",
    "role": "user",
    "content": "x",
}
USUAL_CHANCE = 0.8
EXCLUDED = ("documents", "input", "query", "texts")  # other words for what is there already
SMALL = {"max_tokens": 2, "max_completion_tokens": 2, "max_output_tokens": 2, "n": 1, "best_of": 1}


class Samples:
    """`of` a type gives a value of its; `chance` of every optional field is set as well."""

    def __init__(self, source: random.Random, chance: float) -> None:
        self._source = source
        self._chance = chance

    def body(self, schema: inspect.Type) -> dict[str, Any]:
        """An object the type takes; small answers are asked for."""
        chosen = self._source.choice(_alternatives(schema))
        value = self.of(chosen)
        assert isinstance(value, dict)
        fields = {field.encode_name for field in _struct_fields(chosen)}
        value |= {name: fixed for name, fixed in (SMALL | NAMES).items() if name in fields}
        if self._source.random() < USUAL_CHANCE:
            usual = {name: fixed for name, fixed in USUAL.items() if name in fields and value.get(name) is None}
            excluded = EXCLUDED if "text_1" in usual or "messages" in value else ()
            value |= {name: fixed for name, fixed in usual.items() if name not in excluded}
        return value

    def of(self, schema: inspect.Type) -> Any:
        """A value of the type, as JSON has it."""
        match schema:
            case inspect.Metadata():
                return self.of(schema.type)
            case inspect.UnionType():
                return self.of(self._source.choice(_alternatives(schema)))
            case inspect.StructType():
                return self._struct(schema)
            case inspect.LiteralType():
                return self._source.choice(schema.values)
            case inspect.ListType() | inspect.VarTupleType() | inspect.SetType():
                return [self.of(schema.item_type) for _ in range(max(1, schema.min_length or 0))]
            case inspect.DictType():
                return {} if self._source.random() < 0.5 else {"1": self.of(schema.value_type)}
            case _:
                return self._plain(schema)

    def _struct(self, schema: inspect.StructType) -> dict[str, Any]:
        value = {
            field.encode_name: self.of(field.type)
            for field in schema.fields
            if field.required or self._source.random() < self._chance
        }
        return value if schema.tag_field is None else {schema.tag_field: schema.tag} | value

    def _plain(self, schema: inspect.Type) -> Any:
        match schema:
            case inspect.StrType():
                return self._source.choice(TEXTS).ljust(schema.min_length or 0, "x")[: schema.max_length]
            case inspect.BoolType():
                return self._source.random() < 0.5
            case inspect.IntType() | inspect.FloatType():
                return self._number(schema)
            case inspect.NoneType():
                return None
            case _:
                return {}

    def _number(self, schema: inspect.IntType | inspect.FloatType) -> int | float:
        low = schema.ge if schema.ge is not None else (schema.gt + 1 if schema.gt is not None else 0)
        high = schema.le if schema.le is not None else low + 3
        return min(max(low, 1), high)


def _alternatives(schema: inspect.Type) -> list[inspect.Type]:
    """The types of a union but null, or the one type itself."""
    if isinstance(schema, inspect.Metadata):
        return _alternatives(schema.type)
    if isinstance(schema, inspect.UnionType):
        return [one for one in schema.types if not isinstance(one, inspect.NoneType)] or [inspect.NoneType()]
    return [schema]


def _struct_fields(schema: inspect.Type) -> tuple[inspect.Field, ...]:
    return schema.fields if isinstance(schema, inspect.StructType) else ()
