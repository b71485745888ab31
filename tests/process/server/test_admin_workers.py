"""Scaling over HTTP, against the real supervisor."""

import httpx

from tests.support.running_server import StartServer

HEADERS = {"Authorization": "Bearer key of the environment"}
TIMEOUT_S = 60.0


def test_scaling_over_http(start_server: StartServer) -> None:
    server = start_server("fake:generate", environment={"ZEROLANE_ADMIN_KEY": "key of the environment"})
    url = f"{server.url}/admin/workers"
    assert httpx.get(url).status_code == 401
    scaled = httpx.post(url, json={"workers": 2, "spares": 1}, headers=HEADERS, timeout=TIMEOUT_S)
    assert scaled.status_code == 200, scaled.text
    assert (scaled.json()["workers"], scaled.json()["spares"], scaled.json()["started"]) == (2, 1, 2)
    picture = httpx.get(url, headers=HEADERS).json()
    assert picture["ready"]
    roles = [process["role"] for process in picture["processes"] if process["state"] == "ready"]
    assert (roles.count("worker"), roles.count("spare")) == (2, 1)
    answer = httpx.post(f"{server.url}/v1/completions", json={"prompt": "x", "max_tokens": 4}, timeout=TIMEOUT_S)
    assert answer.status_code == 200
