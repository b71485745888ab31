"""Where models compute, in which type and with which attention, when it is not simply the CPU."""

import pytest
import torch

from ipc.errors import StartupError
from ipc.model_card import ComputeDevice, KvLayer, ModelCard
from workers.device_choice import choose_device
from workers.dtype_choice import choose_gpu_dtype
from workers.paged_attention.choose import choose_device_backend


def card(device: ComputeDevice) -> ModelCard:
    return ModelCard(
        index=0,
        name="small",
        path="nowhere",
        task="generate",
        architecture="LlamaForCausalLM",
        dtype="float32",
        vocab_size=10,
        max_model_len=64,
        kv_layers=(KvLayer(2, 16, 16),),
        device=device,
    )


def test_a_gpu_is_taken_if_it_is_asked_for_and_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(StartupError, match="finds no GPU it can use"):
        choose_device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: "a GPU")
    assert choose_device("cuda").device == "cuda"
    assert "a GPU" in choose_device("cuda").reason
    assert choose_device("auto").device == "cpu"


@pytest.mark.parametrize("wanted", ["cpu", "fake-cuda"])
def test_what_was_asked_for_needs_no_look_at_the_machine(
    wanted: ComputeDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(torch.cuda, "is_available")
    assert choose_device(wanted).device == wanted


def test_a_gpu_computes_in_the_checkpoints_type() -> None:
    assert choose_gpu_dtype("auto", "float16").dtype == "float16"
    assert choose_gpu_dtype("auto", "bfloat16").dtype == "bfloat16"
    assert choose_gpu_dtype("auto", "float64").dtype == "float32"
    assert choose_gpu_dtype("float32", "bfloat16").dtype == "float32"


def test_the_portable_attention_is_taken_where_the_paged_kernel_does_not_run() -> None:
    chosen = choose_device_backend("auto", card("fake-cuda"))
    assert chosen.name == "gathered"
    assert "varlen_attn" in chosen.reason
    assert choose_device_backend("reference", card("fake-cuda")).name == "reference"
    with pytest.raises(StartupError, match="for CPUs"):
        choose_device_backend("paged", card("fake-cuda"))
