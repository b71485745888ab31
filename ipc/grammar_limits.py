"""How much one grammar may cost. Frontends check grammars under these limits and workers compile them under the same
ones, so that a grammar that was accepted does not fail later; llguidance's own units."""

from typing import Any

MAX_GRAMMAR_BYTES = 128 << 10  # of the serialized grammar, in UTF-8
COMPILE_CPU_S = 1.0  # of a frontend's check; a worker's compilation takes about as long, so never inside a step
COMPILE_BYTES = 2 << 30  # address space of the process that checks
MAX_ITEMS_IN_ROW = 2_000  # ways one place of the grammar may be read
INITIAL_LEXER_FUEL = 1_000_000  # to build the regexes; about 20 ms
STEP_LEXER_FUEL = 200_000  # of one token's mask; about 15 ms
STEP_MAX_ITEMS = 50_000  # of one token's mask; about 3 ms
MAX_LEXER_STATES = 50_000  # 1 to 2 KiB each
MAX_GRAMMAR_SIZE = 200_000  # symbols of all productions

LIMITS: dict[str, Any] = {
    "max_items_in_row": MAX_ITEMS_IN_ROW,
    "initial_lexer_fuel": INITIAL_LEXER_FUEL,
    "step_lexer_fuel": STEP_LEXER_FUEL,
    "step_max_items": STEP_MAX_ITEMS,
    "max_lexer_states": MAX_LEXER_STATES,
    "max_grammar_size": MAX_GRAMMAR_SIZE,
}
"""The same as keyword arguments of llguidance's LLParserLimits."""
