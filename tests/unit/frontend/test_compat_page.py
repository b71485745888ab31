"""docs/openai-compat.md says something about every endpoint and every field there is."""

import re
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest

from frontend.route import Route, openapi_path
from frontend.routes import ROUTES
from frontend.routes_docs import described_routes

PAGE = (Path(__file__).parents[3] / "docs" / "openai-compat.md").read_text()
WORDS = {word for code in re.findall(r"`([^`\n]*)`", PAGE) for word in re.findall(r"[\w.]+", code)}
WITH_BODY = [route for route in ROUTES if route.body is not None]


@pytest.mark.parametrize("path", [path for route in described_routes(ROUTES) for path in route.paths])
def test_every_path_is_named(path: str) -> None:
    assert openapi_path(path) in PAGE


@pytest.mark.parametrize("route", WITH_BODY, ids=lambda route: route.path)
def test_every_field_is_named(route: Route) -> None:
    named = {field for word in WORDS for field in word.split(".")}
    bodies: tuple[Any, ...] = get_args(route.body) or (route.body,)
    fields = {field.encode_name for body in bodies for field in msgspec.structs.fields(body)}
    assert not fields - named, "fields that docs/openai-compat.md does not name"
