"""One spelling for each geometry: what follows knows POINT(lon, lat), CIRCLE(lon, lat, r), POLYGON(lon, lat, …).

Coordinate-system arguments go, CIRCLE and POLYGON of points become numbers, DISTANCE of four numbers becomes one of
two points, BOX and REGION of literals become the shapes that they mean (section 4.2).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from catalog.adql import nodes
from catalog.adql.functions import FUNCTIONS
from catalog.adql.geometry import constant
from catalog.adql.kinds import Kind, kind_of, literal
from catalog.adql.literals import parse_number
from catalog.adql.nodes import Expression, FunctionCall
from catalog.adql.sphere import box_corners, polygon_problem
from catalog.errors import QueryError
from catalog.vo.region import Circle, parse_region

__all__ = ["parse_dali_shape", "unify_geometry"]

Fault = Callable[..., QueryError]

_OTHER_FRAMES = ("GALACTIC", "SUPER_GALACTIC", "SUPERGALACTIC", "ECLIPTIC", "FK4", "B1950")
_WITH_FRAME = ("POINT", "CIRCLE", "POLYGON", "BOX")


def unify_geometry(call: FunctionCall, fault: Fault) -> FunctionCall:
    """The call with its arguments in the one spelling; other functions come back as they are.

    Raises:
        QueryError: A frame other than ICRS is named, a latitude, radius or side is impossible, the edges of a polygon
            cross, or REGION is not given a shape.
    """
    if call.name == "REGION":
        return _region(call, fault)
    if call.name in _WITH_FRAME:
        call = _without_frame(call, fault)
    if call.name in ("CIRCLE", "BOX") and call.arguments and kind_of(call.arguments[0].type) is Kind.POINT:
        center, *sizes = call.arguments
        call = replace(call, arguments=(*_coordinates(center), *sizes))
    if call.name == "POLYGON" and call.arguments and kind_of(call.arguments[0].type) is Kind.POINT:
        for corner in call.arguments:
            if kind_of(corner.type) is not Kind.POINT:
                raise fault(corner, f"this is {kind_of(corner.type).value}; expected a point", code="arguments")
        corners = (part for corner in call.arguments for part in _coordinates(corner))
        call = replace(call, arguments=tuple(corners))
    if call.name == "DISTANCE" and len(call.arguments) == 4:
        first, second = call.arguments[:2], call.arguments[2:]
        call = replace(call, arguments=(_point(first, call), _point(second, call)))
        for point in call.arguments:
            assert isinstance(point, FunctionCall)  # noqa: S101  (made here)
            _check(point, fault)
    _check(call, fault)
    return _box(call, fault) if call.name == "BOX" else call


def parse_dali_shape(name: str, string: nodes.String, fault: Fault) -> FunctionCall:
    """What ``CAST('…' AS CIRCLE)`` and its like mean (DALI 1.1 section 3.3).

    Raises:
        QueryError: The text is not the numbers of such a shape.
    """
    try:
        numbers = [parse_number(word) for word in string.value.split()]
    except (ValueError, OverflowError):
        numbers = []
    call = FunctionCall(name, _numbers(numbers, string), span=string.span)
    if not FUNCTIONS[name].takes(len(numbers)) or (name == "POLYGON" and len(numbers) % 2):
        example = {"POINT": "'10.5 20'", "CIRCLE": "'10.5 20 0.5'", "POLYGON": "'10 20 11 20 11 21'"}[name]
        raise fault(
            string, f"'{string.value[:40]}' is no {name.lower()}; expected numbers such as {example}", code="value"
        )
    return unify_geometry(call, fault)


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


def _coordinates(point: Expression) -> tuple[Expression, ...]:
    if isinstance(point, FunctionCall) and point.name == "POINT":
        return point.arguments
    return tuple(
        FunctionCall(name, (point,), span=point.span, meta=FUNCTIONS[name].result([point.type]))
        for name in ("COORD1", "COORD2")
    )


def _point(numbers: tuple[Expression, ...], call: FunctionCall) -> FunctionCall:
    meta = FUNCTIONS["POINT"].result([])
    return FunctionCall("POINT", numbers, span=numbers[0].span.to(call.span), meta=meta)


def _numbers(values: Sequence[float], near: Expression) -> tuple[nodes.Number, ...]:
    return tuple(nodes.Number(value, span=near.span, meta=literal(value)) for value in values)


def _region(call: FunctionCall, fault: Fault) -> FunctionCall:
    """``REGION('CIRCLE ICRS …')`` as the shape that it describes."""
    if len(call.arguments) != 1 or not isinstance(call.arguments[0], nodes.String):
        raise fault(call, "REGION takes one literal, such as 'CIRCLE ICRS 10.5 20 0.5'", code="arguments")
    string = call.arguments[0]
    word, *rest = string.value.upper().split() or [""]
    while rest and not rest[0].lstrip("+-.")[:1].isdigit() and word in ("POSITION", "POINT", "BOX"):
        if rest[0] in _OTHER_FRAMES:
            raise fault(string, f"positions are ICRS; {rest[0]} coordinates are not converted", code="frame")
        rest = rest[1:]
    try:
        if word in ("POSITION", "POINT", "BOX"):
            name, values = "BOX" if word == "BOX" else "POINT", [parse_number(number) for number in rest]
        else:
            region = parse_region(string.value)
            if isinstance(region, Circle):
                name, values = "CIRCLE", [region.ra, region.dec, region.radius]
            else:
                name, values = "POLYGON", [number for vertex in region.vertices for number in vertex]
    except ValueError as error:
        raise fault(string, str(error), code="value") from None
    shape = replace(call, name=name, arguments=_numbers(values, string))
    if not FUNCTIONS[name].takes(len(values)):
        raise fault(string, f"{word} is followed by {len(values)} numbers here", code="value")
    return unify_geometry(shape, fault)


def _box(call: FunctionCall, fault: Fault) -> FunctionCall:
    """A box of plain numbers as the polygon of its corners."""
    values = [constant(argument) for argument in call.arguments]
    numbers = [value for value in values if value is not None]
    if len(numbers) != 4 or len(values) != 4:
        return call
    try:
        corners = box_corners(*numbers)
    except ValueError as error:
        raise fault(call, str(error), code="value") from None
    return replace(call, name="POLYGON", arguments=_numbers(corners, call))


def _check(call: FunctionCall, fault: Fault) -> None:
    if call.name == "POLYGON" and (len(call.arguments) < 6 or len(call.arguments) % 2):
        raise fault(call, "POLYGON takes three or more pairs of lon, lat", code="arguments")
    for latitude in _latitudes(call):
        value = constant(latitude)
        if value is not None and not -90 <= value <= 90:
            raise fault(latitude, "a latitude lies between -90 and 90 degrees", code="value")
    if call.name == "CIRCLE" and len(call.arguments) == 3:
        radius = constant(call.arguments[2])
        if radius is not None and radius < 0:
            raise fault(call.arguments[2], "a radius cannot be negative", code="value")
    if call.name == "POLYGON":
        values = [constant(argument) for argument in call.arguments]
        numbers = [value for value in values if value is not None]
        problem = polygon_problem(list(zip(numbers[::2], numbers[1::2], strict=True))) if None not in values else None
        if problem is not None:
            raise fault(call, f"this is no polygon: {problem}", code="value")


def _latitudes(call: FunctionCall) -> tuple[Expression, ...]:
    if call.name == "POLYGON":
        return call.arguments[1::2]
    return call.arguments[1:2] if call.name in ("POINT", "CIRCLE", "BOX") else ()
