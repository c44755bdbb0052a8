"""TAP_SCHEMA says what the service publishes, itself included, and is written again only when that changes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa
from lxml import etree

from catalog import Catalog, Settings, open_catalog
from catalog.db import Database
from catalog.errors import CatalogError
from catalog.opsdb.models import PublicationSetting
from catalog.settings import DatabaseSettings
from catalog.tap.schema import TapSchema, build_rows, spell_names
from catalog.vo.table import Column, Table
from catalog.vo.tableset import TableSchema
from catalog.vo.types import Datatype
from catalog.vosi import render_tables


def ask(catalog: Catalog, adql: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = catalog.query(adql, maxrec=10_000).read_all().to_pylist()
    return rows


@pytest.fixture
def fresh(database_url: str) -> Iterator[Catalog]:
    """A catalog without packages."""
    with open_catalog(database_url) as opened:
        opened.init()
        yield opened


# --- what it says --------------------------------------------------------------------------------------------


def test_columns_are_those_of_the_vosi_tables_one_by_one(catalog: Catalog) -> None:
    document = etree.fromstring(render_tables(catalog.tableset))
    told = [
        {
            "table_name": table.findtext("name"),
            "column_name": column.findtext("name"),
            "datatype": column.findtext("dataType"),
            "arraysize": column.find("dataType").get("arraysize"),
            "xtype": column.find("dataType").get("extendedType"),
            "description": column.findtext("description"),
            "utype": column.findtext("utype"),
            "unit": column.findtext("unit"),
            "ucd": column.findtext("ucd"),
            "indexed": int("indexed" in [flag.text for flag in column.iter("flag")]),
            "principal": int("principal" in [flag.text for flag in column.iter("flag")]),
            "std": int(column.get("std") == "true"),
            "column_index": index,
        }
        for table in document.iter("table")
        for index, column in enumerate(table.iter("column"), 1)
    ]
    stored = ask(catalog, "SELECT c.* FROM tap_schema.columns AS c")
    assert len(stored) == len(told) > 150
    sizes = {row["size"] for row in stored}
    assert sizes == {None}, "every text has any length"
    ordered = sorted(stored, key=lambda row: [row["table_name"], row["column_index"]])
    assert [{key: row[key] for key in told[0]} for row in ordered] == sorted(
        told, key=lambda row: [row["table_name"], row["column_index"]]
    )


def test_tables_and_keys_are_those_of_the_vosi_tables(catalog: Catalog) -> None:
    document = etree.fromstring(render_tables(catalog.tableset))
    tables = ask(catalog, "SELECT * FROM tap_schema.tables ORDER BY table_index")
    assert [
        (row["schema_name"], row["table_name"], row["table_type"], row["utype"], row["description"]) for row in tables
    ] == [
        (
            schema.findtext("name"),
            table.findtext("name"),
            table.get("type"),
            table.findtext("utype"),
            table.findtext("description"),
        )
        for schema in document.iter("schema")
        for table in schema.iter("table")
    ]
    joined = ask(
        catalog,
        "SELECT from_table, target_table, from_column, target_column, description "
        "FROM tap_schema.keys NATURAL JOIN tap_schema.key_columns",
    )
    assert {tuple(row.values()) for row in joined} == {
        (
            table.findtext("name"),
            key.findtext("targetTable"),
            pair.findtext("fromColumn"),
            pair.findtext("targetColumn"),
            key.findtext("description"),
        )
        for table in document.iter("table")
        for key in table.iter("foreignKey")
        for pair in key.iter("fkColumn")
    }


def test_it_describes_itself_with_the_keys_that_the_standard_names(catalog: Catalog) -> None:
    """TAP 1.1 section 4; the column size is a reserved word of ADQL and named in double quotes."""
    names = ask(catalog, "SELECT table_name FROM TAP_SCHEMA.TABLES WHERE schema_name = 'tap_schema' ORDER BY 1")
    assert [row["table_name"] for row in names] == [
        f"tap_schema.{name}" for name in ("columns", "key_columns", "keys", "schemas", "tables")
    ]
    keys = ask(
        catalog,
        "SELECT from_table, from_column, target_table FROM tap_schema.keys JOIN tap_schema.key_columns USING (key_id) "
        "WHERE target_table LIKE 'tap%'",
    )
    assert {tuple(row.values()) for row in keys} == {
        ("tap_schema.tables", "schema_name", "tap_schema.schemas"),
        ("tap_schema.columns", "table_name", "tap_schema.tables"),
        ("tap_schema.keys", "from_table", "tap_schema.tables"),
        ("tap_schema.keys", "target_table", "tap_schema.tables"),
        ("tap_schema.key_columns", "key_id", "tap_schema.keys"),
    }
    flags = ask(
        catalog,
        "SELECT column_name, datatype, arraysize FROM tap_schema.columns WHERE table_name = 'tap_schema.columns' "
        "AND column_name IN ('indexed', 'principal', 'std', '\"size\"')",
    )
    assert {(row["column_name"], row["datatype"], row["arraysize"]) for row in flags} == {
        (name, "int", None) for name in ("indexed", "principal", "std", '"size"')
    }


@pytest.mark.parametrize(
    "adql",
    [
        "SELECT * FROM TAP_SCHEMA.COLUMNS",
        "SELECT * FROM tap_schema.columns",
        "SELECT * FROM Tap_Schema.Columns AS c WHERE C.INDEXED = 1",
        'SELECT "size" FROM TAP_SCHEMA.columns',
        "SELECT schema_name, COUNT(*) AS n FROM TAP_SCHEMA.tables GROUP BY schema_name HAVING COUNT(*) > 1",
        "SELECT s.schema_name FROM TAP_SCHEMA.schemas AS s LEFT JOIN TAP_SCHEMA.tables AS t USING (schema_name)",
        "SELECT column_name FROM tap_schema.columns WHERE table_name IN (SELECT target_table FROM TAP_SCHEMA.keys)",
    ],
)
def test_it_is_asked_like_any_table_in_any_case(catalog: Catalog, adql: str) -> None:
    assert ask(catalog, adql)


def test_results_from_it_carry_its_own_descriptions(catalog: Catalog) -> None:
    with catalog.query("SELECT * FROM TAP_SCHEMA.columns") as rows:
        described = {column.name: column for column in rows.table.columns}
    assert list(described)[5] == "size"
    assert described["size"].datatype is Datatype.INT
    assert described["unit"].ucd == "meta.unit"


def test_indexed_columns_have_an_index(catalog: Catalog) -> None:
    inspector = sa.inspect(catalog.database.engine)
    for row in ask(catalog, "SELECT * FROM tap_schema.columns WHERE table_name LIKE 'tap%' AND indexed = 1"):
        schema, name = catalog.database.published_name(row["table_name"])
        assert [row["column_name"]] in [index["column_names"] for index in inspector.get_indexes(name, schema)]


# --- what it is made of --------------------------------------------------------------------------------------


def schema_of(*columns: Column) -> TableSchema:
    return TableSchema(name="s", title="S", description="d", tables=(Table("s.t", columns),))


@pytest.mark.parametrize(
    ("datatype", "arraysize", "size"),
    [
        (Datatype.CHAR, "*", None),
        (Datatype.CHAR, "16*", 16),
        (Datatype.CHAR, "16", 16),
        (Datatype.CHAR, "1", 1),
        (Datatype.DOUBLE, None, None),
        (Datatype.DOUBLE, "2", 2),
        (Datatype.DOUBLE, "3x2", None),
        (Datatype.DOUBLE, "3x*", None),
    ],
)
def test_size_is_the_length_of_what_has_one_dimension(datatype: Datatype, arraysize: str | None, size: int) -> None:
    [row] = build_rows([schema_of(Column("c", datatype, arraysize))])["tap_schema.columns"]
    assert (row["arraysize"], row["size"]) == (arraysize, size)


def test_names_that_adql_reserves_or_cannot_read_are_quoted() -> None:
    names = ["plain", "Order", "size", "2mass", 'a"b', "with blank", "_x"]
    [spelled] = spell_names([schema_of(*(Column(name, Datatype.INT) for name in names))])
    assert [column.name for column in spelled.tables[0].columns] == [
        "plain",
        '"Order"',
        '"size"',
        '"2mass"',
        '"a""b"',
        '"with blank"',
        '"_x"',
    ]


# --- when it is written --------------------------------------------------------------------------------------


def written(catalog: Catalog) -> Any:
    with catalog.database.engine.connect() as connection:
        query = sa.select(PublicationSetting).where(PublicationSetting.key == "tap_schema")
        return tuple(connection.execute(query).one())


def test_installing_again_changes_nothing(fresh: Catalog) -> None:
    before = written(fresh)
    fresh.init()
    assert written(fresh) == before


def test_another_description_is_noticed_and_installed(fresh: Catalog) -> None:
    changed = [
        schema.model_copy(
            update={
                "tables": tuple(
                    replace(table, description="Another text.") if table.name == "ivoa.obscore" else table
                    for table in schema.tables
                )
            }
        )
        for schema in fresh.tableset
    ]
    query = "SELECT description FROM tap_schema.tables WHERE table_name = 'ivoa.obscore'"
    other = TapSchema(changed)
    with fresh.database.begin() as connection:
        assert not other.is_current(connection)
        other.install(connection)
        assert other.is_current(connection)
    assert ask(fresh, query) == [{"description": "Another text."}]
    with pytest.raises(CatalogError, match="another version") as raised:
        fresh.check_ready()
    assert "catalog init" in str(raised.value.hint)
    fresh.init()
    fresh.check_ready()
    assert ask(fresh, query) != [{"description": "Another text."}]


def test_tables_that_somebody_dropped_come_back(fresh: Catalog) -> None:
    schema, name = fresh.database.published_name("tap_schema.keys")
    with fresh.database.begin() as connection:
        connection.execute(sa.text(f"DROP TABLE {schema + '.' if schema else ''}{name}"))
    fresh.init()
    assert ask(fresh, "SELECT key_id FROM tap_schema.keys")


def test_dropping_leaves_nothing_and_may_be_repeated(fresh: Catalog) -> None:
    tables = TapSchema(fresh.tableset)
    with fresh.database.begin() as connection:
        tables.drop(connection)
        tables.drop(connection)
        schema = "tap_schema" if fresh.database.dialect == "postgresql" else None
        assert [name for name in sa.inspect(connection).get_table_names(schema) if name.startswith("tap_schema")] == []
        assert not tables.is_current(connection)


def test_the_public_login_reads_it_and_does_not_write_it(postgres_server: Any) -> None:
    url = postgres_server.create_database()
    settings = Settings(database=DatabaseSettings(url=url, public_url=postgres_server.reader_url(url)))
    with open_catalog(settings) as catalog:
        catalog.init()
        assert len(ask(catalog, "SELECT * FROM TAP_SCHEMA.tables")) == 14
    with Database(postgres_server.reader_url(url)) as reader, reader.begin() as connection:
        with pytest.raises(sa.exc.ProgrammingError, match="permission denied"):
            connection.execute(sa.text("DELETE FROM tap_schema.tables"))
        connection.rollback()
    postgres_server.drop_database(url)
