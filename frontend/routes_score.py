"""POST /v1/score and /score: how well the texts of each pair go together."""

import time
from collections.abc import AsyncGenerator, Sequence
from typing import Any
from uuid import uuid4

import numpy as np
from sanic import HTTPResponse, Request

from frontend import unsupported_fields
from frontend.http_reply import json_reply
from frontend.label_activation import activated
from frontend.pair_request import PairWork, limits_of, pair_work, pick_scorer, read_fields, scored_in_time
from frontend.schema_score import ScoreRequest, plain_texts, spelling_of
from frontend.score_pairs import make_pairs
from frontend.score_work import RawScores, ScoreWork
from frontend.serving import Serving
from frontend.sse import deliver, event

ENDPOINT = "/v1/score"

Score = float | list[float]


async def score(serving: Serving, request: Request) -> HTTPResponse | None:
    """Scores all pairs of the request."""
    fields = await read_fields(serving, request, ScoreRequest, unsupported_fields.SCORE)
    params = spelling_of(fields)
    first, second = (plain_texts(getattr(fields, param), param) for param in params)
    pairs = make_pairs(first, second, params)
    model = pick_scorer(serving, fields.model, ENDPOINT)
    work = await pair_work(serving, request, fields, model, pairs, limits_of(fields), params)
    reply = ScoreReply(work, serving.config.score_format == "float")
    with work.submit(tells_each=bool(fields.stream)) as running:
        if fields.stream:
            await deliver(request, _events(running, reply))
            return None
        is_complete = await scored_in_time(request, running)
        return json_reply(reply.whole(running, len(pairs), is_complete))


async def _events(running: ScoreWork, reply: "ScoreReply") -> AsyncGenerator[bytes]:
    """Items in the order in which the scores come, several an event; then one event with the usage."""
    told = np.zeros(len(running.has_come()), np.bool_)
    while not told.all():
        await running.changed()
        new = np.flatnonzero(running.has_come() & ~told)
        if len(new):
            told[new] = True
            yield event(reply.chunk(reply.items(new.tolist(), running.scores(new))))
    yield event(reply.chunk([]) | {"usage": reply.usage()})


class ScoreReply:
    """The shapes of an answer. `as_float`: today's vLLM's, where a score is a plain number and the usage is counted,
    else the specification's, where it is a list with one number and there is no usage."""

    def __init__(self, work: PairWork, as_float: bool) -> None:
        self._work = work
        self._as_float = as_float
        self._id = f"score-{uuid4().hex}"
        self._created = int(time.time())

    def whole(self, running: ScoreWork, num_pairs: int, is_complete: bool) -> dict[str, Any]:
        """All items by index; `is_complete` false: null for the scores that have not come, and a mark."""
        come = np.flatnonzero(running.has_come())
        items = self.items(come.tolist(), running.scores(come))
        if not is_complete:
            known = {item["index"]: item for item in items}
            items = [
                known.get(index) or {"index": index, "object": "score", "score": None} for index in range(num_pairs)
            ]
        usage = self.usage() if self._as_float else {}
        body = self._head("list") | {"data": items, "usage": usage}
        return body if is_complete else body | {"partial": True}

    def items(self, indexes: Sequence[int], raw: RawScores) -> list[dict[str, Any]]:
        """The score objects of these pairs; `raw` in the same order."""
        rows = activated(raw, self._work.activation).tolist()
        return [
            {"index": index, "object": "score", "score": self._shaped(row)}
            for index, row in zip(indexes, rows, strict=True)
        ]

    def chunk(self, items: list[dict[str, Any]]) -> dict[str, Any]:
        """One event of a stream."""
        return self._head("score.chunk") | {"data": items}

    def usage(self) -> dict[str, int]:
        """Counted, special tokens included."""
        num_tokens = self._work.sequences.num_tokens
        return {"prompt_tokens": num_tokens, "total_tokens": num_tokens, "completion_tokens": 0}

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": self._id, "object": kind, "created": self._created, "model": self._work.model.card.name}

    def _shaped(self, row: list[float]) -> Score:
        """Several labels are a list in either form."""
        return row[0] if self._as_float and len(row) == 1 else row
