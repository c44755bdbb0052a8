"""How large numbers can get: which arithmetic can leave the range of its type.

PostgreSQL raises there, and so must SQLite, which goes on with a double. What can raise is kept from rows that the
caller may not see (`catalog.adql.values`, `catalog.adql.fences`).
"""

from __future__ import annotations

from catalog.adql import nodes
from catalog.adql.kinds import Kind, kind_of
from catalog.adql.nodes import Expression
from catalog.vo.types import Datatype

__all__ = ["can_overflow"]

_BITS = {
    Datatype.BOOLEAN: 1,
    Datatype.BIT: 1,
    Datatype.UNSIGNED_BYTE: 8,
    Datatype.SHORT: 15,
    Datatype.INT: 31,
    Datatype.LONG: 63,
}
_ROWS = 48
"""Bits of what COUNT yields."""


def can_overflow(expression: Expression) -> bool:
    """Whether a sum, product or change of sign can be beyond 64 bits; of doubles each one can be beyond 1.8e308."""
    if not isinstance(expression, nodes.Arithmetic | nodes.Signed):
        return False
    return kind_of(expression.type) is Kind.FLOAT or _bits(expression) > 62


def _bits(expression: Expression) -> int:
    """A number b such that the value lies between -2^b and 2^b."""
    match expression:
        case nodes.Number():
            return int(expression.value).bit_length()
        case nodes.Null():
            return 0
        case nodes.Signed():
            return _bits(expression.operand)
        case nodes.Aggregate(name="COUNT"):
            return _ROWS
        case nodes.Arithmetic():
            return _bits_of_arithmetic(expression)
        case _:
            return _BITS.get(expression.type.datatype, 63)


def _bits_of_arithmetic(expression: nodes.Arithmetic) -> int:
    if expression.operators[0] in "+-":
        return max(map(_bits, expression.operands)) + (len(expression.operands) - 1).bit_length()
    total = _bits(expression.operands[0])
    for operator, operand in zip(expression.operators, expression.operands[1:], strict=True):
        if operator == "*":
            total += _bits(operand)
        elif isinstance(operand, nodes.Number) and operand.value:
            total -= int(operand.value).bit_length() - 1
        if total > 62:
            return total
    return total
