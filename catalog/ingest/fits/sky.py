"""Where the data of a FITS file lie on the sky, in ICRS.

The centre and outline of the pixels come first; then the reference point of a celestial WCS without pixels; then the
pointing or target that plain keywords name. Distortions are left out, as in `catalog.vo.region.wcs.wcs_region`.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from astropy import units
from astropy.coordinates import FK4, FK5, SkyCoord
from astropy.io import fits
from astropy.utils.iers import conf as iers_conf

from catalog.ingest.fits.keywords import Keywords
from catalog.ingest.fits.structure import Hdu
from catalog.vo.region import (
    Circle,
    Polygon,
    centroid,
    enclosing_circle,
    hull_of_points,
    polygon_area,
)
from catalog.vo.region.wcs import wcs_footprint, wcs_region

__all__ = ["Place", "join_places", "read_pixels", "read_pointing", "read_reference_point"]

_PAIRS = (
    ("RA", "DEC"),
    ("OBSRA", "OBSDEC"),
    ("RA_TARG", "DEC_TARG"),
    ("RA_PNT", "DEC_PNT"),
    ("RA_OBJ", "DEC_OBJ"),
    ("RA_NOM", "DEC_NOM"),
    ("OBJRA", "OBJDEC"),
    ("OBJCTRA", "OBJCTDEC"),
    ("TELRA", "TELDEC"),
    ("CRVAL_RA", "CRVAL_DEC"),
)
_SEXAGESIMAL = re.compile(r"([+-]?)\s*([0-9]{1,3})[:\shd°]+([0-9]{1,2})[:\sm']+([0-9]{1,2}(?:\.[0-9]*)?)[s\"]?")
_AXIS = re.compile(r"(?:CTYPE|NAXIS|CRPIX)([0-9]{1,3})")
_CELESTIAL_TABLE = re.compile(r"(?:RA|DEC|[A-Z]LON|[A-Z]LAT|[A-Z]{2}LN|[A-Z]{2}LT)-*-TAB")

_BROKEN = (ValueError, TypeError, RuntimeError, MemoryError)
"""What pixels without extent, coordinates that are no numbers, and the depths of wcslib raise."""


@dataclass(frozen=True, slots=True)
class Place:
    """A position and, where it is known, what is covered around it."""

    ra: float
    """ICRS, degrees, as is ``dec``."""

    dec: float
    region: Polygon | Circle | None = None
    pixel_scale_arcsec: float | None = None

    @property
    def fov(self) -> float | None:
        """Diameter of the smallest circle around what is covered, degrees."""
        if self.region is None:
            return None
        return 2.0 * (
            self.region.radius if isinstance(self.region, Circle) else enclosing_circle(self.region.vertices)[2]
        )


def read_pixels(hdu: Hdu, keywords: Keywords) -> Place | None:
    """The centre of the pixels of an image and what they cover; None when it has none with sky coordinates."""
    if hdu.kind != "image" or not hdu.shape or _is_tabulated(hdu.header):
        return None
    try:
        region = wcs_region(hdu.header)
        if region is None:
            return None
        pixel = wcs_footprint(_one_pixel(hdu.header, centred=True))
        if pixel is None:  # the middle of the image is not on the sky
            return Place(*_middle(region), region)
        return Place(*centroid(pixel), region, math.sqrt(polygon_area(pixel)) * 3600.0)
    except _BROKEN:
        keywords.note("the sky coordinates of the pixels are broken")
        return None


def read_reference_point(hdu: Hdu, keywords: Keywords) -> Place | None:
    """CRVAL of a celestial WCS, for headers without pixels; None without such a WCS."""
    if hdu.kind == "table" or _is_tabulated(hdu.header):
        return None
    try:
        point = wcs_footprint(_one_pixel(hdu.header, centred=False))
        return None if point is None else Place(*centroid(point))
    except _BROKEN:
        keywords.note("the sky coordinates of the reference point are broken")
        return None


def read_pointing(keywords: Keywords, fallback: Keywords | None = None) -> Place | None:
    """The position that plain keywords state: numbers are degrees, sexagesimal right ascensions hours.

    Args:
        keywords: Of the HDU.
        fallback: Of the primary HDU, for RADESYS and EQUINOX.
    """
    for names in _PAIRS:
        if names[0] not in keywords or names[1] not in keywords:
            continue
        ra = _angle(keywords, names[0], hours=True)
        dec = _angle(keywords, names[1], hours=False)
        if ra is None or dec is None:
            continue
        if not -360 <= ra <= 360 or not -90 <= dec <= 90:
            keywords.note(f"{names[0]} and {names[1]} are not a position")
            continue
        return _to_icrs(ra, dec, keywords, fallback)
    return None


def join_places(places: Sequence[Place]) -> Place | None:
    """One place for several: the hull of what they cover, and its centre."""
    distinct = list(dict.fromkeys(places))
    if len(distinct) <= 1:
        return distinct[0] if distinct else None
    points: list[tuple[float, float]] = []
    for place in distinct:
        points += _outline(place)
    region = hull_of_points([ra for ra, _ in points], [dec for _, dec in points])
    scales = {place.pixel_scale_arcsec for place in distinct}
    covered = any(place.region is not None for place in distinct)
    ra, dec = _middle(region)
    return Place(ra, dec, region if covered else None, scales.pop() if len(scales) == 1 else None)


def _outline(place: Place) -> list[tuple[float, float]]:
    if isinstance(place.region, Polygon):
        return list(place.region.vertices)
    radius = place.region.radius if place.region is not None else 0.0
    if radius == 0.0:
        return [(place.ra, place.dec)]
    if radius > 45.0:
        radius = min(radius, 89.0)
    centre = SkyCoord(place.ra, place.dec, unit="deg")
    around = centre.directional_offset_by(np.arange(0, 360, 30) * units.deg, radius * units.deg)
    return [(float(ra), float(dec)) for ra, dec in zip(around.ra.deg, around.dec.deg, strict=True)]


def _middle(region: Polygon | Circle) -> tuple[float, float]:
    return (region.ra, region.dec) if isinstance(region, Circle) else centroid(region.vertices)


def _is_tabulated(header: fits.Header) -> bool:
    """Whether the sky coordinates stand in a table (``-TAB``), so that CRVAL is an index."""
    return any(_CELESTIAL_TABLE.fullmatch(str(value).strip()) for name, value in header.items() if name[:5] == "CTYPE")


def _one_pixel(header: fits.Header, *, centred: bool) -> fits.Header:
    """The header of the pixel in the middle of an image, or of the one whose centre is the reference point."""
    one = header.copy()
    axes = [int(match[1]) for name in header if (match := _AXIS.fullmatch(name))]
    for axis in range(1, max(axes, default=0) + 1):
        length = header.get(f"NAXIS{axis}", 1)
        if centred and isinstance(length, int) and length > 0:
            one[f"CRPIX{axis}"] = float(header.get(f"CRPIX{axis}", 0.0)) - (length - 1) / 2
        elif not centred:
            one[f"CRPIX{axis}"] = 1.0
    one["NAXIS"] = max(axes, default=0)
    for axis in range(1, max(axes, default=0) + 1):
        one[f"NAXIS{axis}"] = 1
    return one


def _angle(keywords: Keywords, name: str, *, hours: bool) -> float | None:
    """Degrees of a number, of a number in quotes, or of a sexagesimal text."""
    value = keywords.raw(name)
    if isinstance(value, str):
        match = _SEXAGESIMAL.fullmatch(value.strip())
        if match:
            size = int(match[2]) + int(match[3]) / 60 + float(match[4]) / 3600
            factor = 15.0 if hours and "d" not in value and "°" not in value else 1.0
            return -size * factor if match[1] == "-" else size * factor
    number = keywords.number(name)
    if number is not None and hours and keywords.unit(name) in ("h", "hr", "hour", "hours"):
        return number * 15.0
    return number


def _to_icrs(ra: float, dec: float, keywords: Keywords, fallback: Keywords | None) -> Place | None:
    sources = [keywords] if fallback is None else [keywords, fallback]
    system = next((s for k in sources if (s := k.text("RADESYS", "RADECSYS"))), None)
    equinox = next((e for k in sources if (e := k.number("EQUINOX"))), None)
    if equinox is None:
        epoch = next((e for k in sources if (e := k.number("EPOCH"))), None)
        equinox = epoch if epoch in (1950.0, 2000.0) else None  # elsewhere EPOCH is when a plate was taken
    system = (system or ("ICRS" if equinox is None else "FK4" if equinox < 1984 else "FK5")).upper()
    if system in ("ICRS", "GCRS", "GAPPT") or (system == "FK5" and equinox in (None, 2000.0)):
        return Place(ra % 360.0, dec)
    if not system.startswith("FK") or not 1800 <= (equinox or 2000) <= 2100:
        keywords.note(f"the position is given in {system}, which is not known")
        return None
    with warnings.catch_warnings(), iers_conf.set_temp("auto_download", False):
        warnings.simplefilter("ignore")
        frame = FK4(equinox=f"B{equinox or 1950.0}") if system.startswith("FK4") else FK5(equinox=f"J{equinox}")
        sky = SkyCoord(ra % 360.0, dec, unit="deg", frame=frame).icrs
    return Place(float(sky.ra.deg), float(sky.dec.deg))
