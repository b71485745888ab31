"""How each peer is started: pure functions from a setting to a command line and how to ask."""

import glob
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from benchmarks.peers.home import Home

ROOT = Path(__file__).resolve().parents[2]
RUNNERS = Path(__file__).resolve().parent / "runners"
MODEL_NAME = "m"


@dataclass(frozen=True)
class Setting:
    """What all peers of one shape are told, so that none has more room than another."""

    home: Home
    shape: str
    is_scoring: bool
    streams: int  # at most, at once
    request_tokens: int  # of the longest request, prompt and output
    kv_gib: int
    threads: int
    port: int
    run_dir: Path

    @property
    def model(self) -> str:
        return str(self.home.model(self.shape))

    @property
    def room(self) -> int:
        """Tokens a request may have, a little above the longest one, in whole pages."""
        return (self.request_tokens // 64 + 1) * 64


@dataclass(frozen=True)
class Start:
    """A command and, for a server, how it is asked; a library is asked over its standard input."""

    command: list[str]
    env: dict[str, str] = field(default_factory=dict)
    health: str = ""  # path that answers 200 when it is ready; empty: a library
    path: str = ""
    dialect: Literal["completions", "score", "rerank"] = "completions"
    extra: dict[str, bool | int | str] = field(default_factory=dict)
    model: str = MODEL_NAME


_OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "DO_NOT_TRACK": "1"}
_IGNORE_EOS: dict[str, bool | int | str] = {"ignore_eos": True}


def ours(setting: Setting, *options: str) -> Start:
    """The server of this checkout, as users start it."""
    command = [sys.executable, "-P", "-m", "zerolane", "serve", f"{MODEL_NAME}={setting.model}"]
    command += [f"--port={setting.port}", f"--max-model-len={setting.room}", "--log-level=warning"]
    command += [f"--runtime-dir={setting.run_dir}", *options]
    env = {"PYTHONPATH": str(ROOT)}
    if setting.is_scoring:
        return Start(command, env, "/ready", "/v1/score", "score")
    command += [f"--kv-cache-memory={setting.kv_gib}GiB", f"--max-num-seqs={max(setting.streams, 16)}"]
    return Start(command, env, "/ready", "/v1/completions", extra=_IGNORE_EOS)


def tcmalloc() -> list[str]:
    """The allocator vLLM advises, where the machine has it."""
    return sorted(glob.glob("/usr/lib/*/libtcmalloc_minimal.so.4"))[:1]


def vllm(setting: Setting) -> Start:
    """The community's build for processors. `vllm serve` does not find its own distribution; the module does."""
    home = setting.home
    preload = [*tcmalloc(), str(home.root / "venv-vllm/lib/libiomp5.so")]
    env = {
        **_OFFLINE,
        "LD_PRELOAD": ":".join(preload),
        "VLLM_CPU_KVCACHE_SPACE": str(setting.kv_gib),
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_CPU_NUM_OF_RESERVED_CPU": "0",
        "PATH": f"{home.bin('vllm').parent}:{os.environ.get('PATH', '')}",
    }
    command = [str(home.bin("vllm")), "-m", "vllm.entrypoints.openai.api_server", "--model", setting.model]
    command += ["--served-model-name", MODEL_NAME, "--dtype", "bfloat16", "--host", "127.0.0.1"]
    command += ["--port", str(setting.port), "--no-enable-log-requests"]
    if setting.is_scoring:
        return Start([*command, "--max-model-len", "512"], env, "/health", "/v1/score", "score")
    command += ["--max-model-len", str(setting.room)]
    return Start(command, env, "/health", "/v1/completions", extra=_IGNORE_EOS)


def llama(setting: Setting, kind: str) -> Start:
    """llama.cpp's server. A slot a stream; what it kept of earlier prompts is never used."""
    command = [str(setting.home.llama_program("llama-server")), "-m", str(setting.home.gguf(setting.shape, kind))]
    command += ["--host", "127.0.0.1", "--port", str(setting.port), "-t", str(setting.threads), "--no-webui"]
    command += ["-np", str(setting.streams), "-c", str(setting.streams * setting.room), "--no-cache-prompt"]
    command += ["--cache-ram", "0"]
    return Start(command, {}, "/health", "/v1/completions", extra=_IGNORE_EOS)


def transformers_serve(setting: Setting) -> Start:
    """transformers' own server. It loads the model at the first request and must not unload it between rounds."""
    pages = setting.streams * (setting.room // 32 + 1)
    command = [str(setting.home.bin("torch", "transformers")), "serve", setting.model, "--continuous-batching"]
    command += ["--cb-block-size", "32", "--cb-num-blocks", str(max(pages, 64)), "--cb-max-batch-tokens", "1024"]
    command += ["--device", "cpu", "--dtype", "bfloat16", "--host", "127.0.0.1", "--port", str(setting.port)]
    command += ["--model-timeout", "-1"]
    return Start(command, _OFFLINE, "/health", "/v1/completions", model=setting.model)


def openvino(setting: Setting) -> Start:
    """In process: no HTTP, no JSON, no text. Computes in bfloat16 from weights stored as float16."""
    command = [str(setting.home.bin("ov")), str(RUNNERS / "continuous_batching.py")]
    command += [str(setting.home.openvino(setting.shape)), str(setting.kv_gib), str(setting.threads)]
    return Start(command, _OFFLINE)


def bare(setting: Setting) -> Start:
    """A plain transformers loop over static batches, without a server."""
    command = [str(setting.home.bin("torch")), str(RUNNERS / "bare_loop.py"), setting.model, str(setting.threads)]
    return Start(command, _OFFLINE)


def cross_encoder(setting: Setting, dtype: str) -> Start:
    """sentence-transformers' CrossEncoder in process, at the best batch size it finds for each load."""
    command = [str(setting.home.bin("torch")), str(RUNNERS / "cross_encoder.py"), setting.model, dtype]
    return Start([*command, str(setting.threads)], _OFFLINE)


def infinity(setting: Setting) -> Start:
    """infinity-emb's server; float32 is its default on processors."""
    command = [str(setting.home.bin("infinity", "infinity_emb")), "v2", "--model-id", setting.model]
    command += ["--served-model-name", MODEL_NAME, "--engine", "torch", "--device", "cpu", "--dtype", "float32"]
    command += ["--no-bettertransformer", "--batch-size", "32", "--host", "127.0.0.1", "--port", str(setting.port)]
    return Start([*command, "--no-model-warmup"], _OFFLINE, "/health", "/rerank", "rerank")


@dataclass(frozen=True)
class Peer:
    """One side of the comparison. `shapes`: those it can serve."""

    start: Callable[[Setting], Start]
    shapes: tuple[str, ...]
    about: str
    is_default: bool = True


_GENERATING = ("qwen3", "gqa", "window", "llama100m")
_SCORING = ("rerank",)

PEERS: dict[str, Peer] = {
    "ours": Peer(ours, _GENERATING + _SCORING, "zerolane of this checkout, through HTTP"),
    "ours-bf16": Peer(lambda s: ours(s, "--dtype=bfloat16"), _SCORING, "with --dtype bfloat16"),
    "ours-fp32": Peer(lambda s: ours(s, "--dtype=float32"), _SCORING, "with --dtype float32", is_default=False),
    "ours-int8": Peer(lambda s: ours(s, "--quantization=int8"), _GENERATING, "--quantization int8", is_default=False),
    "ours-int4": Peer(lambda s: ours(s, "--quantization=int4"), _GENERATING, "--quantization int4", is_default=False),
    "vllm": Peer(vllm, _GENERATING + _SCORING, "vllm-cpu 0.32.0, a community's rebuild; HTTP; bf16"),
    "llama": Peer(
        lambda s: llama(s, "bf16"), _GENERATING, "llama.cpp's llama-server; HTTP; bf16; has no window for Mistral"
    ),
    "llama-q8": Peer(lambda s: llama(s, "q8_0"), _GENERATING, "llama-server, Q8_0", is_default=False),
    "llama-q4": Peer(lambda s: llama(s, "q4_0"), _GENERATING, "llama-server, Q4_0", is_default=False),
    "openvino": Peer(openvino, ("qwen3", "gqa", "window"), "OpenVINO GenAI in process, no HTTP; bf16"),
    "transformers": Peer(transformers_serve, _GENERATING, "transformers serve; HTTP; bf16", is_default=False),
    "bare": Peer(bare, _GENERATING, "transformers loop in process, static batches; bf16", is_default=False),
    "crossencoder": Peer(lambda s: cross_encoder(s, "bfloat16"), _SCORING, "CrossEncoder in process; bf16"),
    "crossencoder-fp32": Peer(lambda s: cross_encoder(s, "float32"), _SCORING, "CrossEncoder in process; fp32"),
    "infinity": Peer(infinity, _SCORING, "infinity-emb 0.0.78; HTTP; fp32"),
}
