"""The events of one response as bytes, numbered."""

import orjson

from frontend.responses.output_items import Event
from frontend.sse import EventForm


def encode_event(event: Event, number: int) -> bytes:
    """One event, as it is sent."""
    return b"event: %b\ndata: %b\n\n" % (event["type"].encode(), orjson.dumps(event | {"sequence_number": number}))


class EventEncoder:
    """Numbers the events of one response from 0."""

    def __init__(self) -> None:
        self.num_events = 0

    def encode(self, event: Event) -> bytes:
        self.num_events += 1
        return encode_event(event, self.num_events - 1)

    def form(self) -> EventForm:
        """How a stream tells an error that no event of the response could tell. Nothing comes after the last event."""
        return EventForm(self._error, end=b"")

    def _error(self, body: bytes) -> bytes:
        error = orjson.loads(body)["error"]
        told = {"message": error["message"], "code": error["code"] or error["type"], "param": error["param"]}
        return self.encode({"type": "error", **told})
