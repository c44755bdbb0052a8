"""An exported file holds what the view shows, in every format; it appears whole or not at all, with its manifest."""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
from astropy.io import fits
from astropy.io.votable import parse
from lxml import etree

from catalog.adql.diagnostics import render_diagnostic
from catalog.db import Database
from catalog.errors import ParameterError, QueryError, QueryTimeoutError, UnavailableError, UsageError
from catalog.formats.media import FORMATS, parse_format
from catalog.obscore.export import export_obscore, export_stream, manifest_path
from catalog.obscore.files import written_file, written_files
from catalog.obscore.freshness import refresh
from catalog.obscore.package_obscore import TABLE, package_obscore, published_table
from catalog.vo.table import TableStream

COLUMNS = published_table(TABLE).columns
Rows = list[dict[str, Any]]


@pytest.fixture
def filled(catalog: Database, world: Any) -> Database:
    """A catalog with a dozen packages of different kinds, one with text that is hard to write."""
    hard = {"target_name": 'a "quoted", <b>&amp;\ttab\nline é Ω', "obs_title": "'; DROP TABLE", "s_xel1": 2**53 + 1}
    for source in (world.orion, world.jupiter, world.stripe, world.bounds, None, world.pole):
        world.package(world.unit(source, program=world.closed), world.lfa, files=1)
        world.package(world.unit(source, program=world.cal), copies=0)
    world.package(world.unit(world.orion), metadata=hard)
    world.session.commit()
    return catalog


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder."""
    path = tmp_path / "exports"
    path.mkdir()
    return path


def view_rows(database: Database, where: str = "") -> Rows:
    """The view by plain SQL, in the order of the identifiers; times as they are published, to the millisecond."""
    name = ".".join(filter(None, database.published_name(TABLE)))
    names = [column.name for column in COLUMNS]
    with database.engine.connect() as connection:
        query = sa.text(f"SELECT {', '.join(names)} FROM {name} {where}")
        rows = [dict(row) for row in connection.execute(query).mappings()]
    for row in rows:
        for column, value in row.items():
            if isinstance(value, datetime):
                row[column] = value.isoformat(timespec="milliseconds")
            elif column.endswith("_date") and value is not None:
                row[column] = value[:23]
    return sorted(rows, key=lambda row: row["obs_publisher_did"].encode())


def read_votable(path: Path) -> Rows:
    table = parse(path, verify="exception").get_first_table().to_table()
    rows = []
    for row in table:
        cells = zip(row.colnames, row, strict=True)
        rows.append({name: None if np.ma.is_masked(value) or value == "" else plain(value) for name, value in cells})
    return rows


def read_text(path: Path, delimiter: str) -> Rows:
    """Every cell as text; None is an empty cell."""
    with path.open(encoding="utf-8", newline="") as stream:
        return [
            {name: value or None for name, value in row.items()}
            for row in csv.DictReader(stream, delimiter=delimiter, quoting=csv.QUOTE_MINIMAL)
        ]


def read_fits(path: Path) -> Rows:
    with fits.open(path) as opened:
        data, columns = opened[1].data, opened[1].columns
        rows = []
        for row in data:
            cells = {}
            for column, value in zip(columns, row, strict=True):
                is_null = (column.null is not None and value == column.null) or value != value or value == ""
                cells[column.name] = None if is_null else plain(value)
            rows.append(cells)
        return rows


def read_json(path: Path) -> Rows:
    document = json.loads(path.read_text(encoding="utf-8"))
    assert document["status"] == "OK"
    names = [column["name"] for column in document["columns"]]
    return [dict(zip(names, row, strict=True)) for row in document["data"]]


def read_fits_in_votable(path: Path) -> Rows:
    text = etree.parse(path, etree.XMLParser(huge_tree=True)).findtext(".//{*}STREAM")
    assert text is not None
    inner = path.with_name("inner.fits")
    inner.write_bytes(base64.b64decode(text))
    return read_fits(inner)


def read_html(path: Path) -> Rows:
    """Every cell as text; None is an empty cell."""
    page = etree.parse(path, etree.XMLParser(huge_tree=True))
    names = [column.name for column in COLUMNS]
    rows = page.findall(".//{*}tbody/{*}tr")
    return [dict(zip(names, ("".join(cell.itertext()) or None for cell in row), strict=True)) for row in rows]


def plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


READERS: dict[str, Callable[[Path], Rows]] = {
    "votable": read_votable,
    "votable/b2": read_votable,
    "votable/td": read_votable,
    "csv": lambda path: read_text(path, ","),
    "tsv": lambda path: read_text(path, "\t"),
    "fits": read_fits,
    "parquet": lambda path: pq.read_table(path).to_pylist(),
    "json": read_json,
    "votable/b": read_votable,
    "votable/fits": read_fits_in_votable,
    "arrow": lambda path: pa.ipc.open_stream(path.read_bytes()).read_all().to_pylist(),
    "html": read_html,
}


def expected(fmt: str, rows: Rows) -> Rows:
    """Rows as a format can carry them; the losses are those of docs/reference/formats.md."""
    carried: dict[str, Callable[[Any], Any]] = {
        "csv": as_text,
        "tsv": lambda value: as_text(value.replace("\t", " ").replace("\n", " ") if isinstance(value, str) else value),
        "fits": lambda value: as_ascii(value) if isinstance(value, str) else value,
        "votable/fits": lambda value: as_ascii(value) if isinstance(value, str) else value,
        "html": as_text,
    }
    change = carried.get(fmt, lambda value: value)
    return [{name: change(value) for name, value in row.items()} for row in rows]


def as_ascii(text: str) -> str:
    """What FITS takes: printable ASCII, a blank for a control character."""
    return "".join(" " if c in "\t\n" else c if c.isascii() else "?" for c in text)


def as_text(value: Any) -> str | None:
    return None if value is None else str(value)


def same(found: Any, wanted: Any) -> bool:
    if isinstance(found, str) and isinstance(wanted, str) and found != wanted:
        try:
            return float(found) == float(wanted)  # 1e-4 and 0.0001
        except ValueError:
            return False
    return bool(found == wanted)


@pytest.mark.parametrize("fmt", READERS)
def test_every_format_holds_the_rows_of_the_view_in_the_order_of_their_identifiers(
    filled: Database, tmp_path: Path, fmt: str
) -> None:
    wanted = expected(fmt, view_rows(filled))
    assert len(wanted) == 13

    manifest = export_obscore(filled, tmp_path / "file", fmt=fmt)

    found = READERS[fmt](tmp_path / "file")
    assert manifest.rows == len(found) == 13
    differing = {
        (number, name, str(found[number].get(name)), str(value))
        for number, row in enumerate(wanted)
        for name, value in row.items()
        if not same(found[number].get(name), value)
    }
    assert differing == set()
    assert [list(row) for row in found] == [[column.name for column in COLUMNS]] * 13


@pytest.mark.parametrize("ending", ["vot", "xml", "csv", "tsv", "fits", "parquet", "json"])
def test_the_ending_says_the_format(filled: Database, tmp_path: Path, ending: str) -> None:
    names = {"vot": "votable", "xml": "votable"}

    manifest = export_obscore(filled, tmp_path / f"obscore.{ending}")

    assert manifest.format == names.get(ending, ending)


def test_an_unknown_format_is_refused_before_anything_is_written(filled: Database, folder: Path) -> None:
    for path, fmt in ((folder / "x.doc", None), (folder / "x.csv", "excel")):
        with pytest.raises(ParameterError):
            export_obscore(filled, path, fmt=fmt)
    assert list(folder.iterdir()) == []


# The condition


@pytest.mark.parametrize(
    ("where", "sql"),
    [
        ("calib_level = 0 AND s_dec < -5", "WHERE calib_level = 0 AND s_dec < -5"),
        ("target_name IS NULL -- and no more", "WHERE target_name IS NULL"),
        ("access_url IS NOT NULL\nAND\n(s_ra > 100 OR t_min IS NULL)", "WHERE access_url IS NOT NULL AND s_ra > 100"),
        ("1=CONTAINS(POINT(s_ra, s_dec), CIRCLE(83.8, -5.4, 1))", "WHERE s_ra BETWEEN 82 AND 85 AND s_dec > -7"),
        ("target_name = 'it''s ) not here'", "WHERE 1 = 0"),
        ("obs_id IN (SELECT obs_id FROM ivoa.obscore WHERE em_min < 0.0007)", "WHERE em_min < 0.0007"),
        ("obs_collection = 'ENG' OR obs_collection = 'Cal'", "WHERE obs_collection IN ('ENG', 'Cal')"),
    ],
)
def test_a_condition_chooses_rows(filled: Database, tmp_path: Path, where: str, sql: str) -> None:
    wanted = [row["obs_publisher_did"] for row in view_rows(filled, sql)]

    manifest = export_obscore(filled, tmp_path / "some.parquet", where=where)

    assert pq.read_table(tmp_path / "some.parquet")["obs_publisher_did"].to_pylist() == wanted
    assert manifest.rows == len(wanted)


@pytest.mark.parametrize(
    ("where", "place", "word"),
    [
        ("s_raa > 3", (1, 1), "s_raa"),
        ("calib_level = 0\n  AND s_deg < 1", (2, 7), "s_deg"),
        ("s_ra > 'x", (1, 8), ""),
        ("s_ra >", (1, 7), ""),
        ("s_ra > 3 AND\n(s_dec > 2", (2, 11), ""),
        ("s_ra > 3)", (1, 9), "closes none"),
        ("1=1) OR (1=1", (1, 4), "closes none"),
        ("1=1)\nUNION SELECT * FROM ivoa.obscore WHERE (1=1", (1, 4), "closes none"),
        ("s_ra > 3 ORDER BY s_ra", (1, 10), ""),
        ("s_ra > 3; DROP TABLE x", (1, 9), ""),
        ("ORDER BY", (1, 1), ""),
        ("s_ra == 3", (1, 6), "="),
    ],
)
def test_a_wrong_condition_is_told_with_its_place_in_the_condition(
    filled: Database, folder: Path, where: str, place: tuple[int, int], word: str
) -> None:
    with pytest.raises(QueryError) as refused:
        export_obscore(filled, folder / "some.csv", where=where)

    fault = refused.value
    assert (fault.line, fault.column) == place, fault.message
    assert word in fault.message
    shown = render_diagnostic(where, fault).split("\n")
    assert shown[1] == "  " + where.split("\n")[place[0] - 1]
    assert shown[2].startswith("  " + " " * (place[1] - 1) + "^")
    assert fault.proposal is None or "SELECT *" not in fault.proposal
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("where", ["", "  \n", "-- nothing"])
def test_an_empty_condition_is_refused(filled: Database, tmp_path: Path, where: str) -> None:
    with pytest.raises(QueryError, match="the condition is empty"):
        export_obscore(filled, tmp_path / "some.csv", where=where)


# The manifest


def test_the_manifest_says_what_the_file_holds(filled: Database, folder: Path) -> None:
    begun = datetime.now(UTC)
    path = folder / "obscore.csv"
    where = "calib_level = 0"

    manifest = export_obscore(filled, path, where=where)

    written = json.loads(manifest_path(path).read_text())
    assert manifest_path(path) == folder / "obscore.csv.manifest.json"
    assert written == json.loads(json.dumps(manifest.as_dict()))
    content = path.read_bytes()
    assert (written["file"], written["format"]) == ("obscore.csv", "csv")
    assert written["media_type"] == "text/csv;header=present"
    assert (written["rows"], written["bytes"]) == (13, len(content))
    assert written["sha256"] == hashlib.sha256(content).hexdigest()
    assert written["query"] == f"SELECT * FROM ivoa.obscore WHERE (\n{where}\n)"
    assert [column["name"] for column in written["columns"]] == [column.name for column in COLUMNS]
    s_ra = next(column for column in written["columns"] if column["name"] == "s_ra")
    assert (s_ra["datatype"], s_ra["unit"], s_ra["ucd"]) == ("double", "deg", "pos.eq.ra")
    exported = datetime.fromisoformat(written["exported_at"]).replace(tzinfo=UTC)
    assert begun - timedelta(seconds=1) <= exported <= datetime.now(UTC)
    assert sorted(item.name for item in folder.iterdir()) == ["obscore.csv", "obscore.csv.manifest.json"]


def test_the_query_of_the_manifest_asks_for_the_same_rows(filled: Database, tmp_path: Path) -> None:
    manifest = export_obscore(filled, tmp_path / "a.csv", where="s_dec < 0 -- south")
    condition = manifest.query.partition("WHERE (\n")[2].removesuffix("\n)")

    again = export_obscore(filled, tmp_path / "b.csv", where=condition)

    assert (again.sha256, again.rows) == (manifest.sha256, manifest.rows)


# Whole or not at all


def batches(table: Any, rows: Rows, *, then: BaseException | None = None, count: int = 3) -> Iterator[pa.RecordBatch]:
    for number in range(count):
        for row in rows:
            row["bib_reference"] = hashlib.sha256(f"{number} {row['obs_publisher_did']}".encode()).hexdigest()
        yield pa.RecordBatch.from_pylist(rows, schema=table.arrow_schema)
    if then is not None:
        raise then


def test_lines_of_text_hold_the_cells_in_their_order(filled: Database, tmp_path: Path) -> None:
    assert {fmt.name for fmt in FORMATS} - set(READERS) == {"text"}
    wanted = view_rows(filled)

    export_obscore(filled, tmp_path / "file", fmt="text")

    lines = (tmp_path / "file").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 3 + 13 + 1
    for line, row in zip(lines[3:-1], wanted, strict=True):
        texts = [re.sub(r"[\t\n]", " ", cell) for cell in row.values() if isinstance(cell, str)]
        assert re.search(".*?".join(map(re.escape, texts)), line)


@pytest.mark.parametrize("fmt", [fmt.name for fmt in FORMATS])
@pytest.mark.parametrize("fault", [UnavailableError("the database is gone"), RuntimeError("ours"), KeyboardInterrupt()])
def test_rows_that_break_off_leave_nothing_and_the_old_file_as_it_was(
    filled: Database, folder: Path, fmt: str, fault: BaseException
) -> None:
    """Also in formats that could say ERROR at their end."""
    path = folder / "obscore"
    path.write_text("old")
    manifest_path(path).write_text("old manifest")
    table = published_table(TABLE)
    stream = TableStream(table, batches(table, view_rows(filled), then=fault))

    with pytest.raises(type(fault)):
        export_stream(stream, path, parse_format(fmt), query="")

    assert sorted(item.name for item in folder.iterdir()) == ["obscore", "obscore.manifest.json"]
    assert (path.read_text(), manifest_path(path).read_text()) == ("old", "old manifest")


def test_the_file_gets_its_name_when_it_is_whole(filled: Database, folder: Path) -> None:
    path = folder / "obscore.csv"
    path.write_text("old")
    table = published_table(TABLE)
    seen: list[tuple[str, list[str]]] = []

    def look(done: int, total: int | None) -> None:
        seen.append((path.read_text(), sorted(item.name for item in folder.iterdir())))

    stream = TableStream(table, batches(table, view_rows(filled)))
    manifest = export_stream(stream, path, parse_format("csv"), query="", progress=look)

    assert manifest.rows == 39
    assert len(seen) == 3
    for content, names in seen:
        assert content == "old"
        assert [name.startswith(".obscore.csv.") for name in names] == [True, False, False] or len(names) == 3
    assert sorted(item.name for item in folder.iterdir()) == ["obscore.csv", "obscore.csv.manifest.json"]


def test_progress_is_told_with_the_total_where_that_is_known(filled: Database, folder: Path) -> None:
    told: list[tuple[int, int | None]] = []
    note = lambda done, total: told.append((done, total))  # noqa: E731
    export_obscore(filled, folder / "a.csv", progress=note)
    export_obscore(filled, folder / "b.csv", where="s_ra > 0", progress=note)

    assert told[0] == (13, 13)
    assert told[1][1] is None


def test_a_new_file_has_the_rights_that_the_umask_leaves(filled: Database, folder: Path) -> None:
    before = os.umask(0o027)
    try:
        export_obscore(filled, folder / "a.csv")
    finally:
        os.umask(before)
    assert {item.stat().st_mode & 0o777 for item in folder.iterdir()} == {0o640}


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("missing/obscore.csv", "No such file or directory"),
        ("a.csv/obscore.csv", "Not a directory"),
        ("sub", "it is a folder"),
        ("sub/..", "it is a folder"),
        ("pipe.csv", "it is no file, but a device or a pipe"),
        ("null.csv", "it is no file, but a device or a pipe"),
        ("/dev/full", "it is no file, but a device or a pipe"),
        ("x" * 300 + ".csv", "File name too long"),
    ],
)
def test_a_path_that_cannot_be_written_is_told_and_nothing_is_left(
    filled: Database, folder: Path, path: str, said: str
) -> None:
    (folder / "sub").mkdir()
    (folder / "a.csv").write_text("old")
    os.mkfifo(folder / "pipe.csv")
    (folder / "null.csv").symlink_to("/dev/null")
    before = sorted(folder.rglob("*"))

    with pytest.raises(UsageError, match="cannot be written") as refused:
        export_obscore(filled, folder / path, fmt="csv")

    assert said in refused.value.message
    assert sorted(folder.rglob("*")) == before
    assert Path("/dev/null").is_char_device()


def test_a_path_with_steps_upwards_and_a_link_lead_where_they_say(filled: Database, folder: Path) -> None:
    (folder / "sub").mkdir()
    (folder / "link.csv").symlink_to("sub/real.csv")

    up = export_obscore(filled, folder / "sub" / ".." / "up.csv")
    linked = export_obscore(filled, folder / "link.csv")

    assert hashlib.sha256((folder / "up.csv").read_bytes()).hexdigest() == up.sha256
    assert (folder / "link.csv").is_symlink()
    assert hashlib.sha256((folder / "sub" / "real.csv").read_bytes()).hexdigest() == linked.sha256


def test_a_name_of_the_greatest_length_is_taken(filled: Database, folder: Path) -> None:
    path = folder / ("é" * 110 + ".csv")  # its manifest's name has 238 bytes

    export_obscore(filled, path)

    assert path.exists()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real disk of 256 kB."""
    path = tmp_path / "disk"
    path.mkdir()
    mounted = (
        os.geteuid() == 0
        and not subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", path], check=False, capture_output=True
        ).returncode
    )
    if not mounted:
        pytest.skip("NOT TESTED: a full disk, which takes the right to mount one")
    yield path
    subprocess.run(["umount", path], check=True)


@pytest.mark.parametrize("fmt", ["csv", "votable", "parquet", "json"])
def test_a_full_disk_is_told_and_leaves_nothing(filled: Database, small_disk: Path, fmt: str) -> None:
    path = small_disk / "obscore"
    path.write_text("old")
    table = published_table(TABLE)
    stream = TableStream(table, batches(table, view_rows(filled), count=1000))

    with pytest.raises(UsageError, match=f"{path} cannot be written: No space left on device"):
        export_stream(stream, path, parse_format(fmt), query="")

    assert [item.name for item in small_disk.iterdir()] == ["obscore"]
    assert path.read_text() == "old"


def test_a_disk_with_room_for_the_file_alone_keeps_the_old_pair(small_disk: Path) -> None:
    """File and manifest belong together: either both are new, or both are old."""
    first, second = small_disk / "a", small_disk / "b"
    first.write_text("old a")
    second.write_text("old b")

    def write(size: int) -> None:
        with written_files(first, second) as (one, other):
            one.write(b"x" * 100_000)
            other.write(b"y" * size)

    with pytest.raises(UsageError, match="No space left"):
        write(400_000)
    assert (first.read_text(), second.read_text()) == ("old a", "old b")
    assert len(list(small_disk.iterdir())) == 2
    write(10)
    assert (first.stat().st_size, second.stat().st_size) == (100_000, 10)


def test_a_killed_export_leaves_the_old_file(filled: Database, folder: Path) -> None:
    """The unfinished one remains under its other name; nobody could remove it."""
    path = folder / "a.csv"
    path.write_text("old")
    script = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom catalog.obscore.files import written_file\n"
        "with written_file(Path(sys.argv[1])) as file:\n"
        "    file.write(b'x' * 100_000)\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, path], check=False)
    assert done.returncode == -9
    assert path.read_text() == "old"
    assert len(list(folder.iterdir())) == 2


def test_a_file_that_may_not_grow_so_far_is_told(folder: Path) -> None:
    """What a quota does; here the limit is the process's own."""
    script = (
        "import resource, signal, sys\nfrom pathlib import Path\nfrom catalog.errors import UsageError\n"
        "from catalog.obscore.files import written_file\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try:\n    with written_file(Path(sys.argv[1])) as file:\n        file.write(b'x' * 100_000)\n"
        "except UsageError as fault:\n    print(fault.message)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, folder / "a"], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == f"{folder / 'a'} cannot be written: File too large"
    assert list(folder.iterdir()) == []


def test_an_unfinished_file_is_not_mistaken_for_another(folder: Path) -> None:
    with written_file(folder / "a") as one, written_file(folder / "a") as other:
        one.write(b"one")
        other.write(b"other")
    assert [item.name for item in folder.iterdir()] == ["a"]
    assert (folder / "a").read_bytes() == b"one"


# Time and memory


def test_an_export_may_take_longer_than_a_query_over_the_wire(filled: Database, tmp_path: Path) -> None:
    address = filled.engine.url.render_as_string(hide_password=False)
    many(filled, 20_000)
    with Database(address, timeout_s=1e-4) as impatient:
        slow = sa.select(package_obscore().c.obs_id).order_by(package_obscore().c.obs_title)
        table = published_table(TABLE).select(["obs_id"])
        with pytest.raises(QueryTimeoutError), impatient.stream(slow, table) as stream:
            list(stream)

        assert export_obscore(impatient, tmp_path / "all.csv").rows == 20_013


def many(database: Database, count: int) -> None:
    """Further resolved rows, made of one that is there; enough to measure."""
    table = package_obscore()
    with database.begin() as connection:
        row = dict(connection.execute(sa.select(table).limit(1)).mappings().one())
        fresh = []
        for number in range(count):
            did = f"{row['obs_publisher_did'][:-8]}{number:08x}"
            unique = {"obscore_key": 10_000 + number, "obs_publisher_did": did, "raw_data_package_id": UUID(int=number)}
            fresh.append(tuple((row | unique).values()))
        database.bulk_insert(connection, table, list(row), fresh)


MEASURED = """
import resource, sys
from pathlib import Path
from catalog.adql.sqlite_functions import SQLITE_FUNCTIONS
from catalog.db import Database, SqlFunction
from catalog.obscore.export import export_obscore
with Database(sys.argv[1], functions=[SqlFunction(*function) for function in SQLITE_FUNCTIONS]) as database:
    manifest = export_obscore(database, Path(sys.argv[2]), fmt=sys.argv[3], where=sys.argv[4])
print(manifest.rows, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.fixture(scope="module")
def large(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory, furnish_observatory: Any) -> str:
    """Address of a file with 120,000 resolved rows."""
    path = tmp_path_factory.mktemp("large") / "large.db"
    path.write_bytes(sqlite_template.read_bytes())
    url = f"sqlite:///{path}"
    with Database(url) as database, database.session() as session:
        world = furnish_observatory(session)
        world.package(world.unit(world.orion), copies=1)
        session.commit()
        refresh(database)
        many(database, 120_000)
    return url


@pytest.mark.parametrize("fmt", ["votable", "csv", "fits", "parquet", "json"])
def test_memory_does_not_grow_with_the_rows(large: str, tmp_path: Path, fmt: str) -> None:
    """Six times the rows: the peak may move by the slack of allocators and read-ahead, not by the 80 MB of the rows."""
    peaks = {}
    for rows in (20_000, 120_001):
        where = f"obs_publisher_did <= '{did_at(large, rows)}'"
        command = [sys.executable, "-c", MEASURED, large, tmp_path / "file", fmt, where]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
        found, peak = map(int, done.stdout.split())
        assert found == rows
        peaks[rows] = peak
    assert peaks[120_001] - peaks[20_000] < 48_000, peaks  # kB


def did_at(url: str, number: int) -> str:
    column = package_obscore().c.obs_publisher_did
    with Database(url) as database, database.engine.connect() as connection:
        return str(connection.scalar(sa.select(column).order_by(column).offset(number - 1).limit(1)))
