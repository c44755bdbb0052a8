from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.vo.units import band_ghz_to_m, band_m_to_ghz, ghz_to_m, m_to_ghz, validate_ucd, validate_unit


@pytest.mark.parametrize(
    "unit", ["", "deg", "kbyte", "m", "s", "d", "arcsec", "GHz", "Jy/beam", "mJy.arcsec**-2", "Angstrom"]
)
def test_units_of_the_standard_pass(unit: str) -> None:
    validate_unit(unit)


@pytest.mark.parametrize("unit", ["degres", "Jy per beam", "m/s/", "km^^2"])
def test_other_units_are_refused_by_name(unit: str) -> None:
    with pytest.raises(ValueError, match=r"is not a unit in the syntax of VOUnits: ."):
        validate_unit(unit)


@pytest.mark.parametrize(
    "ucd",
    [
        "meta.code.class",
        "meta.code;obs.calib",
        "meta.ref.ivoid",
        "phys.size;meta.file",
        "phys.angSize;instr.fov",
        "pos.outline;obs.field",
        "time.start;obs.exposure",
        "em.wl;stat.min",
        "meta.code;phys.polarization",
        "meta.id;obs.proposal",
        "meta.checksum;meta.file",
    ],
)
def test_ucds_of_obscore_pass(ucd: str) -> None:
    validate_ucd(ucd)


@pytest.mark.parametrize("ucd", ["", "meta.nonsense", "meta.file;meta.id", "pos.eq.ra;", "meta id", "ü"])
def test_other_ucds_are_refused_with_the_reason(ucd: str) -> None:
    with pytest.raises(ValueError, match=r"is not a UCD1\+: ."):
        validate_ucd(ucd)


@pytest.mark.parametrize(
    ("low", "high", "em_min", "em_max"),
    [(250, 315, 9.517221e-4, 1.199170e-3), (802, 898, 3.338446e-4, 3.738061e-4), (455, 495, 6.056413e-4, 6.588845e-4)],
)
def test_band_edges_swap(low: float, high: float, em_min: float, em_max: float) -> None:
    assert band_ghz_to_m(low, high) == pytest.approx((em_min, em_max), rel=1e-6)
    assert band_ghz_to_m(high, low) == band_ghz_to_m(low, high)
    assert band_m_to_ghz(em_min, em_max) == pytest.approx((low, high), rel=1e-6)


@given(st.floats(1e-3, 1e6))
def test_frequency_and_wavelength_are_inverse(frequency: float) -> None:
    assert m_to_ghz(ghz_to_m(frequency)) == pytest.approx(frequency, rel=1e-15)


def test_arrays_keep_their_shape_and_what_is_not_positive_is_unknown() -> None:
    result = ghz_to_m(np.array([[299.792458, 0.0], [-1.0, np.nan]]))
    np.testing.assert_allclose(result, [[1e-3, np.nan], [np.nan, np.nan]], rtol=1e-15)
    assert np.isnan(ghz_to_m(0.0))
