"""Known fields that are not built yet: each is taken at its neutral value and refused at any other, never silently
accepted.

Fields that no table and no schema names are ignored, as OpenAI's and vLLM's servers do (`user`, `metadata`, `store`,
...).
"""

from typing import Any

import orjson

from ipc.errors import ErrorCode, RequestError

# field -> the values that ask for nothing; null always does
_GENERATE: dict[str, tuple[Any, ...]] = {
    "length_penalty": (1,),
    "use_beam_search": (False,),
    "early_stopping": (False,),
    "logits_processors": ([],),
    "kv_transfer_params": (),
    "vllm_xargs": ({},),
}

COMPLETIONS: dict[str, tuple[Any, ...]] = _GENERATE | {
    "prompt_embeds": (),
}

CHAT: dict[str, tuple[Any, ...]] = _GENERATE | {
    "functions": ([],),
    "function_call": ("auto", "none"),
    "mm_processor_kwargs": ({},),
    "modalities": (["text"],),
    "audio": (),
    "prediction": (),
    "web_search_options": (),
}

SCORE: dict[str, tuple[Any, ...]] = {
    "mm_processor_kwargs": ({},),
    "instruction": ("",),
    "instruct": ("",),
}

RERANK: dict[str, tuple[Any, ...]] = SCORE | {
    "stream": (False,),
    "rank_fields": (["text"],),  # Cohere v1: which fields of an object make the text
    "max_chunks_per_doc": (1,),  # Cohere v1: documents are never cut into several here
}

POOLING: dict[str, tuple[Any, ...]] = {
    "mm_processor_kwargs": ({},),
    "embed_dtype": ("float32",),
    "endianness": ("native", "little"),
    "additional_data": (),
}

EMBEDDINGS: dict[str, tuple[Any, ...]] = POOLING

COHERE_EMBED: dict[str, tuple[Any, ...]] = {}

RESPONSES: dict[str, tuple[Any, ...]] = {
    "prompt": (),  # a template that OpenAI keeps
    "conversation": (),
    "context_management": ([],),
    "moderation": (),
    "enable_response_messages": (False,),
    "previous_input_messages": ([],),
    "mm_processor_kwargs": ({},),
    "vllm_xargs": ({},),
}

MESSAGES: dict[str, tuple[Any, ...]] = {
    "container": (),
    "mcp_servers": ([],),
    "context_management": (),
}


def refuse_unsupported(body: dict[str, Any], table: dict[str, tuple[Any, ...]]) -> None:
    """Raises RequestError for the first known field whose value asks for something not built yet."""
    for field, neutrals in table.items():
        value = body.get(field)
        if value is None or any(_is_equal(value, neutral) for neutral in neutrals):
            continue
        accepted = " or ".join(orjson.dumps(neutral).decode() for neutral in (*neutrals, None))
        message = f"'{field}' is not supported yet; leave it out (accepted: {accepted})."
        raise RequestError(ErrorCode.INVALID_REQUEST, message, field)


def _is_equal(value: Any, neutral: Any) -> bool:
    """Equality that does not take false for 0 or 1 for true."""
    return isinstance(value, bool) == isinstance(neutral, bool) and bool(value == neutral)
