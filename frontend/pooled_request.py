"""What embeddings, pooling and classify do alike: read the body, tokenize, run the texts through the model once."""

from typing import Any, Generic, TypeVar

from sanic import Request

from frontend.deadline import deadline_of
from frontend.packed_texts import PackedTexts
from frontend.pooled_outputs import Rows, pooled_outputs
from frontend.pooling_inputs import pooling_inputs, prompt_before
from frontend.read_body import read_body
from frontend.request_body import check_content_type, decode_body
from frontend.request_id import request_id
from frontend.schema_embeddings import InputType, PoolingFields
from frontend.sequence_work import Order
from frontend.serving import Serving
from frontend.tenant import tenant_of
from frontend.text_model import TextModel

F = TypeVar("F", bound=PoolingFields)


class PooledRequest(Generic[F]):
    """One request; `fields` is its body."""

    def __init__(self, serving: Serving, request: Request, fields: F, num_body_chars: int) -> None:
        self.fields = fields
        self._serving = serving
        self._num_body_chars = num_body_chars
        self._order = Order(request_id(request), tenant_of(request, fields.user), fields.priority or 0)

    async def texts(
        self, model: TextModel, prompt_name: str | None = None, input_type: InputType | None = None
    ) -> PackedTexts:
        """Its texts as `model` reads them. Raises RequestError."""
        prompt = prompt_before(model, prompt_name, input_type)
        trusts = self._serving.config.trust_request_chat_template
        return await pooling_inputs(self.fields, model, prompt, trusts, self._num_body_chars)

    async def outputs(self, model: TextModel, texts: PackedTexts) -> Rows:
        """What the model says of each. Raises RequestError."""
        return await pooled_outputs(self._serving, model, texts, self._order)


async def open_pooled(
    serving: Serving, request: Request, schema: type[F], unsupported: dict[str, tuple[Any, ...]]
) -> PooledRequest[F]:
    """Reads and checks the body; from here its deadline runs. Raises RequestError."""
    check_content_type(request.headers.get("content-type"))
    body = await read_body(request, serving.config.max_body_bytes)
    fields = decode_body(body, schema, unsupported)
    deadline_of(request).tighten(fields.timeout)
    return PooledRequest(serving, request, fields, len(body))
