"""IN_UNIT against astropy, and the spectral axis."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from astropy import constants, units

from catalog.adql.udf.units import conversion
from catalog.errors import QueryError
from catalog.vo.table import Column

Ask = Callable[[str], list[tuple[Any, ...]]]
PAIRS = [
    ("deg", "arcsec"),
    ("arcsec", "deg"),
    ("GHz", "Hz"),
    ("Hz", "GHz"),
    ("m", "mm"),
    ("mm", "km"),
    ("d", "s"),
    ("s", "h"),
    ("mas/yr", "arcsec/h"),
    ("km/s", "m.s**-1"),
    ("kbyte", "byte"),
    ("mJy/beam", "Jy/beam"),
    ("deg", "rad"),
    ("deg**2", "sr"),
    ("eV", "J"),
    ("mag", "mmag"),
]


@pytest.mark.parametrize(("start", "end"), PAIRS)
def test_factors_are_those_of_astropy(start: str, end: str) -> None:
    multiplier, divisor = conversion(start, end)
    expected = units.Unit(start, format="vounit").to(units.Unit(end, format="vounit"))
    assert multiplier / divisor == pytest.approx(expected, rel=1e-15)
    assert 1.0 in (multiplier, divisor)


def test_values_are_converted(ask: Ask) -> None:
    assert ask("SELECT id, IN_UNIT(freq, 'Hz') FROM sky.stars ORDER BY id") == [
        (1, 345e9),
        (2, 850e9),
        (3, None),
        (4, 220e9),
        (5, -1e9),
    ]
    assert ask("SELECT IN_UNIT(width, 'mm'), IN_UNIT(width, 'km') FROM sky.stars WHERE id = 1") == [(2.0, 2e-6)]
    assert ask("SELECT IN_UNIT(t_max - t_min, 'h') FROM sky.stars WHERE id = 1") == [(12.0,)]
    assert ask("SELECT IN_UNIT(ra * 2, 'arcmin') FROM sky.stars WHERE id = 1") == [(1200.0,)]
    assert ask("SELECT IN_UNIT(AVG(freq), 'THz') FROM sky.stars WHERE freq > 0")[0][0] == pytest.approx(1.415 / 3)
    assert ask("SELECT IN_UNIT(DISTANCE(ra, decl, 10, 21), 'arcsec') FROM sky.stars WHERE id = 1")[0][0] == (
        pytest.approx(3600)
    )
    assert ask("SELECT id FROM sky.stars WHERE IN_UNIT(freq, 'THz') BETWEEN 0.3 AND 0.4") == [(1,)]


def test_conversions_nest_and_group(ask: Ask, described: Callable[[str], Column]) -> None:
    assert described("SELECT IN_UNIT(IN_UNIT(ra, 'arcmin') / t_max, 'arcsec/s') FROM sky.stars").unit == "arcsec/s"
    query = "SELECT IN_UNIT(width, 'mm') AS w, COUNT(*) FROM sky.stars GROUP BY IN_UNIT(width, 'mm') ORDER BY w"
    assert [row[0] for row in ask(query)] == [-3000, 0, 2, 250, 1500000]


def test_the_result_has_the_new_unit_and_keeps_its_meaning(described: Callable[[str], Column]) -> None:
    result = described("SELECT IN_UNIT(ra, 'arcsec') FROM sky.stars")
    assert (result.unit, result.ucd, result.datatype.votable) == ("arcsec", "pos.eq.ra", "double")
    assert result.name == "in_unit_ra"
    through = described("SELECT IN_UNIT(q.f, 'MHz') FROM (SELECT freq AS f FROM sky.stars) AS q")
    assert (through.unit, through.ucd) == ("MHz", "em.freq;stat.max")


@pytest.mark.parametrize(
    ("call", "column", "words"),
    [
        ("IN_UNIT(ra, 'parsnip')", 20, "'parsnip' is not a known unit"),
        ("IN_UNIT(ra, 'arcseconds')", 20, "not a known unit"),
        ("IN_UNIT(ra, '')", 20, "cannot be converted"),
        ("IN_UNIT(ra, 'GHz')", 20, "deg cannot be converted to GHz"),
        ("IN_UNIT(freq, 'm')", 22, "GHz cannot be converted to m"),
        ("IN_UNIT(freq, 'eV')", 22, "cannot be converted"),
        ("IN_UNIT(ra, 'deg_C')", 20, "not a known unit"),
        ("IN_UNIT(n, 'm')", 16, "no unit"),
        ("IN_UNIT(5, 'm')", 16, "no unit"),
        ("IN_UNIT(NULL, 'm')", 16, "no unit"),
        ("IN_UNIT(ra, name)", 20, "the unit is text in single quotes"),
        ("IN_UNIT(name, 'm')", 16, "this is text"),
    ],
)
def test_a_wrong_unit_is_refused_where_it_stands(
    described: Callable[[str], Column], call: str, column: int, words: str
) -> None:
    with pytest.raises(QueryError, match=words) as caught:
        described(f"SELECT {call} FROM sky.stars")
    assert (caught.value.code, caught.value.line) == ("arguments" if "text" in words else "unit", 1)
    assert caught.value.column == column


def test_a_temperature_with_an_offset_is_refused(described: Callable[[str], Column]) -> None:
    with pytest.raises(QueryError) as caught:
        described("SELECT IN_UNIT(IN_UNIT(ra, 'rad'), 'K') FROM sky.stars")
    assert caught.value.code == "unit"
    with pytest.raises(ValueError, match="deg_C"):
        conversion("K", "deg_C")


def test_frequencies_and_wavelengths(ask: Ask, value: Callable[[str], Any]) -> None:
    c = constants.c.value
    assert value("ccat_freq_to_wavelength(345)") == pytest.approx(c / 345e9, rel=1e-15)
    assert value("ccat_wavelength_to_freq(0.001)") == pytest.approx(299.792458, rel=1e-15)
    assert ask("SELECT id, ccat_wavelength_to_freq(width) FROM sky.stars ORDER BY id") == [
        (1, pytest.approx(149.896229)),
        (2, None),
        (3, pytest.approx(c / 1500 / 1e9)),
        (4, pytest.approx(c / 0.25 / 1e9)),
        (5, None),
    ]
    assert ask("SELECT id, ccat_freq_to_wavelength(freq) FROM sky.stars WHERE id IN (3, 5)") == [(3, None), (5, None)]
    for nothing in ("0", "-1", "NULL", "1e-320"):
        assert value(f"ccat_freq_to_wavelength({nothing})") is None
    assert value("ccat_freq_to_wavelength(ccat_wavelength_to_freq(0.00035))") == pytest.approx(0.00035, rel=1e-15)


def test_the_spectral_axis_says_what_it_is(described: Callable[[str], Column]) -> None:
    wavelength = described("SELECT ccat_freq_to_wavelength(freq) FROM sky.stars")
    assert (wavelength.unit, wavelength.ucd) == ("m", "em.wl;stat.min")
    frequency = described("SELECT ccat_wavelength_to_freq(width) FROM sky.stars")
    assert (frequency.unit, frequency.ucd) == ("GHz", "em.freq")


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ("ccat_freq_to_wavelength(width)", "takes GHz; this is in m"),
        ("ccat_wavelength_to_freq(freq)", "this is in GHz"),
    ],
)
def test_the_wrong_axis_is_refused(described: Callable[[str], Column], call: str, words: str) -> None:
    with pytest.raises(QueryError, match=words) as caught:
        described(f"SELECT {call} FROM sky.stars")
    assert caught.value.code == "unit"
