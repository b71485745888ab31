"""Runs a base encoder or decoder of transformers once over packed sequences, without padding and without a KV cache.

Every sequence of a call sees itself and nothing else. Scorers and embedders do with the states what they do.
"""

import inspect
from collections.abc import Sequence
from typing import Any, Protocol

import torch

from ipc.errors import ProtocolError
from workers.attention_arguments import is_causal, layer_arguments
from workers.encoder_attention import EqualSequences, attend_packed, group_by_length
from workers.encoder_positions import position_ids


class EncoderLayers(Protocol):
    """Packed token ids in, states out."""

    def states(
        self,
        token_ids: torch.Tensor,
        token_type_ids: torch.Tensor,
        lengths: Sequence[int],
        wanted: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """The last states [tokens, width] for packed int64 [tokens] of sequences of these lengths; with `wanted`, int64
        [n], those of these tokens only.
        """
        ...


class PackedEncoder:
    """Takes over a base model built with an attention whose function is `attend` of this object."""

    def __init__(self) -> None:
        self._groups: list[EqualSequences] | None = None  # of the call that runs

    def take(self, base: Any) -> None:
        """Use `base`, a model without a head, from now on."""
        self._base = base
        self._takes = set(inspect.signature(base.forward).parameters)
        # decoders that were trained to see both sides say so here, and still build causal layers
        self._sees_both_sides = getattr(base.config, "is_causal", None) is False

    def states(
        self,
        token_ids: torch.Tensor,
        token_type_ids: torch.Tensor,
        lengths: Sequence[int],
        wanted: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """See `EncoderLayers`."""
        inputs: dict[str, Any] = {
            "input_ids": token_ids[None],
            "position_ids": position_ids(self._base, token_ids, lengths)[None],
        }
        if "token_type_ids" in self._takes:
            inputs["token_type_ids"] = token_type_ids[None]
        if "use_cache" in self._takes:
            inputs["use_cache"] = False
        self._groups = group_by_length(lengths)
        try:
            states: torch.Tensor = self._base(**inputs).last_hidden_state[0]
        finally:
            self._groups = None
        return states if wanted is None else states[wanted]

    def attend(
        self,
        module: Any,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        **kwargs: Any,
    ) -> tuple[torch.Tensor, None]:
        """What transformers calls in every layer.

        Query, key, value [1, heads, tokens, dim]; gives [1, tokens, heads, dim].
        """
        if self._groups is None:
            raise ProtocolError("attention was called outside a step")
        attended = attend_packed(
            query[0].transpose(0, 1),
            key[0].transpose(0, 1),
            value[0].transpose(0, 1),
            layer_arguments(module, query.shape[-1], kwargs),
            is_causal(module, kwargs) and not self._sees_both_sides,
            self._groups,
        )
        return attended[None], None
