from __future__ import annotations

import contextlib
import logging
import warnings
from pathlib import Path

import astropy
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS
from hypothesis import given
from hypothesis import strategies as st

from catalog.vo.region import (
    Circle,
    Polygon,
    centroid,
    contains,
    enclosing_circle,
    format_region,
    normalise_winding,
    parse_region,
)
from catalog.vo.region.wcs import wcs_footprint, wcs_region

ASTROPY = Path(astropy.__file__).parent
FILES = sorted(ASTROPY.rglob("tests/data/**/*.fits*")) + sorted(ASTROPY.rglob("tests/**/*.hdr"))


def headers_of(path: Path) -> list[fits.Header]:
    """Every header that astropy can read from the file, whatever it thinks of it."""
    headers: list[fits.Header] = []
    with warnings.catch_warnings(), contextlib.suppress(Exception):
        warnings.simplefilter("ignore")
        if path.suffix == ".hdr":
            content = path.read_bytes()
            headers += [fits.Header.fromstring(content, sep=sep) for sep in ("\n", "")]
        else:
            for hdus in (fits.open(path), fits.open(path, disable_image_compression=True)):
                with hdus:
                    headers += [hdu.header for hdu in hdus]
    return headers


def image(**cards: object) -> fits.Header:
    header = fits.Header()
    header["NAXIS"], header["NAXIS1"], header["NAXIS2"] = 2, 200, 100
    header["CTYPE1"], header["CTYPE2"] = "RA---TAN", "DEC--TAN"
    header["CRVAL1"], header["CRVAL2"], header["CRPIX1"], header["CRPIX2"] = 83.8, -5.4, 100.5, 50.5
    header["CDELT1"], header["CDELT2"], header["CUNIT1"], header["CUNIT2"] = -0.01, 0.01, "deg", "deg"
    for keyword, value in cards.items():
        header[keyword] = value
    return header


def separation(position: tuple[float, float], ra: float, dec: float) -> float:
    return float(SkyCoord(*position, unit="deg").separation(SkyCoord(ra, dec, unit="deg")).deg)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_odd_header_is_handled_in_silence(path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for header in headers_of(path):
        keywords_before = list(header)
        corners, region = wcs_footprint(header), wcs_region(header)
        if corners is not None:
            assert corners.shape == (4, 2)
            assert np.isfinite(corners).all()
            assert region is not None
        if region is not None:
            assert parse_region(format_region(region))
        assert list(header) == keywords_before
    assert capfd.readouterr() == ("", "")


def test_the_judge_has_something_to_judge() -> None:
    found = sum(any(wcs_footprint(header) is not None for header in headers_of(path)) for path in FILES)
    assert found >= 50


def test_log_of_astropy_stays_silent(caplog: pytest.LogCaptureFixture) -> None:
    header = image(A_ORDER=2, B_ORDER=2, A_2_0=1e-5, B_0_2=1e-5)
    with caplog.at_level(logging.DEBUG):
        assert wcs_footprint(header) is not None
    assert not caplog.records


def test_corners_are_the_outer_edges_of_the_pixels() -> None:
    corners = wcs_footprint(image())
    assert corners is not None
    expected = WCS(image()).calc_footprint(center=False)
    np.testing.assert_allclose(sorted(corners.tolist()), sorted(expected.tolist()), rtol=0, atol=1e-9)
    np.testing.assert_array_equal(normalise_winding(corners), corners)
    assert separation(centroid(corners), 83.8, -5.4) < 1e-6
    region = wcs_region(image())
    assert isinstance(region, Polygon)
    np.testing.assert_allclose(region.vertices, corners, rtol=0, atol=1e-12)


def test_axes_may_stand_in_any_order_among_others() -> None:
    header = image(NAXIS=4, NAXIS1=64, NAXIS2=100, NAXIS3=1, NAXIS4=200)
    types = ["FREQ", "DEC--TAN", "STOKES", "RA---TAN"]
    values, pixels, steps = [4.6e11, -5.4, 1, 83.8], [1, 50.5, 1, 100.5], [1e5, 0.01, 1, -0.01]
    for axis in range(4):
        header[f"CTYPE{axis + 1}"], header[f"CRVAL{axis + 1}"] = types[axis], values[axis]
        header[f"CRPIX{axis + 1}"], header[f"CDELT{axis + 1}"] = pixels[axis], steps[axis]
        header[f"CUNIT{axis + 1}"] = ["Hz", "deg", "", "deg"][axis]
    cube, plane = wcs_footprint(header), wcs_footprint(image())
    assert cube is not None
    assert plane is not None
    np.testing.assert_allclose(sorted(cube.tolist()), sorted(plane.tolist()), rtol=0, atol=1e-9)


def test_axes_above_naxis_hold_one_value() -> None:
    spectrum = image(NAXIS=1, CTYPE1="FREQ", CRVAL1=4.6e11, CDELT1=1e5, CUNIT1="Hz", CTYPE2="RA---TAN", CRVAL2=83.8)
    for keyword, value in {"CTYPE3": "DEC--TAN", "CRVAL3": -5.4, "CRPIX3": 1, "CDELT3": 0.01, "CUNIT3": "deg"}.items():
        spectrum[keyword] = value
    spectrum["CRPIX2"], spectrum["NAXIS1"] = 1, 4096
    del spectrum["NAXIS2"]
    corners = wcs_footprint(spectrum)
    assert corners is not None
    assert separation(centroid(corners), 83.8, -5.4) < 1e-6


@pytest.mark.parametrize(
    ("cards", "position"),
    [
        ({"CTYPE1": "GLON-TAN", "CTYPE2": "GLAT-TAN", "CRVAL1": 0.0, "CRVAL2": 0.0}, (266.4050, -28.9362)),
        ({"CTYPE1": "ELON-TAN", "CTYPE2": "ELAT-TAN", "CRVAL1": 90.0, "CRVAL2": 0.0}, (90.0, 23.4393)),
        ({"CTYPE1": "SLON-TAN", "CTYPE2": "SLAT-TAN", "CRVAL1": 0.0, "CRVAL2": 0.0}, (42.3096, 59.5282)),
        ({"RADESYS": "FK4", "EQUINOX": 1950.0, "CRVAL1": 192.25, "CRVAL2": 27.4}, (192.85948, 27.12825)),
        ({"RADESYS": "FK5", "EQUINOX": 2025.0, "CRVAL1": 0.0, "CRVAL2": 0.0}, (359.6797, -0.1392)),
        ({"RADESYS": "FK5", "EQUINOX": 2000.0}, (83.8, -5.4)),
        ({"EQUINOX": 2000.0}, (83.8, -5.4)),
        ({"RADESYS": "ICRS", "DATE-OBS": "2035-01-01", "MJD-OBS": 64328.0}, (83.8, -5.4)),
    ],
)
def test_frames_of_the_sky_become_icrs(cards: dict[str, object], position: tuple[float, float]) -> None:
    corners = wcs_footprint(image(**cards))
    assert corners is not None
    assert separation(centroid(corners), *position) < 2e-3


@pytest.mark.parametrize(
    "cards",
    [
        {"CTYPE1": "HPLN-TAN", "CTYPE2": "HPLT-TAN"},
        {"CTYPE1": "TLON-TAN", "CTYPE2": "TLAT-TAN"},
        {"CTYPE1": "MALN-CAR", "CTYPE2": "MALT-CAR"},
        {"CTYPE1": "LINEAR", "CTYPE2": "LINEAR"},
        {"CTYPE1": "RA---TAN", "CTYPE2": "RA---TAN"},
        {"CTYPE1": "RA---XYZ", "CTYPE2": "DEC--XYZ"},
        {"CTYPE1": "RA---TAB", "CTYPE2": "DEC--TAB"},
        {"RADESYS": "GAPPT"},
        {"CDELT1": 0.0},
        {"CRVAL2": "ninety"},
        {"CUNIT1": "parsec"},
        {"NAXIS1": 0},
        {"NAXIS": 0},
        {"NAXIS": "two"},
        {"XTENSION": "BINTABLE"},
        {"EQUINOX": 1e9, "RADESYS": "FK5"},
    ],
    ids=str,
)
def test_no_usable_sky_gives_none(cards: dict[str, object]) -> None:
    header = image(**cards)
    assert wcs_footprint(header) is None
    assert wcs_region(header) is None


def test_an_empty_header_gives_none() -> None:
    assert wcs_footprint(fits.Header()) is None
    assert wcs_region(fits.Header()) is None


def test_distortions_are_left_out() -> None:
    distorted = image(CTYPE1="RA---TAN-SIP", CTYPE2="DEC--TAN-SIP", A_ORDER=2, B_ORDER=2, A_2_0=1e-5, B_0_2=1e-5)
    lookup = image(CPDIS1="Lookup", CPDIS2="Lookup", NPOL="x", AXISCORR=1)
    plain = wcs_footprint(image())
    assert plain is not None
    for header in (distorted, lookup):
        corners = wcs_footprint(header)
        assert corners is not None
        np.testing.assert_allclose(corners, plain, rtol=0, atol=1e-9)


def allsky(projection: str, step: float = 1.0) -> fits.Header:
    return image(
        CTYPE1=f"GLON-{projection}",
        CTYPE2=f"GLAT-{projection}",
        CRVAL1=0.0,
        CRVAL2=0.0,
        NAXIS1=round(360 / step),
        NAXIS2=round(180 / step),
        CRPIX1=180 / step + 0.5,
        CRPIX2=90 / step + 0.5,
        CDELT1=-step,
        CDELT2=step,
    )


@pytest.mark.parametrize("projection", ["AIT", "MOL", "CAR", "SFL"])
def test_a_map_of_the_whole_sky_is_a_circle_of_180_degrees(projection: str) -> None:
    region = wcs_region(allsky(projection))
    assert isinstance(region, Circle)
    assert region.radius == 180


@pytest.mark.parametrize("projection", ["AIT", "MOL"])
def test_corners_outside_the_projection_give_no_footprint(projection: str) -> None:
    assert wcs_footprint(allsky(projection)) is None


def test_a_hemisphere_in_orthographic_projection_is_a_circle_around_its_centre() -> None:
    header = image(CTYPE1="RA---SIN", CTYPE2="DEC--SIN", CDELT1=-0.7, CDELT2=1.4)
    region = wcs_region(header)
    assert isinstance(region, Circle)
    assert separation((region.ra, region.dec), 83.8, -5.4) < 1
    assert 60 < region.radius <= 90


def test_wide_images_follow_their_bent_edges() -> None:
    header = image(CTYPE1="RA---CAR", CTYPE2="DEC--CAR", CRVAL1=0.0, CRVAL2=0.0, CDELT1=-0.4, CDELT2=0.4)
    region = wcs_region(header)
    assert isinstance(region, Polygon)
    assert len(region.vertices) == 16
    ra, dec, radius = enclosing_circle(region.vertices)
    assert separation((ra, dec), 0, 0) < 1e-6
    assert 40 < radius < 45
    assert contains(region, [39.9, 320.1, 0], [0, 0, 19.9]).all()


def test_an_image_over_the_pole_holds_the_pole() -> None:
    region = wcs_region(image(CRVAL1=83.8, CRVAL2=90.0))
    assert isinstance(region, Polygon)
    assert contains(region, [0, 83.8], [90, 89.6]).all()


junk = st.one_of(
    st.integers(-(2**40), 2**40),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=12),
    st.sampled_from(
        ["RA---TAN", "DEC--TAN", "GLON-AIT", "FREQ", "ELAT-CAR", "FK4", "FK5", "deg", "arcsec", "RA---HPX"]
    ),
)
keywords = st.sampled_from(
    [f"{k}{n}" for k in ("CTYPE", "CRVAL", "CRPIX", "CDELT", "CUNIT", "CROTA", "NAXIS", "PV2_", "CD1_") for n in "123"]
    + ["NAXIS", "WCSAXES", "RADESYS", "EQUINOX", "LONPOLE", "LATPOLE", "ZIMAGE", "XTENSION", "EPOCH", "DATE-OBS"]
)


@given(st.dictionaries(keywords, junk, max_size=6))
def test_junk_in_a_header_never_raises(cards: dict[str, object]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", fits.verify.VerifyWarning)
        header = image(**cards)
    corners, region = wcs_footprint(header), wcs_region(header)
    assert corners is None or np.isfinite(corners).all()
    assert region is None or format_region(region)
