"""The output items of a response as they grow, and the events that tell of it.

    reasoning       added, part added, text delta ..., text done, part done, done
    message         added, part added, text delta ..., text done, part done, done
    function_call   added, arguments delta ..., arguments done, done

One item is open at a time. The events carry no sequence numbers yet (`events.py`).
"""

from abc import ABC, abstractmethod
from typing import Any, Literal

from frontend.responses.input_items import new_id

Event = dict[str, Any]
Status = Literal["in_progress", "completed", "incomplete"]


class OutputItem(ABC):
    """`index`: its place in the response's output."""

    def __init__(self, index: int, prefix: str) -> None:
        self.index = index
        self.id = new_id(prefix)
        self._texts: list[str] = []

    @property
    def text(self) -> str:
        return "".join(self._texts)

    @abstractmethod
    def as_dict(self, status: Status) -> dict[str, Any]:
        """The item as it is now."""

    @abstractmethod
    def begin(self) -> list[Event]:
        """Before the first `add`."""

    @abstractmethod
    def add(self, text: str, logprobs: list[dict[str, Any]]) -> Event:
        """More of its text."""

    @abstractmethod
    def end(self, status: Status) -> list[Event]:
        """After the last `add`."""

    def _added(self, item: dict[str, Any]) -> Event:
        return {"type": "response.output_item.added", "output_index": self.index, "item": item}

    def _done(self, status: Status) -> Event:
        return {"type": "response.output_item.done", "output_index": self.index, "item": self.as_dict(status)}

    def _event(self, kind: str, **more: Any) -> Event:
        return {"type": f"response.{kind}", "item_id": self.id, "output_index": self.index, **more}

    def _part_event(self, kind: str, **more: Any) -> Event:
        """Of the item's only part."""
        return self._event(kind, content_index=0, **more)


class MessageItem(OutputItem):
    """Text for the reader."""

    def __init__(self, index: int) -> None:
        super().__init__(index, "msg")
        self._logprobs: list[dict[str, Any]] = []

    def as_dict(self, status: Status) -> dict[str, Any]:
        return self._dict(status, [self._part()])

    def begin(self) -> list[Event]:
        part_added = self._part_event("content_part.added", part=self._part())
        return [self._added(self._dict("in_progress", [])), part_added]

    def add(self, text: str, logprobs: list[dict[str, Any]]) -> Event:
        self._texts.append(text)
        self._logprobs += logprobs
        return self._part_event("output_text.delta", delta=text, logprobs=logprobs)

    def end(self, status: Status) -> list[Event]:
        return [
            self._part_event("output_text.done", text=self.text, logprobs=self._logprobs),
            self._part_event("content_part.done", part=self._part()),
            self._done(status),
        ]

    def _part(self) -> dict[str, Any]:
        return {"type": "output_text", "text": self.text, "annotations": [], "logprobs": list(self._logprobs)}

    def _dict(self, status: Status, content: list[dict[str, Any]]) -> dict[str, Any]:
        return {"id": self.id, "type": "message", "status": status, "role": "assistant", "content": content}


class ReasoningItem(OutputItem):
    """Text of the model's thinking. There are no summaries of it."""

    def __init__(self, index: int) -> None:
        super().__init__(index, "rs")

    def as_dict(self, status: Status) -> dict[str, Any]:
        return self._dict(status, [self._part()])

    def begin(self) -> list[Event]:
        part_added = self._part_event("content_part.added", part=self._part())
        return [self._added(self._dict("in_progress", [])), part_added]

    def add(self, text: str, logprobs: list[dict[str, Any]]) -> Event:
        self._texts.append(text)
        return self._part_event("reasoning_text.delta", delta=text)

    def end(self, status: Status) -> list[Event]:
        return [
            self._part_event("reasoning_text.done", text=self.text),
            self._part_event("content_part.done", part=self._part()),
            self._done(status),
        ]

    def _part(self) -> dict[str, Any]:
        return {"type": "reasoning_text", "text": self.text}

    def _dict(self, status: Status, content: list[dict[str, Any]]) -> dict[str, Any]:
        return {"id": self.id, "type": "reasoning", "status": status, "summary": [], "content": content}


class CallItem(OutputItem):
    """A call of one of the client's functions; its text is the JSON of the arguments."""

    def __init__(self, index: int, call_id: str, name: str) -> None:
        super().__init__(index, "fc")
        self._call_id = call_id
        self._name = name

    def as_dict(self, status: Status) -> dict[str, Any]:
        call = {"call_id": self._call_id, "name": self._name, "arguments": self.text}
        return {"id": self.id, "type": "function_call", "status": status, **call}

    def begin(self) -> list[Event]:
        return [self._added(self.as_dict("in_progress"))]

    def add(self, text: str, logprobs: list[dict[str, Any]]) -> Event:
        self._texts.append(text)
        return self._event("function_call_arguments.delta", delta=text)

    def end(self, status: Status) -> list[Event]:
        return [
            self._event("function_call_arguments.done", arguments=self.text, name=self._name),
            self._done(status),
        ]
