"""Regions as text: ``CIRCLE ICRS ra dec r``, ``POLYGON ICRS ra1 dec1 ra2 dec2 …``.

The form that clients read in an ObsCore s_region (ObsCore 1.1 section 4.5.2). The words may come in any case, and the
frame may be missing as in DALI 1.2 ``shape`` values.
"""

from __future__ import annotations

import re

import numpy.typing as npt

from catalog.vo.region.shapes import Circle, Polygon
from catalog.vo.region.sphere import normalise_winding

__all__ = ["format_circle", "format_polygon", "format_region", "parse_region"]

_FRAMES = frozenset({"ICRS", "FK5", "J2000"})  # FK5 differs from ICRS by 0.02 arcsec
_REFERENCE_POSITIONS = frozenset(
    {"BARYCENTER", "GEOCENTER", "HELIOCENTER", "TOPOCENTER", "RELOCATABLE", "UNKNOWNREFPOS", "SPHERICAL2"}
)
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


def parse_region(text: str) -> Circle | Polygon:
    """Read a region from text.

    Args:
        text: ``CIRCLE [ICRS] ra dec radius`` or ``POLYGON [ICRS] ra1 dec1 ra2 dec2 ra3 dec3 …``, degrees. J2000 and
            FK5 count as ICRS; a reference position of STC-S (``GEOCENTER`` …) after the frame is skipped.

    Raises:
        ValueError: Another shape or frame, or numbers that are wrong in form, count or range.
    """
    words = text.split()
    if not words or words[0].upper() not in ("CIRCLE", "POLYGON"):
        raise ValueError(
            f"'{_short(text)}' is not a region: expected CIRCLE ICRS ra dec radius or POLYGON ICRS ra1 dec1 ra2 …"
        )
    shape, numbers = words[0].upper(), words[1:]
    if numbers and not _NUMBER.fullmatch(numbers[0]):
        if numbers[0].upper() not in _FRAMES:
            raise ValueError(f"the region is given in '{numbers[0]}': expected the frame ICRS")
        numbers = numbers[1:]
        while numbers and numbers[0].upper() in _REFERENCE_POSITIONS:
            numbers = numbers[1:]
    for number in numbers:
        if not _NUMBER.fullmatch(number):
            raise ValueError(f"'{number}' is not a number, in the region '{_short(text)}'")
    values = [float(number) for number in numbers]
    if shape == "CIRCLE":
        if len(values) != 3:
            raise ValueError(f"a circle takes three numbers, ra dec radius, not {len(values)}")
        return Circle(*values)
    if len(values) % 2 or len(values) < 6:
        raise ValueError(f"a polygon takes at least three pairs of numbers, not {len(values)} numbers")
    return Polygon(tuple(zip(values[::2], values[1::2], strict=True)))


def format_circle(ra: float, dec: float, radius: float) -> str:
    """Write a circle as ``CIRCLE ICRS ra dec radius``, to 1e-6 degrees (more for a radius below that).

    Raises:
        ValueError: A number is out of range.
    """
    circle = Circle(ra, dec, radius)
    size = _decimal(circle.radius)
    if size == "0" and circle.radius > 0:
        size = _decimal(circle.radius, 12)
    return f"CIRCLE ICRS {_longitude(circle.ra)} {_decimal(circle.dec)} {size}"


def format_polygon(vertices: npt.ArrayLike) -> str:
    """Write a polygon as ``POLYGON ICRS ra1 dec1 …``, to 1e-6 degrees (more where vertices would fall together).

    Whatever the order of the vertices, they are written counter-clockwise as seen from the origin towards the sky,
    north up and east left, and the first is not repeated.

    Args:
        vertices: Shape (n, 2): ra, dec in degrees.

    Raises:
        ValueError: Fewer than three vertices, or a number out of range.
    """
    polygon = Polygon(tuple((ra, dec) for ra, dec in normalise_winding(vertices).tolist()))
    for digits in (6, 12):
        pairs = [f"{_longitude(ra, digits)} {_decimal(dec, digits)}" for ra, dec in polygon.vertices]
        if len(set(pairs)) == len(pairs):
            break
    return "POLYGON ICRS " + " ".join(pairs)


def format_region(region: Circle | Polygon) -> str:
    """Write a region as text; `parse_region` reads it back."""
    if isinstance(region, Circle):
        return format_circle(region.ra, region.dec, region.radius)
    return format_polygon(region.vertices)


def _longitude(value: float, digits: int = 6) -> str:
    text = _decimal(value, digits)
    return "0" if text == "360" else text


def _decimal(value: float, digits: int = 6) -> str:
    text = f"{value:.{digits}f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "…"
