"""Maps of the covered sky: MOC 2.0 in ASCII, ICRS, of regions in the text of `s_region`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import astropy.units as u
import numpy as np
from mocpy import MOC

from catalog.vo.region import Circle, Polygon, parse_region

__all__ = ["lay_over", "union"]


def union(mocs: Sequence[str]) -> str:
    """What at least one of two or more maps covers."""
    first, *others = map(MOC.from_string, mocs)
    return _written(first.union(*others))


def lay_over(moc: str, rows: Iterable[Sequence[Sequence[Any]]], *, order: int) -> str:
    """A map with more of the sky in it.

    Args:
        moc: The map; empty for none.
        rows: In portions: region or None, then right ascension and declination in degrees, for want of a region.
        order: Of the cells.

    Returns:
        The map; empty when it covers nothing.
    """
    total = MOC.from_string(moc) if moc else MOC.new_empty(order)
    for some in rows:
        total = total.union(*_mocs(some, order))
    return "" if total.empty() else _written(total)


def _mocs(some: Sequence[Sequence[Any]], order: int) -> Iterator[MOC]:
    shapes = [Circle(row[1], row[2], 0.0) if row[0] is None else parse_region(row[0]) for row in some]
    polygons = [shape for shape in shapes if isinstance(shape, Polygon)]
    points = np.array([(c.ra, c.dec) for c in shapes if isinstance(c, Circle) and c.radius == 0.0])
    circles = np.array([(c.ra, c.dec, c.radius) for c in shapes if isinstance(c, Circle) and c.radius > 0.0])
    if len(points):
        yield MOC.from_lonlat(points[:, 0] * u.deg, points[:, 1] * u.deg, max_norder=order)
    if len(circles):
        lon, lat, radius = (circles[:, axis] * u.deg for axis in range(3))
        yield MOC.from_cones(lon=lon, lat=lat, radius=radius, max_depth=order, union_strategy="large_cones")
    for length in sorted({len(polygon.vertices) for polygon in polygons}):  # those of one call have equally many
        alike = [np.array(polygon.vertices).T for polygon in polygons if len(polygon.vertices) == length]
        yield from MOC.from_polygons(np.ascontiguousarray(np.concatenate(alike)), max_depth=order)


def _written(moc: MOC) -> str:
    return " ".join(moc.to_string("ascii").split())
