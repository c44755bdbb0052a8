"""What is written in blocks is what would have been written record by record, and is told alike."""

from __future__ import annotations

import copy
import json
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from catalog.db import Database
from catalog.ingest.report import IngestSummary
from catalog.obscore.comparison import compare_with_fresh
from catalog.opsdb.models import OpsBase, PackagePublication, RawDataPackage, ResolveCause, ResolveQueue
from catalog.opsdb.triggers.dialect import execute, refuse

Record = dict[str, Any]
Ingest = Callable[..., IngestSummary]
Content = Callable[[Database], dict[str, list[tuple[Any, ...]]]]

SITE = {"site": "ccat", "site_name": "CCAT"}
BUFFER = {**SITE, "name": "buffer", "storage_type": "disk", "location_type": "buffer", "path": "/data"}
ARCHIVE = {**SITE, "name": "archive", "storage_type": "s3", "location_type": "long_term_archive", "bucket": "raw"}
PROGRAM = {"short_name": "GEco", "name": "Galactic Ecology", "release_months": 12}
SOURCE = {"name": "Orion-KL", "type": "fixed_source", "ra_deg": 83.8, "dec_deg": -5.4}
PLANNED = {"name": "map 1", "program": PROGRAM, "source": SOURCE, "priority": 1}


def execution(number: int, **stated: Any) -> Record:
    """A unit that was executed in this hour of May."""
    day, hour = divmod(number, 24)
    start = f"2026-05-{day + 1:02d}T{hour:02d}"
    times = {"start_time": f"{start}:00:00.125Z", "end_time": f"{start}:30:00Z", "elevation_deg": 45.5}
    return {"id": str(UUID(int=1000 + number)), "obs_unit": {"name": "map 1"}, **times, **stated}


def package(number: int, module: str = "LFA", **stated: Any) -> Record:
    """A package with everything, whose parents are known; numbers make the identity."""
    checksum = f"{number * 100 + len(module):064x}"
    files = [
        {"relative_path": f"{number}/{module}.{part}.fits", "size_bytes": 10 + part, "checksum": f"{part:032x}"}
        | {"checksum_algorithm": "md5", "start_time": "2026-05-01T00:00:00Z", "exptime_s": 1, "copies": ["ccat/buffer"]}
        for part in range(number % 3)
    ]
    metadata: Record = {"s_fov": 1 + number, "data_rights": "public", "scan_mode": "raster-map"}
    metadata["document"] = {"observation": {"observer": 'Zoë \\ \t "x"', "number": number}}
    return {
        "instrument": "CHAI",
        "module": module,
        "executed_obs_unit": execution(number),
        "size_bytes": 2**40 + number,
        "checksum": checksum,
        "content_format": "application/fits",
        "files": files,
        "copies": ["ccat/buffer", {"location": "ccat/archive", "verification": "ok", "checksum": checksum}],
        "metadata": metadata if number % 4 else {"s_fov": 2},
        **stated,
    }


def before() -> list[Record]:
    """What the catalog holds already."""
    whole = package(0, executed_obs_unit=execution(0, obs_unit=PLANNED), copies=[{"location": BUFFER}])
    other = package(0, "HFA", copies=[{"location": ARCHIVE}], files=[])
    running = package(1, executed_obs_unit=execution(1, end_time=None))
    unbuilt = package(2, checksum=None, size_bytes=None, metadata=None, files=[], copies=[])
    return [whole, other, running, unbuilt]


def mixed() -> list[Record | str]:
    """Lines of every kind, with plainly new ones between them."""
    ids = {"old": str(UUID(int=7)), "new": str(UUID(int=8)), "newer": str(UUID(int=9))}
    unknown = str(UUID(int=404))
    late = {"id": str(UUID(int=50)), "start_time": "2026-05-20T00:00:00Z"}
    twice = package(20, "HFA")
    lines: list[Record | str] = [
        package(10),
        package(10, "HFA"),
        "{this is no JSON",
        package(0),  # known: copies are added
        package(0, sequence=1),  # new, beside it
        package(11, size_bytes=-1),
        package(11),
        package(0, "HFA", checksum="f" * 64, copies=[]),  # known with other bytes
        package(1, executed_obs_unit=execution(1)),  # fills in when the unit ended
        package(1, "HFA"),  # new, and says when it ended, too
        package(1, "HFA", sequence=1, executed_obs_unit=execution(1, end_time="2026-05-01T01:59:00Z")),
        package(2),  # builds what was announced
        package(12, executed_obs_unit=late),  # waits for the next but one
        package(13),
        package(12, "HFA", executed_obs_unit={**late, "obs_unit": {"name": "map 1"}}),
        package(14, executed_obs_unit={"id": unknown}),  # waits for ever
        package(15, copies=["ccat/nowhere"]),  # likewise
        package(15, "HFA", copies=[{"location": {**ARCHIVE, "name": "second"}}]),  # defines a location
        package(16, copies=["ccat/second"]),
        package(16, "HFA", copies=[{"location": {**ARCHIVE, "bucket": "other"}}]),  # noted
        package(17, executed_obs_unit=execution(17, obs_unit={**PLANNED, "priority": 2})),  # noted
        package(18, executed_obs_unit=execution(18, obs_unit=PLANNED)),
        package(19, instrument="LABOCA"),  # unknown
        package(19, executed_obs_unit=execution(0, obs_unit={"name": "map 2"})),  # another unit
        twice,
        twice,
        {**twice, "checksum": "e" * 64, "copies": []},
        package(21, id=ids["old"], metadata=None),
        package(21, id=ids["new"], sequence=1, supersedes=ids["old"]),
        package(21, id=ids["newer"], sequence=2, supersedes=str(UUID(int=405))),  # waits
        package(22, id=str(UUID(int=22))),
        package(22, id=str(UUID(int=23)), files=[]),  # the same sequence by another name
        package(23, executed_obs_unit=execution(23, end_time=None)),
        package(23, "HFA", executed_obs_unit=execution(23, pwv_mm=0.5)),  # adds to the execution
        package(24, files=[{"relative_path": "shared.fits"}]),
        package(25, files=[{"relative_path": "shared.fits"}]),  # a file of another package
        package(26, files=[{"relative_path": "a", "id": ids["old"]}, {"relative_path": "b", "id": ids["old"]}]),
        package(27, name="refused"),  # by the database
        package(27, "HFA"),
        package(28, state="archived", status="failed", telescope="FYST", time_scale="TAI"),
        package(29, executed_obs_unit=execution(29, execution_status="aborted", azimuth_deg=-12)),
    ]  # fmt: skip
    return lines + [package(number) for number in range(30, 60)]


@pytest.fixture
def known(engine_name: str, request: pytest.FixtureRequest, ingest: Ingest) -> Callable[[Path], Any]:
    """Opens a new catalog that holds `before`, and refuses packages of one name."""

    @contextmanager
    def opened(folder: Path) -> Iterator[Database]:
        folder.mkdir()
        if engine_name == "sqlite":
            shutil.copy(request.getfixturevalue("installed_file"), folder / "c.db")
            url = f"sqlite:///{folder}/c.db"
        else:
            server = request.getfixturevalue("postgres_server")
            url = server.create_database(request.getfixturevalue("installed_server"))
        with Database(url) as database:
            assert ingest(database, write(folder / "before.jsonl", before())).created == 4
            with database.begin() as connection:
                packages = OpsBase.metadata.tables["ops.raw_data_package"]
                execute(
                    connection,
                    refuse("opsdb_test", packages, "INSERT", "not this one", "NEW.name = 'refused'", engine_name),
                )
            yield database
        if engine_name == "postgresql":
            server.drop_database(url)

    return opened


def write(path: Path, lines: list[Any]) -> Path:
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return path


def state(database: Database, content: Content) -> dict[str, Any]:
    """Everything that an ingest leaves behind; what is published is as a fresh resolution gives it."""
    with database.engine.connect() as connection:
        assert list(compare_with_fresh(connection)) == []
        waiting = [connection.scalar(sa.select(sa.func.count(kind.seq))) for kind in (ResolveQueue, ResolveCause)]
        names = connection.scalars(sa.select(PackagePublication.obs_publisher_did)).all()
    return {**content(database), "waiting": waiting, "names": sorted(names)}


@contextmanager
def counting_inserts(database: Database) -> Iterator[list[str]]:
    """Statements by which single packages go in; what is written in bulk is none of them."""
    found: list[str] = []

    def look(_: Any, __: Any, statement: str, *rest: Any) -> None:
        if "INSERT INTO" in statement and "raw_data_package (" in statement:
            found.append(statement)

    sa.event.listen(database.engine, "before_cursor_execute", look)
    yield found
    sa.event.remove(database.engine, "before_cursor_execute", look)


@pytest.mark.parametrize("create_instruments", [False, True])
@pytest.mark.parametrize("dry_run", [False, True])
def test_a_mixed_manifest_ends_alike_in_blocks_and_record_by_record(
    known: Any, ingest: Ingest, content: Content, tmp_path: Path, create_instruments: bool, dry_run: bool
) -> None:
    path = write(tmp_path / "m.jsonl", mixed())
    ends, summaries, inserts = [], [], []
    for records in (1, 2000, 7):
        with known(tmp_path / str(records)) as database, counting_inserts(database) as found:
            options = {"create_instruments": create_instruments, "dry_run": dry_run, "block_records": records}
            summaries.append(ingest(database, path, **options))
            ends.append(state(database, content))
            inserts.append(len(found))
    assert summaries[0] == summaries[1] == summaries[2]
    assert ends[0] == ends[1] == ends[2]
    assert inserts[1] < inserts[0] / 2
    assert summaries[0].created > 40
    for word in ("completed", "unchanged", "parked", "unparked", "waiting", "refused"):
        assert getattr(summaries[0], word) > 0, word
    assert {problem.field for problem in summaries[0].notes} >= {
        "location.bucket",
        "executed_obs_unit.obs_unit.priority",
    }
    assert "not this one" in [problem.reason for problem in summaries[0].problems]


def test_plainly_new_packages_are_written_in_bulk_alone(
    known: Any, ingest: Ingest, content: Content, tmp_path: Path
) -> None:
    path = write(
        tmp_path / "m.jsonl", [package(number, module) for number in range(30, 80) for module in ("LFA", "HFA")]
    )
    with known(tmp_path / "catalog") as database, counting_inserts(database) as found:
        summary = ingest(database, path)
        assert (summary.created, summary.records, summary.notes, summary.problems) == (100, 100, (), ())
        assert found == []
        again = ingest(database, path)
        assert (again.unchanged, again.created, again.completed) == (100, 0, 0)


def test_what_a_first_block_brings_is_known_to_the_next(catalog: Database, ingest: Ingest, tmp_path: Path) -> None:
    lines = [
        package(number, executed_obs_unit=execution(number % 700, obs_unit=PLANNED), sequence=number)
        | {"copies": [{"location": BUFFER}], "files": []}
        for number in range(250)
    ]
    with counting_inserts(catalog) as found:
        assert ingest(catalog, write(tmp_path / "m.jsonl", lines)).created == 250
    assert len(found) == 100


def test_every_form_of_a_manifest_ends_alike(known: Any, ingest: Ingest, content: Content, tmp_path: Path) -> None:
    records = [package(number) for number in range(30, 60)]
    table = pa.Table.from_pylist(
        [
            {
                **record,
                "metadata.document": json.dumps(record["metadata"].pop("document", None)),
                "copies": json.dumps(record["copies"]),
            }
            for record in copy.deepcopy(records)
        ]
    )
    pq.write_table(table, tmp_path / "m.parquet")
    ends = []
    for number, path in enumerate((write(tmp_path / "m.jsonl", records), tmp_path / "m.parquet")):
        with known(tmp_path / str(number)) as database:
            assert ingest(database, path).created == 30
            ends.append(state(database, content))
    assert ends[0] == ends[1]


def test_a_session_that_resolves_nothing_leaves_new_packages_in_the_queue(
    known: Any, ingest: Ingest, tmp_path: Path
) -> None:
    path = write(tmp_path / "m.jsonl", [package(number) for number in range(30, 40)])
    with known(tmp_path / "catalog") as database:
        assert ingest(database, path, session_factory=database.session).created == 10
        with database.engine.connect() as connection:
            queued = set(connection.scalars(sa.select(ResolveQueue.raw_data_package_id)))
            assert len(queued) == 10
            assert connection.scalar(sa.select(sa.func.count(ResolveCause.seq))) == 10


def test_two_ingests_of_one_manifest_at_once_end_as_one(
    known: Any, ingest: Ingest, content: Content, tmp_path: Path
) -> None:
    """Each meets blocks that the other has just written, or is about to."""
    path = write(tmp_path / "m.jsonl", mixed() + [package(number, "HFA") for number in range(30, 200)])
    with known(tmp_path / "one") as database:
        alone = ingest(database, path)
        end = state(database, content)
    with known(tmp_path / "two") as database, ThreadPoolExecutor(2) as pool:
        together = threading.Barrier(2)

        def begin() -> IngestSummary:
            together.wait()
            return ingest(database, path, block_records=50)

        both = [run.result() for run in [pool.submit(begin), pool.submit(begin)]]
        assert {**state(database, content), "parked": None} == {**end, "parked": None}
    assert sum(summary.created for summary in both) == alone.created
    assert {summary.refused for summary in both} == {alone.refused}


def test_a_killed_ingest_goes_on_where_it_was(known: Any, ingest: Ingest, content: Content, tmp_path: Path) -> None:
    path = write(
        tmp_path / "m.jsonl", [package(number, module) for number in range(30, 230) for module in ("LFA", "HFA")]
    )
    with known(tmp_path / "whole") as database:
        assert ingest(database, path).created == 400
        end = state(database, content)
    with known(tmp_path / "killed") as database:
        address = database.engine.url.render_as_string(hide_password=False)
        killed = subprocess.run([sys.executable, "-c", KILLED, address, path], timeout=120, check=False)
        assert killed.returncode == -signal.SIGKILL
        with database.engine.connect() as connection:
            assert connection.scalar(sa.select(sa.func.count(RawDataPackage.id))) == 4 + 100
        summary = ingest(database, path)
        assert (summary.created, summary.unchanged) == (300, 100)
        assert state(database, content) == end


KILLED = """
import os, signal, sys
from pathlib import Path
import sqlalchemy as sa
from catalog.db import Database
from catalog.ingest.paths import ingest_paths
from catalog.obscore.freshness import keep_resolved

commits = []

def kill(session):
    if not session.in_nested_transaction():
        commits.append(session)
        if len(commits) == 2:
            os.kill(os.getpid(), signal.SIGKILL)

with Database(sys.argv[1]) as database:
    session = keep_resolved(database.session())
    sa.event.listen(session, "before_commit", kill)
    ingest_paths(database, [Path(sys.argv[2])], session_factory=lambda: session)
"""
"""An ingest that is killed when its second block is written and resolved, and not committed."""
