"""The spectral axis: which wavelengths a package covers and how finely, and how the beam follows from them."""

from __future__ import annotations

import numpy as np

from catalog.obscore.batch import Batch, Floats, Values, first_of
from catalog.opsdb.enums import ModuleKind
from catalog.vo.spectrum import ghz_to_m, m_to_ghz

__all__ = ["derive_spectral_axis"]

_KHZ_PER_GHZ = 1e6
_LARGEST = 2.0**63  # what a column of 64 bits does not hold


def derive_spectral_axis(batch: Batch) -> dict[str, Values]:
    """em_* in metres of vacuum wavelength, f_resolution in kHz, s_resolution_min and _max in arcsec.

    A heterodyne module that was tuned covers its line ± half of the instantaneous band, provided that the line lies in
    the module's own band; any other covers the module's band.
    """
    low, high, is_tuned = _band_ghz(batch)
    em_min = first_of(batch.floats("stated_em_min"), ghz_to_m(high))
    em_max = first_of(batch.floats("stated_em_max"), ghz_to_m(low))
    low, high = m_to_ghz(em_max), m_to_ghz(em_min)
    middle = (low + high) / 2.0
    channel = batch.floats("channel_width_khz")
    power = first_of(
        batch.floats("stated_em_res_power"), middle * _KHZ_PER_GHZ / channel, batch.floats("module_resolving_power")
    )
    channels = np.where(is_tuned, np.rint((high - low) * _KHZ_PER_GHZ / channel), np.nan)
    beam = batch.floats("s_resolution")
    return {
        "em_min": em_min,
        "em_max": em_max,
        "em_res_power": power,
        "em_xel": _whole(first_of(batch.floats("stated_em_xel"), channels)),
        "em_resolution": (em_min + em_max) / 2.0 / power,
        "f_resolution": first_of(batch.floats("stated_f_resolution"), channel, middle * _KHZ_PER_GHZ / power),
        "s_resolution_min": first_of(batch.floats("stated_s_resolution_min"), beam * middle / high),
        "s_resolution_max": first_of(batch.floats("stated_s_resolution_max"), beam * middle / low),
    }


def _band_ghz(batch: Batch) -> tuple[Floats, Floats, np.ndarray[tuple[int, ...], np.dtype[np.bool_]]]:
    """Lower and upper edge in GHz, and whether a tuned line says so."""
    low, high = batch.floats("module_frequency_min_ghz"), batch.floats("module_frequency_max_ghz")
    line, half = batch.floats("line_frequency_ghz"), batch.floats("line_bandwidth_ghz") / 2.0
    is_heterodyne = np.array([kind == ModuleKind.HETERODYNE for kind in batch.values("module_kind")], dtype=bool)
    is_outside = (line < low) | (line > high)
    is_tuned = is_heterodyne & (line - half > 0) & ~is_outside
    return np.where(is_tuned, line - half, low), np.where(is_tuned, line + half, high), is_tuned


def _whole(numbers: Floats) -> list[object]:
    return [int(number) if abs(number) < _LARGEST else None for number in numbers.tolist()]
