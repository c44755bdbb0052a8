"""Geometry of polygons and circles on the sphere: winding, area, centroid, containment.

Edges are great-circle arcs shorter than 180°. A polygon divides the sphere into two sides; the one smaller than a
hemisphere is meant, whatever the order of its vertices. DALI 1.1 section 3.3.7 wants the vertices counter-clockwise as
seen from the origin towards the sky with north up and east left, which is clockwise from outside; the standard's own
example goes the other way, and we follow its words.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from catalog.vo.position import lonlat, unit_vectors
from catalog.vo.region.shapes import Circle, Polygon

__all__ = ["area_vector", "centroid", "contains", "normalise_winding", "polygon_area", "tangent_vectors"]

_Floats = npt.NDArray[np.float64]

_BORDER = 1e-11  # radians: nearer to an edge than this, 2 microarcsec, is on it
_SMALL = 1e-3  # radians: below this size the plane is the better sphere


def normalise_winding(vertices: npt.ArrayLike) -> _Floats:
    """The same vertices in the order that DALI wants, the first one kept first, a repeated closing one dropped.

    Args:
        vertices: Shape (n, 2): ra, dec in degrees.

    Returns:
        Shape (n, 2) or (n - 1, 2).

    Raises:
        ValueError: Not pairs of numbers, or fewer than three.
    """
    points = _points(vertices)
    if _signed_area(unit_vectors(points[:, 0], points[:, 1])) > 0:
        return np.concatenate([points[:1], points[:0:-1]])
    return points


def polygon_area(vertices: npt.ArrayLike) -> float:
    """Area in square degrees of the smaller side of a polygon; times (π/180)² it is in steradian.

    Args:
        vertices: Shape (n, 2): ra, dec in degrees, either winding.

    Raises:
        ValueError: Not pairs of numbers, or fewer than three.
    """
    points = _points(vertices)
    area = abs(_signed_area(unit_vectors(points[:, 0], points[:, 1])))
    return float(np.degrees(np.degrees(area)))


def centroid(vertices: npt.ArrayLike) -> tuple[float, float]:
    """Centre of area of the smaller side of a polygon, as (ra, dec) in degrees.

    It may lie outside a concave polygon. Of a polygon without area, the mean of its vertices.

    Args:
        vertices: Shape (n, 2): ra, dec in degrees, either winding.

    Raises:
        ValueError: Not pairs of numbers, or fewer than three.
    """
    points = _points(vertices)
    corners = unit_vectors(points[:, 0], points[:, 1])
    mean = corners.mean(axis=0)
    if np.max(np.linalg.norm(corners - mean, axis=1)) < _SMALL:
        vector = _flat_centroid(corners, mean)
    else:
        vector = area_vector(corners) * np.sign(_signed_area(corners))
        if np.linalg.norm(vector) < 1e-12:
            vector = mean
    ra, dec = lonlat(vector)
    return float(ra), float(dec)


def contains(region: Circle | Polygon, ra: npt.ArrayLike, dec: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Whether each position lies in the region; the border belongs to it (ADQL 2.1 section 4.2.9).

    Args:
        region: Any circle, or a simple polygon, convex or not.
        ra: Degrees; broadcasts with ``dec``.
        dec: Degrees. A NaN lies nowhere.
    """
    points = unit_vectors(ra, dec)
    if isinstance(region, Circle):
        return _in_circle(points, unit_vectors(region.ra, region.dec), np.radians(region.radius))
    vertices = normalise_winding(region.vertices)
    return _in_polygon(points, unit_vectors(vertices[:, 0], vertices[:, 1]))


def area_vector(corners: _Floats) -> _Floats:
    """Twice the integral of position over the side on the left of the edges as seen from outside; exact.

    Args:
        corners: Unit vectors, shape (…, n, 3).

    Returns:
        Shape (…, 3); it points to the centre of area.
    """
    following = np.roll(corners, -1, axis=-2)
    normals = np.cross(corners, following)
    sines = np.linalg.norm(normals, axis=-1, keepdims=True)
    angles = np.arctan2(sines, np.sum(corners * following, axis=-1, keepdims=True))
    weights = np.divide(angles, sines, out=np.ones_like(angles), where=sines > 0)
    result: _Floats = np.sum(normals * weights, axis=-2)
    return result


def tangent_vectors(axis: _Floats) -> tuple[_Floats, _Floats]:
    """East and north at directions of shape (…, 3); at a pole, any two that make a right-handed cross with it."""
    east = np.stack([-axis[..., 1], axis[..., 0], np.zeros(axis.shape[:-1])], axis=-1)
    size = np.linalg.norm(east, axis=-1, keepdims=True)
    east = np.where(size > 1e-9, east / np.maximum(size, 1e-9), [1.0, 0.0, 0.0])
    return east, np.cross(axis, east)


def _points(vertices: npt.ArrayLike) -> _Floats:
    points = np.asarray(vertices, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 2:
        raise ValueError(f"the vertices of a polygon are pairs of ra and dec, not an array of shape {points.shape}")
    if len(points) > 1 and np.array_equal(points[0], points[-1]):
        points = points[:-1]
    if len(points) < 3:
        raise ValueError(f"a polygon has at least three vertices, not {len(points)}")
    return points


def _signed_area(corners: _Floats) -> float:
    """Area in sr, at most 2π, of the smaller side: positive when counter-clockwise as seen from outside."""
    following = np.roll(corners, -1, axis=0)
    reference = corners.mean(axis=0)
    if np.linalg.norm(reference) < 0.1:  # nearly a great circle: its pole
        reference = np.cross(corners, following).sum(axis=0)
    size = np.linalg.norm(reference)
    if size < 1e-12:
        return 0.0
    reference = reference / size
    triple = np.cross(corners - reference, following - reference) @ reference
    cosines = 1.0 + corners @ reference + following @ reference + np.sum(corners * following, axis=1)
    area = 2.0 * float(np.sum(np.arctan2(triple, cosines)))
    return area - 4.0 * np.pi * round(area / (4.0 * np.pi))


def _flat_centroid(corners: _Floats, mean: _Floats) -> _Floats:
    """Centroid of a small polygon in the plane that touches the sphere there."""
    axis = mean / np.linalg.norm(mean)
    offsets = corners / (corners @ axis)[:, None] - axis
    following = np.roll(offsets, -1, axis=0)
    areas = np.cross(offsets, following) @ axis
    total = areas.sum()
    if abs(total) <= 1e-12 * np.abs(offsets).max() ** 2:
        return mean
    result: _Floats = axis + ((offsets + following) * areas[:, None]).sum(axis=0) / (3.0 * total)
    return result


def _in_circle(points: _Floats, centre: _Floats, radius: float) -> npt.NDArray[np.bool_]:
    distance = 2.0 * np.arcsin(np.minimum(np.linalg.norm(points - centre, axis=-1) / 2.0, 1.0))
    inside: npt.NDArray[np.bool_] = distance <= radius + _BORDER
    return inside


def _in_polygon(points: _Floats, corners: _Floats) -> npt.NDArray[np.bool_]:
    """Whether the angles under which a point sees the edges add up to a turn: one inside, none outside.

    From the antipode of the inside they turn the other way.
    """
    turn = np.zeros(points.shape[:-1])
    border = np.zeros(points.shape[:-1], dtype=bool)
    for start, end in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        normal = np.cross(start, end)
        length = np.linalg.norm(normal)
        if length == 0:
            continue
        side = points @ normal
        along_start, along_end = points @ start, points @ end
        cosine = float(start @ end)
        turn += np.arctan2(side, cosine - along_start * along_end)
        between = along_start + along_end >= 1.0 + cosine - _BORDER
        border |= (np.abs(side) <= _BORDER * length) & between
    inside: npt.NDArray[np.bool_] = border | (np.abs(turn + 2.0 * np.pi) < 1.0)
    return inside
