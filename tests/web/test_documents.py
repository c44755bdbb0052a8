"""The VOSI documents as the service serves them, valid against the schemas; and what it does by itself."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx
import pytest
import sqlalchemy as sa
from lxml import etree
from psycopg import sql

from catalog.db import Database
from catalog.vo.tableset import load_tableset

VS = "{http://www.w3.org/2001/XMLSchema-instance}type"
TABLES = [table.name for schema in load_tableset() for table in schema.tables]


def validate(stilts: str, document: bytes, folder: Path) -> None:
    path = folder / "document.xml"
    path.write_bytes(document)
    judged = subprocess.run([stilts, "xsdvalidate", f"doc={path}", "uselocals=true"], capture_output=True, text=True)
    assert judged.returncode == 0, judged.stdout + judged.stderr


@pytest.mark.parametrize(
    "path", ["tables", "tables?detail=min", "tables?DETAIL=max", "tables/ivoa.ObsCore", "capabilities", "availability"]
)
def test_documents_are_valid(service: Any, path: str, tmp_path: Path, stilts: str) -> None:
    answer = httpx.get(f"{service.tap}/{path}")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/xml"
    validate(stilts, answer.content, tmp_path)


def test_the_short_tableset_names_every_table_without_columns(service: Any) -> None:
    short = etree.fromstring(httpx.get(f"{service.tap}/tables", params={"detail": "min"}).content)
    long = etree.fromstring(httpx.get(f"{service.tap}/tables").content)
    assert [table.findtext("name") for table in short.iter("table")] == TABLES
    assert [table.findtext("name") for table in long.iter("table")] == TABLES
    assert not list(short.iter("column"))
    assert all(list(table.iter("column")) for table in long.iter("table"))


def test_an_unknown_detail_is_refused(service: Any) -> None:
    answer = httpx.get(f"{service.tap}/tables", params={"detail": "some"})
    assert answer.status_code == 400
    assert "expected min or max" in answer.text


@pytest.mark.parametrize("name", TABLES)
def test_every_table_has_a_document_of_its_own(service: Any, name: str) -> None:
    """Whatever the case of its name, and the same as in the tableset."""
    alone = etree.fromstring(httpx.get(f"{service.tap}/tables/{name.upper()}").content)
    tableset = etree.fromstring(httpx.get(f"{service.tap}/tables").content)
    [among] = [table for table in tableset.iter("table") if table.findtext("name") == name]
    columns = [[column.findtext("name") for column in table.iter("column")] for table in (alone, among)]
    assert alone.findtext("name") == name
    assert columns[0] == columns[1]


@pytest.mark.parametrize("path", ["tables", "tables?detail=min", "tables/ivoa.obscore", "capabilities", "examples"])
def test_who_has_a_document_already_gets_no_second(service: Any, path: str) -> None:
    first = httpx.get(f"{service.tap}/{path}")
    tag = first.headers["etag"]
    assert re.fullmatch(r'"[0-9a-f]{32}(-gzip)?"', tag)
    for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = httpx.get(f"{service.tap}/{path}", headers={"if-none-match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    other = httpx.get(f"{service.tap}/{path}", headers={"if-none-match": '"other"'})
    assert (other.status_code, other.content) == (200, first.content)


def test_documents_differ_in_their_tags_and_availability_is_always_new(service: Any) -> None:
    paths = ("tables", "tables?detail=min", "tables/ivoa.obscore", "capabilities", "examples")
    assert len({httpx.get(f"{service.tap}/{path}").headers["etag"] for path in paths}) == len(paths)
    assert "etag" not in httpx.get(f"{service.tap}/availability").headers


def test_an_unknown_table_is_named(service: Any) -> None:
    answer = httpx.get(f"{service.tap}/tables/ivoa.<nothing>")
    assert answer.status_code == 404
    assert "ivoa.&lt;nothing&gt;" in answer.text
    assert answer.headers["content-type"] == "application/x-votable+xml"


def test_every_declared_address_answers(service: Any) -> None:
    root = etree.fromstring(httpx.get(f"{service.tap}/capabilities").content)
    declared = {each.get("standardID"): each.findtext("interface/accessURL") for each in root.iter("capability")}
    assert declared["ivo://ivoa.net/std/TAP"] == service.tap
    assert declared["ivo://ivoa.net/std/DALI#examples"] == f"{service.tap}/examples"
    assert len(declared) == 6
    for standard, url in declared.items():
        if standard != "ivo://ivoa.net/std/TAP":
            assert httpx.get(str(url)).status_code == 200, standard


def test_the_examples_are_a_page_that_is_well_formed_xml(service: Any) -> None:
    answer = httpx.get(f"{service.tap}/examples")
    assert answer.headers["content-type"].startswith("text/html")
    links = etree.fromstring(answer.content).xpath("//*[@typeof='example']//@href")
    assert len(links) > 40
    for link, media_type in zip(links, ("text/html", "text/csv"), strict=False):
        asked = httpx.get(urljoin(f"{service.tap}/examples", link), timeout=60)
        assert asked.status_code == 200
        assert asked.headers["content-type"].startswith(media_type)
    assert 'href="tap/examples"' in httpx.get(f"{service.url}/").text


def test_declared_limits_are_those_of_the_settings(service: Any) -> None:
    root = etree.fromstring(httpx.get(f"{service.tap}/capabilities").content)
    assert root.findtext(".//outputLimit/default") == "20"
    assert root.findtext(".//outputLimit/hard") == "50"
    assert [each.text for each in root.find(".//executionDuration")] == ["3600", "21600"]
    assert [each.text for each in root.find(".//retentionPeriod")] == ["604800", "2592000"]


def test_the_configured_address_is_the_one_that_is_told(own_url: str, start: Callable[..., Any]) -> None:
    with start(own_url, service_base_url="https://archive.example.org/fyst/") as service:
        root = etree.fromstring(httpx.get(f"{service.tap}/capabilities").content)
        urls = {element.text for element in root.iter("accessURL")}
        assert "https://archive.example.org/fyst/tap" in urls
        assert all(str(url).startswith("https://archive.example.org/fyst/") for url in urls)
        answer = service.get("SELECT access_url FROM ivoa.obscore WHERE access_url IS NOT NULL", RESPONSEFORMAT="csv")
        lines = answer.text.splitlines()[1:]
        assert len(lines) > 100
        assert all(line.strip('"').startswith("https://archive.example.org/fyst/") for line in lines)


# --- availability --------------------------------------------------------------------------------------------


def available(service: Any) -> tuple[bool, str]:
    """What the service says of itself, and why."""
    answer = httpx.get(f"{service.tap}/availability", timeout=30)
    assert answer.status_code == 200
    root = etree.fromstring(answer.content)
    return root.findtext("{*}available") == "true", root.findtext("{*}note") or ""


def test_availability_says_false_and_why_while_the_database_is_gone(
    own_url: str, start: Callable[..., Any], engine: str, request: pytest.FixtureRequest, tmp_path: Path, stilts: str
) -> None:
    with start(own_url, service_housekeeping_s=0.2) as service:
        assert available(service) == (True, "")
        if engine == "sqlite":
            path = Path(own_url.removeprefix("sqlite:///"))
            path.rename(path.with_suffix(".away"))
        else:
            server = request.getfixturevalue("postgres_server")
            name = own_url.rpartition("/")[2]
            server.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(sql.Identifier(name)))
            everybody = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = {}"
            server.execute(sql.SQL(everybody).format(sql.Literal(name)))
        is_available, reason = available(service)
        assert not is_available
        assert reason.startswith("the database")
        validate(stilts, httpx.get(f"{service.tap}/availability").content, tmp_path)
        answer = service.get("SELECT TOP 1 obs_id FROM ivoa.obscore")
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) > 0
        assert b"TransientFault" in answer.content
        time.sleep(1)
        if engine == "sqlite":
            assert not path.exists(), "asking must not make an empty file"
            path.with_suffix(".away").rename(path)
        else:
            server.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(sql.Identifier(name)))
        assert available(service) == (True, "")
        assert service.get("SELECT TOP 1 obs_id FROM ivoa.obscore").status_code == 200
        log = service.log.read_text()
        assert log.count("changes by others are not published for now") <= 1, "a failure that lasts is logged once"
        assert "Traceback" not in log


def test_availability_says_false_when_the_tables_are_older_than_the_service(
    own_url: str, start: Callable[..., Any]
) -> None:
    with start(own_url) as service:
        with Database(own_url) as database, database.begin() as connection:
            schema = "catalog." if database.dialect == "postgresql" else ""
            connection.execute(sa.text(f"UPDATE {schema}alembic_version SET version_num = '0001'"))
        is_available, reason = available(service)
        assert not is_available
        assert "revision 0001" in reason


# --- housekeeping --------------------------------------------------------------------------------------------


def test_a_change_by_plain_sql_is_seen_by_the_next_queries(own_url: str, start: Callable[..., Any]) -> None:
    """With the setting that an operator gets by default."""
    query = "SELECT COUNT(*) AS n FROM ivoa.obscore WHERE target_name LIKE 'Renamed by hand%'"
    with start(own_url) as service, Database(own_url) as database:
        assert service.get(query, RESPONSEFORMAT="csv").text.split() == ["n", "0"]
        schema = "ops." if database.dialect == "postgresql" else ""
        with database.begin() as connection:
            changed = connection.execute(
                sa.text(f"UPDATE {schema}source SET name = 'Renamed by hand ' || name WHERE name LIKE '%Orion%'")
            )
            assert changed.rowcount > 0
        deadline = time.monotonic() + 10
        while service.get(query, RESPONSEFORMAT="csv").text.split() == ["n", "0"]:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert int(service.get(query, RESPONSEFORMAT="csv").text.split()[1]) > 5
