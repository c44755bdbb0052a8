"""From the text of a query to rows on their way: parse, resolve, translate, stream (TAP 1.1 section 2)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from catalog.access import ANONYMOUS, Caller
from catalog.adql.parser import parse
from catalog.adql.resolver import ResolvedQuery, resolve
from catalog.adql.translate import translate
from catalog.db import Database
from catalog.db.plan import indexes_used
from catalog.tap.estimate import Estimate, read_estimate
from catalog.tap.upload import Uploads
from catalog.vo.table import Info, Service, Table, TableStream
from catalog.vo.tableset import TableSchema

__all__ = ["AccessRule", "Explanation", "QueryService", "RowLimits"]

_ESTIMATE_SECONDS = 2.0

AccessRule = Callable[[Caller, Table, sa.FromClause], sa.ColumnElement[bool] | None]
"""Which rows of a protected table a caller may see; `catalog.access.AccessRule.metadata` is one."""


@dataclass(frozen=True, slots=True)
class RowLimits:
    """Bounds of MAXREC (TAP 1.1 section 2.7.4)."""

    default: int
    """Rows handed out when the client states no MAXREC."""

    hard: int
    """Rows handed out at most."""

    def cut(self, maxrec: int | None) -> int:
        """What becomes of a MAXREC; beyond the hard limit it is cut to it without a word."""
        return min(self.default if maxrec is None else maxrec, self.hard)


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a query becomes in the database."""

    sql: str
    values: tuple[tuple[str, object], ...]
    """Bind values by the names that the SQL has for them."""

    plan: str
    """The database's own text."""

    @property
    def indexes(self) -> tuple[str, ...]:
        """Names of the indexes that the plan uses."""
        return indexes_used(self.plan)


class QueryService:
    """Answer ADQL queries over the published tables.

    Args:
        database: Where the tables are; queries use its read-only connection.
        schemas: Descriptions of the tables that may be queried.
        rule: Which rows a caller may see.
        maxrec_default: Rows handed out when the client states no MAXREC.
        maxrec_hard: Rows handed out at most.
        timeout_s: Seconds that the database may take for a query.
        origin: What every result says of where it comes from.
        services: Services that take the values of a column of a result, by the utype of the column.
    """

    def __init__(
        self,
        database: Database,
        schemas: Sequence[TableSchema],
        *,
        rule: AccessRule,
        maxrec_default: int,
        maxrec_hard: int,
        timeout_s: float,
        origin: Sequence[Info] = (),
        services: Mapping[str, Callable[[str], Service]] | None = None,
    ) -> None:
        self._database = database
        self._tables = {table.name: table for schema in schemas for table in schema.tables}
        self._rule = rule
        self._limits = RowLimits(maxrec_default, maxrec_hard)
        self._timeout_s = timeout_s
        self._origin = tuple(origin)
        self._services = dict(services or {})

    def resolve(self, adql: str, *, uploads: Uploads | None = None) -> ResolvedQuery:
        """Check a query and say what its result holds, without running it.

        Args:
            adql: The query.
            uploads: Tables that it may name besides the published ones.

        Raises:
            QueryError: The text is not ADQL, or names what is not there; says where.
        """
        tables = self._tables if uploads is None else {**self._tables, **uploads.tables}
        return self._with_services(resolve(parse(adql), tables))

    def run(
        self,
        adql: str,
        *,
        caller: Caller = ANONYMOUS,
        maxrec: int | None = None,
        limits: RowLimits | None = None,
        timeout_s: float | None = None,
        life_s: float | None = None,
        uploads: Uploads | None = None,
    ) -> TableStream:
        """Run a query.

        Args:
            adql: The query.
            caller: Who asks.
            maxrec: Rows wanted at most; beyond the hard limit it is cut to it without a word (TAP 1.1 section 2.7.4).
            limits: Bounds of ``maxrec``; those of synchronous queries when None.
            timeout_s: Seconds that the database may take; as long as a synchronous query when None.
            life_s: Seconds within which the rows must be read; any number when None.
            uploads: Tables that the query may name besides the published ones; left open, and needed until the rows
                have begun to come.

        Returns:
            The rows; whoever gets the stream closes it.

        Raises:
            QueryError: The query is not valid.
            QueryTimeoutError: The database took too long.
        """
        limit = (limits or self._limits).cut(maxrec)
        resolved = self.resolve(adql, uploads=uploads)
        statement = self._translate(resolved, caller, limit + 1)
        seconds = self._timeout_s if timeout_s is None else timeout_s
        temporary = () if uploads is None else uploads.temporary(resolved.tables)
        return self._database.stream(
            statement, resolved.table, maxrec=limit, timeout_s=seconds, life_s=life_s, temporary=temporary
        )

    def explain(self, adql: str, *, caller: Caller = ANONYMOUS, uploads: Uploads | None = None) -> Explanation:
        """What a query becomes and how the database would answer it, for operators and tests.

        Raises:
            QueryError: The query is not valid.
        """
        resolved = self.resolve(adql, uploads=uploads)
        statement = self._translate(resolved, caller, None)
        query = self._database.render(statement)
        numbered = tuple((f"${number}", value) for number, value in enumerate(query.ordered, 1))
        named = tuple((f":{name}", value) for name, value in query.named.items())
        temporary = () if uploads is None else uploads.temporary(resolved.tables)
        return Explanation(query.sql, numbered or named, self._database.explain(statement, temporary))

    def expected_rows(
        self, adql: str, *, caller: Caller = ANONYMOUS, limit: int, uploads: Uploads | None = None
    ) -> int | None:
        """How many rows the database's planner expects, ``limit`` at most; None from SQLite, which does not say.

        Raises:
            QueryError: The query is not valid.
        """
        resolved = self.resolve(adql, uploads=uploads)
        temporary = () if uploads is None else uploads.temporary(resolved.tables)
        expected = self._database.expected_rows(self._translate(resolved, caller, limit), temporary)
        return None if expected is None else min(expected, limit)

    def estimate(self, adql: str, *, caller: Caller = ANONYMOUS, maxrec: int | None = None) -> Estimate:
        """How many rows and bytes a query would bring, found out within a few seconds.

        Raises:
            QueryError: The query is not valid.
        """
        limit = self._limits.cut(maxrec)
        resolved = self.resolve(adql)
        statement = self._translate(resolved, caller, limit)
        return read_estimate(self._database, statement, resolved.table, seconds=_ESTIMATE_SECONDS)

    def result_infos(self, adql: str, *, request: str | None = None) -> tuple[Info, ...]:
        """Where a result comes from, as INFO elements (Data Origin note, response level).

        Args:
            adql: The query.
            request: URL that was asked, if there was one.
        """
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S")
        asked = () if request is None else (Info("request", request),)
        return (Info("query", adql), Info("request_date", now), *asked, *self._origin)

    def _with_services(self, resolved: ResolvedQuery) -> ResolvedQuery:
        """The same query, whose result describes the services that take its values; each takes one column."""
        services = []
        for utype, describe in self._services.items():
            column = next((column for column in resolved.table.columns if column.utype == utype), None)
            if column is not None:
                services.append(describe(column.name))
        return replace(resolved, table=replace(resolved.table, services=tuple(services)))

    def _translate(self, resolved: ResolvedQuery, caller: Caller, limit: int | None) -> sa.Select[Any]:
        def row_rule(table: Table, rows: sa.FromClause) -> sa.ColumnElement[bool] | None:
            return self._rule(caller, table, rows)

        return translate(resolved, dialect=self._database.dialect, rule=row_rule, limit=limit)
