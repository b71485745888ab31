"""The API's description: whole, consistent in itself, with the bounds the server checks."""

import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from frontend.docs_page import docs_page
from frontend.openapi import openapi
from frontend.route import Kind, Route, metric_label, path_parameters
from frontend.routes import ROUTES
from frontend.routes_docs import described_routes
from ipc.metric_families import LABEL_VALUES

ALL = described_routes(ROUTES)
DOCUMENT = json.loads(json.dumps(openapi(ALL, "1.2.3")))
OPERATIONS = [
    (method, path, operation) for path, methods in DOCUMENT["paths"].items() for method, operation in methods.items()
]


def test_every_path_of_every_route_is_there_once() -> None:
    assert len(OPERATIONS) == sum(len(route.paths) for route in ALL)
    ids = [operation["operationId"] for _, _, operation in OPERATIONS]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[a-z0-9_]+", one) for one in ids)


def test_every_reference_leads_somewhere() -> None:
    for reference in re.findall(r'"\$ref": "#/([^"]*)"', json.dumps(DOCUMENT)):
        found: Any = DOCUMENT
        for name in reference.split("/"):
            found = found[name]
        assert found


def test_bounds_of_fields_are_those_the_server_checks() -> None:
    fields = DOCUMENT["components"]["schemas"]["ChatRequest"]["properties"]
    assert {"type": "number", "minimum": 0, "maximum": 2} in fields["temperature"]["anyOf"]
    assert {"type": "integer", "minimum": 1, "maximum": 128} in fields["n"]["anyOf"]
    assert "messages" in DOCUMENT["components"]["schemas"]["ChatRequest"]["required"]


@pytest.mark.parametrize("route", ALL, ids=lambda route: f"{route.method} {route.path}")
def test_what_a_route_says(route: Route) -> None:
    for path in route.paths:
        operation = DOCUMENT["paths"][re.sub(r":path\}", "}", path)][route.method.lower()]
        responses = operation["responses"]
        assert {"200", "500"} <= set(responses)
        assert ("401" in responses) == (route.kind is not Kind.OPEN)
        assert ("requestBody" in operation) == (route.body is not None)
        assert ("text/event-stream" in responses["200"]["content"]) == route.streams
        in_path = [one["name"] for one in operation["parameters"] if one["in"] == "path"]
        assert in_path == path_parameters(path)
        for status, response in responses.items():
            assert ("Retry-After" in response["headers"]) == (status in ("429", "503"))


def test_every_route_is_counted_by_name() -> None:
    labels = {metric_label(path) for route in ALL for path in route.paths}
    assert labels <= set(LABEL_VALUES["route"])


class Page(HTMLParser):
    """Notes what a page loads, links and names."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.links: set[str] = set()
        self.names: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        given = dict(attrs)
        self.links |= {given.get("href") or ""} - {""}
        self.names |= {given.get("id") or ""} - {""}
        assert "src" not in given


def test_the_page_works_offline_and_its_links_lead_somewhere() -> None:
    page = Page()
    page.feed(docs_page(DOCUMENT))
    assert not page.tags & {"script", "link", "img", "iframe"}
    assert {link.removeprefix("#") for link in page.links} - {"openapi.json"} <= page.names
    assert "ChatRequest" in page.names


def test_the_page_shows_text_as_text() -> None:
    document = json.loads(json.dumps(DOCUMENT))
    document["paths"]["/health"]["get"]["summary"] = "<script>alert(1)</script>"
    assert "<script>" not in docs_page(document)
