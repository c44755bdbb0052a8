"""What the axes of an image are (FITS 4.0 section 8): sky, spectrum, time, polarisation; and the spectral band.

The spectral axis becomes vacuum wavelength, as ObsCore counts it: frequency, wavelength (also in air), energy, wave
number, and velocity where a rest frequency or wavelength is stated.
"""

from __future__ import annotations

import math
import re
import warnings
from dataclasses import dataclass

from astropy import constants, units
from astropy.io import fits
from astropy.wcs import WCS

from catalog.ingest.fits.keywords import Keywords
from catalog.ingest.fits.structure import Hdu
from catalog.vo.spectrum import SPEED_OF_LIGHT

__all__ = ["Axes", "Band", "read_axes", "read_band"]

_SKY = re.compile(r"(RA--|DEC-|GLON|GLAT|[ESH]LON|[ESH]LAT|[A-Z]{2}LN|[A-Z]{2}LT).*|RA|DEC")
_TIMES = {"TIME", "UTC", "TAI", "TT", "TDB", "TCB", "TCG", "GPS", "UT1", "UT", "MJD"}
_ALIASES = {"LAMBDA": "WAVE", "WAVELENG": "WAVE", "WAVELENGTH": "WAVE", "FREQUENCY": "FREQ", "ENERGY": "ENER"}
_SPECTRAL = {"FREQ": "Hz", "WAVE": "m", "AWAV": "m", "ENER": "J", "WAVN": "1/m"}
_VELOCITIES = {"VRAD": "m/s", "VOPT": "m/s", "VELO": "m/s", "FELO": "m/s", "ZOPT": "", "BETA": ""}
_STOKES = {
    1: "I",
    2: "Q",
    3: "U",
    4: "V",
    -1: "RR",
    -2: "LL",
    -3: "RL",
    -4: "LR",
    -5: "XX",
    -6: "YY",
    -7: "XY",
    -8: "YX",
}
_ORDER = ("I", "Q", "U", "V", "RR", "LL", "RL", "LR", "XX", "YY", "XY", "YX")
_PLANCK_C = constants.h.value * SPEED_OF_LIGHT


@dataclass(frozen=True, slots=True)
class Band:
    """Vacuum wavelengths, metres."""

    em_min: float
    em_max: float


@dataclass(frozen=True, slots=True)
class Axes:
    """Lengths of the axes of one image by what they count; None where there is no such axis."""

    s_xel: tuple[int, int] | None = None
    em_xel: int | None = None
    t_xel: int | None = None
    pol_states: str | None = None
    pol_xel: int | None = None
    band: Band | None = None


def read_axes(hdu: Hdu, keywords: Keywords) -> Axes:
    """Sort the axes of an image or of random groups; a table has none."""
    lengths = list(hdu.shape)
    first = 2 if hdu.kind == "groups" else 1
    kinds = {first + n: _kind(keywords.text(f"CTYPE{first + n}")) for n in range(len(lengths))}
    size = {axis: lengths[axis - first] for axis in kinds}
    sky = [size[axis] for axis, kind in kinds.items() if kind == "sky"]
    time = next((size[axis] for axis, kind in kinds.items() if kind == "time"), None)
    stokes = next((axis for axis, kind in kinds.items() if kind == "stokes"), None)
    states = None if stokes is None else _polarisation(keywords, stokes, size[stokes])
    spectral = next((axis for axis, kind in kinds.items() if kind == "spectral"), None)
    band = None if spectral is None else _axis_band(hdu, keywords, spectral, size[spectral])
    return Axes(
        s_xel=(sky[0], sky[1]) if len(sky) == 2 and hdu.kind == "image" else None,
        em_xel=None if spectral is None else size[spectral],
        t_xel=time,
        pol_states=states,
        pol_xel=None if stokes is None else size[stokes],
        band=band,
    )


def read_band(keywords: Keywords) -> Band | None:
    """The band that plain keywords state: a frequency or wavelength, with a width where there is one.

    FREQ, OBSFREQ, FREQUENC and BANDWID; WAVELENG, WAVELEN, WAVELNTH, WAVEMIN, WAVEMAX; PHOTPLAM and PHOTBW.
    The unit stands in the comment, or is Hz, and metres (PHOTPLAM: Angstrom).
    """
    low, high = _quantity(keywords, "WAVEMIN", "m"), _quantity(keywords, "WAVEMAX", "m")
    if low and high:
        return _band(low, high)
    frequency = next((f for n in ("FREQ", "OBSFREQ", "FREQUENC") if (f := _quantity(keywords, n, "Hz"))), None)
    if frequency:
        half = (_quantity(keywords, "BANDWID", "Hz") or 0.0) / 2
        return _band(SPEED_OF_LIGHT / (frequency + half), SPEED_OF_LIGHT / max(frequency - half, frequency * 1e-3))
    unit = keywords.text("WAVEUNIT") or "m"
    names = ("WAVELENG", "WAVELEN", "WAVELNTH")
    wavelength = next((w for n in names if (w := _quantity(keywords, n, unit))), None)
    if wavelength:
        return _band(wavelength, wavelength)
    pivot = _quantity(keywords, "PHOTPLAM", "Angstrom")
    if pivot:
        half = (_quantity(keywords, "PHOTBW", "Angstrom") or 0.0) / 2
        return _band(max(pivot - half, pivot * 1e-3), pivot + half)
    return None


def _kind(ctype: str | None) -> str | None:
    name = (ctype or "").upper()
    if _SKY.fullmatch(name):
        return "sky"
    word = re.split(r"[- ]", _ALIASES.get(name, name))[0]
    if word in _SPECTRAL or word in _VELOCITIES:
        return "spectral"
    if word in _TIMES:
        return "time"
    return "stokes" if word == "STOKES" else None


def _polarisation(keywords: Keywords, axis: int, count: int) -> str | None:
    reference, step = keywords.number(f"CRVAL{axis}"), keywords.number(f"CDELT{axis}")
    pixel = keywords.number(f"CRPIX{axis}")
    if reference is None or not 0 < count <= len(_STOKES):
        return None
    codes = [round(reference + (n + 1 - (1.0 if pixel is None else pixel)) * (step or 1.0)) for n in range(count)]
    found = {_STOKES.get(code) for code in codes}
    return f"/{'/'.join(state for state in _ORDER if state in found)}/" if None not in found else None


def _axis_band(hdu: Hdu, keywords: Keywords, axis: int, count: int) -> Band | None:
    """Wavelengths at the outer edges of the axis."""
    if count < 1:
        return None
    name = (keywords.text(f"CTYPE{axis}") or "").upper()
    kind = re.split(r"[- ]", _ALIASES.get(name, name))[0]
    unit = _SPECTRAL.get(kind) or _VELOCITIES[kind]
    edges = _nonlinear(keywords, axis, count) if "-" in name and name[:4] not in ("VELO", "FELO") else None
    if edges is None:
        edges = _linear(keywords, axis, count, unit)
    rest = _rest_wavelength(keywords)
    waves = [_wavelength(kind, value, rest) for value in edges] if edges else []
    if len(waves) == 2 and all(wave is not None and math.isfinite(wave) and wave > 0 for wave in waves):
        return _band(*(wave for wave in waves if wave is not None))
    keywords.note(f"axis {axis} ({name}) yields no wavelengths")
    return None


def _linear(keywords: Keywords, axis: int, count: int, unit: str) -> tuple[float, float] | None:
    reference = keywords.number(f"CRVAL{axis}")
    step = keywords.number(f"CDELT{axis}", f"CD{axis}_{axis}")
    if reference is None or step is None:
        return None
    pixel = keywords.number(f"CRPIX{axis}") or 0.0
    factor = _factor(keywords.text(f"CUNIT{axis}") or unit, unit)
    if factor is None:
        keywords.note(f"CUNIT{axis} is not a unit of the axis")
        return None
    step *= keywords.number(f"PC{axis}_{axis}") or 1.0
    first, last = (reference + (edge - pixel) * step for edge in (0.5, count + 0.5))
    centre = (first + last) / 2
    if count == 1 and first * last < 0 < abs(centre):
        return centre * factor, centre * factor  # the width of a lone channel is often only a placeholder
    return first * factor, last * factor


def _nonlinear(keywords: Keywords, axis: int, count: int) -> tuple[float, float] | None:
    """Edges of an axis that is not linear, in SI units: by astropy, from a header that has this axis alone."""
    header = fits.Header()
    for name in ("CTYPE", "CRVAL", "CRPIX", "CDELT", "CUNIT"):
        value = keywords.raw(f"{name}{axis}")
        if isinstance(value, str | int | float):
            header[f"{name}1"] = value
    for name in ("RESTFRQ", "RESTWAV", *(f"PV{axis}_{number}" for number in range(7))):
        value = keywords.number(name)
        if value is not None:
            header[name.replace(f"PV{axis}_", "PV1_")] = value
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            values = WCS(header).wcs_pix2world([0.5, count + 0.5], 1)[0]
        except (ValueError, TypeError, KeyError, IndexError, RuntimeError, MemoryError, fits.VerifyError):
            return None
    return float(values[0]), float(values[1])


def _wavelength(kind: str, value: float, rest: float | None) -> float | None:
    """Vacuum wavelength in metres of a coordinate in SI units (Paper III of the FITS WCS, tables 1 and 2)."""
    if kind in _SPECTRAL and value <= 0:
        return None
    if kind == "FREQ":
        return SPEED_OF_LIGHT / value
    if kind == "WAVE":
        return value
    if kind == "AWAV":
        return value * _refraction(value)
    if kind == "ENER":
        return float(_PLANCK_C / value)
    if kind == "WAVN":
        return 1.0 / value
    if rest is None:
        return None
    beta = value if kind in ("ZOPT", "BETA") else value / SPEED_OF_LIGHT
    if kind == "VRAD":
        return rest / (1.0 - beta) if beta < 1 else None
    if kind in ("VOPT", "ZOPT", "FELO"):
        return rest * (1.0 + beta)
    return rest * math.sqrt((1.0 + beta) / (1.0 - beta)) if abs(beta) < 1 else None


def _refraction(wavelength: float) -> float:
    """Index of refraction of standard air (Paper III, equation 65), the wavelength in metres."""
    inverse = (wavelength * 1e6) ** -2
    return 1.0 + 1e-6 * (287.6155 + 1.62887 * inverse + 0.01360 * inverse**2)


def _rest_wavelength(keywords: Keywords) -> float | None:
    frequency = keywords.number("RESTFRQ", "RESTFREQ")
    if frequency and frequency > 0:
        return SPEED_OF_LIGHT / frequency
    wavelength = keywords.number("RESTWAV")
    return wavelength if wavelength and wavelength > 0 else None


def _quantity(keywords: Keywords, name: str, unit: str) -> float | None:
    """A positive value of a keyword in Hz or metres."""
    value = keywords.number(name)
    if value is None or value <= 0:
        return None
    wanted = "Hz" if _factor(unit, "Hz") is not None else "m"
    factor = _factor(keywords.unit(name) or unit, wanted)
    if factor is None:
        keywords.note(f"the unit of {name} is not one of {wanted}")
        return None
    return value * factor


def _factor(unit: str, wanted: str) -> float | None:
    """What turns a value in one unit into the other; None when that cannot be."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for spelling in (unit, unit.lower(), unit.capitalize()):
            try:
                return float(units.Unit(spelling).to(units.Unit(wanted)))
            except (ValueError, TypeError, units.UnitsError):
                continue
    return None


def _band(one: float, other: float) -> Band:
    return Band(min(one, other), max(one, other))
