"""Writes out the grammar a request asks for, in llguidance's serialized form. Knows the fields, not whether the grammar
can be compiled: `grammar_cache.py` finds that out.

White space in JSON: a space, or a new line with its indentation, once at each place where JSON allows it. So an answer
may be pretty-printed, and a model that draws white space again and again still comes to an end.
"""

from collections.abc import Collection
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from llguidance import LLMatcher

from frontend.asked_form import AskedForm, FormKind, asked_form
from frontend.forced_calls import ForcedCalls, calls_schema
from frontend.schema_structured import StructuredFields
from frontend.structural_tags import tags_grammar
from ipc.errors import ErrorCode, RequestError
from ipc.grammar_limits import MAX_GRAMMAR_BYTES

if TYPE_CHECKING:  # a name that only the type checker knows
    from llguidance._lib import JsonCompileOptions

DEFAULT_WHITESPACE = r"[ ]|\n[ \t]{0,20}"


class GrammarSource(NamedTuple):
    """A grammar's text, and the field that asked for it."""

    text: str
    param: str
    is_user_text: bool  # in Lark or GBNF as it was sent; else serialized


def grammar_source(
    fields: StructuredFields, forced: ForcedCalls | None, special_tokens: Collection[str]
) -> GrammarSource | None:
    """The one grammar of a request; None when it asks for none. Raises RequestError naming the field."""
    form = asked_form(fields)
    if forced is not None:  # the answer is calls; its form would be that of a text that does not come
        form = AskedForm(FormKind.JSON, _calls_schema(forced), "tools")
    if form is None:
        return None
    try:
        text = _grammar(form, _json_options(fields), special_tokens)
        num_bytes = len(text.encode())
    except RecursionError:
        raise refusal(form.param, "it is nested too deeply.") from None
    except UnicodeEncodeError:
        raise refusal(form.param, "it is not valid Unicode text.") from None
    except ValueError as error:
        raise refusal(form.param, str(error)) from None
    if num_bytes > MAX_GRAMMAR_BYTES:
        raise too_long(form.param)
    return GrammarSource(text, form.param, form.kind is FormKind.GRAMMAR)


def refusal(param: str, reason: str) -> RequestError:
    """The field's grammar cannot be used."""
    return RequestError(ErrorCode.INVALID_REQUEST, f"'{param}' cannot be used: {reason}", param)


def _grammar(form: AskedForm, options: "JsonCompileOptions", special_tokens: Collection[str]) -> str:
    """Raises RequestError, ValueError with the reason, UnicodeEncodeError, RecursionError."""
    match form.kind:
        case FormKind.JSON:
            return _json_grammar(form, options)
        case FormKind.REGEX:
            return LLMatcher.grammar_from_regex(_bounded(form, form.value))
        case FormKind.CHOICE:
            return _choice_grammar(form)
        case FormKind.GRAMMAR:
            return _bounded(form, form.value)
        case FormKind.TAGS:
            return tags_grammar(form.value, options, special_tokens)


def _json_grammar(form: AskedForm, options: "JsonCompileOptions") -> str:
    schema = form.value
    if isinstance(schema, bool):  # JSON schema's words for anything and for nothing
        schema = {} if schema else {"not": {}}
    text = msgspec.json.encode(schema).decode()
    return LLMatcher.grammar_from_json_schema(_bounded(form, text), overrides=options)


def _calls_schema(forced: ForcedCalls) -> dict[str, Any]:
    try:
        if len(msgspec.json.encode([tool for _, tool in forced.tools])) > 2 * MAX_GRAMMAR_BYTES:
            raise too_long("tools")  # before they are gone through
        return calls_schema(forced)
    except RecursionError:
        raise refusal("tools", "it is nested too deeply.") from None
    except UnicodeEncodeError:
        raise refusal("tools", "it is not valid Unicode text.") from None


def _choice_grammar(form: AskedForm) -> str:
    """One regex: texts that begin with one another are told apart by where the answer ends."""
    choices: list[str] = form.value
    if not all(choices):
        raise ValueError("a choice is empty.")
    return LLMatcher.grammar_from_regex(_bounded(form, "|".join(_literal(choice) for choice in choices)))


def _literal(text: str) -> str:
    """A regex of this text alone, in the syntax of Rust's regex library."""
    return "".join(f"\\{char}" if char in _META else char for char in text)


_META = frozenset(r"\.+*?()|[]{}^$#&-~/ ") - {" ", "/"}


def _bounded(form: AskedForm, text: str) -> str:
    """The text, before anything is spent on it."""
    if len(text) > MAX_GRAMMAR_BYTES:
        raise too_long(form.param)
    return text


def too_long(param: str) -> RequestError:
    return refusal(param, f"written out it is longer than {MAX_GRAMMAR_BYTES} bytes.")


def _json_options(fields: StructuredFields) -> "JsonCompileOptions":
    """How JSON may be written. Nothing of a schema is ever ignored ("lenient")."""
    outputs = fields.structured_outputs
    pattern = fields.guided_whitespace_pattern
    if pattern is None and outputs is not None:
        pattern = outputs.whitespace_pattern
    options: JsonCompileOptions = {"lenient": False, "coerce_one_of": False, "whitespace_flexible": False}
    if pattern is not None or outputs is None or not outputs.disable_any_whitespace:
        options["whitespace_pattern"] = DEFAULT_WHITESPACE if pattern is None else pattern
    return options
