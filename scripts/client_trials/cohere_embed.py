"""Embeds texts on a running server with Cohere's own clients. Usage: cohere_embed.py ADDRESS EMBEDDER. Exit code 0:
all well."""

import sys
from typing import Literal

import cohere

TEXTS = ["The capital of France is Paris.", "Cats sleep a lot."]
Type = Literal["float", "int8", "uint8", "binary", "ubinary", "base64"]
TYPES: list[Type] = ["float", "int8", "uint8", "binary", "ubinary", "base64"]


def main(address: str, model: str) -> None:
    """Raises AssertionError at the first difference."""
    newer = cohere.ClientV2(api_key="none", base_url=address)
    reply = newer.embed(model=model, texts=TEXTS, input_type="search_document", embedding_types=TYPES)
    found = reply.embeddings
    assert found.float_ is not None
    assert found.int8 is not None
    assert found.ubinary is not None
    assert [len(vectors) for vectors in (found.float_, found.int8, found.ubinary)] == [2, 2, 2]
    assert len(found.ubinary[0]) * 8 == len(found.float_[0])
    print("v2 embed: ok")
    older = cohere.Client(api_key="none", base_url=address)
    plain = older.embed(model=model, texts=TEXTS, input_type="search_document").embeddings
    assert isinstance(plain, list)
    assert max(abs(a - b) for a, b in zip(plain[0], found.float_[0], strict=True)) < 1e-2
    print("v1 embed: ok")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
