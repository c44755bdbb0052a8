"""Envelopes of points on the sphere: the smallest enclosing circle and the convex hull."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import numpy.typing as npt

from catalog.vo.position import lonlat, unit_vectors
from catalog.vo.region.shapes import Circle, Polygon
from catalog.vo.region.sphere import tangent_vectors

__all__ = ["bounding_cap", "enclosing_circle", "hull_of_points", "unit_box"]

_Floats = npt.NDArray[np.float64]

_CAP_MARGIN = 1e-6  # degrees: more than rounding costs
_WIDEST_CAP = 89.9  # degrees of radius; a wider cap does not hold the arcs between points that it holds
_TINY = 1e-9
_WIDEST_HULL = 85.0  # degrees of radius; beyond, the tangent plane grows too long for a hull


def enclosing_circle(vertices: npt.ArrayLike) -> tuple[float, float, float]:
    """The smallest circle around points, as (ra, dec, radius) in degrees.

    Within a hemisphere it is the smallest there is, and holds the convex hull too. Points that no hemisphere holds get
    a circle of more than 90° around their mean direction, which holds them but need not be the smallest.

    Args:
        vertices: Shape (n, 2), n at least 1: ra, dec in degrees.

    Raises:
        ValueError: No points, or a number that is not finite.
    """
    points = np.asarray(vertices, dtype=np.float64).reshape(-1, 2)
    if not len(points) or not np.isfinite(points).all():
        raise ValueError("an enclosing circle needs at least one position, all of them finite")
    vectors = unit_vectors(points[:, 0], points[:, 1])
    axis = _smallest_cap(vectors)
    if axis is None:
        mean = vectors.mean(axis=0)
        axis = mean / np.linalg.norm(mean) if np.linalg.norm(mean) > 1e-6 else vectors[0]
    chord = np.linalg.norm(vectors - axis, axis=1).max()
    ra, dec = lonlat(axis)
    return float(ra), float(dec), float(np.degrees(2.0 * np.arcsin(min(chord / 2.0, 1.0))))


def bounding_cap(region: Circle | Polygon) -> Circle:
    """A circle that holds a region: good for an index, not the smallest.

    Of a polygon that reaches round more than a hemisphere it is the whole sky.
    """
    if isinstance(region, Circle):
        return Circle(region.ra, region.dec, min(region.radius + _CAP_MARGIN, 180.0))
    ra, dec = np.array(region.vertices).T
    vectors = unit_vectors(ra, dec)
    mean = vectors.sum(axis=0)
    size = float(np.linalg.norm(mean))
    if size < _TINY:
        return Circle(0.0, 0.0, 180.0)
    chord = float(np.linalg.norm(vectors - mean / size, axis=1).max())
    radius = float(np.degrees(2.0 * np.arcsin(min(chord / 2.0, 1.0)))) + _CAP_MARGIN
    lon, lat = lonlat(mean)
    return Circle(float(lon), float(lat), radius if radius < _WIDEST_CAP else 180.0)


def unit_box(ra: float, dec: float, radius: float) -> tuple[float, float, float, float, float, float]:
    """The box of unit vectors around a circle: x_min, x_max, y_min, y_max, z_min, z_max.

    Args:
        ra: Degrees.
        dec: Degrees.
        radius: Degrees.
    """
    angle = math.radians(radius)
    bounds: list[float] = []
    for cosine in unit_vectors(ra, dec).tolist():
        off_axis = math.acos(max(-1.0, min(1.0, cosine)))
        bounds += [math.cos(min(off_axis + angle, math.pi)), math.cos(max(off_axis - angle, 0.0))]
    x_min, x_max, y_min, y_max, z_min, z_max = bounds
    return x_min, x_max, y_min, y_max, z_min, z_max


def hull_of_points(ra: npt.ArrayLike, dec: npt.ArrayLike) -> Polygon | Circle:
    """The convex hull of points on the sphere.

    Args:
        ra: Degrees, shape (n,); pairs with a NaN are passed over.
        dec: Degrees, shape (n,).

    Returns:
        The polygon, wound as DALI wants. A circle instead when the points lie on one line or point (no area), or
        spread over more than 170°, then possibly of more than 90° radius.

    Raises:
        ValueError: No position is left.
    """
    pairs = np.stack([np.ravel(ra), np.ravel(dec)], axis=1).astype(np.float64)
    pairs = pairs[np.isfinite(pairs).all(axis=1)]
    centre_ra, centre_dec, radius = enclosing_circle(pairs)
    if radius <= _WIDEST_HULL:
        axis = unit_vectors(centre_ra, centre_dec)
        east, north = tangent_vectors(axis)
        vectors = unit_vectors(pairs[:, 0], pairs[:, 1])
        depth = vectors @ axis
        x, y = (vectors @ east) / depth, (vectors @ north) / depth
        corners = _planar_hull(x, y)
        if _has_area(x[corners], y[corners]):
            return Polygon(tuple((float(a), float(d)) for a, d in pairs[corners[::-1]]))
    return Circle(centre_ra, centre_dec, radius)


def _smallest_cap(vectors: _Floats) -> _Floats | None:
    """Axis of the smallest cap around unit vectors; None when no hemisphere holds them.

    Starts with one point and adds the farthest until none is outside: the cap grows each time, so it ends.
    """
    support = vectors[:1]
    axis: _Floats = support[0]
    for _ in range(10 * len(vectors) + 10):
        squares = np.sum((vectors - axis) ** 2, axis=1)
        farthest = int(np.argmax(squares))
        within = np.sum((support - axis) ** 2, axis=1).max()
        if squares[farthest] <= within * (1.0 + 1e-9) + 1e-28:
            return axis
        found = _cap_of_few(np.concatenate([support, vectors[farthest][None]]))
        if found is None:
            return None
        axis, support = found
    return axis


def _cap_of_few(points: _Floats) -> tuple[_Floats, _Floats] | None:
    """Smallest cap around at most four points, and the two or three of them that hold it."""
    best: tuple[float, _Floats, _Floats] | None = None
    for count in (2, 3):
        for chosen in combinations(range(len(points)), count):
            subset = points[list(chosen)]
            axis = _cap_axis(subset)
            if axis is None:
                continue
            squares = np.sum((points - axis) ** 2, axis=1)
            radius = float(squares[list(chosen)].max())
            holds = squares.max() <= radius * (1.0 + 1e-9) + 1e-28
            if holds and radius < 2.0 and (best is None or radius < best[0]):
                best = radius, axis, subset
    return None if best is None else (best[1], best[2])


def _cap_axis(points: _Floats) -> _Floats | None:
    """Axis equally far from two or three points, on their side; None when it is not determined."""
    if len(points) == 2:
        axis = points[0] + points[1]
    else:
        axis = np.cross(points[1] - points[0], points[2] - points[0])
        axis = axis if axis @ points[0] > 0 else -axis
    size = np.linalg.norm(axis)
    return None if size < 1e-300 else axis / size


def _planar_hull(x: _Floats, y: _Floats) -> list[int]:
    """Indices of the corners of the convex hull in the plane, counter-clockwise (monotone chain)."""
    order = np.lexsort((y, x)).tolist()
    xs, ys = x.tolist(), y.tolist()
    corners: list[int] = []
    for run in (order, order[::-1]):
        chain: list[int] = []
        for k in run:
            while len(chain) >= 2:
                i, j = chain[-2], chain[-1]
                turn = (xs[j] - xs[i]) * (ys[k] - ys[i]) - (ys[j] - ys[i]) * (xs[k] - xs[i])
                if turn > 0:
                    break
                chain.pop()
            chain.append(k)
        corners += chain[:-1]
    return corners


def _has_area(x: _Floats, y: _Floats) -> bool:
    """Whether the corners of a convex polygon are more than a line drawn there and back."""
    if len(x) < 3:
        return False
    x, y = x - x[0], y - y[0]
    area = abs(float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y))) / 2.0
    return area > 1e-12 * max(float(np.ptp(x)), float(np.ptp(y))) ** 2
