"""Options from a file: what it may hold, and that a mistake is told with file, line, key, value and wanted type."""

from pathlib import Path

import pytest

from zerolane.config_file import FileSettings, read_config_file
from zerolane.options import BadOption

GOOD = """\
# a server for two models
models:
  - chat=Qwen/Qwen3-0.6B
  - rank=/models/reranker
port: 8080
max-num-seqs: 64
enable_prefix_caching: off
shutdown-timeout: 5
kv-cache-memory: 1GiB
allowed-origins: [https://a.example, "https://b.example"]
api-key: one,two
dtype: bfloat16
"""


def read(folder: Path, text: str | bytes) -> FileSettings:
    path = folder / "serve.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_config_file(path)


def test_everything_an_option_can_say(tmp_path: Path) -> None:
    found = read(tmp_path, GOOD)
    assert found.models == ["chat=Qwen/Qwen3-0.6B", "rank=/models/reranker"]
    assert found.values == {
        "port": 8080,
        "max_num_seqs": 64,
        "enable_prefix_caching": False,
        "shutdown_timeout": 5.0,
        "kv_cache_memory": "1GiB",
        "allowed_origins": ("https://a.example", "https://b.example"),
        "api_key": ("one", "two"),
        "dtype": "bfloat16",
    }


def test_one_model_and_nothing_at_all(tmp_path: Path) -> None:
    assert read(tmp_path, "model: Qwen/Qwen3-0.6B").models == ["Qwen/Qwen3-0.6B"]
    assert read(tmp_path, "# nothing yet\n") == FileSettings({}, [])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("port: 8000\nprot: 80", "serve.yaml, line 2: unknown option 'prot'; did you mean port?"),
        ("config: other.yaml", "serve.yaml, line 1: unknown option 'config'"),
        ("\nport: http", "serve.yaml, line 2: port: 'http' is not an integer from 0 to 65535"),
        ("port: 99999", "serve.yaml, line 1: port: 99999 is not an integer from 0 to 65535"),
        ("port: '8000'", "serve.yaml, line 1: port: '8000' is not an integer from 0 to 65535"),
        ("port: true", "serve.yaml, line 1: port: True is not an integer from 0 to 65535"),
        ("port:", "serve.yaml, line 1: port: None is not an integer from 0 to 65535"),
        ("trust-remote-code: 1", "serve.yaml, line 1: trust-remote-code: 1 is not true or false"),
        ("dtype: int3", "serve.yaml, line 1: dtype: 'int3' is not one of auto, float32, bfloat16, float16"),
        ("kv-cache-memory: 512", "serve.yaml, line 1: kv-cache-memory: 512 is not text"),
        ("allowed-origins: [1]", "serve.yaml, line 1: allowed-origins: [1] is not a list of texts"),
        ("allowed-origins: '[1]'", "serve.yaml, line 1: allowed-origins: '[1]' is not a list of texts"),
        ("api-key: 1234", "serve.yaml, line 1: api-key: the value is not a list of texts"),
        ("models: {a: b}", "serve.yaml, line 1: models: {'a': 'b'} is not a model or a list of models ([NAME=]MODEL)"),
        ("max-num-seqs: 1\nmax_num_seqs: 2", "line 2: max_num_seqs was already said in"),
        ("model: a\nmodels: [b]", "line 2: models was already said in"),
        ("1: 2", "serve.yaml, line 1: unknown option '1'"),
        ("[a]: 2", "serve.yaml, line 1: unknown option"),
        ("- port", "does not hold options as 'name: value' lines"),
        ("port: 1\n---\nport: 2", "is not valid YAML"),
        ("port: [", "is not valid YAML"),
        ("port: !!python/object:os.system x", "is not valid YAML"),
        (b"port: \xff", "cannot be read"),
    ],
)
def test_a_mistake_is_told_with_its_place(tmp_path: Path, text: str | bytes, said: str) -> None:
    with pytest.raises(BadOption) as caught:
        read(tmp_path, text)
    assert said in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BadOption, match="cannot be read"):
        read_config_file(tmp_path / "none.yaml")
