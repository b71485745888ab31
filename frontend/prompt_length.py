"""How much of a prompt a request wants to be taken (`truncate_prompt_tokens`)."""

from collections.abc import Sequence

from frontend.encode_prefix import Side
from frontend.schema_fields import GenerateFields
from ipc.errors import ErrorCode, RequestError
from ipc.model_card import ModelCard

PARAM = "truncate_prompt_tokens"


def prompt_limit(fields: GenerateFields, max_tokens: int | None, card: ModelCard) -> int | None:
    """The most tokens of a prompt; None: a prompt is taken whole or refused. `max_tokens`: the output that the request
    wants. Raises RequestError."""
    asked = fields.truncate_prompt_tokens
    if asked is None:
        return None
    if asked == -1:
        return max(1, card.max_model_len - (max_tokens or 1))
    if not 0 < asked <= card.max_model_len:
        message = f"'{PARAM}' must be -1 or from 1 to {card.max_model_len}, the model's context, not {asked}."
        raise RequestError(ErrorCode.INVALID_REQUEST, message, PARAM)
    return asked


def side_that_gives_way(fields: GenerateFields) -> Side:
    """The beginning, unless the request says otherwise: what stands last matters most."""
    return fields.truncation_side or "left"


def truncated(token_ids: Sequence[int], limit: int | None, side: Side) -> Sequence[int]:
    """The tokens that stay."""
    if limit is None or len(token_ids) <= limit:
        return token_ids
    return token_ids[:limit] if side == "right" else token_ids[len(token_ids) - limit :]
