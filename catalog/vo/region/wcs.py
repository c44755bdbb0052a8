"""Footprints of images from the celestial WCS of a FITS header (FITS 4.0 section 8), in ICRS.

Only the linear part and the projection count: SIP, lookup tables and other distortions, a few pixels at most, are left
out, so that a header alone is enough. Whatever astropy has to say about odd headers stays inside.
"""

from __future__ import annotations

import re
import warnings

import numpy as np
import numpy.typing as npt
from astropy.coordinates import (
    FK4,
    FK5,
    ICRS,
    BarycentricMeanEcliptic,
    BaseCoordinateFrame,
    FK4NoETerms,
    Galactic,
    SkyCoord,
    Supergalactic,
)
from astropy.io import fits
from astropy.utils.iers import conf as iers_conf
from astropy.wcs import WCS, WCSSUB_LATITUDE, WCSSUB_LONGITUDE
from astropy.wcs.utils import wcs_to_celestial_frame

from catalog.vo.region.hull import enclosing_circle
from catalog.vo.region.shapes import Circle, Polygon
from catalog.vo.region.sphere import contains, normalise_winding

__all__ = ["wcs_footprint", "wcs_region"]

_Floats = npt.NDArray[np.float64]

_SKY_FRAMES = (ICRS, FK5, FK4, FK4NoETerms, Galactic)
_DISTORTION = re.compile(
    r"(?:A|B|AP|BP)_(?:ORDER|DMAX|[0-9]+_[0-9]+)|(?:CPDIS|CQDIS|CPERR|CQERR|D2IMDIS|D2IMERR|DP|DQ|D2IM|DVERR)[0-9.].*"
    r"|AXISCORR|D2IMEXT|D2IMERR|PS[0-9]+_[0-9]+"
    r"|(?:AMDX|AMDY|PPO|CNPIX)[0-9]{1,2}|PLT.*|[XY]PIXELSZ"  # plate solutions; wcslib dies of one that is not whole
)
_NUMERIC = re.compile(r"(?:CRVAL|CRPIX|CDELT|CROTA|CD[0-9]+_|PC[0-9]+_)[0-9]+")
_TROUBLE = (ValueError, TypeError, KeyError, IndexError, OverflowError, AttributeError, fits.VerifyError)
"""What astropy raises on headers that describe no usable sky coordinates; its own WcsError is a ValueError."""
_GRID = 9  # places along each axis where the inside of an image is looked at
_MOST_AXES = 99  # what wcslib can count; a header that claims more would cost memory


def wcs_footprint(header: fits.Header) -> _Floats | None:
    """The four corners of an image on the sky, at the outer edges of its pixels.

    Args:
        header: Of an image, cube or tile-compressed image; the celestial axes may stand anywhere among the others.

    Returns:
        Shape (4, 2): ra, dec in degrees (ICRS), wound as DALI wants; FK5, FK4, Galactic, supergalactic and ecliptic
        coordinates are converted. None when the header has no image, no celestial WCS or one that is broken or not of
        the sky (Sun, planets), or when a corner lies outside the projection, as in an all-sky map (see `wcs_region`).
    """
    image = _celestial(header)
    if image is None:
        return None
    corners = _to_sky(image, *_outline(image, 1))
    return None if corners is None or not np.isfinite(corners).all() else normalise_winding(corners)


def wcs_region(header: fits.Header) -> Polygon | Circle | None:
    """The region that an image covers.

    Args:
        header: As for `wcs_footprint`.

    Returns:
        The polygon of the four corners; of images above 5° with three more vertices on each side, since edges bend.
        A circle around all that is on the sky where that polygon would be wrong: corners outside the projection,
        images that reach round the sky. None as for `wcs_footprint`, and when no pixel is on the sky.
    """
    image = _celestial(header)
    if image is None:
        return None
    inner = _to_sky(image, *_grid(image))
    if inner is None:
        return None
    inner = inner[np.isfinite(inner).all(axis=1)]
    border = _to_sky(image, *_outline(image, 1))
    if border is not None and np.isfinite(border).all() and enclosing_circle(border)[2] > 2.5:
        border = _to_sky(image, *_outline(image, 4))
    if border is not None and len(border) and np.isfinite(border).all():
        polygon = Polygon(tuple((float(a), float(d)) for a, d in normalise_winding(border)))
        if len(inner) == _GRID**2 and enclosing_circle(border)[2] < 80 and _holds(polygon, inner):
            return polygon
    if not len(inner):
        return None
    edges = inner if border is None else np.concatenate([inner, border[np.isfinite(border).all(axis=1)]])
    return _around(edges)


class _Image:
    """A celestial WCS, longitude first, and the pixels along its two axes."""

    def __init__(self, wcs: WCS, shape: tuple[int, int]) -> None:
        self.wcs = wcs
        self.shape = shape
        self.frame = _frame(wcs)


def _celestial(header: fits.Header) -> _Image | None:
    with warnings.catch_warnings(), iers_conf.set_temp("auto_download", False):
        warnings.simplefilter("ignore")
        try:
            shape = _image_shape(header)
            wcs = WCS(_linear_part(header), fix=True)
            if not shape or not wcs.has_celestial:
                return None
            shape += [1] * (wcs.naxis - len(shape))  # axes above NAXIS hold one value
            wcs.pixel_shape = shape[: wcs.naxis]
            sizes = shape[wcs.wcs.lng], shape[wcs.wcs.lat]
            if min(sizes) <= 0:
                return None
            return _Image(wcs.sub([WCSSUB_LONGITUDE, WCSSUB_LATITUDE]), sizes)
        except _TROUBLE:
            return None


def _image_shape(header: fits.Header) -> list[int]:
    """NAXIS1, NAXIS2 … of the image, also when it is stored as a compressed table; empty for other tables.

    Raises:
        ValueError: The header claims more axes than a WCS can have.
    """
    prefix = "Z" if header.get("ZIMAGE", False) is True else ""
    if not prefix and str(header.get("XTENSION", "IMAGE")).strip() != "IMAGE":
        return []
    count = int(header.get(f"{prefix}NAXIS", 0))
    if count > _MOST_AXES:
        raise ValueError(f"{prefix}NAXIS is {count}")
    return [int(header.get(f"{prefix}NAXIS{axis}", 0)) for axis in range(1, count + 1)]


def _linear_part(header: fits.Header) -> fits.Header:
    """A copy without the keywords of distortions and without ``-SIP`` and ``-TAB`` in the axis types.

    Cards that break the standard are left out: one of them should not cost the position.
    """
    cards = []
    for card in header.cards:
        keyword = card.keyword
        if len(keyword) > 8 or keyword in ("", "END", "COMMENT", "HISTORY") or _DISTORTION.fullmatch(keyword):
            continue
        try:
            value = card.value
        except fits.VerifyError:
            continue
        if keyword.startswith("CTYPE") and isinstance(value, str):
            value = re.sub(r"-SIP$|-TAB$", "", value.strip())
        if keyword in ("NAXIS", "WCSAXES") and not (isinstance(value, int) and 0 <= value <= _MOST_AXES):
            raise ValueError(f"{keyword} is {value!r}")
        if isinstance(value, str) and _NUMERIC.fullmatch(keyword):
            raise ValueError(f"{keyword} is text")  # wcslib would take 0 for it
        if isinstance(value, str | int | float | bool):
            cards.append((keyword, value))
    return fits.Header(cards)


def _frame(wcs: WCS) -> BaseCoordinateFrame:
    """The frame of the two axes.

    Raises:
        ValueError: It is not one of the sky, or its equinox is none that was ever used.
    """
    kind, equinox = wcs.wcs.ctype[0][:4], wcs.wcs.equinox
    if kind in ("RA--", "ELON") and not (np.isnan(equinox) or 1800 <= equinox <= 2200):
        raise ValueError(f"the equinox is {equinox}")
    if kind == "ELON":
        return BarycentricMeanEcliptic(equinox="J2000" if np.isnan(equinox) else f"J{equinox}")
    if kind == "SLON":
        return Supergalactic()
    frame = wcs_to_celestial_frame(wcs)
    if not isinstance(frame, _SKY_FRAMES):
        raise ValueError(f"{kind} is not a coordinate of the sky")
    return frame


def _to_sky(image: _Image, x: _Floats, y: _Floats) -> _Floats | None:
    """ICRS positions of pixel coordinates that count from 0, shape (n, 2); NaN outside the projection."""
    with warnings.catch_warnings(), iers_conf.set_temp("auto_download", False), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            lon, lat = image.wcs.wcs_pix2world(x, y, 0)
            bad = ~(np.isfinite(lon) & (np.abs(lat) <= 90))
            sky = SkyCoord(np.where(bad, 0.0, lon), np.where(bad, 0.0, lat), unit="deg", frame=image.frame).icrs
            result = np.stack([sky.ra.deg, sky.dec.deg], axis=1)
        except _TROUBLE:
            return None
    result[bad] = np.nan
    return result


def _outline(image: _Image, parts: int) -> tuple[_Floats, _Floats]:
    """Pixel coordinates along the outer edge, each side in so many parts."""
    t = np.arange(parts) / parts
    zero, one = np.zeros(parts), np.ones(parts)
    x = np.concatenate([t, one, 1 - t, zero]) * image.shape[0] - 0.5
    y = np.concatenate([zero, t, one, 1 - t]) * image.shape[1] - 0.5
    return x, y


def _grid(image: _Image) -> tuple[_Floats, _Floats]:
    """Pixel coordinates spread over the inside of the image."""
    t = (np.arange(_GRID) + 0.5) / _GRID
    x, y = np.meshgrid(t * image.shape[0] - 0.5, t * image.shape[1] - 0.5)
    return x.ravel(), y.ravel()


def _holds(polygon: Polygon, points: _Floats) -> bool:
    return bool(contains(polygon, points[:, 0], points[:, 1]).all())


def _around(points: _Floats) -> Circle:
    """A circle around points that stand for the cells of a grid; the whole sky when they spread over it."""
    ra, dec, radius = enclosing_circle(points)
    return Circle(ra, dec, 180.0 if radius > 120 else radius)
