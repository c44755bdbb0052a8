"""Positions at another epoch against astropy, whose light-time terms are smaller than the tolerance."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest
from astropy import units
from astropy.coordinates import Distance, SkyCoord
from astropy.time import Time

from catalog.errors import QueryError
from catalog.vo.table import Column

Ask = Callable[[str], list[tuple[Any, ...]]]
Rows = list[tuple[Any, ...]]
CALL = "ivo_epoch_prop_pos(lon, lat, plx, pmra, pmdec, rv, 2016.0, 1991.25)"


def test_stars_are_where_astropy_puts_them(ask: Ask) -> None:
    rows = ask(
        f"SELECT lon, lat, plx, pmra, pmdec, rv, {CALL} AS p FROM sky.grid "
        "WHERE plx > 10 AND pmra IS NOT NULL AND pmdec IS NOT NULL AND rv IS NOT NULL AND ABS(lat) < 89.99"
    )
    lon, lat, plx, pmra, pmdec, rv, found = zip(*rows, strict=True)
    start = SkyCoord(
        lon * units.deg,
        lat * units.deg,
        distance=Distance(parallax=plx * units.mas),
        pm_ra_cosdec=pmra * units.mas / units.yr,
        pm_dec=pmdec * units.mas / units.yr,
        radial_velocity=rv * units.km / units.s,
        obstime=Time(2016.0, format="jyear"),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        moved = start.apply_space_motion(Time(1991.25, format="jyear"))
    here = SkyCoord([p[0] for p in found] * units.deg, [p[1] for p in found] * units.deg)
    apart = here.separation(SkyCoord(moved.ra, moved.dec)).to_value(units.mas)
    assert len(rows) > 300
    assert apart.max() < 30  # of motions of up to 150 arcsec


def test_motion_there_and_back_is_none(ask: Ask) -> None:
    there = f"SELECT i, lon, lat, pmra, pmdec, {CALL} AS p FROM sky.grid WHERE pmra = 0 OR lat < 100"
    rows = ask(f"SELECT i, lon, lat, COORD1(p), COORD2(p), DISTANCE(p, POINT(lon, lat)) FROM ({there}) AS q")
    for _, _, _, lon, lat, apart in rows:
        assert 0 <= lon < 360
        assert -90 <= lat <= 90
        assert apart < 0.2
    assert max(row[5] for row in rows) > 0.01


def test_over_the_pole(value: Callable[[str], Any]) -> None:
    lon, lat = value("ivo_epoch_prop_pos(10, 89.9999, NULL, NULL, 3600, NULL, 2000, 2001)")
    assert lon == pytest.approx(190)
    assert lat == pytest.approx(89.9991, abs=1e-9)
    assert value("ivo_epoch_prop_pos(359.9999, 0, NULL, 3600, NULL, NULL, 2000, 2001)")[0] == pytest.approx(0.0009)


@pytest.mark.parametrize(
    "arguments",
    [
        "10, 90.1, 1, 1, 1, 1, 2000, 2001",
        "1e300, 20, 1, 1, 1, 1, 2000, 2001",
        "10, 20, 1e60, 1e60, 1, 1, 2000, 2001",
        "10, 20, 1, 1, 1, 1, 2000, 1e200",
    ],
)
def test_what_is_no_motion_is_null(value: Callable[[str], Any], arguments: str) -> None:
    assert value(f"ivo_epoch_prop_pos({arguments})") is None


def test_a_hidden_row_raises_no_error(ask: Ask, ask_hidden: Ask) -> None:
    query = "SELECT id, ivo_epoch_prop_pos(ra, decl, plx, 100, 100, NULL, 2016, 2026) FROM sky.stars ORDER BY id"
    with pytest.raises(QueryError, match="NULL where it needs a value"):
        ask(query)
    found = ask_hidden(query)
    assert [number for number, _ in found] == [1, 2, 3, 4]
    assert all(point is not None for _, point in found)


MOVED = "ivo_epoch_prop_pos(ra, decl, 1, 1, 1, 1, 2016, 2026)"
CONDITIONS = [
    f"SELECT id FROM sky.stars WHERE COORD1({MOVED}) > -1 ORDER BY id",
    f"SELECT id FROM sky.stars WHERE 1=CONTAINS({MOVED}, CIRCLE(0, 0, 180)) ORDER BY id",
    f"SELECT id FROM (SELECT id, ra, decl FROM sky.stars) AS q WHERE COORD1({MOVED}) > -1 ORDER BY id",
    f"WITH q AS (SELECT id, ra, decl FROM sky.stars) SELECT id FROM q WHERE COORD1({MOVED}) > -1 ORDER BY id",
]


@pytest.mark.parametrize("query", CONDITIONS)
def test_a_hidden_row_raises_no_error_in_a_condition(ask_hidden: Ask, query: str) -> None:
    assert ask_hidden(query) == [(1,), (2,), (3,), (4,)]


def test_the_result_is_a_point(described: Callable[[str], Column]) -> None:
    result = described("SELECT ivo_epoch_prop_pos(ra, decl, plx, 1, 1, 1, 2016, 2026) AS p FROM sky.stars")
    assert (result.datatype.votable, result.arraysize, result.xtype, result.unit) == ("double", "2", "point", "deg")
