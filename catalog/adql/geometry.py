"""SQL of the geometry functions (section 4.2), with the spatial index where there is one.

PostgreSQL has pgSphere: ``spoint <@ scircle`` is what the GiST index on ``spoint(radians(ra), radians(dec))`` answers.
SQLite has an R*Tree of unit vectors: the box around a cap gives candidates, the length of the chord decides. Both are
right at the poles, across longitude 0 and for radii over 90 degrees. Borders count as inside, with pgSphere's
tolerance of 1e-9 radian on both engines.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import sqlalchemy as sa

from catalog.adql import nodes
from catalog.adql.kinds import Kind, kind_of
from catalog.adql.mathematics import Sql, verbatim
from catalog.adql.nodes import Expression, FunctionCall
from catalog.adql.statement import PositionIndex, Statement

__all__ = ["GeometryTranslator", "constant"]

TOLERANCE = 1e-9
"""Radians."""

Vector = tuple[Sql, Sql, Sql]


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
            case "CONTAINS":
                return sa.cast(self.contains(call, index=False), sa.Integer)
            case "DISTANCE":
                first, second = map(_corners, call.arguments)
                return self._distance(first, second)
            case "COORD1" | "COORD2":
                return self._number(_corners(call.arguments[0])[int(call.name[-1]) - 1])
            case "COORDSYS":
                return self._statement.bind("ICRS")
            case _:
                return self._text(call.arguments)

    def _text(self, numbers: Sequence[Expression]) -> Sql:
        """``lon lat`` and so on; NULL when any is."""
        values = [constant(number) for number in numbers]
        if None not in values:
            return self._statement.bind(" ".join(repr(float(value)) for value in values if value is not None))
        text = self._digits(numbers[0])
        for number in numbers[1:]:
            text = text.concat(verbatim("' '", sa.Text)).concat(self._digits(number))
        return text

    def _digits(self, number: Expression) -> Sql:
        value = sa.cast(self._number(number), sa.Double)
        if self._statement.is_postgresql:
            return sa.cast(value, sa.Text)
        return sa.func.adql_text(value, type_=sa.Text)

    def _number(self, expression: Expression) -> Sql:
        value = constant(expression)
        return self._value(expression) if value is None else self._statement.bind(float(value))

    def _distance(self, first: Sequence[Expression], second: Sequence[Expression]) -> Sql:
        if self._statement.is_postgresql:
            return sa.func.degrees(sa.func.dist(self._spoint(first), self._spoint(second)), type_=sa.Double)
        numbers = (*first, *second)
        return sa.func.adql_distance(*map(self._number, numbers), type_=sa.Double)

    def _spoint(self, point: Sequence[Expression]) -> Sql:
        lon, lat = (sa.func.radians(self._number(number)) for number in point)
        return sa.func.spoint(lon, lat)

    # --- tests ---

    def contains(self, call: FunctionCall, *, index: bool) -> Sql:
        """Whether a point lies in a circle or polygon, as a condition.

        Args:
            call: CONTAINS of a point and an area.
            index: Whether rows that are not found may be left out; wrong below NOT, where NULL matters.
        """
        point, area = _corners(call.arguments[0]), call.arguments[1]
        assert isinstance(area, FunctionCall)  # noqa: S101  (the resolver refuses others)
        if area.name == "POLYGON":
            return self._in_polygon(point, area.arguments, index=index)
        *center, radius = area.arguments
        return self._in_circle(point, center, radius, index=index)

    def within(self, call: FunctionCall, operator: str, radius: Expression, *, index: bool) -> Sql:
        """``DISTANCE(a, b) < radius`` or ``<=``: the index finds candidates, the distance decides."""
        first, second = map(_corners, call.arguments)
        exact = self._distance(first, second).op(operator, is_comparison=True)(self._number(radius))
        size = constant(radius)
        if self._statement.is_postgresql:
            if size is None or not 0 <= size <= 90:
                return exact
            return sa.and_(self._in_circle(first, second, radius, index=index), exact)
        _, other, position = self._indexed_first(first, second)
        if position is None or not index:
            return exact
        near = self._candidates(position, self._vector(other), radius)
        return exact if near is None else sa.and_(near, exact)

    def _in_circle(
        self, point: Sequence[Expression], center: Sequence[Expression], radius: Expression, *, index: bool
    ) -> Sql:
        point, center, position = self._indexed_first(point, center)
        size = constant(radius)
        if self._statement.is_postgresql:
            return self._in_scircle(point, center, radius)
        if position is None or size is None:
            limit = self._number(radius) + verbatim(repr(math.degrees(TOLERANCE)), sa.Double)
            test = self._distance(point, center) <= limit
            if position is None or not index:
                return test
            near = self._candidates(position, self._vector(center), radius)
            return test if near is None else sa.and_(near, test)
        vector = self._vector(center)
        angle = min(math.radians(size) + TOLERANCE, math.pi)
        limit = self._statement.bind(4 * math.sin(angle / 2) ** 2 if angle < math.pi else 5.0)
        test = _squared_chord(position.vector, vector) <= limit
        near = self._candidates(position, vector, radius) if index else None
        return test if near is None else sa.and_(near, test)

    def _in_scircle(self, point: Sequence[Expression], center: Sequence[Expression], radius: Expression) -> Sql:
        size = constant(radius)
        angle = sa.func.radians(self._number(radius))
        if size is not None and 0 <= size <= 90:
            circle = sa.func.scircle(self._spoint(center), angle)
            return self._spoint(point).op("<@", is_comparison=True)(circle)
        distance = sa.func.dist(self._spoint(point), self._spoint(center), type_=sa.Double)
        return distance <= angle + verbatim(repr(TOLERANCE), sa.Double)

    def _in_polygon(self, point: Sequence[Expression], corners: Sequence[Expression], *, index: bool) -> Sql:
        if self._statement.is_postgresql:
            polygon = sa.cast(self._spoly_text(corners), _SPoly())
            return self._spoint(point).op("<@", is_comparison=True)(polygon)
        test = sa.func.adql_in_polygon(*map(self._number, point), self._text(corners)) == verbatim("1")
        position = self._position(point)
        cap = _bounding_cap([constant(corner) for corner in corners])
        if position is None or cap is None or not index:
            return test
        *center, angle = cap
        x, y, z = map(self._statement.bind, center)
        near = self._candidates(position, (x, y, z), nodes.Number(math.degrees(angle)))
        return test if near is None else sa.and_(near, test)

    def _spoly_text(self, corners: Sequence[Expression]) -> Sql:
        """``{(lon d, lat d), …}``, pgSphere's way of writing a polygon."""
        values = [constant(corner) for corner in corners]
        if None not in values:
            pairs = zip(values[::2], values[1::2], strict=True)
            return self._statement.bind("{" + ",".join(f"({lon!r}d,{lat!r}d)" for lon, lat in pairs) + "}")
        text: Sql = verbatim("'{'", sa.Text)
        for index, (lon, lat) in enumerate(zip(corners[::2], corners[1::2], strict=True)):
            opening = verbatim("',('" if index else "'('", sa.Text)
            text = text.concat(opening).concat(self._digits(lon)).concat(verbatim("'d,'", sa.Text))
            text = text.concat(self._digits(lat)).concat(verbatim("'d)'", sa.Text))
        return text.concat(verbatim("'}'", sa.Text))

    # --- the R*Tree of SQLite ---

    def _indexed_first(
        self, first: Sequence[Expression], second: Sequence[Expression]
    ) -> tuple[Sequence[Expression], Sequence[Expression], PositionIndex | None]:
        """Two points, the one with an index in front; being near is symmetric."""
        position = self._position(first)
        if position is None:
            position = self._position(second)
            if position is not None:
                return second, first, position
        return first, second, position

    def _position(self, point: Sequence[Expression]) -> PositionIndex | None:
        """The index over exactly these two columns."""
        lon, lat = point
        if not isinstance(lon, nodes.ColumnRef) or not isinstance(lat, nodes.ColumnRef):
            return None
        if lon.source is None or lon.source != lat.source:
            return None
        position = self._statement.sources[lon.source].position
        if position is None or (position.ra, position.dec) != (lon.position, lat.position):
            return None
        return position

    def _vector(self, point: Sequence[Expression]) -> Vector:
        """The unit vector of a point: bound, stored, or computed."""
        position = self._position(point)
        if position is not None:
            return position.vector
        lon, lat = map(constant, point)
        if lon is not None and lat is not None:
            x, y, z = map(self._statement.bind, _unit_vector(lon, lat))
            return x, y, z
        ra, dec = (sa.func.radians(self._number(number), type_=sa.Double) for number in point)
        cosine = sa.func.cos(dec, type_=sa.Double)
        along, across = sa.func.cos(ra, type_=sa.Double), sa.func.sin(ra, type_=sa.Double)
        return cosine * along, cosine * across, sa.func.sin(dec, type_=sa.Double)

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
        names = ("x_min", "x_max", "y_min", "y_max", "z_min", "z_max")
        rtree = sa.table(position.rtree, sa.column("id"), *(sa.column(name, sa.Double) for name in names))
        tests = []
        for axis, middle in zip("xyz", center, strict=True):
            tests += [rtree.c[f"{axis}_max"] >= middle - reach, rtree.c[f"{axis}_min"] <= middle + reach]
        found = sa.select(rtree.c.id).where(*tests).correlate(*self._statement.in_reach)
        return position.key.in_(found)


class _SPoly(sa.types.UserDefinedType[str]):
    """pgSphere's type of polygons."""

    cache_ok = True

    def get_col_spec(self, **_: object) -> str:
        """Name of the type."""
        return "spoly"


def _corners(point: Expression) -> tuple[Expression, ...]:
    assert isinstance(point, FunctionCall), "the resolver refuses geometry that is not constructed"  # noqa: S101
    return point.arguments


def _unit_vector(lon: float, lat: float) -> tuple[float, float, float]:
    ra, dec = math.radians(lon), math.radians(lat)
    return math.cos(dec) * math.cos(ra), math.cos(dec) * math.sin(ra), math.sin(dec)


def _squared_chord(first: Vector, second: Vector) -> Sql:
    x, y, z = ((one - other) * (one - other) for one, other in zip(first, second, strict=True))
    return x + y + z


def _bounding_cap(corners: Sequence[float | None]) -> tuple[float, float, float, float] | None:
    """Unit vector and radius in radian of a cap that holds a polygon; None when it does not fit half a sphere."""
    numbers = [corner for corner in corners if corner is not None]
    if len(numbers) < len(corners):
        return None
    vectors = [_unit_vector(lon, lat) for lon, lat in zip(numbers[::2], numbers[1::2], strict=True)]
    total = [sum(axis) for axis in zip(*vectors, strict=True)]
    length = math.hypot(*total)
    if length < 1e-3:
        return None
    x, y, z = (part / length for part in total)
    angle = max(math.acos(max(-1.0, min(1.0, x * a + y * b + z * c))) for a, b, c in vectors)
    return (x, y, z, angle + TOLERANCE) if angle < math.radians(89) else None
