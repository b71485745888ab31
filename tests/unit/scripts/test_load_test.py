"""The whole load test against a scripted server in the same process: streams, plain answers, errors, broken streams."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from aiohttp import web

from scripts.load_testing.__main__ import EXIT_FAILED, EXIT_NO_SERVER, load_test, main
from scripts.load_testing.options import parse_options

Events = list[bytes]
DEADLINE_S = 20.0
TEXT = b'data: {"choices":[{"index":0,"text":"x"}]}\n\n'
USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":%d,"completion_tokens":4}}\n\n'
DONE = b"data: [DONE]\n\n"


class ScriptedServer:
    """Answers every completion with what `events` says for the prompt's number of words."""

    def __init__(self, events: Callable[[int], Events]) -> None:
        self._events = events
        self.most_open = 0
        self._num_open = 0

    async def start(self) -> tuple[web.AppRunner, str]:
        """The runner to clean up, and the address."""
        app = web.Application()
        app.router.add_get("/v1/models", self._models)
        app.router.add_post("/v1/completions", self._complete)
        app.router.add_post("/v1/score", self._score)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port: int = runner.addresses[0][1]
        return runner, f"http://127.0.0.1:{port}"

    async def _models(self, request: web.Request) -> web.Response:
        return web.json_response({"data": [{"id": "r", "task": "score"}, {"id": "g", "task": "generate"}]})

    async def _score(self, request: web.Request) -> web.Response:
        assert (await request.json())["model"] == "r"
        return web.json_response({"data": [], "usage": {}})

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        assert body["model"] == "g"
        self._num_open += 1
        self.most_open = max(self.most_open, self._num_open)
        num_words = len(body["prompt"].split())
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for event in self._events(num_words) if body["max_tokens"] > 1 else [USAGE % (2 * num_words + 3), DONE]:
            await response.write(event)
            await asyncio.sleep(0)
        self._num_open -= 1
        return response


def run(server: ScriptedServer, *arguments: str) -> tuple[int, str]:
    """Exit code of a load test against `server`."""

    async def both() -> tuple[int, str]:
        runner, url = await server.start()
        try:
            async with asyncio.timeout(DEADLINE_S):
                return await load_test(parse_options(["--url", url, *arguments])), url
        finally:
            await runner.cleanup()

    return asyncio.run(both())


def good(num_words: int) -> Events:
    return [TEXT, TEXT, TEXT, TEXT, USAGE % (2 * num_words + 3), DONE]


def test_a_closed_loop_keeps_the_wanted_number_open(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    server = ScriptedServer(good)
    report = tmp_path / "report.json"
    code, _ = run(server, "--requests", "12", "--concurrency", "3", "--prompt-tokens", "43", "--json", str(report))
    assert code == 0
    assert server.most_open == 3
    figures = msgspec.json.decode(report.read_bytes())["figures"]
    assert figures["num_ok"] == 12
    assert figures["mean_prompt_tokens"] == 43.0
    assert figures["mean_output_tokens"] == 4.0
    assert figures["inter_token_s"]["count"] == 36
    shown = capsys.readouterr().out
    assert "12 ok, 0 failed" in shown
    assert "first token" in shown


def test_an_open_loop_ends_with_its_duration() -> None:
    code, _ = run(ScriptedServer(good), "--requests", "1000", "--rate", "100", "--duration", "0.3")
    assert code == 0


def test_a_stream_that_breaks_off_is_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    code, _ = run(ScriptedServer(lambda num_words: [TEXT]), "--requests", "2")
    assert code == EXIT_FAILED
    assert "2 x the stream ended without [DONE]" in capsys.readouterr().out


def test_an_error_in_the_stream_is_a_failure_with_its_code(capsys: pytest.CaptureFixture[str]) -> None:
    error = b'data: {"error":{"message":"worker lost","code":"step_failed"}}\n\n'
    code, _ = run(ScriptedServer(lambda num_words: [TEXT, error, DONE]), "--requests", "2")
    assert code == EXIT_FAILED
    assert "2 x error in the stream step_failed: worker lost" in capsys.readouterr().out


def test_score_needs_no_usage(capsys: pytest.CaptureFixture[str]) -> None:
    code, _ = run(ScriptedServer(good), "--endpoint", "score", "--requests", "4", "--pairs", "5")
    assert code == 0
    shown = capsys.readouterr().out
    assert "pairs/s" in shown
    assert "the server does not say" in shown


def test_no_server_is_said_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--url", "http://127.0.0.1:1"]) == EXIT_NO_SERVER
    assert "does not list its models" in capsys.readouterr().err
