"""The pages of docs/ that are made from the code are what the code makes today."""

from pathlib import Path

import pytest

from ipc.config import ServeConfig
from scripts.reference_pages import DOCS, PAGES
from zerolane.options import option_name


@pytest.mark.parametrize("name", PAGES)
def test_the_page_has_not_drifted(name: str) -> None:
    assert (DOCS / name).read_text() == PAGES[name](), "run scripts/write_reference"


def test_every_option_is_on_the_page() -> None:
    page = Path(DOCS / "options.md").read_text()
    assert all(f"| `{option_name(field)}` |" in page for field in ServeConfig.__struct_fields__)
