"""From a request's fields to the grammar its answer must match, checked: what the workers get can be compiled."""

from frontend.forced_calls import ForcedCalls
from frontend.grammar_cache import GrammarCache
from frontend.grammar_child import GrammarTask
from frontend.grammar_source import grammar_source, refusal, too_long
from frontend.schema_structured import StructuredFields
from frontend.text_model import TextModel
from frontend.tokenize import off_loop
from ipc.grammar_limits import MAX_GRAMMAR_BYTES

_cache = GrammarCache()  # of this process; its threads and processes start with the first grammar


async def constraint(
    fields: StructuredFields, model: TextModel, forced: ForcedCalls | None = None, num_body_chars: int = 0
) -> str:
    """The text for `TokenRules.grammar`; "" when the request asks for no form.

    `forced`: the answer must be calls (`forced_calls.py`), whatever the fields say of a text's form. `num_body_chars`:
    size of the request, which decides whether a thread writes the grammar out. Raises RequestError naming the field.
    """
    special_tokens = model.tokenizer.special_tokens
    source = await off_loop(num_body_chars, lambda: grammar_source(fields, forced, special_tokens))
    if source is None:
        return ""
    task = GrammarTask(source.text, source.is_user_text, special_tokens, model.card.vocab_size)
    grammar, reason = await _cache.compiled(task)
    if reason:
        raise refusal(source.param, reason)
    if len(grammar.encode()) > MAX_GRAMMAR_BYTES:  # GBNF grows when it is made Lark
        raise too_long(source.param)
    return grammar


def close() -> None:
    """Call before the process ends: what still waits to be compiled is given up."""
    _cache.close()
