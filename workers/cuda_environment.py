"""How torch should treat CUDA in our processes; said before torch is imported, which reads it once."""

import os


def prepare_cuda() -> None:
    """For a process that exports GPU memory, opens it, or forks others that do.

    Expandable segments cannot be exported from an unprivileged container, so this overrides the operator's wish for
    them. Counting devices through NVML leaves CUDA untouched: a process that has touched it cannot be forked.
    """
    for name in ("PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF"):
        os.environ[name] = "expandable_segments:False"
    os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "1"
