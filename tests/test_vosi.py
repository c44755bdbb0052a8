"""VOSI documents are valid against the schemas, and say what was put in."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from lxml import etree

from catalog.errors import NotFoundError
from catalog.vo.tableset import load_tableset
from catalog.vosi import (
    LanguageFeature,
    OutputFormat,
    TapCapability,
    TimeLimit,
    render_availability,
    render_capabilities,
    render_table,
    render_tables,
)

CAPABILITY = TapCapability(
    output_formats=(
        OutputFormat("application/x-votable+xml", ("votable",)),
        OutputFormat("text/csv;header=present", ("csv",), None),
    ),
    features=(LanguageFeature("ivo://ivoa.net/std/TAPRegExt#features-adqlgeo", ("POINT", "CIRCLE")),),
    maxrec_default=10,
    maxrec_hard=100,
    retention=TimeLimit(1000, 2000),
    execution=TimeLimit(30, 60),
)
DOCUMENTS = {
    "tables": render_tables(load_tableset()),
    "tables-min": render_tables(load_tableset(), columns=False),
    "table": render_table(load_tableset(), "ivoa.ObsCore"),
    "capabilities": render_capabilities("http://127.0.0.1:8080/tap", CAPABILITY),
    "capabilities-login": render_capabilities(
        "http://127.0.0.1:8080/tap",
        CAPABILITY,
        links_url="http://127.0.0.1:8080/datalink/links",
        login_methods=("ivo://ivoa.net/sso#BasicAA", "ivo://ivoa.net/sso#OAuth"),
    ),
    "availability": render_availability(available=True, up_since=datetime(2026, 5, 1, tzinfo=UTC)),
    "unavailable": render_availability(available=False, up_since=None, notes=["a < b & c"]),
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_documents_are_valid(name: str, tmp_path: Path, stilts: str) -> None:
    path = tmp_path / f"{name}.xml"
    path.write_bytes(DOCUMENTS[name])
    judged = subprocess.run([stilts, "xsdvalidate", f"doc={path}", "uselocals=true"], capture_output=True, text=True)
    assert judged.returncode == 0, judged.stdout + judged.stderr


def test_every_table_and_column_is_listed() -> None:
    root = etree.fromstring(DOCUMENTS["tables"])
    told = {table.findtext("name"): [c.findtext("name") for c in table.iter("column")] for table in root.iter("table")}
    assert told == {
        table.name: [column.name for column in table.columns] for schema in load_tableset() for table in schema.tables
    }


def test_the_short_document_has_no_columns() -> None:
    root = etree.fromstring(DOCUMENTS["tables-min"])
    assert len(list(root.iter("table"))) == sum(len(schema.tables) for schema in load_tableset())
    assert not list(root.iter("column"))


def test_capabilities_say_the_limits_and_the_features() -> None:
    root = etree.fromstring(DOCUMENTS["capabilities"])
    assert [form.text for form in root.iter("form")] == ["POINT", "CIRCLE"]
    assert root.findtext(".//outputLimit/default") == "10"
    assert root.findtext(".//outputLimit/hard") == "100"
    assert [each.text for each in root.find(".//retentionPeriod")] == ["1000", "2000"]
    assert [each.text for each in root.find(".//executionDuration")] == ["30", "60"]
    assert root.find(".//dataModel").get("ivo-id") == "ivo://ivoa.net/std/ObsCore#core-1.1"


def test_a_note_is_escaped() -> None:
    root = etree.fromstring(DOCUMENTS["unavailable"])
    assert root.findtext("{*}note") == "a < b & c"
    assert root.findtext("{*}available") == "false"


def test_an_unknown_table_is_named() -> None:
    with pytest.raises(NotFoundError, match=r"ivoa\.nothing"):
        render_table(load_tableset(), "ivoa.nothing")
