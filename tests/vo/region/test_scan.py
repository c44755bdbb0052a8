from __future__ import annotations

import warnings

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import AltAz, EarthLocation, SkyCoord
from astropy.time import Time

from catalog.vo.position import Site, altaz_to_icrs, lonlat, unit_vectors
from catalog.vo.region import (
    Circle,
    Polygon,
    contains,
    format_polygon,
    hull_of_points,
    parse_region,
    polygon_area,
    scan_footprints,
)

FYST = Site(-22.985639, -67.740278, 5611.8)
HOUR = 1 / 24


def pointings(
    az_min: float, az_max: float, el: float, start: float, end: float, fov: float, *, seed: int, count: int = 3000
) -> tuple[np.ndarray, np.ndarray]:
    """Random directions that the field of view touched during a scan, by the horizon transformation alone."""
    rng = np.random.default_rng(seed)
    throw = (az_max - az_min) % 360 if az_max < az_min else az_max - az_min
    az = az_min + throw * np.where(rng.uniform(size=count) < 0.4, rng.integers(0, 2, count), rng.uniform(size=count))
    centre = unit_vectors(
        *altaz_to_icrs(
            az,
            el,
            start
            + (end - start)
            * np.where(rng.uniform(size=count) < 0.4, rng.integers(0, 2, count), rng.uniform(size=count)),
            FYST,
        )
    )
    across = rng.normal(size=(count, 3))
    across -= np.sum(across * centre, axis=1, keepdims=True) * centre
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    return lonlat(centre * np.cos(np.radians(fov / 2)) + across * np.sin(np.radians(fov / 2)))


SCANS = {
    "an hour towards the west": (200, 240, 45, 60600.1, 60600.1 + HOUR, 1.1),
    "a minute": (30, 40, 60, 60600.1, 60600.1 + HOUR / 60, 1.3),
    "through south": (160, 200, 30, 60600.7, 60600.7 + HOUR / 2, 1.1),
    "through north": (350, 10, 50, 60600.3, 60600.3 + HOUR / 2, 1.1),
    "through north, azimuth below zero": (-10, 10, 50, 60600.3, 60600.3 + HOUR / 2, 1.1),
    "over the zenith": (0, 90, 89.5, 60600.3, 60600.3 + HOUR / 4, 1.1),
    "over the celestial pole": (170, 190, 23, 60600.3, 60600.3 + 2 * HOUR, 1.1),
    "wider than 90 degrees": (90, 270, 40, 60600.3, 60600.3 + HOUR, 1.1),
    "all round": (0, 360, 45, 60600.3, 60600.3 + HOUR / 4, 1.1),
    "all round the zenith": (-180, 360, 80, 60600.3, 60600.3 + HOUR / 4, 1.1),
    "a whole night": (190, 230, 40, 60600.0, 60600.4, 1.1),
    "a whole day": (170, 190, 40, 60600.0, 60601.0, 1.1),
    "two weeks": (90, 120, 30, 60600.0, 60614.0, 1.1),
    "all that a low telescope can see": (0, 360, 20, 60600.0, 60601.0, 1.1),
    "one direction, one moment": (100, 100, 45, 60600.0, 60600.0, 1.1),
    "a point": (100, 100, 45, 60600.0, 60600.0, 0.0),
    "in the year 2035": (200, 240, 45, 64500.1, 64500.1 + HOUR, 1.1),
}


@pytest.mark.parametrize("scan", SCANS.values(), ids=SCANS)
def test_nothing_observed_is_left_out(scan: tuple[float, ...]) -> None:
    [text], [ra], [dec], [fov] = scan_footprints(*scan, FYST)
    assert text is not None
    region = parse_region(text)
    seen = pointings(*scan, seed=1)
    assert contains(region, *seen).all()
    assert contains(region, ra, dec)
    away = SkyCoord(*seen, unit="deg").separation(SkyCoord(ra, dec, unit="deg")).deg
    assert away.max() <= fov / 2 + 1e-6


@pytest.mark.parametrize(
    "name", [n for n in SCANS if n not in ("a whole day", "two weeks", "all that a low telescope can see", "a point")]
)
def test_polygons_have_few_vertices_by_the_standard_and_fit_closely(name: str) -> None:
    [text], _, _, [fov] = scan_footprints(*SCANS[name], FYST)
    region = parse_region(str(text))
    assert isinstance(region, Polygon)
    assert len(region.vertices) <= 16
    assert format_polygon(region.vertices) == format_polygon(region.vertices[::-1][-1:] + region.vertices[::-1][:-1])
    assert len(set(region.vertices)) == len(region.vertices)
    tight = hull_of_points(*pointings(*SCANS[name], seed=2, count=20_000))
    assert isinstance(tight, Polygon)
    assert polygon_area(tight.vertices) <= polygon_area(region.vertices) < 1.12 * polygon_area(tight.vertices)
    assert fov < 160


@pytest.mark.parametrize("name", ["a whole day", "two weeks", "all that a low telescope can see"])
def test_scans_that_reach_round_the_sky_become_circles(name: str) -> None:
    [text], [ra], [dec], [fov] = scan_footprints(*SCANS[name], FYST)
    region = parse_region(str(text))
    assert isinstance(region, Circle) or fov < 160
    assert dec < -60 or name.startswith("all")
    assert 0 <= ra < 360


def test_written_vertices_are_wound_as_the_standard_says() -> None:
    texts, *_ = scan_footprints([200, 350, 0], [240, 10, 360], [45, 50, 45], 60600.0, 60600.0 + HOUR / 2, 1.1, FYST)
    for text in texts:
        region = parse_region(str(text))
        assert isinstance(region, Polygon)
        wound = format_polygon(region.vertices)
        assert np.array(wound.split()[2:], float).tolist() == np.array(str(text).split()[2:], float).tolist()


def test_the_footprint_agrees_with_astropy(astropy_offline: None) -> None:
    az, el, fov = np.array([200.0, 220.0, 240.0]), 45.0, 0.2
    start, end = 60600.1, 60600.1 + HOUR
    times = np.repeat([start, (start + end) / 2, end], 3)
    location = EarthLocation.from_geodetic(FYST.lon, FYST.lat, FYST.height)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        frame = AltAz(obstime=Time(times, format="mjd"), location=location)
        seen = SkyCoord(np.tile(az, 3) * u.deg, el * u.deg, frame=frame).icrs
    [text], [ra], [dec], _ = scan_footprints(200, 240, el, start, end, fov, FYST)
    assert contains(parse_region(str(text)), seen.ra.deg, seen.dec.deg).all()
    assert seen[4].separation(SkyCoord(ra, dec, unit="deg")).deg < 3


def test_crossing_north_is_the_same_however_the_azimuths_are_counted() -> None:
    texts, *rest = scan_footprints([350, -10, 350], [10, 10, 370], 50, 60600.3, 60600.4, 1.1, FYST)
    first = parse_region(str(texts[0]))
    for text in texts[1:]:
        np.testing.assert_allclose(parse_region(str(text)).vertices, first.vertices, rtol=0, atol=2e-6)  # type: ignore[union-attr]
    np.testing.assert_allclose(rest, np.array(rest)[:, :1].repeat(3, axis=1), rtol=0, atol=1e-9)


def test_many_give_the_same_as_one_and_unusable_ones_give_nothing() -> None:
    columns = np.array([list(scan) for scan in SCANS.values()] * 150).T
    bad = {3: (0, np.nan), 500: (2, 91.0), 700: (4, 60000.0), 900: (5, -1.0), 1100: (4, np.nan), 1300: (3, np.inf)}
    for row, (column, value) in bad.items():
        columns[column, row] = value
    texts, ra, dec, fov = scan_footprints(*columns, FYST)
    assert len(texts) == columns.shape[1] == ra.size
    unknown = {row for row, text in enumerate(texts) if text is None}
    assert unknown == set(bad)
    assert unknown == set(np.flatnonzero(np.isnan(ra))) == set(np.flatnonzero(np.isnan(fov)))
    for row in (0, 7, 2543):
        [text], [a], [d], [f] = scan_footprints(*columns[:, row], FYST)
        assert text == texts[row]
        np.testing.assert_allclose((a, d, f), (ra[row], dec[row], fov[row]), rtol=0, atol=1e-12)


def test_no_scans_give_no_footprints() -> None:
    texts, ra, dec, fov = scan_footprints([], [], [], [], [], 1.1, FYST)
    assert texts == []
    assert ra.size == dec.size == fov.size == 0
