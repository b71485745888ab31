"""The border around every handler: counts and logs the request, and turns every way it can fail into a reply."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from sanic import HTTPResponse, Request
from sanic.exceptions import SanicException

from frontend.bugs import NOT_BUGS
from frontend.http_reply import internal_error_reply, request_error_reply
from frontend.read_body import connection
from frontend.request_id import request_id
from frontend.request_log import log_bug, log_request
from frontend.serving import Serving
from ipc.errors import ErrorCode, RequestError
from ipc.metrics_page import Counter

Handler = Callable[..., Awaitable[HTTPResponse | None]]
CLIENT_LEFT = 499  # nginx' number for it; only counted, nobody is there to read it


class Endpoint:
    """One route. A handler returns a reply, or None when it has streamed one."""

    def __init__(self, serving: Serving, route: str, handler: Handler, is_inference: bool) -> None:
        self._serving = serving
        self._route = route
        self._handler = handler
        self._is_inference = is_inference
        self._in_flight = serving.metrics.gauge("zerolane_http_requests_in_flight", route)
        self._disconnects = serving.metrics.counter("zerolane_client_disconnects_total")
        self._by_status: dict[int, Counter] = {}

    async def __call__(self, request: Request, **path: str) -> HTTPResponse | None:
        began = time.monotonic()
        status = CLIENT_LEFT
        self._in_flight.add(1)
        try:
            reply = await self._answer(request, path)
            status = 200 if reply is None else reply.status
            return reply
        except SanicException as error:
            status = error.status_code
            raise
        except asyncio.CancelledError:
            self._disconnects.add()
            raise
        finally:
            self._in_flight.add(-1)
            self._count(status)
            log_request(request_id(request), self._route, status, time.monotonic() - began)

    async def _answer(self, request: Request, path: dict[str, str]) -> HTTPResponse | None:
        try:
            if not self._is_inference:
                return await self._handler(self._serving, request, **path)
            self._serving.request_begins()
            try:
                await self._serving.wait_for_models()
                return await self._handler(self._serving, request, **path)
            finally:
                self._serving.request_ends()
        except RequestError as error:
            if error.code is ErrorCode.SHUTTING_DOWN:
                connection(request).keep_alive = False
            return request_error_reply(error)
        except (SanicException, *NOT_BUGS):
            raise
        except BaseException as error:  # noqa: BLE001 - the border of a request: a bug ends this one request only
            log_bug(request_id(request), self._route, error)
            return internal_error_reply(request_id(request))

    def _count(self, status: int) -> None:
        counter = self._by_status.get(status)
        if counter is None:
            counter = self._serving.metrics.counter("zerolane_http_requests_total", self._route, str(status))
            self._by_status[status] = counter
        counter.add()
