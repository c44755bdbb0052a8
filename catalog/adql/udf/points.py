"""Points as arguments and results: what a function needs of one are two numbers, what it makes of two is a POINT."""

from __future__ import annotations

from collections.abc import Sequence

from catalog.adql.kinds import Kind, kind_of
from catalog.adql.nodes import Expression, FunctionCall, Span
from catalog.vo.table import Column
from catalog.vo.types import Datatype

__all__ = ["coordinates", "is_point", "make_point", "point_result"]

_LON = Column("lon", Datatype.DOUBLE, unit="deg")
_LAT = Column("lat", Datatype.DOUBLE, unit="deg")


def point_result(arguments: Sequence[Column]) -> Column:
    """Description of a point, whatever it is made of."""
    return Column("value", Datatype.DOUBLE, "2", unit="deg", xtype="point")


def is_point(expression: Expression) -> bool:
    """Whether a resolved value is a point, perhaps a missing one."""
    return kind_of(expression.type) in (Kind.POINT, Kind.NULL)


def coordinates(point: Expression) -> tuple[Expression, Expression]:
    """Longitude and latitude in degrees of a point, wherever it comes from."""
    if isinstance(point, FunctionCall) and point.name == "POINT":
        lon, lat = point.arguments
        return lon, lat
    if kind_of(point.type) is Kind.NULL:
        return point, point
    lon = FunctionCall("COORD1", (point,), span=point.span, meta=_LON)
    return lon, FunctionCall("COORD2", (point,), span=point.span, meta=_LAT)


def make_point(names: tuple[str, str], arguments: tuple[Expression, ...], span: Span) -> FunctionCall:
    """The point whose coordinates two functions of the same arguments give."""
    lon = FunctionCall(names[0], arguments, span=span, meta=_LON)
    lat = FunctionCall(names[1], arguments, span=span, meta=_LAT)
    return FunctionCall("POINT", (lon, lat), span=span, meta=point_result(()))
