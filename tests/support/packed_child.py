"""A process that maps a packed weight another one made and multiplies with it.

python -m tests.support.packed_child FD SIZE METADATA_HEX IN_FEATURES       prints the product's bytes in hex
"""

import sys

import torch

from ipc.segments import Segment
from workers.linear.mkldnn_blob import tensor_on


def rows(in_features: int) -> torch.Tensor:
    """bfloat16 [5, in_features], the same in every process."""
    return torch.randn(5, in_features, generator=torch.Generator().manual_seed(1)).bfloat16()


def product(weight: torch.Tensor, in_features: int) -> bytes:
    """The bits of `rows` times the packed weight."""
    result: torch.Tensor = torch.ops.mkldnn._linear_pointwise(rows(in_features), weight, None, "none", [], "")
    return result.view(torch.int16).numpy().tobytes()


if __name__ == "__main__":
    segment = Segment.attach(int(sys.argv[1]), writable=False)
    weight = tensor_on(segment.view[: int(sys.argv[2])], bytes.fromhex(sys.argv[3]))
    print(product(weight, int(sys.argv[4])).hex(), flush=True)
