"""What architectures say to their attention function, and what of it we honour.

Anything an architecture passes that is neither honoured nor known to be harmless stops the start, by name: a silently
ignored argument would mean silently wrong answers.
"""

from collections.abc import Mapping
from typing import Any

from ipc.errors import StartupError
from workers.paged_attention.interface import LayerArguments

HONOURED = frozenset({"scaling", "sliding_window", "softcap", "s_aux", "is_causal"})
# Arguments that do not change what attention computes, or that say what the step's plan says already.
HARMLESS = frozenset(
    {
        "position_ids",  # used for the rotary embedding, which is done before
        "cache_position",
        "use_cache",
        "output_attentions",
        "output_hidden_states",
        "output_router_logits",
        "return_dict",
        "logits_to_keep",
        "position_embeddings",
        "deterministic",
        "target_dtype",
        "max_seqlen",
        "cu_seqlens",
    }
)


def unknown_arguments(kwargs: Mapping[str, Any]) -> list[str]:
    """Names of passed arguments that would change the result and that we do not honour."""
    return [
        name
        for name, value in kwargs.items()
        if value is not None
        and name not in HONOURED
        and name not in HARMLESS
        and not (name == "dropout" and value == 0)
    ]


def is_causal(module: Any, kwargs: Mapping[str, Any]) -> bool:
    """Whether tokens see only what is before them: the call's word, else the module's."""
    said = kwargs.get("is_causal")
    return bool(getattr(module, "is_causal", True) if said is None else said)


def layer_arguments(module: Any, head_dim: int, kwargs: Mapping[str, Any]) -> LayerArguments:
    """One layer's arguments as our back ends take them. Raises StartupError for one that is not honoured."""
    unknown = unknown_arguments(kwargs)
    if unknown:
        raise StartupError(
            f"{type(module).__name__} passes {unknown[0]} to its attention, which is not supported",
            "this architecture cannot be served yet",
        )
    scaling = kwargs.get("scaling")
    window = kwargs.get("sliding_window")
    softcap = kwargs.get("softcap")
    return LayerArguments(
        scaling=float(head_dim**-0.5 if scaling is None else scaling),
        sliding_window=int(window or 0),
        softcap=float(softcap or 0.0),
        sinks=kwargs.get("s_aux"),
    )
