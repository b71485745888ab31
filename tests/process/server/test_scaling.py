"""Workers are added and removed while clients stream; a new one holds no second copy of the weights."""

import asyncio
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from ipc.operator_protocol import Scaled
from tests.support.children import ROOT
from tests.support.fake_text import expected_text
from tests.support.metrics_client import metric
from tests.support.running_server import Server, StartServer
from tests.support.served import eventually
from tests.support.sse_client import Streamed, stream_completion
from zerolane.process_usage import with_usage

NUM_STREAMS = 24
MAX_TOKENS = 300


async def stream_while_scaling(server: Server, sizes: list[int]) -> list[Streamed]:
    async with httpx.AsyncClient(base_url=server.url, timeout=60.0) as client:
        bodies = [
            {"prompt": f"client {number}", "max_tokens": MAX_TOKENS, "ignore_eos": True, "temperature": 0}
            for number in range(NUM_STREAMS)
        ]
        tasks = [asyncio.create_task(stream_completion(client, body)) for body in bodies]
        for size in sizes:
            assert isinstance(await asyncio.to_thread(server.served.scale, size), Scaled)
        return await asyncio.gather(*tasks)


def test_streams_do_not_notice_scaling(start_server: StartServer) -> None:
    server = start_server("fake:generate", "--fake-step-ms", "5")
    for number, streamed in enumerate(asyncio.run(stream_while_scaling(server, [3, 1, 2, 1]))):
        assert streamed.errors == []
        assert streamed.text == expected_text(f"client {number}", MAX_TOKENS, ignore_eos=True)
    assert len(server.served.of("worker")) == 1


def memory_of_all(server: Server) -> tuple[float, float]:
    """MiB of PSS of all processes together, and the part of it in memory segments (weights, KV pages, steps)."""
    processes = with_usage(server.served.status()).processes
    return sum(p.pss_mib or 0.0 for p in processes), sum(p.shared_pss_mib or 0.0 for p in processes)


def save_large_model(folder: Path) -> float:
    """A random Llama whose weights dwarf an interpreter, and a tokenizer of bytes; MiB of its weights."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({letter: number for number, letter in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.ByteLevel(), decoders.ByteLevel()
    transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer).save_pretrained(folder)
    config = transformers.LlamaConfig(
        vocab_size=1024,
        hidden_size=1024,
        intermediate_size=4096,
        num_hidden_layers=8,
        num_attention_heads=8,
        num_key_value_heads=2,
        max_position_embeddings=256,
    )
    torch.manual_seed(1)
    model = transformers.LlamaForCausalLM(config)
    model.save_pretrained(folder)
    return sum(parameter.numel() * 4 for parameter in model.parameters()) / 2**20


def test_a_new_worker_computes_soon_and_holds_no_second_copy_of_the_weights(
    start_server: StartServer, tmp_path: Path
) -> None:
    weights_mib = save_large_model(tmp_path)
    server = start_server(f"m={tmp_path}", "--dtype", "float32", "--kv-cache-memory", "16MiB")
    with streaming(server, num_streams=2):
        before, segments_before = memory_of_all(server)
        done = subprocess.run(
            [ROOT / "scripts" / "scale_workers", "2", "--runtime-dir", str(server.served.base)],
            env={**os.environ, "ZEROLANE_PYTHON": sys.executable},
            capture_output=True,
            text=True,
            timeout=60.0,
            check=True,
        )
        after, segments_after = memory_of_all(server)
    assert "PSS" in done.stdout
    first_step = re.search(r"worker 1: first step (\S+) s after the command", done.stdout)
    assert first_step is not None, done.stdout
    assert float(first_step[1]) < 3.0
    assert weights_mib > 400
    assert segments_before > 0.9 * weights_mib  # pages nobody has touched yet count for nobody
    assert segments_after - segments_before < 0.05 * weights_mib  # mapped twice, there once
    assert after - before < 0.15 * weights_mib  # a fork's own pages: caches, buffers, what it has written to


@contextmanager
def streaming(server: Server, num_streams: int) -> Iterator[None]:
    """From the first token of each stream to the end of the block, each client asks again and again."""
    is_over = threading.Event()

    def stream() -> None:
        body = {"prompt": [1, 2, 3], "max_tokens": 100, "ignore_eos": True, "stream": True}
        while not is_over.is_set():
            with httpx.stream("POST", f"{server.url}/v1/completions", json=body, timeout=60.0) as response:
                for _ in response.iter_lines():
                    if is_over.is_set():
                        break

    with ThreadPoolExecutor(num_streams) as pool:
        clients = [pool.submit(stream) for _ in range(num_streams)]
        try:
            eventually(lambda: metric(server.url, "zerolane_generation_tokens_total") >= num_streams, "tokens flow")
            yield
        finally:
            is_over.set()
            for client in clients:
                client.result(60.0)
