"""Images by parameters: what they find, by a plain filter over the rows, and when there is such a service."""

from __future__ import annotations

import io
import math
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pyvo
import sqlalchemy as sa
from astropy import units
from astropy.io import votable
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from lxml import etree

from catalog import Catalog, Settings, open_catalog
from catalog.access import ANONYMOUS, METADATA_PERMISSION, Caller
from catalog.dali import Interval, parse_interval
from catalog.errors import NotFoundError, ParameterError
from catalog.obscore.images import has_images
from catalog.obscore.package_obscore import IS_IMAGE
from catalog.opsdb.models import RawDataPackageMetadata
from catalog.registry.schemas import SchemaSet
from catalog.settings import AccessSettings, DatabaseSettings
from catalog.sia2 import parse_image_query
from catalog.vo.region import Polygon
from catalog.vo.region.ranges import SkyRange, cover_range, parse_range

Row = dict[str, Any]
Pairs = list[tuple[str, str]]
STATES = ("I", "Q", "U", "V", "XX", "YY")
SPANS = {"BAND": ("em_min", "em_max"), "TIME": ("t_min", "t_max")}
NUMBERS = {
    "FOV": ("s_fov", [0.01, 0.5, 3.0, 20.0]),
    "SPATRES": ("s_resolution", [3.5, 12.0, 45.0]),
    "SPECRP": ("em_res_power", [100.0, 1e5]),
    "EXPTIME": ("t_exptime", [10.0, 600.0]),
    "TIMERES": ("t_resolution", [0.1, 4.0]),
}
TEXTS = {
    "TARGET": (
        "target_name",
        ["M 31", "O'Neil's \N{GREEK SMALL LETTER ALPHA}", "Orion-KL", "m 31", "M", "%", "' OR 1=1 --"],
    ),
    "FACILITY": ("facility_name", ["FYST", "APEX", "fyst"]),
    "DPTYPE": ("dataproduct_type", ["image", "cube"]),
    "CALIB": ("calib_level", ["0", "1", "2", "3", "4"]),
}


@pytest.fixture(scope="module")
def sky(sky_url: str) -> Iterator[Catalog]:
    with open_catalog(sky_url) as opened:
        yield opened


@pytest.fixture(scope="module")
def images(sky: Catalog) -> list[Row]:
    rows: list[Row] = sky.query("SELECT * FROM ivoa.obscore").read_all().to_pylist()
    return [row for row in rows if row["dataproduct_type"] in ("image", "cube")]


@pytest.fixture(scope="module")
def service(sky_url: str, start: Callable[..., Any]) -> Iterator[Any]:
    """A service with few rows to an answer."""
    with start(sky_url, tap_maxrec_default=20, tap_maxrec_hard=50) as running:
        yield running


def ask(service: Any, *pairs: tuple[str, object]) -> httpx.Response:
    return httpx.get(f"{service.url}/sia2/query", params=[(name, str(value)) for name, value in pairs])


def found(catalog: Catalog, *pairs: tuple[str, str], caller: Caller = ANONYMOUS) -> list[str]:
    asked = parse_image_query([*pairs, ("MAXREC", "10000")])
    return sorted(catalog.sia2.search(asked, caller=caller).read_all()["obs_publisher_did"].to_pylist())


def statuses(document: bytes) -> list[tuple[str | None, str | None]]:
    infos = etree.fromstring(document).iter("{*}INFO")
    return [(info.get("value"), info.text) for info in infos if info.get("name") == "QUERY_STATUS"]


def dids(images: list[Row], holds: Callable[[Row], bool]) -> list[str]:
    return sorted(row["obs_publisher_did"] for row in images if holds(row))


def bounds(values: list[float]) -> st.SearchStrategy[tuple[str, float, float]]:
    """An interval as it is written, and its ends."""
    ends = st.sampled_from([-math.inf, *values, *(value * 1.3 for value in values), math.inf])

    def written(pair: tuple[float, float]) -> tuple[str, float, float]:
        low, high = sorted(pair)
        words = [f"{end}" if math.isfinite(end) else ("+Inf" if end > 0 else "-Inf") for end in (low, high)]
        return " ".join(words[:1] if low == high else words), low, high

    return st.tuples(ends, ends).filter(lambda pair: pair[0] != pair[1] or math.isfinite(pair[0])).map(written)


@st.composite
def requests(draw: st.DrawFn) -> tuple[Pairs, Callable[[Row], bool]]:
    """Parameters, and what they mean said in Python."""
    pairs: Pairs = []
    tests: list[Callable[[Row], bool]] = []
    spans = {"BAND": [3.5e-4, 5.25e-4, 8.5e-4], "TIME": [61000.0, 61010.25, 61020.5, 61029.5]}
    for name in draw(st.sets(st.sampled_from([*SPANS, *NUMBERS, *TEXTS, "POL"]), max_size=3)):
        if name == "POL":
            states = draw(st.lists(st.sampled_from(STATES), min_size=1, max_size=2))
            pairs += [(name, state) for state in states]
            tests.append(lambda row, s=states: any(state in (row["pol_states"] or "").split("/") for state in s))
        elif name in TEXTS:
            column, choices = TEXTS[name]
            wanted = draw(st.lists(st.sampled_from(choices), min_size=1, max_size=2))
            pairs += [(name, word) for word in wanted]
            tests.append(lambda row, c=column, w=wanted: str(row[c]) in w)
        else:
            first, last = SPANS.get(name) or (NUMBERS[name][0],) * 2
            intervals = draw(st.lists(bounds(spans.get(name) or NUMBERS[name][1]), min_size=1, max_size=2))
            pairs += [(name, text) for text, _, _ in intervals]
            tests.append(
                lambda row, f=first, t=last, i=intervals: (
                    None not in (row[f], row[t]) and any(row[f] <= high and row[t] >= low for _, low, high in i)
                )
            )
    return pairs, lambda row: all(test(row) for test in tests)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(request=requests())
def test_parameters_find_what_a_plain_filter_finds(sky: Catalog, images: list[Row], request: Any) -> None:
    pairs, holds = request
    assert found(sky, *pairs) == dids(images, holds), pairs


def separation(first: tuple[float, float], second: tuple[float, float]) -> float:
    (ra1, dec1), (ra2, dec2) = ([math.radians(x) for x in place] for place in (first, second))
    cos1, sin1, cos2, sin2 = math.cos(dec1), math.sin(dec1), math.cos(dec2), math.sin(dec2)
    across = math.hypot(cos2 * math.sin(ra2 - ra1), cos1 * sin2 - sin1 * cos2 * math.cos(ra2 - ra1))
    return math.degrees(math.atan2(across, sin1 * sin2 + cos1 * cos2 * math.cos(ra2 - ra1)))


def circles(images: list[Row]) -> dict[str, tuple[float, float, float]]:
    """The regions that are circles; those are judged by plain arithmetic."""
    regions = {row["obs_publisher_did"]: row["s_region"] or "" for row in images}
    return {
        did: tuple(float(number) for number in region.split()[2:])  # type: ignore[misc]
        for did, region in regions.items()
        if region.startswith("CIRCLE")
    }


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    ra=st.one_of(st.sampled_from([0.0, 360.0]), st.floats(0, 360, allow_subnormal=False)),
    dec=st.one_of(st.sampled_from([0.0, 90.0, -90.0]), st.floats(-90, 90, allow_subnormal=False)),
    radius=st.sampled_from([0.0, 0.01, 1.0, 30.0, 90.0, 120.0]),
)
@example(ra=0.0, dec=90.0, radius=0.0)
@example(ra=0.0, dec=0.0, radius=0.0)
def test_circles_touch_regions(sky: Catalog, images: list[Row], ra: float, dec: float, radius: float) -> None:
    known = circles(images)
    assert len(known) > 30
    got = set(found(sky, ("POS", f"CIRCLE {ra!r} {dec!r} {radius!r}"))) & set(known)
    gaps = {did: separation((ra, dec), (x, y)) - size - radius for did, (x, y, size) in known.items()}
    assert {did for did, gap in gaps.items() if gap < -1e-6} <= got <= {did for did, gap in gaps.items() if gap < 1e-6}


def gap_to_range(sky: SkyRange, ra: float, dec: float) -> float:
    """Degrees from a position to a box; 0 inside."""
    width = sky.ra_max - sky.ra_min
    east = (ra - sky.ra_min) % 360
    if sky.is_band or east <= width:
        return max(0.0, sky.dec_min - dec, dec - sky.dec_max)
    sides = []
    for meridian in (sky.ra_min, sky.ra_max):
        away = math.radians(ra - meridian)
        foot = math.degrees(math.atan2(math.sin(math.radians(dec)), math.cos(math.radians(dec)) * math.cos(away)))
        foot = min(max(foot, sky.dec_min), sky.dec_max)
        sides += [separation((ra, dec), (meridian, y)) for y in (foot, sky.dec_min, sky.dec_max)]
    return min(sides)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    west=st.one_of(st.sampled_from([-30.0, 0.0, 350.0]), st.floats(-360, 360, allow_subnormal=False)),
    width=st.one_of(st.sampled_from([0.0, 20.0, 359.0, 360.0]), st.floats(0, 360, allow_subnormal=False)),
    south=st.one_of(st.sampled_from([-90.0, 0.0, 89.0]), st.floats(-90, 90, allow_subnormal=False)),
    height=st.one_of(st.sampled_from([0.0, 180.0]), st.floats(0, 180, allow_subnormal=False)),
)
@example(west=350.0, width=20.0, south=-1.0, height=2.0)
@example(west=0.0, width=360.0, south=89.0, height=1.0)
@example(west=0.0, width=360.0, south=-90.0, height=180.0)
@example(west=0.0, width=359.9, south=-90.0, height=180.0)
@example(west=100.0, width=0.0, south=-90.0, height=180.0)
def test_ranges_touch_regions(
    sky: Catalog, images: list[Row], west: float, width: float, south: float, height: float
) -> None:
    """To within six seconds of arc: the sides along parallels are followed in steps."""
    east, north = west + width, min(90.0, south + height)
    assume(east - west <= 360)
    box = SkyRange(west, east, south, north)
    known = circles(images)
    got = set(found(sky, ("POS", f"RANGE {west!r} {east!r} {south!r} {north!r}"))) & set(known)
    gaps = {did: gap_to_range(box, x, y) - size for did, (x, y, size) in known.items()}
    slack = 6 / 3600
    assert (
        {did for did, gap in gaps.items() if gap < -slack} <= got <= {did for did, gap in gaps.items() if gap < slack}
    )


def test_polygons_and_several_shapes(sky: Catalog, images: list[Row]) -> None:
    everything = found(sky)
    assert everything == dids(images, lambda row: True)
    box = ("POS", "POLYGON 350 -5 10 -5 10 5 350 5")
    cap = ("POS", "CIRCLE 0 90 2")
    assert min(len(found(sky, box)), len(found(sky, cap))) > 0
    assert set(found(sky, box, cap)) == set(found(sky, box)) | set(found(sky, cap))
    assert found(sky, box, ("DPTYPE", "cube")) == sorted(set(found(sky, box)) & set(found(sky, ("DPTYPE", "cube"))))
    assert found(sky, ("POS", "RANGE -Inf +Inf -Inf +Inf")) == dids(images, lambda row: row["s_region"] is not None)
    assert found(sky, ("POS", "RANGE 0 360 89.0 +Inf")) == found(sky, ("POS", "CIRCLE 0 90 1"))


def test_identifiers_are_case_blind_and_other_texts_are_not(sky: Catalog, images: list[Row]) -> None:
    first, second = found(sky)[:2]
    assert found(sky, ("ID", first)) == found(sky, ("ID", first.upper())) == [first]
    assert found(sky, ("ID", first.replace("ccat", "CCAT"))) == [first]
    assert found(sky, ("ID", first), ("ID", second), ("ID", "no ' identifier")) == [first, second]
    collection = next(row["obs_collection"] for row in images)
    assert found(sky, ("COLLECTION", collection)) == dids(images, lambda row: row["obs_collection"] == collection)
    assert found(sky, ("COLLECTION", collection.swapcase())) == []
    instrument = next(row["instrument_name"] for row in images)
    assert found(sky, ("INSTRUMENT", instrument)) == dids(images, lambda row: row["instrument_name"] == instrument)
    assert found(sky, ("FORMAT", "application/x-votable+xml;content=datalink")) == dids(
        images, lambda row: row["access_url"] is not None
    )


BAD = [
    *(("POS", value) for value in ("10 20", "CIRCLE 1 2", "CIRCLE 1 91 2", "CIRCLE GALACTIC 1 2 3", "BOX 1 2 3 4")),
    *(
        ("POS", value)
        for value in ("RANGE 1 2 3", "RANGE 20 10 0 1", "RANGE 0 1 5 4", "RANGE 0 400 0 1", "RANGE 0 1 0 91")
    ),
    *(("POS", value) for value in ("POLYGON 1 2 3 4", "POLYGON 1 2 3 4 5", "RANGE nan 1 0 1", "CIRCLE 1 2 3) OR 1=1")),
    *(("BAND", value) for value in ("a", "1 2 3", "2 1", "+Inf", "+Inf +Inf", "1,2", "1 2) OR (1=1")),
    *(("TIME", value) for value in ("2026-01-01", "NaN 2")),
    *((name, "x") for name in ("FOV", "SPATRES", "SPECRP", "EXPTIME", "TIMERES", "CALIB", "POL", "DPTYPE")),
    *((("CALIB", "5"), ("CALIB", "1.5"), ("POL", "i"), ("DPTYPE", "spectrum"), ("MAXREC", "-1"))),
    *((("TARGET", "a\x00b"), ("ID", "a\nb"), ("TARGET", "x" * 2001))),
]


@pytest.mark.parametrize(("name", "value"), BAD)
def test_a_bad_value_is_told_with_the_name_of_its_parameter(name: str, value: str) -> None:
    with pytest.raises(ParameterError, match=name):
        parse_image_query([(name, value)])


def test_too_much_is_refused() -> None:
    with pytest.raises(ParameterError, match="BAND have more than 50"):
        parse_image_query([("BAND", "1")] * 51)
    with pytest.raises(ParameterError, match="POS are too many"):
        parse_image_query([("POS", "RANGE 1 300 -60 60")] * 4)


def test_blank_values_and_unknown_parameters_say_nothing(sky: Catalog) -> None:
    assert found(sky, ("POS", " "), ("TARGET", ""), ("SIZE", "3"), ("VERB", "9")) == found(sky)


def test_faults_have_the_words_of_the_standard(service: Any) -> None:
    answer = ask(service, ("BAND", "junk"))
    assert answer.status_code == 400
    [(status, text)] = statuses(answer.content)
    assert (status, text) == ("ERROR", "UsageFault: BAND is 'junk'; expected a number")
    twice = ask(service, ("MAXREC", 1), ("MAXREC", 2))
    assert (twice.text.count("UsageFault: parameter MAXREC"), twice.status_code) == (1, 400)
    json = httpx.get(f"{service.url}/sia2/query?POL=x", headers={"accept": "application/json"}).json()
    assert json["message"].startswith("UsageFault: POL is 'x'")
    assert "format" in ask(service, ("RESPONSEFORMAT", "image/png")).text


def test_answers_are_those_of_obscore(service: Any, sky: Catalog) -> None:
    answer = ask(service, ("DPTYPE", "cube"))
    parsed = votable.parse(io.BytesIO(answer.content), verify="exception")
    table = parsed.get_first_table()
    obscore = next(t for schema in sky.schemas for t in schema.tables if t.name == "ivoa.obscore")
    assert [(field.name, field.ucd, field.utype, field.description) for field in table.fields] == [
        (column.name, column.ucd, column.utype, column.description) for column in obscore.columns
    ]
    told = {info.name: info.value for info in parsed.resources[0].infos}
    assert told["service_protocol"] == "ivo://ivoa.net/std/SIA#query-2.0"
    assert told["request"] == f"{service.url}/sia2/query"
    assert set(table.array["dataproduct_type"]) == {"cube"}
    assert parsed.resources[1].name == "links"


@pytest.mark.parametrize(
    ("asked", "given"), [([], 20), ([("MAXREC", 7)], 7), ([("MAXREC", 1000)], 50), ([("MAXREC", 0)], 0)]
)
def test_limits_hold_and_are_told(service: Any, asked: list[tuple[str, int]], given: int) -> None:
    answer = ask(service, *asked)
    assert len(votable.parse(io.BytesIO(answer.content)).get_first_table().array) == given
    assert [status for status, _ in statuses(answer.content)] == ["OK", "OVERFLOW"]


def test_values_come_by_post_and_answers_go_to_head_and_elsewhere(service: Any) -> None:
    posted = httpx.post(f"{service.url}/sia2/query?pos=CIRCLE+0+90+5", data={"Pos": "CIRCLE 0 -90 5"})
    asked = ask(service, ("POS", "CIRCLE 0 90 5"), ("POS", "CIRCLE 0 -90 5"))
    rows = [len(votable.parse(io.BytesIO(each.content)).get_first_table().array) for each in (posted, asked)]
    assert rows[0] == rows[1] > 0
    head = httpx.head(f"{service.url}/sia2/query", headers={"origin": "https://elsewhere.example"})
    assert (head.status_code, head.content, head.headers["access-control-allow-origin"]) == (200, b"", "*")


def test_capabilities_are_valid_and_lead_to_what_is_there(service: Any, schemata: Path) -> None:
    answer = httpx.get(f"{service.url}/sia2/capabilities")
    with SchemaSet(schemata) as schemas:
        assert schemas.problems(answer.content) == []
        assert schemas.problems(answer.content.replace(b'role="std"', b'roll="std"'))
    urls = [element.text or "" for element in etree.fromstring(answer.content).iter("accessURL")]
    assert urls[0] == f"{service.url}/sia2/query"
    assert [httpx.get(url).status_code for url in urls] == [200, 200, 200]


def test_pyvo_searches(service: Any, images: list[Row]) -> None:
    sia = pyvo.dal.SIA2Service(f"{service.url}/sia2")
    assert sia.query_ep == f"{service.url}/sia2/query"
    rows = sia.search(pos=(0 * units.deg, 90 * units.deg, 5 * units.deg), maxrec=50)
    assert len(rows) > 0
    assert {row["dataproduct_type"] for row in rows} <= {"image", "cube"}
    cubes = sia.search(data_type="cube", band=(3e-4 * units.m, 4e-4 * units.m), calib_level=[1, 2], maxrec=50)
    expected = dids(
        images,
        lambda row: (
            row["dataproduct_type"] == "cube"
            and row["calib_level"] in (1, 2)
            and row["em_min"] <= 4e-4
            and row["em_max"] >= 3e-4
        ),
    )
    assert sorted(cubes["obs_publisher_did"]) == expected
    links = next(row for row in rows if row["access_url"]).getdatalink()
    assert "#this" in links["semantics"]
    wrong = pyvo.dal.DALQuery(sia.query_ep, BAND="Z")  # its own search looks at values first
    with pytest.raises(pyvo.DALQueryError, match="UsageFault: BAND"):
        wrong.execute()


def test_stilts_searches_and_votlint_is_silent(service: Any, tmp_path: Path, stilts: str) -> None:
    command = [stilts, "cone", f"serviceurl={service.url}/sia2/query", "servicetype=sia2", "ofmt=csv"]
    done = subprocess.run([*command, "lon=0", "lat=90", "radius=5"], capture_output=True, text=True, timeout=120)
    asked = votable.parse(io.BytesIO(ask(service, ("POS", "CIRCLE 0 90 5")).content)).get_first_table().array
    assert done.stdout.count("\n") == len(asked) + 1 > 1, done.stderr
    for number, pairs in enumerate([[("DPTYPE", "image")], [("MAXREC", 0)], [("POL", "x")]]):
        path = tmp_path / f"{number}.vot"
        path.write_bytes(ask(service, *pairs).content)
        lint = subprocess.run([stilts, "votlint", f"votable={path}"], capture_output=True, text=True, timeout=120)
        assert lint.stdout + lint.stderr == ""


def test_there_is_no_service_without_images(own_url: str, start: Callable[..., Any]) -> None:
    with open_catalog(own_url) as catalog, start(own_url) as service:
        for name in ("query", "query?BAND=junk", "capabilities", "availability"):
            answer = httpx.get(f"{service.url}/sia2/{name}")
            assert answer.status_code == 404
            assert [status for status, _ in statuses(answer.content)] == ["ERROR"]
        with pytest.raises(NotFoundError, match="nothing at this address"):
            catalog.sia2.search(parse_image_query([]), caller=ANONYMOUS)
        did = catalog.query("SELECT TOP 1 obs_publisher_did FROM ivoa.obscore").read_all()[0][0].as_py()
        change_type(catalog, did, "image")
        assert catalog.sia2.is_offered(fresh=True)
        deadline = time.monotonic() + 60
        while httpx.get(f"{service.url}/sia2/query").status_code == 404:
            assert time.monotonic() < deadline
            time.sleep(0.5)
        change_type(catalog, did, "timeseries")
        assert not catalog.sia2.is_offered(fresh=True)


def change_type(catalog: Catalog, did: str, kind: str) -> None:
    from catalog.opsdb.models import PackagePublication

    with catalog.session() as session:
        package = session.query(PackagePublication).filter_by(obs_publisher_did=did).one().raw_data_package_id
        stated = session.get(RawDataPackageMetadata, package)
        if stated is None:
            stated = RawDataPackageMetadata(raw_data_package_id=package)
            session.add(stated)
        stated.dataproduct_type = kind
        session.commit()


def test_hidden_images_are_for_those_who_may_see_them(sky_url: str, images: list[Row]) -> None:
    hiding = Settings(database=DatabaseSettings(url=sky_url), access=AccessSettings(hide_unreleased=True))
    staff = Caller("staff", permissions=frozenset({METADATA_PERMISSION}))
    with open_catalog(hiding) as catalog:
        public = dids(images, lambda row: row["data_rights"] == "public")
        assert found(catalog) == public != []
        assert found(catalog, caller=staff) == dids(images, lambda row: True) != public


def test_images_that_nobody_may_see_make_no_service(own_url: str) -> None:
    hiding = Settings(database=DatabaseSettings(url=own_url), access=AccessSettings(hide_unreleased=True))
    with open_catalog(own_url) as showing, open_catalog(hiding) as catalog:
        rows = showing.query("SELECT obs_publisher_did, data_rights FROM ivoa.obscore").read_all().to_pylist()
        change_type(showing, next(row["obs_publisher_did"] for row in rows if row["data_rights"] != "public"), "cube")
        assert showing.sia2.is_offered(fresh=True)
        assert not catalog.sia2.is_offered(fresh=True)
        staff = Caller("staff", permissions=frozenset({METADATA_PERMISSION}))
        with pytest.raises(NotFoundError):
            catalog.sia2.search(parse_image_query([]), caller=staff)


def test_whether_there_are_images_is_asked_of_an_index_and_seldom(sky: Catalog) -> None:
    assert has_images(sky.database, lambda table, rows: None)
    assert not has_images(sky.database, lambda table, rows: sa.false())
    table = "package_obscore" if sky.database.dialect == "sqlite" else "catalog.package_obscore"
    explain = "EXPLAIN QUERY PLAN" if sky.database.dialect == "sqlite" else "EXPLAIN"
    with sky.database.engine.connect() as connection:
        if sky.database.dialect == "postgresql":
            connection.exec_driver_sql("SET enable_seqscan = off")
        plan = connection.exec_driver_sql(f"{explain} SELECT 1 FROM {table} WHERE {IS_IMAGE} LIMIT 1").all()
    assert "ix_package_obscore_image" in str(plan)
    assert sky.sia2.is_offered()
    service = type(sky.sia2)(sky.tap.run, sky.schemas[0].tables[0], lambda: counted.append(1) or True)
    counted: list[int] = []
    assert [service.is_offered() for _ in range(3)] == [True] * 3
    assert len(counted) == 1


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("1 2", 1, 2),
        ("3", 3, 3),
        ("-Inf 2", -math.inf, 2),
        (" 1e-3  +inf ", 1e-3, math.inf),
        ("-Infinity Inf", -math.inf, math.inf),
    ],
)
def test_intervals_are_read(text: str, low: float, high: float) -> None:
    assert parse_interval("X", text) == Interval(low, high)


@pytest.mark.parametrize("text", ["RANGE 0 0 0 0", "RANGE 10 10 89 90", "RANGE 350 370 -1 1", "RANGE -10 349 -90 90"])
def test_ranges_are_covered_by_polygons_with_an_inside(text: str) -> None:
    for shape in cover_range(parse_range(text)):
        assert isinstance(shape, Polygon)
        assert 3 <= len(set(shape.vertices)) == len(shape.vertices) <= 100
        assert all(0 <= ra < 360 and -90 <= dec <= 90 for ra, dec in shape.vertices)
