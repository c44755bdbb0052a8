"""SQL of values and conditions, the same answer on both engines.

What differs between them and is evened out here: text compares by code point; LIKE minds case and knows no escape;
integers divide to integers and every integer operation has 64 bits; nothing raises on a zero divisor; text that is no
number is an error of the query.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import sqlalchemy as sa

from catalog.adql import nodes
from catalog.adql.functions import FUNCTIONS, Function
from catalog.adql.geometry import GeometryTranslator
from catalog.adql.installed import called
from catalog.adql.kinds import Kind, kind_of
from catalog.adql.matching import in_list, like
from catalog.adql.mathematics import Sql, divide, verbatim
from catalog.adql.nodes import Expression
from catalog.adql.ranges import can_overflow
from catalog.adql.signatures import NUMBER
from catalog.adql.statement import Statement
from catalog.vo.types import Datatype

__all__ = ["ValueTranslator"]

_TESTS = ("CONTAINS", "INTERSECTS")
_GROUP = 32
_SHORT_LIST = 16
"""A longer list of literals is one parameter."""

_RANGES = {Datatype.SHORT: 15, Datatype.INT: 31, Datatype.LONG: 63}
_FLIPPED = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "=": "=", "<>": "<>"}
_HOLDS: dict[str, Callable[[float, float], bool]] = {
    "=": lambda a, b: a == b,
    "<>": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    ">": lambda a, b: a > b,
    "<=": lambda a, b: a <= b,
    ">=": lambda a, b: a >= b,
}
_OTHER_NUMBERS = ("'binoxBINOX_'", "'???????????'")
"""What PostgreSQL reads as numbers and ADQL does not (NaN, infinity, 0x1F, 1_000), spoilt letter by letter."""

_DALI_FORMAT = "'YYYY-MM-DD\"T\"HH24:MI:SS.MS'"


class ValueTranslator:
    """Translates values and conditions of a resolved query.

    Args:
        statement: The engine, the bound values, the tables in reach.
        subquery: Translates a query inside a condition.
    """

    def __init__(self, statement: Statement, subquery: Callable[[nodes.QueryExpression], sa.SelectBase]) -> None:
        self._statement = statement
        self._subquery = subquery
        self._geometry = GeometryTranslator(statement, self.value)

    # --- values ---

    def value(self, expression: Expression) -> Sql:
        """A value in the type that the engine computes with: timestamps stay timestamps."""
        match expression:
            case nodes.Number() | nodes.String():
                return self._statement.bind(expression.value)
            case nodes.Null():
                return sa.null()
            case nodes.ColumnRef():
                assert expression.source is not None  # noqa: S101  (resolved)
                return self._statement.sources[expression.source].columns[expression.position]
            case nodes.Arithmetic():
                return self._arithmetic(expression)
            case nodes.Concatenation():
                return _balanced(_concatenated, [self._typed(operand) for operand in expression.operands])
            case nodes.Signed():
                value = -self._operand(expression.operand, whole=kind_of(expression.type) is Kind.INTEGER)
                return self._in_range(expression, value)
            case nodes.Aggregate():
                return self._aggregate(expression)
            case nodes.Cast():
                return self._cast(expression)
            case nodes.FunctionCall():
                return self._function(expression)

    def output(self, expression: Expression) -> Sql:
        """A value as it leaves the database: timestamps as DALI text with milliseconds."""
        return self.shown(self.value(expression), kind_of(expression.type))

    def shown(self, value: Sql, kind: Kind) -> Sql:
        """A value of a kind as it leaves the database."""
        if kind is not Kind.TIMESTAMP:
            return value
        if self._statement.is_postgresql:
            return sa.func.to_char(value, verbatim(_DALI_FORMAT), type_=sa.Text)
        return sa.func.substr(value, verbatim("1"), verbatim("23"), type_=sa.Text)

    def _typed(self, expression: Expression) -> Sql:
        """A value of a known type even if it is NULL."""
        value = self.value(expression)
        if kind_of(expression.type) is Kind.NULL:
            return self._statement.cast(value, expression.type)
        return value

    def _alike(self, *expressions: Expression) -> list[Sql]:
        """Values that are compared; NULL gets the type of the others."""
        known = next((item for item in expressions if kind_of(item.type) is not Kind.NULL), expressions[0])
        return [
            self._statement.cast(self.value(item), known.type) if kind_of(item.type) is Kind.NULL else self.value(item)
            for item in expressions
        ]

    def _operand(self, expression: Expression, *, whole: bool) -> Sql:
        """An operand of arithmetic: 64-bit integer or double."""
        kind = kind_of(expression.type)
        if isinstance(expression, nodes.Number):
            return self._statement.bind(expression.value if whole else float(expression.value))
        value = self.value(expression)
        if kind is Kind.NULL:
            return sa.cast(value, sa.BigInteger if whole else sa.Double)
        datatype = expression.type.datatype
        if datatype is (Datatype.LONG if whole else Datatype.DOUBLE):
            return value
        if self._statement.is_postgresql or (kind is Kind.INTEGER and not whole):
            return sa.cast(value, sa.BigInteger if whole else sa.Double)
        return value

    def _arithmetic(self, expression: nodes.Arithmetic) -> Sql:
        whole = kind_of(expression.type) is Kind.INTEGER
        total = self._operand(expression.operands[0], whole=whole)
        for operator, operand in zip(expression.operators, expression.operands[1:], strict=True):
            if operator == "-":  # a sum of signed terms stays flat, however long
                number = isinstance(operand, nodes.Number)
                term = replace_sign(operand) if number else operand
                value = self._operand(term, whole=whole)
                total = total + (value if number else -value)
            elif operator == "+":
                total = total + self._operand(operand, whole=whole)
            elif operator == "*":
                total = total * self._operand(operand, whole=whole)
            else:
                total = divide(total, self._divisor(operand, whole=whole))
        return self._in_range(expression, sa.type_coerce(total, sa.BigInteger() if whole else sa.Double()))

    def _in_range(self, expression: Expression, value: Sql) -> Sql:
        """Arithmetic that raises when it leaves the range of its type, over rows that the caller may see."""
        if not can_overflow(expression):
            return value
        if kind_of(expression.type) is Kind.INTEGER and not self._statement.is_postgresql:
            value = sa.func.adql_whole(value, type_=sa.BigInteger)
        return self._guarded(expression, value)

    def _divisor(self, expression: Expression, *, whole: bool) -> Sql:
        """A divisor that is NULL where it is zero."""
        value = self._operand(expression, whole=whole)
        if isinstance(expression, nodes.Number) and expression.value != 0:
            return value
        zero = verbatim("0" if whole else "0.0", sa.BigInteger if whole else sa.Double)
        return sa.func.nullif(value, zero)

    def _aggregate(self, expression: nodes.Aggregate) -> Sql:
        if expression.argument is None:
            return sa.func.count(sa.text("*"), type_=sa.BigInteger)
        function = FUNCTIONS.get(expression.name)
        if function is not None:
            return self._called(function, nodes.children(expression), expression)
        argument, kind = expression.argument, kind_of(expression.argument.type)
        if expression.name in ("SUM", "AVG"):
            whole = kind_of(expression.type) is Kind.INTEGER
            value = self._operand(argument, whole=whole)
        else:
            value = self._typed(argument)
        if expression.name in ("MIN", "MAX"):
            value = self._statement.ordered(value, kind)
        if expression.distinct:
            value = sa.distinct(value)
        kind_of_sql = self._statement.type_of(expression.type)
        if expression.name == "AVG" and self._statement.is_postgresql:  # its avg() squares, and overflows
            number = sa.func.nullif(sa.func.count(value), verbatim("0", sa.BigInteger))
            return divide(sa.func.sum(value, type_=kind_of_sql), sa.cast(number, kind_of_sql))
        result: Sql = getattr(sa.func, expression.name.lower())(value, type_=kind_of_sql)
        if expression.name == "SUM" and self._statement.is_postgresql:
            return sa.cast(result, kind_of_sql)  # a sum of bigint is numeric there
        return result

    def _function(self, call: nodes.FunctionCall) -> Sql:
        function = FUNCTIONS[call.name]
        if function.condition is not None:
            return sa.cast(_grouped(self._asked(call, top=False)), sa.Integer)
        if function.sql is None:
            return self._geometry.translate(call)
        if function.name in ("ROUND", "TRUNCATE"):
            places = (verbatim(str(int(n.value))) for n in call.arguments[1:] if isinstance(n, nodes.Number))
            whole = kind_of(call.arguments[0].type) is Kind.INTEGER
            arguments = [self._operand(call.arguments[0], whole=whole), *places]
        elif function.name in ("ABS", "MOD"):
            whole = kind_of(call.type) is Kind.INTEGER
            arguments = [self._operand(argument, whole=whole) for argument in call.arguments]
        elif function.doubles:
            return self._called(function, call.arguments, call)
        else:
            arguments = [self._typed(argument) for argument in call.arguments]
        if function.name == "COALESCE":
            arguments = [self._statement.cast(argument, call.type) for argument in arguments]
        result = function.sql(self._statement.dialect, *arguments)
        return sa.type_coerce(result, self._statement.type_of(call.type))

    def _called(self, function: Function, arguments: Sequence[Expression], call: Expression) -> Sql:
        """A call whose numbers are doubles, or 64-bit integers where the function takes those alone."""
        values = [self._argument(function.parameter(index), item) for index, item in enumerate(arguments)]
        assert function.sql is not None  # noqa: S101  (others are translated elsewhere)
        result = sa.type_coerce(function.sql(self._statement.dialect, *values), self._statement.type_of(call.type))
        return self._guarded(call, result) if function.raises else result

    def _argument(self, kinds: frozenset[Kind], argument: Expression) -> Sql:
        if kinds <= NUMBER:
            return self._operand(argument, whole=Kind.FLOAT not in kinds)
        return self._typed(argument)

    # --- CAST ---

    def _cast(self, expression: nodes.Cast) -> Sql:
        operand, kind = expression.operand, kind_of(expression.operand.type)
        if kind is Kind.NULL:
            return self._statement.cast(sa.null(), expression.type)
        if kind_of(expression.type) is Kind.TEXT:
            return self._as_text(expression, kind)
        value = self.value(operand)
        if kind_of(expression.type).is_geometry:
            word = verbatim(f"'{expression.target.name.lower()}'", sa.Text)
            return self._guarded(operand, called("adql_shape", sa.Text)(self._statement.dialect, value, word))
        if kind is Kind.TEXT or kind_of(expression.type) is Kind.INTEGER:
            return self._guarded(operand, self._converted(expression, value, kind))
        if expression.type.datatype is Datatype.FLOAT and not self._statement.is_postgresql:
            return self._guarded(operand, sa.func.adql_real(value, type_=sa.REAL))
        return self._guarded(operand, self._statement.cast(value, expression.type))

    def _converted(self, expression: nodes.Cast, value: Sql, kind: Kind) -> Sql:
        """A conversion that can fail: from text, or to a narrower integer."""
        meta = expression.type
        target = self._statement.type_of(meta)
        if self._statement.is_postgresql:
            if kind is Kind.TEXT and kind_of(meta).is_number:
                value = sa.func.translate(value, *map(verbatim, _OTHER_NUMBERS))
            return sa.cast(sa.func.trunc(value) if kind is Kind.FLOAT else value, target)
        if kind_of(meta) is Kind.TIMESTAMP:
            constant = isinstance(expression.operand, nodes.String)
            return value if constant else sa.func.adql_timestamp(value, type_=target)
        if kind_of(meta) is Kind.INTEGER:
            bits = _RANGES[meta.datatype]
            low, high = (verbatim(str(limit)) for limit in (-(1 << bits), (1 << bits) - 1))
            if bits == 63:
                low = verbatim("(-9223372036854775807 - 1)")
            return sa.func.adql_integer(value, low, high, type_=target)
        name = "adql_real" if meta.datatype is Datatype.FLOAT else "adql_double"
        return getattr(sa.func, name)(value, type_=target)  # type: ignore[no-any-return]

    def _guarded(self, operand: Expression, conversion: Sql) -> Sql:
        """Keep the conversion from rows that the caller may not see: its error would show their values."""
        seen = {part.source for part in _columns(operand) if part.source is not None}
        rules = [self._statement.sources[source].allowed for source in sorted(seen)]
        allowed = [rule for rule in rules if rule is not None]
        return sa.case((sa.and_(*allowed), conversion)) if allowed else conversion

    def _as_text(self, expression: nodes.Cast, kind: Kind) -> Sql:
        value = self._typed(expression.operand)
        if kind is Kind.TIMESTAMP:
            value = self.shown(value, kind)
        elif kind is Kind.FLOAT and not self._statement.is_postgresql:
            value = sa.func.adql_text(value, type_=sa.Text)
        elif kind is not Kind.TEXT:
            value = sa.cast(sa.cast(value, sa.Double) if kind is Kind.FLOAT else value, sa.Text)
        length = expression.target.length
        if length is None:
            return value
        one, size = verbatim("1"), verbatim(str(length))
        if expression.target.name == "CHAR":
            value = value.concat(self._statement.bind(" " * length))
        return sa.func.substr(value, one, size, type_=sa.Text)

    # --- conditions ---

    def condition(self, test: nodes.Condition, *, top: bool = True) -> Sql:
        """A condition.

        Args:
            test: Resolved.
            top: Whether false and NULL come to the same here, as they do in WHERE outside any NOT; then an index may
                leave rows out.
        """
        match test:
            case nodes.And() | nodes.Or():
                terms = [self.condition(term, top=top) for term in test.terms]
                return _balanced(sa.and_ if isinstance(test, nodes.And) else sa.or_, terms)
            case nodes.Not():
                return sa.not_(_grouped(self.condition(test.term, top=False)))
            case nodes.Comparison():
                return self._comparison(test, top=top)
            case nodes.Between():
                kind = kind_of(test.operand.type)
                value, low, high = self._alike(test.operand, test.low, test.high)
                inside = self._statement.ordered(value, kind).between(low, high)
                return sa.not_(inside) if test.negated else inside
            case nodes.InList():
                return self._in_list(test)
            case nodes.InQuery():
                return self._in_query(test)
            case nodes.Like():
                return self._like(test)
            case nodes.IsNull():
                value = self._typed(test.operand)
                return value.is_not(None) if test.negated else value.is_(None)
            case nodes.Exists():
                return sa.exists(self._subquery(test.query))

    def _comparison(self, test: nodes.Comparison, *, top: bool) -> Sql:
        left, operator, right = test.left, test.operator, test.right
        if (_is_test(right) or _is_call(right, "DISTANCE")) and not (_is_test(left) or _is_call(left, "DISTANCE")):
            left, operator, right = right, _FLIPPED[operator], left
        if isinstance(left, nodes.FunctionCall):
            if _is_test(left) and isinstance(right, nodes.Number):
                return self._tested(left, operator, right.value, top=top)
            if left.name == "DISTANCE" and operator in ("<", "<="):
                return self._geometry.within(left, operator, right, index=top)
        kind = kind_of(left.type)
        first, second = self._alike(left, right)
        if operator not in ("=", "<>"):
            first = self._statement.ordered(first, kind)
        return first.op(operator, precedence=5, is_comparison=True)(second)

    def _tested(self, call: nodes.FunctionCall, operator: str, number: float, *, top: bool) -> Sql:
        """``CONTAINS(…) = 1`` and every other spelling, as a condition instead of a number."""
        holds = _HOLDS[operator]
        inside, outside = holds(1, number), holds(0, number)
        if inside == outside:
            value = self._function(call)
            return value.op(operator, precedence=5, is_comparison=True)(self._statement.bind(number))
        if inside:
            return self._asked(call, top=top)
        return sa.not_(_grouped(self._asked(call, top=False)))

    def _asked(self, call: nodes.FunctionCall, *, top: bool) -> Sql:
        """What a function that yields 1 or 0 asks."""
        condition = FUNCTIONS[call.name].condition
        if condition is None:
            return self._geometry.holds(call, index=top)
        return self.condition(condition(call), top=top)

    def _in_query(self, test: nodes.InQuery) -> Sql:
        value, query, column = self.value(test.operand), self._subquery(test.query), test.query.columns[0]
        if Kind.NULL in (kind_of(test.operand.type), kind_of(column)):
            value = self._statement.cast(value, column)
        return value.not_in(query) if test.negated else value.in_(query)

    def _in_list(self, test: nodes.InList) -> Sql:
        plain = [literal.value for literal in map(_literal_of, test.items) if literal is not None]
        if len(plain) < len(test.items) or len(plain) <= _SHORT_LIST:
            value, *items = self._alike(test.operand, *test.items)
            return value.not_in(items) if test.negated else value.in_(items)
        value, _ = self._alike(test.operand, test.items[0])
        stamps = kind_of(test.operand.type) is Kind.TIMESTAMP
        return in_list(self._statement, value, plain, negated=test.negated, timestamps=stamps)

    def _like(self, test: nodes.Like) -> Sql:
        pattern = test.pattern.value if isinstance(test.pattern, nodes.String) else self._typed(test.pattern)
        found = like(self._statement, self._typed(test.operand), pattern, insensitive=test.insensitive)
        return sa.not_(_grouped(found)) if test.negated else found


def replace_sign(number: Expression) -> Expression:
    """The opposite of a plain number."""
    assert isinstance(number, nodes.Number)  # noqa: S101  (asked by the caller)
    return nodes.Number(-number.value, span=number.span, meta=number.meta)


def _literal_of(item: Expression) -> nodes.Number | nodes.String | None:
    """The literal that a value of IN is; the resolver makes times of text."""
    if isinstance(item, nodes.Cast) and item.target.name == "TIMESTAMP":
        item = item.operand
    return item if isinstance(item, nodes.Number | nodes.String) else None


def _is_call(expression: Expression, *names: str) -> bool:
    return isinstance(expression, nodes.FunctionCall) and expression.name in names


def _concatenated(*texts: Sql) -> Sql:
    text, *rest = map(_grouped, texts)  # or SQLAlchemy copies what stands in parentheses, again and again
    for following in rest:
        text = text.concat(following)
    return text


def _is_test(expression: Expression) -> bool:
    """Whether it is a function that yields 1 or 0 and has a condition behind it."""
    if not isinstance(expression, nodes.FunctionCall):
        return False
    return expression.name in _TESTS or FUNCTIONS[expression.name].condition is not None


def _columns(expression: Expression) -> Iterator[nodes.ColumnRef]:
    if isinstance(expression, nodes.ColumnRef):
        yield expression
    for part in nodes.children(expression):
        yield from _columns(part)


class _Parentheses(sa.sql.elements.Grouping[Any]):
    """Parentheses that stay: SQLAlchemy takes those round an AND inside another AND away."""

    inherit_cache = True
    operator = None


def _grouped(condition: Sql) -> Sql:
    return _Parentheses(condition)


def _balanced(join: Callable[..., Sql], terms: Sequence[Sql]) -> Sql:
    """All terms joined, as a shallow tree: SQLite refuses expressions a thousand levels deep."""
    while len(terms) > _GROUP:
        chunks = [terms[start : start + _GROUP] for start in range(0, len(terms), _GROUP)]
        terms = [_grouped(join(*chunk)) for chunk in chunks]
    return join(*terms)
