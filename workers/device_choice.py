"""Which device a server computes on, and why. The loader decides once; everybody else follows the model cards."""

from dataclasses import dataclass

import torch

from ipc.config import Device
from ipc.errors import StartupError
from ipc.model_card import ComputeDevice


@dataclass(frozen=True)
class DeviceChoice:
    device: ComputeDevice
    reason: str


def choose_device(wanted: Device) -> DeviceChoice:
    """The device for all models. Raises StartupError when CUDA was asked for and torch cannot use it."""
    if wanted == "auto":
        return DeviceChoice("cpu", "GPUs must be asked for as long as they are new: --device cuda")
    if wanted != "cuda":
        return DeviceChoice(wanted, "asked for by --device")
    if torch.cuda.is_available():
        name = torch.cuda.get_device_name(0)
        return DeviceChoice("cuda", f"asked for by --device ({name})")
    raise StartupError(f"torch {torch.__version__} finds no GPU it can use", "say --device cpu, or see nvidia-smi")
