"""Where everything of the comparison lies: one folder, made by `install` and `models`, read by `run`."""

import os
from dataclasses import dataclass
from pathlib import Path


def default_home() -> Path:
    base = os.environ.get("XDG_CACHE_HOME", "") or "~/.cache"
    return Path(base).expanduser() / "zerolane" / "peers"


@dataclass(frozen=True)
class Home:
    """Paths below `root`; none of them needs to be there."""

    root: Path

    def bin(self, environment: str, program: str = "python") -> Path:
        """A program of the environment `venv-ENVIRONMENT`."""
        return self.root / f"venv-{environment}" / "bin" / program

    def site_packages(self, environment: str) -> Path:
        """Raises FileNotFoundError when there is no such environment."""
        found = sorted((self.root / f"venv-{environment}" / "lib").glob("python3*/site-packages"))
        if not found:
            raise FileNotFoundError(f"no environment venv-{environment} in {self.root}: install it first")
        return found[0]

    @property
    def downloads(self) -> Path:
        return self.root / "dl"

    @property
    def llama_package(self) -> Path:
        return self.root / "llama_cpp_python-0.3.36"

    @property
    def llama_tree(self) -> Path:
        """llama.cpp's sources, as llama-cpp-python's source distribution brings them."""
        return self.llama_package / "vendor" / "llama.cpp"

    def llama_program(self, name: str) -> Path:
        return self.llama_tree / "build" / "bin" / name

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    def model(self, shape: str) -> Path:
        """A model in the form of Hugging Face."""
        return self.root / "models" / shape

    def gguf(self, shape: str, kind: str) -> Path:
        return self.root / "models" / f"{shape}-{kind}.gguf"

    def openvino(self, shape: str) -> Path:
        return self.root / "models" / f"{shape}-openvino"
