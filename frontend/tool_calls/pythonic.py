"""[f(a=1, b="x"), g()]: Python calls in a list. Llama 3.2 and 4, and others. Read with Python's own parser, never run.

A call goes out whole, once its parenthesis closes.
"""

import ast
import json
import re
import warnings
from typing import Any

from frontend.text_parser import TextParser
from frontend.text_reader import Steps, Tags
from frontend.tool_calls.format import ToolCallFormat

START, END = "<|python_start|>", "<|python_end|>"
_START = Tags(START)
_NAME = re.compile(r"[\w.]*")
_MARK = Tags("(", ")", "[", "]", "{", "}", "'", '"')
_STRING_MARKS = {quote: Tags(quote, "\\\\", f"\\{quote}") for quote in ("'", '"')}
_NAMES = {"true": True, "false": False, "null": None}  # as JSON spells them
_MAX_DEPTH = 32  # of brackets
_MAX_CHARS = 65_536  # of one call's arguments: Python's parser takes 100 times as much memory


class PythonicParser(TextParser):
    """At the very beginning of the answer, or after <|python_start|>."""

    def _read(self) -> Steps[None]:
        reader = self._reader
        reader.record()
        yield from reader.space()
        yield from self._list()
        while (yield from reader.upto(_START, self._content)):
            reader.record(START)
            yield from reader.space()
            yield from self._list()

    def _list(self) -> Steps[None]:
        """Reads a list of calls, if one comes next; gives back what is none."""
        reader = self._reader
        bracket = yield from reader.starts("[")
        while bracket and (yield from self._call()):
            reader.record()
            yield from reader.space()
            if (yield from reader.starts("]")):
                yield from reader.space()
                yield from reader.starts(END)
                reader.recorded()
                return
            yield from reader.starts(",")
            yield from reader.space()
        self._give_back()

    def _call(self) -> Steps[bool]:
        reader = self._reader
        name: list[str] = []
        yield from reader.space()
        yield from reader.matching(_NAME, name.append)
        if not name or not (yield from reader.starts("(")):
            return False
        read: list[str] = []
        if not (yield from self._to_parenthesis(read)):
            return False
        arguments = _arguments("".join(read))
        if arguments is None:
            return False
        self._begin_call("".join(name))
        self._arguments(arguments)
        return True

    def _to_parenthesis(self, read: list[str]) -> Steps[bool]:
        """Reads up to the parenthesis that closes the call."""
        depth = 1
        while depth:
            mark = yield from self._reader.upto(_MARK, read.append)
            if not mark:
                return False
            if mark in _STRING_MARKS:
                read.append(mark)
                if not (yield from self._string(mark, read)):
                    return False
                continue
            depth += 1 if mark in "([{" else -1
            if depth > _MAX_DEPTH:
                return False
            if depth:
                read.append(mark)
        return True

    def _string(self, quote: str, read: list[str]) -> Steps[bool]:
        mark = ""
        while mark != quote:
            mark = yield from self._reader.upto(_STRING_MARKS[quote], read.append)
            if not mark:
                return False
            read.append(mark)
        return True


def _arguments(source: str) -> str | None:
    """JSON text of the keyword arguments; None if they are something else."""
    if len(source) > _MAX_CHARS:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of "\\d", which stays as it is
            call = ast.parse(f"f({source}\n)", mode="eval").body
        if not isinstance(call, ast.Call) or call.args:
            return None
        values = {keyword.arg: _value(keyword.value) for keyword in call.keywords}
        if None in values or len(values) < len(call.keywords):  # **x, or a name twice
            return None
        text = json.dumps(values, ensure_ascii=False, allow_nan=False)
        text.encode()  # raises ValueError for half a character ("\ud800"), which no reply can carry
        return text
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
        return None


def _value(node: ast.expr) -> Any:
    """A literal's value. Raises ValueError for anything else."""
    match node:
        case ast.Constant(value=str() | int() | float() | None as value):
            return value
        case ast.Name(id=name) if name in _NAMES:
            return _NAMES[name]
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
            return -value
        case ast.List(elts=items) | ast.Tuple(elts=items):
            return [_value(item) for item in items]
        case ast.Dict(keys=keys, values=values):
            return {_key(key): _value(value) for key, value in zip(keys, values, strict=True)}
    raise ValueError("not a literal")


def _key(node: ast.expr | None) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    raise ValueError("not a text")


PYTHONIC = ToolCallFormat(
    "pythonic",
    make=lambda tools: PythonicParser(),
    shown_tokens=frozenset({START, END}),
    marks=((START,), ("func_name1(",)),
)
