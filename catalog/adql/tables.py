"""Resolve FROM: which table a name means, what joins match on, and what the clause offers to the rest of the query."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from catalog.adql import nodes
from catalog.adql.diagnostics import fault_at, nearest, suggest
from catalog.adql.expressions import ExpressionResolver
from catalog.adql.kinds import common, settle
from catalog.adql.nodes import Expression, Name
from catalog.adql.scope import Relation, Scope, VisibleColumn
from catalog.errors import QueryError
from catalog.vo.table import Column, Table

__all__ = ["UPLOAD_SCHEMA", "PublishedTables", "TableResolver"]

UPLOAD_SCHEMA = "TAP_UPLOAD"
"""Schema of the tables that a request brings (TAP 1.1 section 2.5)."""

MAX_TABLES = 50
"""Tables in one FROM; SQLite joins at most 64."""

MAX_REFERENCES = 150
"""Tables in the whole query, each counted as often as it is named."""


class PublishedTables:
    """The tables that queries may name, and those that this query did.

    Args:
        tables: By qualified name as published; a part in double quotes keeps its case.
    """

    def __init__(self, tables: Mapping[str, Table]) -> None:
        self._tables = [(_parts(name), name, table) for name, table in tables.items()]
        self.read: dict[str, None] = {}
        """Published names of the tables found, in order."""

    def find(self, path: Sequence[Name]) -> list[tuple[tuple[Name, ...], str, Table]]:
        """Tables that a name may mean: its parts equal the last parts of the published name."""
        found = [entry for entry in self._tables if _ends_with(entry[0], path)]
        whole = [entry for entry in found if len(entry[0]) == len(path)]
        return whole or found

    @property
    def names(self) -> list[str]:
        """Published names, and the last part of each."""
        return [name for _, name, _ in self._tables] + [parts[-1].text for parts, _, _ in self._tables]


def _parts(name: str) -> tuple[Name, ...]:
    words = re.findall(r'"((?:[^"]|"")+)"|([^."]+)', name)
    return tuple(Name(quoted.replace('""', '"') or plain) for quoted, plain in words)


def _ends_with(published: tuple[Name, ...], path: Sequence[Name]) -> bool:
    if len(path) > len(published):
        return False
    tail = published[len(published) - len(path) :]
    return all(asked.matches(given.text) for asked, given in zip(path, tail, strict=True))


@dataclass(frozen=True, slots=True)
class _Offer:
    """What part of a FROM clause offers."""

    item: nodes.FromItem
    relations: tuple[Relation, ...]
    columns: tuple[VisibleColumn, ...]


class TableResolver:
    """Resolves FROM clauses.

    Args:
        text: The query, for messages.
        tables: What may be named.
        expressions: Resolves the conditions of joins.
        subquery: Resolves a derived table.
        number: Gives each table reference its own number.
    """

    def __init__(
        self,
        text: str,
        tables: PublishedTables,
        *,
        expressions: ExpressionResolver,
        subquery: Callable[[nodes.QueryExpression], nodes.QueryExpression],
        number: Callable[[], int],
    ) -> None:
        self._text = text
        self._tables = tables
        self._expressions = expressions
        self._subquery = subquery
        self._number = number
        self._references = 0
        self.ctes: list[tuple[Name, tuple[Column, ...]]] = []
        """Named subqueries known so far, with their columns."""

    def resolve(self, item: nodes.FromItem, outer: Scope | None) -> tuple[nodes.FromItem, Scope]:
        """A FROM clause and what it offers.

        Raises:
            QueryError: A table is unknown or not unique, two go by one name, a join's columns do not match.
        """
        if _count(item) > MAX_TABLES:
            raise fault_at(self._text, item.span, f"more than {MAX_TABLES} tables in one FROM", code="too-complex")
        offer = self._offer(item, outer)
        return offer.item, Scope(self._text, offer.relations, offer.columns, outer)

    def _offer(self, item: nodes.FromItem, outer: Scope | None) -> _Offer:
        if isinstance(item, nodes.TableRef):
            return self._table(item)
        if isinstance(item, nodes.DerivedTable):
            query = self._subquery(item.query)
            resolved = replace(item, query=query, source=self._number())
            columns = tuple(map(settle, query.columns))
            return _single(resolved, item.alias.text, (item.alias,), columns, is_alias=True)
        return self._join(item, outer)

    def _table(self, item: nodes.TableRef) -> _Offer:
        self._references += 1
        if self._references > MAX_REFERENCES:
            message = f"the query names tables more than {MAX_REFERENCES} times"
            raise fault_at(self._text, item.span, message, code="too-complex")
        source = self._number()
        names = item.name if item.alias is None else (item.alias,)
        if len(item.name) == 1:
            for index, (name, columns) in enumerate(self.ctes):
                if item.name[0].matches(name.text):
                    resolved = replace(item, source=source, cte=index)
                    return _single(resolved, name.text, names, columns, is_alias=True)
        found = self._tables.find(item.name)
        if len(found) != 1:
            raise self._no_such_table(item, [name for _, name, _ in found])
        parts, published, table = found[0]
        self._tables.read[published] = None
        resolved = replace(item, source=source, table=table)
        names = parts if item.alias is None else (item.alias,)
        return _single(resolved, published, names, table.columns, is_alias=item.alias is not None)

    def _no_such_table(self, item: nodes.TableRef, found: list[str]) -> QueryError:
        asked = ".".join(map(str, item.name))
        if found:
            message = f"{asked} may be {' or '.join(found)}"
            return fault_at(self._text, item.span, message, code="ambiguous-table", hint="write the schema too")
        names = [*self._tables.names, *(name.text for name, _ in self.ctes)]
        near = nearest(asked, names) or nearest(item.name[-1].text, names)
        hint = suggest(near) or "the service's /tables lists what there is"
        if not near and item.name[0].matches(UPLOAD_SCHEMA):
            hint = f"the parameter UPLOAD={item.name[-1]},… brings such a table"
        replacement = near[0] if near else None
        message = f"there is no table {asked}"
        return fault_at(self._text, item.span, message, code="unknown-table", hint=hint, replacement=replacement)

    # --- joins ---

    def _join(self, join: nodes.Join, outer: Scope | None) -> _Offer:
        left, right = self._offer(join.left, outer), self._offer(join.right, outer)
        self._require_distinct(left.relations, right.relations, join)
        relations = left.relations + right.relations
        on = join.on
        columns = left.columns + right.columns
        if join.natural or join.using:
            names = list(join.using) or self._shared(left, right, join)
            on, columns = self._merge(names, left, right, join)
        elif on is not None:
            on = self._expressions.condition(on, Scope(self._text, relations, columns, outer))
        item = replace(join, left=left.item, right=right.item, on=on, using=(), natural=False)
        return _Offer(item, relations, columns)

    def _require_distinct(self, left: Sequence[Relation], right: Sequence[Relation], join: nodes.Join) -> None:
        for one in left:
            for other in right:
                if one.is_alias != other.is_alias:
                    same = len(one.names) == len(other.names) and one.answers_to(other.names)
                else:
                    same = one.answers_to(other.names) and other.answers_to(one.names)
                if same:
                    message = f"two tables in FROM go by the name {other.names[-1]}"
                    raise fault_at(
                        self._text, join.right.span, message, code="ambiguous-table", hint="give one an alias"
                    )

    def _shared(self, left: _Offer, right: _Offer, join: nodes.Join) -> list[Name]:
        """The columns that NATURAL matches: all names that both sides have."""
        there = {column.name for column in right.columns}
        exact = {column.name for column in left.columns} & there
        folded = {name.lower() for name in there} - {name.lower() for name in exact}
        return [
            Name(column.name, delimited=column.name in exact, span=join.right.span)
            for column in left.columns
            if column.name in exact or column.name.lower() in folded
        ]

    def _merge(
        self, names: Sequence[Name], left: _Offer, right: _Offer, join: nodes.Join
    ) -> tuple[nodes.Condition | None, tuple[VisibleColumn, ...]]:
        """The condition of USING and the columns afterwards: the merged ones first, each once (SQL-92 7.5)."""
        tests: list[nodes.Condition] = []
        merged: list[VisibleColumn] = []
        gone: set[int] = set()
        for name in names:
            one, other = self._only(name, left), self._only(name, right)
            gone |= {id(one), id(other)}
            meta = common(one.expression.type, other.expression.type)
            if meta is None:
                message = f"column {name} is of different types on the two sides"
                raise fault_at(self._text, name.span, message, code="type")
            tests.append(nodes.Comparison("=", one.expression, other.expression, span=name.span))
            merged.append(VisibleColumn(one.name, _merged(join.kind, one.expression, other.expression, meta)))
        rest = [column for column in left.columns + right.columns if id(column) not in gone]
        on = None if not tests else tests[0] if len(tests) == 1 else nodes.And(tuple(tests))
        return on, (*merged, *rest)

    def _only(self, name: Name, side: _Offer) -> VisibleColumn:
        found = [column for column in side.columns if name.matches(column.name)]
        if len(found) == 1:
            return found[0]
        labels = " or ".join(relation.label for relation in side.relations)
        if found:
            message = f"column {name} is in more than one table on one side: {labels}"
            raise fault_at(self._text, name.span, message, code="ambiguous-column")
        scope = Scope(self._text, side.relations, side.columns)
        raise scope.unknown_column(name, f" in {labels}", [column.name for column in side.columns])


def _count(item: nodes.FromItem) -> int:
    """Tables and subqueries in a FROM, without recursion."""
    found, waiting = 0, [item]
    while waiting:
        part = waiting.pop()
        if isinstance(part, nodes.Join):
            waiting += [part.left, part.right]
        else:
            found += 1
    return found


def _merged(kind: str, left: Expression, right: Expression, meta: Column) -> Expression:
    if kind == "FULL":
        described = replace(left.type, datatype=meta.datatype, arraysize=meta.arraysize)
        return nodes.FunctionCall("COALESCE", (left, right), meta=described)
    kept = right if kind == "RIGHT" else left
    return replace(kept, meta=kept.type)


def _single(
    item: nodes.TableRef | nodes.DerivedTable,
    label: str,
    names: tuple[Name, ...],
    columns: tuple[Column, ...],
    *,
    is_alias: bool,
) -> _Offer:
    assert item.source is not None  # noqa: S101  (the caller has numbered it)
    relation = Relation(item.source, label, names, columns, is_alias)
    visible = tuple(
        VisibleColumn(column.name, relation.reference(position, item.span)) for position, column in enumerate(columns)
    )
    return _Offer(item, (relation,), visible)
