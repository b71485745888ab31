"""A packed tensor's bytes, copied elsewhere, are the same tensor there."""

import mmap
import os

import pytest
import torch

from ipc.errors import ProtocolError
from workers.linear.mkldnn_blob import blob_bytes, blob_of, tensor_on

pytestmark = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="this torch has no oneDNN")
ROWS = torch.randn(5, 48, generator=torch.Generator().manual_seed(1)).bfloat16()


def packed(out_features: int = 33) -> torch.Tensor:
    weight = torch.randn(out_features, 48, generator=torch.Generator().manual_seed(2)).bfloat16()
    tensor: torch.Tensor = torch.ops.mkldnn._reorder_linear_weight(weight)
    return tensor


def product(weight: torch.Tensor) -> torch.Tensor:
    result: torch.Tensor = torch.ops.mkldnn._linear_pointwise(ROWS, weight, None, "none", [], "")
    return result


def test_a_copy_multiplies_bit_equally() -> None:
    original = packed()
    memory, metadata = blob_of(original)
    copy = mmap.mmap(-1, len(memory))
    copy[:] = memory
    assert torch.equal(product(tensor_on(memoryview(copy).toreadonly(), metadata)), product(original))


def test_nothing_is_copied() -> None:
    original = packed()
    memory, metadata = blob_of(original)
    other = tensor_on(memory, metadata)
    assert torch.ops.mkldnn.data_ptr(other) == torch.ops.mkldnn.data_ptr(original)


def test_making_a_tensor_starts_no_thread() -> None:
    original = packed()
    memory, metadata = blob_of(original)
    threads = len(os.listdir("/proc/self/task"))
    tensor_on(memory, metadata)
    assert len(os.listdir("/proc/self/task")) == threads


def test_padded_layouts_take_more_than_their_elements() -> None:
    assert blob_bytes(packed(33)) > 33 * 48 * 2


def test_bytes_that_are_too_few_are_refused() -> None:
    original = packed()
    memory, metadata = blob_of(original)
    with pytest.raises(ProtocolError, match="bytes"):
        tensor_on(memory[:-64], metadata)


@pytest.mark.parametrize("metadata", [b"", b"\x93\xa1x\x90\xc4\x00"])
def test_metadata_that_are_none_are_refused(metadata: bytes) -> None:
    with pytest.raises(ProtocolError):
        tensor_on(memoryview(bytearray(64)), metadata)
