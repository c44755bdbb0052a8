"""Geometry on the synthetic observatory: right by an independent reckoning, the same on both engines, by index."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord

from catalog.adql.sqlite_geometry import SQLITE_GEOMETRY
from catalog.errors import QueryError
from catalog.settings import Settings
from catalog.vo.region import Circle, Polygon, contains, parse_region
from catalog.wiring import Catalog

PACKAGES = 900


@pytest.fixture(scope="module")
def catalogs(tmp_path_factory: pytest.TempPathFactory, postgres_server: Any) -> Iterator[dict[str, Catalog]]:
    """The same observatory on both engines."""
    urls = {
        "sqlite": f"sqlite:///{tmp_path_factory.mktemp('geometry') / 'catalog.db'}",
        "postgresql": postgres_server.create_database(),
    }
    opened = {name: Catalog(Settings().with_database(url)) for name, url in urls.items()}
    for catalog in opened.values():
        catalog.init()
        catalog.load_synthetic(packages=PACKAGES, seed=1)
    yield opened
    for catalog in opened.values():
        catalog.close()


@pytest.fixture
def catalog(catalogs: dict[str, Catalog], engine_name: str) -> Catalog:
    """Each engine in turn."""
    return catalogs[engine_name]


def rows(catalog: Catalog, adql: str) -> list[tuple[Any, ...]]:
    with catalog.query(adql, maxrec=1_000_000) as stream:
        return [tuple(row.values()) for row in stream.read_all().to_pylist()]


def dids(catalog: Catalog, condition: str) -> set[str]:
    return {row[0] for row in rows(catalog, f"SELECT obs_publisher_did FROM ivoa.obscore WHERE {condition}")}


class Sky:
    """Positions and regions of every package, for reckoning by other means."""

    def __init__(self, catalog: Catalog) -> None:
        found = rows(
            catalog, "SELECT obs_publisher_did, s_ra, s_dec, s_region FROM ivoa.obscore WHERE s_ra IS NOT NULL"
        )
        self.names = np.array([row[0] for row in found])
        self.ra = np.array([row[1] for row in found])
        self.dec = np.array([row[2] for row in found])
        self.coordinates = SkyCoord(self.ra, self.dec, unit="deg")
        self.regions = [None if row[3] is None else parse_region(row[3]) for row in found]

    def within(self, ra: float, dec: float, radius: float) -> set[str]:
        return set(self.names[self.coordinates.separation(SkyCoord(ra, dec, unit="deg")) <= radius * u.deg])

    def inside(self, corners: list[tuple[float, float]]) -> set[str]:
        return set(self.names[contains(Polygon(tuple(corners)), self.ra, self.dec)])


@pytest.fixture
def sky(catalog: Catalog) -> Sky:
    return Sky(catalog)


CONES = [
    (83.8, -5.4, 3.0),
    (0.0, -0.5, 12.0),
    (359.99, 0.0, 20.0),
    (200.0, 89.9, 75.0),
    (10.0, -90.0, 40.0),
    (83.8, -5.4, 90.0),
    (83.8, -5.4, 120.0),
    (263.8, 5.4, 179.5),
    (83.8, -5.4, 180.0),
    (83.8104, -5.3752, 0.0),
]


@pytest.mark.parametrize(("ra", "dec", "radius"), CONES)
def test_every_spelling_of_a_cone_finds_what_astropy_finds(
    catalog: Catalog, sky: Sky, ra: float, dec: float, radius: float
) -> None:
    wanted = sky.within(ra, dec, radius)
    call = f"CONTAINS(POINT(s_ra, s_dec), CIRCLE({ra}, {dec}, {radius}))"
    inside = (
        f"1 = {call}",
        f"{call} = 1",
        f"{call} <> 0",
        f"{call} > 0",
        f"1 <= {call}",
        f"1 = INTERSECTS(POINT('ICRS', s_ra, s_dec), CIRCLE('ICRS', {ra}, {dec}, {radius}))",
        f"1 = INTERSECTS(CIRCLE(POINT({ra}, {dec}), {radius}), POINT(s_ra, s_dec))",
        f"1 = CONTAINS(POINT(s_ra, s_dec), REGION('CIRCLE ICRS {ra} {dec} {radius}'))",
        f"1 = CONTAINS(POINT(s_ra, s_dec), CAST('{ra} {dec} {radius}' AS CIRCLE))",
        f"DISTANCE(s_ra, s_dec, {ra}, {dec}) <= {radius} + 1e-7",
        f"{radius} + 1e-7 >= DISTANCE(POINT(s_ra, s_dec), POINT({ra}, {dec}))",
        f"1 = CONTAINS(POINT(s_ra, s_dec), CIRCLE({ra}, {dec}, {radius} + 0 * s_ra))",
    )
    for condition in inside:
        assert dids(catalog, condition) == wanted, condition
    for condition in (f"0 = {call}", f"{call} <> 1", f"NOT 1 = {call}", f"{call} < 1"):
        assert dids(catalog, condition) == set(sky.names) - wanted, condition


POLYGONS = [
    [(80.0, -10.0), (90.0, -10.0), (85.0, 3.0)],
    [(350.0, -15.0), (15.0, -15.0), (15.0, 10.0), (350.0, 10.0)],
    [(0.0, 60.0), (120.0, 60.0), (240.0, 60.0)],
    [(0.0, -20.0), (90.0, -25.0), (180.0, -20.0), (270.0, -30.0)],
    [(70.0, -20.0), (100.0, -20.0), (100.0, 10.0), (85.0, -12.0), (70.0, 10.0)],
]


@pytest.mark.parametrize("corners", POLYGONS)
def test_a_polygon_finds_what_lies_in_it_whatever_its_winding(
    catalog: Catalog, sky: Sky, corners: list[tuple[float, float]]
) -> None:
    wanted = sky.inside(corners)
    for order in (corners, corners[::-1], corners[1:] + corners[:1]):
        flat = ", ".join(f"{ra}, {dec}" for ra, dec in order)
        points = ", ".join(f"POINT({ra}, {dec})" for ra, dec in order)
        moving = ", ".join(f"{ra} + 0 * s_ra, {dec}" for ra, dec in order)
        for shape in (f"POLYGON({flat})", f"POLYGON('ICRS', {flat})", f"POLYGON({points})", f"POLYGON({moving})"):
            assert dids(catalog, f"1 = CONTAINS(POINT(s_ra, s_dec), {shape})") == wanted, shape


def test_a_closed_polygon_is_the_open_one(catalog: Catalog) -> None:
    corners = "80, -10, 90, -10, 85, 3"
    closed = dids(catalog, f"1 = CONTAINS(POINT(s_ra, s_dec), POLYGON({corners}, 80, -10))")
    assert closed == dids(catalog, f"1 = CONTAINS(POINT(s_ra, s_dec), POLYGON({corners}))") != set()


@pytest.mark.parametrize(("ra", "dec"), [(83.8, -5.4), (0.5, 1.0), (150.1, 2.2), (200.0, 80.0)])
def test_regions_that_hold_a_point_are_found(catalog: Catalog, sky: Sky, ra: float, dec: float) -> None:
    wanted = {
        name
        for name, region in zip(sky.names, sky.regions, strict=True)
        if region is not None and bool(contains(region, ra, dec))
    }
    assert dids(catalog, f"1 = CONTAINS(POINT({ra}, {dec}), s_region)") == wanted
    assert dids(catalog, f"INTERSECTS(s_region, POINT({ra}, {dec})) = 1") == wanted
    assert dids(catalog, f"1 = CONTAINS(POINT({ra} + 0 * s_ra, {dec}), s_region)") == wanted
    without = dids(catalog, f"0 = CONTAINS(POINT({ra}, {dec}), s_region)")
    assert without == dids(catalog, "s_region IS NOT NULL") - wanted


@pytest.mark.parametrize(("ra", "dec", "radius"), [(83.8, -5.4, 2.0), (359.0, 0.0, 8.0), (40.0, -89.0, 50.0)])
def test_regions_that_touch_a_circle_are_found(
    catalog: Catalog, sky: Sky, ra: float, dec: float, radius: float
) -> None:
    """Circles by their distance; polygons where some of many points of the circle lies in them."""
    found = dids(catalog, f"1 = INTERSECTS(s_region, CIRCLE({ra}, {dec}, {radius}))")
    held = dids(catalog, f"1 = CONTAINS(s_region, CIRCLE({ra}, {dec}, {radius}))")
    centre = SkyCoord(ra, dec, unit="deg")
    rng = np.random.default_rng(1)
    sample = centre.directional_offset_by(
        rng.uniform(0, 360, 400) * u.deg, radius * np.sqrt(rng.uniform(0, 1, 400)) * u.deg
    )
    for name, region in zip(sky.names, sky.regions, strict=True):
        if isinstance(region, Circle):
            distance = centre.separation(SkyCoord(region.ra, region.dec, unit="deg")).deg
            assert (name in found) == (distance <= radius + region.radius + 1e-7)
            assert (name in held) == (distance + region.radius <= radius + 1e-7)
        elif region is not None:
            if contains(region, sample.ra.deg, sample.dec.deg).any():
                assert name in found
            corners = SkyCoord(region.vertices, unit="deg")
            if radius <= 90:
                assert (name in held) == bool((corners.separation(centre).deg <= radius + 1e-7).all())


SAME_ON_BOTH = """
SELECT obs_publisher_did, AREA(s_region) AS a FROM ivoa.obscore

SELECT obs_publisher_did, COORD1(CENTROID(s_region)) AS x, COORD2(CENTROID(s_region)) AS y FROM ivoa.obscore

SELECT obs_publisher_did, CENTROID(s_region) AS c FROM ivoa.obscore

SELECT obs_publisher_did, POINT(s_ra, s_dec) AS p, CIRCLE(s_ra, s_dec, s_fov) AS c, BOX(s_ra, s_dec, 1, 2) AS b,
    POLYGON(s_ra, 1, s_ra + 1, 1, s_ra, 2) AS g
FROM ivoa.obscore

SELECT obs_publisher_did, CONTAINS(POINT(s_ra, s_dec), s_region) AS i, INTERSECTS(s_region, BOX(0, 0, 20, 20)) AS j,
    CONTAINS(s_region, POLYGON(70, -20, 100, -20, 100, 10, 70, 10)) AS k
FROM ivoa.obscore

SELECT obs_publisher_did, COORDSYS(s_region) AS f FROM ivoa.obscore WHERE s_region IS NOT NULL

SELECT TOP 50 obs_publisher_did, DISTANCE(POINT(s_ra, s_dec), POINT(83.8, -5.4)) AS d FROM ivoa.obscore
WHERE s_ra IS NOT NULL ORDER BY DISTANCE(POINT(s_ra, s_dec), POINT(83.8, -5.4)), obs_publisher_did

SELECT a.obs_publisher_did, COUNT(*) AS n FROM ivoa.obscore AS a
JOIN ivoa.obscore AS b ON 1 = INTERSECTS(a.s_region, b.s_region)
WHERE a.obs_publisher_did LIKE '%0' AND a.s_dec > -20 AND b.s_dec > 0 GROUP BY a.obs_publisher_did

SELECT a.obs_publisher_did, COUNT(*) AS n FROM ivoa.obscore AS a
JOIN ivoa.obscore AS b ON DISTANCE(a.s_ra, a.s_dec, b.s_ra, b.s_dec) < 0.5
WHERE a.obs_id < '2' GROUP BY a.obs_publisher_did

SELECT t.did, CONTAINS(t.p, t.r) AS i, AREA(t.c) AS a
FROM (SELECT obs_publisher_did AS did, POINT(s_ra, s_dec) AS p, s_region AS r, CIRCLE(CENTROID(s_region), 2) AS c
    FROM ivoa.obscore) AS t
WHERE 1 = CONTAINS(t.p, CIRCLE(83, -5, 9))

WITH o AS (SELECT obs_publisher_did AS did, CAST('83 -5 ' || '3' AS CIRCLE) AS c, s_region FROM ivoa.obscore)
SELECT did, INTERSECTS(c, s_region) AS i FROM o WHERE INTERSECTS(s_region, c) = 1

SELECT obs_publisher_did, AREA(CIRCLE(s_ra, s_dec, 120)) AS a, AREA(POINT(s_ra, s_dec)) AS z,
    INTERSECTS(CIRCLE(s_ra, s_dec, 100), POLYGON(80, -10, 90, -10, 85, 3)) AS i,
    CONTAINS(POLYGON(80, -10, 90, -10, 85, 3), CIRCLE(s_ra, s_dec, 100)) AS j
FROM ivoa.obscore
""".strip().split("\n\n")


@pytest.mark.parametrize("adql", SAME_ON_BOTH)
def test_both_engines_give_the_same_geometry(catalogs: dict[str, Catalog], adql: str) -> None:
    found, other = (sorted(rows(catalogs[name], adql), key=str) for name in ("sqlite", "postgresql"))
    assert len(found) == len(other) > 0
    for one, two in zip(found, other, strict=True):
        assert one[0] == two[0]
        for first, second in zip(one[1:], two[1:], strict=True):
            assert first == (second if isinstance(second, str) or second is None else pytest.approx(second, abs=2e-6))


def test_a_wide_polygon_has_the_right_answer_or_none(catalog: Catalog) -> None:
    """Written out or computed; what the engines have no answer for is refused where it is written out."""
    rng, answered = np.random.default_rng(7), 0
    for _ in range(60):
        centre = SkyCoord(rng.uniform(0, 360), rng.uniform(-90, 90), unit="deg")
        angles = (np.arange(7) + rng.uniform(-0.3, 0.3, 7)) * 2 * np.pi / 7
        corners = centre.directional_offset_by(angles * u.rad, rng.uniform(30, 84, 7) * u.deg)
        point = centre.directional_offset_by(rng.uniform(0, 360) * u.deg, rng.uniform(0, 80) * u.deg)
        numbers = [repr(float(x)) for corner in corners for x in (corner.ra.deg, corner.dec.deg)]
        asked = "SELECT TOP 1 CONTAINS(POINT({}, {}), POLYGON({} + {}, {})) AS i FROM ivoa.obscore WHERE s_ra > 0"
        computed = asked.format(point.ra.deg, point.dec.deg, numbers[0], "0 * s_ra", ", ".join(numbers[1:]))
        written = asked.format(point.ra.deg, point.dec.deg, numbers[0], "0", ", ".join(numbers[1:]))
        ((found,),) = rows(catalog, computed)
        if found is None:
            with pytest.raises(QueryError, match="half a sphere"):
                catalog.tap.resolve(written)
        else:
            answered += 1
            assert found == _inside_on_the_plane(point, corners, centre)
            assert rows(catalog, written) == [(found,)]
    assert 45 <= answered < 60


def _inside_on_the_plane(point: SkyCoord, corners: SkyCoord, centre: SkyCoord) -> int:
    """Whether a point lies in a polygon, where great circles are straight: on the plane that touches at the centre."""

    def plane(position: SkyCoord) -> Any:
        angle, distance = centre.position_angle(position), np.tan(centre.separation(position))
        return np.stack([distance * np.sin(angle), distance * np.cos(angle)], axis=-1)

    (x, y), starts = plane(point), plane(corners)
    inside = False
    for (x1, y1), (x2, y2) in zip(starts, np.roll(starts, -1, axis=0), strict=True):
        if (y1 > y) != (y2 > y) and x < x1 + (x2 - x1) * (y - y1) / (y2 - y1):
            inside = not inside
    return int(inside)


def test_a_circle_that_touches_the_border_from_inside_is_held(catalog: Catalog) -> None:
    for lon in ("5", "5 + 0 * s_ra"):
        held = f"CONTAINS(CIRCLE({lon}, 0, 5), POLYGON(350, -10, 10, -10, 10, 10, 350, 10))"
        assert rows(catalog, f"SELECT TOP 1 {held} AS i FROM ivoa.obscore WHERE s_ra > 0") == [(1,)]


def test_a_box_reaches_as_far_as_its_arms(catalog: Catalog) -> None:
    """ADQL 2.1 section 4.2.8: the sides meet the arms of a cross at right angles."""
    for lat in (0.0, 60.0, -75.0):
        box = f"BOX(10, {lat}, 20, 8)"
        centre = SkyCoord(10, lat, unit="deg")
        for angle, arm in ((0, 4), (90, 10), (180, 4), (270, 10)):
            for reach, inside in ((0.999, 1), (1.001, 0)):
                end = centre.directional_offset_by(angle * u.deg, arm * reach * u.deg)
                query = f"SELECT TOP 1 CONTAINS(POINT({end.ra.deg}, {end.dec.deg}), {box}) AS c FROM ivoa.obscore"
                assert rows(catalog, query) == [(inside,)], (lat, angle, reach)


def test_constructed_shapes_go_out_as_dali_arrays_and_regions_as_text(catalog: Catalog) -> None:
    query = (
        "SELECT TOP 1 POINT(1, 2) AS p, CIRCLE(1, 2, 3) AS c, POLYGON(0, 0, 10, 0, 0, 10) AS g, s_region "
        "FROM ivoa.obscore WHERE s_region IS NOT NULL"
    )
    with catalog.query(query) as stream:
        columns = stream.table.columns
        (row,) = stream.read_all().to_pylist()
    assert [(c.xtype, c.arraysize, c.unit) for c in columns] == [
        ("point", "2", "deg"),
        ("circle", "3", "deg"),
        ("polygon", "*", "deg"),
        ("adql:REGION", "*", None),
    ]
    assert (row["p"], row["c"], row["g"]) == ([1, 2], [1, 2, 3], [0, 0, 10, 0, 0, 10])
    assert re.match("(CIRCLE|POLYGON) ICRS ", row["s_region"])


def test_what_is_no_shape_yields_null(catalog: Catalog) -> None:
    crossed = "POLYGON(0 * s_ra, 0, 10, 10, 10, 0, 0, 10)"
    query = (
        f"SELECT DISTINCT AREA({crossed}) AS a, CENTROID({crossed}) AS c, CONTAINS(POINT(1, 1), {crossed}) AS i, "
        f"CONTAINS(s_region, {crossed}) AS r, AREA(CIRCLE(s_ra, 1, 0 * s_ra - 1)) AS n, BOX(s_ra, 1, 200, 1) AS b, "
        "CENTROID(CIRCLE(s_ra, 1, 0 * s_ra - 1)) AS m FROM ivoa.obscore WHERE s_ra IS NOT NULL"
    )
    assert rows(catalog, query) == [(None,) * 7]


def test_null_and_text_that_is_no_region_have_no_answer(catalog: Catalog) -> None:
    """A region comes from whoever described the package; what cannot be read must not end the query of another."""
    odd = "(SELECT TOP 1 s_region AS r FROM ivoa.obscore WHERE s_region IS NULL) AS t"
    asked = "CONTAINS(NULL, CIRCLE(1, 2, 3)), CONTAINS(POINT(1, 2), NULL), INTERSECTS(NULL, NULL), AREA(NULL), "
    asked += (
        "CENTROID(NULL), DISTANCE(POINT(1, NULL), POINT(1, 2)), COORD1(NULL), CONTAINS(POINT(1, 2), t.r), AREA(t.r)"
    )
    assert rows(catalog, f"SELECT {asked} FROM {odd}") == [(None,) * 9]
    for text in ("no shape", "CIRCLE", "CIRCLE ICRS 1 2", "POLYGON ICRS 1 2 x", "POINT 1 2"):
        for test in ("contains", "intersects"):
            assert direct(catalog, f"adql_{test}('POINT 1 2', '{text}')") in (None, text == "POINT 1 2")
        assert direct(catalog, f"adql_area('{text}')") in (None, 0)
        centre = direct(catalog, f"adql_centroid('{text}')")
        assert centre is None or text == "POINT 1 2"


def direct(catalog: Catalog, call: str) -> Any:
    """The value of a function that the engine has been given."""
    name = call.replace("adql_", "ivoa.adql_", 1) if catalog.database.dialect == "postgresql" else call
    with catalog.database.engine.connect() as connection:
        if catalog.database.dialect == "sqlite":
            raw = connection.connection.driver_connection
            for known in SQLITE_GEOMETRY:
                raw.create_function(known.name, known.narg, known.callable, deterministic=known.deterministic)
        found = connection.exec_driver_sql(f"SELECT {name}").scalar()
    return bool(found) if isinstance(found, int) and "area" not in call else found


@pytest.mark.parametrize(
    ("shape", "code", "message"),
    [
        ("POLYGON(0, 0, 10, 10, 10, 0, 0, 10)", "value", "edges cross"),
        ("POLYGON(0, 0, 0, 0, 10, 0)", "value", "fewer than three"),
        ("POLYGON(0, 0, 120, 0, 240, 0)", "value", "half a sphere"),
        ("POLYGON(0, 0, 10, 0, 5, 0, 5, 5)", "value", "corner lies on another edge"),
        ("POLYGON(5, 5, 5, 0, 10, 0, 0, 0)", "value", "corner lies on another edge"),
        ("POLYGON(0, 0, 10, 10)", "arguments", "three or more"),
        ("CIRCLE(0, 91, 1)", "value", "latitude"),
        ("CIRCLE(0, 0, -1)", "value", "negative"),
        ("BOX(0, 0, 0, 1)", "value", "sides"),
        ("REGION('CIRCLE GALACTIC 1 2 3')", "value", "GALACTIC"),
        ("REGION('POSITION FK4 1 2')", "frame", "FK4"),
        ("REGION('BOX ICRS 1 2 3')", "value", "3 numbers"),
        ("REGION('nothing')", "value", "not a region"),
        ("REGION(target_name)", "arguments", "single quotes"),
        ("CIRCLE('GALACTIC', 1, 2, 3)", "frame", "GALACTIC"),
        ("CAST('1 2' AS CIRCLE)", "value", "circle"),
        ("CAST('1 x' AS POINT)", "value", "point"),
        ("'CIRCLE ICRS 1 2 3'", "arguments", "text"),
        ("target_name", "arguments", "text"),
    ],
)
def test_impossible_shapes_are_refused_with_a_reason(catalog: Catalog, shape: str, code: str, message: str) -> None:
    with pytest.raises(QueryError, match=message) as raised:
        catalog.tap.resolve(f"SELECT AREA({shape}) FROM ivoa.obscore")
    assert raised.value.code == code
    assert raised.value.column is not None


INDEXED = {
    "position": [
        "1 = CONTAINS(POINT(s_ra, s_dec), CIRCLE(83.8, -5.4, 0.1))",
        "DISTANCE(POINT(s_ra, s_dec), POINT(83.8, -5.4)) < 0.1",
        "1 = CONTAINS(POINT(s_ra, s_dec), POLYGON(83.7, -5.5, 83.9, -5.5, 83.8, -5.3))",
        "1 = INTERSECTS(BOX(83.8, -5.4, 0.1, 0.1), POINT(s_ra, s_dec))",
    ],
    "region": [
        "1 = CONTAINS(POINT(12.3, 45.6), s_region)",
        "INTERSECTS(s_region, CIRCLE(12.3, 45.6, 0.1)) = 1",
        "1 = INTERSECTS(POLYGON(12, 45, 12.1, 45, 12, 45.1), s_region)",
        "1 = CONTAINS(s_region, CIRCLE(12.3, 45.6, 0.1))",
    ],
}


@pytest.mark.parametrize(("kind", "condition"), [(kind, c) for kind, found in INDEXED.items() for c in found])
def test_the_plan_uses_the_spatial_index(catalog: Catalog, kind: str, condition: str) -> None:
    plan = catalog.tap.explain(f"SELECT obs_publisher_did FROM ivoa.obscore WHERE {condition}").plan
    assert_by_index(catalog, plan, kind)


@pytest.mark.parametrize(
    ("kind", "condition"),
    [
        ("position", "1 = CONTAINS(POINT(b.s_ra, b.s_dec), CIRCLE(a.s_ra, a.s_dec, 0.01))"),
        ("position", "DISTANCE(a.s_ra, a.s_dec, b.s_ra, b.s_dec) < 0.01"),
        ("region", "1 = CONTAINS(POINT(a.s_ra, a.s_dec), b.s_region)"),
        ("region", "1 = INTERSECTS(a.s_region, b.s_region)"),
    ],
)
def test_a_crossmatch_uses_the_spatial_index(catalog: Catalog, kind: str, condition: str) -> None:
    plan = catalog.tap.explain(
        f"SELECT a.obs_id, b.obs_id FROM ivoa.obscore AS a JOIN ivoa.obscore AS b ON {condition}"
    ).plan
    assert_by_index(catalog, plan, kind)


def assert_by_index(catalog: Catalog, plan: str, kind: str) -> None:
    if catalog.database.dialect == "sqlite":
        assert "VIRTUAL TABLE INDEX" in plan, plan
        assert re.search(r"SEARCH \w+ USING INTEGER PRIMARY KEY", plan), plan
    else:
        assert f"ix_package_obscore_{kind}" in plan, plan


def test_shapes_travel_by_path(tmp_path: Path) -> None:
    """A catalog that is made anew has the functions, and making it again changes nothing."""
    with Catalog(Settings().with_database(f"sqlite:///{tmp_path / 'new.db'}")) as catalog:
        catalog.init()
        catalog.init()
        assert rows(catalog, "SELECT AREA(CIRCLE(s_ra, s_dec, 1)) FROM ivoa.obscore") == []
