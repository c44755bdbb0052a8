"""Published rows by ADQL, for records and exports: the same rows and metadata that a TAP query would give."""

from __future__ import annotations

from functools import cache

from catalog.adql.parser import parse
from catalog.adql.resolver import resolve
from catalog.adql.translate import RowRule, translate
from catalog.db import Database
from catalog.obscore.package_obscore import RADIO_TABLE, TABLE, published_table
from catalog.vo.table import Table, TableStream
from catalog.vo.tableset import load_tableset

__all__ = ["RECORD_QUERY", "RowRule", "read_published"]

_PATIENCE_S = 7 * 86_400.0  # the limit of a query that somebody waits for at the other end of a wire is not meant here


def read_published(database: Database, adql: str, *, rule: RowRule | None = None) -> TableStream:
    """All rows of a query over the published tables, however long it takes; whoever gets the stream closes it.

    Args:
        database: Read through its read-only connection.
        adql: The query.
        rule: Which rows of protected tables may be seen; None for all.

    Raises:
        QueryError: The query is not valid; says where.
    """
    resolved = resolve(parse(adql), _tables())
    statement = translate(resolved, dialect=database.dialect, rule=rule)
    return database.stream(statement, resolved.table, timeout_s=_PATIENCE_S)


@cache
def _tables() -> dict[str, Table]:
    return {table.name: table for schema in load_tableset() for table in schema.tables}


def _record_query() -> str:
    """Both tables as one: the columns of ivoa.obscore, then those that ivoa.obscore_radio adds."""
    obscore = [column.name for column in published_table(TABLE).columns]
    radio = [column.name for column in published_table(RADIO_TABLE).columns if column.name not in obscore]
    return f"SELECT {', '.join([*obscore, *radio])} FROM {TABLE} NATURAL JOIN {RADIO_TABLE}"


RECORD_QUERY = _record_query()
