"""The frontend's stages of one chat request, each callable by itself on what the stage before it made."""

from pathlib import Path

import msgspec
import numpy as np

from frontend import unsupported_fields
from frontend.chat_template import Rendering
from frontend.chunk_encoder import ChatChunkEncoder
from frontend.load_text_models import load_text_models
from frontend.request_body import decode_body
from frontend.schema_chat import ChatRequest
from frontend.stream_group import StreamGroup
from frontend.token_stream import TextRules, TokenStream
from ipc.codec import Decoder, encode
from ipc.config import FrontendConfig
from ipc.fake_card import fake_card
from ipc.messages import FromScheduler, SamplingParams, SubmitGenerate, TokenBatch

MAX_MODEL_LEN = 4096


class FrontendStages:
    """One request of `num_words` words to the model in `folder`, and batches of `num_streams` tokens."""

    def __init__(self, folder: Path, num_words: int, num_streams: int) -> None:
        card = msgspec.structs.replace(
            fake_card(0, folder.name, "fake:generate", MAX_MODEL_LEN, 16, 0),
            path=str(folder),
            architecture="checkpoint",
        )
        config = FrontendConfig(
            frontend_id=0,
            epoch=1,
            metrics_slot=0,
            scheduler_address="",
            runtime_dir="",
            max_body_bytes=1 << 20,
            shutdown_timeout_s=1.0,
        )
        self._model = load_text_models([card], config).pick(card.name, "generate", "/v1/chat/completions")
        message = {"role": "user", "content": " ".join(f"word{number % 10}" for number in range(num_words))}
        self._body = msgspec.json.encode({"model": card.name, "messages": [message], "stream": True})
        self._request = self.parse()
        self._text = self.render()
        self._tokens = self.tokenize()
        self._submit = SubmitGenerate(
            1, "request", 0, np.array(self._tokens, np.int32).tobytes(), 1 << 20, SamplingParams(seed=1)
        )
        ids, zeros = np.arange(num_streams, dtype=np.uint64), np.zeros(num_streams, np.int32)
        self.frame = encode(
            TokenBatch(ids.tobytes(), zeros.tobytes(), zeros.tobytes(), bytes(num_streams), zeros.tobytes())
        )
        self._decoder: Decoder[FromScheduler] = Decoder(FromScheduler)
        self._stream = TokenStream(self._submit, StreamGroup(tells_text=True), 0, self._model.tokenizer, TextRules())
        self._encoder = ChatChunkEncoder("chatcmpl-" + 32 * "0", "chat.completion.chunk", 0, card.name, False)
        self._next = 0
        self.event = self.encode_event()

    def parse(self) -> ChatRequest:
        return decode_body(self._body, ChatRequest, unsupported_fields.CHAT)

    def render(self) -> str:
        template = self._model.chat_template
        if template is None:
            raise ValueError("the model has no chat template")
        return template.prompt(self._request.messages, Rendering())

    def tokenize(self) -> list[int]:
        return self._model.tokenizer.encode(self._text, add_special_tokens=False)

    def submit(self) -> bytes:
        return encode(self._submit)

    def decode_batch(self) -> list[list[int]]:
        batch = self._decoder.decode(self.frame)
        if not isinstance(batch, TokenBatch):
            raise TypeError("the frame holds no tokens")
        columns = (batch.positions, batch.token_ids, batch.num_cached)
        return [
            np.frombuffer(batch.stream_ids, "<u8").tolist(),
            *(np.frombuffer(one, "<i4").tolist() for one in columns),
        ]

    def push(self) -> None:
        """Tokens of the prompt, over and over."""
        self._stream.push(self._tokens[self._next % len(self._tokens)], 0, 0)
        self._next += 1
        self._stream.take_text()

    def encode_event(self) -> bytes:
        return self._encoder.text(0, " word")
