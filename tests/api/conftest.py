"""One server with the shipped models for all tests of this folder, and the official client."""

from collections.abc import Iterator

import openai
import pytest

from tests.support.running_server import Server
from tests.support.served import Served


@pytest.fixture(scope="session")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """`zerolane serve` without arguments."""
    served = Served(["-m", "zerolane", "serve"], [], tmp_path_factory.mktemp("shipped"), {})
    try:
        yield Server(served, f"http://127.0.0.1:{served.port_of(served.wait_ready())}")
    finally:
        served.close()


@pytest.fixture
def client(shipped: Server) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{shipped.url}/v1", api_key="unused", timeout=60.0, max_retries=0) as client:
        yield client
