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
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "repetition_penalty": (1,),
    "length_penalty": (1,),
    "logit_bias": ({},),
    "prompt_logprobs": (),
    "min_tokens": (0,),
    "use_beam_search": (False,),
    "early_stopping": (False,),
    "response_format": ({"type": "text"},),
    "structured_outputs": ({},),
    "guided_json": (),
    "guided_regex": (),
    "guided_choice": (),
    "guided_grammar": (),
    "guided_decoding_backend": (),
    "guided_whitespace_pattern": (),
    "allowed_token_ids": (),
    "bad_words": ([],),
    "logits_processors": ([],),
    "truncate_prompt_tokens": (),
    "truncation_side": (),
    "include_stop_str_in_output": (False,),
    "skip_special_tokens": (True,),
    "spaces_between_special_tokens": (True,),
    "return_token_ids": (False,),
    "return_tokens_as_token_ids": (False,),
    "kv_transfer_params": (),
    "vllm_xargs": ({},),
}

COMPLETIONS: dict[str, tuple[Any, ...]] = _GENERATE | {
    "logprobs": (False,),
    "echo": (False,),
    "suffix": ("",),
    "prompt_embeds": (),
}

CHAT: dict[str, tuple[Any, ...]] = _GENERATE | {
    "logprobs": (False,),
    "top_logprobs": (0,),
    "echo": (False,),
    "tool_choice": ("auto", "none"),
    "functions": ([],),
    "function_call": ("auto", "none"),
    "reasoning_effort": (),
    "chat_template": (),
    "chat_template_kwargs": ({},),
    "continue_final_message": (False,),
    "documents": ([],),
    "mm_processor_kwargs": ({},),
    "modalities": (["text"],),
    "audio": (),
    "prediction": (),
    "web_search_options": (),
}

SCORE: dict[str, tuple[Any, ...]] = {
    "queries": (),
    "documents": (),
    "items": (),
    "data_1": (),
    "data_2": (),
    "truncation_side": ("right",),
    "max_tokens_per_query": (0,),
    "max_tokens_per_doc": (0,),
    "use_activation": (True,),
    "activation": (True,),
    "softmax": (True,),
    "mm_processor_kwargs": ({},),
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
