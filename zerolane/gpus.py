"""Whether a GPU can be used. Asked in a process of its own: the supervisor never imports torch."""

import subprocess
import sys

_ASK_S = 120.0  # importing torch from a cold disk
_QUESTION = """
import torch
if torch.version.cuda is None: print(f"this torch ({torch.__version__}) is built without CUDA")
elif not torch.cuda.is_available(): print(f"torch {torch.__version__} finds no device it can use")
"""


def why_no_gpu() -> str:
    """Why torch cannot compute on a GPU here, in words; "" if it can."""
    command = [sys.executable, "-P", "-W", "ignore", "-c", _QUESTION]
    try:
        asked = subprocess.run(command, capture_output=True, text=True, timeout=_ASK_S, check=False)
    except subprocess.TimeoutExpired:
        return f"torch did not say within {_ASK_S:g} s whether there is one"
    if asked.returncode != 0:
        return (asked.stderr.strip().splitlines() or ["torch cannot be imported"])[-1]
    return asked.stdout.strip()
