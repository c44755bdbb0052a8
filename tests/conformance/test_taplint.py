"""taplint on the service; a stage that says nothing at all has not been run."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import pyvo

from catalog.tap.examples import load_examples

pytestmark = pytest.mark.conformance

STAGES = ("TMV", "TME", "TMS", "TMC", "CPV", "CAP", "AVV", "QGE", "QPO", "QAS", "UWS", "MDQ", "OBS", "LOC", "EXA")
FAULTS = {"ERROR", "WARNING", "FAILURE"}
OWN_FAULTS = {"CAP": {"KEYX"}}
"""What Debian's 3.4.7 finds and is wrong about: it knows the ADQL features of a draft."""


@dataclass(frozen=True)
class Report:
    """One sentence of the linter."""

    stage: str
    level: str
    code: str
    text: str


@pytest.fixture(scope="session")
def reports(tap_url: str, stilts: str) -> list[Report]:
    """Everything that the linter says."""
    options = [f"stages={' '.join(STAGES)}", "format=json", "report=EWISF", "maxrepeat=100000", "truncate=4000"]
    judged = subprocess.run(
        [stilts, "taplint", f"tapurl={tap_url}", *options], capture_output=True, text=True, timeout=300
    )
    return list(read_reports(judged.stdout))


def read_reports(text: str) -> Iterator[Report]:
    for section in json.loads(text)["sections"]:
        for report in section["reports"]:
            yield Report(section["code"], report["level"], report["code"], report["text"])


def summary(reports: list[Report], stage: str, code: str) -> str:
    """What a stage says in the end; there must be exactly one."""
    [text] = [report.text for report in reports if (report.stage, report.code) == (stage, code)]
    return text


@pytest.mark.parametrize("stage", STAGES)
def test_taplint_finds_nothing(reports: list[Report], stage: str) -> None:
    found = [report for report in reports if report.stage == stage and report.level in FAULTS]
    assert [report for report in found if report.code not in OWN_FAULTS.get(stage, ())] == []


def test_taplint_was_not_silent(reports: list[Report], tap_url: str) -> None:
    """The linter skips without a word what a service does not declare, and ends with 0 whatever happens."""
    tables = list(pyvo.dal.TAPService(tap_url).tables)
    keys = sum(len(table.foreignkeys) for table in tables)
    columns = sum(len(table.columns) for table in tables)
    counts = f"Tables: {len(tables)}, Columns: {columns}, Foreign Keys: {keys}"
    assert counts in summary(reports, "TME", "SUMM")
    assert counts in summary(reports, "TMS", "SUMM")
    assert "V1.1" in summary(reports, "TMS", "TAPV")
    assert summary(reports, "TMV", "VALI").endswith("warnings 0, errors 0, fatal 0")
    assert summary(reports, "CPV", "VALI").endswith("warnings 0, errors 0, fatal 0")
    assert summary(reports, "MDQ", "QNUM").endswith(f"{len(tables)}/{len(tables)}")
    assert not {"NODT", "NOTM"} & {report.code for report in reports if report.stage == "TMC"}
    asked = re.search(r"(\d+)/(\d+)", summary(reports, "TMS", "QNUM"))
    assert asked is not None
    assert asked[1] == asked[2]
    assert int(asked[1]) >= 30
    count = len(load_examples())
    assert summary(reports, "EXA", "XNUM") == f"Found {count} examples in 1 document"
    assert re.findall(r"\d+/\d+", summary(reports, "EXA", "XVAL")) == [f"{count}/{count}"] * 3
    assert {report.level for report in reports} <= FAULTS | {"INFO", "SUMMARY"}


def test_taplint_asked_what_it_asks_of_a_whole_service(reports: list[Report], tap_url: str) -> None:
    """By GET and POST: a cut by MAXREC, every language, aliases, errors; ObsCore 1.1 with all that it demands."""
    assert f"{tap_url}/availability" in summary(reports, "AVV", "VURL")
    assert summary(reports, "AVV", "VALI").endswith("warnings 0, errors 0, fatal 0")
    for stage, least in (("QGE", 8), ("QPO", 5), ("OBS", 9)):
        answered, submitted = map(int, summary(reports, stage, "QNUM").rpartition(" ")[2].split("/"))
        assert answered == submitted >= least
    asked = [report.text for report in reports if report.stage == "QGE" and report.code == "QGET"]
    for part in ("LANG=ADQL-2.0", "LANG=ADQL-2.1", "LANG=OOBLECK", "MAXREC=0", "MAXREC=9", "DUMMY=ignore-me", "DUFF"):
        assert any(part in url for url in asked), part
    refused = [report.text for report in reports if report.code == "DUFF"]
    assert len(refused) == 6
    assert "1.1" in summary(reports, "OBS", "DMID")
    required, optional, custom = re.findall(r"(\d+)(?:/(\d+))?", summary(reports, "OBS", "COLS").partition(":")[2])
    assert required == ("30", "30")
    assert int(optional[0]) >= 20
    assert custom == ("0", "")


def test_taplint_ran_jobs(reports: list[Report]) -> None:
    """All that it asks synchronously is asked by jobs too; three more are made to be aborted, deleted and run."""
    answered, submitted = map(int, summary(reports, "QAS", "QNUM").rpartition(" ")[2].split("/"))
    assert answered == submitted >= 5
    assert "1.1" in summary(reports, "UWS", "VUWS")


def test_taplint_asked_for_plans_as_for_observations(reports: list[Report]) -> None:
    """ObsLocTAP 1.0 whole: every column, its vocabularies, and no time missing of what is scheduled or performed."""
    assert summary(reports, "LOC", "PCLS") == "ivoa.obsplan columns: 26/26 required, 0 custom"
    asked = [report.text for report in reports if (report.stage, report.code) == ("LOC", "QSUB")]
    for column in ("t_planning", "obs_id", "facility_name", "category", "priority", "execution_status", "tracking_type"):
        assert any(f"{column} IS NULL" in query for query in asked), column


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
