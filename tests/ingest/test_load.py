"""Records into a catalog of either engine: repeated, contradicting, late, out of order."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from catalog.db import Database
from catalog.errors import UsageError
from catalog.ingest.load import Loader
from catalog.ingest.report import IngestSummary
from catalog.opsdb.enums import PackageState, PhysicalCopyStatus, Status
from catalog.opsdb.identity import build_file_id, build_package_id
from catalog.opsdb.models import (
    ExecutedObsUnit,
    FixedSource,
    InstrumentModule,
    ObservingProgram,
    ParkedRecord,
    PhysicalCopy,
    RawDataFile,
    RawDataPackage,
    RawDataPackageMetadata,
    RawDataPackagePhysicalCopy,
)

Record = dict[str, Any]
Ingest = Callable[..., IngestSummary]
Content = Callable[[Database], dict[str, list[tuple[Any, ...]]]]

Force = Callable[[Database, sa.Executable], None]
UNIT = "11111111-2222-4333-8444-555555555555"


def write(folder: Path, *records: Record, name: str = "m.jsonl") -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def outcomes(summary: IngestSummary) -> dict[str, int]:
    """Counts that are not zero."""
    names = ("created", "completed", "unchanged", "parked", "unparked", "waiting", "refused")
    return {name: value for name in names if (value := getattr(summary, name))}


def refused(summary: IngestSummary) -> list[tuple[str | None, str]]:
    return [(problem.field, problem.reason) for problem in summary.problems]


def test_a_record_becomes_rows_of_every_kind(catalog: Database, ingest: Ingest, record: Record, tmp_path: Path) -> None:
    path = write(tmp_path, record)
    summary = ingest(catalog, path)
    assert summary.ok
    assert outcomes(summary) == {"created": 1}
    assert (summary.records, summary.files) == (1, 1)
    with catalog.session() as session:
        package = session.scalars(sa.select(RawDataPackage)).one()
        assert package.id == build_package_id(UUID(UNIT), "Prime-Cam", "280", 0)
        assert (package.name, package.state, package.status) == ("0001.tar", PackageState.WAITING, Status.COMPLETED)
        assert package.executed_obs_unit.obs_unit.program.short_name == "GEco"
        assert package.instrument_module.instrument.telescope.short_name == "FYST"
        (file,) = package.files
        assert file.id == build_file_id("Prime-Cam", "280", "0001/r1d1_1.g3")
        assert (file.executed_obs_unit_id, file.exptime_s) == (UUID(UNIT), 1790.5)
        (kept,) = session.scalars(sa.select(RawDataPackagePhysicalCopy))
        assert kept.full_path == "/data/buffer/prime-cam/280/0001.tar"
        assert package.package_metadata is not None
        assert package.package_metadata.document == {"observation": {"frequency_ghz": 280.0}}
        source = package.executed_obs_unit.obs_unit.source
        assert isinstance(source, FixedSource)
        assert source.ra_deg == 83.809


def test_a_record_is_published_when_it_is_committed(
    catalog: Database, ingest: Ingest, record: Record, tmp_path: Path
) -> None:
    ingest(catalog, write(tmp_path, record))
    schema, view = catalog.published_name("ivoa.obscore")
    where = sa.table(view, *map(sa.column, ("obs_id", "s_ra", "target_name", "instrument_name")), schema=schema)
    with catalog.engine.connect() as connection:
        row = connection.execute(sa.select(where)).one()
    assert (str(row.obs_id), row.target_name, row.instrument_name) == (UNIT, "Orion-KL", "Prime-Cam/280")
    assert row.s_ra == pytest.approx(83.809)


def test_repeating_changes_nothing(
    catalog: Database, ingest: Ingest, content: Content, record: Record, tmp_path: Path
) -> None:
    record["files"].append({"relative_path": "0001/second.g3", "copies": copy.deepcopy(record["copies"])})
    path = write(tmp_path, record)
    ingest(catalog, path)
    before = content(catalog)
    with catalog.engine.connect() as connection:
        stamps = connection.execute(sa.select(RawDataPackage.updated_at, RawDataPackage.created_at)).all()
    summary = ingest(catalog, path, path)
    assert outcomes(summary) == {"unchanged": 2}
    assert (summary.ok, summary.files, summary.notes) == (True, 0, ())
    assert content(catalog) == before
    with catalog.engine.connect() as connection:
        assert connection.execute(sa.select(RawDataPackage.updated_at, RawDataPackage.created_at)).all() == stamps


@pytest.mark.parametrize(
    ("change", "field", "reason"),
    [
        (lambda r: r.update(checksum="c" * 64, copies=[]), "checksum", "its bytes differ"),
        (lambda r: r.update(size_bytes=1), "size_bytes", "recorded with 2048 bytes, not 1"),
        (lambda r: r["files"][0].update(checksum="c" * 64), "files.0.checksum", "its bytes differ"),
        (lambda r: r["files"][0].update(size_bytes=7), "files.0.size_bytes", "recorded with 1000 bytes, not 7"),
        (lambda r: r["files"].append({"relative_path": "new.g3"}), "files.1", "is built without the file"),
        (lambda r: r.update(relative_path="else/where.tar"), "relative_path", "recorded as 'prime-cam/280/0001.tar'"),
        (lambda r: r.update(id="0a0b0c0d-0102-4304-8506-070809101112"), "id", "another sequence"),
        (lambda r: r["files"][0].update(id="0a0b0c0d-0102-4304-8506-070809101112"), "files.0.id", "of this module is"),
        (lambda r: r.update(sequence=1), "files.0", "belongs to the package"),
        (
            lambda r: r["executed_obs_unit"]["obs_unit"].update(name="another"),
            "executed_obs_unit.obs_unit.name",
            "belongs to 'GEco Orion-KL 1'",
        ),
    ],
)
def test_the_same_identity_with_other_content_is_refused(
    catalog: Database,
    ingest: Ingest,
    content: Content,
    record: Record,
    tmp_path: Path,
    change: Callable[[Record], Any],
    field: str,
    reason: str,
) -> None:
    ingest(catalog, write(tmp_path, record))
    before = content(catalog)
    changed = copy.deepcopy(record)
    change(changed)
    third = copy.deepcopy(record) | {"sequence": 2, "files": [], "relative_path": "third.tar"}
    path = write(tmp_path, changed, third)
    summary = ingest(catalog, path)
    assert not summary.ok
    assert outcomes(summary) == {"created": 1, "refused": 1}
    (problem,) = summary.problems
    assert (problem.file, problem.line, problem.field) == (str(path), 1, field)
    assert reason in problem.reason
    after = content(catalog)
    added = {name: len(rows) - len(before[name]) for name, rows in after.items() if rows != before[name]}
    assert added == {"raw_data_package": 1, "physical_copy": 1, "raw_data_package_metadata": 1}


def test_checksums_of_different_algorithms_prove_nothing(
    small: Database, ingest: Ingest, record: Record, tmp_path: Path
) -> None:
    ingest(small, write(tmp_path, record))
    record |= {"checksum": "c" * 32, "checksum_algorithm": "md5"}
    summary = ingest(small, write(tmp_path, record))
    assert outcomes(summary) == {"unchanged": 1}
    assert [(note.field, note.reason) for note in summary.notes] == [
        ("checksum", "recorded as sha256: another algorithm proves nothing")
    ]


def test_what_was_open_is_completed(catalog: Database, ingest: Ingest, record: Record, tmp_path: Path) -> None:
    whole = copy.deepcopy(record)
    for name in ("size_bytes", "checksum"):
        del record[name], record["files"][0][name]
    del record["executed_obs_unit"]["end_time"]
    record |= {"copies": []}
    del record["metadata"]
    assert outcomes(ingest(catalog, write(tmp_path, record))) == {"created": 1}
    whole["files"].append({"relative_path": "0001/late.g3"})
    summary = ingest(catalog, write(tmp_path, whole))
    assert (outcomes(summary), summary.files) == ({"completed": 1}, 1)
    with catalog.session() as session:
        package = session.scalars(sa.select(RawDataPackage)).one()
        assert (package.size_bytes, package.checksum, package.status) == (2048, "a" * 64, Status.COMPLETED)
        assert session.scalars(sa.select(ExecutedObsUnit)).one().end_time is not None
        assert session.scalar(sa.select(sa.func.count()).select_from(RawDataFile)) == 2
        assert session.scalar(sa.select(sa.func.count()).select_from(RawDataPackageMetadata)) == 1
    assert outcomes(ingest(catalog, write(tmp_path, whole))) == {"unchanged": 1}


def test_size_and_checksum_may_come_after_a_copy_that_was_verified(
    catalog: Database, ingest: Ingest, content: Content, record: Record, small: Database, tmp_path: Path
) -> None:
    whole = copy.deepcopy(record)
    for name in ("size_bytes", "checksum"):
        del record[name]
    early, late = write(tmp_path, record, name="early.jsonl"), write(tmp_path, whole, name="late.jsonl")
    assert outcomes(ingest(catalog, early, late)) == {"created": 1, "completed": 1}
    assert outcomes(ingest(small, late, early)) == {"created": 1, "unchanged": 1}
    assert content(catalog) == content(small)


def test_what_an_operator_changed_stays(
    small: Database, ingest: Ingest, record: Record, force: Force, tmp_path: Path
) -> None:
    path = write(tmp_path, record)
    ingest(small, path)
    with small.session() as session:
        session.scalars(sa.select(ObservingProgram)).one().release_months = None
        session.scalars(sa.select(RawDataPackage)).one().state = PackageState.ARCHIVED
        session.commit()
    force(small, sa.update(PhysicalCopy).values(status=PhysicalCopyStatus.DELETED))
    summary = ingest(small, path)
    assert outcomes(summary) == {"unchanged": 1}
    assert [(note.field, note.reason) for note in summary.notes] == [
        ("executed_obs_unit.obs_unit.program.release_months", "recorded as nothing: kept, not '12'")
    ]
    with small.session() as session:
        assert session.scalars(sa.select(ObservingProgram)).one().release_months is None
        assert session.scalars(sa.select(PhysicalCopy)).one().status is PhysicalCopyStatus.DELETED


def test_unknown_instruments_are_refused_unless_they_may_be_created(
    catalog: Database, ingest: Ingest, content: Content, record: Record, tmp_path: Path
) -> None:
    path = write(tmp_path, record)
    before = content(catalog)
    summary = ingest(catalog, path, create_instruments=False)
    assert outcomes(summary) == {"refused": 1}
    ((field, reason),) = refused(summary)
    assert field == "module"
    assert "no module '280' of an instrument 'Prime-Cam'" in reason
    assert content(catalog) == before
    assert outcomes(ingest(catalog, path)) == {"created": 1}
    record["module"] = "850"
    assert outcomes(ingest(catalog, write(tmp_path, record), create_instruments=False)) == {"refused": 1}


@pytest.mark.parametrize(
    ("strip", "reason"),
    [
        (lambda r: r["executed_obs_unit"].pop("obs_unit"), f"the executed unit {UNIT} is not known"),
        (
            lambda r: r["executed_obs_unit"].update(obs_unit={"name": "U"}),
            "the observation 'U' is not known",
        ),
        (
            lambda r: r["executed_obs_unit"]["obs_unit"].update(program={"short_name": "P"}),
            "the programme 'P' is not known",
        ),
        (
            lambda r: r["executed_obs_unit"]["obs_unit"].update(sub_program={"short_name": "S"}),
            "the sub-programme 'S' is not known",
        ),
        (lambda r: r["executed_obs_unit"]["obs_unit"].update(source={"name": "X"}), "the source 'X' is not known"),
        (lambda r: r["executed_obs_unit"]["obs_unit"].update(obs_mode="M"), "the observing mode 'M' is not known"),
        (
            lambda r: r["executed_obs_unit"]["obs_unit"].update(configuration="C"),
            "the observation configuration 'C' is not known",
        ),
        (lambda r: r.update(copies=["here/there"]), "the location here/there is not known"),
        (lambda r: r["files"][0].update(copies=["here/there"]), "the location here/there is not known"),
        (lambda r: r["copies"][0]["location"].pop("site_name"), "the site ccat is not known"),
        (
            lambda r: r.update(supersedes="0a0b0c0d-0102-4304-8506-070809101112"),
            "the package 0a0b0c0d-0102-4304-8506-070809101112, which is superseded, is not known",
        ),
    ],
)
def test_a_record_without_its_parent_is_parked_whole(
    small: Database,
    ingest: Ingest,
    content: Content,
    record: Record,
    tmp_path: Path,
    strip: Callable[[Record], Any],
    reason: str,
) -> None:
    before = content(small)
    strip(record)
    path = write(tmp_path, record)
    summary = ingest(small, path)
    assert summary.ok
    assert outcomes(summary) == {"parked": 1, "waiting": 1}
    after = content(small)
    assert {name for name in after if after[name] != before[name]} == {"parked"}
    assert outcomes(ingest(small, path)) == {"parked": 1, "waiting": 1}
    with small.session() as session:
        parked = session.scalars(sa.select(ParkedRecord)).one()
        assert (parked.origin, parked.reason, parked.attempts) == (f"{path}:1", reason, 3)


def test_a_parked_record_goes_in_when_its_parent_comes(
    catalog: Database, ingest: Ingest, content: Content, record: Record, tmp_path: Path
) -> None:
    orphan = copy.deepcopy(record) | {"sequence": 1, "files": [], "relative_path": "late.tar", "time_scale": "TAI"}
    del orphan["executed_obs_unit"]["obs_unit"]
    assert outcomes(ingest(catalog, write(tmp_path, orphan))) == {"parked": 1, "waiting": 1}
    summary = ingest(catalog, write(tmp_path, record), create_instruments=False)
    assert outcomes(summary) == {"refused": 1, "waiting": 1}, "the flag of its own run holds for a parked record alone"
    assert outcomes(ingest(catalog, write(tmp_path, record))) == {"created": 2, "unparked": 1}
    assert content(catalog)["parked"] == []


def test_a_parked_record_that_turns_out_wrong_is_refused_and_let_go(
    small: Database, ingest: Ingest, content: Content, record: Record, tmp_path: Path
) -> None:
    orphan = copy.deepcopy(record) | {"checksum": "c" * 64, "copies": []}
    del orphan["executed_obs_unit"]["obs_unit"]
    path = write(tmp_path, {}, orphan, name="late.jsonl")
    ingest(small, path)
    summary = ingest(small, write(tmp_path, record))
    assert outcomes(summary) == {"created": 1, "refused": 1}
    assert (summary.problems[0].file, summary.problems[0].line) == (str(path), 2)
    assert content(small)["parked"] == []


def test_a_long_chain_of_successors_is_resolved_from_its_end(
    small: Database, ingest: Ingest, record: Record, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a pass or two over what is parked, not in one for each link."""
    tried: list[int] = []
    retry = Loader._retry
    monkeypatch.setattr(Loader, "_retry", lambda loader, row: (tried.append(row.id), retry(loader, row))[1])
    ids = [str(UUID(int=number + 1)) for number in range(300)]
    chain = []
    for sequence, identifier in enumerate(ids):
        link = copy.deepcopy(record) | {"sequence": sequence, "id": identifier, "files": [], "copies": []}
        link["relative_path"] = f"{sequence}.tar"
        chain.append(link | ({"supersedes": ids[sequence - 1]} if sequence else {}))
    summary = ingest(small, write(tmp_path, *reversed(chain)))
    assert outcomes(summary) == {"created": 300, "parked": 299, "unparked": 299}
    assert len(tried) < 3 * 300


def test_a_dry_run_changes_nothing_and_reports_the_same(
    catalog: Database, ingest: Ingest, content: Content, record: Record, tmp_path: Path
) -> None:
    orphan = copy.deepcopy(record) | {"sequence": 1, "files": [], "copies": ["no/where"]}
    path = write(tmp_path, orphan, {"bad": 1}, record)
    before = content(catalog)
    dry = ingest(catalog, path, dry_run=True)
    assert content(catalog) == before
    wet = ingest(catalog, path)
    assert dry.dry_run
    assert not wet.dry_run
    assert dry.to_json() | {"dry_run": False} == wet.to_json()
    assert outcomes(wet) == {"created": 1, "parked": 1, "waiting": 1, "refused": 1}


def test_a_summary_is_json_with_file_line_field_and_reason(
    small: Database, ingest: Ingest, record: Record, tmp_path: Path
) -> None:
    path = write(tmp_path, record, {**record, "module": 7})
    summary = json.loads(json.dumps(ingest(small, path).to_json()))
    assert (summary["ok"], summary["records"], summary["created"], summary["refused"]) == (False, 2, 1, 1)
    (problem,) = summary["problems"]
    assert (problem["file"], problem["line"], problem["field"]) == (str(path), 2, "module")
    assert "valid string" in problem["reason"]


def test_progress_is_told(small: Database, ingest: Ingest, record: Record, tmp_path: Path) -> None:
    told: list[tuple[int, int | None]] = []
    ingest(small, write(tmp_path, record, {}, record), progress=lambda done, total: told.append((done, total)))
    assert told == [(3, None)], "a block at a time"
    told.clear()
    ingest(small, write(tmp_path, record, {}, record), block_records=1, progress=lambda *done: told.append(done))
    assert told == [(1, None), (2, None), (3, None)]


def test_a_wrong_path_is_told_before_anything_is_done(
    small: Database, ingest: Ingest, content: Content, record: Record, tmp_path: Path
) -> None:
    good = write(tmp_path, record)
    (tmp_path / "notes.txt").write_text("")
    before = content(small)
    for path, reason in (
        (tmp_path / "missing.csv", "there is no file"),
        (tmp_path / "notes.txt", "cannot be ingested"),
    ):
        with pytest.raises(UsageError, match=reason):
            ingest(small, good, path)
    assert content(small) == before


@pytest.mark.parametrize("engine_name", ["postgresql"])  # SQLite has one writer at a time
def test_two_writers_of_the_same_new_rows_both_succeed(
    catalog: Database, record: Record, ingest: Ingest, tmp_path: Path
) -> None:
    """Another transaction creates the programme between our look and our write."""
    other = catalog.session()
    raced: list[bool] = []

    def race(session: Session, context: Any, instances: Any) -> None:
        if not raced and any(isinstance(row, ObservingProgram) for row in session.new):
            raced.append(True)
            other.add(ObservingProgram(short_name="GEco", name="Galactic Ecology", release_months=12))
            other.commit()

    def session() -> Session:
        made = catalog.session()
        sa.event.listen(made, "before_flush", race)
        return made

    summary = ingest(catalog, write(tmp_path, record), session_factory=session)
    other.close()
    assert raced
    assert outcomes(summary) == {"created": 1}


# Any order


def family(record: Record) -> list[Record]:
    """Records of which many need another: each order of arrival must end the same."""
    records = []
    for number in range(8):
        one = copy.deepcopy(record) | {"sequence": number, "relative_path": f"{number}.tar"}
        one["files"][0]["relative_path"] = f"{number}.g3"
        records.append(one)
    for number in (1, 2, 5):
        records[number]["executed_obs_unit"] = {"id": UNIT}
    for number in (3, 6):
        records[number]["copies"] = ["ccat/buffer"]
    records[4]["executed_obs_unit"]["id"] = "22222222-2222-4333-8444-555555555555"
    records[4]["executed_obs_unit"]["obs_unit"] = {"name": "GEco Orion-KL 1"}
    records[7]["executed_obs_unit"]["id"] = "33333333-2222-4333-8444-555555555555"
    records[7]["executed_obs_unit"]["obs_unit"] = {
        "name": "second",
        "program": {"short_name": "GEco"},
        "source": {"name": "Orion-KL"},
    }
    records[5]["supersedes"] = str(build_package_id(UUID(UNIT), "Prime-Cam", "280", 2))
    records[2]["supersedes"] = str(
        build_package_id(UUID("33333333-2222-4333-8444-555555555555"), "Prime-Cam", "280", 7)
    )
    open_one = copy.deepcopy(records[0])
    for name in ("size_bytes", "checksum", "copies", "metadata"):
        del open_one[name]
    del open_one["executed_obs_unit"]["end_time"]
    return [*records, open_one, copy.deepcopy(records[3])]


def end_of(
    database: Database, ingest: Ingest, content: Content, batches: Sequence[Sequence[Record]], folder: Path
) -> dict[str, list[tuple[Any, ...]]]:
    for batch in batches:
        assert ingest(database, write(folder, *batch)).ok
    return content(database)


def test_some_orders_of_arrival_end_in_the_same_catalog(
    catalog: Database, ingest: Ingest, content: Content, record: Record, small: Database, tmp_path: Path
) -> None:
    records = family(record)
    expected = end_of(small, ingest, content, [records], tmp_path)
    assert expected["parked"] == []
    assert len(expected["raw_data_package"]) == 8
    assert end_of(catalog, ingest, content, [[one] for one in reversed(records)], tmp_path) == expected
    again = end_of(catalog, ingest, content, [records[::2], records[1::2]], tmp_path)
    assert again == expected


def test_modules_that_are_created_say_so(small: Database, ingest: Ingest, record: Record, tmp_path: Path) -> None:
    ingest(small, write(tmp_path, record))
    with small.session() as session:
        assert session.scalars(sa.select(InstrumentModule)).one().description == "created by ingest"
