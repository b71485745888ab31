"""The real server as users start it, for one benchmark: started on a free port, ended with it."""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.overhead.workload import Workload

ROOT = Path(__file__).resolve().parents[2]
MODEL = "overhead"
STOP_S = 30.0
_READY = re.compile(r"ready on (http://\S+)")


class ServerProcess:
    """Close it. `log` is what it wrote to standard error."""

    def __init__(self, workload: Workload, options: Sequence[str] = ()) -> None:
        """Start, with further `options`, and wait for its ready line. Raises RuntimeError with its log when it ends
        before."""
        self._folder = tempfile.TemporaryDirectory(prefix="zerolane-overhead-")
        self.log = Path(self._folder.name) / "server.log"
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "zerolane", "serve", *_arguments(workload, self._folder.name), *options],
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self.pid = self._process.pid
        self.url = self._wait_ready()

    def close(self) -> None:
        """End it and everything of it."""
        self._process.terminate()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._folder.cleanup()

    def _wait_ready(self) -> str:
        for line in self._process.stdout or ():
            found = _READY.search(line)
            if found is not None:
                return found[1]
        text = self.log.read_text()
        self.close()
        raise RuntimeError(f"the server did not start:\n{text}")


def _arguments(workload: Workload, folder: str) -> list[str]:
    most_tokens = workload.prompt_tokens + workload.output_tokens
    return [
        f"{MODEL}={workload.model_path}",
        "--port=0",
        f"--runtime-dir={folder}/run",
        f"--dtype={workload.dtype}",
        f"--attention-backend={workload.attention}",
        f"--threads={workload.threads}",
        f"--max-num-batched-tokens={workload.max_num_batched_tokens}",
        f"--max-num-seqs={max(workload.most_streams, 1)}",
        f"--max-model-len={most_tokens + 16}",
        "--kv-cache-memory=2GiB",
        "--log-level=warning",
    ]
