from __future__ import annotations

import warnings

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import AltAz, EarthLocation, SkyCoord, get_body
from astropy.time import Time
from hypothesis import given
from hypothesis import strategies as st

from catalog.vo.position import (
    KNOWN_BODIES,
    Site,
    altaz_to_icrs,
    lonlat,
    solar_system_positions,
    unit_vectors,
)

FYST = Site(-22.985639, -67.740278, 5611.8)
LOCATION = EarthLocation.from_geodetic(FYST.lon, FYST.lat, FYST.height)
DATES = np.random.default_rng(3).uniform(58849, 66154, 60)  # 2020 to 2040


def separation(ra: np.ndarray, dec: np.ndarray, reference: SkyCoord) -> np.ndarray:
    """Degrees between positions and what astropy says."""
    return SkyCoord(ra, dec, unit="deg").separation(reference).deg


@pytest.mark.parametrize("body", KNOWN_BODIES)
def test_bodies_stand_where_astropy_sees_them(body: str, astropy_offline: None) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # astropy on dates after its tables
        apparent = get_body(body.lower(), Time(DATES, format="mjd"), LOCATION, ephemeris="builtin")
        direction = SkyCoord(apparent.ra, apparent.dec, frame=apparent.frame.replicate_without_data())
        reference = direction.icrs
    ra, dec = solar_system_positions(body, DATES, FYST)
    assert separation(ra, dec, reference).max() * 3600 < 1.0


def test_the_moon_seen_from_two_sites_differs_by_its_parallax() -> None:
    ra, dec = solar_system_positions("Moon", DATES, FYST)
    other = solar_system_positions("Moon", DATES, Site(50.9, 6.9, 50.0))
    assert separation(ra, dec, SkyCoord(*other, unit="deg")).max() > 0.8


def test_one_time_gives_the_same_as_many() -> None:
    ra, dec = solar_system_positions("Jupiter", DATES, FYST)
    single = [solar_system_positions("Jupiter", mjd, FYST) for mjd in DATES[:5]]
    np.testing.assert_allclose(np.array(single).T, [ra[:5], dec[:5]], rtol=0, atol=1e-12)


@pytest.mark.parametrize("body", ["Pluto", "67P/Churyumov-Gerasimenko", "Earth", "", "Orion-KL"])
def test_unknown_bodies_have_no_position(body: str) -> None:
    ra, dec = solar_system_positions(body, [60000.0, 60001.0], FYST)
    assert np.isnan(ra).all()
    assert np.isnan(dec).all()


def test_names_ignore_case() -> None:
    assert solar_system_positions(" JUPITER", 60000.0, FYST) == solar_system_positions("jupiter", 60000.0, FYST)


def test_unknown_and_absurd_times_have_no_position() -> None:
    times = np.array([[np.nan, np.inf], [1e300, -1e9]])
    for ra, dec in (solar_system_positions("Mars", times, FYST), altaz_to_icrs(10, 45, times, FYST)):
        assert ra.shape == (2, 2)
        assert np.isnan(ra).all()
        assert np.isnan(dec).all()


@pytest.mark.parametrize("year", [1000, 1500, 1900, 2035, 2100, 2900])
@pytest.mark.parametrize("body", ["Sun", "Moon", "Saturn"])
def test_dates_far_away_neither_warn_nor_fail(body: str, year: int) -> None:
    mjd = (year - 1858.88) * 365.2425 + 200
    for position in (solar_system_positions(body, mjd, FYST), altaz_to_icrs(10, 45, mjd, FYST)):
        assert np.isfinite(position).all()


def test_no_times_give_no_positions() -> None:
    assert solar_system_positions("Moon", [], FYST)[0].shape == (0,)
    assert altaz_to_icrs([], [], [], FYST)[0].shape == (0,)


@pytest.mark.parametrize("site", [FYST, Site(50.9, 6.9, 50.0), Site(-90, 0, 2835)])
def test_horizon_agrees_with_astropy(site: Site, astropy_offline: None) -> None:
    rng = np.random.default_rng(5)
    az, el = rng.uniform(-180, 360, DATES.size), rng.uniform(-10, 90, DATES.size)
    location = EarthLocation.from_geodetic(site.lon, site.lat, site.height)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # astropy on dates after its tables
        frame = AltAz(obstime=Time(DATES, format="mjd"), location=location)
        reference = SkyCoord(az * u.deg, el * u.deg, frame=frame).icrs
    assert separation(*altaz_to_icrs(az, el, DATES, site), reference).max() < 0.005


def test_horizon_broadcasts() -> None:
    ra, dec = altaz_to_icrs(np.zeros((3, 1)), np.arange(10.0, 50.0, 10.0), DATES[:3, None], FYST)
    assert ra.shape == dec.shape == (3, 4)
    alone = altaz_to_icrs(0.0, 30.0, DATES[1], FYST)
    np.testing.assert_allclose([ra[1, 2], dec[1, 2]], alone, rtol=0, atol=1e-10)


def test_a_place_must_be_on_the_earth() -> None:
    with pytest.raises(ValueError, match="latitude 91, longitude 0 is not a place"):
        Site(91, 0)


@given(st.floats(-720, 720), st.floats(-89.9999, 89.9999))
def test_vectors_turn_back_into_angles(ra: float, dec: float) -> None:
    vector = unit_vectors(ra, dec)
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-15)
    lon, lat = lonlat(3.0 * vector)
    assert 0 <= lon < 360
    assert abs((lon - ra + 180) % 360 - 180) < 1e-7
    assert lat == pytest.approx(dec, abs=1e-12)


def test_vectors_broadcast_and_carry_nan() -> None:
    vectors = unit_vectors([[0.0], [90.0]], [0.0, np.nan, 90.0])
    assert vectors.shape == (2, 3, 3)
    np.testing.assert_allclose(vectors[1, 0], [0, 1, 0], atol=1e-15)
    assert np.isnan(vectors[:, 1]).all()
