"""`truncation: auto`: a conversation that is too long loses its oldest turns."""

from frontend.chat_prompt import chat_prompt
from frontend.responses.to_chat import num_instructions, without_turns
from frontend.schema_chat import ChatRequest
from frontend.serving import Serving
from frontend.text_model import TextModel


async def shortened(serving: Serving, chat: ChatRequest, model: TextModel, num_chars: int) -> ChatRequest | None:
    """The longest end of the conversation that fits and begins with a turn of the user; instructions stay. None: not
    even the last turn fits."""
    begins = num_instructions(chat) + 1
    starts = [place for place in range(begins, len(chat.messages)) if chat.messages[place].role == "user"]
    fitting: ChatRequest | None = None
    low, high = 0, len(starts)
    while low < high:  # the first start that fits: what comes later fits too
        middle = (low + high) // 2
        tried = without_turns(chat, starts[middle])
        if await _fits(serving, tried, model, num_chars):
            fitting, high = tried, middle
        else:
            low = middle + 1
    return fitting


async def _fits(serving: Serving, chat: ChatRequest, model: TextModel, num_chars: int) -> bool:
    rendered = await chat_prompt(chat, model, serving.config.trust_request_chat_template, num_chars)
    return len(rendered.token_ids) + (chat.max_completion_tokens or 1) <= model.card.max_model_len
