"""Positions: unit vectors, Solar System bodies and the horizon, all in ICRS and in columns.

Plain series of ERFA, which are astropy's built-in ephemeris too, on arrays. Nothing is fetched: UT1 is taken for UTC
(less than 0.9 s, so at most 14 arcsec in the horizon system, today below 4), polar motion and refraction are left out.
Directions are astrometric: where the body would be drawn among the catalogued stars, light time and parallax included,
aberration removed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from erfa import ufunc as erfa_ufunc  # the plain functions: they neither warn nor raise for a "dubious year"

from catalog.vo.time import tai_minus_utc

__all__ = [
    "KNOWN_BODIES",
    "Site",
    "altaz_to_icrs",
    "lonlat",
    "solar_system_positions",
    "unit_vectors",
]

_Floats = npt.NDArray[np.float64]

KNOWN_BODIES = ("Sun", "Moon", "Mercury", "Venus", "Mars", "Jupiter", "Saturn", "Uranus", "Neptune")
"""Bodies that `solar_system_positions` can place, matched without regard to case."""

_PLAN94 = {"mercury": 1, "venus": 2, "mars": 4, "jupiter": 5, "saturn": 6, "uranus": 7, "neptune": 8}
_MJD0 = 2_400_000.5
_MJD_RANGE = (-313_700.0, 416_700.0)  # years 1000 to 3000, where the series hold
_LIGHT_DAYS_PER_AU = 499.004_783_836 / 86400.0
_AU = 149_597_870_700.0
_EPHEMERIS_STEP = 2.0  # days; cubic interpolation of the Earth is then good to 4e-9 au, 0.003 arcsec for Venus
_VELOCITY_STEP = 8.0  # days; linear interpolation of its velocity is then good to 0.05 arcsec of aberration


@dataclass(frozen=True, slots=True)
class Site:
    """A place on the Earth (WGS 84).

    Raises:
        ValueError: The latitude or longitude is out of range.
    """

    lat: float
    """Geodetic latitude, degrees, north positive."""

    lon: float
    """Longitude, degrees, east positive."""

    height: float = 0.0
    """Metres above the ellipsoid."""

    def __post_init__(self) -> None:
        if not -90 <= self.lat <= 90 or not -360 <= self.lon <= 360:
            raise ValueError(
                f"latitude {self.lat}, longitude {self.lon} is not a place: expected degrees, -90 to 90 and -180 to 360"
            )


def unit_vectors(ra_deg: npt.ArrayLike, dec_deg: npt.ArrayLike) -> _Floats:
    """Directions as unit vectors.

    Args:
        ra_deg: Degrees, any shape that broadcasts with ``dec_deg``.
        dec_deg: Degrees.

    Returns:
        Array of that shape with a last axis of 3; NaN where either input is.
    """
    ra, dec = np.broadcast_arrays(
        np.radians(np.asarray(ra_deg, np.float64)), np.radians(np.asarray(dec_deg, np.float64))
    )
    cos_dec = np.cos(dec)
    return np.stack([cos_dec * np.cos(ra), cos_dec * np.sin(ra), np.sin(dec)], axis=-1)


def lonlat(vectors: npt.ArrayLike) -> tuple[_Floats, _Floats]:
    """Directions of vectors of any length as (longitude in [0, 360), latitude), degrees; the inverse of `unit_vectors`.

    Args:
        vectors: Array whose last axis is 3.
    """
    x, y, z = np.moveaxis(np.asarray(vectors, np.float64), -1, 0)
    lon = np.degrees(np.arctan2(y, x)) % 360.0
    return np.where(lon >= 360.0, 0.0, lon), np.degrees(np.arctan2(z, np.hypot(x, y)))


def solar_system_positions(body: str, mjd_utc: npt.ArrayLike, site: Site) -> tuple[_Floats, _Floats]:
    """Where a body of the Solar System stands at each time, seen from a site.

    Within 1 arcsec of astropy's built-in ephemeris, which itself is good to 1.5 arcmin for outer planets.

    Args:
        body: One of `KNOWN_BODIES`; of any other name the position is unknown.
        mjd_utc: MJD (UTC), any shape.
        site: The observer; for the Moon the parallax is up to a degree.

    Returns:
        Right ascension and declination (ICRS, degrees), of that shape; NaN for an unknown body, for NaN, and outside
        the years 1000 to 3000.
    """
    mjd = np.asarray(mjd_utc, dtype=np.float64)
    name = body.strip().lower()
    if name not in {known.lower() for known in KNOWN_BODIES}:
        return np.full(mjd.shape, np.nan), np.full(mjd.shape, np.nan)
    flat = mjd.ravel()
    vectors = np.full((flat.size, 3), np.nan)
    good = _in_range(flat)
    vectors[good] = _body_vectors(name, flat[good], site)
    return lonlat(vectors.reshape((*mjd.shape, 3)))


def altaz_to_icrs(az: npt.ArrayLike, el: npt.ArrayLike, mjd: npt.ArrayLike, site: Site) -> tuple[_Floats, _Floats]:
    """Directions in the horizon system as ICRS.

    Without refraction. Within 0.005° of astropy's AltAz for 2020 to 2040: UT1 is taken for UTC.

    Args:
        az: Azimuth, degrees from north through east, any range; broadcasts with the others.
        el: Elevation, degrees.
        mjd: MJD (UTC). Costs most: give it a length of 1 along axes where it does not change.
        site: Where the horizon is.

    Returns:
        Right ascension and declination (ICRS, degrees); NaN for NaN and outside the years 1000 to 3000.
    """
    north, east, up = np.moveaxis(unit_vectors(az, el), -1, 0)
    sin_lat, cos_lat = np.sin(np.radians(site.lat)), np.cos(np.radians(site.lat))
    local = np.stack([cos_lat * up - sin_lat * north, east, cos_lat * north + sin_lat * up], axis=-1)
    times = np.asarray(mjd, dtype=np.float64)
    good = _in_range(times)
    safe = np.where(good, times, 51544.5)
    apparent = _terrestrial_to_celestial(local, safe, site)
    velocity = _earth_velocity(safe.ravel()).reshape((*safe.shape, 3)) * _LIGHT_DAYS_PER_AU
    along = np.sum(apparent * velocity, axis=-1, keepdims=True)
    astrometric = apparent * (1.0 + along) - velocity  # aberration to first order; the second is 1 mas
    return lonlat(np.where(good[..., None], astrometric, np.nan))


def _in_range(mjd: _Floats) -> npt.NDArray[np.bool_]:
    return (mjd >= _MJD_RANGE[0]) & (mjd <= _MJD_RANGE[1])


def _body_vectors(name: str, mjd: _Floats, site: Site) -> _Floats:
    """Astrometric vectors from the site to the body, au, shape (n, 3)."""
    terrestrial = mjd + (tai_minus_utc(mjd) + 32.184) / 86400.0
    observer = _site_vectors(mjd, site)
    if name == "moon":
        moon = erfa_ufunc.moon98(_MJD0, terrestrial)
        position, velocity = moon["p"], moon["v"] + _earth_velocity(terrestrial)
    else:
        earth = _earth_positions(terrestrial)
        if name == "sun":
            return -earth - observer
        planet, _ = erfa_ufunc.plan94(_MJD0, terrestrial, _PLAN94[name])
        position, velocity = planet["p"] - earth, planet["v"]
    geometric = position - observer
    light_time = np.linalg.norm(geometric, axis=-1, keepdims=True) * _LIGHT_DAYS_PER_AU
    result: _Floats = geometric - velocity * light_time
    return result


def _site_vectors(mjd: _Floats, site: Site) -> _Floats:
    """Geocentric place of the site, au along the axes of ICRS, shape (n, 3)."""
    (x, y, z), _ = erfa_ufunc.gd2gc(1, np.radians(site.lon), np.radians(site.lat), site.height)
    local = np.array([np.hypot(x, y), 0.0, z]) / _AU
    return _terrestrial_to_celestial(local, mjd, site)


def _terrestrial_to_celestial(local: _Floats, mjd: _Floats, site: Site) -> _Floats:
    """Rotate vectors from axes fixed to the Earth, the first in the site's meridian, to those of ICRS.

    Args:
        local: Last axis 3, broadcasts with ``mjd`` along the others.
        mjd: MJD (UTC); UT1 and TT are taken for it, which precession and nutation do not notice.
        site: Only its longitude counts.
    """
    angle = erfa_ufunc.era00(_MJD0, mjd) + np.radians(site.lon)
    cos_angle, sin_angle = np.cos(angle), np.sin(angle)
    x, y, z = np.moveaxis(local, -1, 0)
    turned = np.stack(np.broadcast_arrays(x * cos_angle - y * sin_angle, x * sin_angle + y * cos_angle, z), axis=-1)
    matrix = erfa_ufunc.c2ixys(*erfa_ufunc.xys00b(_MJD0, mjd))  # ICRS axes to those of date
    result: _Floats = np.einsum("...ji,...j->...i", matrix, turned)
    return result


def _earth_positions(tdb: _Floats) -> _Floats:
    """Heliocentric positions of the Earth, au, shape (n, 3): cubic Hermite interpolation in time."""
    low, high, fraction = _nodes(tdb, _EPHEMERIS_STEP)
    nodes, index = np.unique(np.concatenate([low, high]), return_inverse=True)
    earth, _, _ = erfa_ufunc.epv00(_MJD0, nodes * _EPHEMERIS_STEP)
    first, second = index[: low.size], index[low.size :]
    t = fraction[:, None]
    velocity = earth["v"] * _EPHEMERIS_STEP
    result: _Floats = (
        earth["p"][first] * ((1 + 2 * t) * (1 - t) ** 2)
        + velocity[first] * (t * (1 - t) ** 2)
        + earth["p"][second] * (t**2 * (3 - 2 * t))
        + velocity[second] * (t**2 * (t - 1))
    )
    return result


def _earth_velocity(tdb: _Floats) -> _Floats:
    """Barycentric velocity of the Earth, au per day, shape (n, 3): linear interpolation in time."""
    low, high, fraction = _nodes(tdb, _VELOCITY_STEP)
    nodes, index = np.unique(np.concatenate([low, high]), return_inverse=True)
    _, earth, _ = erfa_ufunc.epv00(_MJD0, nodes * _VELOCITY_STEP)
    first, second = earth["v"][index[: low.size]], earth["v"][index[low.size :]]
    result: _Floats = first + (second - first) * fraction[:, None]
    return result


def _nodes(times: _Floats, step: float) -> tuple[_Floats, _Floats, _Floats]:
    """The grid points before and after each time, counted in steps, and how far along it lies between."""
    low = np.floor(times / step)
    return low, low + 1.0, times / step - low
