"""Tree + tables → typed tree and the description of its result (sections 2.2 and 2.3).

The resolver knows what tables hold and no database. Descriptions flow from the columns through aliases, joins,
subqueries, CTEs, set operations, aggregates and arithmetic into the output.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count

from catalog.adql import nodes
from catalog.adql.diagnostics import fault_at, too_nested
from catalog.adql.expressions import ExpressionResolver
from catalog.adql.growth import limit_growth
from catalog.adql.kinds import common, kind_of, settle
from catalog.adql.nodes import Expression, Name, QueryBody, SelectItem
from catalog.adql.parser import parse
from catalog.adql.scope import Relation, Scope, VisibleColumn
from catalog.adql.tables import PublishedTables, TableResolver
from catalog.errors import QueryError
from catalog.vo.table import Column, Table

__all__ = ["ResolvedQuery", "resolve"]

MAX_QUERIES = 12
"""Queries inside queries, at any one place."""

MAX_OPERANDS = 100
"""Queries that set operations combine; SQLite takes no more."""

MAX_KEYS = 200
"""Keys of one GROUP BY or ORDER BY."""

MAX_COLUMNS = 1000
"""Columns of a result; SQLite and PostgreSQL both stop short of 2000."""


@dataclass(frozen=True, slots=True)
class ResolvedQuery:
    """A query that has been understood."""

    query: nodes.Query
    """With types, sources and columns filled in; for `catalog.adql.translate`."""

    table: Table
    """What the result holds; its name is ``result``."""

    tables: tuple[str, ...]
    """Published names of the tables that it reads."""


def resolve(query: nodes.Query, tables: Mapping[str, Table]) -> ResolvedQuery:
    """Give a query its meaning.

    Args:
        query: From `catalog.adql.parser.parse`.
        tables: By qualified name as published, such as ``ivoa.obscore``. Matching ignores the case of regular
            identifiers; a name without its schema will do while it is unique.

    Raises:
        QueryError: A table, column or function is unknown or ambiguous, values of different kinds meet, an aggregate
            stands where none may, or something is not supported yet. Carries a code, a position, often a hint, and a
            proposed query when one edit makes it valid.
    """
    try:
        return _QueryResolver(query.text, PublishedTables(tables)).resolve(query)
    except RecursionError:
        raise too_nested() from None
    except QueryError as fault:
        if fault.proposal is not None and not _is_valid(fault.proposal, tables):
            fault.proposal = None
        raise


def _is_valid(text: str, tables: Mapping[str, Table]) -> bool:
    try:
        _QueryResolver(text, PublishedTables(tables)).resolve(parse(text))
    except (QueryError, RecursionError):
        return False
    return True


class _QueryResolver:
    def __init__(self, text: str, tables: PublishedTables) -> None:
        self._text = text
        self._published = tables
        self._numbers = count(1)
        self._depth = 0
        self._expressions = ExpressionResolver(text, self._query)
        self._from = TableResolver(
            text,
            tables,
            expressions=self._expressions,
            subquery=lambda query: self._query(query, None),
            number=lambda: next(self._numbers),
        )

    def resolve(self, query: nodes.Query) -> ResolvedQuery:
        ctes: list[nodes.WithItem] = []
        for item in query.ctes:
            if any(item.name.matches(known.text) for known, _ in self._from.ctes):
                raise fault_at(self._text, item.name.span, f"WITH defines {item.name} twice", code="duplicate-name")
            resolved = replace(item, query=self._query(item.query, None))
            self._from.ctes.append((item.name, tuple(map(settle, resolved.query.columns))))
            ctes.append(resolved)
        body = self._query(query.body, None)
        result = Table("result", tuple(map(settle, body.columns)))
        resolved_query = replace(query, body=body, ctes=tuple(ctes))
        limit_growth(resolved_query)
        return ResolvedQuery(resolved_query, result, tuple(self._published.read))

    # --- bodies ---

    def _query(self, query: nodes.QueryExpression, outer: Scope | None) -> nodes.QueryExpression:
        """A query as a table: its columns have settled types."""
        self._require_few(query.order_by, "ORDER BY", query.span)
        self._depth += 1
        if self._depth > MAX_QUERIES:
            message = f"more than {MAX_QUERIES} queries inside one another"
            raise fault_at(self._text, query.span, message, code="too-deep")
        resolved = self._ordered(query, outer)
        self._depth -= 1
        return resolved

    def _body(self, body: QueryBody, outer: Scope | None) -> QueryBody:
        if isinstance(body, nodes.Select):
            return self._select(body, outer)[0]
        if isinstance(body, nodes.SetOperation):
            return self._set_operation(body, outer)
        return self._query(body, outer)

    def _ordered(self, query: nodes.QueryExpression, outer: Scope | None) -> nodes.QueryExpression:
        if isinstance(query.body, nodes.Select):
            select, scope = self._select(query.body, outer)
            order_by = tuple(self._order_term(term, select, scope) for term in query.order_by)
            return replace(query, body=select, order_by=order_by)
        body = self._body(query.body, outer)
        source = next(self._numbers)
        relation = Relation(source, "the result", (Name("result"),), body.columns)
        visible = tuple(
            VisibleColumn(column.name, relation.reference(index, query.span))
            for index, column in enumerate(body.columns)
        )
        scope = Scope(self._text, (relation,), visible, outer)
        terms = tuple(self._output_term(term, body.columns, scope) for term in query.order_by)
        return replace(query, body=body, order_by=terms, source=source)

    def _set_operation(self, operation: nodes.SetOperation, outer: Scope | None) -> nodes.SetOperation:
        if _count_operands(operation) > MAX_OPERANDS:
            message = f"{operation.operator} of more than {MAX_OPERANDS} queries"
            raise fault_at(self._text, operation.span, message, code="too-complex")
        operands = tuple(self._body(operand, outer) for operand in operation.operands)
        columns = list(operands[0].columns)
        for operand in operands[1:]:
            if len(operand.columns) != len(columns):
                message = f"this query yields {len(operand.columns)} columns, the one before {len(columns)}"
                raise fault_at(self._text, operand.span, message, code="columns")
            for index, (one, other) in enumerate(zip(columns, operand.columns, strict=True)):
                columns[index] = self._united(one, other, operand)
        return replace(operation, operands=operands, columns=tuple(columns))

    def _united(self, first: Column, second: Column, operand: QueryBody) -> Column:
        """The leftmost column's description with a type that holds both."""
        both = common(first, second)
        if both is None:
            message = f"column {first.name} is {kind_of(first).value} before and {kind_of(second).value} here"
            raise fault_at(self._text, operand.span, message, code="type")
        if kind_of(both) is not kind_of(first) and not kind_of(first).is_number:
            return both  # NULL so far
        return replace(first, datatype=both.datatype, arraysize=both.arraysize)

    # --- SELECT ---

    def _select(self, select: nodes.Select, outer: Scope | None) -> tuple[nodes.Select, Scope]:
        tables, scope = self._from.resolve(select.tables, outer)
        condition = self._expressions.condition
        where = None if select.where is None else condition(select.where, scope)
        items = self._items(select, scope)
        self._require_few(select.group_by, "GROUP BY", select.span)
        group_by = tuple(self._group_term(term, items, scope) for term in select.group_by)
        having = None if select.having is None else condition(select.having, scope, aggregates=True)
        resolved = replace(select, tables=tables, where=where, group_by=group_by, having=having)
        names = _unique_names(items)
        named = tuple(
            SelectItem(item.expression, Name(name, delimited=True)) for item, name in zip(items, names, strict=True)
        )
        columns = tuple(replace(item.expression.type, name=name) for item, name in zip(items, names, strict=True))
        resolved = replace(resolved, items=named, columns=columns)
        if _is_grouped(resolved):
            for item in items:
                self._require_grouped(item.expression, group_by)
            if having is not None:
                for expression in _values(having):
                    self._require_grouped(expression, group_by)
        return resolved, scope

    def _items(self, select: nodes.Select, scope: Scope) -> list[SelectItem]:
        items: list[SelectItem] = []
        for item in select.items:
            if isinstance(item, SelectItem):
                expression = self._expressions.value(item.expression, scope, aggregates=True)
                alias = item.alias
                if alias is None and isinstance(item.expression, nodes.ColumnRef):
                    alias = Name(expression.type.name)
                items.append(SelectItem(expression, alias))
            elif item.qualifier:
                for relation in scope.relation(item.qualifier):
                    indexes = range(len(relation.columns))
                    items += [SelectItem(relation.reference(index, item.span)) for index in indexes]
            else:
                items += [SelectItem(column.expression, Name(column.name)) for column in scope.columns]
        if len(items) > MAX_COLUMNS:
            message = f"the result has {len(items)} columns; at most {MAX_COLUMNS} go out"
            raise fault_at(self._text, select.span, message, code="too-complex")
        return items

    def _group_term(self, term: Expression, items: Sequence[SelectItem], scope: Scope) -> Expression:
        """An expression of the tables, else the name or position of an output column."""
        if isinstance(term, nodes.Number):
            expression = items[self._position(term, len(items), "GROUP BY")].expression
        elif isinstance(term, nodes.ColumnRef) and not term.qualifier and not _offers(scope, term.name):
            named = [item for item in items if item.alias is not None and term.name.matches(item.alias.text)]
            expression = named[0].expression if len(named) == 1 else scope.column(term)
        else:
            expression = self._expressions.value(term, scope)
        if any(isinstance(part, nodes.Aggregate) for part in _parts(expression)):
            raise self._expressions.fault(term, "GROUP BY an aggregate has no meaning", code="misplaced-aggregate")
        if not kind_of(expression.type).is_ordered:
            raise self._expressions.fault(term, f"{kind_of(expression.type).value} does not group")
        return expression

    def _require_few(self, keys: Sequence[object], clause: str, span: nodes.Span) -> None:
        if len(keys) > MAX_KEYS:
            raise fault_at(self._text, span, f"{clause} of more than {MAX_KEYS} keys", code="too-complex")

    def _position(self, number: nodes.Number, columns: int, clause: str) -> int:
        if not isinstance(number.value, int) or not 1 <= number.value <= columns:
            message = f"{clause} counts the columns of the result from 1 to {columns}"
            raise self._expressions.fault(number, message, code="position")
        return number.value - 1

    def _require_grouped(self, expression: Expression, group_by: Sequence[Expression]) -> None:
        if expression in group_by or isinstance(expression, nodes.Aggregate):
            return
        if isinstance(expression, nodes.ColumnRef) and expression.level == 0:
            name = expression.name.text
            message = f"column {name} is neither grouped by nor inside an aggregate"
            hint = f"add {name} to GROUP BY, or write MIN({name})"
            raise self._expressions.fault(expression, message, code="not-grouped", hint=hint)
        for part in nodes.children(expression):
            self._require_grouped(part, group_by)

    # --- ORDER BY ---

    def _order_term(self, term: nodes.OrderTerm, select: nodes.Select, scope: Scope) -> nodes.OrderTerm:
        """A position, the name of an output column, or an expression of the tables."""
        position = self._output_position(term.expression, select.columns)
        if position is None:
            expression = self._expressions.value(term.expression, scope, aggregates=True)
            items = [item.expression for item in select.items if isinstance(item, SelectItem)]
            if expression in items:
                position = items.index(expression)
            elif select.distinct:
                message = "with DISTINCT, ORDER BY takes columns of the result only"
                raise self._expressions.fault(term.expression, message, code="order")
            elif _is_grouped(select):
                self._require_grouped(expression, select.group_by)
            elif any(isinstance(part, nodes.Aggregate) for part in _parts(expression)):
                raise self._expressions.fault(term.expression, "an aggregate cannot stand here", code="order")
            term = replace(term, expression=expression)
        return self._sortable(replace(term, position=position), select.columns)

    def _output_term(self, term: nodes.OrderTerm, columns: Sequence[Column], scope: Scope) -> nodes.OrderTerm:
        position = self._output_position(term.expression, columns)
        if position is None:
            term = replace(term, expression=self._expressions.value(term.expression, scope))
        return self._sortable(replace(term, position=position), columns)

    def _output_position(self, expression: Expression, columns: Sequence[Column]) -> int | None:
        if isinstance(expression, nodes.Number):
            return self._position(expression, len(columns), "ORDER BY")
        if isinstance(expression, nodes.ColumnRef) and not expression.qualifier:
            named = [index for index, column in enumerate(columns) if expression.name.matches(column.name)]
            return named[0] if len(named) == 1 else None
        return None

    def _sortable(self, term: nodes.OrderTerm, columns: Sequence[Column]) -> nodes.OrderTerm:
        meta = term.expression.type if term.position is None else columns[term.position]
        kind = kind_of(meta)
        if not kind.is_ordered and (kind.is_geometry or term.position is None):
            raise self._expressions.fault(term.expression, f"{kind.value} does not sort", code="order")
        return term


def _count_operands(operation: nodes.SetOperation) -> int:
    """Queries that a run of set operations combines, without recursion."""
    found, waiting = 0, [operation]
    while waiting:
        for operand in waiting.pop().operands:
            if isinstance(operand, nodes.SetOperation):
                waiting.append(operand)
            else:
                found += 1
    return found


def _offers(scope: Scope, name: Name) -> bool:
    return any(name.matches(column.name) for column in scope.columns)


def _is_grouped(select: nodes.Select) -> bool:
    if select.group_by or select.having is not None:
        return True
    values = [item.expression for item in select.items if isinstance(item, SelectItem)]
    return any(isinstance(part, nodes.Aggregate) for value in values for part in _parts(value))


def _parts(expression: Expression) -> Iterable[Expression]:
    yield expression
    for part in nodes.children(expression):
        yield from _parts(part)


def _values(test: nodes.Condition) -> Iterable[Expression]:
    """The values that a condition compares, not looking into subqueries."""
    match test:
        case nodes.And() | nodes.Or():
            for term in test.terms:
                yield from _values(term)
        case nodes.Not():
            yield from _values(test.term)
        case nodes.Comparison():
            yield from (test.left, test.right)
        case nodes.Between():
            yield from (test.operand, test.low, test.high)
        case nodes.InList():
            yield from (test.operand, *test.items)
        case nodes.Like():
            yield from (test.operand, test.pattern)
        case nodes.InQuery() | nodes.IsNull():
            yield test.operand
        case nodes.Exists():
            return


# --- names of the output -------------------------------------------------------------------------------------


def _unique_names(items: Sequence[SelectItem]) -> list[str]:
    """A name for each output column, no two alike in any case: as written, else made from the expression.

    Columns of one table that differ by case alone, as uploaded ones may, keep their names.
    """
    wanted = [_wanted_name(item, position) for position, item in enumerate(items, start=1)]
    taken = {name.lower() for name in wanted}
    seen: dict[str, dict[str, int | None]] = {}
    names: list[str] = []
    for name, item in zip(wanted, items, strict=True):
        column = item.expression
        source = column.source if isinstance(column, nodes.ColumnRef) and column.name.text == name else None
        unique, number = name, 1
        while not _is_free(unique, source, seen) or (number > 1 and unique.lower() in taken):
            number += 1
            unique = f"{name}_{number}"
        seen.setdefault(unique.lower(), {})[unique] = source
        names.append(unique)
    return names


def _is_free(name: str, source: int | None, seen: Mapping[str, Mapping[str, int | None]]) -> bool:
    alike = seen.get(name.lower(), {})
    return name not in alike and all(source is not None and source == other for other in alike.values())


def _wanted_name(item: SelectItem, position: int) -> str:
    if item.alias is not None:
        return item.alias.text
    expression = item.expression
    if isinstance(expression, nodes.ColumnRef):
        return expression.name.text
    if isinstance(expression, nodes.Aggregate) and expression.argument is None:
        return "count_all"
    columns = {part.name.text for part in _parts(expression) if isinstance(part, nodes.ColumnRef)}
    if len(columns) == 1 and isinstance(expression, nodes.Aggregate | nodes.FunctionCall):
        name = "_".join((expression.name.lower(), *columns))
        if name.isidentifier() and name.isascii():
            return name
    return f"column_{position}"
