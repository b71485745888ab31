"""How the end of a child is told."""

import pytest

from zerolane.children import describe_exit


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (0, "ended with exit code 0"),
        (3, "ended with exit code 3"),
        (-9, "was killed by SIGKILL"),
        (-63, "was killed by"),
    ],
)
def test_describe_exit(code: int, said: str) -> None:
    assert describe_exit(code).startswith(said)
