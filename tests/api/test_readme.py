"""What the README shows is run as it stands, against the shipped models."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.running_server import Server

README = (Path(__file__).parents[2] / "README.md").read_text()
BLOCKS = re.findall(r"```(bash|python)\n(.*?)```", README, re.DOTALL)
CURLS = [text for language, text in BLOCKS if language == "bash" and text.startswith("curl")]
PYTHON = [text for language, text in BLOCKS if language == "python"]


def run(server: Server, command: list[str], text: str) -> str:
    text = text.replace("http://127.0.0.1:8000", server.url)
    done = subprocess.run([*command, text], capture_output=True, text=True, timeout=60.0, check=True)
    return done.stdout


def test_the_readme_has_what_is_tested_here() -> None:
    assert len(CURLS) == 3
    assert len(PYTHON) == 2


def test_chat_streams_the_capital(shipped: Server) -> None:
    lines = run(shipped, ["bash", "-c"], CURLS[0]).splitlines()
    events = [json.loads(line[6:]) for line in lines if line.startswith("data: {")]
    assert "Paris" in "".join(event["choices"][0]["delta"].get("content", "") for event in events)
    assert lines[-2:] == ["data: [DONE]", ""]


@pytest.mark.parametrize(("curl", "is_right"), [(CURLS[1], [False, True]), (CURLS[2], [True, True])])
def test_both_score_examples(shipped: Server, curl: str, is_right: list[bool]) -> None:
    scores = [item["score"][0] for item in json.loads(run(shipped, ["bash", "-c"], curl))["data"]]
    for score, right in zip(scores, is_right, strict=True):
        assert score >= 0.9 if right else score <= 0.1


def test_python_example(shipped: Server) -> None:
    assert "7" in run(shipped, [sys.executable, "-c"], PYTHON[0])


def test_python_example_of_a_held_answer_and_of_vectors(shipped: Server) -> None:
    printed = run(shipped, [sys.executable, "-c"], PYTHON[1]).splitlines()
    assert printed[0].startswith("name=")
    assert int(printed[1]) > 1
