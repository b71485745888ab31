"""Where compiled kernels are kept between runs. Imported before numba, which reads its settings once.

The folder is below `$XDG_CACHE_HOME/zerolane` or `~/.cache/zerolane`, or what NUMBA_CACHE_DIR says. Where it cannot be
written, kernels are compiled anew in every process.
"""

import hashlib
import logging
import os
from pathlib import Path

_WORKERS = Path(__file__).resolve().parent.parent
# Files that kernels of other files are made of.
SHARED = (
    "lean/attention_tiles.py",
    "lean/bfloat16_products.py",
    "lean/compiled.py",
    "lean/dot_tile.py",
    "lean/jobs.py",
    "lean_encoder/jobs.py",
    "linear/row_tile.py",
    "linear/vnni.py",
    "linear/vnni_int4.py",
    "linear/weight_rows.py",
)
_logger = logging.getLogger("zerolane.workers.kernel_cache")


def cache_folder() -> Path:
    """The folder for compiled kernels; it may not exist yet."""
    if "NUMBA_CACHE_DIR" in os.environ:
        return Path(os.environ["NUMBA_CACHE_DIR"])
    base = os.environ.get("XDG_CACHE_HOME", "") or "~/.cache"
    return Path(os.path.expanduser(base)) / "zerolane" / "numba" / _sources_digest()


def _sources_digest() -> str:
    """Changes with what several kernels share: numba looks at the file of a kernel only, not at those it calls into."""
    digest = hashlib.sha256()
    for name in SHARED:
        digest.update((_WORKERS / name).read_bytes())
    return digest.hexdigest()[:16]


def _prepare() -> bool:
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        _logger.info("compiled kernels cannot be kept: %s", error)
        return False
    if not os.access(folder, os.W_OK | os.X_OK):
        _logger.info("compiled kernels cannot be kept: %s is not writable", folder)
        return False
    os.environ["NUMBA_CACHE_DIR"] = str(folder)
    return True


CAN_CACHE = _prepare()  # decided before the kernel's decorator runs: numba refuses to cache without a folder
