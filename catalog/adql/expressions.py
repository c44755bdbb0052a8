"""Give expressions and conditions their types, and refuse those that have none (section 2.3)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from catalog.adql import nodes
from catalog.adql.diagnostics import fault_at, nearest, suggest
from catalog.adql.functions import FUNCTIONS, Function, aggregate_result
from catalog.adql.kinds import Kind, combine, is_region, kind_of, literal
from catalog.adql.literals import parse_timestamp
from catalog.adql.nodes import CastTarget, Expression
from catalog.adql.scope import Scope
from catalog.adql.shapes import parse_dali_shape, unify_geometry
from catalog.adql.signatures import NUMBER, TIMESTAMP
from catalog.adql.udf.moc import within_moc
from catalog.adql.words import FOREIGN_FUNCTIONS
from catalog.errors import QueryError
from catalog.vo.table import Column
from catalog.vo.types import Datatype

__all__ = ["ExpressionResolver"]

MAX_TERMS = 200
"""Terms of one sum, product or concatenation; the engines nest them."""

MAX_WEIGHT = 30_000
"""Size of the SQL of all expressions of a query, in operations; some functions repeat their arguments."""

_GEOMETRY = 30
_PATTERN = 10
"""Operations that a geometry function, and LIKE with a pattern that is not written out, amount to."""

_CAST_TYPES = {
    "SMALLINT": Datatype.SHORT,
    "INTEGER": Datatype.INT,
    "BIGINT": Datatype.LONG,
    "REAL": Datatype.FLOAT,
    "DOUBLE PRECISION": Datatype.DOUBLE,
}


class ExpressionResolver:
    """Resolves values and conditions in a scope.

    Args:
        text: The query, for messages.
        subquery: Resolves a query inside a condition, in the scope around it.
    """

    def __init__(self, text: str, subquery: Callable[[nodes.QueryExpression, Scope], nodes.QueryExpression]) -> None:
        self._text = text
        self._subquery = subquery
        self._weight = 0

    def value(self, expression: Expression, scope: Scope, *, aggregates: bool = False) -> Expression:
        """A value with types; aggregates only where the clause allows them.

        Raises:
            QueryError: A name is unknown, a kind is wrong, a function is missing or takes other arguments.
        """
        resolved = self._value(expression, scope, aggregates=aggregates)
        self._spend(_weight(resolved), expression)
        return resolved

    def _spend(self, weight: int, node: Expression | nodes.Condition) -> None:
        self._weight += weight
        if self._weight > MAX_WEIGHT:
            hint = "many values are quicker in IN (…), many positions in a table that is joined"
            message = "the expressions of this query are too large"
            raise self.fault(node, message, code="too-complex", hint=hint)

    def fault(
        self,
        node: Expression | nodes.Condition,
        message: str,
        *,
        code: str = "type",
        hint: str | None = None,
        replacement: str | None = None,
    ) -> QueryError:
        """A fault that points at a node, and proposes what to write there instead."""
        return fault_at(self._text, node.span, message, code=code, hint=hint, replacement=replacement)

    # --- values ---

    def _value(self, expression: Expression, scope: Scope, *, aggregates: bool) -> Expression:
        match expression:
            case nodes.Number() | nodes.String():
                return replace(expression, meta=literal(expression.value))
            case nodes.Null():
                return replace(expression, meta=literal(None))
            case nodes.ColumnRef():
                return scope.column(expression)
            case nodes.Arithmetic():
                return self._arithmetic(expression, scope, aggregates=aggregates)
            case nodes.Concatenation():
                return self._concatenation(expression, scope, aggregates=aggregates)
            case nodes.Signed():
                operand = self._value(expression.operand, scope, aggregates=aggregates)
                self._require_number(operand, "-")
                return replace(expression, operand=operand, meta=combine((), (operand.type,), "value"))
            case nodes.Cast():
                operand = self._value(expression.operand, scope, aggregates=aggregates)
                return self._cast(replace(expression, operand=operand))
            case nodes.Aggregate():
                return self._aggregate(expression, scope, aggregates=aggregates)
            case nodes.FunctionCall():
                return self._function(expression, scope, aggregates=aggregates)

    def _operands(self, operands: Sequence[Expression], scope: Scope, *, aggregates: bool) -> tuple[Expression, ...]:
        if len(operands) > MAX_TERMS:
            message = f"more than {MAX_TERMS} terms in one expression"
            raise self.fault(operands[MAX_TERMS], message, code="too-complex")
        return tuple(self._value(operand, scope, aggregates=aggregates) for operand in operands)

    def _arithmetic(self, expression: nodes.Arithmetic, scope: Scope, *, aggregates: bool) -> Expression:
        operands = self._operands(expression.operands, scope, aggregates=aggregates)
        for operand in operands:
            self._require_number(operand, expression.operators[0])
        meta = combine(expression.operators, (operand.type for operand in operands), "value")
        return replace(expression, operands=operands, meta=meta)

    def _require_number(self, operand: Expression, operator: str) -> None:
        kind = kind_of(operand.type)
        if not kind.is_number and kind is not Kind.NULL:
            hint = "text is joined with ||" if kind is Kind.TEXT and operator == "+" else None
            raise self.fault(operand, f"{operator} works on numbers; this is {kind.value}", hint=hint)

    def _concatenation(self, expression: nodes.Concatenation, scope: Scope, *, aggregates: bool) -> Expression:
        resolved = self._operands(expression.operands, scope, aggregates=aggregates)
        operands = tuple(self._text_of(operand, "||") for operand in resolved)
        unicode = any(operand.type.datatype is Datatype.UNICODE_CHAR for operand in operands)
        meta = Column("value", Datatype.UNICODE_CHAR if unicode else Datatype.CHAR, "*")
        return replace(expression, operands=operands, meta=meta)

    def _text_of(self, operand: Expression, what: str) -> Expression:
        """The operand when it is text; a timestamp as text."""
        kind = kind_of(operand.type)
        if kind is Kind.TIMESTAMP:
            return self._cast(nodes.Cast(operand, CastTarget("VARCHAR"), span=operand.span))
        if kind not in (Kind.TEXT, Kind.NULL):
            hint = "CAST(… AS VARCHAR) makes text of a number" if kind.is_number else None
            raise self.fault(operand, f"{what} works on text; this is {kind.value}", hint=hint)
        return operand

    def _cast(self, expression: nodes.Cast) -> Expression:
        target, operand = expression.target, expression.operand
        kind, old = kind_of(operand.type), operand.type
        if target.name in ("POINT", "CIRCLE", "POLYGON"):
            return self._cast_to_shape(expression)
        allowed = {Kind.TEXT, Kind.NULL}
        if target.name != "TIMESTAMP":
            allowed |= {Kind.INTEGER, Kind.FLOAT}
        if target.name in ("TIMESTAMP", "CHAR", "VARCHAR"):
            allowed.add(Kind.TIMESTAMP)
        if kind not in allowed:
            raise self.fault(expression, f"{kind.value} cannot become {target.name}")
        if isinstance(operand, nodes.String) and target.name == "TIMESTAMP":
            operand = replace(operand, value=self._timestamp(operand))
        meta = _cast_meta(target, old, kind)
        return replace(expression, operand=operand, meta=meta)

    def _cast_to_shape(self, expression: nodes.Cast) -> Expression:
        """Text of numbers as a shape; a literal becomes the shape at once, so that an index can serve it."""
        name, operand = expression.target.name, expression.operand
        if isinstance(operand, nodes.String):
            return self._typed_call(parse_dali_shape(name, operand, self.fault))
        if kind_of(operand.type) not in (Kind.TEXT, Kind.NULL):
            raise self.fault(expression, f"{kind_of(operand.type).value} cannot become {name}")
        return replace(expression, meta=FUNCTIONS[name].result([]))

    def _timestamp(self, string: nodes.String) -> str:
        try:
            return parse_timestamp(string.value)
        except ValueError as error:
            raise self.fault(string, str(error), code="value") from None

    def _aggregate(self, expression: nodes.Aggregate, scope: Scope, *, aggregates: bool) -> Expression:
        self._require_aggregates_here(expression, aggregates=aggregates)
        if expression.argument is None:
            return replace(expression, meta=aggregate_result("COUNT", None))
        argument = self._value(expression.argument, scope, aggregates=False)
        kind = kind_of(argument.type)
        numbers_only = expression.name in ("AVG", "SUM")
        if not (kind.is_number or kind is Kind.NULL or (kind.is_ordered and not numbers_only)):
            what = "numbers" if numbers_only else "numbers, text and timestamps"
            raise self.fault(argument, f"{expression.name} works on {what}; this is {kind.value}")
        return replace(expression, argument=argument, meta=aggregate_result(expression.name, argument.type))

    def _require_aggregates_here(self, expression: nodes.Aggregate | nodes.FunctionCall, *, aggregates: bool) -> None:
        if not aggregates:
            message = f"{expression.name} cannot stand here"
            hint = "conditions on groups go into HAVING; aggregates do not nest"
            raise self.fault(expression, message, code="misplaced-aggregate", hint=hint)

    def _function(self, expression: nodes.FunctionCall, scope: Scope, *, aggregates: bool) -> Expression:
        function = FUNCTIONS.get(expression.name)
        if function is None:
            raise self._unknown_function(expression)
        if len(expression.arguments) > MAX_TERMS:
            raise self.fault(expression, f"more than {MAX_TERMS} arguments", code="too-complex")
        if function.aggregate:
            self._require_aggregates_here(expression, aggregates=aggregates)
            aggregates = False
        arguments = tuple(self._value(argument, scope, aggregates=aggregates) for argument in expression.arguments)
        call = replace(expression, arguments=arguments)
        searched = within_moc(call, self.fault)
        if searched is not None:
            return searched
        unify = function.unify or unify_geometry
        return self._typed_call(unify(call, self.fault))

    def _unknown_function(self, call: nodes.FunctionCall) -> QueryError:
        near = nearest(call.name, filter(str.isupper, FUNCTIONS))
        name, hint = FOREIGN_FUNCTIONS.get(call.name, (near[0] if near else None, suggest(near)))
        message = f"there is no function {call.name}"
        return self.fault(call, message, code="unknown-function", hint=hint, replacement=name)

    def _typed_call(self, call: nodes.FunctionCall) -> Expression:
        function = FUNCTIONS[call.name]
        if not function.takes(len(call.arguments)):
            message = f"{function.name} takes other arguments: {function.signature}"
            raise self.fault(call, message, code="arguments")
        arguments = tuple(self._argument(function, index, argument) for index, argument in enumerate(call.arguments))
        if function.name in ("ROUND", "TRUNCATE") and len(arguments) > 1:
            self._require_places(arguments[1])
        meta = function.result([argument.type for argument in arguments])
        if meta is None:
            raise self.fault(call, f"the arguments of {function.name} are of different types")
        call = replace(call, arguments=arguments, meta=meta)
        finished = call if function.finish is None else function.finish(call, self.fault)
        if function.aggregate and isinstance(finished, nodes.FunctionCall):
            argument, *rest = finished.arguments
            return nodes.Aggregate(call.name, argument, parameters=tuple(rest), span=call.span, meta=finished.meta)
        return finished

    def _argument(self, function: Function, index: int, argument: Expression) -> Expression:
        allowed, kind = function.parameter(index), kind_of(argument.type)
        if kind is Kind.NULL and function.feature == "udf" and allowed & (NUMBER | TIMESTAMP):
            target = "DOUBLE PRECISION" if allowed & NUMBER else "TIMESTAMP"
            return self._cast(nodes.Cast(argument, CastTarget(target), span=argument.span))
        if kind in allowed or kind is Kind.NULL:
            return argument
        if kind is Kind.TEXT and Kind.TIMESTAMP in allowed:
            return self._cast(nodes.Cast(argument, CastTarget("TIMESTAMP"), span=argument.span))
        if kind is Kind.TIMESTAMP and Kind.TEXT in allowed:
            return self._text_of(argument, function.name)
        if Kind.REGION in allowed and is_region(argument.type):
            return argument
        hint = "write REGION('CIRCLE ICRS …') for a shape in words" if Kind.REGION in allowed else None
        message = f"this is {kind.value}; expected {function.signature}"
        raise self.fault(argument, message, code="arguments", hint=hint)

    def _require_places(self, argument: Expression) -> None:
        if not isinstance(argument, nodes.Number) or not -30 <= argument.value <= 30:
            raise self.fault(argument, "the number of decimal places is an integer from -30 to 30", code="arguments")

    # --- conditions ---

    def condition(self, test: nodes.Condition, scope: Scope, *, aggregates: bool = False) -> nodes.Condition:
        """A condition with types.

        Raises:
            QueryError: As `value`; or values of different kinds are compared.
        """

        def value(expression: Expression) -> Expression:
            return self.value(expression, scope, aggregates=aggregates)

        match test:
            case nodes.And() | nodes.Or():
                return replace(
                    test, terms=tuple(self.condition(term, scope, aggregates=aggregates) for term in test.terms)
                )
            case nodes.Not():
                return replace(test, term=self.condition(test.term, scope, aggregates=aggregates))
            case nodes.Comparison():
                left, right = self._comparable(value(test.left), value(test.right))
                return replace(test, left=left, right=right)
            case nodes.Between():
                operand, low = self._comparable(value(test.operand), value(test.low))
                operand, high = self._comparable(operand, value(test.high))
                return replace(test, operand=operand, low=low, high=high)
            case nodes.InList():
                operand = value(test.operand)
                return replace(test, operand=operand, items=tuple(self._items(operand, test.items, value)))
            case nodes.InQuery():
                return self._in_query(replace(test, operand=value(test.operand)), scope)
            case nodes.Like():
                word = "ILIKE" if test.insensitive else "LIKE"
                self._spend(0 if isinstance(test.pattern, nodes.String) else _PATTERN, test)
                operand = self._text_of(value(test.operand), word)
                return replace(test, operand=operand, pattern=self._text_of(value(test.pattern), word))
            case nodes.IsNull():
                return replace(test, operand=value(test.operand))
            case nodes.Exists():
                return replace(test, query=self._subquery(test.query, scope))

    def _items(
        self, operand: Expression, items: Sequence[Expression], value: Callable[[Expression], Expression]
    ) -> Iterator[Expression]:
        """The values of IN; there may be thousands of literals, for which this is the straight road."""
        kind = kind_of(operand.type)
        for item in items:
            if isinstance(item, nodes.Number):
                typed: Expression = nodes.Number(item.value, span=item.span, meta=literal(item.value))
                yield typed if kind.is_number else self._comparable(operand, typed)[1]
            elif isinstance(item, nodes.String):
                typed = nodes.String(item.value, span=item.span, meta=literal(item.value))
                yield typed if kind is Kind.TEXT else self._comparable(operand, typed)[1]
            else:
                yield self._comparable(operand, value(item))[1]

    def _in_query(self, test: nodes.InQuery, scope: Scope) -> nodes.Condition:
        query = self._subquery(test.query, scope)
        if len(query.columns) != 1:
            message = f"the subquery of IN yields {len(query.columns)} columns; expected one"
            raise self.fault(test, message, code="columns")
        kinds = kind_of(test.operand.type), kind_of(query.columns[0])
        if not _compare(*kinds):
            raise self.fault(test, f"{kinds[0].value} cannot be in a list of {kinds[1].name.lower()} values")
        return replace(test, query=query)

    def _comparable(self, left: Expression, right: Expression) -> tuple[Expression, Expression]:
        """Both sides, made of one kind; text beside a timestamp is read as a time."""
        kinds = kind_of(left.type), kind_of(right.type)
        if _compare(*kinds):
            return left, right
        if kinds == (Kind.TIMESTAMP, Kind.TEXT):
            return left, self._cast(nodes.Cast(right, CastTarget("TIMESTAMP"), span=right.span))
        if kinds == (Kind.TEXT, Kind.TIMESTAMP):
            return self._cast(nodes.Cast(left, CastTarget("TIMESTAMP"), span=left.span)), right
        odd = right if kinds[0].is_ordered or kinds[0] is Kind.NULL else left
        raise self._incomparable(odd, kinds)

    def _incomparable(self, odd: Expression, kinds: tuple[Kind, Kind]) -> QueryError:
        hint = replacement = None
        written = self._text[odd.span.start : odd.span.end]
        if Kind.TEXT in kinds and (kinds[0].is_number or kinds[1].is_number):
            hint = "numbers stand without quotes, text with; CAST changes a type"
            if isinstance(odd, nodes.String) and re.fullmatch(r"[+-]?\d+(\.\d*)?", odd.value):
                replacement = odd.value
            elif isinstance(odd, nodes.Number):
                replacement = f"'{written}'"
        elif Kind.TIMESTAMP in kinds and re.fullmatch(r"\d{4}\s*-\s*\d\d\s*-\s*\d\d", written):
            hint, replacement = "times stand in single quotes", f"'{written}'"
        message = f"{kinds[0].value} and {kinds[1].value} do not compare"
        return self.fault(odd, message, hint=hint, replacement=replacement)


def _compare(left: Kind, right: Kind) -> bool:
    if Kind.NULL in (left, right):
        return left.is_ordered or right.is_ordered or left is right
    return (left is right and left.is_ordered) or (left.is_number and right.is_number)


def _weight(expression: Expression) -> int:
    inside = sum(map(_weight, nodes.children(expression)))
    if not isinstance(expression, nodes.FunctionCall):
        return 1 + inside
    function = FUNCTIONS[expression.name]
    own = _GEOMETRY if function.feature == "adqlgeo" else 1
    return own + function.copies * inside


def _cast_meta(target: CastTarget, old: Column, kind: Kind) -> Column:
    if target.name in _CAST_TYPES:
        unit, ucd = (old.unit, old.ucd) if kind.is_number else (None, None)
        return Column(old.name, _CAST_TYPES[target.name], unit=unit, ucd=ucd, description=old.description)
    if target.name == "TIMESTAMP":
        return Column(old.name, Datatype.CHAR, "*", ucd=old.ucd, xtype="timestamp", description=old.description)
    datatype = Datatype.UNICODE_CHAR if old.datatype is Datatype.UNICODE_CHAR else Datatype.CHAR
    arraysize = "*"
    if target.length is not None:
        arraysize = f"{target.length}" if target.name == "CHAR" else f"{target.length}*"
    return Column(old.name, datatype, arraysize, ucd=old.ucd, description=old.description)
