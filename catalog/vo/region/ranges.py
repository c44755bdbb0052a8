"""Boxes of longitudes and latitudes, the shape ``RANGE`` of SIA 2.0 and DALI 1.2, by polygons that cover them.

Their northern and southern sides are parallels, which no polygon of great circles has: those sides are followed in
steps that are small enough to leave them by four seconds of arc at most.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from catalog.vo.region.shapes import Circle, Polygon

__all__ = ["SkyRange", "cover_range", "parse_range"]

_OFF = 1e-3  # degrees that a side may be off its parallel
_WIDEST = 45.0  # of one polygon: it has two hundred numbers at most
_TALLEST = 90.0
_THINNEST = 1e-5  # a polygon needs an inside


@dataclass(frozen=True, slots=True)
class SkyRange:
    """All longitudes from one eastwards to another, and all latitudes from one to another; ICRS, degrees."""

    ra_min: float
    """-360 to 360."""

    ra_max: float
    """At most 360 more."""

    dec_min: float
    dec_max: float

    @property
    def is_band(self) -> bool:
        """Whether it goes round the sky."""
        return self.ra_max - self.ra_min >= 360

    @property
    def is_polar(self) -> bool:
        """Whether it is so near a pole that longitudes mean nothing."""
        return min(90 - self.dec_min, 90 + self.dec_max) < _OFF


def parse_range(text: str) -> SkyRange:
    """Read ``RANGE ra_min ra_max dec_min dec_max``; infinities stand for the ends of what there is.

    Raises:
        ValueError: The numbers are wrong in form, count, order or range.
    """
    word, *words = text.split() or [""]
    expected = "expected RANGE ra_min ra_max dec_min dec_max, degrees"
    if word.upper() != "RANGE" or len(words) != 4:
        raise ValueError(f"'{text[:60]}' is no range: {expected}")
    try:
        numbers = [float(number) for number in words]
    except ValueError:
        raise ValueError(f"'{text[:60]}' is no range: {expected}") from None
    if "_" in text or not text.isascii() or any(map(math.isnan, numbers)):
        raise ValueError(f"'{text[:60]}' is no range: {expected}")
    ra_min, ra_max = (_finite(number, 0.0, 360.0) for number in numbers[:2])
    dec_min, dec_max = (_finite(number, -90.0, 90.0) for number in numbers[2:])
    if ra_min > ra_max or dec_min > dec_max:
        raise ValueError(f"'{text[:60]}' holds nothing: the lower bound comes first; across 0 write 350 370")
    if not -360 <= ra_min <= 360 or ra_max - ra_min > 360:
        raise ValueError(f"'{text[:60]}' goes more than once round the sky")
    if dec_min < -90 or dec_max > 90:
        raise ValueError(f"'{text[:60]}' goes beyond the poles: latitudes are -90 to 90")
    return SkyRange(ra_min, ra_max, dec_min, dec_max)


def _finite(number: float, lowest: float, highest: float) -> float:
    return min(max(number, lowest), highest) if math.isinf(number) else number


def cover_range(sky: SkyRange) -> Iterator[Circle | Polygon]:
    """Shapes that cover a range together, to within 4 seconds of arc.

    Args:
        sky: Not all round the sky, unless it is polar.
    """
    if sky.is_polar:
        pole = math.copysign(90.0, sky.dec_min + sky.dec_max)
        yield Circle(0.0, pole, min(90 - sky.dec_min, 90 + sky.dec_max))
        return
    south, north = _widened(sky.dec_min, sky.dec_max, _THINNEST)
    widest = math.cos(math.radians(0.0 if south < 0 < north else min(abs(south), abs(north))))
    west, east = _widened(sky.ra_min, sky.ra_max, _THINNEST / widest)
    decs = _divided(max(south, -90.0), min(north, 90.0), _TALLEST)
    for left, right in pairwise(_divided(west, east, _WIDEST)):
        for low, high in pairwise(decs):
            yield _polygon(left, right, low, high)


def _polygon(west: float, east: float, south: float, north: float) -> Polygon:
    """Both sides have corners on the same meridians, lest they cross where the polygon is thin."""
    sides = [dec for dec in (south, north) if not _is_pole(dec)]
    meridians = _divided(west, east, min(_step(dec) for dec in sides))
    lower = [(0.0, -90.0)] if _is_pole(south) else [(ra, south) for ra in meridians]
    upper = [(0.0, 90.0)] if _is_pole(north) else [(ra, north) for ra in reversed(meridians)]
    return Polygon((*lower, *upper))


def _step(dec: float) -> float:
    """Degrees of longitude after which the great circle has left the parallel by as much as it may."""
    bend = abs(math.sin(2 * math.radians(dec))) / 2
    return min(_WIDEST, math.degrees(math.sqrt(8 * math.radians(_OFF) / max(bend, _OFF))))


def _is_pole(dec: float) -> bool:
    return 90 - abs(dec) < _OFF


def _divided(low: float, high: float, most: float) -> list[float]:
    """The ends, and places between them that are at most so far apart."""
    parts = max(1, math.ceil((high - low) / most))
    return [low + (high - low) * part / parts for part in range(parts + 1)]


def _widened(low: float, high: float, least: float) -> tuple[float, float]:
    missing = max(0.0, least - (high - low)) / 2
    return low - missing, high + missing
