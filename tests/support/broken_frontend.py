"""A frontend whose text parts have bugs: each raises when it meets its mark. Run as `python -m`, like zerolane itself.

mark in the prompt    %tokenizer% %template%
mark in the output    "1" breaks the detokenizer, "2" the stop strings, "3" the parser of tool calls
"""

import sys
from collections.abc import Callable
from typing import Any

from frontend import byte_tokenizer, chat_template, frontend_process, stop_strings, text_parser


class Panic(BaseException):
    """Like a panic in Rust, as pyo3 raises it: no Exception."""


def break_at(owner: type[Any], method: str, mark: object) -> None:
    """Let a method raise when its first argument is or contains `mark`."""
    whole: Callable[..., Any] = getattr(owner, method)

    def broken(self: Any, first: Any, *rest: Any, **named: Any) -> Any:
        if first == mark or (isinstance(mark, str) and mark in str(first)):
            raise Panic(f"{owner.__name__}.{method} has met its mark")
        return whole(self, first, *rest, **named)

    setattr(owner, method, broken)


if __name__ == "__main__":
    break_at(byte_tokenizer.ByteTokenizer, "encode", "%tokenizer%")
    break_at(byte_tokenizer.ByteTokenizer, "encode_prefix", "%tokenizer%")
    break_at(byte_tokenizer.ByteTokenizer, "encode_prefix", "%tokenizer%")
    break_at(chat_template.ChatTemplate, "prompt", "%template%")
    break_at(byte_tokenizer.ByteDetokenizer, "push", ord("1"))
    break_at(stop_strings.StopStrings, "push", "2")
    break_at(text_parser.TextParser, "push", "3")
    sys.exit(frontend_process.main(int(sys.argv[-1])))
