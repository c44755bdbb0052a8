"""What the capabilities declare works: every form of every feature is asked once, on both engines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from catalog.adql.functions import FORM_DESCRIPTIONS, LANGUAGE_FEATURES

Ask = Callable[[str], list[tuple[Any, ...]]]
FEATURES = "ivo://ivoa.net/std/TAPRegExt#features-"
CIRCLE, SQUARE = "CIRCLE(10, 20, 1)", "POLYGON(9, 19, 11, 19, 11, 21, 9, 21)"
HERE = "SELECT TOP 1 {} AS answer FROM sky.stars WHERE id = 1"
WHICH = "SELECT id FROM sky.stars WHERE {} ORDER BY id"

QUERIES: dict[str, list[tuple[str, Any]]] = {
    # adqlgeo
    "AREA": [(HERE.format(f"AREA({CIRCLE})"), 3.1415926 * 0.99997462)],
    "BOX": [(WHICH.format("1=CONTAINS(POINT(ra, decl), BOX(10, 20, 2, 2))"), [1])],
    "CENTROID": [(HERE.format(f"COORD2(CENTROID({CIRCLE}))"), 20)],
    "CIRCLE": [(WHICH.format(f"1=CONTAINS(POINT(ra, decl), {CIRCLE})"), [1]), (HERE.format(CIRCLE), [10, 20, 1])],
    "CONTAINS": [(WHICH.format(f"0=CONTAINS(POINT('ICRS', ra, decl), {CIRCLE})"), [2, 3, 4])],
    "COORD1": [(HERE.format("COORD1(POINT(ra, decl))"), 10)],
    "COORD2": [(HERE.format("COORD2(POINT(ra, decl))"), 20)],
    "COORDSYS": [(HERE.format("COORDSYS(POINT(ra, decl))"), "ICRS")],
    "DISTANCE": [
        (WHICH.format("DISTANCE(POINT(ra, decl), POINT(10, 21)) < 1.1"), [1]),
        (HERE.format("DISTANCE(ra, decl, 10, 22)"), 2),
    ],
    "INTERSECTS": [(HERE.format(f"INTERSECTS({CIRCLE}, {SQUARE})"), 1)],
    "POINT": [(HERE.format("POINT(ra, decl)"), [10, 20])],
    "POLYGON": [(WHICH.format(f"CONTAINS(POINT(ra, decl), {SQUARE}) = 1"), [1])],
    "REGION": [(WHICH.format("1=CONTAINS(POINT(ra, decl), REGION('CIRCLE ICRS 10 20 1'))"), [1])],
    # the rest of ADQL that is optional
    "LOWER": [(WHICH.format("LOWER(name) = 'beta'"), [2, 3])],
    "UPPER": [(WHICH.format("UPPER(name) = 'BETA'"), [2, 3])],
    "ILIKE": [(WHICH.format("name ILIKE 'BE_A'"), [2, 3])],
    "WITH": [("WITH q AS (SELECT id AS k FROM sky.stars WHERE n < 3) SELECT k FROM q ORDER BY k", [1, 2])],
    "UNION": [("SELECT id FROM sky.stars WHERE id < 3 UNION SELECT n FROM sky.stars WHERE n = 2 ORDER BY id", [1, 2])],
    "EXCEPT": [("SELECT id FROM sky.stars EXCEPT SELECT n FROM sky.stars ORDER BY id", [5])],
    "INTERSECT": [("SELECT id FROM sky.stars INTERSECT SELECT n FROM sky.stars ORDER BY id", [1, 2, 3, 4])],
    "CAST": [(HERE.format("CAST('12' AS INTEGER) + CAST(ra AS BIGINT)"), 22)],
    "COALESCE": [
        ("SELECT COALESCE(name, 'none') FROM sky.stars ORDER BY id", ["alpha", "beta", "Beta", "none", "secret"])
    ],
    "IN_UNIT": [(HERE.format("IN_UNIT(freq, 'THz')"), 0.345)],
    "OFFSET": [("SELECT id FROM sky.stars ORDER BY id OFFSET 3", [4, 5])],
    # user-defined functions
    "ivo_healpix_index(hpxOrder INTEGER, long REAL, lat REAL) -> BIGINT": [
        ("SELECT ivo_healpix_index(0, ra, decl) FROM sky.stars ORDER BY id", [4, 2, 11, 5, None])
    ],
    "ivo_healpix_index(hpxOrder INTEGER, p POINT) -> BIGINT": [
        (HERE.format("ivo_healpix_index(0, POINT(ra, decl))"), 4)
    ],
    "ivo_healpix_center(hpxOrder INTEGER, hpxIndex BIGINT) -> POINT": [
        (HERE.format("ivo_healpix_center(0, id + 3)"), [0, 0])
    ],
    "MOC(moc TEXT) -> MOC": [(WHICH.format("1=CONTAINS(POINT(ra, decl), MOC('0/2 1/44'))"), [2, 3])],
    "ivo_epoch_prop_pos(ra REAL, dec REAL, parallax REAL, pmra REAL, pmdec REAL, radialVelocity REAL,"
    " refEpoch REAL, outEpoch REAL) -> POINT": [
        (HERE.format("COORD2(ivo_epoch_prop_pos(ra, decl, plx, 0, 3600, NULL, 2016, 2026))"), 20.01)
    ],
    "ivo_epoch_prop(ra REAL, dec REAL, parallax REAL, pmra REAL, pmdec REAL, radialVelocity REAL,"
    " refEpoch REAL, outEpoch REAL) -> REAL[6]": [
        (HERE.format("ivo_epoch_prop(ra, decl, plx, 0, 3600, 0, 2016, 2026)"), [10, 20.01, 5, 0, 3599.99989, 0.595705])
    ],
    "ivo_geom_transform(fromSys TEXT, toSys TEXT, geo GEOMETRY) -> GEOMETRY": [
        (HERE.format("COORD2(ivo_geom_transform('ICRS', 'GALACTIC', POINT(ra, decl)))"), -42.790393),
        (HERE.format("AREA(ivo_geom_transform('ICRS', 'GALACTIC', CIRCLE(ra, decl, 1)))"), 3.141513),
    ],
    "ivo_to_jd(d TIMESTAMP) -> REAL": [("SELECT ivo_to_jd(seen) FROM sky.stars WHERE id = 4", [2461071.5])],
    "ivo_to_mjd(d TIMESTAMP) -> REAL": [("SELECT ivo_to_mjd(seen) FROM sky.stars WHERE id = 4", [61071])],
    "ccat_covers_time(tMin REAL, tMax REAL, t REAL) -> INTEGER": [
        (WHICH.format("1=ccat_covers_time(t_min, t_max, 61000.3)"), [1, 2])
    ],
    "ccat_covers_time(tMin REAL, tMax REAL, t TIMESTAMP) -> INTEGER": [
        (WHICH.format("1=ccat_covers_time(t_min, t_max, '2025-11-21T03:00:00')"), [1])
    ],
    "ivo_nocasematch(value TEXT, pattern TEXT) -> INTEGER": [(WHICH.format("1=ivo_nocasematch(name, 'BE%')"), [2, 3])],
    "ivo_hasword(haystack TEXT, needle TEXT) -> INTEGER": [(WHICH.format("1=ivo_hasword(words, 'ORION dust')"), [2])],
    "ivo_hashlist_has(hashlist TEXT, item TEXT) -> INTEGER": [(WHICH.format("1=ivo_hashlist_has(words, 'RED')"), [1])],
    "ivo_string_agg(expression TEXT, delimiter TEXT) -> TEXT": [
        ("SELECT ivo_string_agg(name, ', ') FROM sky.stars WHERE id < 4", ["Beta, alpha, beta"])
    ],
    "ivo_histogram(val REAL, lower REAL, upper REAL, nbins INTEGER) -> INTEGER[]": [
        ("SELECT ivo_histogram(freq, 0, 1000, 2) FROM sky.stars", [[2, 2, 1, 0]])
    ],
    "ivo_interval_overlaps(a1 REAL, b1 REAL, a2 REAL, b2 REAL) -> INTEGER": [
        (WHICH.format("1=ivo_interval_overlaps(t_min, t_max, 60999, 61000)"), [1])
    ],
    "ivo_normal_random(mu REAL, sigma REAL) -> REAL": [
        (WHICH.format("ivo_normal_random(id, 0) = id"), [1, 2, 3, 4, 5])
    ],
    "ivo_hms_to_degrees(hms TEXT) -> REAL": [
        ("SELECT ivo_hms_to_degrees(words) FROM sky.stars WHERE id = 3", [53.6891667])
    ],
    "ivo_dms_to_degrees(dms TEXT) -> REAL": [
        ("SELECT ivo_dms_to_degrees(words) FROM sky.stars WHERE id = 3", [3.5792778])
    ],
    "ccat_freq_to_wavelength(freq REAL) -> REAL": [(HERE.format("ccat_freq_to_wavelength(freq)"), 0.000868963)],
    "ccat_wavelength_to_freq(wavelength REAL) -> REAL": [(HERE.format("ccat_wavelength_to_freq(width)"), 149.896229)],
}
DECLARED = [(kind.removeprefix(FEATURES), form) for kind, forms in LANGUAGE_FEATURES for form in forms]


def test_every_form_that_is_declared_is_asked_here_and_no_other() -> None:
    assert sorted(form for _, form in DECLARED) == sorted(QUERIES)


@pytest.mark.parametrize("form", QUERIES)
def test_a_declared_form_works(ask: Ask, form: str) -> None:
    for query, expected in QUERIES[form]:
        found = [row for (row,) in ask(query)]
        wanted = [expected] if query.startswith("SELECT TOP 1") else expected
        assert len(found) == len(wanted)
        for answer, right in zip(found, wanted, strict=True):
            exact = right is None or isinstance(right, str)
            assert answer == (right if exact else pytest.approx(right, abs=1e-5)), query


def test_features_are_those_of_adql_2_1() -> None:
    assert {key for key, _ in DECLARED} == {
        "adqlgeo",
        "adql-common-table",
        "adql-conditional",
        "adql-offset",
        "adql-sets",
        "adql-string",
        "adql-type",
        "adql-unit",
        "udf",
    }


def test_user_defined_functions_are_described() -> None:
    forms = {form for key, form in DECLARED if key == "udf"}
    assert forms == FORM_DESCRIPTIONS.keys()
    assert all(text.endswith(".") for text in FORM_DESCRIPTIONS.values())
