"""The computing type, and that its reason is said."""

import pytest

from ipc.config import DType
from workers.dtype_choice import choose_dtype


@pytest.mark.parametrize(
    ("wanted", "checkpoint", "fast", "chosen"),
    [
        ("auto", "float32", True, "float32"),
        ("auto", "bfloat16", True, "bfloat16"),
        ("auto", "bfloat16", False, "float32"),
        ("auto", "float16", True, "bfloat16"),
        ("auto", "float16", False, "float32"),
        ("float16", "bfloat16", True, "float16"),
        ("bfloat16", "float32", False, "bfloat16"),
    ],
)
def test_choice(wanted: DType, checkpoint: str, fast: bool, chosen: str) -> None:
    choice = choose_dtype(wanted, checkpoint, fast)
    assert choice.dtype == chosen
    assert choice.reason


@pytest.mark.parametrize(
    ("wanted", "checkpoint", "fast", "chosen"),
    [
        ("auto", "float32", True, "bfloat16"),
        ("auto", "float32", False, "float32"),
        ("float32", "float32", True, "float32"),
    ],
)
def test_choice_where_only_products_would_be_rounded(wanted: DType, checkpoint: str, fast: bool, chosen: str) -> None:
    assert choose_dtype(wanted, checkpoint, fast, keeps_float32_states=True).dtype == chosen
