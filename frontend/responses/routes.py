"""The handlers of /v1/responses."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import ExitStack, aclosing
from typing import Any

from sanic import HTTPResponse, Request

from frontend import unsupported_fields
from frontend.deadline import deadline_of
from frontend.http_reply import JSON, json_reply
from frontend.read_body import read_body
from frontend.request_body import check_content_type, decode_body
from frontend.responses import listing
from frontend.responses.asked import Asked, num_input_tokens, open_answer, understood
from frontend.responses.background_run import EventRecord, follow, run_in_background
from frontend.responses.events import EventEncoder
from frontend.responses.run import ResponseRun
from frontend.responses.schema import ResponsesRequest
from frontend.responses.status import Body, cancel
from frontend.responses.to_chat import wanted_logprobs
from frontend.serving import Serving
from frontend.sse import deliver
from frontend.tenant import tenant_of
from frontend.tokenize import off_loop
from ipc.errors import ErrorCode, RequestError

Save = Callable[[Body], Awaitable[None]]


async def create_response(serving: Serving, request: Request) -> HTTPResponse | None:
    """POST /v1/responses."""
    asked = await _asked(serving, request)
    if asked.fields.background:
        return await _create_in_background(serving, request, asked)

    async def save(body: Body) -> None:
        if asked.is_stored:
            await serving.responses.insert(asked.stored(serving.responses.bounded(body)))

    with await open_answer(serving, request, asked) as answer:
        run = ResponseRun(answer, asked.body, wanted_logprobs(asked.fields))
        if asked.fields.stream:
            encoder = EventEncoder()
            await deliver(request, _events(run, encoder, save), encoder.form())
            return None
        await run.finished()
        await save(run.body)
        return json_reply(run.body)


async def get_response(serving: Serving, request: Request, response_id: str) -> HTTPResponse | None:
    """GET /v1/responses/{id}: how it is now, or with `stream=true` its events."""
    stored = await serving.responses.get(response_id, tenant_of(request, None))
    if not listing.flag(request, "stream") or request.method == "HEAD":  # no body will carry events
        return HTTPResponse(stored.body_json, 200, None, JSON)
    after = listing.number(request, "starting_after", -1)
    if not stored.has_events:
        message = "Only a response that was created with 'background' and 'stream' can be streamed again."
        raise RequestError(ErrorCode.INVALID_REQUEST, message, "stream")
    await deliver(request, follow(serving.responses, stored, after), EventEncoder().form())
    return None


async def list_input_items(serving: Serving, request: Request, response_id: str) -> HTTPResponse:
    """GET /v1/responses/{id}/input_items: its own ones, not those of the responses before it."""
    stored = await serving.responses.get(response_id, tenant_of(request, None))
    return json_reply(listing.page(request, await off_loop(stored.size, stored.input)))


async def cancel_response(serving: Serving, request: Request, response_id: str) -> HTTPResponse:
    """POST /v1/responses/{id}/cancel: ends a background response; one that has ended stays as it is."""
    owner = tenant_of(request, None)
    stored = await serving.responses.get(response_id, owner)
    body = stored.body()
    if not body["background"]:
        raise RequestError(ErrorCode.INVALID_REQUEST, "Only a background response can be cancelled.", "response_id")
    if stored.is_running:
        cancel(body)
        await serving.responses.update(body)
        serving.background.stop(response_id)  # another frontend's ends at its next heartbeat
        stored = await serving.responses.get(response_id, owner)
    return HTTPResponse(stored.body_json, 200, None, JSON)


async def delete_response(serving: Serving, request: Request, response_id: str) -> HTTPResponse:
    """DELETE /v1/responses/{id}."""
    await serving.responses.delete(response_id, tenant_of(request, None))
    serving.background.stop(response_id)
    return json_reply({"id": response_id, "object": "response", "deleted": True})


async def count_input_tokens(serving: Serving, request: Request) -> HTTPResponse:
    """POST /v1/responses/input_tokens."""
    asked = await _asked(serving, request)
    return json_reply({"object": "response.input_tokens", "input_tokens": await num_input_tokens(serving, asked)})


async def _asked(serving: Serving, request: Request) -> Asked:
    check_content_type(request.headers.get("content-type"))
    body = await read_body(request, serving.config.max_body_bytes)
    fields = decode_body(body, ResponsesRequest, unsupported_fields.RESPONSES)
    deadline_of(request).tighten(fields.timeout)
    return await understood(serving, request, fields, len(body))


async def _create_in_background(serving: Serving, request: Request, asked: Asked) -> HTTPResponse | None:
    """Answers at once, or streams what is computed; either way it is computed to its end."""
    streams = bool(asked.fields.stream)
    with ExitStack() as undo:
        serving.request_begins()  # a request of its own, which ends with the run: a server that stops waits for it
        undo.callback(serving.request_ends)
        answer = undo.enter_context(await open_answer(serving, request, asked))
        run = ResponseRun(answer, asked.body, wanted_logprobs(asked.fields))
        run.body["status"] = "queued"
        stored = asked.stored(run.body, has_events=streams)
        await serving.responses.insert(stored)
        end = undo.pop_all()
    work = run_in_background(run, EventRecord(serving.responses, stored.id, is_wanted=streams))
    serving.background.start(stored.id, work, on_end=end.close)
    if streams:
        await deliver(request, follow(serving.responses, stored, -1), EventEncoder().form())
        return None
    return HTTPResponse(stored.body_json, 200, None, JSON)


async def _events(run: ResponseRun, encoder: EventEncoder, save: Save) -> AsyncGenerator[bytes]:
    """All events of a response, as they come. It is stored before its end is told: the client may go on with it."""

    def encoded(events: list[dict[str, Any]]) -> bytes:
        return b"".join(encoder.encode(event) for event in events)

    try:
        async with aclosing(run.growing()) as growing:
            async for events in growing:
                yield encoded(events)
        await save(run.body)
    except RequestError as error:
        if not run.has_begun:
            raise
        yield encoded(run.fail(error))
    yield encoded([run.last_event()])
