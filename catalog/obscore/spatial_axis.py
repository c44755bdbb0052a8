"""The spatial axis: where on the sky a package's data lie, and what they cover.

A fixed source lies where its catalog says; a body of the Solar System where it stood at mid-package; a scan at constant
elevation covers the envelope of what was pointed at. What cannot be placed has no position at all, never 0, 0.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from catalog.adql.sphere import polygon_problem
from catalog.obscore.batch import Batch, Floats, Values, first_of
from catalog.obscore.resolved_table import CAP_COLUMNS
from catalog.vo.position import Site, solar_system_positions, unit_vectors
from catalog.vo.region import (
    Circle,
    Polygon,
    bounding_cap,
    centroid,
    enclosing_circle,
    format_circle,
    format_region,
    parse_region,
    scan_footprints,
)

__all__ = ["derive_spatial_axis", "field_outline"]

_ARCSEC_PER_DEGREE = 3600.0
_WIDEST_POLYGON = 85.0  # degrees of radius; what reaches farther is drawn as a circle
_EDGE_STEP = 5.0  # degrees of right ascension between two vertices along a parallel


@dataclass(slots=True)
class _Sky:
    """Positions and outlines of a batch, filled kind by kind."""

    ra: Floats
    dec: Floats
    fov: Floats
    outline: list[str | None]
    """Regions that are more than a circle around the position."""


def derive_spatial_axis(batch: Batch) -> dict[str, Values]:
    """s_ra, s_dec, s_fov in degrees, s_region as text, the position as unit vector, a circle around the region.

    Stated values come first. A stated region that can be read also yields centre and diameter where those are not
    stated; around a position without an outline, the region is the circle of diameter s_fov.
    """
    with np.errstate(invalid="ignore"):
        sky = _place_fixed(batch)
        _place_solar_system(batch, sky)
        _place_drift_scans(batch, sky)
        _place_stated_regions(batch, sky)
    stated_ra = batch.floats("stated_s_ra")
    ra = np.where(np.isnan(stated_ra), sky.ra, stated_ra % 360.0)
    dec = first_of(batch.floats("stated_s_dec"), sky.dec)
    fov = first_of(batch.floats("stated_s_fov"), sky.fov)
    fov = np.where(np.isnan(ra), batch.floats("stated_s_fov"), fov)
    vectors = unit_vectors(ra, dec)
    regions = _regions(sky.outline, ra, dec, fov)
    return {
        "s_ra": ra,
        "s_dec": dec,
        "s_fov": fov,
        "s_region": regions,
        "s_x": vectors[:, 0],
        "s_y": vectors[:, 1],
        "s_z": vectors[:, 2],
        **_caps(regions),
    }


def _place_fixed(batch: Batch) -> _Sky:
    """Fixed sources; the field of view, or the mapped area where that is larger."""
    beam = batch.floats("module_beam_fwhm_arcsec") / _ARCSEC_PER_DEGREE
    fov = np.fmax(first_of(batch.floats("module_fov_deg"), beam), batch.floats("fixed_extent_deg"))
    return _Sky(batch.floats("fixed_ra_deg") % 360.0, batch.floats("fixed_dec_deg"), fov, [None] * batch.size)


def _place_solar_system(batch: Batch, sky: _Sky) -> None:
    """Bodies of the Solar System, seen from the telescope at mid-package (at its start while the end is unknown)."""
    t_min, t_max = batch.floats("t_min"), batch.floats("t_max")
    middle = first_of((t_min + t_max) / 2.0, t_min, t_max)
    for (body, site), rows in _group(zip(batch.texts("solar_system_body"), _sites(batch), strict=True)):
        if body is not None and site is not None:
            sky.ra[rows], sky.dec[rows] = solar_system_positions(body, middle[rows], site)


def _place_drift_scans(batch: Batch, sky: _Sky) -> None:
    """Scans at constant elevation: the envelope of the scan, else the bounds of the field as planned."""
    planned = np.stack([batch.floats(f"drift_{name}") for name in ("azimuth_min_deg", "azimuth_max_deg")])
    elevation = first_of(batch.floats("unit_elevation_deg"), batch.floats("drift_elevation_deg"))
    fov = np.nan_to_num(sky.fov)
    is_drift = [value is not None for value in batch.values("drift_id")]
    for (drifts, site), rows in _group(zip(is_drift, _sites(batch), strict=True)):
        if drifts and site is not None:
            times = batch.floats("t_min")[rows], batch.floats("t_max")[rows]
            found = scan_footprints(planned[0][rows], planned[1][rows], elevation[rows], *times, fov[rows], site)
            _put(sky, rows, *found)
    bounds = [batch.floats(f"drift_{name}") for name in ("ra_min_deg", "ra_max_deg", "dec_min_deg", "dec_max_deg")]
    without_scan = np.isnan(sky.ra) & np.isfinite(np.stack(bounds)).all(axis=0)
    chosen = np.flatnonzero(without_scan)
    for field, members in _group(zip(*(b[chosen].tolist() for b in bounds), strict=True)):
        rows = chosen[members]
        outline, ra, dec, diameter = field_outline(*field)
        _put(sky, rows, [outline] * len(rows), *(np.full(len(rows), value) for value in (ra, dec, diameter)))


def _place_stated_regions(batch: Batch, sky: _Sky) -> None:
    """Regions that the metadata state; one that cannot be read, or whose edges cross, is passed over."""
    stated_ra, stated_fov = batch.floats("stated_s_ra"), batch.floats("stated_s_fov")
    for row, text in enumerate(batch.texts("stated_s_region")):
        if text is None:
            continue
        try:
            region = parse_region(text)
        except ValueError:
            continue
        if isinstance(region, Polygon) and polygon_problem(region.vertices) is not None:
            continue
        sky.outline[row] = format_region(region)
        if np.isnan(stated_ra[row]) or np.isnan(stated_fov[row]):
            sky.ra[row], sky.dec[row], sky.fov[row] = _extent(region)


def field_outline(ra_min: float, ra_max: float, dec_min: float, dec_max: float) -> tuple[str, float, float, float]:
    """The outline of a field between two meridians and two parallels.

    Args:
        ra_min: Western bound, degrees.
        ra_max: Eastern bound; smaller than ``ra_min`` where the field holds RA 0.
        dec_min: Southern bound, degrees.
        dec_max: Northern bound, degrees.

    Returns:
        Region text, centre (ra, dec) and diameter, degrees. A polygon with vertices along the parallels; a circle where
        the field reaches round the sky or is wider than a polygon may be.
    """
    width = 360.0 if ra_max - ra_min >= 360.0 else (ra_max - ra_min) % 360.0
    steps = max(1, int(np.ceil(width / _EDGE_STEP)))
    east = (ra_min + np.linspace(0.0, width, steps + 1)) % 360.0
    corners = []
    for ras, dec in ((east, dec_min), (east[::-1], dec_max)):
        at_pole = abs(dec) == 90.0
        corners += [(float(ra), dec) for ra in (ras[:1] if at_pole else ras)]
    ra, dec, radius = enclosing_circle(corners)
    is_ring = width > 350.0
    if is_ring or radius > _WIDEST_POLYGON or dec_max <= dec_min or width == 0.0:
        return format_circle(ra, dec, radius), ra, dec, 2.0 * radius
    region = Polygon(tuple(corners))
    ra, dec = centroid(region.vertices)
    return format_region(region), ra, dec, 2.0 * radius


def _extent(region: Circle | Polygon) -> tuple[float, float, float]:
    """Centre and diameter of a region, degrees."""
    if isinstance(region, Circle):
        return region.ra, region.dec, 2.0 * region.radius
    ra, dec = centroid(region.vertices)
    return ra, dec, 2.0 * enclosing_circle(region.vertices)[2]


def _put(sky: _Sky, rows: npt.NDArray[np.intp], outline: Sequence[str | None], *places: Floats) -> None:
    for column, values in zip((sky.ra, sky.dec, sky.fov), places, strict=True):
        column[rows] = np.where(np.isnan(values), column[rows], values)
    for row, text in zip(rows.tolist(), outline, strict=True):
        sky.outline[row] = text


def _regions(outline: Sequence[str | None], ra: Floats, dec: Floats, fov: Floats) -> list[object]:
    """Each outline, else the circle around the position, else None."""
    return [
        text if text is not None else format_circle(a, d, w / 2.0) if a == a and w == w else None
        for text, a, d, w in zip(outline, ra.tolist(), dec.tolist(), fov.tolist(), strict=True)
    ]


def _caps(regions: Sequence[object]) -> dict[str, Values]:
    """A circle around each region."""
    known = {text: bounding_cap(parse_region(str(text))) for text in set(regions) if text is not None}
    caps = [known.get(text) for text in regions]
    rows = [(math.nan,) * 3 if cap is None else (cap.ra, cap.dec, cap.radius) for cap in caps]
    return dict(zip(CAP_COLUMNS, np.array(rows, dtype=np.float64).reshape(-1, 3).T, strict=True))


def _sites(batch: Batch) -> list[Site | None]:
    """The telescopes' places; None where latitude or longitude is unknown."""
    known: dict[tuple[object, object, object], Site | None] = {}
    names = ("telescope_latitude_deg", "telescope_longitude_deg", "telescope_altitude_m")
    places = list(zip(*(batch.values(name) for name in names), strict=True))
    for place in set(places):
        lat, lon, height = place
        known[place] = Site(lat, lon, height or 0.0) if lat is not None and lon is not None else None
    return [known[place] for place in places]


def _group(keys: Iterable[Hashable]) -> Iterable[tuple[Any, npt.NDArray[np.intp]]]:
    """Rows that share a key, with the key."""
    groups: dict[Any, list[int]] = defaultdict(list)
    for row, key in enumerate(keys):
        groups[key].append(row)
    return [(key, np.array(rows, dtype=np.intp)) for key, rows in groups.items()]
