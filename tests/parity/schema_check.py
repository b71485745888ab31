"""Random answers under random schemas: every one that finished must validate.

    python -m tests.parity.schema_check [--schemas 500] [--tokens 400] [--first-seed 0]

A random model at temperature 1 takes every way a grammar leaves open. The suite runs a few schemas, this runs many.
"""

import argparse
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jsonschema
from llguidance import LLMatcher
from tokenizers import Tokenizer

from ipc.step_layout import RowStatus
from ipc.token_rules import TokenRules
from tests.parity.in_process import open_decoder
from tests.parity.ruled_driver import RuledDriver, RuledStream
from tests.parity.text_model import EOS_IDS, save_text_model
from tests.support.random_schemas import Schema, random_schema

AT_ONCE = 32


@dataclass
class Tally:
    """What became of the schemas, by seed."""

    valid: list[int] = field(default_factory=list)
    invalid: list[int] = field(default_factory=list)
    failed: list[int] = field(default_factory=list)  # the grammar could not be compiled, or could not go on
    unfinished: list[int] = field(default_factory=list)  # after all tokens it may have


def schema_stream(tokenizer: Tokenizer, schema: Schema, seed: int) -> RuledStream:
    """A stream whose output is an answer in the form of `schema`, drawn at temperature 1."""
    rules = TokenRules(grammar=LLMatcher.grammar_from_json_schema(schema))
    prompt = tokenizer.encode(f"Answer {seed}:").ids
    return RuledStream(prompt, rules, temperature=1.0, seed=seed, eos_ids=EOS_IDS)


def answer(tokenizer: Tokenizer, stream: RuledStream) -> str:
    """The text of its output."""
    text: str = tokenizer.decode(stream.output, skip_special_tokens=True)
    return text


def is_valid(text: str, schema: Schema) -> bool:
    """It is JSON, and as the schema says."""
    try:
        value: Any = json.loads(text)
        _validator(schema).validate(value)
    except (ValueError, jsonschema.ValidationError):
        return False
    return True


def _validator(schema: Schema) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER)


def check_schemas(folder: Path, seeds: Sequence[int], num_tokens: int) -> Tally:
    """Answer each seed's schema once, by a model that is made in `folder`."""
    tokenizer = save_text_model(folder)
    card, decoder = open_decoder(folder, num_pages=AT_ONCE * (num_tokens // 16 + 4))
    driver = RuledDriver([decoder], card)
    tally = Tally()
    for begin in range(0, len(seeds), AT_ONCE):
        schemas = {seed: random_schema(seed) for seed in seeds[begin : begin + AT_ONCE]}
        streams = {seed: schema_stream(tokenizer, schema, seed) for seed, schema in schemas.items()}
        driver.run(list(streams.values()), num_tokens)
        for seed, stream in streams.items():
            _kind(tally, tokenizer, stream, schemas[seed]).append(seed)
    return tally


def _kind(tally: Tally, tokenizer: Tokenizer, stream: RuledStream, schema: Schema) -> list[int]:
    if stream.status not in (RowStatus.FINE, RowStatus.COMPLETE):
        return tally.failed
    if stream.is_open:
        return tally.unfinished
    return tally.valid if is_valid(answer(tokenizer, stream), schema) else tally.invalid


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--schemas", type=int, default=500)
    parser.add_argument("--tokens", type=int, default=400, help="longest answer")
    parser.add_argument("--first-seed", type=int, default=0)
    options = parser.parse_args()
    seeds = range(options.first_seed, options.first_seed + options.schemas)
    with tempfile.TemporaryDirectory() as folder:
        tally = check_schemas(Path(folder), seeds, options.tokens)
    print(f"{len(tally.valid)} valid, {len(tally.unfinished)} unfinished after {options.tokens} tokens")
    print(f"invalid: {tally.invalid}\nfailed: {tally.failed}")
    raise SystemExit(bool(tally.invalid or tally.failed))


if __name__ == "__main__":
    main()
