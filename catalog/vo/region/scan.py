"""Footprints of scans at constant elevation: the envelope of an azimuth throw while the sky turns.

The telescope sweeps an arc of a small circle around the zenith; the sky carries that arc along in right ascension. The
envelope is the convex outline of all that was pointed at, widened by half the field of view, drawn with at most 16
great-circle edges that touch it from outside: nothing observed is left out.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from catalog.vo.position import Site, altaz_to_icrs, lonlat, unit_vectors
from catalog.vo.region.sphere import area_vector, tangent_vectors
from catalog.vo.region.text import format_circle

__all__ = ["scan_footprints"]

_Floats = npt.NDArray[np.float64]

_EDGES = 16
_ARC_SAMPLES = 17  # along the throw, at the start and at the end
_PATH_SAMPLES = 13  # along the time, for the ends of the throw and where it crosses the meridian
_NARROWEST = np.radians(1.0 / 3600)  # half the field of view is taken to be at least this, so that there is an area
_ROUNDING = 2e-8  # rad, 4 mas: what writing six digits can move a corner
_WIDEST = np.radians(80.0)  # radius beyond which the envelope becomes a circle
_TURNS_PER_DAY = 1.002_737_811_911_354_48  # of the Earth in a day of UT1
_AT_ONCE = 2000  # scans worked on together, 20 MB


def scan_footprints(
    az_min: npt.ArrayLike,
    az_max: npt.ArrayLike,
    elevation: npt.ArrayLike,
    mjd_start: npt.ArrayLike,
    mjd_end: npt.ArrayLike,
    fov_deg: npt.ArrayLike,
    site: Site,
) -> tuple[list[str | None], _Floats, _Floats, _Floats]:
    """Where scans at constant elevation went on the sky.

    Args:
        az_min: Where each throw starts, degrees from north through east, shape (n,); the others broadcast with it.
        az_max: Where it ends; smaller than ``az_min`` means that it runs through north. 360 and more is all round.
        elevation: Degrees, -90 to 90.
        mjd_start: MJD (UTC).
        mjd_end: MJD (UTC), not before ``mjd_start``.
        fov_deg: Diameter of the field of view, degrees.
        site: Where the telescope stands.

    Returns:
        Region texts (s_region), and s_ra, s_dec, s_fov in degrees, each of length n: the centre of area of the
        envelope and the diameter of the circle around it. A polygon of at most 16 vertices, or a circle where the
        envelope reaches beyond 80° from its middle. None and NaN where an input is NaN or not as said above.
    """
    inputs = np.broadcast_arrays(
        *(np.atleast_1d(np.asarray(a, np.float64)) for a in (az_min, az_max, elevation, mjd_start, mjd_end, fov_deg))
    )
    scans = np.stack(inputs, axis=1)
    texts: list[str | None] = [None] * len(scans)
    results = np.full((3, len(scans)), np.nan)
    good = np.flatnonzero(_usable(scans))
    for begin in range(0, len(good), _AT_ONCE):
        rows = good[begin : begin + _AT_ONCE]
        regions, ra, dec, fov = _footprints(scans[rows], site)
        results[:, rows] = ra, dec, fov
        for row, text in zip(rows.tolist(), regions, strict=True):
            texts[row] = text
    return texts, results[0], results[1], results[2]


def _usable(scans: _Floats) -> npt.NDArray[np.bool_]:
    _, _, elevation, start, end, fov = scans.T
    usable: npt.NDArray[np.bool_] = (
        np.isfinite(scans).all(axis=1)
        & (np.abs(elevation) <= 90)
        & (end >= start)
        & (fov >= 0)
        & (fov <= 180)
        & (start > -300_000)
        & (end < 400_000)
    )
    return usable


def _footprints(scans: _Floats, site: Site) -> tuple[list[str], _Floats, _Floats, _Floats]:
    pointings, middle, margin = _pointings(scans, site)
    corners, reach = _outline(pointings, middle, margin)
    centre = -area_vector(corners)  # wound as DALI wants: seen from outside, the inside is on the right
    is_circle = reach > _WIDEST
    centre = np.where((reach < 1e-3)[:, None], corners.mean(axis=1), centre)  # too small for the difference above
    centre[is_circle] = middle[is_circle]
    centre /= np.linalg.norm(centre, axis=-1, keepdims=True)
    radius = _angles(corners, centre).max(axis=1)
    around = np.minimum(_angles(pointings, middle).max(axis=1) + margin, np.pi)
    radius = np.degrees(np.where(is_circle, around, radius))
    ra, dec = lonlat(centre)
    lon, lat = lonlat(corners)
    texts = [
        format_circle(ra[i], dec[i], radius[i]) if is_circle[i] else _polygon_text(lon[i], lat[i])
        for i in range(len(scans))
    ]
    return texts, ra, dec, 2.0 * radius


def _pointings(scans: _Floats, site: Site) -> tuple[_Floats, _Floats, _Floats]:
    """Directions on the border of all that was pointed at.

    Returns:
        Unit vectors (n, samples, 3); their mean over throw and time, (n, 3); what to widen them by in rad, (n,), that
        is half the field of view and what an arc can bulge between two samples.
    """
    az_min, az_max, elevation, start, end, fov = scans.T
    throw = az_max - az_min
    throw = np.where(throw < 0, throw % 360.0, np.minimum(throw, 360.0))
    azimuths = az_min[:, None] + throw[:, None] * np.linspace(0.0, 1.0, _ARC_SAMPLES)
    meridian = az_min[:, None] + np.mod(np.array([0.0, 180.0]) - az_min[:, None], 360.0)
    meridian = np.where(meridian <= (az_min + throw)[:, None], meridian, az_min[:, None])
    pole = np.zeros((len(scans), 1))  # the axis of the sky's rotation stands in the north, as high as the latitude
    az = np.concatenate([azimuths, meridian, pole], axis=1)
    el = np.concatenate([np.repeat(elevation[:, None], az.shape[1] - 1, axis=1), pole + site.lat], axis=1)
    vectors = unit_vectors(*altaz_to_icrs(az, el, ((start + end) / 2.0)[:, None], site))
    arc, axis = vectors[:, :-1], vectors[:, -1:]

    turn = 2.0 * np.pi * np.minimum(_TURNS_PER_DAY * (end - start), 1.0)
    steps = np.linspace(-0.5, 0.5, _PATH_SAMPLES)
    path = arc[:, [0, _ARC_SAMPLES - 1, _ARC_SAMPLES, _ARC_SAMPLES + 1]]
    moments = [_rotate(arc, axis, s * turn) for s in (-0.5, 0.5)]
    moments += [_rotate(path, axis, s * turn) for s in steps[1:-1]]
    pointings = np.concatenate(moments, axis=1)

    along = np.sum(arc * axis, axis=-1, keepdims=True) * axis
    mean = (along + (arc - along) * np.sinc(turn / (2.0 * np.pi))[:, None, None]).mean(axis=1)
    size = np.linalg.norm(mean, axis=-1, keepdims=True)
    middle = np.where(size > 1e-6, mean / np.maximum(size, 1e-6), axis[:, 0])
    height = np.sum(path * axis, axis=-1)
    bulge = _sagitta(np.radians(throw) / (_ARC_SAMPLES - 1), np.sin(np.radians(elevation)))
    bulge += _sagitta(turn / (_PATH_SAMPLES - 1), height.T).max(axis=0)
    margin = np.maximum(np.radians(fov) / 2.0, _NARROWEST) + bulge + _ROUNDING
    return pointings, middle, margin


def _sagitta(step: _Floats, sine: _Floats) -> _Floats:
    """How far a small circle bulges beyond its great-circle chord, rad, with a tenth to spare.

    Args:
        step: Part of the small circle between two samples, rad.
        sine: Of its latitude.
    """
    result: _Floats = 1.1 * step**2 / 8.0 * np.abs(sine) * np.sqrt(np.maximum(1.0 - sine**2, 0.0))
    return result


def _rotate(vectors: _Floats, axis: _Floats, angle: _Floats) -> _Floats:
    """Turn vectors (n, m, 3) about axes (n, 1, 3) by angles (n,): eastward, as the zenith moves (Rodrigues)."""
    cosine, sine = np.cos(angle)[:, None, None], np.sin(angle)[:, None, None]
    along = np.sum(vectors * axis, axis=-1, keepdims=True)
    result: _Floats = vectors * cosine + np.cross(axis, vectors) * sine + axis * along * (1.0 - cosine)
    return result


def _outline(pointings: _Floats, middle: _Floats, margin: _Floats) -> tuple[_Floats, _Floats]:
    """The polygon of great circles that touch caps of radius ``margin`` around the pointings from outside.

    In each of 16 directions from the middle, the great circle across that direction is pushed out until no cap reaches
    over it. A cap at p stays behind the one at distance φ when ``sin φ (c·p) - cos φ (u·p) >= sin margin``.

    Returns:
        Corners (n, 16, 3), wound as DALI wants, and the distance of the farthest edge from the middle, rad, (n,).
    """
    east, north = tangent_vectors(middle)
    x = np.einsum("nij,nj->ni", pointings, east)
    y = np.einsum("nij,nj->ni", pointings, north)
    depth = np.einsum("nij,nj->ni", pointings, middle)
    directions = _directions(x, y, margin)
    cosines, sines = np.cos(directions), np.sin(directions)
    distance = np.empty_like(directions)
    for k in range(_EDGES):
        ahead = x * cosines[:, k, None] + y * sines[:, k, None]
        room = np.hypot(depth, ahead)
        push = np.arcsin(np.minimum(np.sin(margin)[:, None] / np.maximum(room, 1e-12), 1.0))
        distance[:, k] = (np.arctan2(ahead, depth) + push).max(axis=1)
    outward = cosines[..., None] * east[:, None] + sines[..., None] * north[:, None]
    normals = middle[:, None] * np.sin(distance)[..., None] - outward * np.cos(distance)[..., None]
    corners = np.cross(np.roll(normals, -1, axis=1), normals)
    corners /= np.maximum(np.linalg.norm(corners, axis=-1, keepdims=True), 1e-300)
    return corners, np.maximum(distance.max(axis=1), margin)


def _directions(x: _Floats, y: _Floats, margin: _Floats) -> _Floats:
    """16 directions, clockwise from outside, closer together across the long side of the points (n, samples).

    Equal steps on a circle that is stretched like the points; returns angles in rad from east through north, (n, 16).
    """
    dx, dy = x - x.mean(axis=1, keepdims=True), y - y.mean(axis=1, keepdims=True)
    across, along = np.mean(dx * dy, axis=1), np.mean(dx * dx - dy * dy, axis=1) / 2.0
    middle, spread = np.mean(dx * dx + dy * dy, axis=1) / 2.0 + margin**2 / 4.0, np.hypot(across, along)
    tilt = 0.5 * np.arctan2(across, along)
    flatness = np.sqrt(np.maximum(middle - spread, 0.0) / (middle + spread))
    steps = np.arange(_EDGES) * (-2.0 * np.pi / _EDGES)
    result: _Floats = tilt[:, None] + np.arctan2(np.sin(steps), np.maximum(flatness, 0.1)[:, None] * np.cos(steps))
    return result


def _angles(vectors: _Floats, axis: _Floats) -> _Floats:
    """Angles in rad between vectors (n, m, 3) and axes (n, 3)."""
    chords = np.linalg.norm(vectors - axis[:, None], axis=-1)
    result: _Floats = 2.0 * np.arcsin(np.minimum(chords / 2.0, 1.0))
    return result


def _polygon_text(lon: _Floats, lat: _Floats) -> str:
    pairs: list[str] = []
    for a, d in zip(lon.tolist(), lat.tolist(), strict=True):
        pair = f"{a % 360.0:.6f} {d:.6f}".replace("360.000000", "0.000000")
        if not pairs or pair not in (pairs[-1], pairs[0]):
            pairs.append(pair)
    return "POLYGON ICRS " + " ".join(pairs)
