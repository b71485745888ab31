"""The grammar benchmark's groups make the same steps, and the constrained one says what its grammars allow."""

from pathlib import Path

import pytest
from tokenizers import Tokenizer

from benchmarks.constrained_step import Benchmark, quartiles
from benchmarks.model_shapes import LlamaShape, make_llama

pytestmark = pytest.mark.process

TINY = LlamaShape("tiny", num_layers=1, hidden_size=64, num_heads=4, num_kv_heads=2, ffn_size=64, vocab_size=600)


def test_groups_decode_side_by_side(tmp_path: Path) -> None:
    path = make_llama(TINY, "float32", tmp_path)
    benchmark = Benchmark(path, "float32", threads=1, num_streams=5, num_steps=12)
    benchmark.run(12)
    tokenizer = Tokenizer.from_file(str(path / "tokenizer.json"))
    free, constrained, again = benchmark.groups
    for group in benchmark.groups:
        assert len(group.seconds) == 11
        assert [len(output) for output in group.outputs] == [12] * 5
    assert all(tokenizer.decode(output).startswith("[") for output in constrained.outputs)
    assert not any(tokenizer.decode(output).startswith("[") for output in free.outputs + again.outputs)
    assert quartiles([1.0, 2.0, 3.0]) == "2.000 (1.000 to 3.000)"
