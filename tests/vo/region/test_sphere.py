from __future__ import annotations

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from hypothesis import assume, given
from hypothesis import strategies as st

from catalog.vo.position import lonlat, unit_vectors
from catalog.vo.region import Circle, Polygon, centroid, contains, normalise_winding, polygon_area

SQUARE_DEGREE = (np.pi / 180) ** 2
BY_THE_WORDS = [(10, 10), (10, 10.2), (10.2, 10.2), (10.2, 10)]

places = st.tuples(
    st.sampled_from([0.0, 0.01, 83.8, 180.0, 359.99]), st.sampled_from([-90.0, -89.9, -23.0, 0.0, 60.0, 89.99, 90.0])
)


def star(ra: float, dec: float, radii: list[float], *, clockwise: bool) -> np.ndarray:
    """A simple polygon around a place: one vertex in each direction, at the given distances in degrees."""
    angles = np.arange(len(radii)) * (360.0 / len(radii)) * (-1 if clockwise else 1)
    centre = SkyCoord(ra, dec, unit="deg")
    corners = centre.directional_offset_by(angles * u.deg, np.array(radii) * u.deg)
    return np.stack([corners.ra.deg, corners.dec.deg], axis=1)


def test_winding_of_the_standard_by_its_words() -> None:
    """Counter-clockwise as seen from the origin towards the sky: north is up and right ascension grows to the left."""
    np.testing.assert_array_equal(normalise_winding(BY_THE_WORDS), BY_THE_WORDS)
    lon, lat = np.array(BY_THE_WORDS).T
    x, y = -lon, lat
    assert np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y) > 0


@given(places, st.lists(st.floats(0.3, 60), min_size=3, max_size=10), st.booleans())
def test_both_windings_become_one(place: tuple[float, float], radii: list[float], clockwise: bool) -> None:
    corners = star(*place, radii, clockwise=clockwise)
    wound = normalise_winding(corners)
    np.testing.assert_array_equal(normalise_winding(wound), wound)
    reverse = normalise_winding(corners[::-1])
    start = int(np.flatnonzero((reverse == wound[0]).all(axis=1))[0])
    np.testing.assert_array_equal(np.roll(reverse, -start, axis=0), wound)


@given(places, st.lists(st.floats(0.3, 80), min_size=4, max_size=10))
def test_interior_lies_on_the_left_seen_from_the_origin(place: tuple[float, float], radii: list[float]) -> None:
    wound = unit_vectors(*normalise_winding(star(*place, [min(radii)] * len(radii), clockwise=False)).T)
    sides = np.cross(wound, np.roll(wound, -1, axis=0)) @ unit_vectors(*place)
    assert (sides < 0).all()  # right as seen from outside, so left as seen from the origin


def test_a_closed_polygon_loses_its_last_vertex() -> None:
    assert normalise_winding([*BY_THE_WORDS, BY_THE_WORDS[0]]).shape == (4, 2)


@pytest.mark.parametrize("vertices", [[], [(1, 1)], [(1, 1), (2, 2), (1, 1)], [1, 2, 3], [(1, 2, 3)] * 3])
def test_what_is_no_polygon_is_refused(vertices: list[object]) -> None:
    for function in (normalise_winding, polygon_area, centroid):
        with pytest.raises(ValueError, match=r"at least three vertices|pairs of ra and dec"):
            function(vertices)


@pytest.mark.parametrize(
    ("vertices", "steradians"),
    [
        ([(0, 0), (90, 0), (0, 90)], np.pi / 2),
        ([(0, 0), (0, 90), (90, 0)], np.pi / 2),
        ([(0, 0), (90, 0), (180, 0), (270, 45)], 1.5 * np.pi),
        (
            [(0, 80), (90, 80), (180, 80), (270, 80)],
            4 * (np.pi / 2 - 2 * np.arccos(1 / np.sqrt(1 + np.sin(np.radians(80)) ** 2))),
        ),
        ([(0, -0.001), (120, -0.001), (240, -0.001)], 2 * np.pi),
        ([(0, 0), (10, 0), (20, 0)], 0),
    ],
)
def test_area_on_the_sphere(vertices: list[tuple[float, float]], steradians: float) -> None:
    assert polygon_area(vertices) * SQUARE_DEGREE == pytest.approx(steradians, rel=2e-4, abs=1e-12)


@pytest.mark.parametrize("dec", [0.0, 45.0, 89.0])
@pytest.mark.parametrize("size", [1e-4, 0.01, 1.0])
def test_area_of_small_squares(dec: float, size: float) -> None:
    corners = star(0.0, dec, [size / np.sqrt(2)] * 4, clockwise=True)
    assert polygon_area(corners) == pytest.approx(size**2, rel=2e-4)


@given(places, st.lists(st.floats(0.3, 60), min_size=3, max_size=8), st.integers(0, 10_000))
def test_area_equals_the_share_of_random_points_inside(
    place: tuple[float, float], radii: list[float], seed: int
) -> None:
    polygon = Polygon(tuple(map(tuple, star(*place, radii, clockwise=False))))
    z = np.random.default_rng(seed).normal(size=(20_000, 3))
    share = contains(polygon, *lonlat(z)).mean()
    expected = polygon_area(polygon.vertices) * SQUARE_DEGREE / (4 * np.pi)
    assert abs(share - expected) < 6 * np.sqrt(max(expected, 1e-4) / 20_000)


@pytest.mark.parametrize("size", [1e-5, 1e-3, 0.05, 0.06, 1.0, 30.0, 70.0])
@pytest.mark.parametrize("place", [(0.0, 0.0), (359.9999, -45.0), (12.0, 90.0), (200.0, -89.99)])
def test_centroid_of_a_regular_polygon_is_its_centre(place: tuple[float, float], size: float) -> None:
    for clockwise in (False, True):
        found = centroid(star(*place, [size] * 7, clockwise=clockwise))
        assert SkyCoord(*found, unit="deg").separation(SkyCoord(*place, unit="deg")).deg < 1e-6 * size + 1e-10


@given(places, st.lists(st.floats(5, 50), min_size=3, max_size=8))
def test_centroid_is_the_mean_of_random_points_inside(place: tuple[float, float], radii: list[float]) -> None:
    polygon = Polygon(tuple(map(tuple, star(*place, radii, clockwise=False))))
    points = np.random.default_rng(1).normal(size=(100_000, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    inside = points[contains(polygon, *lonlat(points))]
    assume(len(inside) > 300)
    mean = lonlat(inside.mean(axis=0))
    offset = SkyCoord(*mean, unit="deg").separation(SkyCoord(*centroid(polygon.vertices), unit="deg")).deg
    assert offset < 6 * 50 / np.sqrt(len(inside))


def test_centroid_does_not_jump_where_the_plane_takes_over() -> None:
    kite = np.array([(0, 0), (-0.02, 0.07), (0, 0.1), (0.05, 0.07)])
    small, large = (np.array(centroid(kite * scale)) / scale for scale in (0.99, 1.01))
    np.testing.assert_allclose(small, large, rtol=0, atol=1e-6)


def test_centroid_of_a_line_is_its_middle() -> None:
    assert centroid([(359, 0), (0, 0), (1, 0)]) == pytest.approx((0, 0), abs=1e-12)


def test_concave_polygon_leaves_its_notch_out() -> None:
    arrow = Polygon(((0, 0), (5, 10), (0, 3), (355, 10)))
    inside = contains(arrow, [0, 3, 0, 0, 180], [2, 6.5, 9, 3.1, -2])
    assert inside.tolist() == [True, True, False, False, False]


def test_polygon_over_a_pole_holds_the_pole() -> None:
    cap = Polygon(((0, -80), (90, -80), (180, -80), (270, -80)))
    assert contains(cap, [0, 77, 45, 45], [-90, -85, -79.9, -83]).tolist() == [True, True, False, True]


def test_polygon_wider_than_90_degrees() -> None:
    wide = Polygon(((300, -50), (300, 50), (60, 50), (60, -50)))
    assert contains(wide, [0, 301, 59, 180, 299], [0, 0, 0, 0, 0]).tolist() == [True, True, True, False, False]
    assert contains(wide, [0, 0], [65, 68]).tolist() == [True, False]  # the upper edge bows to dec 67.2


@given(places, st.lists(st.floats(0.3, 60), min_size=3, max_size=8), st.booleans())
def test_the_border_belongs_to_the_polygon(place: tuple[float, float], radii: list[float], clockwise: bool) -> None:
    corners = star(*place, radii, clockwise=clockwise)
    polygon = Polygon(tuple(map(tuple, corners)))
    vectors = unit_vectors(*corners.T)
    middles = lonlat(vectors + np.roll(vectors, -1, axis=0))
    assert contains(polygon, *corners.T).all()
    assert contains(polygon, *middles).all()


def test_the_great_circle_beyond_an_edge_is_outside() -> None:
    long = Polygon(((0, 0), (150, 0), (75, 10)))
    assert contains(long, [75, 150, 200, 255, 330], [0, 0, 0, 0, 0]).tolist() == [True, True, False, False, False]


@given(places, st.floats(0, 180), st.integers(0, 1000))
def test_circle_holds_what_is_near(place: tuple[float, float], radius: float, seed: int) -> None:
    points = np.random.default_rng(seed).normal(size=(500, 3))
    ra, dec = lonlat(points)
    separation = SkyCoord(ra, dec, unit="deg").separation(SkyCoord(*place, unit="deg")).deg
    inside = contains(Circle(*place, radius), ra, dec)
    clear = np.abs(separation - radius) > 1e-9
    np.testing.assert_array_equal(inside[clear], (separation < radius)[clear])


def test_the_border_belongs_to_the_circle() -> None:
    assert contains(Circle(350, 0, 20), [10, 330, 10.0001], [0, 0, 0]).tolist() == [True, True, False]


def test_unknown_positions_lie_nowhere() -> None:
    square = Polygon(tuple(BY_THE_WORDS))
    for region in (square, Circle(10, 10, 180)):
        assert contains(region, [np.nan, 10.1], [10, np.nan]).tolist() == [False, False]
    assert contains(square, [[10.1], [11]], [10.1, 10.15]).shape == (2, 2)
