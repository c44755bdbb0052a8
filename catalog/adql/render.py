"""Tree → ADQL text: the parser's inverse, for trees as it makes them.

Parsing what is rendered gives the same tree. Spelling is our own: keywords in capitals, AS before every alias,
parentheses where the tree needs them.
"""

from __future__ import annotations

from collections.abc import Iterable

from catalog.adql import nodes
from catalog.adql.nodes import Condition, Expression, FromItem, QueryBody

__all__ = ["render"]


def render(query: nodes.Query) -> str:
    """The text of a query, on one line unless its strings hold others.

    Args:
        query: From `catalog.adql.parser.parse`; resolved trees are not for rendering.
    """
    named = ", ".join(f"{item.name} AS ({_query(item.query)})" for item in query.ctes)
    return (f"WITH {named} " if named else "") + _query(query.body)


def _query(query: nodes.QueryExpression) -> str:
    text = _body(query.body)
    if query.order_by:
        text += " ORDER BY " + ", ".join(map(_order_term, query.order_by))
    return text if query.offset is None else f"{text} OFFSET {query.offset}"


def _order_term(term: nodes.OrderTerm) -> str:
    return _value(term.expression) + (" DESC" if term.descending else "")


def _body(body: QueryBody) -> str:
    if isinstance(body, nodes.QueryExpression):
        return f"({_query(body)})"
    if isinstance(body, nodes.SetOperation):
        word = body.operator + (" ALL" if body.all else "")
        return f" {word} ".join(map(_body, body.operands))
    return _select(body)


def _select(select: nodes.Select) -> str:
    words = ["SELECT"]
    words += ["DISTINCT"] if select.distinct else []
    words += [] if select.top is None else [f"TOP {select.top}"]
    words += [", ".join(map(_item, select.items)), "FROM", _tables(select.tables)]
    words += [] if select.where is None else ["WHERE", _condition(select.where)]
    words += ["GROUP BY", _values(select.group_by)] if select.group_by else []
    words += [] if select.having is None else ["HAVING", _condition(select.having)]
    return " ".join(words)


def _item(item: nodes.SelectItem | nodes.Star) -> str:
    if isinstance(item, nodes.Star):
        return ".".join([*map(str, item.qualifier), "*"])
    return _value(item.expression) + _alias(item.alias)


def _alias(name: nodes.Name | None) -> str:
    return "" if name is None else f" AS {name}"


def _tables(item: FromItem) -> str:
    match item:
        case nodes.TableRef():
            return ".".join(map(str, item.name)) + _alias(item.alias)
        case nodes.DerivedTable():
            return f"({_query(item.query)}){_alias(item.alias)}"
        case nodes.Join(kind="COMMA"):
            return f"{_tables(item.left)}, {_tables(item.right)}"
        case nodes.Join():
            return _join(item)


def _join(join: nodes.Join) -> str:
    left, right = map(_joined, (join.left, join.right))
    text = f"{left} {'NATURAL ' if join.natural else ''}{join.kind} JOIN {right}"
    if join.on is not None:
        return f"{text} ON {_condition(join.on)}"
    return f"{text} USING ({', '.join(map(str, join.using))})" if join.using else text


def _joined(item: FromItem) -> str:
    return f"({_tables(item)})" if isinstance(item, nodes.Join) else _tables(item)


# --- conditions ----------------------------------------------------------------------------------------------


def _condition(test: Condition) -> str:
    match test:
        case nodes.Or():
            return " OR ".join(_within(term, nodes.Or) for term in test.terms)
        case nodes.And():
            return " AND ".join(_within(term, nodes.Or, nodes.And) for term in test.terms)
        case nodes.Not():
            return "NOT " + _within(test.term, nodes.Or, nodes.And, nodes.Not)
        case nodes.Comparison():
            return f"{_value(test.left)} {test.operator} {_value(test.right)}"
        case nodes.Exists():
            return f"EXISTS ({_query(test.query)})"
        case nodes.IsNull():
            return f"{_value(test.operand)} IS {'NOT ' if test.negated else ''}NULL"
    word = ("NOT " if test.negated else "") + _WORDS[type(test)]
    match test:
        case nodes.Between():
            return f"{_value(test.operand)} {word} {_value(test.low)} AND {_value(test.high)}"
        case nodes.InList():
            return f"{_value(test.operand)} {word} ({_values(test.items)})"
        case nodes.InQuery():
            return f"{_value(test.operand)} {word} ({_query(test.query)})"
        case nodes.Like():
            word = word.replace("LIKE", "ILIKE") if test.insensitive else word
            return f"{_value(test.operand)} {word} {_value(test.pattern)}"


_WORDS = {nodes.Between: "BETWEEN", nodes.InList: "IN", nodes.InQuery: "IN", nodes.Like: "LIKE"}


def _within(test: Condition, *looser: type) -> str:
    return f"({_condition(test)})" if isinstance(test, looser) else _condition(test)


# --- values --------------------------------------------------------------------------------------------------


def _values(expressions: Iterable[Expression]) -> str:
    return ", ".join(map(_value, expressions))


def _value(expression: Expression) -> str:
    match expression:
        case nodes.Number():
            return repr(expression.value)
        case nodes.String():
            return "'" + expression.value.replace("'", "''") + "'"
        case nodes.Null():
            return "NULL"
        case nodes.ColumnRef():
            return ".".join(map(str, (*expression.qualifier, expression.name)))
        case nodes.Arithmetic():
            return _arithmetic(expression)
        case nodes.Concatenation():
            return " || ".join(map(_primary, expression.operands))
        case nodes.Signed():
            return "-" + _primary(expression.operand)
        case nodes.FunctionCall():
            return f"{expression.name}({_values(expression.arguments)})"
        case nodes.Aggregate():
            return _aggregate(expression)
        case nodes.Cast():
            target = expression.target
            length = "" if target.length is None else f"({target.length})"
            return f"CAST({_value(expression.operand)} AS {target.name}{length})"


def _aggregate(call: nodes.Aggregate) -> str:
    if call.argument is None:
        return f"{call.name}(*)"
    return f"{call.name}({'DISTINCT ' if call.distinct else ''}{_value(call.argument)})"


def _arithmetic(expression: nodes.Arithmetic) -> str:
    """Products stand in sums without parentheses; whatever else is compound stands in them."""
    is_sum = expression.operators[0] in "+-"
    words = []
    for index, operand in enumerate(expression.operands):
        words += [expression.operators[index - 1]] if index else []
        product = isinstance(operand, nodes.Arithmetic) and operand.operators[0] in "*/"
        compound = isinstance(operand, nodes.Arithmetic | nodes.Concatenation)
        words.append(f"({_value(operand)})" if compound and not (is_sum and product) else _value(operand))
    return " ".join(words)


def _primary(expression: Expression) -> str:
    compound = isinstance(expression, nodes.Arithmetic | nodes.Concatenation | nodes.Signed)
    negative = isinstance(expression, nodes.Number) and repr(expression.value).startswith("-")
    return f"({_value(expression)})" if compound or negative else _value(expression)
