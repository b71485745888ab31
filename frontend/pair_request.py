"""What score and rerank do alike: read the body, find the model, turn texts into work."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from sanic import Request

from frontend.deadline import deadline_of
from frontend.encode_prefix import Side
from frontend.read_body import read_body
from frontend.request_body import check_content_type, decode_body
from frontend.request_id import request_id
from frontend.schema_score import PairFields
from frontend.score_activation import score_activation
from frontend.score_pairs import PairLimits, TextPair
from frontend.score_work import PairSequences, ScoreWork, pair_sequences
from frontend.sequence_work import Order
from frontend.serving import Serving
from frontend.tenant import tenant_of
from frontend.text_model import TextModel
from ipc.errors import ErrorCode, RequestError
from ipc.model_card import LabelActivation

F = TypeVar("F", bound=PairFields)


@dataclass(frozen=True)
class PairWork:
    """Tokenized pairs of one request, ready to be submitted."""

    serving: Serving
    model: TextModel
    sequences: PairSequences
    activation: LabelActivation
    order: Order

    def submit(self, tells_each: bool = False) -> ScoreWork:
        """To be entered; see there."""
        return ScoreWork(self.serving, self.model.card, self.sequences, self.order, tells_each)


async def read_fields(
    serving: Serving, request: Request, schema: type[F], unsupported: dict[str, tuple[Any, ...]]
) -> F:
    """The body; from here its deadline counts. Raises RequestError."""
    check_content_type(request.headers.get("content-type"))
    body = await read_body(request, serving.config.max_body_bytes)
    fields = decode_body(body, schema, unsupported)
    deadline_of(request).tighten(fields.timeout)
    return fields


def pick_scorer(serving: Serving, name: str | None, endpoint: str) -> TextModel:
    """The model a request means: by name, or the first reranker, else the first embed model, which compares, else the
    first classifier. Raises RequestError."""
    models = serving.models
    if name:
        model = models.named(name)
        if model.card.task not in ("score", "embed"):
            message = f"The model '{name}' is a {model.card.task} model and cannot serve {endpoint}."
            raise RequestError(ErrorCode.INVALID_REQUEST, message, "model")
        return model
    scorers = [model for model in models.models if model.card.task in ("score", "embed")]
    if not scorers:
        raise RequestError(ErrorCode.MODEL_NOT_FOUND, f"No served model can answer {endpoint}.", "model")
    return min(scorers, key=_rank)


def _rank(model: TextModel) -> int:
    if model.card.task == "embed":
        return 1
    return 0 if model.card.num_labels == 1 else 2


async def pair_work(
    serving: Serving,
    request: Request,
    fields: PairFields,
    model: TextModel,
    pairs: Sequence[TextPair],
    limits: PairLimits,
    params: tuple[str, str],
) -> PairWork:
    """Tokenizes; returns once the scheduler takes requests. Raises RequestError naming one of `params`."""
    activation = score_activation(fields, model)
    num_chars = sum(len(first) + len(second) for first, second in pairs)
    sequences = await pair_sequences(pairs, model, limits, params, num_chars)
    await serving.to_scheduler.wait_for_scheduler()
    order = Order(request_id(request), tenant_of(request, fields.user), fields.priority or 0)
    return PairWork(serving, model, sequences, activation, order)


def limits_of(fields: PairFields) -> PairLimits:
    """As the request says."""
    side: Side = fields.truncation_side or "right"
    return PairLimits(
        fields.truncate_prompt_tokens, side, fields.max_tokens_per_query or 0, fields.max_tokens_per_doc or 0
    )


async def scored_in_time(request: Request, work: ScoreWork) -> bool:
    """Waits for all scores. False: the request's time was over first, and some have come; with none RequestError
    DEADLINE_EXCEEDED. Raises the request's error."""
    try:
        async with deadline_of(request).guard():
            await work.finished()
    except RequestError as error:
        if error.code is not ErrorCode.DEADLINE_EXCEEDED or not work.has_come().any():
            raise
        return False
    return True
