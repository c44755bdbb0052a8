"""A little sky on both engines, and a way to ask it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

import pytest
import sqlalchemy as sa

from catalog.adql.installed import QueryFunctions
from catalog.adql.parser import parse
from catalog.adql.postgresql_functions import POSTGRESQL_FUNCTIONS
from catalog.adql.resolver import resolve
from catalog.adql.sqlite_functions import SQLITE_FUNCTIONS
from catalog.adql.translate import RowRule, translate
from catalog.db import Database, SqlFunction
from catalog.vo.table import Column, Table
from catalog.vo.types import Datatype

TEXT = {"datatype": Datatype.CHAR, "arraysize": "*"}
STARS = Table(
    "sky.stars",
    (
        Column("id", Datatype.INT),
        Column("name", **TEXT, ucd="meta.id"),
        Column("ra", Datatype.DOUBLE, unit="deg", ucd="pos.eq.ra"),
        Column("decl", Datatype.DOUBLE, unit="deg", ucd="pos.eq.dec"),
        Column("plx", Datatype.DOUBLE, unit="mas"),
        Column("freq", Datatype.DOUBLE, unit="GHz", ucd="em.freq;stat.max"),
        Column("width", Datatype.DOUBLE, unit="m"),
        Column("t_min", Datatype.DOUBLE, unit="d", ucd="time.start"),
        Column("t_max", Datatype.DOUBLE, unit="d", ucd="time.end"),
        Column("seen", **TEXT, xtype="timestamp", ucd="time.creation"),
        Column("words", **TEXT),
        Column("n", Datatype.INT),
        Column("outline", **TEXT, xtype="adql:REGION"),
    ),
    protected=True,
    extra={"hidden": ("hidden",)},
)
ROWS: list[tuple[Any, ...]] = [
    (
        1,
        "alpha",
        10.0,
        20.0,
        5.0,
        345.0,
        0.002,
        61000.0,
        61000.5,
        "2026-01-31T12:00:00.250000",
        "red#green",
        1,
        "CIRCLE ICRS 10.0 20.0 1.5",
        0,
    ),
    (
        2,
        "beta",
        180.0,
        60.0,
        None,
        850.0,
        0.0,
        61000.25,
        None,
        "1999-12-31T00:00:00.000000",
        "Dust in Orion",
        2,
        "POLYGON ICRS 179 59 181 59 180 61",
        0,
    ),
    (3, "Beta", 359.5, -89.9, 1.0, None, 1500.0, None, 61001.0, None, "3:34:45.4", 3, "CIRCLE ICRS 0 95 1", 0),
    (4, None, 83.8, -5.4, 2.5, 220.0, 0.25, 60000.0, 60000.0, "2026-01-31T00:00:00.000000", None, None, None, 0),
    (
        5,
        "secret",
        None,
        95.0,
        None,
        -1.0,
        -3.0,
        1.0,
        0.0,
        "2000-01-02T12:00:00.000000",
        "hidden words",
        4,
        "no shape",
        1,
    ),
]
GRID = Table(
    "sky.grid",
    (
        Column("i", Datatype.INT),
        *(Column(name, Datatype.DOUBLE) for name in ("lon", "lat", "plx", "pmra", "pmdec", "rv", "x")),
        Column("cell", Datatype.LONG),
        Column("part", Datatype.INT),
    ),
)
TABLES = {table.name: table for table in (STARS, GRID)}
TYPES = {Datatype.LONG: "BIGINT", Datatype.INT: "INTEGER", Datatype.DOUBLE: "DOUBLE PRECISION"}

Ask = Callable[..., list[tuple[Any, ...]]]


@dataclass(frozen=True, slots=True)
class Sky:
    """The table on one engine."""

    database: Database

    def stream(self, adql: str, rule: RowRule | None = None) -> tuple[Table, list[tuple[Any, ...]]]:
        """What a query yields: its description and its rows."""
        resolved = resolve(parse(adql), TABLES)
        statement = translate(resolved, dialect=self.database.dialect, rule=rule)
        found = self.database.stream(statement, resolved.table).read_all()
        return resolved.table, list(zip(*(column.to_pylist() for column in found.columns), strict=True))

    def plan(self, adql: str) -> str:
        """How the engine would find them."""
        resolved = resolve(parse(adql), TABLES)
        return self.database.explain(translate(resolved, dialect=self.database.dialect))


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def sky(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sky]:
    """Five stars, the last of which is hidden from whom a rule is applied to."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('sky')}/sky.db"
    else:
        url = request.getfixturevalue("postgres_server").create_database()
    functions = [SqlFunction(*function) for function in SQLITE_FUNCTIONS]
    with Database(url, functions=functions) as database:
        fill(database)
        yield Sky(database)


def fill(database: Database) -> None:
    postgresql = database.dialect == "postgresql"
    with database.begin() as connection:
        if postgresql:
            connection.exec_driver_sql("CREATE SCHEMA sky")
            connection.exec_driver_sql("CREATE SCHEMA ivoa")
        insert(connection, STARS, ROWS, "hidden")
        insert(connection, GRID, places())
        begin = "sky.stars" if postgresql else "sky_stars"
        connection.exec_driver_sql(f"CREATE INDEX stars_begin ON {begin} (t_min)")
        QueryFunctions(POSTGRESQL_FUNCTIONS).install(connection)


def insert(connection: sa.Connection, table: Table, rows: list[tuple[Any, ...]], *more: str) -> None:
    postgresql = connection.dialect.name == "postgresql"
    name = table.name if postgresql else table.name.replace(".", "_")
    columns = [f"{column.name} {sql_type(column, postgresql=postgresql)}" for column in table.columns]
    connection.exec_driver_sql(f"CREATE TABLE {name} ({', '.join([*columns, *(f'{word} INTEGER' for word in more)])})")
    names = [*(column.name for column in table.columns), *more]
    command = sa.text(f"INSERT INTO {name} VALUES ({', '.join(':' + word for word in names)})")
    connection.execute(command, [dict(zip(names, row, strict=True)) for row in rows])


def places() -> list[tuple[Any, ...]]:
    """Positions of every kind: poles, meridians, borders of cells, and many in between; with motions and numbers."""
    random = Random(20260131)
    edges = [0.0, 45.0, 90.0, 180.0, 270.0, 359.9999999999, 360.0, -0.5, 22.5, 1e-12]
    heights = [-90.0, 90.0, 0.0, 30.0, -30.0, math.degrees(math.asin(2 / 3)), 60.0, -60.0, 89.9999999]
    spots = [(lon, lat) for lon in edges for lat in heights]
    spots += [(random.uniform(0, 360), math.degrees(math.asin(random.uniform(-1, 1)))) for _ in range(500)]
    rows = []
    for number, (lon, lat) in enumerate(spots):
        order = random.randint(0, 29)
        motion = [random.uniform(0, 800), random.gauss(0, 2000), random.gauss(0, 2000), random.gauss(0, 100)]
        missing = [value if random.random() < 0.9 else None for value in motion]
        x = random.choice([None, *(number / 8 for number in range(-4, 45)), random.uniform(-1, 6)])
        rows.append((number, lon, lat, *missing, x, random.randrange(12 << 2 * order), number % 7))
    return rows


def sql_type(column: Column, *, postgresql: bool) -> str:
    if column.xtype == "timestamp" and postgresql:
        return "TIMESTAMP"
    return TYPES.get(column.datatype, "TEXT")


@pytest.fixture
def ask(sky: Sky) -> Ask:
    """Rows that a query yields."""
    return lambda adql: sky.stream(adql)[1]


@pytest.fixture
def value(ask: Ask) -> Callable[[str], Any]:
    """What an expression yields, without a table of its own."""
    return lambda expression: ask(f"SELECT TOP 1 {expression} AS answer FROM sky.stars WHERE id = 1")[0][0]


def hide(table: Table, rows: sa.FromClause) -> sa.ColumnElement[bool]:
    """The rule that hides the last star."""
    return rows.c.hidden == 0


@pytest.fixture
def ask_hidden(sky: Sky) -> Ask:
    """Rows that a query yields to a caller who may not see the last star."""
    return lambda adql: sky.stream(adql, hide)[1]


@pytest.fixture
def described(sky: Sky) -> Callable[[str], Column]:
    """What the first column of a result says of itself."""
    return lambda adql: resolve(parse(adql), TABLES).table.columns[0]


@pytest.fixture(scope="session")
def grid() -> list[tuple[Any, ...]]:
    """The rows of ``sky.grid``."""
    return places()
