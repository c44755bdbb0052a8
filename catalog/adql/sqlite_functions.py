"""What SQLite lacks or does differently from PostgreSQL, for the opener of reading connections to register.

Each function answers as PostgreSQL does for the same argument, NULL for NULL. Text that is no number or time raises
`ValueError`, which SQLite makes an error of the query.
"""

from __future__ import annotations

import math
import re
import struct
from decimal import ROUND_DOWN, ROUND_HALF_UP, Context, Decimal

from catalog.adql.installed import SQLiteFunction
from catalog.adql.literals import parse_timestamp

__all__ = ["SQLITE_FUNCTIONS", "SQLiteFunction"]


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


def in_polygon(lon: float | None, lat: float | None, vertices: str | None) -> int | None:
    """1 when a point lies in a polygon or on its border, else 0.

    The inside is the smaller side, whatever the winding; edges are great circles.

    Args:
        lon: Degrees.
        lat: Degrees.
        vertices: Pairs of lon and lat in degrees, blank separated.
    """
    if lon is None or lat is None or vertices is None:
        return None
    numbers = [float(word) for word in vertices.split()]
    corners = [_vector(x, y) for x, y in zip(numbers[::2], numbers[1::2], strict=True)]
    point = _vector(lon, lat)
    edges = list(zip(corners, corners[1:] + corners[:1], strict=True))
    if any(_on_edge(point, start, end) for start, end in edges):
        return 1
    winding = sum(_turn(point, start, end) for start, end in edges)
    if abs(winding) < math.pi:
        return 0
    return int((winding > 0) == (_area_left(corners) < 2 * math.pi))


_Vector = tuple[float, float, float]
_BORDER = 1e-9
"""Radians; the tolerance of pgSphere."""


def _vector(lon: float, lat: float) -> _Vector:
    ra, dec = math.radians(lon), math.radians(lat)
    return (math.cos(dec) * math.cos(ra), math.cos(dec) * math.sin(ra), math.sin(dec))


def _dot(a: _Vector, b: _Vector) -> float:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def _cross(a: _Vector, b: _Vector) -> _Vector:
    return (a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0])


def _turn(apex: _Vector, start: _Vector, end: _Vector) -> float:
    """Angle at the apex from one direction to another, -π to π, positive counter-clockwise seen from outside."""
    first, second = _cross(apex, start), _cross(apex, end)
    return math.atan2(_dot(apex, _cross(first, second)), _dot(first, second))


def _on_edge(point: _Vector, start: _Vector, end: _Vector) -> bool:
    normal = _cross(start, end)
    length = math.sqrt(_dot(normal, normal))
    if length == 0.0:
        return False
    if abs(_dot(point, normal)) > _BORDER * length:
        return False
    along = _dot(_cross(start, point), normal) >= -_BORDER * length
    return along and _dot(_cross(point, end), normal) >= -_BORDER * length


def _area_left(corners: list[_Vector]) -> float:
    """Area in steradian on the left of the border as one walks it (Gauss and Bonnet)."""
    count = len(corners)
    turning = 0.0
    for index, corner in enumerate(corners):
        back = _turn(corner, corners[(index + 1) % count], corners[index - 1])
        turning += math.pi - (back % (2 * math.pi))
    return 2 * math.pi - turning


# --- numbers -------------------------------------------------------------------------------------------------

_DECIMAL = Context(prec=400)
_INTEGER_TEXT = re.compile(r"\s*[+-]?\d+\s*", re.ASCII)
_NUMBER_TEXT = re.compile(r"\s*[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\s*", re.ASCII)


def _decimal(value: float) -> Decimal:
    """As PostgreSQL makes a numeric: whole numbers exactly, others with 15 digits."""
    return Decimal(value) if isinstance(value, int) else Decimal(f"{value:.15g}")


def _quantized(value: float | None, places: int, rounding: str) -> float | None:
    if value is None or not math.isfinite(value):
        return value
    return float(_decimal(value).quantize(Decimal(1).scaleb(-places), rounding=rounding, context=_DECIMAL))


def round_half_away(value: float | None, places: int) -> float | None:
    """A number with so many decimal places; halves go away from zero."""
    return _quantized(value, places, ROUND_HALF_UP)


def truncate(value: float | None, places: int) -> float | None:
    """A number cut to so many decimal places."""
    return _quantized(value, places, ROUND_DOWN)


def to_integer(value: str | float | None, low: int, high: int) -> int | None:
    """A whole number: numbers lose their fraction, text must hold an integer.

    Raises:
        ValueError: The text is no integer, or the number lies outside the type's range.
    """
    if value is None:
        return None
    if isinstance(value, str) and not _INTEGER_TEXT.fullmatch(value):
        raise ValueError("not an integer")
    number = int(value)
    if not low <= number <= high:
        raise ValueError("out of range")
    return number


def to_double(value: str | float | None) -> float | None:
    """A double from text or a number.

    Raises:
        ValueError: The text is no number.
    """
    if value is None:
        return None
    if isinstance(value, str) and not _NUMBER_TEXT.fullmatch(value):
        raise ValueError("not a number")
    number = float(value)
    if isinstance(value, str) and not math.isfinite(number):
        raise ValueError("out of range")
    return number


def to_real(value: str | float | None) -> float | None:
    """The nearest number of four bytes.

    Raises:
        ValueError: The text is no number, or the number is too large.
    """
    number = to_double(value)
    return None if number is None else float(struct.unpack("f", struct.pack("f", number))[0])


def to_text(value: str | float | None) -> str | None:
    """A number in the fewest digits that tell it from its neighbours, as PostgreSQL writes it."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, int):
        return str(value)
    if not math.isfinite(value):
        return "Infinity" if value > 0 else "-Infinity"
    sign, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    assert isinstance(exponent, int)  # noqa: S101  (the value is finite)
    power = len(digits) - 1 + exponent
    if value == 0:
        text = "0"
    elif -5 < power < 15:
        text = f"{Decimal((0, digits, exponent)):f}"
    else:
        head, *tail = map(str, digits)
        text = f"{head}{'.' if tail else ''}{''.join(tail)}e{power:+03d}"
    return ("-" if sign else "") + text


def to_timestamp(value: str | None) -> str | None:
    """A time in the form that timestamps have in the database.

    Raises:
        ValueError: The text is no time.
    """
    return None if value is None else parse_timestamp(value)


SQLITE_FUNCTIONS: tuple[SQLiteFunction, ...] = (
    SQLiteFunction("adql_distance", 4, distance, True),
    SQLiteFunction("adql_in_polygon", 3, in_polygon, True),
    SQLiteFunction("adql_round", 2, round_half_away, True),
    SQLiteFunction("adql_truncate", 2, truncate, True),
    SQLiteFunction("adql_integer", 3, to_integer, True),
    SQLiteFunction("adql_double", 1, to_double, True),
    SQLiteFunction("adql_real", 1, to_real, True),
    SQLiteFunction("adql_text", 1, to_text, True),
    SQLiteFunction("adql_timestamp", 1, to_timestamp, True),
)
"""All that `translate` may call on SQLite; its mathematical functions must be built in (SQLite ≥ 3.35)."""
