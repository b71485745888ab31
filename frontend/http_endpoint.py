"""The border around every handler: who may call it, counts and logs, and a reply for every way it can fail."""

import asyncio
import time

from sanic import HTTPResponse, Request
from sanic.exceptions import SanicException

from frontend.admin_key import check_admin
from frontend.bugs import NOT_BUGS
from frontend.deadline import deadline_of
from frontend.http_reply import http_error_reply, internal_error_reply, request_error_reply
from frontend.read_body import connection
from frontend.request_id import request_id
from frontend.request_log import log_bug, log_request
from frontend.route import Kind, Route, metric_label
from frontend.serving import Serving
from ipc.errors import ErrorCode, RequestError
from ipc.metrics_page import Counter

CLIENT_LEFT = 499  # nginx' number for it; only counted, nobody is there to read it


class Endpoint:
    """One path of a route."""

    def __init__(self, serving: Serving, route: Route, path: str) -> None:
        self._serving = serving
        self._route = route
        self._label = metric_label(path)
        self._in_flight = serving.metrics.gauge("zerolane_http_requests_in_flight", self._label)
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
        except asyncio.CancelledError:
            self._disconnects.add()
            raise
        finally:
            self._in_flight.add(-1)
            self._count(status)
            log_request(request_id(request), self._label, status, time.monotonic() - began)

    async def _answer(self, request: Request, path: dict[str, str]) -> HTTPResponse | None:
        style = self._route.error_style
        try:
            self._check_key(request)
            return await self._handle(request, path)
        except RequestError as error:
            if error.code is ErrorCode.SHUTTING_DOWN:
                connection(request).keep_alive = False
            return request_error_reply(error, request, style)
        except NOT_BUGS:
            raise
        except BaseException as error:  # noqa: BLE001 - the border of a request: a bug ends this one request only
            if isinstance(error, SanicException) and error.status_code < 500:
                return http_error_reply(error, request, style)
            log_bug(request_id(request), self._label, error)
            return internal_error_reply(request, style)

    def _check_key(self, request: Request) -> None:
        """Raises Unauthorized, or Forbidden."""
        match self._route.kind:
            case Kind.ADMIN:
                check_admin(request, self._serving.config.admin_key)
            case Kind.INFERENCE | Kind.INFORMATION:
                self._serving.api_keys.check(request)
            case Kind.OPEN:
                pass

    async def _handle(self, request: Request, path: dict[str, str]) -> HTTPResponse | None:
        if self._route.kind is not Kind.INFERENCE:
            return await self._route.handler(self._serving, request, **path)
        self._serving.request_begins()
        try:
            async with deadline_of(request).guard():
                await self._serving.wait_for_models()
                return await self._route.handler(self._serving, request, **path)
        finally:
            self._serving.request_ends()

    def _count(self, status: int) -> None:
        counter = self._by_status.get(status)
        if counter is None:
            counter = self._serving.metrics.counter("zerolane_http_requests_total", self._label, str(status))
            self._by_status[status] = counter
        counter.add()
