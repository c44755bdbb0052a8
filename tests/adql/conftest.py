"""The phrase-book, and what several files of these tests ask for."""

from __future__ import annotations

import importlib.util
import math
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest
import sqlalchemy as sa

from catalog.access import AccessRule
from catalog.adql.statement import sql_type
from catalog.settings import Settings
from catalog.tap.query import QueryService
from catalog.vo.table import Column, Table
from catalog.vo.tableset import TableSchema, load_tableset
from catalog.vo.types import Datatype
from catalog.wiring import Catalog

CORPUS = Path(__file__).parent / "corpus"


class Phrase(NamedTuple):
    """A query of the phrase-book."""

    text: str
    code: str = ""
    """Code of the fault; empty for a query that is accepted."""

    line: int = 0
    column: int = 0


def phrases(folder: str) -> list[Phrase]:
    """The queries of a folder of the corpus; its README says how they are written."""
    found: list[Phrase] = []
    for path in sorted((CORPUS / folder).glob("*.adql")):
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.startswith(" "):
                found[-1] = found[-1]._replace(text=f"{found[-1].text}\n{line}")
            elif line and not line.startswith("#"):
                found.append(phrase(line, refused=folder != "accepted"))
    return found


def phrase(line: str, *, refused: bool) -> Phrase:
    if not refused:
        return Phrase(line)
    fault, _, text = line.partition(" | ")
    code, _, place = fault.partition(" ")
    row, _, column = place.partition(":")
    return Phrase(text, code, int(row), int(column))


@pytest.fixture(scope="session")
def writing() -> ModuleType:
    """The module that writes queries at random."""
    name = "query_writer"
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name("writer.py"))
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def accepted() -> list[str]:
    """Queries that the parser takes."""
    return [found.text for found in phrases("accepted")]


@pytest.fixture(scope="session")
def refused() -> list[Phrase]:
    """Queries that the parser refuses."""
    return phrases("refused")


@pytest.fixture(scope="session")
def unresolved() -> list[Phrase]:
    """Queries that the parser takes and the resolver refuses."""
    return phrases("unresolved")


@pytest.fixture(scope="session")
def asked() -> list[str]:
    """Questions to the synthetic observatory."""
    lines = (CORPUS / "answers.adql").read_text(encoding="utf-8").splitlines()
    return [line.removeprefix("empty | ") for line in lines if line and not line.startswith("#")]


@pytest.fixture(scope="session")
def tables() -> dict[str, Table]:
    """The published tables, by name."""
    return {table.name: table for schema in load_tableset() for table in schema.tables}


@pytest.fixture(scope="session")
def advice() -> list[tuple[str, str, str]]:
    """Refused queries, a part of the hint they bring and the query that is proposed; empty for none."""
    text = (CORPUS / "advice.txt").read_text(encoding="utf-8").replace("@", "FROM ivoa.obscore")
    found = []
    for block in text.split("\n\n"):
        parts = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith("#"))
        if parts:
            found.append((parts["query"].replace("\\n", "\n"), parts.get("hint", ""), parts.get("proposal", "")))
    return found


# --- two engines with the same contents ----------------------------------------------------------------------

PACKAGES = 300
SEED = 1
LAB = {
    "lab.numbers": Table(
        "lab.numbers",
        (
            Column("id", Datatype.INT),
            Column("g", Datatype.CHAR, "*"),
            Column("i", Datatype.INT),
            Column("h", Datatype.SHORT),
            Column("l", Datatype.LONG, unit="byte"),
            Column("x", Datatype.DOUBLE, unit="deg"),
            Column("r", Datatype.FLOAT, unit="s"),
        ),
    ),
    "lab.texts": Table(
        "lab.texts",
        (Column("id", Datatype.INT), Column("t", Datatype.UNICODE_CHAR, "*"), Column("g", Datatype.CHAR, "*")),
    ),
    "lab.times": Table(
        "lab.times", (Column("id", Datatype.INT), Column("moment", Datatype.CHAR, "*", xtype="timestamp"))
    ),
    "lab.groups": Table(
        "lab.groups", (Column("g", Datatype.CHAR, "*"), Column("label", Datatype.CHAR, "*"), Column("i", Datatype.INT))
    ),
}


class NumberRow(NamedTuple):
    """A row of lab.numbers."""

    id: int
    g: str | None
    i: int | None
    h: int | None
    l: int | None  # noqa: E741
    x: float | None
    r: float | None


class TextRow(NamedTuple):
    """A row of lab.texts."""

    id: int
    t: str | None
    g: str | None


class TimeRow(NamedTuple):
    """A row of lab.times."""

    id: int
    moment: datetime | None


class GroupRow(NamedTuple):
    """A row of lab.groups."""

    g: str | None
    label: str
    i: int | None


class Laboratory(NamedTuple):
    """Values that databases like to treat differently."""

    numbers: tuple[NumberRow, ...] = (
        NumberRow(1, "a", 7, 7, 9007199254740993, 2.5, 0.5),
        NumberRow(2, "a", -7, -7, -9007199254740993, -2.5, -0.5),
        NumberRow(3, "a", 0, 0, 0, 0.0, 0.0),
        NumberRow(4, "a", 3, 3, 4000000000, 1.5, 0.25),
        NumberRow(5, "b", -3, -3, -4000000000, -1.5, -0.25),
        NumberRow(6, "b", 1, 1, 1, 0.5, 1.5),
        NumberRow(7, "b", -1, -1, -1, -0.5, -1.5),
        NumberRow(8, "b", 2, 2, 9223372036854775807, 1e-10, 3.0),
        NumberRow(9, "c", None, None, None, None, None),
        NumberRow(10, "c", 10, 10, 100, 1234.5678, 1e10),
        NumberRow(11, "c", 100, 100, -100, -1234.5678, -1e10),
        NumberRow(12, None, 5, 5, 12345678901, 1e300, 0.125),
        NumberRow(13, None, -5, -5, -12345678901, -1e300, -0.125),
        NumberRow(14, "c", 2147483647, 32767, 4611686018427387904, 0.1, 16777216.0),
        NumberRow(15, "c", -2147483648, -32768, -4611686018427387904, 1e-300, 7.5),
        NumberRow(16, "a", 7, 7, 7, 2.5, 0.5),
    )
    texts: tuple[TextRow, ...] = tuple(
        TextRow(number, text, group)
        for number, (text, group) in enumerate(
            [
                ("abc", "a"), ("ABC", "a"), ("Abc", "a"), ("abcd", "b"), ("äbc", "b"), ("Äbc", "b"), ("zebra", "c"),
                ("Zebra", "c"), ("a%b", "c"), ("a_b", "c"), ("a\\b", "c"), ("[abc]", "d"), ("*", "d"), ("?", "d"),
                ("", "e"), (" ", "e"), ("ß", "e"), ("É", "e"), ("é", "e"), ("星", "f"), ("\U0001d518", "f"),
                ("\uffee", "f"), ("it's", "g"), ('a"b', "g"), ("tab\there", "g"), ("two\nlines", "g"), (None, "a"),
                ("12", None), ("-3.5e2", None), (" 7 ", None), ("abc", "b"), ("-", None), ("~", None), ("{a,b}", "h"),
            ],
            start=1,
        )
    )  # fmt: skip
    times: tuple[TimeRow, ...] = (
        TimeRow(1, datetime(2026, 4, 1, 23, 59, 59, 999000)),
        TimeRow(2, datetime(2026, 4, 2)),
        TimeRow(3, datetime(2026, 4, 2, 0, 0, 0, 1000)),
        TimeRow(4, datetime(2000, 2, 29, 12)),
        TimeRow(5, datetime(1999, 12, 31, 23, 59, 59)),
        TimeRow(6, None),
        TimeRow(7, datetime(2026, 4, 2)),
        TimeRow(8, datetime(2038, 1, 19, 3, 14, 8)),
    )
    groups: tuple[GroupRow, ...] = (
        GroupRow("a", "alpha", 7),
        GroupRow("b", "beta", None),
        GroupRow("d", "delta", 3),
        GroupRow(None, "none", 0),
        GroupRow("c", "gamma", 10),
    )


def equip(catalog: Catalog) -> QueryService:
    """Put the laboratory beside the observatory, and a service over both."""
    postgresql = catalog.database.dialect == "postgresql"
    metadata = sa.MetaData()
    laboratory = Laboratory()
    with catalog.database.engine.begin() as connection:
        if postgresql:
            connection.execute(sa.text("CREATE SCHEMA lab"))
        for name, table in LAB.items():
            short = name.removeprefix("lab.")
            kinds = [sa.Column(c.name, sql_type(c, catalog.database.dialect)) for c in table.columns]
            physical = sa.Table(
                short if postgresql else f"lab_{short}", metadata, *kinds, schema="lab" if postgresql else None
            )
            physical.create(connection)
            rows = [row._asdict() for row in getattr(laboratory, short)]
            for row in rows:
                if not postgresql and row.get("moment"):
                    row["moment"] = row["moment"].isoformat(timespec="microseconds")
            connection.execute(sa.insert(physical), rows)
    lab = TableSchema(name="lab", title="lab", description="laboratory", tables=tuple(LAB.values()))
    return QueryService(
        catalog.database,
        (*catalog.schemas, lab),
        rule=AccessRule(hides_metadata=False).metadata,
        maxrec_default=100_000,
        maxrec_hard=100_000,
        timeout_s=60.0,
    )


@pytest.fixture(scope="session")
def lab_tables() -> dict[str, Table]:
    """The tables of schema ``lab``, by name."""
    return LAB


@pytest.fixture(scope="session")
def laboratory() -> Laboratory:
    """What the tables of schema ``lab`` hold."""
    return Laboratory()


@pytest.fixture(scope="session")
def services(tmp_path_factory: pytest.TempPathFactory, postgres_server: Any) -> Iterator[dict[str, QueryService]]:
    """A synthetic observatory and the laboratory on either engine."""
    urls = [f"sqlite:///{tmp_path_factory.mktemp('adql') / 'catalog.db'}", postgres_server.create_database()]
    with ExitStack() as stack:
        found = {}
        for url in urls:
            catalog = stack.enter_context(Catalog(Settings().with_database(url)))
            catalog.init()
            catalog.load_synthetic(packages=PACKAGES, seed=SEED)
            found[catalog.database.dialect] = equip(catalog)
        yield found


Rows = list[tuple[Any, ...]]


@pytest.fixture(scope="session")
def answers(services: dict[str, QueryService]) -> Callable[[str], list[Rows]]:
    """The rows that each engine answers a query with."""

    def ask(query: str) -> list[Rows]:
        found = []
        for service in services.values():
            with service.run(query) as stream:
                rows = [row for batch in stream for row in zip(*(c.to_pylist() for c in batch.columns), strict=True)]
                found.append(rows)
        return found

    return ask


TOLERANCE = 1e-11
"""Relative difference of two numbers that count as one; the engines' libraries differ in the last digits."""


@pytest.fixture(scope="session")
def same() -> Callable[..., bool]:
    """Whether two results are equal as multisets, or as lists, floating-point numbers within `TOLERANCE`."""

    def compare(first: Rows, second: Rows, *, ordered: bool = False) -> bool:
        if len(first) != len(second):
            return False
        if not ordered:
            first, second = sorted(first, key=sort_key), sorted(second, key=sort_key)
        return all(
            len(one) == len(other) and all(map(equal, one, other)) for one, other in zip(first, second, strict=True)
        )

    return compare


def equal(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=TOLERANCE, abs_tol=1e-300)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(equal, one, other))
    return type(one) is type(other) and one == other


def sort_key(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """Exact values first, then numbers to nine digits, so that the last digits do not change the order."""
    exact = tuple(str(cell) for cell in row if not isinstance(cell, float | list))
    return exact, tuple(f"{cell:.9g}" if isinstance(cell, float) else "" for cell in row), str(row)
