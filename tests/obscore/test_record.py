"""Records: one package as an object, a VOTable and a JSON document, equal to the rows of the views."""

from __future__ import annotations

import copy
import gc
import hashlib
import json
import pickle
import tracemalloc
import warnings
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import sqlalchemy as sa
from astropy.io.votable import parse, validate

from catalog.db import Database
from catalog.errors import NotFoundError, UsageError
from catalog.obscore.freshness import keep_resolved
from catalog.obscore.package_obscore import RADIO_TABLE, TABLE, package_obscore, published_table
from catalog.obscore.record import read_record, read_records, render_document, write_record, write_records
from catalog.opsdb.publication import restore, withdraw

DID = "ivo://org.example.fyst/raw?"


@pytest.fixture
def packages(catalog: Database, world: Any) -> list[str]:
    """Ids of committed packages of different kinds, one with text that is hard to write."""
    hard = {"target_name": '"<b>&amp;\ttab\nline é Ω </TD></TR>\n<TR>', "obs_title": "'; --", "t_xel": 2**53 + 1}
    tuned = {"configuration": world.co43, "module_configurations": [world.fine]}
    made = [
        world.package(world.unit(world.orion, obs_unit=tuned), world.lfa, files=2),
        world.package(world.unit(world.stripe, program=world.closed)),
        world.package(world.unit(None), world.weather, copies=0),
        world.package(world.unit(world.jupiter, end=None)),
        world.package(world.unit(world.orion), metadata=hard),
    ]
    ids = [str(package.id) for package in made]
    world.session.commit()
    return ids


def both_rows(database: Database, did: str, read_view: Callable[..., Any]) -> dict[str, Any]:
    """The rows of both views for a package, with times as they are published."""
    row: dict[str, Any] = {}
    for name in (TABLE, RADIO_TABLE):
        (found,) = read_view(database, name, f"WHERE obs_publisher_did = '{did}'")
        row |= {column.name: found[column.name] for column in published_table(name).columns}
    for name in ("obs_creation_date", "obs_release_date"):
        value = row[name]
        if value is not None:
            row[name] = (value.isoformat(timespec="milliseconds") if isinstance(value, datetime) else value)[:23]
    return row


def test_a_record_is_the_row_of_both_views(
    catalog: Database, packages: list[str], read_view: Callable[..., Any]
) -> None:
    for package in packages:
        wanted = both_rows(catalog, DID + package, read_view)
        record = read_record(catalog, DID + package)
        assert record.as_dict() == wanted
        assert {type(record.as_dict()[name]) for name in wanted} <= {str, int, float, type(None)}
    assert [record.as_dict() for record in read_records(catalog)] == [
        read_record(catalog, DID + package).as_dict() for package in sorted(packages)
    ]


def test_a_record_has_its_columns_as_attributes(catalog: Database, packages: list[str]) -> None:
    record = read_record(catalog, DID + packages[0])

    assert record.obs_publisher_did == DID + packages[0]
    assert record.s_ra == pytest.approx(83.80995)
    assert record.instr_tel_diameter == 6.0
    assert record.table.column("s_ra").unit == "deg"
    with pytest.raises(AttributeError, match="a record has no column 'colour'"):
        _ = record.colour
    for again in (copy.copy(record), copy.deepcopy(record), pickle.loads(pickle.dumps(record))):  # noqa: S301
        assert again == record


def test_columns_of_a_record_are_those_of_both_tables(catalog: Database, packages: list[str]) -> None:
    record = read_record(catalog, DID + packages[0])
    obscore, radio = (published_table(name).columns for name in (TABLE, RADIO_TABLE))
    names = [column.name for column in (*obscore, *radio[1:])]

    assert [column.name for column in record.table.columns] == names
    for column in (*obscore, *radio[1:]):
        described = record.table.column(column.name)
        assert (described.unit, described.ucd, described.utype, described.description) == (
            column.unit,
            column.ucd,
            column.utype,
            column.description,
        )


@pytest.mark.parametrize("did", ["ivo://org.example.fyst/raw?0", "", "x' OR '1'='1", "ivo://é/ü", "a\x00b"])
def test_an_identifier_of_nothing_is_told(catalog: Database, packages: list[str], did: str) -> None:
    with pytest.raises(UsageError):
        read_record(catalog, did)
    if did.isprintable():
        with pytest.raises(NotFoundError, match="no published package has the identifier"):
            read_record(catalog, did)


def test_a_withdrawn_package_says_when_and_why_until_it_is_restored(
    catalog: Database, packages: list[str], tmp_path: Path
) -> None:
    did = DID + packages[0]
    with keep_resolved(catalog.session()) as session:
        withdraw(session.connection(), did, "wrong target, see DOI 10.1/x")
        session.commit()
    today = datetime.now().astimezone()
    with pytest.raises(NotFoundError) as refused:
        read_record(catalog, did)
    said = refused.value.message
    assert said.startswith(f"the package {did} was withdrawn on {today.year}-")
    assert said.endswith(": wrong target, see DOI 10.1/x")
    with pytest.raises(NotFoundError, match="was withdrawn on"):
        write_records(catalog, tmp_path / "one", dids=[did])
    assert write_records(catalog, tmp_path / "all") == 4
    assert not list((tmp_path / "all").rglob(f"{packages[0]}*"))

    with keep_resolved(catalog.session()) as session:
        restore(session.connection(), did)
        session.commit()
    assert read_record(catalog, did).obs_publisher_did == did


# Files


def test_a_record_becomes_a_votable_that_reads_back_equal(
    catalog: Database, packages: list[str], tmp_path: Path
) -> None:
    for package in packages:
        record = read_record(catalog, DID + package)
        votable, document = write_record(record, tmp_path)
        assert (votable, document) == (tmp_path / f"{package}.vot", tmp_path / f"{package}.json")

        with warnings.catch_warnings():
            warnings.simplefilter("error")
            (row,) = parse(votable, verify="exception").get_first_table().to_table()
        cells = zip(row.colnames, row, strict=True)
        found = {name: None if np.ma.is_masked(cell) or cell == "" else cell for name, cell in cells}
        assert found == record.as_dict()


def test_astropy_finds_nothing_wrong_with_the_votables(catalog: Database, packages: list[str], tmp_path: Path) -> None:
    for package in packages:
        votable, _ = write_record(read_record(catalog, DID + package), tmp_path)
        with (tmp_path / "report").open("w") as report:
            assert validate(votable, output=report)
        assert "found no violations" in (tmp_path / "report").read_text()


def test_the_same_row_makes_the_same_bytes(catalog: Database, packages: list[str], world: Any, tmp_path: Path) -> None:
    """Alone or among others, now or later, also when the row has been resolved anew in between."""
    alone = digests(tmp_path / "alone", write_records(catalog, tmp_path / "alone", dids=[DID + p for p in packages]))
    for name in ("FYST-2", "FYST"):
        world.fyst.short_name = name
        world.session.commit()
    together = digests(tmp_path / "all", write_records(catalog, tmp_path / "all"))

    assert alone == together
    assert len(alone) == 10


def digests(folder: Path, written: int) -> dict[str, str]:
    assert written == 5
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*") if path.is_file()}


def table_schema(name: str) -> dict[str, Any]:
    """What the JSON document says of a table: every column, of its type or null."""
    kinds = {"double": "number", "int": "integer", "long": "integer"}
    columns = published_table(name).columns
    return {
        "type": "object",
        "required": [column.name for column in columns],
        "additionalProperties": False,
        "properties": {c.name: {"type": [kinds.get(c.datatype.votable, "string"), "null"]} for c in columns},
    }


SCHEMA = {
    "type": "object",
    "required": ["obs_publisher_did", TABLE, RADIO_TABLE, "units"],
    "additionalProperties": False,
    "properties": {
        "obs_publisher_did": {"type": "string", "pattern": "^ivo://"},
        "units": {"type": "object", "additionalProperties": {"type": "string", "minLength": 1}},
        **{name: table_schema(name) for name in (TABLE, RADIO_TABLE)},
    },
}


def test_the_json_document_says_values_by_table_and_their_units(catalog: Database, packages: list[str]) -> None:
    for record in read_records(catalog):
        text = render_document(record)
        document = json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))
        jsonschema.validate(document, SCHEMA)
        values = record.as_dict()
        for name in (TABLE, RADIO_TABLE):
            assert document[name] == {column.name: values[column.name] for column in published_table(name).columns}
        assert document["obs_publisher_did"] == values["obs_publisher_did"]
        units = {column.name: column.unit for column in record.table.columns if column.unit}
        assert document["units"] == units
        assert (units["s_ra"], units["em_min"], units["access_estsize"], units["t_min"]) == ("deg", "m", "kbyte", "d")
        assert text.endswith("}\n")


def test_named_packages_lie_side_by_side_and_all_packages_in_folders_by_their_last_digits(
    catalog: Database, packages: list[str], tmp_path: Path
) -> None:
    assert write_records(catalog, tmp_path / "named" / "deep", dids=[DID + packages[0]]) == 1
    assert sorted(path.name for path in (tmp_path / "named" / "deep").iterdir()) == [
        f"{packages[0]}.json",
        f"{packages[0]}.vot",
    ]

    assert write_records(catalog, tmp_path / "all") == 5
    found = {path.relative_to(tmp_path / "all").as_posix() for path in (tmp_path / "all").rglob("*.*")}
    assert found == {f"{package[-2:]}/{package}.{ending}" for package in packages for ending in ("vot", "json")}


def test_an_unknown_package_among_others_is_told_and_the_ones_before_it_are_written(
    catalog: Database, packages: list[str], tmp_path: Path
) -> None:
    told: list[tuple[int, int | None]] = []
    wanted = [DID + packages[0], DID + "0", DID + packages[1]]
    with pytest.raises(NotFoundError):
        write_records(catalog, tmp_path / "r", dids=wanted, progress=lambda n, total: told.append((n, total)))
    assert told == [(1, None)]
    assert len(list((tmp_path / "r").iterdir())) == 2


def test_writing_again_replaces_and_leaves_nothing_else(
    catalog: Database, packages: list[str], tmp_path: Path, world: Any
) -> None:
    write_records(catalog, tmp_path / "r")
    world.geco.short_name = "GEco2"
    world.session.commit()
    write_records(catalog, tmp_path / "r")

    assert len([path for path in (tmp_path / "r").rglob("*") if path.is_file()]) == 10
    document = json.loads((tmp_path / "r" / packages[0][-2:] / f"{packages[0]}.json").read_text())
    assert document[TABLE]["obs_collection"] == "GEco2"


def test_a_folder_that_cannot_be_made_is_told(catalog: Database, packages: list[str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written: Not a directory"):
        write_records(catalog, tmp_path / "file" / "r")
    with pytest.raises(UsageError, match="cannot be written: File exists"):
        write_records(catalog, tmp_path / "file")


@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
def test_memory_does_not_grow_with_the_packages(catalog: Database, packages: list[str], tmp_path: Path) -> None:
    """1,600 records more are 31 MB of text; a slice of rows more or less may be on its way when one peak is taken."""
    many(catalog, 2500)
    peaks = {}
    gc.freeze()  # what other tests have left behind need not be looked through
    for count in (800, 2400):
        tracemalloc.start()

        def stop(done: int, total: int | None, count: int = count) -> None:
            if done % 100 == 0:
                gc.collect()  # garbage in circles waits long
            if done == count:
                peaks[count] = tracemalloc.get_traced_memory()[1]
                raise InterruptedError

        with pytest.raises(InterruptedError):
            write_records(catalog, tmp_path / str(count), progress=stop)
        tracemalloc.stop()
    gc.unfreeze()
    assert peaks[2400] < peaks[800] + 12_000_000
    for count in (800, 2400):
        folders = list((tmp_path / str(count)).iterdir())
        assert len(folders) <= 256
        assert sum(1 for path in (tmp_path / str(count)).rglob("*.vot")) == count


def many(database: Database, count: int) -> None:
    """Further resolved rows, made of one that is there."""
    table = package_obscore()
    with database.begin() as connection:
        row = dict(connection.execute(sa.select(table).limit(1)).mappings().one())
        fresh = []
        for number in range(count):
            package = hashlib.md5(str(number).encode(), usedforsecurity=False).hexdigest()
            did = f"{DID}{package[:8]}-{package[8:12]}-{package[12:16]}-{package[16:20]}-{package[20:]}"
            unique = {"obscore_key": 10_000 + number, "obs_publisher_did": did}
            fresh.append(tuple((row | unique | {"raw_data_package_id": did.partition("?")[2]}).values()))
        database.bulk_insert(connection, table, list(row), fresh)
