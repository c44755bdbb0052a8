from __future__ import annotations

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from hypothesis import given
from hypothesis import strategies as st

from catalog.vo.position import lonlat, unit_vectors
from catalog.vo.region import (
    Circle,
    Polygon,
    bounding_cap,
    contains,
    enclosing_circle,
    hull_of_points,
    normalise_winding,
    polygon_area,
    unit_box,
)


def cloud(axis: tuple[float, float], radius: float, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Points within a radius, in degrees, of a place."""
    rng = np.random.default_rng(seed)
    centre = unit_vectors(*axis)
    spread = rng.normal(size=(count, 3))
    spread -= (spread @ centre)[:, None] * centre
    spread /= np.linalg.norm(spread, axis=1, keepdims=True)
    angle = np.radians(radius) * np.sqrt(rng.uniform(size=(count, 1)))
    return lonlat(centre * np.cos(angle) + spread * np.sin(angle))


places = st.tuples(
    st.sampled_from([0.0, 359.999, 83.8, 180.0]), st.sampled_from([-90.0, -89.99, -23.0, 0.0, 60.0, 90.0])
)


@given(places, st.floats(1e-4, 180), st.integers(1, 60), st.integers(0, 10_000))
def test_hull_holds_all_its_points(place: tuple[float, float], radius: float, count: int, seed: int) -> None:
    ra, dec = cloud(place, radius, count, seed)
    region = hull_of_points(ra, dec)
    if isinstance(region, Circle):
        region = Circle(region.ra, region.dec, min(region.radius + 1e-9, 180))
    assert contains(region, ra, dec).all()


@given(places, st.floats(0.01, 80), st.integers(3, 60), st.integers(0, 10_000))
def test_hull_is_convex_and_made_of_the_points(
    place: tuple[float, float], radius: float, count: int, seed: int
) -> None:
    ra, dec = cloud(place, radius, count, seed)
    region = hull_of_points(ra, dec)
    assert isinstance(region, Polygon)
    assert set(region.vertices) <= set(zip(ra.tolist(), dec.tolist(), strict=True))
    assert normalise_winding(region.vertices).tolist() == [list(v) for v in region.vertices]
    corners = unit_vectors(*np.array(region.vertices).T)
    for normal in np.cross(corners, np.roll(corners, -1, axis=0)):
        assert (corners @ normal <= 1e-12).all()


def test_hull_of_a_full_cap_has_its_area() -> None:
    region = hull_of_points(*cloud((0, 90), 20, 20_000, 1))
    assert isinstance(region, Polygon)
    cap = 2 * np.pi * (1 - np.cos(np.radians(20))) * (180 / np.pi) ** 2
    assert 0.97 * cap < polygon_area(region.vertices) < cap


def test_points_without_area_get_a_circle() -> None:
    assert hull_of_points([10], [20]) == Circle(10, 20, 0)
    region = hull_of_points([359, 0, 0.5, 1], [0, 0, 0, 0])
    assert isinstance(region, Circle)
    assert (region.ra, region.dec, region.radius) == pytest.approx((0, 0, 1), abs=1e-9)


def test_points_all_over_the_sky_get_a_circle_of_more_than_90_degrees() -> None:
    ra, dec = cloud((0, 0), 180, 500, 3)
    region = hull_of_points(ra, dec)
    assert isinstance(region, Circle)
    assert region.radius > 90
    assert contains(region, ra, dec).all()


def test_unknown_points_are_passed_over_and_none_left_is_refused() -> None:
    assert hull_of_points([10, np.nan, 5], [20, 3, np.nan]) == Circle(10, 20, 0)
    with pytest.raises(ValueError, match="at least one position"):
        hull_of_points([np.nan], [0])
    with pytest.raises(ValueError, match="all of them finite"):
        enclosing_circle([(0, np.nan)])


def smallest_by_force(vectors: np.ndarray) -> float:
    """Radius in degrees of the smallest cap, trying every pair and triple."""
    best = 180.0
    n = len(vectors)
    for i in range(n):
        for j in range(i + 1, n):
            axes = [vectors[i] + vectors[j]]
            for k in range(j + 1, n):
                normal = np.cross(vectors[j] - vectors[i], vectors[k] - vectors[i])
                axes += [normal, -normal]
            for axis in axes:
                axis = axis / np.linalg.norm(axis)
                best = min(best, np.degrees(np.arccos(np.clip(vectors @ axis, -1, 1).min())))
    return best


@given(places, st.floats(0.1, 89), st.integers(2, 9), st.integers(0, 10_000))
def test_enclosing_circle_is_the_smallest(place: tuple[float, float], radius: float, count: int, seed: int) -> None:
    ra, dec = cloud(place, radius, count, seed)
    centre_ra, centre_dec, found = enclosing_circle(np.stack([ra, dec], axis=1))
    separation = SkyCoord(ra, dec, unit="deg").separation(SkyCoord(centre_ra, centre_dec, unit="deg")).deg
    assert separation.max() <= found + 1e-9
    assert found == pytest.approx(smallest_by_force(unit_vectors(ra, dec)), rel=1e-6, abs=1e-6)


def test_enclosing_circle_of_known_points() -> None:
    assert enclosing_circle([(10, 20)]) == pytest.approx((10, 20, 0), abs=1e-12)
    assert enclosing_circle([(359, 0), (1, 0), (0, 0.5)]) == pytest.approx((0, 0, 1), abs=1e-9)
    _, dec, radius = enclosing_circle([(0, 80), (120, 80), (240, 80), (7, 85)])
    assert (dec, radius) == pytest.approx((90, 10), abs=1e-9)
    assert enclosing_circle([(0, 0), (180, 0)])[2] >= 90


def test_enclosing_circle_of_many_points_ends() -> None:
    ra, dec = cloud((200, -40), 3, 50_000, 5)
    assert enclosing_circle(np.stack([ra, dec], axis=1))[2] == pytest.approx(3, abs=0.01)


@pytest.mark.parametrize("axis", [(83.8, -5.4), (0.0, 90.0), (359.9, 0.0), (200.0, -89.0)])
@pytest.mark.parametrize("radius", [0.01, 3.0, 60.0])
def test_a_bounding_cap_holds_the_region_and_its_box_the_cap(axis: tuple[float, float], radius: float) -> None:
    region = hull_of_points(*cloud(axis, radius, 40, seed=3))
    cap = bounding_cap(region)
    ra, dec = cloud((cap.ra, cap.dec), cap.radius * 1.5, 4000, seed=4)
    inside = contains(region, ra, dec)
    assert inside.any()
    assert contains(cap, ra[inside], dec[inside]).all()

    box = np.array(unit_box(cap.ra, cap.dec, cap.radius)).reshape(3, 2)
    held = unit_vectors(ra, dec)[contains(cap, ra, dec)]
    assert (held >= box[:, 0] - 1e-12).all()
    assert (held <= box[:, 1] + 1e-12).all()
    assert (box[:, 0] <= held.min(axis=0) + radius * 0.02).all()


def test_a_bounding_cap_of_what_no_hemisphere_holds_is_the_sky() -> None:
    assert bounding_cap(Polygon(((0, 10), (120, 10), (240, 10)))).radius < 90
    assert bounding_cap(Polygon(((0, 0), (120, 0), (240, 0)))).radius == 180
    assert bounding_cap(Circle(10, 20, 180)).radius == 180
    assert unit_box(10, 20, 180) == (-1, 1, -1, 1, -1, 1)
