"""Which number type a model computes in, and why."""

import platform
from dataclasses import dataclass
from pathlib import Path

from ipc.config import DType

FAST_BFLOAT16_FLAGS = ("avx512_bf16", "amx_bf16", "avx_ne_convert")  # x86 instructions that multiply bfloat16


@dataclass(frozen=True)
class DtypeChoice:
    dtype: str  # torch's name
    reason: str


def cpu_has_bfloat16() -> bool:
    """This CPU multiplies bfloat16 in hardware."""
    try:
        cpuinfo = Path("/proc/cpuinfo").read_text()
    except OSError:
        return False
    wanted = set(FAST_BFLOAT16_FLAGS) if platform.machine() == "x86_64" else {"bf16"}
    for line in cpuinfo.splitlines():
        key, _, flags = line.partition(":")
        if key.strip() in ("flags", "Features"):
            return bool(wanted & set(flags.split()))
    return False


def choose_dtype(
    wanted: DType, checkpoint: str, fast_bfloat16: bool, keeps_float32_states: bool = False
) -> DtypeChoice:
    """The computing type for a checkpoint stored in type `checkpoint` on a CPU.

    `keeps_float32_states`: only products would be bfloat16, everything between them float32; so it is for encoders
    whose layers are run by ours.
    """
    if wanted != "auto":
        return DtypeChoice(wanted, "asked for by --dtype")
    if checkpoint == "float32" and fast_bfloat16 and keeps_float32_states:
        why = "this CPU multiplies it twice as fast, and with states, norms and head in float32 scores hardly change"
        return DtypeChoice("bfloat16", why)
    if checkpoint == "bfloat16" and fast_bfloat16:
        return DtypeChoice("bfloat16", "the checkpoint's type, and this CPU is fast at it")
    if checkpoint == "bfloat16":
        return DtypeChoice("float32", "the checkpoint is bfloat16, which this CPU has no instructions for")
    if checkpoint == "float16":
        why = "the checkpoint is float16, which CPUs are slow at"
        if fast_bfloat16:
            return DtypeChoice("bfloat16", f"{why}; bfloat16 takes the same memory")
        return DtypeChoice("float32", why)
    return DtypeChoice("float32", f"the checkpoint's type is {checkpoint}")


def choose_gpu_dtype(wanted: DType, checkpoint: str) -> DtypeChoice:
    """The computing type for a checkpoint stored in type `checkpoint` on a GPU."""
    if wanted != "auto":
        return DtypeChoice(wanted, "asked for by --dtype")
    if checkpoint in ("bfloat16", "float16"):
        return DtypeChoice(checkpoint, "the checkpoint's type, which GPUs are fast at")
    return DtypeChoice("float32", f"the checkpoint's type is {checkpoint}")
