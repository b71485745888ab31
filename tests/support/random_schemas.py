"""JSON schemas made up from a seed: objects, arrays, strings, numbers, choices, references, one inside the other.

They use what grammars support, and everything has an end that even chance finds sooner or later.
"""

import random
from typing import Any

Schema = dict[str, Any]
NAMES = ["id", "name", "größe", "tags", "a b", "x", "items", "nested value", 'quo"te', "π"]
PATTERNS = ["^[a-z]{1,4}$", "^(on|off)$", "^[A-F0-9]{2}(:[A-F0-9]{2}){0,2}$", r"^\d{1,3}-\d{2}$", "^x+y?$"]
FORMATS = ["date", "uuid", "ipv4", "email"]
VALUES: list[Any] = [None, True, 0, -1.5, "yes", "no\n", "ünï", [1, "two"], {"k": False}]


def random_schema(seed: int) -> Schema:
    """The same for the same seed. Some refer to definitions, and to themselves."""
    source = random.Random(seed)
    defs = {"leaf": _leaf(source), "node": _node(source)}
    schema = _any(source, depth=3)
    if source.random() < 0.2:
        schema = {"type": "object", "properties": {"root": {"$ref": "#/$defs/node"}, "rest": schema}}
        schema |= {"required": ["root"], "additionalProperties": False}
    return schema | {"$defs": defs}


def _any(source: random.Random, depth: int) -> Schema:
    if depth == 0 or source.random() < 0.3:
        return source.choice([_leaf(source), _choice(source), {"$ref": "#/$defs/leaf"}])
    return source.choice([_object, _object, _array, _any_of, _tuple])(source, depth - 1)


def _object(source: random.Random, depth: int) -> Schema:
    names = source.sample(NAMES, source.randint(0, 4))
    schema: Schema = {"type": "object", "properties": {name: _any(source, depth) for name in names}}
    schema["required"] = [name for name in names if source.random() < 0.6]
    more: Any = source.choice([False, False, _leaf(source)])
    schema["additionalProperties"] = more
    return schema


def _array(source: random.Random, depth: int) -> Schema:
    low = source.randint(0, 2)
    return {"type": "array", "items": _any(source, depth), "minItems": low, "maxItems": low + source.randint(0, 3)}


def _tuple(source: random.Random, depth: int) -> Schema:
    items = [_any(source, depth) for _ in range(source.randint(1, 3))]
    return {"type": "array", "prefixItems": items, "items": False, "minItems": source.randint(0, len(items))}


def _any_of(source: random.Random, depth: int) -> Schema:
    return {"anyOf": [_any(source, depth) for _ in range(source.randint(2, 3))]}


def _choice(source: random.Random) -> Schema:
    if source.random() < 0.3:
        return {"const": source.choice(VALUES)}
    return {"enum": source.sample(VALUES, source.randint(1, 4))}


def _node(source: random.Random) -> Schema:
    """Refers to itself."""
    children = {"type": "array", "items": {"$ref": "#/$defs/node"}, "maxItems": source.randint(1, 2)}
    properties = {"value": _leaf(source), "children": children}
    return {"type": "object", "properties": properties, "required": ["value"], "additionalProperties": False}


def _leaf(source: random.Random) -> Schema:
    low = source.randint(-50, 50)
    return source.choice(
        [
            {"type": "string", "maxLength": source.randint(1, 8)},
            {"type": "string", "minLength": 2, "maxLength": source.randint(2, 9)},
            {"type": "string", "pattern": source.choice(PATTERNS)},
            {"type": "string", "format": source.choice(FORMATS)},
            {"type": "integer", "minimum": low, "maximum": low + source.randint(0, 5000)},
            {"type": "integer", "exclusiveMinimum": low, "multipleOf": source.choice([2, 5]), "maximum": 900},
            {"type": "number", "minimum": low, "maximum": low + source.choice([0.5, 10, 1e4])},
            {"type": "boolean"},
            {"type": "null"},
            {"type": ["integer", "null"], "minimum": 0, "maximum": 9},
        ]
    )
