"""Talks to a running server with Cohere's own clients. Usage: cohere_rerank.py ADDRESS RERANKER. Exit code 0:
all well."""

import sys

import cohere

QUERY = "What is the capital of France?"
DOCUMENTS = ["The capital of Brazil is Brasilia.", "The capital of France is Paris.", "Cats sleep a lot."]


def main(address: str, model: str) -> None:
    """Raises AssertionError at the first difference."""
    for version, client in (
        ("v2", cohere.ClientV2(api_key="none", base_url=address)),
        ("v1", cohere.Client(api_key="none", base_url=address)),
    ):
        reply = client.rerank(model=model, query=QUERY, documents=DOCUMENTS, top_n=2)
        assert reply.results[0].index == 1, reply
        assert len(reply.results) == 2
        assert reply.results[0].relevance_score > reply.results[1].relevance_score
        print(f"{version} rerank: ok")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
