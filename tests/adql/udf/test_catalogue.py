"""The values that the IVOA's catalogue of functions (EN 1.2) prints beside their definitions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from catalog.errors import QueryError

STAR = "7.606083572, 11.79044105"
PRINTED: list[tuple[str, Any, float]] = [
    ("ivo_healpix_index(0, 1, 1)", 4, 0),
    ("ivo_healpix_index(17, 1, 1)", 81609757711, 0),
    ("ivo_healpix_index(17, 359, -1)", 73009064944, 0),
    ("ivo_healpix_index(0, POINT(1, 1))", 4, 0),
    ("ivo_healpix_index(17, POINT('ICRS', 1, 1))", 81609757711, 0),
    ("ivo_healpix_index(17, CENTROID(CIRCLE(359, -1, 3)))", 73009064944, 0),
    ("ivo_healpix_center(0, 6)", [180, 0], 0),
    ("ivo_healpix_center(17, ivo_healpix_index(17, 23.4, 56.7))", [23.399843462947466, 56.70016214363192], 1e-12),
    (
        f"ivo_epoch_prop_pos({STAR}, 125, 300, -428.8, 52.51, 2016.0, 1992.25)",
        [7.604061404627978, 11.7932703828279],
        1e-12,
    ),
    (
        f"ivo_epoch_prop_pos({STAR}, 125, 300, -428.8, 52.51, 2016.0, 1875.0)",
        [7.594068213694308, 11.807251375203935],
        1e-12,
    ),
    (
        f"ivo_epoch_prop_pos({STAR}, 125, 300, -428.8, NULL, 2016.0, 1875.0)",
        [7.594079587029898, 11.807235464326332],
        1e-12,
    ),
    (
        f"ivo_epoch_prop_pos({STAR}, 125, 300, NULL, NULL, 2016.0, 1875.0)",
        [7.594080321498365, 11.790440798509207],
        1e-12,
    ),
    (
        f"ivo_epoch_prop_pos({STAR}, NULL, 300, -428.8, 52.51, 2016.0, 1875.0)",
        [7.594079587020846, 11.807235464339055],
        1e-10,  # "this last value is approximative", says the catalogue
    ),
    ("ivo_geom_transform('ICRS', 'GALACTIC', POINT(120, -23))", [241.121831182, 3.62785788087], 1e-9),
    (
        "ivo_geom_transform('FK4', 'GALACTIC', CIRCLE(189.70303055, 22.96240006, 3))",
        [275.00025405, 84.99996154, 3],
        1e-8,
    ),
    (
        "ivo_geom_transform('GALACTIC', 'FK5', POLYGON(5, 3, 4, 4, 4.5, 2))",
        [266.44721, -23.107310, 264.95088, -23.434037, 267.09936, -24.051919],
        1e-5,  # printed without the offset of ICRS from FK5
    ),
    ("ivo_to_jd(CAST('2000-01-02T12:00:00' AS TIMESTAMP))", 2451546.0, 0),
    ("ivo_to_jd('1910-12-31T06:00:00')", 2419036.75, 0),
    ("ivo_to_jd(NULL)", None, 0),
    ("ivo_to_mjd(CAST('2000-01-02T12:00:00' AS TIMESTAMP))", 51545.5, 0),
    ("ivo_to_mjd('1910-12-31T06:00:00')", 19036.25, 0),
    ("ivo_to_mjd(NULL)", None, 0),
    ("ivo_nocasematch('abcabc', 'ab%')", 1, 0),
    ("ivo_nocasematch('ABcabc', 'ab__bc')", 1, 0),
    ("ivo_nocasematch('abcabc', '%BC')", 1, 0),
    ("ivo_nocasematch('abcabc', 'ABCABC')", 1, 0),
    ("ivo_nocasematch('abcabc', 'abcab')", 0, 0),
    ("ivo_hasword('Miller and Urey have', 'miller')", 1, 0),
    ("ivo_hasword('shown that a primordial', 'show')", 0, 0),
    ("ivo_hasword('shown that a primordial', 'soup')", 0, 0),
    ("ivo_hasword('shown that a primordial', 'shown primordial')", 1, 0),
    ("ivo_hasword('shown that a primordial', 'shown soup')", 0, 0),
    ("ivo_hashlist_has('red#green#blue', 'red')", 1, 0),
    ("ivo_hashlist_has('Red#green#blue', 'red')", 1, 0),
    ("ivo_hashlist_has('red#green#blue', 're')", 0, 0),
    ("ivo_hashlist_has('red#green#blue', 'red#green')", 0, 0),
    ("ivo_interval_overlaps(-3, -2, 2, 3)", 0, 0),
    ("ivo_interval_overlaps(-2, -3, 2, 3)", 0, 0),
    ("ivo_interval_overlaps(-2, 55.3, 2, 3)", 1, 0),
    ("ivo_interval_overlaps(2, 3, -2, 55.3)", 1, 0),
    ("ivo_interval_overlaps(-2, 55.3, 3, 2)", 0, 0),
    ("ivo_interval_overlaps(-2, 2, 2, 3)", 1, 0),
    ("ivo_hms_to_degrees('3:34:45.4')", 53.6891667, 1e-7),
    ("ivo_hms_to_degrees('3h34m45.4s')", 53.6891667, 1e-7),
    ("ivo_hms_to_degrees('3H34M45.4S')", 53.6891667, 1e-7),
    ("ivo_dms_to_degrees('42:9:6.768')", 42.15188, 1e-12),
    ("ivo_dms_to_degrees('42d9m6.768s')", 42.15188, 1e-12),
    ("ivo_dms_to_degrees('42D9M6.768S')", 42.15188, 1e-12),
    ("ivo_dms_to_degrees('-00:15:00')", -0.25, 0),
    ("ivo_dms_to_degrees('+00:15:00')", 0.25, 0),
    ("ivo_dms_to_degrees('-0d15m0s')", -0.25, 0),
    ("ivo_dms_to_degrees('+0d15m0s')", 0.25, 0),
]


@pytest.mark.parametrize(("expression", "printed", "tolerance"), PRINTED)
def test_the_catalogue_prints_this_value(
    value: Callable[[str], Any], expression: str, printed: Any, tolerance: float
) -> None:
    found = value(expression)
    if printed is None or not tolerance:
        assert found == printed
    else:
        assert found == pytest.approx(printed, abs=tolerance, rel=0)


@pytest.mark.parametrize(
    "arguments",
    [
        "NULL, 11.79044105, 125, 300, NULL, NULL, 2016.0, 1875.0",
        "7.606083572, NULL, 125, 300, -428.8, 52.51, 2016.0, 1875.0",
        "7.606083572, 11.79044105, 125, 300, -428.8, 52.51, NULL, 1875.0",
        "7.606083572, 11.79044105, 125, 300, -428.8, 52.51, 2016.0, NULL",
    ],
)
def test_the_catalogue_wants_an_error(value: Callable[[str], Any], arguments: str) -> None:
    with pytest.raises(QueryError, match="NULL where it needs a value") as caught:
        value(f"ivo_epoch_prop_pos({arguments})")
    assert caught.value.code == "null-argument"
