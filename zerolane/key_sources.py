"""Where keys come from: a flag, a file, the environment. Children have no use for the variables, so they are removed:
`ps e` and /proc show a process' environment to its user for as long as it lives."""

import os
from pathlib import Path

from msgspec.structs import replace

from ipc.config import ServeConfig
from zerolane.options import BadOption

ADMIN_KEY_VARIABLE = "ZEROLANE_ADMIN_KEY"  # unlike the flag, not shown to other users by ps
API_KEY_VARIABLES = ("ZEROLANE_API_KEY", "VLLM_API_KEY")  # either may hold several, with commas between
MAX_KEYS = 10_000  # every request is compared with all of them


def with_keys(config: ServeConfig) -> ServeConfig:
    """`config` with all keys that it and the environment say. Raises BadOption."""
    admin_key = os.environ.pop(ADMIN_KEY_VARIABLE, "")
    from_environment = [_split(os.environ.pop(variable, "")) for variable in API_KEY_VARIABLES]
    keys = [*config.api_key, *_from_file(config.api_key_file), *from_environment[0], *from_environment[1]]
    keys = list(dict.fromkeys(keys))
    if len(keys) > MAX_KEYS:
        raise BadOption(f"argument --api-key: {len(keys)} keys, {MAX_KEYS} are possible")
    return replace(config, admin_key=config.admin_key or admin_key, api_key=tuple(keys))


def _from_file(path: str) -> list[str]:
    """Raises BadOption for a file that cannot be read, and for one without a key: the server would be open."""
    if not path:
        return []
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadOption(f"argument --api-key-file: {path!r} cannot be read: {error}") from error
    keys = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if not keys:
        raise BadOption(f"argument --api-key-file: {path!r} holds no key")
    return keys


def _split(text: str) -> list[str]:
    return [key.strip() for key in text.split(",") if key.strip()]
