"""Queries made at random over the laboratory, within the rules of types: both engines answer alike."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.integers(0, 10_000), min_size=30, max_size=250))
def test_both_engines_answer_a_generated_query_alike(answers: Any, same: Any, writing: Any, choices: list[int]) -> None:
    query = writing.Writer(choices).query()
    sqlite, postgresql = answers(query)
    assert same(sqlite, postgresql, ordered=True), query
