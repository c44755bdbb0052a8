"""taplint on the service; a stage that says nothing at all has not been run."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass

import httpx
import pytest
import pyvo

from catalog.tap.examples import load_examples

pytestmark = pytest.mark.conformance

STAGES = tuple("TMV TME TMS TMC CPV CAP AVV QGE QPO QAS UWS MDQ OBS LOC UPL EXA".split())
FAULTS = {"ERROR", "WARNING", "FAILURE"}
ROWS = {"full": {"QGE": 8, "QPO": 5, "QAS": 5}, "empty": {"QGE": 7, "QPO": 4, "QAS": 4}}
"""Least queries of a stage: where there are no rows, none can be held back, and this is not asked."""


@dataclass(frozen=True, slots=True)
class Report:
    """One sentence of the linter."""

    level: str
    code: str
    text: str


@pytest.fixture(scope="session", params=["full", "empty"])
def holdings(request: pytest.FixtureRequest) -> str:
    """What the service that is judged has to offer."""
    return str(request.param)


@pytest.fixture(scope="session")
def judged_url(holdings: str, tap_url: str, empty_tap_url: str) -> str:
    """The service that is judged."""
    return {"full": tap_url, "empty": empty_tap_url}[holdings]


@pytest.fixture(scope="session")
def reports(judged_url: str, stilts: str) -> dict[str, list[Report]]:
    """Everything that the linter says, by stage."""
    options = [f"stages={' '.join(STAGES)}", "format=json", "report=EWISF", "maxrepeat=100000", "truncate=4000"]
    judged = subprocess.run(
        [stilts, "taplint", f"tapurl={judged_url}", *options], capture_output=True, text=True, timeout=500
    )
    return {
        section["code"]: [Report(each["level"], each["code"], each["text"]) for each in section["reports"]]
        for section in json.loads(judged.stdout)["sections"]
    }


def texts(reports: list[Report], code: str) -> list[str]:
    return [report.text for report in reports if report.code == code]


def summary(reports: list[Report], code: str) -> str:
    """What a stage says in the end; there must be exactly one."""
    [text] = texts(reports, code)
    return text


def is_own_fault(report: Report) -> bool:
    """Whether Debian's 3.4.7 is wrong itself: it knows the ADQL features of a draft."""
    return report.code == "KEYX" and "#features-adql-conditional" in report.text


def test_taplint_finds_nothing(reports: dict[str, list[Report]], judged_url: str, holdings: str) -> None:
    """One test of everything, because every process that runs tests would ask the linter anew."""
    faults = [
        (stage, report)
        for stage in STAGES
        for report in reports[stage]
        if report.level in FAULTS and not is_own_fault(report)
    ]
    assert faults == []
    offered = "securityMethod" in httpx.get(f"{judged_url}/capabilities").text
    assert offered == (holdings == "empty")
    assert_it_was_not_silent(reports, judged_url)
    assert_it_asked_all(reports, holdings)
    assert_it_ran_jobs_and_brought_tables(reports)


def assert_it_was_not_silent(reports: dict[str, list[Report]], judged_url: str) -> None:
    """The linter skips without a word what a service does not declare, and ends with 0 whatever happens."""
    tables = list(pyvo.dal.TAPService(judged_url).tables)
    keys = sum(len(table.foreignkeys) for table in tables)
    columns = sum(len(table.columns) for table in tables)
    counts = f"Tables: {len(tables)}, Columns: {columns}, Foreign Keys: {keys}"
    assert counts in summary(reports["TME"], "SUMM")
    assert counts in summary(reports["TMS"], "SUMM")
    assert "V1.1" in summary(reports["TMS"], "TAPV")
    for stage in ("TMV", "CPV", "AVV"):
        assert summary(reports[stage], "VALI").endswith("warnings 0, errors 0, fatal 0")
    assert f"{judged_url}/availability" in summary(reports["AVV"], "VURL")
    assert summary(reports["MDQ"], "QNUM").endswith(f"{len(tables)}/{len(tables)}")
    assert reports["TMC"] == []
    count = len(load_examples())
    assert summary(reports["EXA"], "XNUM") == f"Found {count} examples in 1 document"
    assert re.findall(r"\d+/\d+", summary(reports["EXA"], "XVAL")) == [f"{count}/{count}"] * 3
    assert {report.level for stage in STAGES for report in reports[stage]} <= FAULTS | {"INFO", "SUMMARY"}


def assert_it_asked_all(reports: dict[str, list[Report]], holdings: str) -> None:
    """By GET, POST and jobs: a cut by MAXREC, every language, aliases, errors; ObsCore 1.1 with all that it demands."""
    for stage, least in {"TMS": 30, "OBS": 9, **ROWS[holdings]}.items():
        answered, submitted = map(int, summary(reports[stage], "QNUM").rpartition(" ")[2].split("/"))
        assert answered == submitted >= least, stage
    asked = texts(reports["QGE"], "QGET")
    parts = ["LANG=ADQL-2.0", "LANG=ADQL-2.1", "LANG=OOBLECK", "MAXREC=0", "DUMMY=ignore-me", "DUFF"]
    for part in parts + ["MAXREC=9"] * (holdings == "full"):
        assert any(part in url for url in asked), part
    assert [len(texts(reports[stage], "DUFF")) for stage in ("QGE", "QPO", "QAS")] == [2, 2, 2]
    assert "1.1" in summary(reports["OBS"], "DMID")
    required, optional, custom = re.findall(r"(\d+)(?:/(\d+))?", summary(reports["OBS"], "COLS").partition(":")[2])
    assert required == ("30", "30")
    assert int(optional[0]) >= 20
    assert custom == ("0", "")
    assert "26/26 required" in summary(reports["LOC"], "PCLS")


def assert_it_ran_jobs_and_brought_tables(reports: dict[str, list[Report]]) -> None:
    """Three jobs are made to be aborted, deleted and run; two more bring a table in two serializations."""
    assert "1.1" in summary(reports["UWS"], "VUWS")
    assert len(texts(reports["UWS"], "CJOB")) == 3
    assert len(texts(reports["UPL"], "QJOB")) == 2


def test_pyvo_reads_tap_schema_and_the_tables_alike(tap_url: str) -> None:
    service = pyvo.dal.TAPService(tap_url)
    rows = service.search("SELECT * FROM TAP_SCHEMA.columns ORDER BY table_name, column_index").to_table()
    told = {
        (name, column.name, column.datatype.content, column.datatype.arraysize, column.unit or "")
        for name, table in service.tables.items()
        for column in table.columns
    }
    names = ("table_name", "column_name", "datatype", "arraysize", "unit")
    stored = {tuple(map(str, row)) for row in rows[list(names)].filled("")}
    assert {(*row[:3], row[3] or "1", row[4]) for row in stored} == told  # pyvo says that a scalar has arraysize 1
    assert len(rows) == len(told)
    assert set(rows["std"]) == {0, 1}


def test_pyvo_finds_the_examples_and_each_returns_rows(tap_url: str) -> None:
    queries = pyvo.dal.TAPService(tap_url).examples
    assert [query["QUERY"] for query in queries] == [example.query for example in load_examples()]
    for query in queries:
        assert len(query.execute()), query["QUERY"]
