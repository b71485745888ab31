"""`--batch-invariant`: a token's numbers have the same bits whatever else is in its step.

Matrix products and vectorised functions round differently for different numbers of rows, and not every row of one
call is computed by the same instructions. So the model only ever sees steps of a few fixed heights: a longer step
is cut into small ones, a shorter one filled up with tokens that belong to nobody. Which heights give the same bits
for a token, in every place and beside every neighbour, is found out by computing (`agreeing_heights`); attention
back ends answer for themselves. What a model computes is not known here.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from ipc.errors import StartupError
from ipc.model_card import ModelCard
from ipc.step_layout import RowFlag, StepColumns
from workers.batch import GenerateBatch
from workers.paged_attention.interface import AttentionPlan, LayerArguments, LayerPages

BASE_HEIGHT = 16  # the others must agree with it; low enough to decode with, high enough to be a matrix product
OTHER_HEIGHTS = (4, 8, 32, 64)
INVARIANT_BACKENDS = ("reference", "paged")
FEW_POSITIONS = 32  # of the first arrangement's tokens; their neighbours in the others stand as far back as can be

Forward = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]  # int64 token ids and positions [n] -> logits [n, vocab]


def split_step(columns: StepColumns, most: int) -> list[StepColumns]:
    """The step as steps of at most `most` tokens, to be run in this order.

    Each has all rows; those it computes nothing of have num_new 0. Only the one with a row's last token keeps SAMPLE.
    Results for tokens are views on the whole step's.
    """
    tells = columns.header.shape.has_prompt_logprobs
    ends = np.cumsum(columns.num_new)
    firsts = ends - columns.num_new
    parts: list[StepColumns] = []
    for begin in range(0, len(columns.token_ids), most):
        end = begin + most
        low, high = np.clip(firsts, begin, end), np.clip(ends, begin, end)
        is_last = (high == ends) & (high > low)
        following = columns.token_ids[np.minimum(high, len(columns.token_ids) - 1)]
        told = slice(begin, end) if tells else slice(0)
        parts.append(
            columns.with_columns(
                num_new=(high - low).astype(np.int32),
                start=(columns.start + low - firsts).astype(np.int32),
                flags=np.where(is_last, columns.flags, columns.flags & ~np.uint32(RowFlag.SAMPLE)),
                token_ids=columns.token_ids[begin:end],
                next_token=np.where(high < ends, following, columns.next_token),
                prompt_logprob=columns.prompt_logprob[told],
                prompt_rank=columns.prompt_rank[told],
                prompt_top_ids=columns.prompt_top_ids[told],
                prompt_top_logprobs=columns.prompt_top_logprobs[told],
            )
        )
    return parts


def fitting_height(count: int, heights: Sequence[int]) -> int:
    """The lowest of the heights, which ascend, that is at least `count`."""
    return next(height for height in heights if height >= count)


def fill_up(batch: GenerateBatch, heights: Sequence[int]) -> GenerateBatch:
    """The batch with tokens, and rows to sample if there are any, filled up to the next of `heights`.

    The plan of attention stays that of the real tokens, which come first; so do the logits of the real rows.
    """
    missing = fitting_height(batch.token_ids.shape[1], heights) - batch.token_ids.shape[1]
    samples = len(batch.sample_tokens)
    missing_samples = fitting_height(samples, heights) - samples if samples > 0 else 0
    return replace(
        batch,
        token_ids=F.pad(batch.token_ids, (0, missing)),
        position_ids=F.pad(batch.position_ids, (0, missing)),
        sample_tokens=F.pad(batch.sample_tokens, (0, missing_samples)),
    )


class SelfAttention:
    """Every token attends to itself alone: a back end to find out what the rest of the model does."""

    def attend(
        self,
        pages: LayerPages,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        arguments: LayerArguments,
        plan: AttentionPlan,
    ) -> torch.Tensor:
        """See `AttentionBackend.attend`; touches no page."""
        return value.repeat_interleave(query.shape[1] // value.shape[1], dim=1)


def check_supported(card: ModelCard, config: Any) -> None:
    """Raises StartupError for a model nobody can vouch for; `config` is transformers'.

    In a mixture of experts each expert computes as many tokens as happen to choose it.
    """
    settings = config.to_dict().items()
    obstacle = ""
    if card.device == "cuda":
        obstacle = "it computes on a GPU"
    elif card.task == "generate" and card.attention_backend not in INVARIANT_BACKENDS:
        obstacle = f"its attention back end is {card.attention_backend}"
    elif card.task == "generate" and any(
        key.endswith("experts") and isinstance(value, int) and value > 1 for key, value in settings
    ):
        obstacle = "it is a mixture of experts"
    if obstacle:
        raise StartupError(
            f"model {card.name} cannot be batch-invariant: {obstacle}", "start without --batch-invariant"
        )


def agreeing_heights(name: str, forward: Forward, vocab_size: int, max_model_len: int) -> tuple[int, ...]:
    """BASE_HEIGHT and those of OTHER_HEIGHTS at which a token's logits have the same bits, ascending.

    `forward` must compute every token as a sequence of its own, in one call of the model. Raises StartupError if even
    at BASE_HEIGHT a token's bits depend on its place or its neighbours.
    """
    source = np.random.default_rng(0)
    ids = source.integers(0, vocab_size, BASE_HEIGHT)
    positions = source.integers(0, min(FEW_POSITIONS, max_model_len), BASE_HEIGHT)
    expected = forward(torch.from_numpy(ids), torch.from_numpy(positions))

    def agrees(height: int, others: int) -> bool:
        """Compute the first tokens again in any order, at some places others, `others` of them, instead."""
        chosen = np.resize(source.permutation(BASE_HEIGHT), height)
        source.shuffle(chosen)
        is_other = np.arange(height) < others
        source.shuffle(is_other)
        logits = forward(
            torch.from_numpy(np.where(is_other, source.integers(0, vocab_size, height), ids[chosen])),
            torch.from_numpy(np.where(is_other, max_model_len - 1, positions[chosen])),
        )
        kept = torch.from_numpy(~is_other)
        return torch.equal(logits[kept], expected[torch.from_numpy(chosen)[kept]])

    if not agrees(BASE_HEIGHT, BASE_HEIGHT // 2):
        raise StartupError(
            f"model {name}: what a token rounds to depends on its place in a step and on its neighbours",
            "start without --batch-invariant",
        )
    return tuple(sorted([BASE_HEIGHT, *(height for height in OTHER_HEIGHTS if agrees(height, height // 4))]))
