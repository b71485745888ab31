"""The texts of a request to an embed or classify model, in every form that clients send them, as tokens."""

from collections.abc import Sequence

from frontend.chat_prompt import chat_prompt
from frontend.packed_texts import MAX_TEXTS, PackedTexts, Text, TextLimits, check_ids, checked, pack, tokens_of
from frontend.schema_chat import ChatRequest
from frontend.schema_embeddings import Input, InputType, PoolingFields
from frontend.text_model import TextModel
from frontend.tokenize import off_loop
from ipc.errors import ErrorCode, RequestError

_QUERIES = ("query", "search_query")
_DOCUMENTS = ("document", "passage", "search_document")


async def pooling_inputs(
    fields: PoolingFields, model: TextModel, prompt: str, trusts_template: bool, num_body_chars: int
) -> PackedTexts:
    """What `input` or `messages` says, with `prompt` before each text. Raises RequestError."""
    if (fields.input is None) == (fields.messages is None):
        message = (
            "Give either 'input' or 'messages'." if fields.input is None else "Give 'input' or 'messages', not both."
        )
        raise RequestError(ErrorCode.INVALID_REQUEST, message, "input")
    limits = text_limits(fields)
    if fields.input is None:
        token_ids = await _rendered(fields, model, trusts_template, num_body_chars)
        check_ids(token_ids, model, "messages")  # the tokenizer may have more than the model
        return pack([checked(token_ids, model, limits, "messages")], "messages")
    texts = texts_of(fields.input)
    return await off_loop(num_body_chars, lambda: pack_inputs(texts, model, prompt, limits, "input"))


def text_limits(fields: PoolingFields) -> TextLimits:
    """Raises RequestError for a length of 0."""
    if fields.truncate_prompt_tokens == 0:
        message = "'truncate_prompt_tokens' must not be 0."
        raise RequestError(ErrorCode.INVALID_REQUEST, message, "truncate_prompt_tokens")
    return TextLimits(
        fields.truncate_prompt_tokens, fields.truncation_side or "right", fields.add_special_tokens is not False
    )


def pack_inputs(texts: Sequence[Text], model: TextModel, prompt: str, limits: TextLimits, param: str) -> PackedTexts:
    """All texts, tokenized and checked. Raises RequestError naming the text."""
    if len(texts) > MAX_TEXTS:
        message = f"A request may hold at most {MAX_TEXTS} inputs; this one has {len(texts)}."
        raise RequestError(ErrorCode.INVALID_REQUEST, message, param)
    whole = [prompt + text if isinstance(text, str) else text for text in texts]
    names = [f"{param}[{place}]" if len(texts) > 1 else param for place in range(len(texts))]
    return pack([tokens_of(text, model, limits, name) for text, name in zip(whole, names, strict=True)], param)


def texts_of(inputs: Input) -> list[Text]:
    """A list of texts or of token lists. Raises RequestError for a mixture."""
    if isinstance(inputs, str):
        return [inputs]
    if all(isinstance(item, int) for item in inputs):
        return [[item for item in inputs if isinstance(item, int)]]
    if all(isinstance(item, str) for item in inputs) or all(isinstance(item, list) for item in inputs):
        return [item for item in inputs if not isinstance(item, int)]
    message = "'input' must be a text, a list of texts, a list of token ids, or a list of lists of token ids."
    raise RequestError(ErrorCode.INVALID_REQUEST, message, "input")


def prompt_before(model: TextModel, prompt_name: str | None, input_type: InputType | None) -> str:
    """What the model was trained to see before such texts. Raises RequestError for a name it does not have."""
    embedding = model.card.embedding
    if embedding is None:
        return ""
    prompts = dict(embedding.prompts)
    if prompt_name is not None:
        if prompt_name not in prompts:
            known = ", ".join(repr(name) for name in prompts) or "none"
            message = f"The model '{model.card.name}' has no prompt of this name; it has: {known}."
            raise RequestError(ErrorCode.INVALID_REQUEST, message, "prompt_name")
        return prompts[prompt_name]
    if input_type in _QUERIES:
        return prompts.get(input_type, embedding.query_prompt)
    if input_type in _DOCUMENTS:
        return prompts.get(input_type, embedding.document_prompt)
    return prompts.get(input_type or "", embedding.default_prompt)


async def _rendered(fields: PoolingFields, model: TextModel, trusts_template: bool, num_body_chars: int) -> list[int]:
    """The conversation as one text, by the model's chat template."""
    request = ChatRequest(
        messages=fields.messages or [],
        add_generation_prompt=fields.add_generation_prompt is True,
        continue_final_message=fields.continue_final_message,
        add_special_tokens=fields.add_special_tokens is True,  # templates write them
        chat_template=fields.chat_template,
        chat_template_kwargs=fields.chat_template_kwargs,
    )
    return (await chat_prompt(request, model, trusts_template, num_body_chars)).token_ids
