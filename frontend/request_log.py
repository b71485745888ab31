"""One log line a request: quiet for what went well, louder for what did not."""

import logging

log = logging.getLogger("zerolane.frontend.request_log")


def log_request(request_id: str, route: str, status: int, seconds: float) -> None:
    """The end of a request. Server errors are warnings, everything else is for `--log-level debug`."""
    level = logging.WARNING if status >= 500 and status != 503 else logging.DEBUG
    if log.isEnabledFor(level):
        fields = {"request_id": request_id, "route": route, "status": status, "seconds": round(seconds, 4)}
        log.log(level, "request ended", extra={"fields": fields})


def log_bug(request_id: str, route: str, error: BaseException) -> None:
    """An exception nobody expected, with its trace: the client only gets the request id."""
    log.error("request failed by a bug", extra={"fields": {"request_id": request_id, "route": route}}, exc_info=error)
