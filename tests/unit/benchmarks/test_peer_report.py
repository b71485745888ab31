"""The table."""

from benchmarks.peers.figures import Figures, Run
from benchmarks.peers.loads import parse_cells
from benchmarks.peers.report import report


def run_of(peer: str, number: int, rate: float, foreign: float = 0.0) -> Run:
    return Run(peer, "qwen3/equal:8", number, 0, Figures(rate, 500, 600, 40, 80, 50, 9), foreign, 0.0, 2.0, seed=1)


def test_the_table_shows_every_peer_and_what_ours_is_to_it() -> None:
    cells = parse_cells(["qwen3:8,32"])
    runs = [run_of("ours", 0, 100), run_of("ours-int8", 0, 150), run_of("vllm", 0, 50, foreign=0.4)]
    text = report(cells, dict.fromkeys(["ours", "ours-int8", "vllm", "llama"], "what it is"), runs)
    assert "qwen3/equal:8  (16 requests, at most 8 at once)" in text
    assert "qwen3/equal:32" not in text
    assert "llama" not in text
    ours = next(line for line in text.splitlines() if "ours / vllm" in line)
    assert "rate 2.00 (2.00-2.00), first token 1.00" in ours
    assert ours.endswith("pairs: 1, all DISTURBED")
    assert "ours-int8 / ours: rate 1.50" in text
    assert text.count("DISTURBED") == 2
    assert "ours / ours-int8" not in text
    assert "1 disturbed" in text
