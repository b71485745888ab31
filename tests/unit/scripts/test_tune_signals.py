"""Ctrl-C ends `scripts/tune`, whatever it is doing."""

import asyncio
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from scripts.tuning import __main__ as tune_main
from scripts.tuning.options import TuneOptions, parse_options
from scripts.tuning.result import Result
from scripts.tuning.tuning import Tuning

CONFIRM_S = 10.0
NOTHING: Any = None


class EndingOfASearch:
    """Its time for the search is over, which takes a while, and then it would confirm for long."""

    def __init__(self, options: object) -> None:
        self.ended_well = False

    async def run(self) -> None:
        try:
            async with asyncio.timeout(0):
                await self._search()
        except TimeoutError:
            await asyncio.sleep(CONFIRM_S)

    async def _search(self) -> None:
        try:
            await asyncio.sleep(CONFIRM_S)
        finally:
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.sleep(0.05)  # as the ending of a server, which nothing must cut short
            self.ended_well = True

    def result(self) -> "EndingOfASearch":
        return self


def test_a_signal_in_the_moment_when_the_search_ends_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was taken for a second one, and the comparison at the end went on."""
    monkeypatch.setattr(tune_main, "Tuning", EndingOfASearch)

    began = time.monotonic()
    result: Any = asyncio.run(tune_main.tune(NOTHING))
    assert result.ended_well
    assert time.monotonic() - began < CONFIRM_S / 2


@pytest.mark.parametrize(("before", "after"), [("models: [mine]\n", "models: [mine]\n"), (None, "# Written on")])
def test_before_anything_was_compared_a_file_that_is_there_stays(
    tmp_path: Path, before: str | None, after: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The settings of an earlier run were replaced by the defaults."""

    async def begun(options: TuneOptions) -> Result:
        return Tuning(options).result()

    output = tmp_path / "serve.yaml"
    if before is not None:
        output.write_text(before)
    options = parse_options(["fake:generate", "--output", str(output)])
    tune_main._say(options, asyncio.run(begun(options)))
    assert output.read_text().startswith(after)
    assert ("stays as it was" in capsys.readouterr().out) is (before is not None)
