"""HEALPix cells and MOCs against astropy-healpix and mocpy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from astropy import units
from astropy.coordinates import Latitude, Longitude, SkyCoord, angular_separation
from astropy_healpix import HEALPix
from mocpy import MOC

from catalog.adql.udf.healpix import cell_center, cell_of
from catalog.adql.udf.moc import bounding_cap, parse_moc
from catalog.errors import QueryError
from catalog.vo.table import Column

Ask = Callable[[str], list[tuple[Any, ...]]]
Rows = list[tuple[Any, ...]]
ORDERS = [0, 1, 2, 5, 10, 17, 29]


def reference(order: int) -> HEALPix:
    return HEALPix(nside=2**order, order="nested")


def holds(order: int, cell: int, lon: float, lat: float) -> bool:
    """Whether the reference library finds a position in a cell, or so near it that rounding may decide."""
    near = [(lon + east, max(-90, min(90, lat + north))) for east in (-3e-7, 0, 3e-7) for north in (-1e-7, 0, 1e-7)]
    lons, lats = (np.array(values) * units.deg for values in zip(*near, strict=True))
    return cell in reference(order).lonlat_to_healpix(lons, lats)


@pytest.mark.parametrize("order", ORDERS)
def test_cells_are_those_of_the_reference(ask: Ask, order: int) -> None:
    found = ask(f"SELECT lon, lat, ivo_healpix_index({order}, lon, lat) FROM sky.grid ORDER BY i")
    lons, lats = (np.array([row[axis] for row in found]) * units.deg for axis in (0, 1))
    expected = reference(order).lonlat_to_healpix(lons, lats)
    differing = [row for row, cell in zip(found, expected, strict=True) if row[2] != cell]
    assert len(differing) <= 90  # the positions on borders of cells
    for lon, lat, cell in differing:
        assert order > 20 or holds(order, cell, lon, lat), (lon, lat, cell)


@pytest.mark.parametrize("order", ORDERS)
def test_both_engines_find_the_same_cell_even_on_a_border(ask: Ask, order: int, grid: Rows) -> None:
    found = ask(f"SELECT ivo_healpix_index({order}, lon, lat) FROM sky.grid ORDER BY i")
    assert [cell for (cell,) in found] == [cell_of(order, row[1], row[2]) for row in grid]


@pytest.mark.parametrize("order", ORDERS)
def test_centres_are_those_of_the_reference(ask: Ask, order: int) -> None:
    centre = f"SELECT cell, ivo_healpix_center({order}, cell) AS p FROM sky.grid"
    found = ask(f"SELECT cell, COORD1(p), COORD2(p) FROM ({centre}) AS q")
    for cell, lon, lat in found:
        if cell >= 12 << 2 * order:
            assert (lon, lat) == (None, None)
            continue
        x, y = reference(order).healpix_to_lonlat(cell)
        apart = angular_separation(lon * units.deg, lat * units.deg, x, y)
        assert apart.to_value(units.deg) < 1e-12
        assert cell_of(order, lon, lat) == cell


def test_every_cell_of_low_orders_holds_its_centre() -> None:
    for order in range(4):
        for cell in range(12 << 2 * order):
            assert cell_of(order, *cell_center(order, cell)) == cell


@pytest.mark.parametrize(
    "expression",
    [
        "ivo_healpix_index(n + 29, 1, 1)",
        "ivo_healpix_index(-n, 1, 1)",
        "ivo_healpix_index(5, 1, 90.0000001)",
        "ivo_healpix_index(NULL, 1, 1)",
        "ivo_healpix_index(3, NULL)",
        "ivo_healpix_index(3, NULL, 2)",
        "COORD1(ivo_healpix_center(0, 12))",
        "COORD2(ivo_healpix_center(n, -1))",
        "ivo_healpix_center(3, NULL)",
    ],
)
def test_what_is_no_cell_is_null(value: Callable[[str], Any], expression: str) -> None:
    assert value(expression) is None


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("ivo_healpix_index(30, 1, 1)", "from 0 to 29"),
        ("ivo_healpix_center(-1, 1)", "from 0 to 29"),
        ("ivo_healpix_index(1.5, 1, 1)", "expected ivo_healpix_index"),
        ("ivo_healpix_center(17, 23.2)", "expected ivo_healpix_center"),
        ("ivo_healpix_index(1, 1)", "takes other arguments"),
        ("ivo_healpix_index(1, 'a', 1)", "this is text"),
    ],
)
def test_a_wrong_call_is_refused_when_it_is_read(value: Callable[[str], Any], expression: str, words: str) -> None:
    with pytest.raises(QueryError, match=words):
        value(expression)


def test_a_map_of_cells_can_be_counted(ask: Ask, grid: Rows) -> None:
    found = ask("SELECT ivo_healpix_index(1, lon, lat) AS hpx, COUNT(*) FROM sky.grid GROUP BY hpx ORDER BY hpx")
    assert sum(count for _, count in found) == len(grid)
    assert [cell for cell, _ in found] == sorted({cell_of(1, row[1], row[2]) for row in grid})


def test_results_say_what_they_are(described: Callable[[str], Column]) -> None:
    index = described("SELECT ivo_healpix_index(5, ra, decl) FROM sky.stars")
    assert (index.datatype.votable, index.ucd, index.unit) == ("long", "pos.healpix", None)
    center = described("SELECT ivo_healpix_center(5, id) FROM sky.stars")
    assert (center.datatype.votable, center.arraysize, center.xtype, center.unit) == ("double", "2", "point", "deg")


def test_a_centre_is_a_point_like_any_other(ask: Ask) -> None:
    query = "SELECT id FROM sky.stars WHERE 1=CONTAINS(ivo_healpix_center(0, id), CIRCLE(45, 41.8, {})) ORDER BY id"
    assert ask(query.format(60)) == [(row,) for row in range(1, 6) if near_face(row)]


def near_face(cell: int) -> bool:
    lon, lat = cell_center(0, cell)
    place = SkyCoord(Longitude(lon * units.deg), Latitude(lat * units.deg))
    return bool(place.separation(SkyCoord(45 * units.deg, 41.8 * units.deg)).deg <= 60)


# --- MOC ------------------------------------------------------------------------------------------------------

MOCS = {
    "north": MOC.from_cone(Longitude(200, units.deg), Latitude(70, units.deg), radius=30 * units.deg, max_depth=6),
    "meridian": MOC.from_cone(Longitude(0, units.deg), Latitude(0, units.deg), radius=20 * units.deg, max_depth=7),
    "band": MOC.from_zone(SkyCoord([[0, -20], [360, 20]], unit="deg"), max_depth=4),
    "scattered": MOC.from_string("5/" + " ".join(str(cell) for cell in sorted(7919 * n % 12288 for n in range(4000)))),
    "halves": MOC.from_string("6/" + " ".join(str(2 * number) for number in range(9000))),
    "everything": MOC.from_string("0/0-11"),
}


@pytest.mark.parametrize("name", MOCS)
def test_points_are_found_in_a_moc(ask: Ask, name: str, grid: Rows) -> None:
    moc = MOCS[name]
    text = moc.to_string().replace("\n", " ")
    found = {row for (row,) in ask(f"SELECT i FROM sky.grid WHERE 1=CONTAINS(POINT(lon, lat), MOC('{text}'))")}
    others = {row for (row,) in ask(f"SELECT i FROM sky.grid WHERE 0=CONTAINS(POINT(lon, lat), MOC('{text}'))")}
    assert found | others == set(range(len(grid)))
    assert not found & others
    inside = moc.contains_lonlat(*(np.array([row[axis] for row in grid]) * units.deg for axis in (1, 2)))
    for row, expected in zip(grid, inside, strict=True):
        if (row[0] in found) != expected:
            assert row[0] < 90, row  # on a border of cells
    assert len(found) >= 20


@pytest.mark.parametrize("name", MOCS)
def test_the_text_of_a_moc_is_read_as_mocpy_reads_it(name: str) -> None:
    ranges = parse_moc(MOCS[name].to_string())
    assert [list(pair) for pair in ranges] == MOCS[name].to_depth29_ranges.tolist()


@pytest.mark.parametrize("name", MOCS)
def test_the_circle_around_a_moc_holds_it(name: str) -> None:
    cap = bounding_cap(parse_moc(MOCS[name].to_string()))
    if name in ("band", "scattered", "halves", "everything"):
        assert cap is None
        return
    assert cap is not None
    lon, lat, radius = cap
    around = MOC.from_cone(Longitude(lon, units.deg), Latitude(lat, units.deg), radius=radius * units.deg, max_depth=7)
    assert MOCS[name].difference(around).empty()
    assert radius < 1.6 * {"north": 30, "meridian": 20}[name]


def test_the_forms_of_ascii_mocs_are_read() -> None:
    top = 1 << 58
    assert parse_moc("0/0") == ((0, top),)
    assert parse_moc("1/0,1 2 3") == ((0, top),)
    assert parse_moc(" 0/1-2 29/\n") == ((top, 3 * top),)
    assert parse_moc("0/ 1") == ((top, 2 * top),)
    assert parse_moc("29/5") == ((5, 6),)
    assert parse_moc("0/5, 1/0-3") == ((0, top), (5 * top, 6 * top))
    assert parse_moc("3/") == ()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "does not belong"),
        ("banana", "does not belong"),
        ('{"4": [1, 2]}', "does not belong"),
        ("5", "begins with an order"),
        ("30/1", "from 0 to 29"),
        ("0/12", "go from 0 to 11"),
        ("1/5-3", "no cells of order 1"),
        ("29/" + " ".join(str(2 * number) for number in range(10_001)), "separate pieces"),
        ("29/" + " ".join(str(number) for number in range(40_000)), "characters"),
    ],
)
def test_what_is_no_moc_is_refused_where_it_stands(value: Callable[[str], Any], text: str, words: str) -> None:
    with pytest.raises(QueryError, match=words) as caught:
        value(f"CONTAINS(POINT(1, 2), MOC('{text}'))")
    assert caught.value.code == "moc"
    assert caught.value.column == 14 + len("CONTAINS(POINT(1, 2), MOC(")


@pytest.mark.parametrize(
    "expression",
    ["CONTAINS(CIRCLE(1, 2, 3), MOC('3/1'))", "CONTAINS(MOC('3/1'), POINT(1, 2))", "CONTAINS(POINT(1, 2), MOC(name))"],
)
def test_a_moc_holds_points_and_is_a_literal(value: Callable[[str], Any], expression: str) -> None:
    with pytest.raises(QueryError) as caught:
        value(expression)
    assert caught.value.code == "arguments"


def test_other_spellings_of_a_moc_test(value: Callable[[str], Any], ask: Ask) -> None:
    assert value("CONTAINS(POINT(45, 10), MOC('0/0'))") == 1
    assert value("CONTAINS(POINT(45, -80), MOC('0/0'))") == 0
    assert value("INTERSECTS(MOC('0/0'), POINT(45, 10))") == 1
    assert value("INTERSECTS(POINT(45, 10), MOC('0/'))") == 0
    assert value("CONTAINS(ivo_healpix_center(0, 3), MOC('0/3'))") == 1
    query = "SELECT id FROM sky.stars WHERE {} ORDER BY id"
    assert ask(query.format("CONTAINS(POINT(ra, decl), MOC('0/5-7')) = 1")) == [(4,)]
    assert ask(query.format("CONTAINS(POINT(ra, decl), MOC('0/5-7')) <> 1")) == [(1,), (2,), (3,)]
    assert ask(query.format("NOT CONTAINS(POINT(ra, decl), MOC('0/5-7')) = 1")) == [(1,), (2,), (3,)]


def test_a_moc_goes_out_as_text(sky: Any) -> None:
    table, rows = sky.stream("SELECT TOP 1 MOC('3/1 4/7') AS m FROM sky.stars")
    assert rows == [("3/1 4/7",)]
    assert (table.columns[0].xtype, table.columns[0].datatype.votable) == ("moc", "char")
