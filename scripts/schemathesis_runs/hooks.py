"""What Schemathesis cannot know: which models there are, and that a time limit of a microsecond is meant.

Loaded by Schemathesis (SCHEMATHESIS_HOOKS), in an environment of its own. A made-up model's name is answered with 404
and a tiny time limit with 504, before anything of interest happens: most cases lose them, some keep them.
"""

from typing import Any

import schemathesis

MIN_TIMEOUT_S = 60.0
KEEPS_MODEL_EVERY = 10  # cases
_cases = iter(range(1 << 62))


@schemathesis.hook
def map_body(context: Any, body: Any) -> Any:
    if not isinstance(body, dict):
        return body
    if "model" in body and next(_cases) % KEEPS_MODEL_EVERY:
        body = {name: value for name, value in body.items() if name != "model"}
    return _without_short_limit(body, "timeout")


@schemathesis.hook
def map_headers(context: Any, headers: Any) -> Any:
    return _without_short_limit(headers, "X-Request-Timeout") if headers else headers


def _without_short_limit(fields: Any, name: str) -> Any:
    try:
        is_short = 0 < float(fields.get(name, 0)) < MIN_TIMEOUT_S
    except (TypeError, ValueError, OverflowError):
        return fields  # not a number: the server must refuse it
    return {key: value for key, value in fields.items() if key != name} if is_short else fields
