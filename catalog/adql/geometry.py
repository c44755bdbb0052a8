"""SQL of the geometry functions (section 4.2), with the spatial index where there is one.

PostgreSQL has pgSphere: ``spoint <@ scircle`` is what the GiST index on ``spoint(radians(ra), radians(dec))`` answers.
SQLite has an R*Tree of unit vectors: the box around a cap gives candidates, the length of the chord decides. Regions in
columns are found by the circles around them, each in an index of its own; then `catalog.adql.sphere`, on PostgreSQL its
twin `catalog.adql.postgresql_geometry`, decides. All are right at the poles, across longitude 0 and for radii over 90
degrees. Borders count as inside, with pgSphere's tolerance of 1e-9 radian on both engines.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from catalog.adql import nodes
from catalog.adql.installed import called
from catalog.adql.kinds import Kind, is_region, kind_of
from catalog.adql.mathematics import Sql, verbatim
from catalog.adql.nodes import Expression, FunctionCall
from catalog.adql.statement import PositionIndex, RegionIndex, Statement
from catalog.vo.region import Polygon, bounding_cap, unit_box

__all__ = ["GeometryTranslator", "constant"]

TOLERANCE = 1e-9
"""Radians."""

Vector = tuple[Sql, Sql, Sql]

_WORDS = {Kind.POINT: "POINT", Kind.CIRCLE: "CIRCLE", Kind.POLYGON: "POLYGON"}
_BUILT = ("POINT", "CIRCLE", "POLYGON")
_MARGIN = 1e-7  # degrees: an index may offer more than there is, never less
_AXES = ("x_min", "x_max", "y_min", "y_max", "z_min", "z_max")


def constant(expression: Expression) -> float | None:
    """The value of an expression of plain numbers, such as ``5/3600.``; None for any other."""
    match expression:
        case nodes.Number():
            return expression.value
        case nodes.Signed():
            inner = constant(expression.operand)
            return None if inner is None else -inner
        case nodes.Arithmetic():
            return _folded(expression)
        case _:
            return None


def _folded(expression: nodes.Arithmetic) -> float | None:
    values = [constant(operand) for operand in expression.operands]
    total = values[0]
    for operator, value in zip(expression.operators, values[1:], strict=True):
        if total is None or value is None or (operator == "/" and value == 0):
            return None
        if operator in "+-":
            total = total + value if operator == "+" else total - value
        elif operator == "*":
            total = total * value
        else:
            whole = kind_of(expression.type) is Kind.INTEGER
            total = math.trunc(total / value) if whole else total / value
    return total


@dataclass(frozen=True, slots=True)
class _Point:
    """A position in SQL."""

    lon: Sql
    lat: Sql
    fixed: tuple[float, float] | None = None
    """Its coordinates where they are plain numbers."""

    index: PositionIndex | None = None
    """The index over exactly these two columns."""


@dataclass(frozen=True, slots=True)
class _Cap:
    """A circle that holds a shape."""

    center: _Point
    radius: float | Sql
    """Degrees."""


class GeometryTranslator:
    """Translates calls of geometry functions.

    Args:
        statement: The engine and the tables in reach.
        value: Translates any expression.
    """

    def __init__(self, statement: Statement, value: Callable[[Expression], Sql]) -> None:
        self._statement = statement
        self._value = value

    # --- values ---

    def translate(self, call: FunctionCall) -> Sql:
        """A geometry function as a value: geometries as text of blank-separated numbers, tests as 1 and 0."""
        match call.name:
            case "CONTAINS" | "INTERSECTS":
                return sa.cast(self.holds(call, index=False), sa.Integer)
            case "DISTANCE":
                first, second = map(self._point, call.arguments)
                return self._distance(first, second)
            case "COORD1":
                return self._point(call.arguments[0]).lon
            case "COORD2":
                return self._point(call.arguments[0]).lat
            case "COORDSYS":
                return self._statement.bind("ICRS")
            case "AREA":
                return self._call("adql_area", sa.Double, self._shape(call.arguments[0]))
            case "CENTROID":
                return self._call("adql_centroid", sa.Text, self._shape(call.arguments[0]))
            case "BOX":
                return self._call("adql_box", sa.Text, *map(self._double, call.arguments))
            case _:
                return self._text(call.arguments)

    def _call(self, name: str, kind: type[sa.types.TypeEngine[Any]], *arguments: Sql) -> Sql:
        return called(name, kind)(self._statement.dialect, *arguments)

    def _shape(self, expression: Expression) -> Sql:
        """A shape as text, ``CIRCLE lon lat radius``; a region as it is stored."""
        if is_region(expression.type):
            return self._value(expression)
        word = _WORDS.get(kind_of(expression.type))
        if word is None:
            return sa.cast(sa.null(), sa.Text)
        if isinstance(expression, FunctionCall) and expression.name in _BUILT:
            numbers = _fixed(expression.arguments)
            if numbers is not None:
                return self._statement.bind(" ".join((word, *map(repr, numbers))))
        return verbatim(f"'{word} '", sa.Text).concat(self._value(expression))

    def _text(self, numbers: Sequence[Expression]) -> Sql:
        """``lon lat`` and so on; NULL when any is."""
        values = _fixed(numbers)
        if values is not None:
            return self._statement.bind(" ".join(map(repr, values)))
        text = self._digits(numbers[0])
        for number in numbers[1:]:
            text = text.concat(verbatim("' '", sa.Text)).concat(self._digits(number))
        return text

    def _digits(self, number: Expression) -> Sql:
        value = self._double(number)
        if self._statement.is_postgresql:
            return sa.cast(value, sa.Text)
        return sa.func.adql_text(value, type_=sa.Text)

    def _double(self, expression: Expression) -> Sql:
        return sa.cast(self._number(expression), sa.Double)

    def _number(self, expression: Expression) -> Sql:
        value = constant(expression)
        return self._value(expression) if value is None else self._statement.bind(float(value))

    # --- points ---

    def _point(self, expression: Expression) -> _Point:
        if isinstance(expression, FunctionCall) and expression.name == "POINT":
            return self._place(*expression.arguments)
        text = self._value(expression)
        lon, lat = (self._call("adql_coord", sa.Double, text, verbatim(number, sa.Integer)) for number in "12")
        return _Point(lon, lat)

    def _place(self, lon: Expression, lat: Expression) -> _Point:
        fixed = _fixed((lon, lat))
        place = None if fixed is None else (fixed[0], fixed[1])
        return _Point(self._number(lon), self._number(lat), place, self._position(lon, lat))

    def _position(self, lon: Expression, lat: Expression) -> PositionIndex | None:
        """The index over exactly these two columns."""
        if not isinstance(lon, nodes.ColumnRef) or not isinstance(lat, nodes.ColumnRef):
            return None
        if lon.source is None or lon.source != lat.source:
            return None
        position = self._statement.sources[lon.source].position
        if position is None or (position.ra, position.dec) != (lon.position, lat.position):
            return None
        return position

    def _distance(self, first: _Point, second: _Point) -> Sql:
        if self._statement.is_postgresql:
            return sa.func.degrees(sa.func.dist(_spoint(first), _spoint(second)), type_=sa.Double)
        return sa.func.adql_distance(first.lon, first.lat, second.lon, second.lat, type_=sa.Double)

    def _vector(self, point: _Point) -> Vector:
        """The unit vector of a point: stored, bound, or computed."""
        if point.index is not None:
            return point.index.vector
        if point.fixed is not None:
            x, y, z = map(self._statement.bind, _unit_vector(*point.fixed))
            return x, y, z
        ra, dec = (sa.func.radians(number, type_=sa.Double) for number in (point.lon, point.lat))
        cosine = sa.func.cos(dec, type_=sa.Double)
        along, across = sa.func.cos(ra, type_=sa.Double), sa.func.sin(ra, type_=sa.Double)
        return cosine * along, cosine * across, sa.func.sin(dec, type_=sa.Double)

    # --- tests ---

    def holds(self, call: FunctionCall, *, index: bool) -> Sql:
        """What CONTAINS or INTERSECTS asks, as a condition.

        Args:
            call: Of two shapes.
            index: Whether rows that are not found may be left out; wrong below NOT, where NULL matters.
        """
        first, second = call.arguments
        if call.name == "INTERSECTS" and kind_of(second.type) is Kind.POINT:
            first, second = second, first
        if kind_of(first.type) is Kind.POINT and isinstance(second, FunctionCall):
            if second.name == "POLYGON":
                return self._in_polygon(self._point(first), second.arguments, index=index)
            if second.name == "CIRCLE":
                lon, lat, radius = second.arguments
                return self._in_circle(self._point(first), self._place(lon, lat), radius, index=index)
        name = "adql_intersects" if call.name == "INTERSECTS" else "adql_contains"
        test = self._call(name, sa.Boolean, self._shape(first), self._shape(second))
        near = self._near(first, second) or self._near(second, first) if index else None
        return test if near is None else sa.and_(near[0], test)

    def within(self, call: FunctionCall, operator: str, radius: Expression, *, index: bool) -> Sql:
        """``DISTANCE(a, b) < radius`` or ``<=``: the index finds candidates, the distance decides."""
        first, second = map(self._point, call.arguments)
        exact = self._distance(first, second).op(operator, is_comparison=True)(self._number(radius))
        size = constant(radius)
        if self._statement.is_postgresql:
            if size is None or not 0 <= size <= 90:
                return exact
            return sa.and_(self._in_circle(first, second, radius, index=index), exact)
        point, other = _indexed_first(first, second)
        if point.index is None or not index:
            return exact
        near = self._candidates(point.index, self._vector(other), radius)
        return exact if near is None else sa.and_(near, exact)

    def _in_circle(self, point: _Point, center: _Point, radius: Expression, *, index: bool) -> Sql:
        point, center = _indexed_first(point, center)
        size = constant(radius)
        if self._statement.is_postgresql:
            return self._in_scircle(point, center, radius)
        if point.index is None or size is None:
            limit = self._number(radius) + verbatim(repr(math.degrees(TOLERANCE)), sa.Double)
            test = self._distance(point, center) <= limit
            if point.index is None or not index:
                return test
            near = self._candidates(point.index, self._vector(center), radius)
            return test if near is None else sa.and_(near, test)
        vector = self._vector(center)
        angle = min(math.radians(size) + TOLERANCE, math.pi)
        limit = self._statement.bind(4 * math.sin(angle / 2) ** 2 if angle < math.pi else 5.0)
        test = _squared_chord(point.index.vector, vector) <= limit
        near = self._candidates(point.index, vector, radius) if index else None
        return test if near is None else sa.and_(near, test)

    def _in_scircle(self, point: _Point, center: _Point, radius: Expression) -> Sql:
        size = constant(radius)
        angle = sa.func.radians(self._number(radius))
        if size is not None and 0 <= size <= 90:
            circle = sa.func.scircle(_spoint(center), angle)
            return _spoint(point).op("<@", is_comparison=True)(circle)
        distance = sa.func.dist(_spoint(point), _spoint(center), type_=sa.Double)
        return distance <= angle + verbatim(repr(TOLERANCE), sa.Double)

    def _in_polygon(self, point: _Point, corners: Sequence[Expression], *, index: bool) -> Sql:
        numbers = _fixed(corners)
        if self._statement.is_postgresql:
            return _spoint(point).op("<@", is_comparison=True)(self._spoly(corners, numbers))
        test = sa.func.adql_in_polygon(point.lon, point.lat, self._text(corners)) == verbatim("1")
        if point.index is None or numbers is None or not index:
            return test
        near = self._in_box(point.index.key, point.index.rtree, _box_of_polygon(numbers))
        return sa.and_(near, test)

    def _spoly(self, corners: Sequence[Expression], numbers: Sequence[float] | None) -> Sql:
        if numbers is None:
            return self._call("adql_polygon", _SPoly, self._text(corners))
        words = [f"{Decimal(repr(number)):f}d" for number in numbers]
        pairs = zip(words[::2], words[1::2], strict=True)
        return sa.cast(self._statement.bind("{" + ",".join(f"({lon},{lat})" for lon, lat in pairs) + "}"), _SPoly())

    # --- the indexes ---

    def _candidates(self, position: PositionIndex, center: Vector, radius: Expression) -> Sql | None:
        """``key IN (…)`` with the keys in the box around a cap; None when the box would hold half the sky."""
        size = constant(radius)
        reach: Sql
        if size is not None:
            if not 0 <= size <= 90:
                return None
            reach = self._statement.bind(2 * math.sin(math.radians(size) / 2) + 2 * TOLERANCE)
        else:
            angle = sa.func.radians(sa.func.min(self._number(radius), verbatim("180.0")), type_=sa.Double)
            half = angle * verbatim("0.5", sa.Double)
            two, more = verbatim("2.0", sa.Double), verbatim(repr(2 * TOLERANCE), sa.Double)
            reach = two * sa.func.sin(half, type_=sa.Double) + more
        return self._in_box(position.key, position.rtree, _around(center, reach))

    def _in_box(self, key: Sql, rtree: str, box: Sequence[Sql | float]) -> Sql:
        """``key IN (…)`` with the keys of the boxes that a box touches, in SQLite's R*Tree."""
        boxes = sa.table(rtree, sa.column("id"), *(sa.column(name, sa.Double) for name in _AXES))
        limits = [self._statement.bind(limit) if isinstance(limit, float) else limit for limit in box]
        tests = []
        for axis, low, high in zip("xyz", limits[::2], limits[1::2], strict=True):
            tests += [boxes.c[f"{axis}_max"] >= low, boxes.c[f"{axis}_min"] <= high]
        return key.in_(sa.select(boxes.c.id).where(*tests).correlate(*self._statement.in_reach))

    def _near(self, region: Expression, other: Expression) -> tuple[Sql] | None:
        """Whether the circle around a region in an indexed column touches another shape; None without an index."""
        index = self._region_index(region)
        cap = None if index is None else self._cap(other)
        if index is None or cap is None:
            return None
        if self._statement.is_postgresql:
            own = _Cap(_Point(*index.cap[:2]), index.cap[2])
            touching = _scircle(own).op("&&", is_comparison=True)(_scircle(cap))
            reach = verbatim("90")
            if not isinstance(cap.radius, float):  # what is wider than 90 degrees meets all, by the index of radii
                reach = sa.case((cap.radius > verbatim("90"), verbatim("-1")), else_=verbatim("90"))
            return (sa.or_(touching, index.cap[2] > reach),)
        if isinstance(cap.radius, float):
            if cap.center.fixed is not None:
                return (self._in_box(index.key, index.rtree, unit_box(*cap.center.fixed, cap.radius)),)
            reach = self._statement.bind(2 * math.sin(math.radians(cap.radius) / 2))
        else:
            half = sa.func.radians(cap.radius, type_=sa.Double) * verbatim("0.5", sa.Double)
            reach = verbatim("2.0", sa.Double) * sa.func.sin(half, type_=sa.Double)
        return (self._in_box(index.key, index.rtree, _around(self._vector(cap.center), reach)),)

    def _region_index(self, region: Expression) -> RegionIndex | None:
        if not isinstance(region, nodes.ColumnRef) or region.source is None:
            return None
        index = self._statement.sources[region.source].region
        return index if index is not None and index.column == region.position else None

    def _cap(self, shape: Expression) -> _Cap | None:
        """A circle that holds a shape, below 90 degrees if its radius is a plain number; None where there is none."""
        if kind_of(shape.type) is Kind.POINT:
            return _Cap(self._point(shape), _MARGIN)
        index = self._region_index(shape)
        if index is not None:
            ra, dec, size = index.cap
            return _Cap(_Point(ra, dec), size)
        if not isinstance(shape, FunctionCall):
            return None
        if shape.name == "CIRCLE":
            lon, lat, size_of = shape.arguments
            radius = constant(size_of)
            return None if radius is None or radius > 89 else _Cap(self._place(lon, lat), radius + _MARGIN)
        numbers = _fixed(shape.arguments)
        if shape.name != "POLYGON" or numbers is None:
            return None
        cap = bounding_cap(_polygon(numbers))
        bound = self._statement.bind
        center = _Point(bound(cap.ra), bound(cap.dec), (cap.ra, cap.dec))
        return None if cap.radius > 89 else _Cap(center, cap.radius)


class _SPoly(sa.types.UserDefinedType[str]):
    """pgSphere's type of polygons."""

    cache_ok = True

    def get_col_spec(self, **_: object) -> str:
        """Name of the type."""
        return "spoly"


def _fixed(expressions: Sequence[Expression]) -> tuple[float, ...] | None:
    """The values of plain numbers; None when one is something else."""
    values = [constant(expression) for expression in expressions]
    numbers = tuple(float(value) for value in values if value is not None)
    return numbers if len(numbers) == len(values) else None


def _spoint(point: _Point) -> Sql:
    return sa.func.spoint(sa.func.radians(point.lon), sa.func.radians(point.lat))


def _scircle(cap: _Cap) -> Sql:
    """A circle of pgSphere, as the index over the circles of a table has it; it reaches 90 degrees at most."""
    if isinstance(cap.radius, float):
        return sa.func.scircle(_spoint(cap.center), verbatim(repr(math.radians(cap.radius))))
    return sa.func.scircle(_spoint(cap.center), sa.func.radians(sa.func.least(cap.radius, verbatim("90"))))


def _indexed_first(first: _Point, second: _Point) -> tuple[_Point, _Point]:
    """Two points, the one with an index in front; being near is symmetric."""
    return (second, first) if first.index is None and second.index is not None else (first, second)


def _unit_vector(lon: float, lat: float) -> tuple[float, float, float]:
    ra, dec = math.radians(lon), math.radians(lat)
    return math.cos(dec) * math.cos(ra), math.cos(dec) * math.sin(ra), math.sin(dec)


def _squared_chord(first: Vector, second: Vector) -> Sql:
    x, y, z = ((one - other) * (one - other) for one, other in zip(first, second, strict=True))
    return x + y + z


def _around(center: Vector, reach: Sql) -> list[Sql]:
    """The box of unit vectors that lie no farther than a chord from a direction."""
    return [limit for middle in center for limit in (middle - reach, middle + reach)]


def _polygon(numbers: Sequence[float]) -> Polygon:
    return Polygon(tuple(zip(numbers[::2], numbers[1::2], strict=True)))


def _box_of_polygon(numbers: Sequence[float]) -> tuple[float, ...]:
    cap = bounding_cap(_polygon(numbers))
    return unit_box(cap.ra, cap.dec, cap.radius)
