"""The whole load test against a scripted server in the same process: streams, plain answers, errors, broken streams."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web

from scripts.load_testing.__main__ import EXIT_FAILED, EXIT_MISSED, EXIT_NO_SERVER, load_test, main
from scripts.load_testing.bodies import Bodies
from scripts.load_testing.command_line import parse_command
from scripts.load_testing.measure import MeasuredStep, measure, measure_step
from scripts.load_testing.options import load_options
from scripts.load_testing.records import RequestRecord
from scripts.load_testing.server import Server
from scripts.load_testing.traffic import Traffic
from scripts.load_testing.word_length import ServedModel

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
                return await load_test(parse_command(["--url", url, "--spread", "0", *arguments])), url
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
    figures = msgspec.json.decode(report.read_bytes())["steps"][0]["figures"]
    assert figures["num_ok"] == 12
    assert figures["mean_prompt_tokens"] == 43.0
    assert figures["mean_output_tokens"] == 4.0
    assert figures["inter_token_s"]["count"] == 36
    shown = capsys.readouterr().out
    assert "12 ok, 0 failed" in shown
    assert "first token" in shown


def test_a_closed_loop_opens_its_requests_one_after_the_other() -> None:
    class PatientServer(Server):
        """Answers when two requests are open."""

        async def ask(self, path: str, body: dict[str, Any], record: RequestRecord) -> None:
            opened.append(record)
            if len(opened) == 2:
                both.set()
            await both.wait()

    async def send() -> None:
        options = load_options(requests=2, concurrency=2, spread=0.2)
        async with PatientServer(options) as server, asyncio.timeout(DEADLINE_S):
            await Traffic(server, Bodies(options, {"completion": ServedModel("m")}), options).send_all()

    opened: list[RequestRecord] = []
    both = asyncio.Event()
    asyncio.run(send())
    first, second = opened
    assert second.began - first.began == pytest.approx(0.1, abs=0.08)


def test_ctrl_c_while_the_last_counters_are_read_loses_nothing() -> None:
    """It ended a whole ramp with a traceback."""

    class SilentServer(Server):
        """Answers at once; its /metrics only the first time."""

        num_looks = 0

        async def ask(self, path: str, body: dict[str, Any], record: RequestRecord) -> None:
            record.succeed(record.began + 1.0)
            await asyncio.sleep(0.01)

        async def metrics(self) -> str | None:
            self.num_looks += 1
            if self.num_looks > 1:
                is_looking.set()
                await asyncio.Event().wait()
            return "zerolane_num_requests_running 1.0\n"

    async def interrupted() -> MeasuredStep:
        options = load_options(requests=3, spread=0.0, metrics_interval=60.0)
        async with SilentServer(options) as server, asyncio.timeout(DEADLINE_S):
            bodies = Bodies(options, {"completion": ServedModel("m")})
            measuring = asyncio.create_task(measure_step(server, bodies, options))
            await is_looking.wait()
            measuring.cancel()
            return await measuring

    is_looking = asyncio.Event()
    step = asyncio.run(interrupted())
    assert (step.figures.num_ok, step.was_interrupted) == (3, True)


def test_an_open_loop_ends_with_its_duration() -> None:
    code, _ = run(ScriptedServer(good), "--requests", "100000", "--rate", "100", "--duration", "0.3")
    assert code == 0


def test_a_stream_that_breaks_off_is_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    code, _ = run(ScriptedServer(lambda num_words: [TEXT]), "--requests", "2")
    assert code == EXIT_FAILED
    assert "2 x the stream ended without [DONE]" in capsys.readouterr().out


def test_an_answer_that_is_no_utf_8_is_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    """It ended the whole load test with a traceback."""
    half = 'data: {"choices":[{"index":0,"text":"ä"}]}\n\n'.encode("latin-1")
    code, _ = run(ScriptedServer(lambda num_words: [TEXT, half, DONE]), "--requests", "2")
    assert code == EXIT_FAILED
    assert "2 x unreadable answer" in capsys.readouterr().out


def test_an_error_in_the_stream_is_a_failure_with_its_code(capsys: pytest.CaptureFixture[str]) -> None:
    error = b'data: {"error":{"message":"worker lost","code":"step_failed"}}\n\n'
    code, _ = run(ScriptedServer(lambda num_words: [TEXT, error, DONE]), "--requests", "2")
    assert code == EXIT_FAILED
    assert "2 x error in the stream step_failed: worker lost" in capsys.readouterr().out


def test_score_needs_no_usage(capsys: pytest.CaptureFixture[str]) -> None:
    code, _ = run(ScriptedServer(good), "--workload", "score", "--requests", "4", "--texts", "5")
    assert code == 0
    shown = capsys.readouterr().out
    assert "texts/s" in shown
    assert "the server does not say" in shown


def test_no_server_is_said_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--url", "http://127.0.0.1:1"]) == EXIT_NO_SERVER
    assert "does not list its models" in capsys.readouterr().err


def test_a_ramp_ends_when_its_targets_are_missed_for_good(capsys: pytest.CaptureFixture[str]) -> None:
    targets = ["--target-ttft-ms", "0.0001"]
    code, _ = run(ScriptedServer(good), "--ramp", "1,2,3,4", "--requests", "3", *targets)
    assert code == EXIT_MISSED
    shown = capsys.readouterr().out
    assert "2 at a time" in shown
    assert "3 at a time" not in shown
    assert "ended early, 2 steps before the last" in shown


def test_a_ramp_that_keeps_its_targets_says_how_far(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "ramp.html"
    targets = ["--target-ttft-ms", "60000", "--html", str(page)]
    code, _ = run(ScriptedServer(good), "--ramp", "1,3", "--requests", "6", *targets)
    assert code == 0
    assert "most within the targets: " in capsys.readouterr().out
    assert "</html>" in page.read_text()


def test_errors_fail_the_command_only_when_told_so() -> None:
    def second_kind_fails(num_words: int) -> Events:
        return good(num_words) if next(turn) % 2 else [TEXT]

    turn = iter(range(100))
    assert run(ScriptedServer(second_kind_fails), "--requests", "4", "--warmup", "0")[0] == 0
    turn = iter(range(100))
    assert (
        run(ScriptedServer(second_kind_fails), "--requests", "4", "--warmup", "0", "--fail-on-errors")[0] == EXIT_FAILED
    )


def test_measure_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    async def measured() -> int:
        runner, url = await ScriptedServer(good).start()
        try:
            async with asyncio.timeout(DEADLINE_S):
                return (await measure(load_options(requests=5, spread=0.0, target_e2e_ms=60000), url)).num_ok
        finally:
            await runner.cleanup()

    assert asyncio.run(measured()) == 5
    assert capsys.readouterr() == ("", "")
