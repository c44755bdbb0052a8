"""One spelling for each geometry: what follows knows POINT(lon, lat), CIRCLE(lon, lat, r), POLYGON(lon, lat, …).

Coordinate-system arguments go, CIRCLE and POLYGON of points become numbers, DISTANCE of four numbers becomes one of
two points (section 4.2).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from catalog.adql import nodes
from catalog.adql.functions import FUNCTIONS
from catalog.adql.kinds import Kind, kind_of
from catalog.adql.nodes import Expression, FunctionCall
from catalog.errors import QueryError

__all__ = ["unify_geometry"]

Fault = Callable[..., QueryError]

_OTHER_FRAMES = ("GALACTIC", "SUPER_GALACTIC", "SUPERGALACTIC", "ECLIPTIC", "FK4", "B1950")


def unify_geometry(call: FunctionCall, fault: Fault) -> FunctionCall:
    """The call with its arguments in the one spelling; other functions come back as they are.

    Raises:
        QueryError: A frame other than ICRS is named, a latitude or radius is impossible, or a geometry is not built
            from coordinates (code ``not-supported-yet``).
    """
    if call.name in ("POINT", "CIRCLE", "POLYGON"):
        call = _without_frame(call, fault)
    if call.name == "CIRCLE" and len(call.arguments) == 2:
        center, radius = call.arguments
        call = replace(call, arguments=(*_coordinates(center, fault), radius))
    if call.name == "POLYGON" and call.arguments and kind_of(call.arguments[0].type) is Kind.POINT:
        corners = (part for corner in call.arguments for part in _coordinates(corner, fault))
        call = replace(call, arguments=tuple(corners))
    if call.name == "DISTANCE" and len(call.arguments) == 4:
        first, second = call.arguments[:2], call.arguments[2:]
        call = replace(call, arguments=(_point(first, call), _point(second, call)))
    _check(call, fault)
    return call


def _without_frame(call: FunctionCall, fault: Fault) -> FunctionCall:
    """Drop the deprecated first argument; every position here is ICRS, so another frame would give wrong answers."""
    if not call.arguments or kind_of(call.arguments[0].type) is not Kind.TEXT:
        return call
    frame = call.arguments[0]
    if not isinstance(frame, nodes.String):
        raise fault(frame, "a coordinate system is a literal such as 'ICRS', or left out", code="arguments")
    words = frame.value.upper().split()
    if words and words[0] in _OTHER_FRAMES:
        raise fault(frame, f"positions are ICRS; {words[0]} coordinates are not converted", code="frame")
    return replace(call, arguments=call.arguments[1:])


def _coordinates(point: Expression, fault: Fault) -> tuple[Expression, ...]:
    if isinstance(point, FunctionCall) and point.name == "POINT":
        return point.arguments
    kind = kind_of(point.type)
    if kind is Kind.POINT:
        raise fault(point, "a point from a column is not supported yet", code="not-supported-yet")
    raise fault(point, f"this is {kind.value}; expected POINT(lon, lat)", code="arguments")


def _point(numbers: tuple[Expression, ...], call: FunctionCall) -> FunctionCall:
    meta = FUNCTIONS["POINT"].result([])
    return FunctionCall("POINT", numbers, span=numbers[0].span.to(call.span), meta=meta)


def _check(call: FunctionCall, fault: Fault) -> None:
    if call.name == "POLYGON" and (len(call.arguments) < 6 or len(call.arguments) % 2):
        raise fault(call, "POLYGON takes three or more pairs of lon, lat", code="arguments")
    if call.name in ("CONTAINS", "DISTANCE", "COORD1", "COORD2", "COORDSYS"):
        for argument in call.arguments:
            if not isinstance(argument, FunctionCall) and kind_of(argument.type).is_geometry:
                raise fault(argument, "geometry from a column is not supported yet", code="not-supported-yet")
    latitudes: tuple[Expression, ...] = ()
    if call.name == "DISTANCE":
        latitudes = tuple(point.arguments[1] for point in call.arguments if _is_point(point))  # type: ignore[union-attr]
    elif call.name == "POLYGON":
        latitudes = call.arguments[1::2]
    elif call.name in ("POINT", "CIRCLE"):
        latitudes = call.arguments[1:2]
    for latitude in latitudes:
        if isinstance(latitude, nodes.Number) and not -90 <= latitude.value <= 90:
            raise fault(latitude, "a latitude lies between -90 and 90 degrees", code="value")
    if call.name == "CIRCLE" and len(call.arguments) == 3:
        radius = call.arguments[2]
        if isinstance(radius, nodes.Number) and radius.value < 0:
            raise fault(radius, "a radius cannot be negative", code="value")


def _is_point(expression: Expression) -> bool:
    return isinstance(expression, FunctionCall) and expression.name == "POINT" and len(expression.arguments) == 2
