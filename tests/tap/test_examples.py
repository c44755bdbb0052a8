"""The examples document: XHTML that people read, RDFa that programs read, and queries that are the YAML's own."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, urlsplit

import pytest
from lxml import etree

from catalog import Catalog
from catalog.errors import InternalError, QueryError
from catalog.tap.examples import Example, load_examples, parse_examples, render_examples

EXAMPLES = load_examples()
XHTML = "{http://www.w3.org/1999/xhtml}"
GOOD = "- {id: a, name: A, description: d, query: SELECT 1 AS x FROM ivoa.obscore}"


def document(catalog: Catalog) -> etree._Element:
    return etree.fromstring(catalog.examples_document())


def test_ids_and_names_are_unique() -> None:
    assert len({example.id for example in EXAMPLES}) == len({example.name for example in EXAMPLES}) == len(EXAMPLES)
    assert all(re.fullmatch(r"[a-z][a-z-]*", example.id) for example in EXAMPLES)


def test_the_document_is_xhtml_with_one_vocabulary(catalog: Catalog) -> None:
    root = document(catalog)
    assert root.tag == f"{XHTML}html"
    assert root.xpath("//@vocab") == ["http://www.ivoa.net/rdf/examples#"]
    assert len(root.xpath("//@typeof")) == len(root.xpath("//*[@vocab]//@typeof")) == len(EXAMPLES)
    assert set(root.xpath("//@property")) == {"name", "query", "table"}


def test_each_example_is_told_as_it_is_written(catalog: Catalog) -> None:
    """DALI 1.1 section 2.3.1: id, resource and plain text for name and query."""
    shown = document(catalog).xpath("//*[@typeof='example']")
    assert [element.get("id") for element in shown] == [example.id for example in EXAMPLES]
    for element, example in zip(shown, EXAMPLES, strict=True):
        [name], [query] = element.xpath(".//*[@property='name']"), element.xpath(".//*[@property='query']")
        assert element.get("resource") == f"#{example.id}"
        assert (len(name), len(query)) == (0, 0), "no markup inside"
        assert (name.text, query.text) == (example.name, example.query)


def test_each_example_names_the_tables_that_it_reads(catalog: Catalog) -> None:
    published = {table.name for schema in catalog.tableset for table in schema.tables}
    for element, example in zip(document(catalog).xpath("//*[@typeof='example']"), EXAMPLES, strict=True):
        named = {table.text for table in element.xpath(".//*[@property='table']")}
        assert named <= published
        assert named == {name for name in published if re.search(rf"\b{re.escape(name)}\b", example.query, re.I)}


def test_each_link_asks_the_query(catalog: Catalog) -> None:
    links = document(catalog).xpath("//*[@typeof='example']//@href")
    for page, example in zip(links[::2], EXAMPLES, strict=True):
        assert page.startswith("../query?")
        assert parse_qs(urlsplit(page).query) == {"QUERY": [example.query]}
    for link, example in zip(links[1::2], EXAMPLES, strict=True):
        assert link.startswith(f"{catalog.public_url('/tap')}/sync?")
        assert parse_qs(urlsplit(link).query) == {
            "LANG": ["ADQL"],
            "RESPONSEFORMAT": ["csv"],
            "QUERY": [example.query],
        }


def test_signs_of_markup_are_escaped(catalog: Catalog) -> None:
    example = Example(
        id="x", name="a < b & c", description="<b>", query="SELECT obs_id FROM ivoa.obscore WHERE t_min < 3 AND 1 <> 2"
    )
    page = render_examples([example], catalog.tap, title="<T>", base_url="http://h/tap?a&b")
    root = etree.fromstring(page)
    assert root.xpath("//*[@property='name']/text()") == ["a < b & c"]
    assert root.xpath("//*[@property='query']/text()") == [example.query]
    assert "<T>" in root.findtext(f".//{XHTML}title")


def test_an_example_that_is_no_query_is_refused(catalog: Catalog) -> None:
    example = Example(id="x", name="x", description="x", query="SELECT nothing FROM ivoa.obscore")
    with pytest.raises(QueryError, match="nothing"):
        render_examples([example], catalog.tap, title="T", base_url="http://h/tap")


@pytest.mark.parametrize(
    ("change", "named"),
    [(("name: A", "title: A"), "title"), (("id: a, ", ""), "id"), (("- {", "- ["), "s.yaml"), (("- ", ""), "s.yaml")],
)
def test_a_wrong_example_is_named(change: tuple[str, str], named: str) -> None:
    assert parse_examples(GOOD, "s.yaml")[0].name == "A"
    with pytest.raises(InternalError, match=named):
        parse_examples(GOOD.replace(*change), "s.yaml")
