"""One choice of a chat reply: the text of its stream, with the tool calls found in it."""

from typing import Any

from frontend.chunk_encoder import ChatChunkEncoder
from frontend.parse_tool_calls import Piece, ToolCall, ToolCallParser
from frontend.token_stream import TokenStream


class ChatChoice:
    """`finds_calls`: tools were offered to a model that was taught our form of calls; otherwise all text is content.
    `one_call`: calls after the first are dropped."""

    def __init__(self, stream: TokenStream, finds_calls: bool, one_call: bool = False) -> None:
        self._stream = stream
        self._parser = ToolCallParser() if finds_calls else None
        self._one_call = one_call
        self._has_call = False
        self._num_sent_calls = 0

    def chunks(self, encoder: ChatChunkEncoder) -> bytes:
        """What came since the last call as chunks; the last chunk of all carries the finish reason."""
        stream = self._stream
        if self._parser is None and stream.finish_reason is None:
            return encoder.text(stream.choice, stream.take_text())
        pieces = self._pieces()
        last, rest = (pieces[-1] if pieces else ""), ""
        if stream.finish_reason is not None and isinstance(last, str):
            rest = last
            pieces = pieces[:-1]
        sent = [self._encode(encoder, piece) for piece in pieces]
        if stream.finish_reason is not None:
            sent.append(encoder.finish(stream.choice, rest, self._finish_reason(), stream.stop_reason))
        return b"".join(sent)

    def reply(self) -> dict[str, Any]:
        """The whole choice, when its stream has ended."""
        pieces = self._pieces()
        calls = [piece.as_dict() for piece in pieces if isinstance(piece, ToolCall)]
        content = "".join(piece for piece in pieces if isinstance(piece, str))
        message: dict[str, Any] = {
            "role": "assistant",
            "content": content if content or not calls else None,
            "refusal": None,
            "annotations": [],
        }
        if calls:
            message["tool_calls"] = calls
        return {
            "index": self._stream.choice,
            "message": message,
            "logprobs": None,
            "finish_reason": self._finish_reason(),
            "stop_reason": self._stream.stop_reason,
        }

    def _pieces(self) -> list[Piece]:
        text = self._stream.take_text()
        if self._parser is None:
            return [text] if text else []
        pieces = self._parser.push(text)
        if self._stream.finish_reason is not None:
            pieces += self._parser.finish()
        return [piece for piece in pieces if self._is_wanted(piece)]

    def _is_wanted(self, piece: Piece) -> bool:
        """Asked once for each piece, in order."""
        if isinstance(piece, str):
            return True
        is_first, self._has_call = not self._has_call, True
        return is_first or not self._one_call

    def _finish_reason(self) -> str:
        reason = self._stream.finish_reason or "stop"
        return "tool_calls" if reason == "stop" and self._parser is not None and self._parser.num_calls else reason

    def _encode(self, encoder: ChatChunkEncoder, piece: Piece) -> bytes:
        if isinstance(piece, str):
            return encoder.text(self._stream.choice, piece)
        self._num_sent_calls += 1
        return encoder.tool_call(self._stream.choice, self._num_sent_calls - 1, piece)
