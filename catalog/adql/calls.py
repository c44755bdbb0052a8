"""How the grammar lets its functions be called (appendix A): the number of arguments, and where literals must stand.

What kinds of values they take is the resolver's affair. User-defined functions are not known here.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from catalog.adql import nodes
from catalog.adql.nodes import Expression, FunctionCall, Span

__all__ = ["GEOMETRIES", "Miscall", "miscall", "without_null_frame"]


class Miscall(NamedTuple):
    """What is wrong with a call, and where."""

    message: str
    span: Span


class _Form(NamedTuple):
    text: str
    least: int
    most: int | None
    paired: bool = False
    """Whether the arguments come in pairs."""

    def takes(self, count: int) -> bool:
        return self.least <= count <= (self.most or count) and not (self.paired and count % 2)


_ONE = "ABS ACOS ASIN ATAN CEILING COS COT DEGREES EXP FLOOR LOG LOG10 RADIANS SIN SQRT TAN"
_FORMS = {name: _Form(f"{name}(number)", 1, 1) for name in _ONE.split()} | {
    "ATAN2": _Form("ATAN2(y, x)", 2, 2),
    "MOD": _Form("MOD(x, y)", 2, 2),
    "POWER": _Form("POWER(x, y)", 2, 2),
    "RAND": _Form("RAND() or RAND(seed)", 0, 1),
    "ROUND": _Form("ROUND(number) or ROUND(number, places)", 1, 2),
    "TRUNCATE": _Form("TRUNCATE(number) or TRUNCATE(number, places)", 1, 2),
    "LOWER": _Form("LOWER(text)", 1, 1),
    "UPPER": _Form("UPPER(text)", 1, 1),
    "COALESCE": _Form("COALESCE(value, …)", 1, None),
    "IN_UNIT": _Form("IN_UNIT(number, 'unit')", 2, 2),
    "AREA": _Form("AREA(geometry)", 1, 1),
    "CENTROID": _Form("CENTROID(geometry)", 1, 1),
    "COORD1": _Form("COORD1(point)", 1, 1),
    "COORD2": _Form("COORD2(point)", 1, 1),
    "COORDSYS": _Form("COORDSYS(geometry)", 1, 1),
    "CONTAINS": _Form("CONTAINS(geometry, geometry)", 2, 2),
    "INTERSECTS": _Form("INTERSECTS(geometry, geometry)", 2, 2),
    "REGION": _Form("REGION('text')", 1, 1),
    "DISTANCE": _Form("DISTANCE(point, point) or DISTANCE(lon1, lat1, lon2, lat2)", 2, 4, paired=True),
    "POINT": _Form("POINT(lon, lat)", 2, 2),
    "CIRCLE": _Form("CIRCLE(lon, lat, radius) or CIRCLE(point, radius)", 3, 3),
    "BOX": _Form("BOX(lon, lat, width, height) or BOX(point, width, height)", 4, 4),
    "POLYGON": _Form("POLYGON of three or more pairs of lon, lat, or of three or more points", 6, None, paired=True),
}
"""How to call each function, and with how many arguments, coordinates being given as numbers; PI takes none."""

_FRAMED = frozenset({"POINT", "CIRCLE", "BOX", "POLYGON"})
"""They may begin with the name of a coordinate system."""

GEOMETRIES = _FRAMED | {"REGION", "CENTROID"}
"""Functions whose value is a geometry."""


def without_null_frame(call: FunctionCall) -> FunctionCall:
    """The call without a NULL that stands for the name of a coordinate system, as ``POINT(NULL, 10, 20)`` has one."""
    arguments = call.arguments
    if call.name not in _FRAMED or not arguments or not isinstance(arguments[0], nodes.Null):
        return call
    form = _FORMS[call.name]
    is_frame = form.takes(len(arguments) - 1) and not form.takes(len(arguments))
    return replace(call, arguments=arguments[1:]) if is_frame else call


def miscall(call: FunctionCall) -> Miscall | None:
    """What the grammar has against a call; None when it may stand, or the function is none of the grammar's."""
    if call.name == "PI" and call.arguments:
        return Miscall("PI takes other arguments: PI()", call.span)
    if call.name not in _FORMS:
        return None
    form, arguments = _FORMS[call.name], call.arguments
    if call.name in _FRAMED and arguments and isinstance(arguments[0], nodes.String):
        arguments = arguments[1:]
    if not form.takes(len(arguments)) and not _of_points(call.name, arguments):
        return Miscall(f"{call.name} takes other arguments: {form.text}", call.span)
    return _literal_wanted(call, arguments)


def _of_points(name: str, arguments: tuple[Expression, ...]) -> bool:
    """Whether a shape is given by points instead of pairs of numbers; a column may hold points."""
    if not arguments or isinstance(arguments[0], nodes.Number | nodes.Signed | nodes.Arithmetic | nodes.String):
        return False
    return (name, len(arguments)) in (("CIRCLE", 2), ("BOX", 3)) or (name == "POLYGON" and len(arguments) >= 3)


def _literal_wanted(call: FunctionCall, arguments: tuple[Expression, ...]) -> Miscall | None:
    last = arguments[-1] if arguments else None
    if call.name in ("ROUND", "TRUNCATE") and len(arguments) == 2 and not _is_integer(arguments[1]):
        return Miscall("the number of decimal places is a whole number, written out", arguments[1].span)
    if call.name == "RAND" and last is not None and not (_is_integer(last) and not _is_negative(last)):
        return Miscall("the seed is a whole number, written out", last.span)
    if call.name == "REGION" and not isinstance(last, nodes.String):
        return Miscall("REGION takes text in single quotes, written out", call.span if last is None else last.span)
    if call.name == "COALESCE" and all(isinstance(each, nodes.Null) for each in arguments):
        return Miscall("COALESCE wants a value beside NULL", call.span if last is None else last.span)
    if call.name == "IN_UNIT" and not isinstance(last, nodes.String):
        return Miscall("the unit is text in single quotes, written out", call.span if last is None else last.span)
    return None


def _is_integer(expression: Expression) -> bool:
    return isinstance(expression, nodes.Number) and isinstance(expression.value, int)


def _is_negative(expression: Expression) -> bool:
    return isinstance(expression, nodes.Number) and expression.value < 0
