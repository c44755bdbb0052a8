"""Units, UCDs and the spectral axis: VOUnits 1.1, UCD1+ 1.5, and frequency to vacuum wavelength.

ObsCore counts the spectral axis in metres of vacuum wavelength (ObsCore 1.1 section 4.8), radio astronomy in GHz. The
trap: the lower edge in wavelength is the upper edge in frequency.
"""

from __future__ import annotations

import warnings
from typing import overload

import numpy as np
import numpy.typing as npt
from astropy import units
from astropy.io.votable.ucd import parse_ucd

__all__ = [
    "SPEED_OF_LIGHT",
    "band_ghz_to_m",
    "band_m_to_ghz",
    "ghz_to_m",
    "m_to_ghz",
    "validate_ucd",
    "validate_unit",
]

SPEED_OF_LIGHT = 299_792_458.0
"""In vacuum, m/s; exact by definition of the metre."""

_GHZ_M = SPEED_OF_LIGHT / 1e9


def validate_unit(text: str) -> None:
    """Check that the text is a unit by VOUnits 1.1; the empty text, dimensionless, is one.

    Raises:
        ValueError: It is not; the message gives the reason.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", units.UnitsWarning)  # deprecated spellings are still units
        try:
            units.Unit(text, format="vounit", parse_strict="raise")
        except (ValueError, TypeError) as error:
            raise ValueError(f"'{text}' is not a unit in the syntax of VOUnits: {error}") from None


def validate_ucd(text: str) -> None:
    """Check that the text is a UCD1+ made of words of the official list, each in a place that it may have.

    Raises:
        ValueError: It is not; the message gives the reason.
    """
    try:
        parse_ucd(text, check_controlled_vocabulary=True)
    except ValueError as error:
        raise ValueError(f"'{text}' is not a UCD1+: {error}") from None


@overload
def ghz_to_m(frequency: float) -> float: ...
@overload
def ghz_to_m(frequency: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]: ...
def ghz_to_m(frequency: float | npt.NDArray[np.float64]) -> float | npt.NDArray[np.float64]:
    """Vacuum wavelength in m of a frequency in GHz, a number or an array; NaN where it is not positive."""
    return _invert(frequency)


@overload
def m_to_ghz(wavelength: float) -> float: ...
@overload
def m_to_ghz(wavelength: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]: ...
def m_to_ghz(wavelength: float | npt.NDArray[np.float64]) -> float | npt.NDArray[np.float64]:
    """Frequency in GHz of a vacuum wavelength in m, a number or an array; NaN where it is not positive."""
    return _invert(wavelength)


def band_ghz_to_m(low: float, high: float) -> tuple[float, float]:
    """A band in GHz as (em_min, em_max) in m, ascending whatever the order of the edges."""
    edges = ghz_to_m(low), ghz_to_m(high)
    return min(edges), max(edges)


def band_m_to_ghz(em_min: float, em_max: float) -> tuple[float, float]:
    """A band in m of vacuum wavelength as (low, high) in GHz, ascending whatever the order of the edges."""
    edges = m_to_ghz(em_min), m_to_ghz(em_max)
    return min(edges), max(edges)


def _invert(value: float | npt.NDArray[np.float64]) -> float | npt.NDArray[np.float64]:
    values = np.asarray(value, dtype=np.float64)
    result = np.divide(_GHZ_M, values, out=np.full(values.shape, np.nan), where=values > 0)
    return result if isinstance(value, np.ndarray) else float(result)
