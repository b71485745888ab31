"""An error names the field that the client knows."""

import pytest

from frontend.renamed_fields import renamed_fields
from ipc.errors import ErrorCode, RequestError


@pytest.mark.parametrize(
    ("param", "told"),
    [("messages[3].content", "input"), ("messages", "input"), ("seed", "seed"), (None, None), ("", "")],
)
def test_only_names_in_the_table_change(param: str | None, told: str | None) -> None:
    with pytest.raises(RequestError, match="why") as refused, renamed_fields({"messages": "input"}):
        raise RequestError(ErrorCode.QUEUE_FULL, "why", param, 2.0)
    assert (refused.value.code, refused.value.param, refused.value.retry_after_s) == (ErrorCode.QUEUE_FULL, told, 2.0)
