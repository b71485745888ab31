"""The HTML page: well formed, self-contained, and without anything of the server's taken for markup."""

import re
from xml.etree import ElementTree

import pytest

from scripts.load_testing.page import page
from tests.support.load_runs import made_run


@pytest.mark.parametrize("levels", [(4,), (1, 2, 4)])
def test_it_is_well_formed(levels: tuple[int, ...]) -> None:
    text = page(made_run(levels))
    whole = re.sub(r"<(meta [^>]*)>", r"<\1/>", text.removeprefix("<!DOCTYPE html>"))
    root = ElementTree.fromstring(whole)
    assert root.tag == "html"
    assert len(list(root.iter("svg"))) >= 6


def test_it_needs_nothing_from_outside() -> None:
    text = page(made_run((1, 2)))
    assert not re.search(r"<script|<link|<img|@import|url\(|src=|href=", text)


def test_it_shows_queue_and_kv_memory_when_the_server_tells() -> None:
    assert "waiting in its queue" in page(made_run((2,)))
    assert "KV memory" in page(made_run((2,)))
    silent = page(made_run((2,), has_metrics=False))
    assert "waiting in its queue" not in silent
    assert "The server has no /metrics we know." in silent


def test_texts_of_the_server_are_no_markup() -> None:
    assert "<b>broken" not in page(made_run((2,), error="<b>broken</b>"))
    assert "&lt;b&gt;broken&lt;/b&gt;" in page(made_run((2,), error="<b>broken</b>"))


def test_nothing_answered_still_makes_a_page() -> None:
    assert "</html>" in page(made_run((2,), num_requests=0, error="HTTP 503"))
