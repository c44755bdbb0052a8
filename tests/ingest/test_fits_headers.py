"""What headers say, in the many ways they say it; bad ones are told, never fatal."""

from __future__ import annotations

import bz2
import gzip
import lzma
import math
import tracemalloc
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalog.errors import UsageError
from catalog.ingest.fits import FitsDescription, describe_fits

C = 299_792_458.0
Cards = Mapping[str, Any]
SKY = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 83.8, "CRVAL2": -5.4, "CRPIX1": 10.5, "CRPIX2": 5.5} | {
    "CDELT1": -0.01,
    "CDELT2": 0.01,
}


def write(path: Path, *headers: Cards, shape: tuple[int, ...] = (10, 20)) -> Path:
    """A FITS file of images, one for each header."""
    units: list[fits.PrimaryHDU | fits.ImageHDU] = []
    for number, cards in enumerate(headers):
        unit = (fits.ImageHDU if number else fits.PrimaryHDU)(np.zeros(shape, np.uint8))
        for name, value in cards.items():
            unit.header[name] = value
        units.append(unit)
    fits.HDUList(units).writeto(path)
    return path


def describe(folder: Path, *headers: Cards, shape: tuple[int, ...] = (10, 20)) -> FitsDescription:
    return describe_fits(write(folder / "x.fits", *headers, shape=shape))


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


# Times


@pytest.mark.parametrize(
    ("cards", "start", "end"),
    [
        ({"DATE-OBS": "2026-04-01T02:00:00"}, "2026-04-01T02:00:00", None),
        ({"DATE-OBS": "2026-04-01T02:00:00.123456Z"}, "2026-04-01T02:00:00.123456", None),
        ({"DATE-OBS": "2026-04-01T02:00:00", "EXPTIME": 90}, "2026-04-01T02:00:00", "2026-04-01T02:01:30"),
        ({"DATE-OBS": "2026-04-01T02:00", "EXPTIME": (1.5, "[min] time")}, "2026-04-01T02:00", "2026-04-01T02:01:30"),
        ({"DATE-OBS": "2026-04-01T02:00", "TELAPSE": 60, "EXPTIME": 30}, "2026-04-01T02:00", "2026-04-01T02:01:00"),
        (
            {"DATE-BEG": "2026-04-01T02:00:00", "DATE-END": "2026-04-01T03:00:00"},
            "2026-04-01T02:00",
            "2026-04-01T03:00",
        ),
        ({"DATE-OBS": "2026-04-01T02:00:37", "TIMESYS": "TAI"}, "2026-04-01T02:00:00", None),
        ({"DATE-OBS": "2026-04-01T02:01:09.184", "TIMESYS": "TT(BIPM08)"}, "2026-04-01T02:00:00", None),
        ({"MJD-OBS": 61131.25}, "2026-04-01T06:00:00", None),
        ({"MJD-BEG": 61131.25, "MJD-END": 61131.5}, "2026-04-01T06:00:00", "2026-04-01T12:00:00"),
        ({"MJD-OBS": 61131.25 + 37 / 86400, "TIMESYS": "TAI"}, "2026-04-01T06:00:00", None),
        ({"DATE-OBS": "19/05/94", "TIME-OBS": "15:41:16"}, "1994-05-19T15:41:16", None),
        ({"DATE-OBS": "1998-04-20", "TIME-OBS": "18:38:15.5"}, "1998-04-20T18:38:15.500000", None),
        ({"DATE-OBS": "2026/4/1 02:00:00"}, "2026-04-01T02:00:00", None),
        ({"DATE-OBS": "2026-04-01", "EXPTIME": 60}, "2026-04-01T00:00:00", "2026-04-02T00:00:00"),
        ({"DATE-OBS": "2026-04-01", "MJD-OBS": 61131.25}, "2026-04-01T06:00:00", None),
        ({"DATE-OBS": "next tuesday", "MJD-OBS": 61131.25}, "2026-04-01T06:00:00", None),
        ({}, None, None),
    ],
)
def test_times_become_utc(cards: Cards, start: str | None, end: str | None, tmp_path: Path) -> None:
    found = describe(tmp_path, cards)
    assert found.start_time == (None if start is None else utc(start))
    assert found.end_time == (None if end is None else utc(end))


@pytest.mark.parametrize(
    ("cards", "note"),
    [
        ({"DATE-OBS": "next tuesday"}, "DATE-OBS cannot be read"),
        ({"DATE-OBS": "2026-02-30T00:00:00"}, "DATE-OBS cannot be read"),
        ({"DATE-OBS": "2026-04-01T02:00:00", "TIMESYS": "LOCAL"}, "TIMESYS 'LOCAL' is not known"),
        ({"DATE-OBS": "2026-04-01T02:00:00Z", "TIMESYS": "TT"}, "DATE-OBS cannot be read"),
        ({"MJD-OBS": 1e20}, "MJD-OBS cannot be read"),
        ({"MJD-OBS": "soon"}, "MJD-OBS is not a number"),
    ],
)
def test_times_that_cannot_be_read_are_left_out_and_noted(cards: Cards, note: str, tmp_path: Path) -> None:
    found = describe(tmp_path, cards)
    assert found.start_time is None
    assert any(note in told for told in found.notes), found.notes


def test_an_end_before_the_start_is_left_out(tmp_path: Path) -> None:
    found = describe(tmp_path, {"DATE-OBS": "2026-04-01T02:00:00", "DATE-END": "2026-03-01T02:00:00"})
    assert (found.start_time, found.end_time) == (utc("2026-04-01T02:00:00"), None)
    assert "end before they begin" in found.notes[0]


@pytest.mark.parametrize(
    ("cards", "seconds"),
    [
        ({"EXPTIME": 30.0}, 30.0),
        ({"EXPTIME": "30.0"}, 30.0),
        ({"EXPOSURE": (70.0, "Exposure time minutes")}, 4200.0),
        ({"XPOSURE": 25.0, "EXPTIME": 30.0}, 25.0),
        ({"EXPTIME": 3.1, "EXPOSURE": 4998.9}, 3.1),
        ({"EXPTIME": 3.1, "EXPOSURE": 4998.9, "HDUCLASS": "OGIP"}, 4998.9),
        ({"EXPTIME": -1.0}, None),
        ({"EXPTIME": "long"}, None),
        ({"EXPTIME": True}, None),
    ],
)
def test_integration_is_in_seconds(cards: Cards, seconds: float | None, tmp_path: Path) -> None:
    assert describe(tmp_path, cards).exposure.exptime_s == seconds


def test_extensions_with_times_of_their_own_add_up(tmp_path: Path) -> None:
    first = {"DATE-OBS": "2026-04-01T02:00:00", "EXPTIME": 30}
    second = {"DATE-OBS": "2026-04-01T02:01:00", "EXPTIME": 30}
    found = describe(tmp_path, {}, first, first, second)
    assert (found.start_time, found.end_time) == (utc("2026-04-01T02:00:00"), utc("2026-04-01T02:01:30"))
    assert found.exposure.exptime_s == 60.0


# The sky


def place(found: FitsDescription) -> tuple[float, float]:
    assert found.place is not None
    return found.place.ra, found.place.dec


@pytest.mark.parametrize(
    ("cards", "ra", "dec"),
    [
        ({"RA": 83.8, "DEC": -5.4}, 83.8, -5.4),
        ({"RA": "83.8", "DEC": "-5.4"}, 83.8, -5.4),
        ({"RA": "05:35:12.0", "DEC": "-05:24:00"}, 83.8, -5.4),
        ({"RA": "05 35 12", "DEC": "-00 24 00.0"}, 83.8, -0.4),
        ({"RA": "05h35m12s", "DEC": "-05d24m00s"}, 83.8, -5.4),
        ({"RA": (5.5866666666667, "[h] pointing"), "DEC": -5.4}, 83.8, -5.4),
        ({"OBSRA": -0.5, "OBSDEC": 89.0}, 359.5, 89.0),
        ({"RA_TARG": 1.0, "DEC_TARG": 2.0, "RA": 3.0, "DEC": 4.0}, 3.0, 4.0),
        ({"RA": 83.8, "DEC": -5.4, "EQUINOX": 2000.0, "RADESYS": "FK5"}, 83.8, -5.4),
        ({"RA": 83.181, "DEC": -5.4228, "EQUINOX": 1950.0}, 83.7954, -5.3912),
    ],
)
def test_a_pointing_is_read_from_keywords(cards: Cards, ra: float, dec: float, tmp_path: Path) -> None:
    assert place(describe(tmp_path, cards)) == pytest.approx((ra, dec), abs=2e-4)


@pytest.mark.parametrize(
    "cards",
    [
        {"RA": 1000.0, "DEC": 0.0},
        {"RA": 10.0, "DEC": 91.0},
        {"RA": "here", "DEC": "there"},
        {"RA": 10.0},
        {"RA": 1e308, "DEC": 1.0},
        {"RA": 10.0, "DEC": 10.0, "RADESYS": "APPARENT"},
    ],
)
def test_what_is_no_position_yields_none(cards: Cards, tmp_path: Path) -> None:
    assert describe(tmp_path, cards).place is None


def test_the_middle_of_the_pixels_is_the_centre(tmp_path: Path) -> None:
    found = describe(tmp_path, SKY | {"RA": 10.0, "DEC": 10.0})
    assert place(found) == pytest.approx((83.8, -5.4), abs=1e-6)
    assert found.place is not None
    assert found.place.fov == pytest.approx(math.hypot(0.2, 0.1), rel=1e-4)
    assert found.place.pixel_scale_arcsec == pytest.approx(36.0, rel=1e-4)
    assert found.axes.s_xel == (20, 10)
    assert found.dataproduct_type == "image"


def test_a_reference_point_off_the_middle_is_followed(tmp_path: Path) -> None:
    found = describe(tmp_path, SKY | {"CRPIX1": 110.5, "CRVAL2": 0.0})
    assert place(found) == pytest.approx((83.8 + math.degrees(math.atan(math.radians(1.0))), 0.0), abs=1e-6)


def test_a_header_without_pixels_yields_its_reference_point(tmp_path: Path) -> None:
    unit = fits.PrimaryHDU()
    unit.header.update(SKY | {"CTYPE1": "GLON-TAN", "CTYPE2": "GLAT-TAN", "CRVAL1": 0.0, "CRVAL2": 0.0})
    unit.writeto(tmp_path / "x.fits")
    found = describe_fits(tmp_path / "x.fits")
    assert place(found) == pytest.approx((266.40499, -28.93617), abs=1e-4)
    assert found.place is not None
    assert found.place.region is None


def test_chips_side_by_side_are_joined(tmp_path: Path) -> None:
    east = SKY | {"CRVAL1": 84.0}
    found = describe(tmp_path, {}, east, SKY | {"CRVAL1": 83.6}, east)
    assert place(found) == pytest.approx((83.8, -5.4), abs=1e-3)
    assert found.place is not None
    assert found.place.fov == pytest.approx(math.hypot(0.6, 0.1), rel=0.01)


@pytest.mark.parametrize(
    "cards",
    [
        {"CTYPE1": "HPLN-TAN", "CTYPE2": "HPLT-TAN"},
        {"CTYPE1": "GLON-TAB", "CTYPE2": "GLAT-TAB"},
        {"CTYPE1": "RA---XXX"},
        {"CDELT1": 0.0, "CDELT2": 0.0},
        {"CRVAL1": "here"},
        {"CUNIT1": "Jy"},
    ],
)
def test_a_wcs_that_is_broken_or_not_of_the_sky_yields_no_position(cards: Cards, tmp_path: Path) -> None:
    assert describe(tmp_path, SKY | cards).place is None


def test_a_tiled_image_is_read_like_any_other(tmp_path: Path) -> None:
    unit = fits.CompImageHDU(np.zeros((10, 20), np.int16))
    unit.header.update(SKY)
    fits.HDUList([fits.PrimaryHDU(), unit]).writeto(tmp_path / "x.fits.fz")
    found = describe_fits(tmp_path / "x.fits.fz")
    assert place(found) == pytest.approx((83.8, -5.4), abs=1e-6)
    assert (found.axes.s_xel, found.dataproduct_type) == ((20, 10), "image")


# Spectral, time and polarisation axes


def spectral(ctype: str, value: float, step: float, **cards: Any) -> dict[str, Any]:
    return {"CTYPE1": ctype, "CRVAL1": value, "CDELT1": step, "CRPIX1": 1.0, **cards}


@pytest.mark.parametrize(
    ("cards", "low", "high"),
    [
        (spectral("FREQ", 461e9, 1e6), C / (461e9 + 99.5e6), C / (461e9 - 0.5e6)),
        (spectral("FREQ", 461.0, 0.001, CUNIT1="GHz"), C / (461e9 + 99.5e6), C / (461e9 - 0.5e6)),
        (spectral("WAVE", 500.0, 1.0, CUNIT1="nm"), 499.5e-9, 599.5e-9),
        (spectral("LAMBDA", 5000.0, 10.0, CUNIT1="angstrom"), 4995e-10, 5995e-10),
        (spectral("AWAV", 500e-9, 1e-9), 499.5e-9 * 1.00029436, 599.5e-9 * 1.00029225),
        (spectral("WAVN", 1e6, 1e3), 1 / (1e6 + 99.5e3), 1 / (1e6 - 500.0)),
        (spectral("ENER", 1.0, 0.1, CUNIT1="keV"), 1.2398419843e-9 / 10.95, 1.2398419843e-9 / 0.95),
        (spectral("VRAD", 0.0, 1000.0, RESTFRQ=461e9), C / 461e9 / (1 + 500 / C), C / 461e9 / (1 - 99_500 / C)),
        (
            spectral("VOPT", 0.0, 1.0, CUNIT1="km/s", RESTFREQ=461e9),
            C / 461e9 * (1 - 500 / C),
            C / 461e9 * (1 + 99_500 / C),
        ),
        (spectral("VELO-LSR", 0.0, 1000.0, RESTFREQ=461e9), C / 461e9 * (1 - 500 / C), C / 461e9 * (1 + 99_500 / C)),
        (spectral("ZOPT", 0.01, 0.0001, RESTWAV=121.6e-9), 121.6e-9 * 1.00995, 121.6e-9 * 1.01995),
        (spectral("WAVE-LOG", 500e-9, 1e-9), 500e-9 * math.exp(-0.5 / 500), 500e-9 * math.exp(99.5 / 500)),
    ],
)
def test_a_spectral_axis_becomes_vacuum_wavelengths(cards: Cards, low: float, high: float, tmp_path: Path) -> None:
    found = describe(tmp_path, cards, shape=(100,))
    assert found.band is not None
    assert (found.band.em_min, found.band.em_max) == pytest.approx((low, high), rel=1e-7)
    assert (found.axes.em_xel, found.dataproduct_type) == (100, "spectrum")


@pytest.mark.parametrize(
    "cards",
    [
        spectral("VRAD", 0.0, 1000.0),
        spectral("FREQ", 461e9, 1e6, CUNIT1="Jy"),
        spectral("FREQ", 0.0, 1e6),
        spectral("WAVE", -1.0, 1e-9),
        spectral("BETA", 2.0, 0.1, RESTFRQ=461e9),
    ],
)
def test_an_axis_without_wavelengths_is_noted(cards: Cards, tmp_path: Path) -> None:
    found = describe(tmp_path, cards, shape=(100,))
    assert found.band is None
    assert found.notes
    assert found.axes.em_xel == 100


@pytest.mark.parametrize(
    ("cards", "low", "high"),
    [
        ({"FREQ": 461e9}, C / 461e9, C / 461e9),
        ({"FREQ": (461.0, "[GHz] tuned"), "BANDWID": (4.0, "[GHz]")}, C / 463e9, C / 459e9),
        ({"WAVELENG": (350.0, "[um] band")}, 350e-6, 350e-6),
        ({"WAVELNTH": 171, "WAVEUNIT": "angstrom"}, 171e-10, 171e-10),
        ({"WAVEMIN": (300.0, "[nm]"), "WAVEMAX": (1.0, "[um]")}, 300e-9, 1e-6),
        ({"PHOTPLAM": 5900.0, "PHOTBW": 600.0}, 5600e-10, 6200e-10),
    ],
)
def test_plain_keywords_state_a_band(cards: Cards, low: float, high: float, tmp_path: Path) -> None:
    band = describe(tmp_path, cards).band
    assert band is not None
    assert (band.em_min, band.em_max) == pytest.approx((low, high), rel=1e-9)


def test_a_cube_has_all_its_axes(tmp_path: Path) -> None:
    cards = SKY | {"CTYPE3": "FREQ", "CRVAL3": 461e9, "CDELT3": 1e6, "CRPIX3": 1.0}
    cards |= {"CTYPE4": "STOKES", "CRVAL4": 1.0, "CDELT4": 1.0, "CRPIX4": 1.0, "CTYPE5": "TIME"}
    found = describe(tmp_path, cards, shape=(7, 3, 50, 10, 20))
    assert (found.axes.s_xel, found.axes.em_xel, found.axes.t_xel) == ((20, 10), 50, 7)
    assert (found.axes.pol_states, found.axes.pol_xel) == ("/I/Q/U/", 3)
    assert found.dataproduct_type == "cube"
    assert place(found) == pytest.approx((83.8, -5.4), abs=1e-6)


# Words


def test_words_are_cleaned(tmp_path: Path) -> None:
    cards = {"OBJECT": "  Orion   KL ", "TELESCOP": "FYST", "INSTRUME": "CHAI", "DETECTOR": "LFA", "OBS_ID": "42"}
    found = describe(tmp_path, cards | {"FILTER": "unknown", "OBSERVER": ""})
    assert (found.object, found.telescope, found.instrument, found.module) == ("Orion KL", "FYST", "CHAI", "LFA")
    assert (found.observation, found.filter, found.observer) == ("42", None, None)


def test_numbers_serve_as_words(tmp_path: Path) -> None:
    found = describe(tmp_path, {"OBSID": 18059, "DETECTOR": 1})
    assert (found.observation, found.module) == ("18059", "1")


def test_huge_values_are_left_out(tmp_path: Path) -> None:
    cards = {"OBJECT": "x" * 5000, "EXPTIME": 1e300, "DATE-OBS": "2026-04-01T00:00:00", "RA": 1e300, "DEC": -1e300}
    found = describe(tmp_path, cards)
    assert found.object is None
    assert found.end_time is None
    assert found.place is None
    assert any("more than 255 characters" in note for note in found.notes)


def patch(path: Path, old: bytes, new: bytes) -> Path:
    """Exchange a card for another of any length."""
    content = path.read_bytes()
    assert old in content
    start = content.index(old)
    path.write_bytes(content[:start] + new.ljust(80)[:80] + content[start + 80 :])
    return path


@pytest.mark.parametrize(
    "card",
    [
        b"OBJECT  = 1E400",
        b"OBJECT  = 'no end of quotes",
        b"OBJECT  = 1.0, 2.0",
        b"OBJECT  = \xff\xfe\x00\x01",
        b"OBJECT  = 'a\nb'",
        b"\x00\x01\x02 junk",
        b"OBJECT  = 99999999999999999999999999999999999999999999",
        b"CRPIX1  = 'x'",
        b"NAXIS1  = 99",
    ],
)
def test_a_broken_card_costs_no_more_than_itself(card: bytes, tmp_path: Path) -> None:
    path = patch(write(tmp_path / "x.fits", {"OBJECT": "Mars", "TELESCOP": "FYST"}), b"OBJECT  =", card)
    assert describe_fits(path).telescope == "FYST"


# Files


@pytest.mark.parametrize(("suffix", "pack"), [("gz", gzip.compress), ("bz2", bz2.compress), ("xz", lzma.compress)])
def test_packed_files_are_read(suffix: str, pack: Any, tmp_path: Path) -> None:
    path = write(tmp_path / "x.fits", SKY, SKY | {"CRVAL1": 84.0}, shape=(1000, 20))
    packed = tmp_path / f"x.fits.{suffix}"
    packed.write_bytes(pack(path.read_bytes()))
    assert describe_fits(packed) == describe_fits(path)
    packed.write_bytes(packed.read_bytes()[:-30])
    with pytest.raises(UsageError, match="truncated"):
        describe_fits(packed)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (b"S", "does not begin with SIMPLE"),
        (b"\x1f\x8b", "broken or truncated"),
        (b"\x1f\x8bnonsense", "cannot be read|broken"),
        (b"\x1f\x9d\x90", r"LZW \(.Z\)"),
        (b"PK\x03\x04", "a zip archive"),
        (b"# a text\n" * 1000, "does not begin with SIMPLE"),
        (b"SIMPLE  =                    T".ljust(80), "has no END"),
        (b"SIMPLE  =                    T".ljust(80) + b"END".ljust(2800), "BITPIX is missing"),
    ],
)
def test_what_is_not_fits_is_told(content: bytes, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "x.fits"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=reason):
        describe_fits(path)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (b"BITPIX  =", b"BITPIX  =                    7", "BITPIX is 7"),
        (b"NAXIS   =", b"NAXIS   =                 1000", "NAXIS is 1000"),
        (b"NAXIS   =", b"NAXIS   =                   -1", "NAXIS is -1"),
        (b"NAXIS1  =", b"NAXIS1  =                  -20", "a size is negative"),
        (b"NAXIS1  =", b"NAXIS1  =                 20.5", "NAXIS1 is not an integer"),
        (b"NAXIS1  =", b"COMMENT", "NAXIS1 is missing"),
        (b"NAXIS1  =", b"NAXIS1  = 1000000000000000000000000000000", "the file is truncated"),
    ],
)
def test_a_broken_structure_is_told(old: bytes, new: bytes, reason: str, tmp_path: Path) -> None:
    path = patch(write(tmp_path / "x.fits", {}), old, new)
    with pytest.raises(UsageError, match=f"HDU 0.*{reason}"):
        describe_fits(path)


def test_every_cut_is_noticed_but_that_of_the_padding(tmp_path: Path) -> None:
    path = write(tmp_path / "x.fits", SKY, SKY, shape=(100, 50))
    whole = path.read_bytes()
    size = 2880 + 5760  # one header, 5000 bytes and their padding
    assert len(whole) == 2 * size
    for length in (1, 79, 2879, 2880, 5000, 2880 + 4999, size + 100, size + 2879, size + 2880 + 4999):
        path.write_bytes(whole[:length])
        with pytest.raises(UsageError):
            describe_fits(path)
    for length in (size, size + 2880 + 5000, 2 * size - 1):
        path.write_bytes(whole[:length])
        assert describe_fits(path).place is not None


def test_what_follows_the_last_hdu_is_passed_over(tmp_path: Path) -> None:
    path = write(tmp_path / "x.fits", SKY)
    path.write_bytes(path.read_bytes() + b"special records " * 180)
    assert describe_fits(path).place is not None


def test_a_file_that_says_it_is_not_standard_is_noted(tmp_path: Path) -> None:
    path = patch(write(tmp_path / "x.fits", {"OBJECT": "Mars"}), b"SIMPLE  =", b"SIMPLE  =                    F")
    found = describe_fits(path)
    assert (found.object, len(found.notes)) == (None, 1)
    assert "SIMPLE is F" in found.notes[0]


def test_a_header_without_end_is_not_read_for_ever(tmp_path: Path) -> None:
    path = tmp_path / "x.fits"
    with path.open("wb") as stream:
        stream.write(b"SIMPLE  =                    T".ljust(2880))
        stream.truncate(2**31)
    tracemalloc.start()
    with pytest.raises(UsageError, match="has no END within"):
        describe_fits(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 60 * 2**20


def test_memory_does_not_grow_with_the_data(tmp_path: Path) -> None:
    path = write(tmp_path / "x.fits", SKY)
    patch(path, b"NAXIS2  =", b"NAXIS2  =             50000000")
    with path.open("r+b") as stream:
        stream.truncate(2880 + 20 * 50_000_000)
    tracemalloc.start()
    describe_fits(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20 * 2**20


def test_half_a_plate_solution_does_not_end_the_process(tmp_path: Path) -> None:
    """Wcslib reads beyond its memory when PLTRAH comes without the rest."""
    assert place(describe(tmp_path, SKY | {"PLTRAH": 14, "CNPIX1": 1})) == pytest.approx((83.8, -5.4), abs=1e-6)


ODD_VALUES = (
    *("1E400", "-1", "0", "T", "1e308", "-1e308", "99999999999999999999", "NaN", "(1.0, 2.0)", "", "1000000"),
    *("'x'", "''", "'1E400'", "'RA---TAN'", "'DEC--AZP'", "'GLON-CAR'", "'HPLN-TAN'", "'HEALPIX'", "'FREQ-LOG'"),
    *("'AWAV-GRI'", "'WAVE-TAB'", "'VRAD'", "'STOKES'", "'TIME'", "'2026-01-01T99:00:00'", "\xff\xfe"),
)
ODD_KEYWORDS = (
    *("CTYPE1", "CTYPE2", "CTYPE3", "CRVAL1", "CRVAL2", "CRPIX1", "CDELT1", "CUNIT1", "PC1_1", "CD1_1", "CROTA2"),
    *("NAXIS", "NAXIS1", "NAXIS2", "NAXIS3", "BITPIX", "GROUPS", "ZIMAGE", "WCSAXES", "LONPOLE", "PV2_1", "A_ORDER"),
    *("CPDIS1", "VELREF", "PLTRAH", "RADESYS", "EQUINOX", "RA", "DEC", "DATE-OBS", "MJD-OBS", "TIMESYS", "EXPTIME"),
    *("RESTFRQ", "FREQ", "WAVELENG", "PHOTPLAM", "OBJECT"),
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_header_is_fatal(data: st.DataObject, tmp_path: Path) -> None:
    """Cards at random places are exchanged for odd ones: the file is described or refused, and nothing else."""
    base = tmp_path / "base.fits"
    if not base.exists():
        cards = SKY | {"CTYPE3": "FREQ", "CRVAL3": 461e9, "CDELT3": 1e6, "CRPIX3": 1.0}
        write(base, cards, cards | {"DATE-OBS": "2026-04-01T02:00:00"}, shape=(5, 10, 20))
    content = bytearray(base.read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        start = data.draw(st.sampled_from([0, 5760])) + 80 * data.draw(st.integers(1, 24))
        card = f"{data.draw(st.sampled_from(ODD_KEYWORDS)):8}= {data.draw(st.sampled_from(ODD_VALUES))}"
        content[start : start + 80] = card.ljust(80).encode("latin-1")
    path = tmp_path / "odd.fits"
    path.write_bytes(content)
    try:
        found = describe_fits(path)
    except UsageError as error:
        assert error.message  # noqa: PT017  (a refusal is as good as a description)
        return
    if found.place is not None:
        assert 0 <= found.place.ra <= 360
        assert -90 <= found.place.dec <= 90
        assert found.place.fov is None or 0 <= found.place.fov <= 360
