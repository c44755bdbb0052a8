# ruff: noqa: D102  (each callback is named after the rule of adql.lark that it answers)
"""Turn what the grammar recognises into nodes, as it is recognised: no recursion, whatever the depth."""

from __future__ import annotations

import math
import re
from typing import Any, NamedTuple, cast

from lark import Token, Transformer

from catalog.adql import nodes
from catalog.adql.calls import GEOMETRIES, miscall, without_null_frame
from catalog.adql.lexer import LITERAL
from catalog.adql.nodes import Name, Span

__all__ = ["MisplacedError", "TreeBuilder"]

MAX_LENGTH = 10_000
"""Of CHAR(n) and VARCHAR(n); the databases are asked to cut or fill text to it."""

Children = list[Any]


class MisplacedError(Exception):
    """Something that the grammar allows and ADQL does not; the parser, which has the text, makes a fault of it."""

    def __init__(self, message: str, span: Span, code: str = "syntax") -> None:
        super().__init__(message)
        self.message = message
        self.span = span
        self.code = code


class _Alias(NamedTuple):
    name: Name


class _JoinSpecification(NamedTuple):
    on: nodes.Condition | None
    using: tuple[Name, ...]


def _span(token: Token) -> Span:
    return Span(token.start_pos or 0, token.end_pos or 0)


def _path_span(path: tuple[Name, ...]) -> Span:
    return path[0].span.to(path[-1].span)


class TreeBuilder(Transformer[Token, nodes.Query]):
    """Callbacks of the grammar, one per rule or alias of the same name. Without state: all queries share one."""

    # --- names and values ---

    def name(self, children: Children) -> Name:
        (token,) = children
        if token.type == "DELIMITED":
            return Name(str(token)[1:-1].replace('""', '"'), delimited=True, span=_span(token))
        return Name(str(token), span=_span(token))

    def path(self, children: Children) -> tuple[Name, ...]:
        if len(children) == 1:
            return (children[0],)
        path, name = children
        if len(path) == 4:
            raise MisplacedError("a name has at most four parts: catalog.schema.table.column", name.span)
        return (*path, name)

    def column(self, children: Children) -> nodes.ColumnRef:
        (path,) = children
        return nodes.ColumnRef(path[-1], path[:-1], span=_path_span(path))

    def number(self, children: Children) -> nodes.Number:
        (token,) = children
        return nodes.Number(_number(str(token), _span(token)), span=_span(token))

    def string(self, children: Children) -> nodes.String:
        """Pieces that follow each other are one text, as in ADQL 2.0."""
        value = "".join(_unquote(str(token)) for token in children)
        return nodes.String(value, span=_span(children[0]).to(_span(children[-1])))

    def null(self, children: Children) -> nodes.Null:
        return nodes.Null(span=_span(children[0]))

    def signed(self, children: Children) -> nodes.Expression:
        sign, operand = children
        span = _span(sign).to(operand.span)
        if isinstance(operand, nodes.Number):
            return nodes.Number(-operand.value if sign == "-" else operand.value, span=span)
        return nodes.Signed(operand, span=span) if sign == "-" else operand

    def arithmetic(self, children: Children) -> nodes.Arithmetic:
        operands = tuple(children[::2])
        operators = tuple(str(token) for token in children[1::2])
        return nodes.Arithmetic(operands, operators, span=operands[0].span.to(operands[-1].span))

    def concatenation(self, children: Children) -> nodes.Concatenation:
        for operand in children:
            if isinstance(operand, nodes.FunctionCall) and operand.name in GEOMETRIES:
                raise MisplacedError(f"|| joins text; {operand.name} gives a geometry", operand.span, "type")
        return nodes.Concatenation(tuple(children), span=children[0].span.to(children[-1].span))

    def arguments(self, children: Children) -> tuple[nodes.Expression, ...]:
        return tuple(children)

    def function(self, children: Children) -> nodes.FunctionCall:
        token, arguments = children
        call = without_null_frame(nodes.FunctionCall(str(token).upper(), arguments or (), span=_span(token)))
        wrong = miscall(call)
        if wrong is not None:
            raise MisplacedError(wrong.message, wrong.span, "arguments")
        return call

    def aggregate(self, children: Children) -> nodes.Aggregate:
        token, distinct, argument = children
        return nodes.Aggregate(str(token).upper(), argument, bool(distinct), span=_span(token))

    def count_all(self, children: Children) -> nodes.Aggregate:
        return nodes.Aggregate("COUNT", span=_span(children[0]))

    def cast_target(self, children: Children) -> nodes.CastTarget:
        word = str(children[0]).upper()
        length = children[1] if len(children) > 1 else None
        if word == "DOUBLE":
            return nodes.CastTarget("DOUBLE PRECISION")
        return nodes.CastTarget(word, None if length is None else _length(length))

    def cast(self, children: Children) -> nodes.Cast:
        token, operand, target = children
        return nodes.Cast(operand, target, span=_span(token).to(operand.span))

    # --- conditions ---

    def comparison(self, children: Children) -> nodes.Comparison:
        left, operator, right = children
        word = "<>" if operator == "!=" else str(operator)
        return nodes.Comparison(word, left, right, span=left.span.to(right.span))

    def between(self, children: Children) -> nodes.Between:
        operand, negated, low, high = children
        return nodes.Between(operand, low, high, negated is not None, span=operand.span.to(high.span))

    def in_query(self, children: Children) -> nodes.InQuery:
        operand, negated, query = children
        return nodes.InQuery(operand, query, negated is not None, span=operand.span)

    def in_list(self, children: Children) -> nodes.InList:
        operand, negated, *items = children
        return nodes.InList(operand, tuple(items), negated is not None, span=operand.span.to(items[-1].span))

    def in_literals(self, children: Children) -> nodes.InList:
        operand, negated, token = children
        items = tuple(_literal(match, _span(token).start) for match in LITERAL.finditer(str(token)))
        return nodes.InList(operand, items, negated is not None, span=operand.span)

    def like(self, children: Children) -> nodes.Like:
        operand, negated, word, pattern = children
        insensitive = word.type == "ILIKE"
        return nodes.Like(operand, pattern, negated is not None, insensitive, span=operand.span.to(pattern.span))

    def is_null(self, children: Children) -> nodes.IsNull:
        operand, negated, _ = children
        return nodes.IsNull(operand, negated is not None, span=operand.span)

    def exists(self, children: Children) -> nodes.Exists:
        token, query = children
        return nodes.Exists(query, span=_span(token))

    def negation(self, children: Children) -> nodes.Not:
        token, term = children
        return nodes.Not(term, span=_span(token).to(term.span))

    def conjunction(self, children: Children) -> nodes.And:
        return nodes.And(tuple(children), span=children[0].span.to(children[-1].span))

    def disjunction(self, children: Children) -> nodes.Or:
        return nodes.Or(tuple(children), span=children[0].span.to(children[-1].span))

    # --- tables ---

    def alias(self, children: Children) -> _Alias:
        return _Alias(children[-1])

    def table(self, children: Children) -> nodes.TableRef:
        path, alias = children
        if len(path) > 3:
            raise MisplacedError("a table name has at most three parts: catalog.schema.table", path[3].span)
        return nodes.TableRef(path, alias.name if alias else None, span=_path_span(path))

    def derived_table(self, children: Children) -> nodes.DerivedTable:
        query, alias = children
        return nodes.DerivedTable(query, alias.name, span=query.span)

    def named_join(self, children: Children) -> nodes.DerivedTable:
        """A join under a name (``<derived_table>`` of a ``<joined_table>``) is a selection of all its columns."""
        join, alias = children
        select = nodes.Select((nodes.Star(span=join.span),), join, span=join.span)
        return nodes.DerivedTable(nodes.QueryExpression(select, span=join.span), alias.name, span=join.span)

    def join_type(self, children: Children) -> str:
        return str(children[0].type)

    def on(self, children: Children) -> _JoinSpecification:
        return _JoinSpecification(children[0], ())

    def using(self, children: Children) -> _JoinSpecification:
        return _JoinSpecification(None, tuple(children))

    def qualified_join(self, children: Children) -> nodes.Join:
        left, kind, right, specification = children
        span = left.span.to(right.span)
        return nodes.Join(kind or "INNER", left, right, specification.on, specification.using, span=span)

    def natural_join(self, children: Children) -> nodes.Join:
        left, kind, right = children
        return nodes.Join(kind or "INNER", left, right, natural=True, span=left.span.to(right.span))

    def table_list(self, children: Children) -> nodes.FromItem:
        tables: nodes.FromItem = children[0]
        for table in children[1:]:
            tables = nodes.Join("COMMA", tables, table, span=tables.span.to(table.span))
        return tables

    # --- queries ---

    def star(self, children: Children) -> nodes.Star:
        return nodes.Star(span=_span(children[0]))

    def qualified_star(self, children: Children) -> nodes.Star:
        path, token = children
        return nodes.Star(path, span=_path_span(path).to(_span(token)))

    def derived_column(self, children: Children) -> nodes.SelectItem:
        expression, alias = children
        return nodes.SelectItem(expression, alias.name if alias else None)

    def select_list(self, children: Children) -> tuple[nodes.SelectItem | nodes.Star, ...]:
        return tuple(children)

    def quantifier(self, children: Children) -> bool:
        return bool(children[0].type == "DISTINCT")

    def top(self, children: Children) -> int:
        return _row_number(children[0])

    def offset(self, children: Children) -> int:
        return _row_number(children[0])

    def where(self, children: Children) -> nodes.Condition:
        return cast("nodes.Condition", children[0])

    def having(self, children: Children) -> nodes.Condition:
        return cast("nodes.Condition", children[0])

    def group_by(self, children: Children) -> tuple[nodes.Expression, ...]:
        return tuple(children)

    def select(self, children: Children) -> nodes.Select:
        token, distinct, top, items, tables, where, group_by, having = children
        return nodes.Select(
            items,
            tables,
            where,
            group_by or (),
            having,
            bool(distinct),
            top,
            span=_span(token),
        )

    def set_operator(self, children: Children) -> tuple[str, bool]:
        return str(children[0].type), children[1] is not None

    intersect_operator = set_operator

    def set_operation(self, children: Children) -> nodes.SetOperation:
        """Combine from the left; a run of one operator becomes one node."""
        operands: list[nodes.QueryBody] = [children[0]]
        current: tuple[str, bool] = children[1]
        for operator, operand in zip(children[1::2], children[2::2], strict=True):
            if operator != current:
                operands = [nodes.SetOperation(*current, tuple(operands), span=operands[0].span)]
                current = operator
            operands.append(operand)
        return nodes.SetOperation(*current, tuple(operands), span=operands[0].span)

    def direction(self, children: Children) -> bool:
        return bool(children[0].type == "DESC")

    def order_term(self, children: Children) -> nodes.OrderTerm:
        expression, descending = children
        return nodes.OrderTerm(expression, bool(descending))

    def order_by(self, children: Children) -> tuple[nodes.OrderTerm, ...]:
        return tuple(children)

    def query_expression(self, children: Children) -> nodes.QueryExpression:
        body, order_by, offset = children
        return nodes.QueryExpression(body, order_by or (), offset, span=body.span)

    def with_item(self, children: Children) -> nodes.WithItem:
        return nodes.WithItem(children[0], children[1])

    def with_clause(self, children: Children) -> tuple[nodes.WithItem, ...]:
        return tuple(children)

    def query(self, children: Children) -> nodes.Query:
        ctes, body = children
        return nodes.Query(body, ctes or ())

    def start(self, children: Children) -> nodes.Query:
        return cast("nodes.Query", children[0])


def _literal(match: re.Match[str], offset: int) -> nodes.Expression:
    span = Span(offset + match.start(), offset + match.end())
    if match["string"] is not None:
        return nodes.String(_unquote(match.group()), span=span)
    return nodes.Number(_number("".join(match.group().split()), span), span=span)


def _unquote(literal: str) -> str:
    return literal[1:-1].replace("''", "'")


def _length(token: Token) -> int:
    value = int(token) if len(token) < 10 else 0
    if not 1 <= value <= MAX_LENGTH:
        raise MisplacedError(f"a length lies between 1 and {MAX_LENGTH}", _span(token))
    return value


def _row_number(token: Token) -> int:
    value = int(token) if len(token) < 20 else 1 << 63
    if value >= 1 << 63:
        raise MisplacedError("this number of rows is too large", _span(token))
    return value


def _number(text: str, span: Span) -> int | float:
    """An integer when it is written as one and fits 64 bits, else a double."""
    if text.lstrip("+-").isdigit() and len(text) < 21:
        value = int(text)
        if -(1 << 63) <= value < 1 << 63:
            return value
    number = float(text)
    if math.isinf(number):
        raise MisplacedError("this number is too large: a double reaches to 1.8e308", span, "value")
    return number
