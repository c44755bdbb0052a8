"""Rotations between frames against astropy."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from astropy import units
from astropy.coordinates import (
    FK5,
    ICRS,
    BarycentricMeanEcliptic,
    FK4NoETerms,
    Galactic,
    SkyCoord,
    Supergalactic,
    UnitSphericalRepresentation,
)

from catalog.adql.udf.frames import FRAMES, rotation
from catalog.errors import QueryError
from catalog.vo.table import Column

Ask = Callable[[str], list[tuple[Any, ...]]]
REFERENCE = {
    "ICRS": ICRS(),
    "FK5": FK5(equinox="J2000"),
    "FK4": FK4NoETerms(equinox="B1950"),
    "GALACTIC": Galactic(),
    "SUPER_GALACTIC": Supergalactic(),
    "ECLIPTIC": BarycentricMeanEcliptic(equinox="J2000"),
}
PAIRS = list(permutations(REFERENCE, 2))


def test_every_frame_has_a_reference() -> None:
    assert FRAMES.keys() == REFERENCE.keys()


@pytest.mark.parametrize(("start", "end"), PAIRS)
def test_positions_are_those_of_astropy(ask: Ask, start: str, end: str) -> None:
    rows = ask(f"SELECT lon, lat, ivo_geom_transform('{start}', '{end}', POINT(lon, lat)) FROM sky.grid")
    lon, lat, found = (np.array(values) for values in zip(*rows, strict=True))
    given = SkyCoord(lon * units.deg, lat * units.deg, frame=REFERENCE[start])
    expected = given.transform_to(REFERENCE[end]).represent_as(UnitSphericalRepresentation)
    here = SkyCoord(found[:, 0] * units.deg, found[:, 1] * units.deg)
    apart = here.separation(SkyCoord(expected.lon, expected.lat)).to_value(units.deg)
    assert apart.max() < 1e-9
    assert ((found[:, 0] >= 0) & (found[:, 0] < 360)).all()


@pytest.mark.parametrize(("start", "end"), PAIRS)
def test_rotations_are_rotations(start: str, end: str) -> None:
    matrix = np.array(rotation(start, end)).reshape(3, 3)
    assert np.abs(matrix @ matrix.T - np.eye(3)).max() < 3e-15
    assert np.linalg.det(matrix) == pytest.approx(1)
    assert np.abs(matrix @ np.array(rotation(end, start)).reshape(3, 3) - np.eye(3)).max() < 3e-15


def test_shapes_keep_their_form(value: Callable[[str], Any]) -> None:
    circle = value("ivo_geom_transform('ICRS', 'GALACTIC', CIRCLE(120, -23, 5))")
    assert circle == pytest.approx([241.121831182, 3.62785788087, 5], abs=1e-9)
    polygon = value("ivo_geom_transform('ICRS', 'GALACTIC', POLYGON(120, -23, 121, -23, 120, -22))")
    assert polygon[:2] == pytest.approx(circle[:2])
    assert len(polygon) == 6
    assert value("ivo_geom_transform('ICRS', 'ICRS', POINT(120, -23))") == [120, -23]


def test_points_of_columns_are_turned(ask: Ask) -> None:
    found = ask(
        "SELECT id, ivo_geom_transform('ICRS', 'GALACTIC', p) FROM "
        "(SELECT id, POINT(ra, decl) AS p FROM sky.stars WHERE id = 1) AS q"
    )
    expected = SkyCoord(10 * units.deg, 20 * units.deg).galactic
    assert found[0][1] == pytest.approx([expected.l.deg, expected.b.deg], abs=1e-9)


def test_regions_and_shapes_of_columns_are_turned(ask: Ask, value: Callable[[str], Any]) -> None:
    galactic = "ivo_geom_transform('ICRS', 'GALACTIC', {})"
    found = dict(ask(f"SELECT id, {galactic.format('outline')} FROM sky.stars"))
    assert {row for row, shape in found.items() if shape is None} == {3, 4, 5}
    for row, built in ((1, "CIRCLE(10, 20, 1.5)"), (2, "POLYGON(179, 59, 181, 59, 180, 61)")):
        kind, *numbers = found[row].split()
        assert kind == built.split("(")[0]
        assert [float(number) for number in numbers] == value(galactic.format(built))
    turned = f"SELECT {galactic.format('c')} FROM (SELECT CIRCLE(ra, decl, 2) AS c FROM sky.stars WHERE id = 1) AS q"
    assert ask(turned) == [(value(galactic.format("CIRCLE(10, 20, 2)")),)]
    lon, lat, _ = value(galactic.format("CIRCLE(10, 20, 2)"))
    inside = f"1=CONTAINS(POINT({lon}, {lat}), {galactic.format('outline')})"
    assert ask(f"SELECT id FROM sky.stars WHERE {inside}") == [(1,)]


def test_a_turned_point_can_be_searched(ask: Ask) -> None:
    galactic = "ivo_geom_transform('ICRS', 'GALACTIC', POINT(ra, decl))"
    assert ask(f"SELECT id FROM sky.stars WHERE ABS(COORD2({galactic})) < 25 ORDER BY id") == [(4,)]
    assert ask(f"SELECT id FROM sky.stars WHERE 1=CONTAINS({galactic}, CIRCLE(209, -19.4, 1))") == [(4,)]


def test_what_lies_off_the_sphere_is_null(ask: Ask, value: Callable[[str], Any]) -> None:
    assert ask("SELECT ivo_geom_transform('ICRS', 'FK5', POINT(1, decl)) FROM sky.stars WHERE id = 5") == [(None,)]
    assert value("ivo_geom_transform('ICRS', 'FK5', NULL)") is None


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ("'ICRS', 'galactic', POINT(1, 2)", "frame", "did you mean 'GALACTIC'"),
        ("'ICRS', 'AZ_EL', POINT(1, 2)", "frame", "'SUPER_GALACTIC'"),
        ("name, 'ICRS', POINT(1, 2)", "arguments", "a frame is a literal"),
        ("'ICRS', 'FK5', 5", "arguments", "ivo_geom_transform"),
        ("'ICRS', 'FK5'", "arguments", "ivo_geom_transform"),
    ],
)
def test_a_wrong_frame_is_refused(value: Callable[[str], Any], arguments: str, code: str, words: str) -> None:
    with pytest.raises(QueryError) as caught:
        value(f"ivo_geom_transform({arguments})")
    assert caught.value.code == code
    assert words in f"{caught.value.message} {caught.value.hint}"


def test_results_say_what_they_are(described: Callable[[str], Column]) -> None:
    for shape, size in (("POINT(ra, decl)", "2"), ("CIRCLE(ra, decl, 1)", "3"), ("POLYGON(1, 2, 3, 4, 1, 4)", "*")):
        result = described(f"SELECT ivo_geom_transform('ICRS', 'GALACTIC', {shape}) AS g FROM sky.stars")
        assert (result.arraysize, result.unit, result.xtype) == (size, "deg", shape.split("(")[0].lower())
