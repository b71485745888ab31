"""The three forms in which log-probabilities are told."""

import math

from frontend.byte_tokenizer import ByteTokenizer
from frontend.logprobs_body import LOWEST, TokenNames, chat_logprobs, completion_logprobs, prompt_logprobs
from frontend.output_tokens import OutputToken

NAMES = TokenNames(ByteTokenizer(), as_ids=False)
A, HALF = ord("a"), 0xC3
TOKENS = [
    OutputToken(A, b"a", -0.5, 1, [(A, -0.5), (ord("b"), -1.0)], 0),
    OutputToken(HALF, b"\xc3", -math.inf, 200, [(0xC2, -0.25), (0xC4, -2.0)], 1),
]


def test_chat() -> None:
    body = chat_logprobs(TOKENS, NAMES, 1)
    assert body == {
        "content": [
            {
                "token": "a",
                "logprob": -0.5,
                "bytes": [A],
                "top_logprobs": [{"token": "a", "logprob": -0.5, "bytes": [A]}],
            },
            {
                "token": "\ufffd",
                "logprob": LOWEST,
                "bytes": [HALF],
                "top_logprobs": [{"token": "\ufffd", "logprob": -0.25, "bytes": [0xC2]}],
            },
        ],
        "refusal": None,
    }


def test_completions() -> None:
    """Tokens that are no text keep apart, for their spelling is a key; the drawn one is always told."""
    assert completion_logprobs(TOKENS, NAMES, 2, num_chars=10) == {
        "text_offset": [10, 11],
        "token_logprobs": [-0.5, LOWEST],
        "tokens": ["a", "bytes:\\xc3"],
        "top_logprobs": [
            {"a": -0.5, "b": -1.0},
            {"bytes:\\xc2": -0.25, "bytes:\\xc4": -2.0, "bytes:\\xc3": LOWEST},
        ],
    }
    assert completion_logprobs(TOKENS[:1], NAMES, 0)["top_logprobs"] == [{"a": -0.5}]


def test_a_prompts_first_token_has_none() -> None:
    first = OutputToken(A, b"a", None, 0, [], 0)
    assert completion_logprobs([first], NAMES, 1)["top_logprobs"] == [None]
    assert completion_logprobs([first], NAMES, 1)["token_logprobs"] == [None]
    assert prompt_logprobs([first, TOKENS[1]], NAMES, 1) == [
        None,
        {
            str(HALF): {"logprob": LOWEST, "rank": 200, "decoded_token": "\ufffd"},
            str(0xC2): {"logprob": -0.25, "rank": 1, "decoded_token": "\ufffd"},
        },
    ]


def test_token_ids_in_the_place_of_text() -> None:
    names = TokenNames(ByteTokenizer(), as_ids=True)
    assert chat_logprobs(TOKENS[:1], names, 0)["content"][0]["token"] == f"token_id:{A}"
    assert completion_logprobs(TOKENS[:1], names, 0)["top_logprobs"] == [{f"token_id:{A}": -0.5}]
