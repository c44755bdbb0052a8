"""What a value is: the kinds that ADQL tells apart, and how descriptions of values combine (sections 2.3 and 3).

An expression is described by a `Column`: its datatype, unit, UCD and so on are what the output FIELD would say.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from enum import Enum
from functools import cache

from astropy import units

from catalog.vo.table import Column
from catalog.vo.types import Datatype

__all__ = ["Kind", "combine", "common", "is_region", "kind_of", "literal", "settle", "untyped"]


class Kind(Enum):
    """Families of types; only values of one family compare."""

    INTEGER = "an integer"
    FLOAT = "a number"
    TEXT = "text"
    TIMESTAMP = "a timestamp"
    POINT = "a point"
    CIRCLE = "a circle"
    POLYGON = "a polygon"
    REGION = "a region"
    """Text that is a circle or a polygon (`is_region`); `kind_of` says that it is text, which it also is."""

    NULL = "NULL"
    ARRAY = "an array"

    @property
    def is_number(self) -> bool:
        """Whether arithmetic is defined."""
        return self in (Kind.INTEGER, Kind.FLOAT)

    @property
    def is_geometry(self) -> bool:
        """Whether it lies on the sky."""
        return self in (Kind.POINT, Kind.CIRCLE, Kind.POLYGON)

    @property
    def is_ordered(self) -> bool:
        """Whether values compare by < and sort."""
        return self.is_number or self in (Kind.TEXT, Kind.TIMESTAMP)


_NULL = "null"  # an xtype that never leaves this package: the bare word NULL, which has any type
_LITERAL = "\0literal"  # a name that no column has: a plain value, which takes on the unit of what it meets
_GEOMETRY = {"point": Kind.POINT, "circle": Kind.CIRCLE, "polygon": Kind.POLYGON}
_REGIONS = ("adql:region", "region")
_RANK = (
    Datatype.BIT,
    Datatype.BOOLEAN,
    Datatype.UNSIGNED_BYTE,
    Datatype.SHORT,
    Datatype.INT,
    Datatype.LONG,
    Datatype.FLOAT,
    Datatype.DOUBLE,
)


def kind_of(column: Column) -> Kind:
    """The kind of a described value; flags count as integers, ADQL having no boolean type."""
    if column.xtype == _NULL:
        return Kind.NULL
    if column.is_array:
        return _GEOMETRY.get(column.xtype or "", Kind.ARRAY) if column.datatype.is_float else Kind.ARRAY
    if column.datatype.is_text:
        return Kind.TIMESTAMP if column.xtype == "timestamp" else Kind.TEXT
    return Kind.FLOAT if column.datatype.is_float else Kind.INTEGER


def is_region(column: Column) -> bool:
    """Whether text describes a region, as s_region does: ``CIRCLE ICRS …`` or ``POLYGON ICRS …``."""
    return column.datatype.is_text and (column.xtype or "").lower() in _REGIONS


def literal(value: int | float | str | None) -> Column:
    """Description of a literal, or of NULL; the name is a stand-in. All literals of a type share it."""
    if value is None:
        return untyped("null_value")
    if isinstance(value, str):
        return _LITERALS[Datatype.CHAR if value.isascii() else Datatype.UNICODE_CHAR]
    if isinstance(value, float):
        return _LITERALS[Datatype.DOUBLE]
    return _LITERALS[Datatype.INT if -(1 << 31) <= value < 1 << 31 else Datatype.LONG]


_LITERALS = {
    datatype: Column(_LITERAL, datatype, "*" if datatype.is_text else None)
    for datatype in (Datatype.CHAR, Datatype.UNICODE_CHAR, Datatype.DOUBLE, Datatype.INT, Datatype.LONG)
}


def untyped(name: str) -> Column:
    """Description of NULL before anything gives it a type."""
    return Column(name, Datatype.CHAR, "*", xtype=_NULL)


def settle(column: Column) -> Column:
    """The description as others may see it: a bare NULL becomes text, marks that only tables carry go."""
    xtype = None if column.xtype == _NULL else column.xtype
    return replace(column, xtype=xtype, principal=False, indexed=False, std=False)


def common(first: Column, second: Column) -> Column | None:
    """The type that holds both, with the first one's name and what the two agree on; None when there is none.

    A literal agrees with everything: ``COALESCE(s_ra, 0)`` is a right ascension.
    """
    kinds = kind_of(first), kind_of(second)
    if Kind.NULL in kinds:
        typed = second if kinds[0] is Kind.NULL else first
        return replace(typed, name=first.name)
    if kinds[0] is not kinds[1] and not all(kind.is_number for kind in kinds):
        return None
    if kinds[0] is Kind.ARRAY and first.datatype is not second.datatype:
        return None
    named = second if first.name == _LITERAL else first
    agreed = {
        mark: getattr(named, mark)
        for mark in ("unit", "ucd", "utype", "xtype", "description", "ref")
        if _LITERAL in (first.name, second.name) or getattr(first, mark) == getattr(second, mark)
    }
    if kinds[0].is_number:
        return Column(named.name, _wider(first.datatype, second.datatype), **agreed)
    datatype = Datatype.UNICODE_CHAR if Datatype.UNICODE_CHAR in (first.datatype, second.datatype) else first.datatype
    arraysize = first.arraysize if first.arraysize == second.arraysize else "*"
    return Column(named.name, datatype, arraysize, **agreed)


def _wider(first: Datatype, second: Datatype) -> Datatype:
    low, high = sorted((first, second), key=_RANK.index)
    if high is Datatype.FLOAT and low is not Datatype.FLOAT:
        return Datatype.DOUBLE  # a float does not hold every integer
    return high


def combine(operators: Iterable[str], operands: Iterable[Column], name: str) -> Column:
    """Description of ``a + b - c`` or ``a * b / c``: integers give a long, anything else a double.

    Sums keep the unit that all terms share, literals having that of the others; factors multiply and divide their
    units.
    """
    first, *rest = operands
    signs = list(operators)
    integers = all(kind_of(operand) in (Kind.INTEGER, Kind.NULL) for operand in (first, *rest))
    datatype = Datatype.LONG if integers else Datatype.DOUBLE
    if not signs or signs[0] in "+-":
        shared = {operand.unit for operand in (first, *rest) if operand.name != _LITERAL}
        return Column(name, datatype, unit=shared.pop() if len(shared) == 1 else None)
    unit = first.unit
    for sign, operand in zip(signs, rest, strict=True):
        unit = _product(unit, operand.unit, sign)
    return Column(name, datatype, unit=unit)


@cache
def _product(left: str | None, right: str | None, sign: str) -> str | None:
    """Unit of a product or quotient, in VOUnits syntax; None for no unit, and where a unit is not in that syntax."""
    if right is None or (left is None and sign == "*"):
        return left or right
    try:
        first, second = (units.Unit(unit or "", format="vounit", parse_strict="raise") for unit in (left, right))
        combined = first * second if sign == "*" else first / second
        return combined.to_string("vounit", fraction="inline") or None
    except ValueError:
        return None
