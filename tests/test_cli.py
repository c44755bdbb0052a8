"""The `catalog` command: what it does, what it says and where, and with which code it ends."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import sqlalchemy as sa
from astropy.io import fits, votable
from psycopg import sql

from catalog.cli import main
from catalog.db import Database

PROGRAM = Path(sys.executable).parent / "catalog"
LONG = "SELECT COUNT(*) AS n FROM fyst.files AS a, fyst.files AS b, fyst.files AS c, fyst.files AS d, fyst.files AS e"
COUNT = "SELECT COUNT(*) AS n FROM ivoa.obscore"


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended."""

    code: int
    out: bytes
    err: str

    @property
    def text(self) -> str:
        return self.out.decode()

    @property
    def summary(self) -> Any:
        """The one JSON document on standard output."""
        return json.loads(self.text)


Run = Callable[..., Done]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes], tmp_path: Path) -> Run:
    """Runs the command in this process, in an empty folder, with no setting but those that the test makes."""
    for name in [name for name in os.environ if name.startswith("CATALOG_")]:
        monkeypatch.delenv(name)
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)

    def run_command(*arguments: str | Path) -> Done:
        monkeypatch.setattr(sys, "argv", ["catalog", *map(str, arguments)])
        capfdbinary.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capfdbinary.readouterr()
        assert b"Traceback" not in err
        assert isinstance(ended.value.code, int)
        return Done(ended.value.code, out, err.decode())

    return run_command


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def filled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A database with a small synthetic observatory; tests read it only."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('cli')}/catalog.db"
    else:
        server: Any = request.getfixturevalue("postgres_server")
        url = server.create_database()
    assert program("demo", "--packages", "80", "--seed", "2", "--db", url).returncode == 0
    return url


@pytest.fixture
def own(filled: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A copy of it, to be changed."""
    if filled.startswith("sqlite"):
        shutil.copy(filled.removeprefix("sqlite:///"), tmp_path / "own.db")
        yield f"sqlite:///{tmp_path}/own.db"
        return
    server: Any = request.getfixturevalue("postgres_server")
    url = server.create_database(filled)
    yield url
    server.drop_database(url)


def hear_ctrl_c() -> None:
    """In a new process: end at SIGINT, also where the tests themselves were started to ignore it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def environment(**settings: str) -> dict[str, str]:
    """No settings but these; and Python's own way to write to a pipe."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CATALOG_")}
    kept.pop("PYTHONUNBUFFERED", None)
    return kept | settings


def program(*arguments: str | Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run the installed program in a process of its own."""
    return subprocess.run(
        [PROGRAM, *arguments], capture_output=True, text=True, env=environment(**settings), timeout=120
    )


def one_line(text: str) -> str:
    """A message that takes one line, or a second with a hint."""
    lines = text.splitlines()
    assert 1 <= len(lines) <= 2, text
    return lines[0]


# --- the program ---------------------------------------------------------------------------------------------


def test_without_a_command_it_says_what_there_is(run: Run) -> None:
    helped = run("--help")
    assert helped.code == 0
    for word in ("init", "demo", "ingest", "refresh", "query", "explain", "serve", "record", "export", "Exit codes"):
        assert word in helped.text
    assert run().code == 2


def test_every_command_has_help_and_every_option_a_sentence(run: Run) -> None:
    commands = ["init", "demo", "ingest", "refresh", "query", "explain", "serve", "record"]
    for command in [*([each] for each in commands), ["packages", "withdraw"], ["packages", "restore"]]:
        helped = run(*command, "--help")
        assert helped.code == 0
        assert not re.search(r"^ +--[a-z-]+( [A-Z]+)?$(?!\n {20})", helped.text, flags=re.MULTILINE), helped.text


def test_version(run: Run) -> None:
    assert re.fullmatch(r"catalog \d+\.\d+\.\d+\n", run("--version").text)


@pytest.mark.parametrize(
    "arguments",
    [
        ["no-such-command"],
        ["demo", "--no-such-option"],
        ["demo", "--packages", "many"],
        ["demo", "--packages", "0"],
        ["query"],
    ],
)
def test_wrong_use_is_said_with_code_2(run: Run, arguments: list[str]) -> None:
    done = run(*arguments)
    assert done.code == 2
    assert done.out == b""
    assert "Usage:" in done.err


# --- settings ------------------------------------------------------------------------------------------------


def test_the_database_is_chosen_by_option_else_environment_else_file(
    run: Run, filled: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    query = ["query", COUNT, "--format", "csv"]
    Path("catalog.toml").write_text(f'[database]\nurl = "{filled}"\n')
    assert run(*query).code == 0
    monkeypatch.setenv("CATALOG_DATABASE_URL", "sqlite:///absent.db")
    assert run(*query).code == 3
    assert run(*query, "--db", filled).code == 0
    monkeypatch.setenv("CATALOG_DATABASE_URL", filled)
    Path("catalog.toml").write_text('[database]\nurl = "sqlite:///absent.db"\n')
    assert run(*query).code == 0


def test_without_any_setting_it_is_a_file_below_the_current_folder(run: Run) -> None:
    assert run("init").code == 0
    assert Path("var/catalog.db").exists()


@pytest.mark.parametrize(
    ("text", "variable", "named"),
    [
        ("[databse]\nurl = 'x'\n", None, "databse"),
        ("[database]\nuri = 'x'\n", None, "database.uri"),
        ("not toml", None, "catalog.toml"),
        ("", "CATALOG_DATABASE_URI", "database.uri"),
        ("", "CATALOG_DEBUG", "CATALOG_DEBUG"),
    ],
)
def test_an_unknown_setting_is_refused(
    run: Run, monkeypatch: pytest.MonkeyPatch, text: str, variable: str | None, named: str
) -> None:
    Path("catalog.toml").write_text(text)
    if variable is not None:
        monkeypatch.setenv(variable, "x")
    done = run("init")
    assert done.code == 2
    assert named in one_line(done.err)
    assert not Path("var").exists()


@pytest.mark.parametrize("url", ["mysql://x/y", "nonsense", "sqlite://", "postgresql:"])
def test_a_url_of_no_known_form_is_refused(run: Run, url: str) -> None:
    done = run("init", "--db", url)
    assert done.code == 2
    assert one_line(done.err).startswith("catalog: ")


def test_a_password_is_never_shown(run: Run) -> None:
    done = run("query", COUNT, "--db", "postgresql://owner:hunter2@127.0.0.1:1/none")
    assert done.code == 3
    assert "hunter2" not in done.err
    assert "does not answer" in one_line(done.err.splitlines()[-1])


# --- init, demo ----------------------------------------------------------------------------------------------


def test_init_and_demo_fill_a_database_and_say_so(run: Run, database_url: str) -> None:
    first = run("init", "--json", "--db", database_url)
    assert first.code == 0
    assert first.summary["revision"]
    assert first.err == ""
    assert run("init", "--json", "--db", database_url).summary == first.summary
    made = run("demo", "--packages", "20", "--seed", "4", "--files-per-package", "1", "--json", "--db", database_url)
    assert made.code == 0
    assert made.summary["packages"] == 20
    assert (
        "20 synthetic packages"
        in run("demo", "--packages", "20", "--seed", "4", "--files-per-package", "1", "--db", database_url).err
    )
    other = run("demo", "--packages", "30", "--seed", "4", "--db", database_url)
    assert other.code == 2
    assert one_line(other.err)


def test_init_names_the_superusers_command_where_one_is_needed(run: Run, postgres_server: Any) -> None:
    postgres_server.execute(sql.SQL("CREATE ROLE plain_owner LOGIN"))
    postgres_server.execute(sql.SQL("CREATE DATABASE plain OWNER plain_owner TEMPLATE template0"))
    done = run("init", "--db", postgres_server.url("plain", "plain_owner"))
    assert done.code == 2
    assert "pg_sphere" in done.err
    assert (
        f"psql -U postgres -h 127.0.0.1 -p {postgres_server.port} -d plain -c 'CREATE EXTENSION pg_sphere'" in done.err
    )
    postgres_server.execute(sql.SQL("CREATE EXTENSION pg_sphere"), "plain")
    assert run("init", "--db", postgres_server.url("plain", "plain_owner")).code == 0
    postgres_server.drop_database("plain")
    postgres_server.execute(sql.SQL("DROP ROLE plain_owner"))


@pytest.mark.parametrize(
    "command",
    [
        ["query", COUNT],
        ["explain", COUNT],
        ["refresh"],
        ["refresh", "--check"],
        ["record", "--all"],
        ["export", "obscore", "-o", "x.csv"],
        ["packages", "withdraw", "x", "--reason", "y"],
        ["ingest", "."],
        ["serve", "--port", "0"],
    ],
    ids=lambda command: command[0],
)
def test_an_empty_database_is_said_to_be_empty(run: Run, database_url: str, command: list[str]) -> None:
    done = run(*command, "--db", database_url)
    assert done.code in (2, 3)
    assert done.out == b""
    assert "catalog init" in done.err
    assert len(done.err.splitlines()) == 2


def test_a_file_that_is_no_database_is_said_to_be_none(run: Run) -> None:
    Path("x.db").write_text("this is no database, but long enough to be taken for the header of one, one might think")
    for command in (["query", COUNT], ["init"], ["refresh"]):
        done = run(*command, "--db", "sqlite:///x.db")
        assert done.code in (1, 2)
        assert "database" in done.err
        assert len(done.err.splitlines()) <= 2


# --- query, explain ------------------------------------------------------------------------------------------


def test_query_prints_a_table_with_units_for_people(run: Run, filled: str) -> None:
    done = run("query", "SELECT TOP 3 obs_publisher_did, s_ra FROM ivoa.obscore WHERE s_ra IS NOT NULL", "--db", filled)
    assert done.code == 0
    lines = done.text.splitlines()
    assert "[deg]" in lines[1]
    assert len([line for line in lines if "ivo://" in line]) == 3
    assert done.err == "3 rows\n"


def test_a_row_that_is_wider_than_the_terminal_is_a_list(
    run: Run, filled: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # as on a terminal
    monkeypatch.setenv("COLUMNS", "100")
    done = run("query", "SELECT TOP 2 * FROM ivoa.obscore WHERE s_ra IS NOT NULL", "--db", filled)
    assert done.code == 0
    lines = done.text.splitlines()
    assert len([line for line in lines if line.lstrip().startswith("s_ra [deg] ")]) == 2
    assert all(len(line) <= 100 for line in lines)
    few = run("query", "SELECT TOP 2 s_ra, s_dec FROM ivoa.obscore", "--db", filled)
    assert "s_ra" in few.text.splitlines()[0]
    assert "s_dec" in few.text.splitlines()[0]


def test_query_shows_null_as_nothing_and_no_markup_of_a_terminal(run: Run, filled: str) -> None:
    query = "SELECT TOP 1 '[red]x[/red]' AS a, '\x1b[31m' AS b, NULL AS c FROM ivoa.obscore"
    done = run("query", query, "--db", filled)
    if done.code == 0:
        assert "[red]x[/red]" in done.text
        assert "\x1b" not in done.text
    else:
        assert "\x1b" not in done.err


def test_query_writes_csv_to_standard_output(run: Run, filled: str) -> None:
    done = run("query", "SELECT TOP 2 obs_id FROM ivoa.obscore", "--format", "csv", "--db", filled)
    assert (done.code, done.err) == (0, "")
    assert done.text.splitlines()[0] == "obs_id"
    assert len(done.text.splitlines()) == 3


def test_query_writes_a_votable_to_standard_output(run: Run, filled: str) -> None:
    done = run("query", "SELECT TOP 2 obs_id, s_ra FROM ivoa.obscore", "--format", "votable", "--db", filled)
    table = votable.parse(io.BytesIO(done.out), verify="exception").get_first_table()
    assert len(table.array) == 2


@pytest.mark.parametrize("name", ["x.vot", "x.csv", "x.tsv", "x.fits", "x.parquet", "x.json"])
def test_query_writes_a_file_in_the_format_of_its_ending(run: Run, filled: str, name: str) -> None:
    done = run("query", "SELECT TOP 2 obs_id, s_ra FROM ivoa.obscore", "-o", name, "--db", filled)
    assert (done.code, done.out, done.err) == (0, b"", "")
    assert Path(name).stat().st_size > 50
    assert [path.name for path in Path().iterdir()] == [name]


def test_query_refuses_an_unknown_format(run: Run, filled: str) -> None:
    for arguments in (["--format", "xls"], ["-o", "x.xls"]):
        done = run("query", COUNT, *arguments, "--db", filled)
        assert done.code == 2
        assert "xls" in one_line(done.err)
    assert list(Path().iterdir()) == []


def test_query_refuses_a_folder_that_is_not_there(run: Run, filled: str) -> None:
    done = run("query", COUNT, "-o", "no/such/folder/x.csv", "--db", filled)
    assert done.code == 2
    assert "cannot be written" in one_line(done.err)


@pytest.mark.parametrize("arguments", [[], ["--format", "csv"], ["-o", "x.vot"]])
def test_query_says_when_rows_were_cut(run: Run, filled: str, arguments: list[str]) -> None:
    query = ["query", "SELECT TOP 5 obs_id FROM ivoa.obscore", *arguments, "--db", filled]
    assert "there are more: raise --maxrec" in run(*query, "--maxrec", "4").err
    assert "there are more" not in run(*query, "--maxrec", "5").err
    assert run(*query, "--maxrec", "0").code == 0
    assert run(*query, "--maxrec", "-1").code == 2


def test_a_mistake_in_a_query_is_pointed_out(run: Run, filled: str) -> None:
    for command in ("query", "explain"):
        done = run(command, "SELECT s_raa FROM ivoa.obscore", "--db", filled)
        assert (done.code, done.out) == (2, b"")
        lines = done.err.splitlines()
        assert lines[0].startswith("catalog: line 1, column 8: ")
        assert lines[2].index("^") == lines[1].index("s_raa")
        assert "s_ra" in lines[3]


def test_a_query_that_takes_too_long_is_a_failure(run: Run, filled: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CATALOG_TAP_SYNC_TIMEOUT_S", "0.5")
    for arguments in ([], ["--format", "votable"], ["-o", "x.vot"]):
        done = run("query", LONG, *arguments, "--db", filled)
        assert (done.code, done.out) == (1, b"")
        assert "within 0.5 s" in done.err
    assert list(Path().iterdir()) == []


def test_a_result_that_breaks_midway_is_a_failure_and_no_file(
    run: Run, filled: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The format could say so at its end, but who reads a file to its end?"""
    monkeypatch.setenv("CATALOG_TAP_SYNC_TIMEOUT_S", "1")
    query = (
        "SELECT a.file_id FROM fyst.files AS a, fyst.files AS b UNION ALL "
        "SELECT a.file_id FROM fyst.files AS a, fyst.files AS b, fyst.files AS c, fyst.files AS d "
        "WHERE a.size_bytes + b.size_bytes + c.size_bytes + d.size_bytes < 0"
    )
    done = run("query", query, "-o", "x.vot", "--maxrec", "1000000", "--db", filled)
    assert done.code == 1
    assert list(Path().iterdir()) == []
    done = run("query", query, "--format", "votable", "--maxrec", "1000000", "--db", filled)
    assert done.code == 1
    assert b'value="ERROR"' in done.out[-500:]


def test_explain_shows_sql_values_and_plan(run: Run, filled: str) -> None:
    cone = "SELECT obs_id FROM ivoa.obscore WHERE 1 = CONTAINS(POINT(s_ra, s_dec), CIRCLE(83.8, -5.4, 3))"
    done = run("explain", cone, "--db", filled)
    assert (done.code, done.err) == (0, "")
    assert done.text.startswith("SELECT ")
    assert "\n-- " in done.text
    assert ("VIRTUAL TABLE" if filled.startswith("sqlite") else "cost=") in done.text


# --- ingest, refresh, packages -------------------------------------------------------------------------------


def write_fits(folder: Path, name: str) -> None:
    unit = fits.PrimaryHDU(np.zeros((4, 4), np.uint8))
    unit.header.update(
        {"TELESCOP": "FYST", "INSTRUME": "Visitor", "OBJECT": "Orion-KL", "DATE-OBS": "2026-04-01T00:00:00"}
    )
    folder.mkdir(exist_ok=True)
    unit.writeto(folder / name)


def test_ingest_of_fits_files_with_its_options(run: Run, database_url: str) -> None:
    run("init", "--db", database_url)
    write_fits(Path("tree"), "a.fits")
    assert run("ingest", "tree", "--db", database_url).code == 1
    ingest = ["ingest", "tree", "--create-instruments", "--program", "Visit", "--location", "cologne/visitors"]
    dry = run(*ingest, "--dry-run", "--json", "--db", database_url)
    assert dry.code == 0
    assert dry.summary["dry_run"]
    done = run(*ingest, "--tar", "tars", "--db", database_url)
    assert done.code == 0, done.err
    assert "1 created" in done.err
    assert list(Path("tars").rglob("*.tar"))
    rows = run("query", "SELECT obs_collection FROM ivoa.obscore", "--format", "csv", "--db", database_url)
    assert rows.text.splitlines()[1:] == ["Visit"]
    with Database(database_url) as database, database.engine.connect() as connection:
        schema = "ops." if database.dialect == "postgresql" else ""
        names = connection.scalars(sa.text(f"SELECT name FROM {schema}data_location")).all()
    assert "visitors" in names
    again = run(*ingest, "--tar", "tars", "--json", "--db", database_url)
    assert (again.code, again.summary["created"], again.summary["unchanged"]) == (0, 0, 1)
    write_fits(Path("other"), "b.fits")
    done = run("ingest", "other", "--create-instruments", "--location", "cologne/visitors", "--db", database_url)
    assert done.code == 2
    assert "--location" in done.err


def test_ingest_says_that_there_are_notes(run: Run, database_url: str) -> None:
    run("init", "--db", database_url)
    Path("tree").mkdir()
    header = fits.Header({"INSTRUME": "CHAI", "OBJECT": "M 42", "DATE-OBS": "soon"})
    fits.PrimaryHDU(np.zeros(3), header).writeto("tree/a.fits")
    done = run("ingest", "tree", "--create-instruments", "--db", database_url)
    assert done.code == 0
    assert "notes: 1, which --json shows" in one_line(done.err)


def test_ingest_reports_bad_records_and_takes_the_rest(run: Run, database_url: str) -> None:
    run("init", "--db", database_url)
    Path("m.jsonl").write_text('{"instrument": "Nobody"}\nnot json\n')
    done = run("ingest", "m.jsonl", "--db", database_url)
    assert (done.code, done.out) == (1, b"")
    assert re.search(r"^m\.jsonl:1: ", done.err, flags=re.MULTILINE)
    assert re.search(r"^m\.jsonl:2: ", done.err, flags=re.MULTILINE)
    summary = run("ingest", "m.jsonl", "--json", "--db", database_url).summary
    assert (summary["refused"], summary["ok"]) == (2, False)


def test_ingest_of_what_is_not_there_is_wrong_use(run: Run, filled: str) -> None:
    done = run("ingest", "no-such-folder", "--db", filled)
    assert done.code == 2
    assert "no-such-folder" in one_line(done.err)


def test_refresh_publishes_what_plain_sql_changed_and_check_says_what_is_not(run: Run, own: str) -> None:
    assert run("refresh", "--check", "--db", own).code == 0
    with Database(own) as database, database.begin() as connection:
        schema = "ops." if database.dialect == "postgresql" else ""
        connection.execute(sa.text(f"UPDATE {schema}source SET name = 'Other ' || name WHERE name LIKE '%Orion%'"))
    checked = run("refresh", "--check", "--db", own)
    assert checked.code == 1
    assert "target_name: " in checked.err
    assert "`catalog refresh` mends them" in checked.err
    counted = run("refresh", "--check", "--json", "--db", own)
    assert counted.code == 1
    assert counted.summary["differences"] == counted.summary["packages"] > 0
    written = run("refresh", "--json", "--db", own)
    assert written.summary["written"] == counted.summary["differences"]
    assert run("refresh", "--check", "--db", own).code == 0
    assert run("refresh", "--full", "--json", "--db", own).summary["written"] == 0
    assert run("refresh", "--full", "--check", "--db", own).code == 2


def test_packages_are_withdrawn_and_restored(run: Run, own: str) -> None:
    did = run("query", "SELECT TOP 1 obs_publisher_did FROM ivoa.obscore", "--format", "csv", "--db", own).text.split()[
        1
    ]
    count = ["query", f"{COUNT} WHERE obs_publisher_did = '{did}'", "--format", "csv", "--db", own]
    assert run("packages", "withdraw", did, "--reason", "broken", "--db", own).code == 0
    assert run(*count).text.split() == ["n", "0"]
    refused = run("record", did, "--db", own)
    assert refused.code == 2
    assert "broken" in refused.err
    assert run("packages", "restore", did, "--db", own).code == 0
    assert run(*count).text.split() == ["n", "1"]
    unknown = run("packages", "withdraw", "ivo://x/y", "--reason", "z", "--db", own)
    assert unknown.code == 2
    assert "ivo://x/y" in one_line(unknown.err)
    assert run("packages", "withdraw", did, "--db", own).code == 2


# --- record, export ------------------------------------------------------------------------------------------


def test_record_writes_two_files_for_each_package(run: Run, filled: str) -> None:
    dids = run(
        "query", "SELECT TOP 2 obs_publisher_did FROM ivoa.obscore", "--format", "csv", "--db", filled
    ).text.split()[1:]
    done = run("record", *dids, "-o", "records", "--json", "--db", filled)
    assert done.code == 0
    assert done.summary == {"records": 2, "folder": "records"}
    assert sorted(path.suffix for path in Path("records").iterdir()) == [".json", ".json", ".vot", ".vot"]
    everything = run("record", "--all", "-o", "all", "--json", "--db", filled)
    count = int(run("query", COUNT, "--format", "csv", "--db", filled).text.split()[1])
    assert everything.summary["records"] == count
    assert len(list(Path("all").glob("??/*.*"))) == 2 * count


def test_record_wants_names_or_all(run: Run, filled: str) -> None:
    assert run("record", "--db", filled).code == 2
    assert run("record", "x", "--all", "--db", filled).code == 2
    assert run("record", "ivo://no/such", "--db", filled).code == 2


def test_export_writes_a_file_and_its_manifest(run: Run, filled: str) -> None:
    done = run("export", "obscore", "-o", "x.parquet", "--where", "s_dec < 0", "--json", "--db", filled)
    assert done.code == 0
    assert done.summary["rows"] > 5
    assert json.loads(Path("x.parquet.manifest.json").read_text()) == done.summary
    assert run("export", "obscore", "-o", "y", "--format", "csv", "--db", filled).code == 0
    assert Path("y").read_text().startswith("dataproduct_type,")


def test_export_points_out_a_mistake_in_the_condition(run: Run, filled: str) -> None:
    done = run("export", "obscore", "-o", "x.csv", "--where", "s_decc < 0", "--db", filled)
    assert done.code == 2
    lines = done.err.splitlines()
    assert lines[0].startswith("catalog: line 1, column 1: ")
    assert lines[2].index("^") == lines[1].index("s_decc")
    assert list(Path().iterdir()) == []


# --- manners -------------------------------------------------------------------------------------------------


def test_what_nobody_foresaw_is_one_line_and_verbose_shows_more(
    run: Run, filled: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("inside\nout")

    monkeypatch.setattr("catalog.wiring.Catalog.query", fail)
    done = run("query", COUNT, "--db", filled)
    assert (done.code, done.out) == (1, b"")
    assert one_line(done.err) == "catalog: unforeseen ZeroDivisionError: inside"
    assert "--verbose" in done.err


def test_progress_is_shown_on_a_terminal_only(tmp_path: Path) -> None:
    command = [PROGRAM, "demo", "--packages", "3000", "--db", f"sqlite:///{tmp_path}/a.db"]
    quiet = program(*command[1:])
    assert (quiet.returncode, quiet.stderr) == (0, "the catalog holds 3,000 synthetic packages\n")
    command[-1] = f"sqlite:///{tmp_path}/b.db"
    ours, theirs = pty.openpty()
    process = subprocess.Popen(command, stderr=theirs, stdout=subprocess.PIPE, env=environment(TERM="xterm"))
    os.close(theirs)
    seen = b""
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
        if not piece:
            break
        seen += piece
    os.close(ours)
    assert process.communicate(timeout=60)[0] == b""
    assert process.returncode == 0
    assert b"synthetic packages" in seen
    assert b"/3000" in seen
    assert b"\x1b[" in seen


@pytest.mark.parametrize("arguments", [["--format", "csv"], ["--format", "votable"], []])
def test_a_reader_that_has_enough_ends_it_without_a_word(filled: str, arguments: list[str]) -> None:
    query = "SELECT a.file_id, b.file_id AS other FROM fyst.files AS a, fyst.files AS b"
    with subprocess.Popen(
        [PROGRAM, "query", query, *arguments, "--maxrec", "6000", "--db", filled],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.read(10)
        process.stdout.close()
        assert process.wait(60) == 1
        assert process.stderr.read() == b""


@pytest.fixture
def is_asked(filled: str, request: pytest.FixtureRequest) -> Callable[[int], bool]:
    """Whether a process asks the database something: has the file open on SQLite, runs a query on PostgreSQL."""

    def has_file_open(pid: int) -> bool:
        opened = [str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir() if link.is_symlink()]
        return filled.removeprefix("sqlite:///") in opened

    def runs_query(pid: int) -> bool:
        server: Any = request.getfixturevalue("postgres_server")
        query = sql.SQL(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = {} AND state = 'active'"
            " AND now() - query_start > interval '1 second'"
        )
        return bool(server.execute(query.format(sql.Literal(filled.rpartition("/")[2])))[0][0])

    return has_file_open if filled.startswith("sqlite") else runs_query


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("arguments", [["--format", "csv"], ["-o", "x.vot"], []])
def test_ctrl_c_ends_a_query_at_once_and_without_a_word(
    filled: str, arguments: list[str], tmp_path: Path, is_asked: Callable[[int], bool]
) -> None:
    with subprocess.Popen(
        [PROGRAM, "query", LONG, *arguments, "--db", filled],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
        cwd=tmp_path,
        preexec_fn=hear_ctrl_c,
    ) as process:
        wait_for(lambda: is_asked(process.pid))
        time.sleep(2)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=10) == (b"", b"")
        assert process.returncode == 130
    assert filled.startswith("sqlite") or not is_asked(process.pid)
    assert not list(tmp_path.glob("*x.vot*"))


# Python looks into this file of PYTHONPATH first; loading a module now takes as long as the test likes.
SLOW_START = """
import os, sys, time
class Slow:
    def find_spec(self, name, path, target=None):
        if name == os.environ["SLOW"]:
            print("loading", flush=True)
            time.sleep(60)
sys.meta_path.insert(0, Slow())
"""


@pytest.mark.parametrize(("command", "slow"), [("--version", "typer"), ("init", "numpy")])
def test_ctrl_c_before_anything_has_begun_is_heard(command: str, slow: str, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(SLOW_START)
    with subprocess.Popen(
        [sys.executable, "-m", "catalog", command],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment() | {"PYTHONPATH": str(tmp_path), "SLOW": slow},
        preexec_fn=hear_ctrl_c,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"loading\n"
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=20) == (b"", b"")
        assert process.returncode == 130


def test_ctrl_c_while_filling_leaves_what_the_next_run_completes(tmp_path: Path) -> None:
    path = tmp_path / "catalog.db"
    command = ["demo", "--packages", "6000", "--db", f"sqlite:///{path}"]
    with subprocess.Popen(
        [PROGRAM, *command], stderr=subprocess.PIPE, env=environment(), preexec_fn=hear_ctrl_c
    ) as process:
        wait_for(lambda: path.exists() and path.stat().st_size > 1_000_000)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
        assert (process.returncode, err) == (130, b"")
    assert program(*command).returncode == 0
    counted = program("query", "SELECT COUNT(*) AS n FROM fyst.packages", "--format", "csv", *command[-2:])
    assert int(counted.stdout.split()[1]) > 5000


# --- serve ---------------------------------------------------------------------------------------------------


def test_serve_says_where_and_ends_well(filled: str, tmp_path: Path) -> None:
    with subprocess.Popen(
        [PROGRAM, "serve", "--port", "0", "--db", filled],
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env=environment(),
        preexec_fn=hear_ctrl_c,
    ) as process:
        assert process.stderr is not None
        said = process.stderr.readline()
        [url] = re.findall(r"serving (http://127\.0\.0\.1:\d+)/", said)
        assert httpx.get(f"{url}/tap/availability", timeout=30).status_code == 200
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
        assert process.stderr.read() == ""


def test_serve_says_when_the_port_is_taken_and_changes_nothing(run: Run, own: str) -> None:
    asked = [
        "query",
        "SELECT TOP 1 access_url FROM ivoa.obscore WHERE access_url IS NOT NULL",
        "--format",
        "csv",
        "--db",
        own,
    ]
    before = run(*asked).text
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run("serve", "--port", str(port), "--db", own)
    assert done.code == 2
    assert f"port {port}" in one_line(done.err)
    assert "--port" in done.err
    assert run(*asked).text == before
    assert run("serve", "--host", "no.such.host.example", "--db", own).code == 2
    assert run("serve", "--port", "99999", "--db", own).code == 2


@pytest.mark.parametrize(
    ("address", "code", "word"),
    [
        ("sqlite:////proc/nothing/jobs.db", 2, "jobs.url"),
        ("nonsense", 2, "expected sqlite:///PATH"),
        ("postgresql://nobody@127.0.0.1:1/nothing", 3, "does not answer"),
    ],
)
def test_serve_does_not_start_where_jobs_cannot_be_kept(filled: str, address: str, code: int, word: str) -> None:
    done = subprocess.run(
        [PROGRAM, "serve", "--port", "0", "--db", filled],
        capture_output=True,
        text=True,
        env=environment() | {"CATALOG_JOBS_URL": address},
        timeout=120,
    )
    assert done.returncode == code
    assert word in one_line(done.stderr)
