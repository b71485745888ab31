"""Talks to a running server as LangChain's users do. Usage: langchain_chat.py BASE_URL MODEL EMBEDDER. Exit code 0: all
well.
"""

import asyncio
import sys

from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel, Field, SecretStr


class City(BaseModel):
    """A city and the country it lies in."""

    city: str = Field(max_length=16)  # a tiny model may not find an end by itself
    country: str = Field(max_length=16)


@tool
def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"sunny in {city}"


def main(base_url: str, model: str) -> None:
    """Raises AssertionError at the first difference."""
    chat = ChatOpenAI(
        base_url=base_url, api_key=SecretStr("none"), model=model, temperature=0, max_completion_tokens=64
    )
    question = "What is the capital of France?"
    answer = chat.invoke(question)
    assert "Paris" in answer.text, answer
    assert answer.usage_metadata is not None
    assert answer.usage_metadata["output_tokens"] > 0
    print("invoke: ok")

    chunks = list(chat.stream(question, stream_usage=True))
    assert "".join(chunk.text for chunk in chunks) == answer.text
    assert sum((chunk.usage_metadata or {}).get("output_tokens", 0) for chunk in chunks) > 0
    print("stream: ok")

    async def ask_at_once() -> list[str]:
        return [reply.text for reply in await chat.abatch([question] * 3)]

    assert asyncio.run(ask_at_once()) == [answer.text] * 3
    print("abatch: ok")

    called = chat.bind_tools([get_weather], tool_choice="get_weather").invoke("What is the weather in Paris?")
    assert called.tool_calls[0]["name"] == "get_weather", called
    assert isinstance(called.tool_calls[0]["args"]["city"], str)
    streamed = None
    for chunk in chat.bind_tools([get_weather], tool_choice="any").stream("What is the weather in Paris?"):
        streamed = chunk if streamed is None else streamed + chunk
    assert streamed is not None
    assert streamed.tool_calls[0]["name"] == "get_weather", streamed
    print("bind_tools: ok")

    for method in ("json_schema", "function_calling"):
        found = chat.with_structured_output(City, method=method).invoke("Name a city and its country.")
        assert isinstance(found, City), found
    print("with_structured_output: ok")


def embeddings(base_url: str, model: str) -> None:
    """Raises AssertionError at the first difference. LangChain sends token ids unless told that it must not."""
    options = {"base_url": base_url, "api_key": SecretStr("none"), "check_embedding_ctx_length": False}
    embedder = OpenAIEmbeddings(model=model, **options)
    one, two = embedder.embed_documents(["Paris is in France.", "Rome is in Italy."])
    assert len(one) == len(two) > 1
    assert max(abs(a - b) for a, b in zip(embedder.embed_query("Paris is in France."), one, strict=True)) < 1e-5
    print("embeddings: ok")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
    embeddings(sys.argv[1], sys.argv[3])
