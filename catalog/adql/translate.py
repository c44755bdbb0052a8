"""Typed tree → SQLAlchemy Core for SQLite and PostgreSQL.

One of two places that know an engine. Each reference to a protected table becomes a selection of the rows that the
caller may see. Set operations inside others are wrapped, since SQLite takes no parentheses there. TOP, OFFSET and
positions are written out, all other values are bound.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeAlias

import sqlalchemy as sa
from sqlalchemy.sql.selectable import SelectBase

from catalog.adql import nodes
from catalog.adql.diagnostics import too_nested
from catalog.adql.fences import Fences, find_fences
from catalog.adql.kinds import Kind, kind_of
from catalog.adql.mathematics import Dialect, Sql, verbatim
from catalog.adql.nodes import QueryBody, SelectItem
from catalog.adql.resolver import ResolvedQuery
from catalog.adql.sqlite_functions import SQLITE_FUNCTIONS
from catalog.adql.statement import RowRule, Source, Statement
from catalog.adql.storage import read_table
from catalog.adql.values import ValueTranslator
from catalog.adql.walk import parts
from catalog.vo.table import Column

__all__ = ["SQLITE_FUNCTIONS", "RowRule", "translate"]

Selection: TypeAlias = "sa.Select[Any]"

_PLAIN = re.compile("[A-Za-z_][A-Za-z0-9_]{0,62}")
"""Names that PostgreSQL holds, and that need no care in quotes."""

_SET_OPERATIONS: dict[tuple[str, bool], Callable[..., sa.CompoundSelect[Any]]] = {
    ("UNION", False): sa.union,
    ("UNION", True): sa.union_all,
    ("EXCEPT", False): sa.except_,
    ("EXCEPT", True): sa.except_all,
    ("INTERSECT", False): sa.intersect,
    ("INTERSECT", True): sa.intersect_all,
}


def translate(
    resolved: ResolvedQuery, *, dialect: Dialect, rule: RowRule | None = None, limit: int | None = None
) -> Selection:
    """The query in SQL.

    The columns come in the order of ``resolved.table`` and, on PostgreSQL, in its types. Timestamps are text
    ``YYYY-MM-DDThh:mm:ss.fff``; geometries and other arrays are text of blank-separated numbers.

    Args:
        resolved: From `catalog.adql.resolver.resolve`.
        dialect: The engine that will run it. SQLite needs `SQLITE_FUNCTIONS` registered.
        rule: Gives the condition under which a row of a protected table may be seen.
        limit: At most this many rows, besides what TOP says: MAXREC + 1, to know whether more were there.

    Raises:
        QueryError: The query nests deeper than can be followed.
    """
    try:
        return _QueryTranslator(Statement(dialect, rule), find_fences(resolved.query)).translate(resolved, limit)
    except RecursionError:
        raise too_nested() from None


class _QueryTranslator:
    def __init__(self, statement: Statement, fences: Fences) -> None:
        self._statement = statement
        self._fences = fences
        self._values = ValueTranslator(statement, self._query)

    def translate(self, resolved: ResolvedQuery, limit: int | None) -> Selection:
        for index, item in enumerate(resolved.query.ctes):
            inner = self._fenced(item.query, needed=index in self._fences.ctes)
            self._statement.ctes.append(inner.cte(f"w{index + 1}"))
        query, columns = resolved.query.body, resolved.table.columns
        body = query.body
        labels = _labels(columns)
        if isinstance(body, nodes.Select) and not body.distinct:
            final = self._sorted(self._select(body, labels, final=columns), query, self._item_values(body))
            return _limited(final, _least(body.top, limit), query.offset)
        top = body.top if isinstance(body, nodes.Select) else None
        result = self._body(body, with_top=False).subquery("result")
        values = tuple(result.c)
        if query.source is not None:
            self._statement.sources[query.source] = Source(result, values)
        select: Selection = sa.select(
            *(
                self._final(self._values.shown(value, kind_of(column)), column).label(label)
                for value, column, label in zip(values, columns, labels, strict=True)
            )
        )
        return _limited(self._sorted(select, query, values), _least(top, limit), query.offset)

    # --- queries as tables ---

    def _query(self, query: nodes.QueryExpression) -> SelectBase:
        """A query as a table of values in the types that the engine computes with."""
        body = query.body
        if isinstance(body, nodes.Select) and not (body.distinct and query.order_by):
            select = self._select(body, _labels(body.columns))
            select = self._sorted(select, query, self._item_values(body))
            return _limited(select, body.top, query.offset)
        if not query.order_by and query.offset is None:
            return self._body(body)
        top = body.top if isinstance(body, nodes.Select) else None
        inner = self._body(body, with_top=False).subquery()
        values = tuple(inner.c)
        if query.source is not None:
            self._statement.sources[query.source] = Source(inner, values)
        return _limited(self._sorted(sa.select(*values), query, values), top, query.offset)

    def _body(self, body: QueryBody, *, with_top: bool = True) -> SelectBase:
        if isinstance(body, nodes.Select):
            select = self._select(body, _labels(body.columns))
            return _limited(select, body.top if with_top else None, None)
        if isinstance(body, nodes.SetOperation):
            return self._set_operation(body)
        return self._query(body)

    def _set_operation(self, operation: nodes.SetOperation) -> SelectBase:
        operands = [self._set_operand(operand, operation) for operand in operation.operands]
        if operation.all and operation.operator != "UNION" and not self._statement.is_postgresql:
            return _numbered(operands, _SET_OPERATIONS[operation.operator, False])
        return _SET_OPERATIONS[operation.operator, operation.all](*operands)

    def _set_operand(self, operand: QueryBody, operation: nodes.SetOperation) -> Selection:
        """A plain selection with the columns of the whole operation, in its types."""
        labels = _labels(operation.columns)
        if isinstance(operand, nodes.Select) and operand.top is None and not self._is_misread(operand):
            return self._select(operand, labels, united=operation.columns)
        inner = self._body(operand).subquery()
        changed = zip(inner.c, operand.columns, operation.columns, labels, strict=True)
        return sa.select(*(self._united(value, own, both).label(label) for value, own, both, label in changed))

    def _is_misread(self, select: nodes.Select) -> bool:
        """SQLite 3.40 merges a FULL JOIN under UNION ALL into the query around it and repeats rows; not a subquery."""
        return not self._statement.is_postgresql and _joins_fully(select.tables)

    def _united(self, value: Sql, own: Column, both: Column) -> Sql:
        if kind_of(own) is not Kind.NULL and own.datatype is both.datatype:
            return value
        return self._statement.cast(value, both)

    # --- SELECT ---

    def _select(
        self,
        select: nodes.Select,
        labels: list[str],
        *,
        united: tuple[Column, ...] | None = None,
        final: tuple[Column, ...] | None = None,
    ) -> Selection:
        """A selection without its order and limit.

        Args:
            select: Resolved.
            labels: Names of the columns in SQL.
            united: The columns of the set operation that it is part of.
            final: The columns of the result that leaves the database.
        """
        around = self._statement.in_reach
        tables = self._from(select.tables)
        columns = []
        for index, (item, own) in enumerate(zip(select.items, select.columns, strict=True)):
            assert isinstance(item, SelectItem)  # noqa: S101  (the resolver expands stars)
            if final is not None:
                given = None if select.group_by else self._given(item.expression)
                value = self._final(self._values.output(item.expression) if given is None else given, final[index])
            elif kind_of(own) is Kind.NULL or united is not None:
                value = self._united(self._values.value(item.expression), own, united[index] if united else own)
            else:
                value = self._values.value(item.expression)
            if index == 0 and select.having is not None and self._needs_aggregate(select):
                value = sa.case((sa.func.count(sa.text("*")) >= verbatim("0", sa.BigInteger), value))
            columns.append(value.label(labels[index]))
        result = sa.select(*columns).select_from(tables)
        if select.where is not None:
            result = result.where(self._values.condition(select.where))
        if select.group_by:
            result = result.group_by(*map(self._values.value, select.group_by))
        if select.having is not None:
            result = result.having(self._values.condition(select.having))
        if select.distinct:
            result = result.distinct()
        return result.correlate(*around) if around else result

    def _needs_aggregate(self, select: nodes.Select) -> bool:
        """SQLite takes HAVING without GROUP BY only where an aggregate is selected."""
        return not (self._statement.is_postgresql or select.group_by or any(map(_aggregates, select.items)))

    def _given(self, expression: nodes.Expression) -> Sql | None:
        """The value as it was uploaded, where a column alone is selected and the engine computes with another."""
        if not isinstance(expression, nodes.ColumnRef) or expression.source is None:
            return None
        return self._statement.sources[expression.source].given.get(expression.position or 0)

    def _final(self, value: Sql, column: Column) -> Sql:
        """The value in the type that the result declares; PostgreSQL's reader goes by it."""
        kind = kind_of(column)
        if self._statement.is_postgresql:
            return sa.cast(value, self._statement.type_of(column) if kind.is_number else sa.Text())
        return value

    def _item_values(self, select: nodes.Select) -> tuple[Sql, ...]:
        return tuple(self._values.value(item.expression) for item in select.items if isinstance(item, SelectItem))

    def _sorted(self, select: Selection, query: nodes.QueryExpression, values: tuple[Sql, ...]) -> Selection:
        """In order: text by code point, NULL as the greatest value."""
        keys = []
        for term in query.order_by:
            if term.position is None:
                value, kind = self._values.value(term.expression), kind_of(term.expression.type)
            else:
                value, kind = values[term.position], kind_of(query.columns[term.position])
            if kind is Kind.NULL:  # all alike; PostgreSQL does not sort by a constant
                continue
            key = self._statement.ordered(value, kind)
            ordered = sa.desc(key) if term.descending else sa.asc(key)
            if not self._statement.is_postgresql:
                ordered = sa.nulls_first(ordered) if term.descending else sa.nulls_last(ordered)
            keys.append(ordered)
        return select.order_by(*keys) if keys else select

    # --- FROM ---

    def _from(self, item: nodes.FromItem) -> sa.FromClause:
        if isinstance(item, nodes.Join):
            left, right = self._from(item.left), self._from(item.right)
            on = sa.true() if item.on is None else self._values.condition(item.on, top=item.kind != "FULL")
            if item.kind == "FULL" and self._statement.is_postgresql and not _can_hash(item):
                on = sa.and_(on, _always(left) == _always(right))
            if item.kind == "RIGHT":
                left, right = right, left
            return sa.join(left, right, on, isouter=item.kind in ("LEFT", "RIGHT"), full=item.kind == "FULL")
        assert item.source is not None  # noqa: S101  (resolved)
        alias = f"t{item.source}"
        if isinstance(item, nodes.DerivedTable):
            inner = self._fenced(item.query, needed=item.source in self._fences.sources)
            clause: sa.FromClause = inner.subquery(alias)
        elif item.cte is not None:
            clause = self._statement.ctes[item.cte].alias(alias)
        else:
            assert item.table is not None  # noqa: S101  (resolved)
            source = read_table(item.table, alias, self._statement)
            self._statement.sources[item.source] = source
            return source.clause
        self._statement.sources[item.source] = Source(clause, tuple(clause.c))
        return clause

    def _fenced(self, query: nodes.QueryExpression, *, needed: bool) -> SelectBase:
        """The query as a table, kept from what is around it where that could raise on a row that it hides."""
        table = self._query(query)
        hides = any(source.allowed is not None for source in self._statement.sources.values())
        if not needed or not hides or query.offset:
            return table
        assert isinstance(table, sa.GenerativeSelect)  # noqa: S101  (a selection, or a compound of selections)
        return table.offset(verbatim("0"))


def _aggregates(item: nodes.Expression | SelectItem | nodes.Star) -> bool:
    """Whether an aggregate stands in what is selected."""
    if isinstance(item, nodes.Star):
        return False
    value = item.expression if isinstance(item, SelectItem) else item
    return isinstance(value, nodes.Aggregate) or any(map(_aggregates, nodes.children(value)))


def _can_hash(join: nodes.Join) -> bool:
    """Whether a column of one side equals one of the other; PostgreSQL wants that of a FULL JOIN."""
    sides = [
        {part.source for part in parts(side) if isinstance(part, nodes.TableRef | nodes.DerivedTable)}
        for side in (join.left, join.right)
    ]
    terms = join.on.terms if isinstance(join.on, nodes.And) else (join.on,)
    return any(
        isinstance(term, nodes.Comparison)
        and term.operator == "="
        and isinstance(term.left, nodes.ColumnRef)
        and isinstance(term.right, nodes.ColumnRef)
        and [term.left.source in side for side in sides] == [term.right.source not in side for side in sides]
        for term in terms
    )


def _always(side: sa.FromClause) -> Sql:
    """What is the same for every row and PostgreSQL does not know to be."""
    empty = verbatim("''", sa.Text)
    return sa.func.coalesce(sa.cast(next(iter(side.c)), sa.Text), empty) >= empty


def _joins_fully(item: nodes.FromItem) -> bool:
    if not isinstance(item, nodes.Join):
        return False
    return item.kind == "FULL" or _joins_fully(item.left) or _joins_fully(item.right)


def _numbered(operands: list[Selection], combine: Callable[..., sa.CompoundSelect[Any]]) -> Selection:
    """EXCEPT ALL or INTERSECT ALL for SQLite, which lacks them: a running number tells equal rows apart."""
    result = operands[0]
    for operand in operands[1:]:
        both = combine(_with_number(result), _with_number(operand)).subquery()
        result = sa.select(*list(both.c)[:-1])
    return result


def _with_number(operand: Selection) -> Selection:
    rows = operand.subquery()
    return sa.select(*rows.c, sa.func.row_number().over(partition_by=list(rows.c)).label("adql_number"))


def _labels(columns: tuple[Column, ...]) -> list[str]:
    """Names of columns in SQL: their own where both engines can hold and tell them apart."""
    taken = {column.name.lower() for column in columns}
    seen: set[str] = set()
    labels = []
    for index, column in enumerate(columns, start=1):
        name = column.name.lower()
        label = column.name
        if name in seen or not _PLAIN.fullmatch(label):
            label = f"column_{index}"
            while label in taken:
                label += "_"
        labels.append(label)
        seen.add(name)
    return labels


def _least(*limits: int | None) -> int | None:
    given = [limit for limit in limits if limit is not None]
    return min(given) if given else None


def _limited(select: Selection, top: int | None, offset: int | None) -> Selection:
    if top is not None:
        select = select.limit(verbatim(str(top)))
    return select if not offset else select.offset(verbatim(str(offset)))
