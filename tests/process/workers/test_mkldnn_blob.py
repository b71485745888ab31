"""A packed weight in a memory segment, used by a process that did not pack it."""

import subprocess
import sys

import pytest
import torch

from ipc.segments import Segment
from tests.support.children import ROOT
from tests.support.packed_child import product
from workers.linear.mkldnn_blob import blob_of

pytestmark = pytest.mark.process
DEADLINE_S = 90.0  # it imports torch


def test_another_process_multiplies_bit_equally() -> None:
    weight = torch.randn(70, 48, generator=torch.Generator().manual_seed(2)).bfloat16()
    packed = torch.ops.mkldnn._reorder_linear_weight(weight)
    memory, metadata = blob_of(packed)
    segment = Segment.create("weights", len(memory), writable_until_sealed=True)
    segment.view[:] = memory
    segment.seal_writes()
    command = [
        sys.executable,
        "-m",
        "tests.support.packed_child",
        str(segment.fd),
        str(len(memory)),
        metadata.hex(),
        "48",
    ]
    answer = subprocess.run(
        command, cwd=ROOT, pass_fds=[segment.fd], stdout=subprocess.PIPE, timeout=DEADLINE_S, check=True
    )
    segment.close()
    assert bytes.fromhex(answer.stdout.decode()) == product(packed, 48)
