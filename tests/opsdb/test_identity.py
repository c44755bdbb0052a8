"""Identities that are made, not given: fixed for good, and never the same for two things."""

from __future__ import annotations

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from catalog.opsdb.identity import NAMESPACE, build_bundle_id, build_execution_id, build_file_id, build_package_id

UNIT = UUID("11111111-2222-4333-8444-555555555555")


def test_identities_never_change_between_versions() -> None:
    assert str(NAMESPACE) == "6f0d5c1e-54a5-5a0e-9d6b-0c6c9b7f2a11"
    assert str(build_file_id("Prime-Cam", "280", "17000/x.g3")) == "72f4dfb7-e401-5213-aafb-3c5a3398d6d8"
    assert str(build_package_id(UNIT, "Prime-Cam", "280", 0)) == "dc07609d-2292-5b3f-a13c-1d7765e20765"
    assert str(build_bundle_id("ccat/buffer", 0, [UNIT])) == "7834126a-dc8f-5325-bf20-83f840e730e0"
    assert str(build_execution_id("HST", "ACS", "j94f05")) == "334494ef-9b13-58af-a3f4-9f38c9a520a9"


words = st.text(min_size=0, max_size=5)


@given(st.tuples(words, words, words), st.tuples(words, words, words))
def test_different_things_have_different_identities(one: tuple[str, str, str], other: tuple[str, str, str]) -> None:
    assert (build_file_id(*one) == build_file_id(*other)) == (one == other)
    assert build_file_id(*one) != build_execution_id(*one)
