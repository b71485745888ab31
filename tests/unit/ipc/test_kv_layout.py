"""Every layer's keys and values have memory of their own, and a page costs what `page_bytes` says."""

import hypothesis.strategies as st
from hypothesis import given, settings

from ipc.kv_layout import ALIGNMENT, ITEM_BYTES, kv_regions, page_bytes
from ipc.model_card import KvLayer, ModelCard

LAYERS = st.lists(
    st.builds(KvLayer, num_kv_heads=st.integers(1, 9), key_dim=st.integers(1, 70), value_dim=st.integers(0, 70)),
    max_size=6,
).map(tuple)


def _card(layers: tuple[KvLayer, ...], num_pages: int, block_size: int, dtype: str) -> ModelCard:
    return ModelCard(
        index=0,
        name="m",
        path="/m",
        task="generate",
        architecture="X",
        dtype=dtype,
        vocab_size=1,
        max_model_len=1,
        kv_layers=layers,
        num_pages=num_pages,
        block_size=block_size,
    )


@given(
    layers=LAYERS,
    num_pages=st.integers(1, 50),
    block_size=st.integers(1, 40),
    dtype=st.sampled_from(sorted(ITEM_BYTES)),
)
@settings(max_examples=300, deadline=None)
def test_regions_are_aligned_and_do_not_overlap(
    layers: tuple[KvLayer, ...], num_pages: int, block_size: int, dtype: str
) -> None:
    regions, total = kv_regions(_card(layers, num_pages, block_size, dtype))
    assert len(regions) == len(layers)
    spans: list[tuple[int, int]] = []
    for layer, region in zip(layers, regions, strict=True):
        assert region.key_shape == (num_pages, layer.num_kv_heads, block_size, layer.key_dim)
        assert region.value_shape == (num_pages, layer.num_kv_heads, block_size, layer.value_dim)
        for offset, shape in ((region.key_offset, region.key_shape), (region.value_offset, region.value_shape)):
            assert offset % ALIGNMENT == 0
            spans.append((offset, offset + shape[0] * shape[1] * shape[2] * shape[3] * ITEM_BYTES[dtype]))
    ends = [0, *(end for _, end in spans)]
    assert all(start >= end for (start, _), end in zip(spans, ends, strict=False)), "in order, one after the other"
    assert ends[-1] <= total
    paid_for_alignment = total - num_pages * page_bytes(layers, block_size, dtype)
    assert 0 <= paid_for_alignment <= 2 * ALIGNMENT * len(layers)
