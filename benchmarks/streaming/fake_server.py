"""The real server with the built-in fake model, from any checkout: started on a free port, ended with it."""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MODEL = "fake"
STOP_S = 30.0
_READY = re.compile(r"ready on http://([\w.]+):(\d+)")


class FakeServer:
    """Close it. `log` is what it wrote to standard error."""

    def __init__(self, options: Sequence[str] = (), tree: Path = ROOT) -> None:
        """Start the server of the checkout `tree` and wait for its ready line. Raises RuntimeError with its log when
        it ends before."""
        self._folder = tempfile.TemporaryDirectory(prefix="zerolane-streaming-")
        self.log = Path(self._folder.name) / "server.log"
        arguments = [f"{MODEL}=fake:generate", "--port=0", f"--runtime-dir={self._folder.name}/run", *options]
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "zerolane", "serve", *arguments],
                env={**os.environ, "PYTHONPATH": str(tree)},
                cwd=self._folder.name,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self.pid = self._process.pid
        self.host, self.port = self._wait_ready()

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

    def _wait_ready(self) -> tuple[str, int]:
        for line in self._process.stdout or ():
            found = _READY.search(line)
            if found is not None:
                return found[1], int(found[2])
        text = self.log.read_text()
        self.close()
        raise RuntimeError(f"the server did not start:\n{text}")
