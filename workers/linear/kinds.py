"""The ways to keep weights of linear layers, by name. "plain" is none of them: the tensor as torch has it."""

from workers.linear.interface import LinearKind
from workers.linear.packed import PackedKind


def _compiled_kinds() -> dict[str, LinearKind]:
    """Those with kernels of ours; none on a machine without a compiler."""
    try:
        from workers.linear.compact import CompactKind  # numba: not every machine has it
        from workers.linear.int4 import Int4Kind
        from workers.linear.int8 import Int8Kind
    except ImportError:
        return {}
    return {"compact": CompactKind(), "int8": Int8Kind(), "int4": Int4Kind()}


KINDS: dict[str, LinearKind] = {"packed": PackedKind(), **_compiled_kinds()}
