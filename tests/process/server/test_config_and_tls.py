"""A whole server from a config file: HTTPS with clients' certificates, API keys, two frontends."""

import ssl
from pathlib import Path

import httpx
import openai
import pytest

from tests.support.certificates import write_certificates
from tests.support.fake_text import expected_text
from tests.support.running_server import StartServer
from tests.support.served import eventually

KEYS = ("sk-from-file", "sk-from-environment")


def test_everything_from_a_file_over_https(start_server: StartServer, tmp_path: Path) -> None:
    files = write_certificates(tmp_path)
    (tmp_path / "keys").write_text(f"# clients\n{KEYS[0]}\n")
    config = tmp_path / "serve.yaml"
    config.write_text(
        f"models: [chat=fake:generate]\nfrontends: 3\nssl-certfile: {files.server}\nssl-ca-certs: {files.authority}\n"
        f"api-key-file: {tmp_path / 'keys'}\nlog-level: debug\n"
    )
    environment = {"ZEROLANE_API_KEY": KEYS[1]}
    server = start_server("--config", str(config), "--frontends", "2", environment=environment)
    assert len(server.served.of("frontend")) == 2  # the command line wins
    url = server.url.replace("http://", "https://")
    assert server.served.status().address == url

    known = ssl.create_default_context(cafile=str(files.authority))
    known.load_cert_chain(files.client)
    for key in KEYS:
        with openai.DefaultHttpxClient(verify=known) as transport:
            client = openai.OpenAI(base_url=f"{url}/v1", api_key=key, http_client=transport, max_retries=0)
            chunks = client.completions.create(model="chat", prompt="hello", max_tokens=9, temperature=0, stream=True)
            assert "".join(chunk.choices[0].text for chunk in chunks) == expected_text("hello", 9)

    # every connection goes to whichever frontend is first
    for _ in range(8):
        assert httpx.get(f"{url}/health", verify=known).status_code == 200
        assert httpx.get(f"{url}/v1/models", verify=known).status_code == 401
    without = ssl.create_default_context(cafile=str(files.authority))
    stranger = ssl.create_default_context(cafile=str(files.authority))
    stranger.load_cert_chain(files.stranger)
    for context in (without, stranger):
        with pytest.raises(httpx.TransportError):
            httpx.get(f"{url}/health", verify=context)

    eventually(lambda: "request ended" in server.served.errors, "the log says what was served")
    assert not any(key in server.served.errors for key in KEYS)
    for process in server.served.status().processes:
        told = Path(f"/proc/{process.pid}/cmdline").read_bytes() + Path(f"/proc/{process.pid}/environ").read_bytes()
        # the kernel shows the environment a process was born with: only the supervisor was born with the key
        assert process.role == "supervisor" or not any(key.encode() in told for key in KEYS)
