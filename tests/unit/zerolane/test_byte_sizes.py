"""Amounts of memory as people write them."""

import pytest

from zerolane.byte_sizes import format_bytes, parse_bytes


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("512MiB", 512 << 20),
        ("2GiB", 2 << 30),
        ("1.5G", 3 << 29),
        ("4 k", 4096),
        ("1000", 1000),
        ("2GB", 2 * 10**9),
        ("7b", 7),
    ],
)
def test_parse(text: str, count: int) -> None:
    assert parse_bytes(text) == count


@pytest.mark.parametrize("text", ["", "much", "-1G", "1GiBs", "1e9", "GiB"])
def test_what_is_no_amount(text: str) -> None:
    with pytest.raises(ValueError, match="is not an amount of memory like 512MiB or 2GiB"):
        parse_bytes(text)


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (2 << 30, "2.0 GiB"), (3 << 40, "3.0 TiB")]
)
def test_format(count: int, text: str) -> None:
    assert format_bytes(count) == text
