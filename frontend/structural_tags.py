"""The grammar of vLLM's structural tags: free text until a trigger, then JSON of one of the structures it begins."""

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from llguidance import LLMatcher, StructTag

from frontend.schema_structured import StructuralTag, Structure

if TYPE_CHECKING:  # a name that only the type checker knows
    from llguidance._lib import JsonCompileOptions


def tags_grammar(asked: StructuralTag, options: "JsonCompileOptions", special_tokens: Collection[str]) -> str:
    """Serialized for llguidance. Raises ValueError with the reason."""
    triggers = asked.triggers or []
    num_special = sum(trigger in special_tokens for trigger in triggers)
    if num_special not in (0, len(triggers)):
        raise ValueError("some triggers are special tokens of the model and others are plain text.")
    tags = [_tag(structure, triggers, options) for structure in asked.structures or []]
    return LLMatcher.grammar_from_lark(StructTag.to_grammar(tags, assume_special=num_special > 0))


def _tag(structure: Structure, triggers: list[str], options: "JsonCompileOptions") -> StructTag:
    begun = [trigger for trigger in triggers if structure.begin.startswith(trigger)]
    if not begun:
        raise ValueError(f"no trigger begins the structure {structure.begin[:128]!r}.")
    schema: dict[str, Any] = {"type": "object"} if structure.schema is None else _as_object(structure.schema)
    grammar = schema | {"x-guidance": options}
    return StructTag(trigger=max(begun, key=len), begin=structure.begin, grammar=grammar, end=structure.end)


def _as_object(schema: dict[str, Any] | bool) -> dict[str, Any]:
    """JSON schema's words for anything and for nothing, as objects."""
    if isinstance(schema, bool):
        return {} if schema else {"not": {}}
    return schema
