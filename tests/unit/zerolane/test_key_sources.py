"""Keys come from flags, a file and the environment, and leave the environment."""

import os
from pathlib import Path

import pytest
from msgspec.structs import replace

from ipc.config import ServeConfig
from zerolane.key_sources import ADMIN_KEY_VARIABLE, MAX_KEYS, with_keys
from zerolane.options import BadOption


def test_keys_of_all_sources_count_once_and_leave_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "keys"
    path.write_text("# team a\nfrom-file\n\n  with-spaces  \nboth\n")
    monkeypatch.setenv("ZEROLANE_API_KEY", "from-environment, both")
    monkeypatch.setenv("VLLM_API_KEY", "as-vllm")
    monkeypatch.setenv(ADMIN_KEY_VARIABLE, "the-admin")
    config = with_keys(ServeConfig(api_key=("typed",), api_key_file=str(path)))
    assert config.api_key == ("typed", "from-file", "with-spaces", "both", "from-environment", "as-vllm")
    assert config.admin_key == "the-admin"
    assert not {"ZEROLANE_API_KEY", "VLLM_API_KEY", ADMIN_KEY_VARIABLE} & set(os.environ)


def test_a_flag_wins_over_the_environment_for_the_one_admin_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ADMIN_KEY_VARIABLE, "from-environment")
    assert with_keys(ServeConfig(admin_key="typed")).admin_key == "typed"
    assert ADMIN_KEY_VARIABLE not in os.environ


def test_without_any_the_server_is_open() -> None:
    assert with_keys(ServeConfig()).api_key == ()


@pytest.mark.parametrize(("text", "said"), [("", "holds no key"), ("# none yet\n", "holds no key")])
def test_a_key_file_without_keys_does_not_open_the_server(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "keys"
    path.write_text(text)
    with pytest.raises(BadOption, match=said):
        with_keys(ServeConfig(api_key_file=str(path)))
    with pytest.raises(BadOption, match="cannot be read"):
        with_keys(ServeConfig(api_key_file=str(tmp_path / "none")))


def test_their_number_is_bounded() -> None:
    config = ServeConfig()
    with pytest.raises(BadOption, match="keys"):
        with_keys(replace(config, api_key=tuple(map(str, range(MAX_KEYS + 1)))))
