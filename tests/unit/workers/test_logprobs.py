"""The order of tokens, ranks, and log-probabilities with many ties."""

import numpy as np
import pytest
import torch

from workers.logprobs import NO_TOKEN, logprobs_of


def in_order(row: torch.Tensor) -> list[int]:
    """All ids, the likeliest first, of equal ones the lower."""
    return sorted(range(len(row)), key=lambda token: (-float(row[token]), token))


@pytest.mark.parametrize("num_top", [0, 1, 4, 20])
def test_ties_stand_in_the_order_of_their_ids(num_top: int) -> None:
    torch.manual_seed(num_top)
    logits = torch.randint(-3, 4, (200, 40)).float()
    tokens = torch.randint(0, 40, (200,)).numpy()
    found = logprobs_of(logits, tokens, num_top)
    expected = torch.log_softmax(logits, dim=-1)
    for row, token in enumerate(tokens.tolist()):
        order = in_order(logits[row])
        assert found.top_ids[row].tolist() == order[:num_top]
        assert found.top_logprobs[row].tolist() == [float(expected[row, top]) for top in order[:num_top]]
        assert found.rank[row] == order.index(token) + 1
        assert found.logprob[row] == float(expected[row, token])


def test_more_than_the_vocabulary_has() -> None:
    found = logprobs_of(torch.tensor([[1.0, 3.0, 3.0]]), np.array([2]), 5)
    assert found.top_ids.tolist() == [[1, 2, 0, NO_TOKEN, NO_TOKEN]]
    assert np.isneginf(found.top_logprobs[0, 3:]).all()
    assert found.rank.tolist() == [2]


def test_bfloat16_is_summed_in_float32() -> None:
    logits = torch.randn(3, 1000).bfloat16()
    found = logprobs_of(logits, np.array([1, 2, 3]), 2)
    expected = torch.log_softmax(logits.float(), dim=-1)[[0, 1, 2], [1, 2, 3]]
    np.testing.assert_array_equal(found.logprob, expected.numpy())


def test_a_row_does_not_depend_on_its_neighbours() -> None:
    logits = torch.randn(64, 1003)
    together = logprobs_of(logits, np.arange(64), 3)
    for row in (0, 1, 31, 63):
        alone = logprobs_of(logits[row : row + 1], np.array([row]), 3)
        assert alone.logprob[0] == together.logprob[row]
        assert alone.top_logprobs[0].tolist() == together.top_logprobs[row].tolist()
