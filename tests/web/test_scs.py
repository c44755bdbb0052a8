"""Cone searches: what they find, by a plain filter over the rows, and how they are answered and judged."""

from __future__ import annotations

import io
import math
import subprocess
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pyvo
from astropy.coordinates import SkyCoord
from astropy.io import votable
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from lxml import etree
from pyvo.dal.exceptions import DALQueryError

from catalog import Catalog, Settings, open_catalog
from catalog.access import ANONYMOUS, METADATA_PERMISSION, Caller
from catalog.dali import parse_number
from catalog.errors import ParameterError
from catalog.registry.schemas import SchemaSet
from catalog.scs import Cone, parse_cone
from catalog.settings import AccessSettings, DatabaseSettings

BORDER = 1e-7
"""Degrees within which a position may count as inside or outside: queries allow 1e-9 radian, as pgSphere does."""

MAIN = {"ID_MAIN", "POS_EQ_RA_MAIN", "POS_EQ_DEC_MAIN"}


@pytest.fixture(scope="module")
def sky(sky_url: str) -> Iterator[Catalog]:
    with open_catalog(sky_url) as opened:
        yield opened


@pytest.fixture(scope="module")
def places(sky: Catalog) -> dict[str, tuple[float | None, float | None]]:
    rows = sky.query("SELECT obs_publisher_did, s_ra, s_dec FROM ivoa.obscore").read_all().to_pylist()
    return {row["obs_publisher_did"]: (row["s_ra"], row["s_dec"]) for row in rows}


@pytest.fixture(scope="module")
def cones(sky_url: str, start: Callable[..., Any]) -> Iterator[Any]:
    """A service with few rows to an answer."""
    with start(sky_url, tap_maxrec_default=20, tap_maxrec_hard=50) as running:
        yield running


def ask(service: Any, **params: object) -> httpx.Response:
    return httpx.get(f"{service.url}/scs/query", params={name: str(value) for name, value in params.items()})


def fields(document: bytes) -> dict[str, Any]:
    return {field.get("name") or "": field for field in etree.fromstring(document).iter("{*}FIELD")}


def rows(document: bytes) -> list[dict[str, str]]:
    names = list(fields(document))
    return [
        {name: cell.text or "" for name, cell in zip(names, row, strict=True)}
        for row in etree.fromstring(document).iter("{*}TR")
    ]


def infos(document: bytes) -> list[tuple[str, str]]:
    return [(info.get("name") or "", info.get("value") or "") for info in etree.fromstring(document).iter("{*}INFO")]


def separation(first: tuple[float, float], second: tuple[float, float]) -> float:
    """Degrees between two positions, by the formula that is exact at all distances."""
    (ra1, dec1), (ra2, dec2) = ([math.radians(x) for x in place] for place in (first, second))
    cos1, sin1, cos2, sin2 = math.cos(dec1), math.sin(dec1), math.cos(dec2), math.sin(dec2)
    across = math.hypot(cos2 * math.sin(ra2 - ra1), cos1 * sin2 - sin1 * cos2 * math.cos(ra2 - ra1))
    return math.degrees(math.atan2(across, sin1 * sin2 + cos1 * cos2 * math.cos(ra2 - ra1)))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    ra=st.one_of(st.sampled_from([0.0, 360.0, 359.9999, 1e-5]), st.floats(0, 360)),
    dec=st.one_of(st.sampled_from([0.0, 90.0, -90.0, 89.9]), st.floats(-90, 90)),
    radius=st.one_of(st.sampled_from([1e-5, 0.02, 180.0, 90.0]), st.floats(1e-9, 180)),
)
@example(ra=0.0, dec=90.0, radius=0.2)
@example(ra=200.0, dec=-90.0, radius=0.2)
@example(ra=0.0, dec=0.0, radius=0.05)
@example(ra=360.0, dec=0.0, radius=0.05)
@example(ra=5e-324, dec=-1e-310, radius=0.05)
@example(ra=12.0, dec=3.0, radius=180.0)
def test_a_cone_holds_what_is_near_and_nothing_without_a_position(
    sky: Catalog, places: dict[str, Any], ra: float, dec: float, radius: float
) -> None:
    cone = parse_cone([("RA", repr(ra)), ("DEC", repr(dec)), ("SR", repr(radius))])
    found = set(sky.scs.search(cone, caller=ANONYMOUS).read_all()["obs_publisher_did"].to_pylist())
    away = {did: separation((ra, dec), place) for did, place in places.items() if None not in place}
    assert {did for did, distance in away.items() if distance < radius - BORDER} <= found
    assert found <= {did for did, distance in away.items() if distance < radius + BORDER}


def test_some_rows_have_no_position_and_some_are_found(sky: Catalog, places: dict[str, Any]) -> None:
    found = sky.scs.search(Cone(0, 0, 180), caller=ANONYMOUS).read_all()
    assert 0 < found.num_rows < len(places)
    assert found["s_ra"].null_count == found["s_dec"].null_count == found["obs_publisher_did"].null_count == 0


def test_a_search_uses_the_index_of_positions(sky: Catalog) -> None:
    plan = sky.tap.explain(sky.scs.adql(Cone(83.8, -5.4, 0.5)))
    assert any("position" in name for name in plan.indexes), plan.plan


@pytest.mark.parametrize("verb", ["1", "2", "3"])
def test_three_columns_have_the_ucds_that_the_standard_demands(cones: Any, sky: Catalog, verb: str) -> None:
    answer = ask(cones, RA=0, DEC=90, SR=5, VERB=verb)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/xml")
    found = fields(answer.content)
    told = {f.get("ucd"): (f.get("name"), f.get("datatype"), f.get("arraysize")) for f in found.values()}
    assert told["ID_MAIN"] == ("obs_publisher_did", "char", "*")
    assert told["POS_EQ_RA_MAIN"] == ("s_ra", "double", None)
    assert told["POS_EQ_DEC_MAIN"] == ("s_dec", "double", None)
    ucds = [field.get("ucd") for field in found.values()]
    assert all(ucds.count(ucd) == 1 for ucd in MAIN)
    assert not any("meta.main" in (ucd or "") for ucd in ucds)
    assert all(row["s_ra"] and row["s_dec"] and row["obs_publisher_did"] for row in rows(answer.content))
    described = {column.name: column.description for column in sky.schemas[1].tables[0].columns}
    for name, field in found.items():
        assert field.findtext("{*}DESCRIPTION") == described.get(name, field.findtext("{*}DESCRIPTION"))


def test_verbosity_says_how_many_columns(cones: Any, sky: Catalog) -> None:
    few, medium, many = (set(fields(ask(cones, RA=0, DEC=90, SR=5, VERB=verb).content)) for verb in "123")
    assert few < medium < many
    assert set(fields(ask(cones, RA=0, DEC=90, SR=5).content)) == medium
    obscore = next(t for schema in sky.schemas for t in schema.tables if t.name == "ivoa.obscore")
    assert many == {column.name for column in obscore.columns}


@pytest.mark.parametrize("only", [{"SR": "0"}, {"SR": "0.0"}, {"SR": "180", "MAXREC": "0"}])
def test_no_radius_or_no_rows_give_the_columns_alone(cones: Any, only: dict[str, str]) -> None:
    answer = ask(cones, **{"RA": 0, "DEC": 90, **only})
    assert rows(answer.content) == []
    assert len(fields(answer.content)) > 20
    assert ("QUERY_STATUS", "OK") in infos(answer.content)


def test_nothing_in_the_cone_is_no_error(cones: Any) -> None:
    answer = ask(cones, RA=200, DEC=-88.5, SR=1e-7)
    assert rows(answer.content) == []
    assert [value for name, value in infos(answer.content) if name == "QUERY_STATUS"] == ["OK"]


@pytest.mark.parametrize(("asked", "given"), [({}, 20), ({"MAXREC": 7}, 7), ({"MAXREC": 1000}, 50)])
def test_limits_hold_and_are_told(cones: Any, asked: dict[str, int], given: int) -> None:
    answer = ask(cones, RA=0, DEC=0, SR=180, VERB=1, **asked)
    assert len(rows(answer.content)) == given
    assert [value for name, value in infos(answer.content) if name == "QUERY_STATUS"] == ["OK", "OVERFLOW"]


BAD = {
    "no RA": ({"DEC": "1", "SR": "1"}, "RA"),
    "no DEC": ({"RA": "1", "SR": "1"}, "DEC"),
    "no SR": ({"RA": "1", "DEC": "1", "SR": " "}, "SR"),
    "no number": ({"RA": "as3f", "DEC": "1", "SR": "1"}, "RA"),
    "hours": ({"RA": "12:30:00", "DEC": "1", "SR": "1"}, "RA"),
    "python": ({"RA": "1_0", "DEC": "1", "SR": "1"}, "RA"),
    "nan": ({"RA": "1", "DEC": "nan", "SR": "1"}, "DEC"),
    "infinite": ({"RA": "1", "DEC": "1", "SR": "inf"}, "SR"),
    "huge": ({"RA": "1e999", "DEC": "1", "SR": "1"}, "RA"),
    "too far round": ({"RA": "360.001", "DEC": "1", "SR": "1"}, "RA"),
    "below zero": ({"RA": "-0.1", "DEC": "1", "SR": "1"}, "RA"),
    "over the pole": ({"RA": "1", "DEC": "91.0", "SR": "1"}, "DEC"),
    "wide": ({"RA": "1", "DEC": "1", "SR": "180.1"}, "SR"),
    "negative": ({"RA": "1", "DEC": "1", "SR": "-1"}, "SR"),
    "verbose": ({"RA": "1", "DEC": "1", "SR": "1", "VERB": "4"}, "VERB"),
    "rows": ({"RA": "1", "DEC": "1", "SR": "1", "MAXREC": "many"}, "MAXREC"),
    "format": ({"RA": "1", "DEC": "1", "SR": "1", "RESPONSEFORMAT": "image/png"}, "format"),
    "injection": ({"RA": "1)) OR 1=1 --", "DEC": "1", "SR": "1"}, "RA"),
}


@pytest.mark.parametrize("name", BAD)
def test_errors_are_where_each_generation_of_clients_looks(cones: Any, name: str) -> None:
    """Clients of this protocol read no body whose status is not 200 (tried with STILTS 3.4.7)."""
    params, culprit = BAD[name]
    answer = ask(cones, **params)
    assert answer.status_code == 200
    root = etree.fromstring(answer.content)
    [told] = [info for info in root.findall("{*}INFO") if info.get("name") == "Error"]
    assert culprit in (told.get("value") or "")
    [status] = [info for info in root.findall("{*}RESOURCE/{*}INFO") if info.get("name") == "QUERY_STATUS"]
    assert (status.get("value"), status.text) == ("ERROR", told.get("value"))
    assert root.find(".//{*}TABLE") is None


def test_a_parameter_that_comes_twice_is_an_error(cones: Any) -> None:
    answer = httpx.get(f"{cones.url}/scs/query?RA=1&ra=2&DEC=1&SR=1")
    assert "RA was given more than once" in answer.text


def test_names_come_in_any_case_values_by_post_and_strangers_are_passed_over(cones: Any) -> None:
    plain = rows(ask(cones, RA=0, DEC=90, SR=5, VERB=1).content)
    posted = httpx.post(f"{cones.url}/scs?ra=0&x=y", data={"Dec": "90", "sr": "5", "verb": "1", "time": "3"})
    assert plain
    assert rows(posted.content) == plain


def test_answers_to_head_and_to_pages_from_elsewhere(cones: Any) -> None:
    answer = httpx.head(f"{cones.url}/scs/query?RA=0&DEC=90&SR=5", headers={"origin": "https://elsewhere.example"})
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "Authorization" in answer.headers["vary"]


@pytest.mark.parametrize(
    ("form", "media_type"),
    [
        ("votable", "application/x-votable+xml"),
        ("text/xml", "text/xml"),
        ("votable/b2", "application/x-votable+xml;serialization=BINARY2"),
        ("csv", "text/csv;header=present"),
    ],
)
def test_other_formats_are_had_by_name(cones: Any, form: str, media_type: str) -> None:
    answer = ask(cones, RA=0, DEC=90, SR=5, RESPONSEFORMAT=form)
    assert (answer.status_code, answer.headers["content-type"].replace("; charset=utf-8", "")) == (200, media_type)
    assert (b"<TABLEDATA>" in answer.content) == (form in ("votable", "text/xml"))


def test_the_answer_says_where_it_comes_from_and_where_links_are(cones: Any) -> None:
    document = ask(cones, RA=0, DEC=90, SR=5).content
    told = dict(infos(document))
    assert told["service_protocol"] == "ivo://ivoa.net/std/ConeSearch"
    assert told["request"] == f"{cones.url}/scs/query"
    assert told["publisher"]
    assert told["request_date"]
    descriptor = etree.fromstring(document).find("{*}RESOURCE[@utype='adhoc:service']")
    assert descriptor is not None
    assert descriptor.find(".//{*}PARAM[@ref='obs_publisher_did']") is not None
    assert len(etree.fromstring(document).findall("{*}RESOURCE[@type='results']/{*}TABLE")) == 1


def test_hidden_rows_are_found_by_those_alone_who_may_see_them(sky_url: str) -> None:
    hiding = Settings(database=DatabaseSettings(url=sky_url), access=AccessSettings(hide_unreleased=True))
    everywhere = Cone(0, 0, 180, maxrec=10_000)
    with open_catalog(hiding) as catalog, open_catalog(sky_url) as showing:
        told = showing.query("SELECT obs_publisher_did, data_rights FROM ivoa.obscore WHERE s_ra IS NOT NULL")
        rights = {row["obs_publisher_did"]: row["data_rights"] for row in told.read_all().to_pylist()}
        public = {did for did, right in rights.items() if right == "public"}
        staff = Caller("staff", permissions=frozenset({METADATA_PERMISSION}))
        seen = {
            who: set(catalog.scs.search(everywhere, caller=who).read_all()["obs_publisher_did"].to_pylist())
            for who in (ANONYMOUS, staff)
        }
        assert seen == {ANONYMOUS: public, staff: set(rights)}
        assert public < set(rights)


def test_who_asks_is_handed_on(sky_url: str, start: Callable[..., Any]) -> None:
    with open_catalog(sky_url) as catalog:
        everything = len(catalog.query("SELECT obs_publisher_did FROM ivoa.obscore WHERE s_ra IS NOT NULL").read_all())
    with start(sky_url, access_hide_unreleased="true") as service:
        params = {"RA": 0, "DEC": 0, "SR": 180, "VERB": 1}
        assert 0 < len(rows(ask(service, **params).content)) < everything
        refused = httpx.get(f"{service.url}/scs/query", params=params, headers={"authorization": "Bearer nobody"})
        assert refused.status_code == 401


def test_votlint_is_silent_and_astropy_knows_newer_ucds_only(cones: Any, tmp_path: Path, stilts: str) -> None:
    """The standard wants UCDs of the first kind; the word list of astropy has those of the second."""
    for number, params in enumerate(
        [{"RA": 0, "DEC": 90, "SR": 5, "VERB": 3}, {"RA": 0, "DEC": 0, "SR": 0}, {"RA": 0}]
    ):
        document = ask(cones, **params).content
        (tmp_path / f"{number}.vot").write_bytes(document)
        lint = subprocess.run(
            [stilts, "votlint", f"votable={tmp_path / f'{number}.vot'}"], capture_output=True, text=True, timeout=120
        )
        assert lint.stdout + lint.stderr == ""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            votable.parse(io.BytesIO(document), verify="warn")
        told = sorted(str(warning.message).partition("W06: Invalid UCD ")[2].partition(":")[0] for warning in caught)
        assert told == ([] if len(params) == 1 else sorted(f"'{ucd}'" for ucd in MAIN))


def test_pyvo_searches(cones: Any) -> None:
    found = pyvo.dal.SCSService(f"{cones.url}/scs/query").search(SkyCoord(0.0, 90.0, unit="deg"), 5, verbosity=3)
    assert len(found) > 0
    assert found[0].id.startswith("ivo://")
    assert found[0].pos.dec.deg >= 85
    links = next(row for row in found if row["access_url"]).getdatalink()
    assert "#this" in links["semantics"]
    same = pyvo.conesearch(f"{cones.url}/scs", pos=(0.0, 90.0), radius=5)
    assert {row.id for row in same} == {row.id for row in found}
    wrong = pyvo.dal.SCSQuery(f"{cones.url}/scs/query?")
    wrong["RA"], wrong["DEC"], wrong["SR"] = 0, 95, 1
    with pytest.raises(DALQueryError, match="DEC is '95'"):
        wrong.execute()


def test_stilts_searches(cones: Any, stilts: str) -> None:
    def cone(lat: str) -> subprocess.CompletedProcess[str]:
        command = [stilts, "cone", f"serviceurl={cones.url}/scs/query", "servicetype=cone", "verb=1", "ofmt=csv"]
        command += ["lon=0", f"lat={lat}", "radius=5"]
        return subprocess.run(command, capture_output=True, text=True, timeout=120)

    plain = rows(ask(cones, RA=0, DEC=90, SR=5, VERB=1).content)
    header, *lines = cone("90").stdout.splitlines()
    assert header.startswith("obs_publisher_did,")
    assert [line.split(",")[0] for line in lines] == [row["obs_publisher_did"] for row in plain]
    assert "DEC is '95.0'" in cone("95").stderr


def test_capabilities_are_valid_and_their_test_query_finds_something(cones: Any, schemata: Path) -> None:
    answer = httpx.get(f"{cones.url}/scs/capabilities")
    with SchemaSet(schemata) as schemas:
        assert schemas.problems(answer.content) == []
        assert schemas.problems(answer.content.replace(b"<verbosity>true", b"<verbosity>perhaps"))
    root = etree.fromstring(answer.content)
    url = root.findtext(".//accessURL")
    test = root.find(".//testQuery")
    assert url == f"{cones.url}/scs/query?"
    assert test is not None
    asked = "&".join(f"{each.tag.upper()}={each.text}" for each in test)
    assert rows(httpx.get(f"{url}{asked}").content)
    assert root.findtext(".//maxRecords") == "50"
    assert (
        httpx.get(f"{cones.url}/scs/capabilities", headers={"if-none-match": answer.headers["etag"]}).status_code == 304
    )
    for element in root.iter("accessURL"):
        assert httpx.get(element.text or "").status_code == 200
    assert b"<vosi:available>true" in httpx.get(f"{cones.url}/scs/availability").content


def test_what_lies_nowhere_is_told_as_a_document(cones: Any) -> None:
    answer = httpx.get(f"{cones.url}/scs/nothing")
    assert answer.status_code == 404
    assert ("QUERY_STATUS", "ERROR") in infos(answer.content)


@pytest.mark.parametrize(("text", "value"), [("1", 1.0), (" -1.5e1 ", -15.0), (".5", 0.5), ("7.", 7.0), ("+2", 2.0)])
def test_numbers_are_those_of_votable(text: str, value: float) -> None:
    assert parse_number("X", text) == value


@pytest.mark.parametrize("text", ["", "1,5", "0x1", "1 2", "Inf", "NaN", "1e", "\N{ARABIC-INDIC DIGIT ONE}", "9" * 101])
def test_other_words_are_no_numbers(text: str) -> None:
    with pytest.raises(ParameterError, match="expected a number"):
        parse_number("X", text)


def test_zero_below_zero_is_zero() -> None:
    assert repr(parse_cone([("RA", "-0"), ("DEC", "-1e-320"), ("SR", "1")]).dec) == "0.0"
