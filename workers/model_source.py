"""From what the operator typed to a local folder with configuration, tokenizer and weights.

A folder is used as it is; a hub id is downloaded by huggingface_hub (which honours HF_HUB_OFFLINE, HF_HOME and
tokens). Every failure ends in a StartupError that says what to do.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from huggingface_hub import snapshot_download
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, LocalEntryNotFoundError, RepositoryNotFoundError
from huggingface_hub.utils.tqdm import tqdm as hub_tqdm

from ipc.config import LoaderConfig, ModelSpec
from ipc.errors import StartupError

ALLOWED_FILES = ["*.json", "*.safetensors", "*.txt", "*.model", "*.jinja", "*.tiktoken"]
ByteProgress = Callable[[int, int], None]


def resolve_source(spec: ModelSpec, config: LoaderConfig, on_progress: ByteProgress) -> str:
    """The folder of the model. `on_progress` hears bytes done and in all while a download runs. Raises StartupError."""
    folder = Path(spec.source).expanduser()
    if not folder.is_dir():
        if spec.source.startswith(("/", ".", "~")):
            raise StartupError(f"model {spec.name}: there is no folder {spec.source}", "check the path")
        folder = Path(_download(spec, config, on_progress))
    if not (folder / "config.json").is_file():
        raise StartupError(
            f"model {spec.name}: its folder has no config.json", "name the folder save_pretrained wrote, or a hub id"
        )
    _check_weights(spec, folder, config.allow_pickle_weights)
    return str(folder.resolve())


def _check_weights(spec: ModelSpec, folder: Path, allow_pickle: bool) -> None:
    if any(folder.glob("*.safetensors")):
        return
    has_pickle = any(folder.glob("*.bin"))
    if has_pickle and allow_pickle:
        return
    if has_pickle:
        raise StartupError(
            f"model {spec.name}: its weights are pickle files, which can run any code when they are read",
            "convert them to safetensors, or use --allow-pickle-weights if you trust the model",
        )
    raise StartupError(
        f"model {spec.name}: its folder holds no .safetensors files", "check that the download is complete"
    )


def _download(spec: ModelSpec, config: LoaderConfig, on_progress: ByteProgress) -> str:
    files = list(ALLOWED_FILES)
    if config.trust_remote_code:
        files.append("*.py")
    if config.allow_pickle_weights:
        files.append("*.bin")
    try:
        return snapshot_download(
            spec.source,
            revision=config.revision or None,
            allow_patterns=files,
            tqdm_class=_progress_class(on_progress),
        )
    except GatedRepoError as error:
        raise StartupError(
            f"model {spec.name}: access to {spec.source} must be asked for on the hub",
            "then log in with `hf auth login`",
        ) from error
    except RepositoryNotFoundError as error:
        raise StartupError(
            f"model {spec.name}: {spec.source} is neither a local folder nor a model on the hub", "check the spelling"
        ) from error
    except LocalEntryNotFoundError as error:
        raise StartupError(
            f"model {spec.name}: {spec.source} is not in the local cache, and the hub cannot be asked",
            "unset HF_HUB_OFFLINE or check the network, or give the path of a local folder",
        ) from error
    except (HfHubHTTPError, OSError, ValueError) as error:
        raise StartupError(
            f"model {spec.name}: {spec.source} cannot be downloaded: {type(error).__name__}",
            "try again, or download it first",
        ) from error


def _progress_class(on_progress: ByteProgress) -> type[Any]:
    """A tqdm class that draws nothing and tells `on_progress` about bytes (and not about numbers of files)."""

    class _QuietBar(hub_tqdm):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            self._counts_bytes = kwargs.get("unit") == "B"
            super().__init__(*args, **{**kwargs, "disable": True})  # type: ignore[no-untyped-call]
            self._done = 0

        def update(self, n: float | None = 1) -> bool | None:
            self._done += int(n or 0)
            if self._counts_bytes:
                on_progress(self._done, int(self.total or 0))
            return None

    return _QuietBar
