"""numba is not on every machine: what it compiles is a faster way, never a needed one."""

import subprocess
import sys

import pytest

from tests.support.children import ROOT

pytestmark = pytest.mark.process
DEADLINE_S = 90.0  # it imports torch
WITHOUT = """
import sys
sys.modules["numba"] = None  # importing it fails
import workers.decoder, workers.encoder, workers.load_all
from workers.linear.choose import choose_linear
from workers.linear.kinds import KINDS
from workers.sampler import largest
import torch
assert list(KINDS) == ["packed"]
assert choose_linear("none", False, "cpu", "float32").kind in ("packed", "plain")
assert largest(torch.tensor([[0.0, 2.0, 1.0]]).bfloat16()).tolist() == [1]
"""


def test_loading_and_computing_need_no_compiler() -> None:
    """int8's kernels were imported with the list of all kinds, and no model could be loaded or opened."""
    done = subprocess.run([sys.executable, "-c", WITHOUT], cwd=ROOT, capture_output=True, text=True, timeout=DEADLINE_S)
    assert done.returncode == 0, done.stderr
