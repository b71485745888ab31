"""Errors of a chat request that was made of another API's request name the fields of that request."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from ipc.errors import RequestError

_HEAD = re.compile(r"\w+")


@contextmanager
def renamed_fields(names: Mapping[str, str]) -> Iterator[None]:
    """`names`: from a chat request's field to the field it was made of. Places inside a field are left out."""
    try:
        yield
    except RequestError as error:
        head = _HEAD.match(error.param or "")
        if head is None or head[0] not in names:
            raise
        raise RequestError(error.code, str(error), names[head[0]], error.retry_after_s) from error
