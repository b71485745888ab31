"""Our server as users start it, asked over HTTP."""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.score_sides.in_process import ROOT, Order, Result, Side

_READY = re.compile(r"ready on (http://\S+)")
STOP_S, ANSWER_S = 30.0, 300.0


class ScoringServer:
    """Close it. `log` is what it wrote to standard error."""

    def __init__(self, side: Side, options: Sequence[str] = ()) -> None:
        """Start it, with further `options`, and wait for its ready line. Raises RuntimeError with its log when it ends
        before."""
        self._is_reranker = side.kind == "rerank"
        self._folder = tempfile.TemporaryDirectory(prefix="zerolane-scoring-")
        self.log = Path(self._folder.name) / "server.log"
        arguments = [f"scoring={side.path}", "--port=0", f"--runtime-dir={self._folder.name}/run"]
        arguments += [f"--dtype={side.dtype}", f"--threads={side.threads}", "--kv-cache-memory=64MiB", *options]
        arguments += [f"--task={'score' if self._is_reranker else 'embed'}"]
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "zerolane", "serve", *arguments],
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self.pid = self._process.pid
        self._url = self._wait_ready()

    def run(self, order: Order) -> Result:
        """One request with all texts; timed from its first byte to the last of the parsed answer."""
        began = time.perf_counter()
        if self._is_reranker:
            answer = self._post("/v1/score", {"text_1": order.query, "text_2": order.texts})
            rows = [item["score"] for item in answer["data"]]
        else:
            answer = self._post("/v1/embeddings", {"input": order.texts})
            rows = [item["embedding"] for item in answer["data"]]
        return Result(time.perf_counter() - began, rows)

    def close(self) -> None:
        """End it and everything of it."""
        self._process.terminate()
        try:
            self._process.communicate(timeout=STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
        self._folder.cleanup()

    def _post(self, path: str, body: dict[str, Any]) -> Any:
        request = urllib.request.Request(
            self._url + path, json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=ANSWER_S) as response:
            return json.loads(response.read())

    def _wait_ready(self) -> str:
        for line in self._process.stdout or ():
            found = _READY.search(line)
            if found is not None:
                return found[1]
        text = self.log.read_text()
        self.close()
        raise RuntimeError(f"the server did not start:\n{text}")
