"""Circle and polygon, the shapes of DALI 1.1 sections 3.3.6 and 3.3.7, on the sphere in ICRS degrees."""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["Circle", "Polygon"]


@dataclass(frozen=True, slots=True)
class Circle:
    """A circle on the sphere (DALI 1.1 section 3.3.6).

    Raises:
        ValueError: A number is out of range.
    """

    ra: float
    """Degrees, ICRS; brought into [0, 360)."""

    dec: float
    """Degrees, -90 to 90."""

    radius: float
    """Degrees, 0 to 180; 180 is the whole sky."""

    def __post_init__(self) -> None:
        if not 0 <= self.radius <= 180:
            raise ValueError(f"a circle has a radius of 0 to 180 degrees, not {self.radius}")
        ra, dec = _position(self.ra, self.dec)
        object.__setattr__(self, "ra", ra)
        object.__setattr__(self, "dec", dec)


@dataclass(frozen=True, slots=True)
class Polygon:
    """A polygon of great-circle arcs, the side of it that is smaller than a hemisphere (DALI 1.1 section 3.3.7).

    The winding is as given: readers are lenient, `format_polygon` writes the standard's.

    Raises:
        ValueError: Fewer than three vertices, or a number out of range.
    """

    vertices: tuple[tuple[float, float], ...]
    """(ra, dec) in degrees, ICRS, ra brought into [0, 360); a repeated closing vertex is dropped."""

    def __post_init__(self) -> None:
        vertices = tuple(_position(ra, dec) for ra, dec in self.vertices)
        if len(vertices) > 1 and vertices[0] == vertices[-1]:
            vertices = vertices[:-1]
        if len(vertices) < 3:
            raise ValueError(f"a polygon has at least three vertices, not {len(vertices)}")
        object.__setattr__(self, "vertices", vertices)


def _position(ra: float, dec: float) -> tuple[float, float]:
    """The pair as plain numbers, ra in [0, 360)."""
    ra, dec = float(ra), float(dec)
    if not math.isfinite(ra) or not -90 <= dec <= 90:
        raise ValueError(f"({ra}, {dec}) is not a position: expected a longitude, and a latitude of -90 to 90")
    ra %= 360.0
    return (0.0 if ra >= 360.0 else ra), dec + 0.0
