from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.vo.spectrum import ghz_to_m, m_to_ghz


@pytest.mark.parametrize(
    ("frequency", "wavelength"),
    [
        (250, 1.199170e-3),
        (315, 9.517221e-4),
        (455, 6.588845e-4),
        (495, 6.056413e-4),
        (802, 3.738061e-4),
        (898, 3.338446e-4),
    ],
)
def test_frequencies_of_the_instruments(frequency: float, wavelength: float) -> None:
    assert ghz_to_m(frequency) == pytest.approx(wavelength, rel=1e-6)
    assert m_to_ghz(wavelength) == pytest.approx(frequency, rel=1e-6)


@given(st.floats(1e-3, 1e6))
def test_frequency_and_wavelength_are_inverse(frequency: float) -> None:
    assert m_to_ghz(ghz_to_m(frequency)) == pytest.approx(frequency, rel=1e-15)


def test_arrays_keep_their_shape_and_what_is_not_positive_is_unknown() -> None:
    result = ghz_to_m(np.array([[299.792458, 0.0], [-1.0, np.nan]]))
    np.testing.assert_allclose(result, [[1e-3, np.nan], [np.nan, np.nan]], rtol=1e-15)
    assert np.isnan(ghz_to_m(0.0))
