"""`catalog.adql.sphere` as functions of SQLite: shapes come as text, NULL for NULL and for what is no shape."""

from __future__ import annotations

from functools import lru_cache

from catalog.adql import sphere
from catalog.adql.installed import SQLiteFunction
from catalog.adql.literals import parse_number
from catalog.db.faults import out_of_range

__all__ = ["SQLITE_GEOMETRY"]

_REMEMBERED = 100_000  # pairs: packages of one target cover the same region
_COUNTS = {"point": (2, 2), "circle": (3, 3), "polygon": (6, 1_000_000)}


def in_polygon(lon: float | None, lat: float | None, vertices: str | None) -> int | None:
    """1 when a point lies in a polygon or on its border, else 0.

    Args:
        lon: Degrees.
        lat: Degrees.
        vertices: Pairs of lon and lat in degrees, blank separated.
    """
    if lon is None or lat is None or vertices is None:
        return None
    polygon = sphere.parse_shape(f"POLYGON {vertices}")
    return None if polygon is None else int(sphere.contains(sphere.point(lon, lat), polygon))


@lru_cache(maxsize=_REMEMBERED)
def contains(inner: str | None, outer: str | None) -> int | None:
    """1 when the first lies within the second, else 0."""
    first, second = _shapes(inner, outer)
    return None if first is None or second is None else int(sphere.contains(first, second))


@lru_cache(maxsize=_REMEMBERED)
def intersects(first_text: str | None, second_text: str | None) -> int | None:
    """1 when two shapes have a point in common, else 0."""
    first, second = _shapes(first_text, second_text)
    return None if first is None or second is None else int(sphere.intersects(first, second))


def area(text: str | None) -> float | None:
    """Square degrees."""
    (shape,) = _shapes(text)
    return None if shape is None else sphere.area(shape)


def centroid(text: str | None) -> str | None:
    """Centre of area as ``lon lat``."""
    (shape,) = _shapes(text)
    return None if shape is None else _joined(*sphere.centroid(shape))


def box(lon: float | None, lat: float | None, width: float | None, height: float | None) -> str | None:
    """Corners of a box as ``lon lat lon lat …``."""
    if lon is None or lat is None or width is None or height is None:
        return None
    try:
        return _joined(*sphere.box_corners(lon, lat, width, height))
    except ValueError:
        return None


def coordinate(point: str | None, number: int) -> float | None:
    """Longitude (1) or latitude (2) of ``lon lat``."""
    return None if point is None else float(point.split()[number - 1])


def shape(text: str | None, kind: str) -> str | None:
    """A shape as DALI writes it, one blank between the numbers.

    Raises:
        ValueError: The text is no shape of this kind.
        QueryError: A number is beyond a double.
    """
    if text is None:
        return None
    try:
        numbers = [parse_number(word) for word in text.split()]
    except OverflowError:
        raise out_of_range() from None
    low, high = _COUNTS[kind]
    if not low <= len(numbers) <= high:
        raise ValueError(f"not a {kind}")
    latitudes = numbers[1:2] if kind == "circle" else numbers[1::2]
    if any(abs(latitude) > 90 for latitude in latitudes) or (kind == "circle" and not 0 <= numbers[2] <= 180):
        raise ValueError(f"not a {kind}")
    if sphere.parse_shape(" ".join((kind.upper(), *map(repr, numbers)))) is None:
        raise ValueError(f"not a {kind}")
    return _joined(*numbers)


def _shapes(*texts: str | None) -> list[sphere.Shape | None]:
    return [None if text is None else sphere.parse_shape(text) for text in texts]


def _joined(*numbers: float) -> str:
    return " ".join(map(repr, numbers))


SQLITE_GEOMETRY: tuple[SQLiteFunction, ...] = (
    SQLiteFunction("adql_distance", 4, sphere.distance, True),
    SQLiteFunction("adql_in_polygon", 3, in_polygon, True),
    SQLiteFunction("adql_contains", 2, contains, True),
    SQLiteFunction("adql_intersects", 2, intersects, True),
    SQLiteFunction("adql_area", 1, area, True),
    SQLiteFunction("adql_centroid", 1, centroid, True),
    SQLiteFunction("adql_box", 4, box, True),
    SQLiteFunction("adql_coord", 2, coordinate, True),
    SQLiteFunction("adql_shape", 2, shape, True),
)
"""By the names that `catalog.adql.geometry` calls."""
