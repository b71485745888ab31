"""The pages of docs/ that are made from the code: `scripts/write_reference` writes them, a test compares them."""

import sys
from collections.abc import Callable
from pathlib import Path

import orjson

from frontend.openapi import openapi
from frontend.routes import ROUTES
from frontend.routes_docs import described_routes
from zerolane import __version__
from zerolane.options_page import options_page

DOCS = Path(__file__).parents[1] / "docs"


def openapi_file() -> str:
    """What /openapi.json answers, for reading."""
    return orjson.dumps(openapi(described_routes(ROUTES), __version__), option=orjson.OPT_INDENT_2).decode() + "\n"


PAGES: dict[str, Callable[[], str]] = {"options.md": options_page, "openapi.json": openapi_file}


def main() -> int:
    """Write all pages; says which changed."""
    for name, page in PAGES.items():
        path, text = DOCS / name, page()
        changed = not path.exists() or path.read_text() != text
        path.write_text(text)
        print(f"docs/{name}: {'written' if changed else 'unchanged'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
