"""Run inside venv-torch: llama.cpp's own converter, told that our tokenizer splits words as GPT-2's does.

    PYTHONPATH=LLAMA_TREE/gguf-py:LLAMA_TREE python to_gguf.py LLAMA_TREE MODEL_DIR --outfile FILE --outtype bf16

The converter recognizes the tokenizers of published models by a checksum; one that was learned here is in no list.
"""

import importlib
import runpy
import sys
from typing import Any


def main() -> None:
    tree = sys.argv.pop(1)
    base: Any = importlib.import_module("conversion.base")
    base.TextModel.get_vocab_base_pre = lambda self, tokenizer: "gpt-2"
    sys.argv[0] = f"{tree}/convert_hf_to_gguf.py"
    runpy.run_path(sys.argv[0], run_name="__main__")


main()
