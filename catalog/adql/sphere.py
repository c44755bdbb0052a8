"""Geometry of points, circles and polygons on the sphere, one value at a time, as queries on SQLite need it.

A shape is text as everywhere in translated queries: ``POINT lon lat``, ``CIRCLE lon lat radius``, ``POLYGON lon lat …``
in degrees, with or without the word ICRS after the first. A polygon's edges are arcs of great circles; its inside is
the side that fits a hemisphere, whatever the winding. Borders count as inside, with pgSphere's tolerance. What is no
such shape (edges that cross, wider than a hemisphere) has no answer: None.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

__all__ = [
    "Shape",
    "area",
    "box_corners",
    "centroid",
    "contains",
    "distance",
    "intersects",
    "parse_shape",
    "point",
    "polygon_problem",
]

Vector: TypeAlias = tuple[float, float, float]

_BORDER = 1e-9  # radians
_REMEMBERED = 20_000  # shapes: the regions of a table come again and again


@dataclass(frozen=True, slots=True)
class Shape:
    """A point, circle or polygon as unit vectors."""

    corners: tuple[Vector, ...]
    """One for a point or circle, three or more for a polygon."""

    radius: float = 0.0
    """Of a circle, radians."""

    facing: Vector = (0.0, 0.0, 0.0)
    """Of a polygon, a direction on the side of the sphere that it lies on; not of unit length."""

    @property
    def is_polygon(self) -> bool:
        """Whether it has edges."""
        return len(self.corners) > 1

    @property
    def edges(self) -> list[tuple[Vector, Vector]]:
        """Start and end of each."""
        return list(zip(self.corners, self.corners[1:] + self.corners[:1], strict=True))


def point(lon: float, lat: float) -> Shape:
    """A point at degrees."""
    return Shape((_vector(lon, lat),))


@lru_cache(maxsize=_REMEMBERED)
def parse_shape(text: str) -> Shape | None:
    """A shape from its text; None for what is none."""
    kind, *words = text.split()
    try:
        numbers = [float(word) for word in (words[1:] if words[:1] == ["ICRS"] else words)]
    except ValueError:
        return None
    if kind == "POINT" and len(numbers) == 2:
        return point(*numbers)
    if kind == "CIRCLE" and len(numbers) == 3:
        return Shape((_vector(numbers[0], numbers[1]),), math.radians(numbers[2])) if numbers[2] >= 0 else None
    if kind == "POLYGON" and len(numbers) >= 6 and len(numbers) % 2 == 0:
        pairs = list(zip(numbers[::2], numbers[1::2], strict=True))
        if words[0] == "ICRS" or polygon_problem(pairs) is None:  # what is published has been looked at before
            corners = _distinct([_vector(lon, lat) for lon, lat in pairs])
            return Shape(corners, facing=_facing(corners) or _sum(corners))
    return None


def polygon_problem(pairs: Sequence[tuple[float, float]]) -> str | None:
    """Why pairs of lon and lat in degrees are no polygon, in words; None when they are one."""
    corners = _distinct([_vector(lon, lat) for lon, lat in pairs])
    if len(corners) < 3:
        return "it has fewer than three different corners"
    if _facing(corners) is None:
        return "it does not fit into half a sphere"
    edges = list(zip(corners, corners[1:] + corners[:1], strict=True))
    last = len(edges) - 1
    for index, edge in enumerate(edges):
        for other in range(index + 2, last + (index > 0)):
            if _cross_each_other(*edge, *edges[other]):
                return "its edges cross one another"
            if _meets_inside(*edge, *edges[other]) or _meets_inside(*edges[other], *edge):
                return "a corner lies on another edge"
    return None


def distance(lon1: float | None, lat1: float | None, lon2: float | None, lat2: float | None) -> float | None:
    """Great-circle distance in degrees; exact for the near, the far and the poles (Vincenty's formula)."""
    if lon1 is None or lat1 is None or lon2 is None or lat2 is None:
        return None
    difference = math.radians(lon2 - lon1)
    sin1, cos1 = math.sin(math.radians(lat1)), math.cos(math.radians(lat1))
    sin2, cos2 = math.sin(math.radians(lat2)), math.cos(math.radians(lat2))
    along = cos2 * math.sin(difference)
    across = cos1 * sin2 - sin1 * cos2 * math.cos(difference)
    return math.degrees(math.atan2(math.hypot(along, across), sin1 * sin2 + cos1 * cos2 * math.cos(difference)))


def contains(inner: Shape, outer: Shape) -> bool:
    """Whether the first lies within the second (ADQL 2.1 section 4.2.9)."""
    if not outer.is_polygon:
        return _in_circle(inner, outer)
    if not inner.is_polygon:
        return _in_polygon(inner.corners[0], outer) and (
            inner.radius <= _BORDER or _to_border(inner.corners[0], outer) >= inner.radius - _BORDER
        )
    if not all(_in_polygon(corner, outer) for corner in inner.corners):
        return False
    if any(_cross_each_other(*one, *other) for one in inner.edges for other in outer.edges):
        return False
    return not any(_in_polygon(corner, inner) and _to_border(corner, inner) > _BORDER for corner in outer.corners)


def intersects(first: Shape, second: Shape) -> bool:
    """Whether two shapes have a point in common; touching counts (ADQL 2.1 section 4.2.13)."""
    if first.is_polygon and second.is_polygon:
        if any(_in_polygon(corner, second) for corner in first.corners):
            return True
        if any(_in_polygon(corner, first) for corner in second.corners):
            return True
        return any(_cross_each_other(*one, *other) for one in first.edges for other in second.edges)
    if not first.is_polygon and not second.is_polygon:
        return _angle(first.corners[0], second.corners[0]) <= first.radius + second.radius + _BORDER
    polygon, circle = (first, second) if first.is_polygon else (second, first)
    centre = circle.corners[0]
    return _in_polygon(centre, polygon) or _to_border(centre, polygon) <= circle.radius + _BORDER


def area(shape: Shape) -> float:
    """Area in square degrees."""
    if not shape.is_polygon:
        return math.degrees(math.degrees(4 * math.pi * math.sin(min(shape.radius, math.pi) / 2) ** 2))
    return math.degrees(math.degrees(abs(_signed_area(shape.corners, shape.facing))))


def centroid(shape: Shape) -> tuple[float, float]:
    """Centre of area as lon, lat in degrees."""
    if not shape.is_polygon:
        return _lonlat(shape.corners[0])
    total = (0.0, 0.0, 0.0)
    for start, end in shape.edges:
        normal = _cross(start, end)
        sine = math.sqrt(_dot(normal, normal))
        weight = math.atan2(sine, _dot(start, end)) / sine if sine > 0 else 1.0
        total = _sum((total, _scaled(normal, weight)))
    if _dot(total, shape.facing) < 0:
        total = _scaled(total, -1.0)
    size = math.sqrt(_dot(total, total))
    return _lonlat(total if size > 1e-13 else _sum(shape.corners))


def box_corners(lon: float, lat: float, width: float, height: float) -> tuple[float, ...]:
    """Corners of a box as lon, lat, lon, lat … in degrees (ADQL 2.1 section 4.2.8).

    The sides are great circles at right angles to the arms of a cross around the centre: straight lines on the plane
    that touches the sphere there.

    Args:
        lon: Centre, degrees.
        lat: Centre, degrees.
        width: Along the parallel, degrees, 0 to 180, both exclusive.
        height: Along the meridian, degrees, likewise.

    Raises:
        ValueError: A size out of that range.
    """
    if not (0 < width < 180 and 0 < height < 180):
        raise ValueError("the sides of a box lie between 0 and 180 degrees")
    centre = _vector(lon, lat)
    ra, dec = math.radians(lon), math.radians(lat)
    east = (-math.sin(ra), math.cos(ra), 0.0)
    north = (-math.sin(dec) * math.cos(ra), -math.sin(dec) * math.sin(ra), math.cos(dec))
    x, y = math.tan(math.radians(width) / 2), math.tan(math.radians(height) / 2)
    corners: list[float] = []
    for right, up in ((-x, -y), (x, -y), (x, y), (-x, y)):
        corners += _lonlat(_sum((centre, _scaled(east, right), _scaled(north, up))))
    return tuple(corners)


# --- vectors -------------------------------------------------------------------------------------------------


def _vector(lon: float, lat: float) -> Vector:
    ra, dec = math.radians(lon), math.radians(lat)
    return (math.cos(dec) * math.cos(ra), math.cos(dec) * math.sin(ra), math.sin(dec))


def _lonlat(vector: Vector) -> tuple[float, float]:
    x, y, z = vector
    lon = math.degrees(math.atan2(y, x)) % 360.0
    return (0.0 if lon >= 360.0 else lon), math.degrees(math.atan2(z, math.hypot(x, y)))


def _dot(a: Vector, b: Vector) -> float:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def _cross(a: Vector, b: Vector) -> Vector:
    return (a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0])


def _scaled(a: Vector, factor: float) -> Vector:
    return (a[0] * factor, a[1] * factor, a[2] * factor)


def _sum(vectors: Sequence[Vector]) -> Vector:
    return (sum(v[0] for v in vectors), sum(v[1] for v in vectors), sum(v[2] for v in vectors))


def _angle(a: Vector, b: Vector) -> float:
    normal = _cross(a, b)
    return math.atan2(math.sqrt(_dot(normal, normal)), _dot(a, b))


def _distinct(corners: list[Vector]) -> tuple[Vector, ...]:
    """Without corners that repeat the one before, the last against the first included."""
    kept = [corner for index, corner in enumerate(corners) if _angle(corner, corners[index - 1]) > _BORDER]
    return tuple(kept)


# --- tests ---------------------------------------------------------------------------------------------------


def _in_circle(inner: Shape, circle: Shape) -> bool:
    centre, radius = circle.corners[0], circle.radius
    if radius >= math.pi:
        return True
    if not inner.is_polygon:
        return _angle(inner.corners[0], centre) + inner.radius <= radius + _BORDER
    if radius <= math.pi / 2:
        return all(_angle(corner, centre) <= radius + _BORDER for corner in inner.corners)
    outside = _scaled(centre, -1.0)
    return not _in_polygon(outside, inner) and _to_border(outside, inner) >= math.pi - radius - _BORDER


def _in_polygon(point: Vector, polygon: Shape) -> bool:
    """Whether the angles under which the point sees the edges add up to a turn, or it lies on one of them."""
    if any(_to_arc(point, start, end) <= _BORDER for start, end in polygon.edges):
        return True
    winding = sum(_turn(point, start, end) for start, end in polygon.edges)
    return abs(winding) > math.pi and _dot(point, polygon.facing) > 0


def _facing(corners: Sequence[Vector]) -> Vector | None:
    """The middle of the box around the corners; None unless all are less than 90 degrees from it, as pgSphere wants."""
    x, y, z = (min(axis) + max(axis) for axis in zip(*corners, strict=True))
    size = math.sqrt(x * x + y * y + z * z)
    if any(_dot(corner, (x, y, z)) <= 10 * _BORDER * size for corner in corners):
        return None
    return x, y, z


def _meets_inside(start: Vector, end: Vector, other_start: Vector, other_end: Vector) -> bool:
    """Whether an end of the first arc lies on the second, its ends left out."""
    normal = _cross(other_start, other_end)
    reach = _BORDER * math.sqrt(_dot(normal, normal))
    for point in (start, end):
        if (
            abs(_dot(normal, point)) <= reach
            and _to_arc(point, other_start, other_end) <= _BORDER
            and min(_angle(point, other_start), _angle(point, other_end)) > _BORDER
        ):
            return True
    return False


def _turn(apex: Vector, start: Vector, end: Vector) -> float:
    """Angle at the apex from one direction to another, -π to π, positive counter-clockwise seen from outside."""
    first, second = _cross(apex, start), _cross(apex, end)
    return math.atan2(_dot(apex, _cross(first, second)), _dot(first, second))


def _to_border(point: Vector, polygon: Shape) -> float:
    """Angle from a point to the nearest edge, radians."""
    return min(_to_arc(point, start, end) for start, end in polygon.edges)


def _to_arc(point: Vector, start: Vector, end: Vector) -> float:
    """Angle from a point to the nearest point of an arc, radians."""
    normal = _cross(start, end)
    length = math.sqrt(_dot(normal, normal))
    if length > 0 and _dot(_cross(normal, start), point) >= 0 and _dot(_cross(end, normal), point) >= 0:
        return abs(math.asin(max(-1.0, min(1.0, _dot(point, normal) / length))))
    return min(_angle(point, start), _angle(point, end))


def _cross_each_other(start: Vector, end: Vector, other_start: Vector, other_end: Vector) -> bool:
    """Whether two arcs cross within both; one that merely touches the other does not cross it."""
    normal, other = _cross(start, end), _cross(other_start, other_end)
    sides = _dot(other, start), _dot(other, end)
    other_sides = _dot(normal, other_start), _dot(normal, other_end)
    reach = _BORDER * math.sqrt(_dot(other, other)), _BORDER * math.sqrt(_dot(normal, normal))
    if min(map(abs, sides)) <= reach[0] or min(map(abs, other_sides)) <= reach[1]:
        return False
    if sides[0] * sides[1] > 0 or other_sides[0] * other_sides[1] > 0:
        return False
    meeting = _cross(normal, other)
    middle, other_middle = _sum((start, end)), _sum((other_start, other_end))
    return _dot(meeting, middle) * _dot(meeting, other_middle) > 0


def _signed_area(corners: Sequence[Vector], middle: Vector) -> float:
    """Area in steradian as a fan of triangles around the middle; exact for the small (Van Oosterom, Strackee)."""
    middle = _scaled(middle, 1.0 / math.sqrt(_dot(middle, middle)))
    total = 0.0
    for index, start in enumerate(corners):
        end = corners[(index + 1) % len(corners)]
        one = (start[0] - middle[0], start[1] - middle[1], start[2] - middle[2])
        two = (end[0] - middle[0], end[1] - middle[1], end[2] - middle[2])
        triple = _dot(middle, _cross(one, two))
        total += 2.0 * math.atan2(triple, 1.0 + _dot(start, middle) + _dot(end, middle) + _dot(start, end))
    return total
