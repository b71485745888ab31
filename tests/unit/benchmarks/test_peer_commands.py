"""Every peer's command names its model, its port and the limits all peers share."""

from pathlib import Path

import pytest

from benchmarks.peers.commands import PEERS, Setting
from benchmarks.peers.home import Home
from benchmarks.peers.install import ENVIRONMENTS, STEPS, Step, install, run_steps
from benchmarks.peers.vllm_wheel import requirements_of

CASES = [(name, shape) for name, peer in PEERS.items() for shape in peer.shapes]


def setting_of(shape: str) -> Setting:
    return Setting(Home(Path("/h")), shape, shape == "rerank", 32, 192, 2, 2, 4567, Path("/r"))


@pytest.mark.parametrize(("name", "shape"), CASES)
def test_a_command_names_its_model_and_a_server_its_port(name: str, shape: str) -> None:
    start = PEERS[name].start(setting_of(shape))
    words = " ".join(start.command)
    assert f"/h/models/{shape}" in words
    if start.health:
        assert "4567" in words
        assert start.path.startswith("/")
        assert start.dialect == ("completions" if shape != "rerank" else "rerank" if name == "infinity" else "score")


def test_the_same_room_for_every_peer() -> None:
    setting = setting_of("qwen3")
    assert setting.room == 256
    assert "--max-model-len=256" in PEERS["ours"].start(setting).command
    assert "--kv-cache-memory=2GiB" in PEERS["ours"].start(setting).command
    assert PEERS["vllm"].start(setting).env["VLLM_CPU_KVCACHE_SPACE"] == "2"
    llama = PEERS["llama"].start(setting).command
    assert llama[llama.index("-c") + 1] == str(32 * 256)
    assert "--no-cache-prompt" in llama


def test_quantized_peers_differ_in_their_weights_only() -> None:
    setting = setting_of("qwen3")
    plain, quantized = PEERS["llama"].start(setting).command, PEERS["llama-q8"].start(setting).command
    differing = [(a, b) for a, b in zip(plain, quantized, strict=True) if a != b]
    assert differing == [("/h/models/qwen3-bf16.gguf", "/h/models/qwen3-q8_0.gguf")]
    assert "--quantization=int8" in PEERS["ours-int8"].start(setting).command


def test_a_wheel_s_requirements_are_taken_without_extras_and_without_what_has_no_build() -> None:
    metadata = "Name: vllm\nRequires-Dist: torch==2.13\nRequires-Dist: numpy\nRequires-Dist: av; extra == 'audio'\n"
    assert list(requirements_of(metadata + "Requires-Dist: torchvision>=1\n")) == ["numpy"]


def test_a_step_is_done_once_and_a_failed_one_is_told(tmp_path: Path) -> None:
    said: list[str] = []
    home = Home(tmp_path)
    made = Step("make", tmp_path / "made", [["touch", str(tmp_path / "half")]], partial=tmp_path / "half")
    broken = Step("break", tmp_path / "never", [["false"]])
    assert run_steps([made, broken], home, said.append) == 1
    assert made.result.exists()
    assert any("break: FAILED" in line for line in said)
    said.clear()
    assert run_steps([made], home, said.append) == 0
    assert said == ["make: there"]


def test_every_environment_has_steps_that_end_in_something(tmp_path: Path) -> None:
    """All results there: nothing is run."""
    home, said = Home(tmp_path), list[str]()
    steps = {name: STEPS[name](home) for name in ENVIRONMENTS}
    for step in (step for found in steps.values() for step in found):
        step.result.mkdir(parents=True, exist_ok=True)
    assert install(home, ENVIRONMENTS, said.append) == 0
    assert len([line for line in said if line.endswith(": there")]) == sum(map(len, steps.values()))
