from __future__ import annotations

from pathlib import Path

import pytest

from catalog.errors import ParameterError
from catalog.formats.media import DEFAULT_FORMAT, FORMATS, format_for_path, parse_format


def test_default_is_the_first_format_and_sent_as_plain_votable() -> None:
    assert DEFAULT_FORMAT is FORMATS[0]
    assert DEFAULT_FORMAT.name == "votable"
    assert DEFAULT_FORMAT.content_type == "application/x-votable+xml"


@pytest.mark.parametrize(
    ("value", "name", "content_type"),
    [
        ("votable", "votable", "application/x-votable+xml"),
        ("VOTable", "votable", "application/x-votable+xml"),
        ("votable/b2", "votable/b2", "application/x-votable+xml;serialization=BINARY2"),
        ("votable/td", "votable/td", "application/x-votable+xml;serialization=TABLEDATA"),
        ("csv", "csv", "text/csv;header=present"),
        ("tsv", "tsv", "text/tab-separated-values"),
        ("fits", "fits", "application/fits"),
        ("parquet", "parquet", "application/vnd.apache.parquet"),
        ("json", "json", "application/json"),
        ("votable/b", "votable/b", "application/x-votable+xml;serialization=BINARY"),
        ("votable/fits", "votable/fits", "application/x-votable+xml;serialization=FITS"),
        ("arrow", "arrow", "application/vnd.apache.arrow.stream"),
        ("text", "text", "text/plain;charset=utf-8"),
        ("text/plain", "text", "text/plain"),
        ("html", "html", "text/html;charset=utf-8"),
        ("text/html; charset=UTF-8", "html", "text/html;charset=utf-8"),
        ("application/x-votable+xml", "votable", "application/x-votable+xml"),
        ("application/x-votable xml", "votable", "application/x-votable+xml"),
        ("text/xml", "votable", "text/xml"),
        (
            "application/x-votable+xml;serialization=BINARY2",
            "votable/b2",
            "application/x-votable+xml;serialization=BINARY2",
        ),
        (
            " Application/X-VOTable+XML ; Serialization = TableData ",
            "votable/td",
            "application/x-votable+xml;serialization=TABLEDATA",
        ),
        ("text/csv", "csv", "text/csv"),
        ("text/csv; header=present", "csv", "text/csv;header=present"),
        ('text/csv;charset="UTF-8";header=present', "csv", "text/csv;header=present;charset=utf-8"),
        ("application/json", "json", "application/json"),
    ],
)
def test_responseformat_names_format_and_content_type(value: str, name: str, content_type: str) -> None:
    fmt = parse_format(value)
    assert (fmt.name, fmt.content_type) == (name, content_type)


@pytest.mark.parametrize(
    "value",
    ["", "xls", "text/csv;header=absent", "application/x-votable+xml;serialization=BINARY3", "votable\r\nX-Evil: 1"],
)
def test_unknown_responseformat_names_the_choices(value: str) -> None:
    with pytest.raises(ParameterError) as caught:
        parse_format(value)
    for choice in ("votable/td", "csv", "parquet", "media type"):
        assert choice in caught.value.message


def test_long_responseformat_is_cut_in_the_message() -> None:
    with pytest.raises(ParameterError) as caught:
        parse_format("x" * 10_000)
    assert len(caught.value.message) < 1_000


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("a.vot", "votable"),
        ("dir.csv/a.XML", "votable"),
        ("a.votable", "votable"),
        ("a.csv", "csv"),
        ("a.tsv", "tsv"),
        (Path("x") / "a.b.fits", "fits"),
        ("a.parquet", "parquet"),
        ("a.json", "json"),
        ("a.arrows", "arrow"),
        ("a.txt", "text"),
        ("a.html", "html"),
    ],
)
def test_path_names_format(path: str | Path, name: str) -> None:
    assert format_for_path(path).name == name


@pytest.mark.parametrize("path", ["a", "a.doc", ".csv/a", ""])
def test_unknown_ending_names_the_choices(path: str) -> None:
    with pytest.raises(ParameterError, match=r"\.vot.*\.fits.*\.parquet"):
        format_for_path(path)


def test_no_name_means_two_formats() -> None:
    names = [name for fmt in FORMATS for name in (*fmt.aliases, *fmt.media_types, *fmt.extensions)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("name", [fmt.name for fmt in FORMATS])
def test_every_declared_name_is_understood(name: str) -> None:
    (fmt,) = [known for known in FORMATS if known.name == name]
    for word in (*fmt.aliases, *fmt.media_types):
        assert parse_format(word).name == name
    for extension in fmt.extensions:
        assert format_for_path(f"x{extension}").name == name
