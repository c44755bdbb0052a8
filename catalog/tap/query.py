"""From the text of a query to rows on their way: parse, resolve, translate, stream (TAP 1.1 section 2)."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from threading import Lock
from typing import Any, cast

import sqlalchemy as sa
from cachetools import LRUCache

from catalog.access import ANONYMOUS, Caller
from catalog.adql.parser import parse
from catalog.adql.resolver import ResolvedQuery, resolve
from catalog.adql.translate import translate
from catalog.db import Database
from catalog.db.plan import indexes_used
from catalog.db.statement import Query
from catalog.tap.estimate import Estimate, read_estimate
from catalog.tap.upload import Uploads
from catalog.vo.table import Info, Service, Table, TableStream
from catalog.vo.tableset import TableSchema

__all__ = ["AccessRule", "Explanation", "QueryService", "RowLimits"]

_ESTIMATE_SECONDS = 2.0
_KEPT = 512
_LONGEST_KEPT = 10_000  # characters
_TAP = "ivo://ivoa.net/std/TAP"

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


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A query that is ready to be run: kept, since the same text comes again with other values."""

    resolved: ResolvedQuery
    query: Query


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
        counts_hidden: Whether results say how many rows of the tables that they come from the caller may not see.
        services: Services that take the values of a column of a result, by the utype of the column.
        variant: What of a caller decides the text of the rule, and the values that it binds by name; translated queries
            are kept by it, and none is where it is None.
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
        counts_hidden: bool = False,
        services: Mapping[str, Callable[[str], Service]] | None = None,
        variant: Callable[[Caller], tuple[Hashable, Mapping[str, object]]] | None = None,
    ) -> None:
        self._database = database
        self._tables = {table.name: table for schema in schemas for table in schema.tables}
        self._rule = rule
        self._limits = RowLimits(maxrec_default, maxrec_hard)
        self._timeout_s = timeout_s
        self._origin = tuple(origin)
        self._counts_hidden = counts_hidden
        self._services = dict(services or {})
        self._variant = variant
        self._prepared: LRUCache[Hashable, _Prepared] = LRUCache(_KEPT)
        self._keeping = Lock()

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
        prepared = self._prepare(adql, caller, limit + 1, uploads)
        seconds = self._timeout_s if timeout_s is None else timeout_s
        temporary = () if uploads is None else uploads.temporary(prepared.resolved.tables)
        return self._database.stream(
            prepared.query, prepared.resolved.table, maxrec=limit, timeout_s=seconds, life_s=life_s, temporary=temporary
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
        """How many rows the database's planner expects, ``limit`` at most; None where nothing is said.

        SQLite does not say. Nor is it said where rows are hidden: the planner has looked at them.

        Raises:
            QueryError: The query is not valid.
        """
        resolved = self.resolve(adql, uploads=uploads)
        if self._guarded(resolved, caller):
            return None
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

    def result_infos(
        self,
        adql: str,
        *,
        request: str | None = None,
        caller: Caller = ANONYMOUS,
        uploads: Uploads | None = None,
        protocol: str | None = None,
    ) -> tuple[Info, ...]:
        """Where a result comes from, as INFO elements (Data Origin note, response level), and what is hidden.

        Args:
            adql: The query.
            request: URL that was asked, if there was one.
            caller: Who asks.
            uploads: Tables that the query may name besides the published ones.
            protocol: IVOA identifier of the protocol by which it was asked; that of TAP when None.
        """
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S")
        asked = () if request is None else (Info("request", request),)
        hidden = self._hidden_rows(adql, caller, uploads) if self._counts_hidden else ()
        spoken = Info("service_protocol", protocol or _TAP)
        return (Info("query", adql), Info("request_date", now), *asked, spoken, *self._origin, *hidden)

    def _guarded(self, resolved: ResolvedQuery, caller: Caller) -> dict[str, tuple[Table, sa.ColumnElement[bool]]]:
        """The tables of a query of which the caller may not see every row, each with the condition of those seen."""
        found = {}
        for name in resolved.tables:
            table = self._tables.get(name)
            if table is not None and table.protected:
                guards = sa.table(
                    "guarded", *(sa.column(column) for column in cast("tuple[str, ...]", table.extra["hidden"]))
                )
                condition = self._rule(caller, table, guards)
                if condition is not None:
                    found[name] = table, condition
        return found

    def _hidden_rows(self, adql: str, caller: Caller, uploads: Uploads | None) -> Iterator[Info]:
        """How many rows the caller does not see of each table, whatever the query asks of it."""
        for name in self._guarded(self.resolve(adql, uploads=uploads), caller):
            counting = resolve(parse(f"SELECT COUNT(*) AS n FROM {name}"), self._tables)
            everything, seen = (
                self._count(translate(counting, dialect=self._database.dialect, rule=rule), counting.table)
                for rule in (None, partial(self._rule, caller))
            )
            if everything > seen:
                whom = "everybody who has not logged in" if caller.username is None else caller.username
                sentence = f"{everything - seen:,} rows of {name} are hidden from {whom}"
                yield Info("hidden_rows", str(everything - seen), sentence)

    def _count(self, statement: sa.Select[Any], table: Table) -> int:
        with self._database.stream(statement, table, timeout_s=self._timeout_s) as rows:
            return int(rows.read_all()["n"][0].as_py())

    def _with_services(self, resolved: ResolvedQuery) -> ResolvedQuery:
        """The same query, whose result describes the services that take its values; each takes one column."""
        services = []
        for utype, describe in self._services.items():
            column = next((column for column in resolved.table.columns if column.utype == utype), None)
            if column is not None:
                services.append(describe(column.name))
        return replace(resolved, table=replace(resolved.table, services=tuple(services)))

    def _prepare(self, adql: str, caller: Caller, limit: int, uploads: Uploads | None) -> _Prepared:
        """The query in SQL: as it is known from before, with the caller's values, or translated now."""

        def prepare() -> _Prepared:
            resolved = self.resolve(adql, uploads=uploads)
            return _Prepared(resolved, self._database.render(self._translate(resolved, caller, limit)))

        if self._variant is None or len(adql) > _LONGEST_KEPT or (uploads is not None and uploads.tables):
            return prepare()
        access_class, values = self._variant(caller)
        key = (adql, access_class, limit)
        with self._keeping:
            found = self._prepared.get(key)
        if found is None:
            found = prepare()  # what fails is not remembered
            with self._keeping:
                self._prepared[key] = found
        return replace(found, query=found.query.with_values(values))

    def _translate(self, resolved: ResolvedQuery, caller: Caller, limit: int | None) -> sa.Select[Any]:
        return translate(resolved, dialect=self._database.dialect, rule=partial(self._rule, caller), limit=limit)
