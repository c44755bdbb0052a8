from __future__ import annotations

import pytest
from lxml import etree, html

from catalog.formats.encoder import encode
from catalog.formats.media import parse_format
from catalog.vo.table import Column, Info, Table, TableStream
from catalog.vo.types import Datatype

TABLE = Table(
    "result",
    (
        Column("text", Datatype.UNICODE_CHAR, "*", description='A "text" & <more>'),
        Column("s_ra", Datatype.DOUBLE, unit="deg"),
    ),
)
NASTY = ["<script>alert(1)</script>", "&amp; \"'", "javascript:alert(1)", "Ωé𝄞", "]]>", "a\0b\x1bc", " x ", None, ""]


def written(*texts: str | None, infos: tuple[Info, ...] = (), maxrec: int | None = None) -> bytes:
    rows = TableStream.from_pylist(TABLE, [{"text": text, "s_ra": 1.5} for text in texts])
    return b"".join(encode(TableStream(TABLE, rows, maxrec=maxrec), parse_format("html"), infos=infos))


def cells(document: bytes) -> list[str]:
    return ["".join(cell.itertext()) for cell in etree.fromstring(document).findall(".//{*}td")[::2]]


def test_every_text_is_shown_and_none_is_markup() -> None:
    document = written(*NASTY)
    shown = ["<script>alert(1)</script>", "&amp; \"'", "javascript:alert(1)", "Ωé𝄞", "]]>", "abc", " x ", "", ""]
    assert cells(document) == shown
    tags = {etree.QName(element).localname for element in etree.fromstring(document).iter()}
    assert tags == set("html head meta title style body main h1 div table thead tr th span tbody td p".split())
    assert [element.text_content() for element in html.fromstring(document).iter("td")][::2] == shown


def test_heading_has_name_unit_and_description() -> None:
    text, ra = etree.fromstring(written()).findall(".//{*}th")
    assert (text.text, text.get("title")) == ("text", 'A "text" & <more>')
    assert ("".join(ra.itertext()), ra.get("class")) == ("s_ra [deg]", "number")


def test_whole_addresses_become_links_and_nothing_else_does() -> None:
    good = "https://example.org/links?ID=ivo%3A%2F%2Fa&b=1"
    document = written(good, "see https://example.org", 'https://example.org/"onclick="x', "ftp://example.org", None)
    (link,) = etree.fromstring(document).findall(".//{*}a")
    assert (link.get("href"), link.text) == (good, good)
    assert len(cells(document)) == 5


def test_query_stands_above_the_rows() -> None:
    query = "SELECT '<b>' FROM t\nWHERE a < 1"
    assert etree.fromstring(written("x", infos=(Info("query", query),))).findtext(".//{*}pre") == query


@pytest.mark.parametrize(
    ("maxrec", "sentence", "role"),
    [(2, "2 rows", None), (1, "OVERFLOW: the first 1 row; there are more", "alert")],
)
def test_sentence_below_says_how_it_ended(maxrec: int, sentence: str, role: str | None) -> None:
    (told,) = etree.fromstring(written("a", "b", maxrec=maxrec)).findall(".//{*}main/{*}p")
    assert (told.text, told.get("role")) == (sentence, role)


def test_every_kind_of_column_is_shown(every_kind: tuple[Table, list[dict[str, object]]]) -> None:
    table, rows = every_kind
    root = etree.fromstring(b"".join(encode(TableStream.from_pylist(table, rows), parse_format("html"))))
    shown = [["".join(cell.itertext()) for cell in row] for row in root.findall(".//{*}tbody/{*}tr")]
    assert [len(row) for row in shown] == [len(table.columns)] * 4
    names = [column.name for column in table.columns]
    first, third = (dict(zip(names, shown[row], strict=True)) for row in (0, 2))
    assert (first["flag"], first["long"], first["float"], first["point"]) == (
        "true",
        "-9223372036854775808",
        "1.5",
        "1 2",
    )
    assert set(third.values()) == {""}
