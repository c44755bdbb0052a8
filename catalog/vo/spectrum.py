"""The spectral axis: frequency and vacuum wavelength.

ObsCore counts the spectral axis in metres of vacuum wavelength (ObsCore 1.1 section 4.8), radio astronomy in GHz. The
trap: the lower edge in wavelength is the upper edge in frequency.
"""

from __future__ import annotations

from typing import overload

import numpy as np
import numpy.typing as npt

__all__ = ["SPEED_OF_LIGHT", "ghz_to_m", "m_to_ghz"]

SPEED_OF_LIGHT = 299_792_458.0
"""In vacuum, m/s; exact by definition of the metre."""

_GHZ_M = SPEED_OF_LIGHT / 1e9


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


def _invert(value: float | npt.NDArray[np.float64]) -> float | npt.NDArray[np.float64]:
    values = np.asarray(value, dtype=np.float64)
    result = np.divide(_GHZ_M, values, out=np.full(values.shape, np.nan), where=values > 0)
    return result if isinstance(value, np.ndarray) else float(result)
