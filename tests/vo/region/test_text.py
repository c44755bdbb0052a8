from __future__ import annotations

import re

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from hypothesis import given
from hypothesis import strategies as st

from catalog.vo.region import (
    Circle,
    Polygon,
    format_circle,
    format_polygon,
    format_region,
    normalise_winding,
    parse_region,
)

micro_ra = st.integers(0, 359_999_999).map(lambda n: n / 1e6)
micro_dec = st.integers(-90_000_000, 90_000_000).map(lambda n: n / 1e6)
micro_radius = st.integers(0, 180_000_000).map(lambda n: n / 1e6)


def simple_polygon(ra: float, dec: float, radius: float, corners: int) -> Polygon:
    """A regular polygon on the grid of a millionth of a degree."""
    centre = SkyCoord(ra, dec, unit="deg")
    around = centre.directional_offset_by(np.arange(corners) * (360 / corners) * u.deg, radius * u.deg)
    return Polygon(tuple(zip(around.ra.deg.round(6).tolist(), around.dec.deg.round(6).tolist(), strict=True)))


polygons = st.builds(simple_polygon, micro_ra, micro_dec, st.floats(0.01, 80), st.integers(3, 12))


@given(st.builds(Circle, micro_ra, micro_dec, micro_radius))
def test_circle_reads_back_equal(circle: Circle) -> None:
    assert parse_region(format_region(circle)) == circle


@given(polygons)
def test_polygon_reads_back_equal_once_wound(polygon: Polygon) -> None:
    wound = Polygon(tuple((ra, dec) for ra, dec in normalise_winding(polygon.vertices).tolist()))
    assert parse_region(format_polygon(wound.vertices)) == wound
    assert format_region(parse_region(format_region(wound))) == format_region(wound)


@given(st.floats(-720, 720), st.floats(-90, 90), st.floats(0, 180))
def test_any_circle_is_written_to_a_millionth_of_a_degree(ra: float, dec: float, radius: float) -> None:
    text = format_circle(ra, dec, radius)
    circle = parse_region(text)
    assert isinstance(circle, Circle)
    assert abs((circle.ra - ra + 180) % 360 - 180) <= 6e-7
    assert abs(circle.dec - dec) <= 6e-7
    assert abs(circle.radius - radius) <= 6e-7
    assert 0 <= float(text.split()[2]) < 360


@pytest.mark.parametrize(
    ("args", "text"),
    [
        ((83.8, -5.4, 3.0), "CIRCLE ICRS 83.8 -5.4 3"),
        ((-1e-9, -1e-9, 0.5), "CIRCLE ICRS 0 0 0.5"),
        ((359.9999999, 90, 180), "CIRCLE ICRS 0 90 180"),
        ((365, 0, 0), "CIRCLE ICRS 5 0 0"),
        ((10, 10, 2e-8), "CIRCLE ICRS 10 10 0.00000002"),
    ],
)
def test_circles_as_written(args: tuple[float, float, float], text: str) -> None:
    assert format_circle(*args) == text


def test_polygon_of_the_standard_is_written_by_its_words() -> None:
    expected = "POLYGON ICRS 10 10 10 10.2 10.2 10.2 10.2 10"
    assert format_polygon([(10, 10), (10.2, 10), (10.2, 10.2), (10, 10.2)]) == expected
    assert format_polygon([(10, 10), (10, 10.2), (10.2, 10.2), (10.2, 10)]) == expected


def test_polygon_across_the_origin_keeps_its_ra_in_range_and_is_not_closed() -> None:
    text = format_polygon([(-0.5, -1), (-0.5, 1), (360.5, 1), (0.5, -1), (-0.5, -1)])
    assert text == "POLYGON ICRS 359.5 -1 359.5 1 0.5 1 0.5 -1"


def test_polygon_below_a_microdegree_keeps_its_vertices_apart() -> None:
    tiny = [(10, 0), (10, 2e-8), (10 + 2e-8, 2e-8)]
    region = parse_region(format_polygon(tiny))
    assert isinstance(region, Polygon)
    np.testing.assert_allclose(region.vertices, tiny, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("text", "region"),
    [
        ("CIRCLE ICRS 10 20 1", Circle(10, 20, 1)),
        ("circle 10 20 1", Circle(10, 20, 1)),
        ("Circle ICRS GEOCENTER 10 20 1e0", Circle(10, 20, 1)),
        ("  CIRCLE\tJ2000  +10. -.5\n1 ", Circle(10, -0.5, 1)),
        ("CIRCLE ICRS TOPOCENTER SPHERICAL2 370 20 1", Circle(10, 20, 1)),
        ("POLYGON ICRS 0 0 0 1 1 1", Polygon(((0, 0), (0, 1), (1, 1)))),
        ("Polygon FK5 0 0 0 1 1 1 0 0", Polygon(((0, 0), (0, 1), (1, 1)))),
        ("polygon 1 1 0 1 0 0", Polygon(((1, 1), (0, 1), (0, 0)))),
    ],
)
def test_forms_in_the_wild(text: str, region: Circle | Polygon) -> None:
    assert parse_region(text) == region


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is not a region: expected CIRCLE ICRS"),
        ("BOX ICRS 1 2 3 4", "is not a region"),
        ("UNION ICRS (CIRCLE 1 2 3)", "is not a region"),
        ("CIRCLE", "takes three numbers, ra dec radius, not 0"),
        ("CIRCLE ICRS 1 2", "takes three numbers, ra dec radius, not 2"),
        ("CIRCLE ICRS 1 2 3 4", "takes three numbers, ra dec radius, not 4"),
        ("CIRCLE GALACTIC 1 2 3", "given in 'GALACTIC': expected the frame ICRS"),
        ("CIRCLE ICRS 1 2 x", "'x' is not a number"),
        ("CIRCLE ICRS 1 nan 3", "'nan' is not a number"),
        ("CIRCLE ICRS 1 2_0 3", "'2_0' is not a number"),
        ("CIRCLE ICRS 1 90.1 3", "is not a position"),
        ("CIRCLE ICRS 1e999 0 3", "is not a position"),
        ("CIRCLE ICRS 1 2 -3", "radius of 0 to 180 degrees, not -3"),
        ("CIRCLE ICRS 1 2 181", "radius of 0 to 180 degrees, not 181"),
        ("POLYGON ICRS 0 0 1 1", "at least three pairs of numbers, not 4"),
        ("POLYGON ICRS 0 0 1 1 2 2 3", "at least three pairs of numbers, not 7"),
        ("POLYGON ICRS 0 0 1 1 0 0", "at least three vertices, not 2"),
        ("POLYGON ICRS 0 0 0 91 1 1", "is not a position"),
    ],
)
def test_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_region(text)


numbers = st.from_regex(r"[0-9+\-.eE xnaIf_]{0,6}", fullmatch=True)


@given(st.sampled_from(["CIRCLE", "polygon", "POLYGON ICRS"]), st.lists(numbers, max_size=9).map(" ".join) | st.text())
def test_any_text_is_read_or_refused_in_words(shape: str, rest: str) -> None:
    try:
        region = parse_region(f"{shape} {rest}")
    except ValueError as error:
        refusal = str(error)
    else:
        refusal = ""
        assert parse_region(format_region(region))
    assert not refusal or re.search("expected|takes|not a number|has a", refusal)
