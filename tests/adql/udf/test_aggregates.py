"""Texts joined and numbers counted, group by group."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from catalog.adql.udf.aggregates import JoinedTexts
from catalog.errors import QueryError, ResourceLimitError
from catalog.vo.table import Column

Ask = Callable[[str], list[tuple[Any, ...]]]
Rows = list[tuple[Any, ...]]


def test_texts_are_joined_in_the_order_of_code_points(ask: Ask) -> None:
    assert ask("SELECT ivo_string_agg(name, ' <//> ') FROM sky.stars") == [("Beta <//> alpha <//> beta <//> secret",)]
    assert ask("SELECT ivo_string_agg(name, '') FROM sky.stars WHERE id < 4") == [("Betaalphabeta",)]
    assert ask("SELECT ivo_string_agg(name, NULL) FROM sky.stars WHERE id < 3") == [("alphabeta",)]


def test_each_text_but_the_first_follows_its_own_delimiter(ask: Ask) -> None:
    assert ask("SELECT ivo_string_agg('x', name) FROM sky.stars") == [("xalphaxbetaxsecretxx",)]
    assert ask(
        "SELECT ivo_string_agg(name, '-' || id_text) FROM (SELECT name, CAST(id AS CHAR(1)) AS id_text "
        "FROM sky.stars) AS q"
    ) == [("Beta-1alpha-2beta-5secret",)]


def test_nothing_joined_is_null(ask: Ask) -> None:
    assert ask("SELECT ivo_string_agg(name, ',') FROM sky.stars WHERE id = 4") == [(None,)]
    assert ask("SELECT ivo_string_agg(name, ',') FROM sky.stars WHERE id > 90") == [(None,)]
    assert ask("SELECT id, ivo_string_agg(name, ',') FROM sky.stars WHERE id > 90 GROUP BY id") == []


def test_texts_are_joined_by_group(ask: Ask) -> None:
    query = "SELECT LOWER(name) AS k, ivo_string_agg(name || '!', ', ') AS a, COUNT(*) FROM sky.stars {} ORDER BY k"
    assert ask(query.format("GROUP BY LOWER(name)")) == [
        ("alpha", "alpha!", 1),
        ("beta", "Beta!, beta!", 2),
        ("secret", "secret!", 1),
        (None, None, 1),
    ]
    having = "GROUP BY LOWER(name) HAVING ivo_string_agg(name || '!', ', ') LIKE '%,%'"
    assert ask(query.format(having)) == [("beta", "Beta!, beta!", 2)]
    assert ask("SELECT n FROM sky.stars GROUP BY n ORDER BY ivo_string_agg(name, ',') DESC") == [
        (None,),
        (4,),
        (2,),
        (1,),
        (3,),
    ]


def test_times_are_joined_as_they_are_written(ask: Ask) -> None:
    found = ask("SELECT ivo_string_agg(seen, ' ') FROM sky.stars WHERE id < 3")
    assert found == [("1999-12-31T00:00:00.000 2026-01-31T12:00:00.250",)]


def test_a_hidden_row_is_not_joined(ask_hidden: Ask) -> None:
    assert ask_hidden("SELECT ivo_string_agg(name, ',') FROM sky.stars") == [("Beta,alpha,beta",)]


def test_too_much_text_is_refused() -> None:
    texts = JoinedTexts()
    for _ in range(67):
        texts.step("x" * 1_000_000, ",")
    with pytest.raises(ResourceLimitError):
        texts.step("x" * 1_000_000, ",")


@pytest.mark.parametrize(("low", "high", "bins"), [(0, 5, 5), (0.5, 3.5, 8), (-1, 6, 1), (0, 0.7, 7), (-2.5, 1e6, 100)])
def test_histograms_are_those_of_numpy(ask: Ask, grid: Rows, low: float, high: float, bins: int) -> None:
    [(found,)] = ask(f"SELECT ivo_histogram(x, {low}, {high}, {bins}) FROM sky.grid")
    values = np.array([row[7] for row in grid if row[7] is not None])
    inside = values[(values >= low) & (values < high)]
    expected = np.histogram(inside, bins=bins, range=(low, high))[0]
    assert found[0] == len(grid) - len(values) + (values < low).sum()
    assert found[-1] == (values >= high).sum()
    assert sum(found) == len(grid)
    assert np.abs(np.cumsum(found[1:-1]) - np.cumsum(expected)).max() <= (0 if bins != 7 else 40)


def test_both_engines_put_a_border_into_the_same_bin(ask: Ask, grid: Rows) -> None:
    [(found,)] = ask("SELECT ivo_histogram(x, 0, 0.7, 7) FROM sky.grid")
    counts = [0] * 9
    for row in grid:
        x = row[7]
        counts[0 if x is None or x < 0 else 8 if x >= 0.7 else int(7 * (x / 0.7)) + 1] += 1
    assert found == counts


def test_histograms_by_group(ask: Ask, grid: Rows) -> None:
    found = ask("SELECT part, ivo_histogram(x, 0, 5, 3) AS h, COUNT(*) FROM sky.grid GROUP BY part ORDER BY part")
    assert len(found) == 7
    assert all(sum(counts) == total for _, counts, total in found)
    assert ask("SELECT ivo_histogram(x, 0, 5, 3) FROM sky.grid WHERE i < 0") == [(None,)]


def test_a_histogram_of_what_is_computed(ask: Ask) -> None:
    assert ask("SELECT ivo_histogram(LOG10(ABS(freq)), 1, 3, 2) FROM sky.stars") == [([2, 0, 3, 0],)]
    assert ask("SELECT ivo_histogram(n, 1, 4, 3) FROM sky.stars") == [([1, 1, 1, 1, 1],)]


def test_results_say_what_they_are(described: Callable[[str], Column]) -> None:
    counts = described("SELECT ivo_histogram(freq, 0, 1000, 10) FROM sky.stars")
    assert (counts.datatype.votable, counts.arraysize, counts.name) == ("int", "12", "ivo_histogram_freq")
    joined = described("SELECT ivo_string_agg(name, ',') FROM sky.stars")
    assert (joined.datatype.votable, joined.arraysize, joined.ucd) == ("char", "*", "meta.id")
    assert joined.name == "ivo_string_agg_name"
    assert described("SELECT ivo_string_agg(name, '–') FROM sky.stars").datatype.votable == "unicodeChar"


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("SELECT id FROM sky.stars WHERE ivo_string_agg(name, ',') = 'a'", "misplaced-aggregate"),
        ("SELECT MAX(ivo_string_agg(name, ',')) FROM sky.stars", "misplaced-aggregate"),
        ("SELECT ivo_string_agg(MAX(name), ',') FROM sky.stars", "misplaced-aggregate"),
        ("SELECT id, ivo_string_agg(name, ',') FROM sky.stars", "not-grouped"),
        ("SELECT COUNT(*) FROM sky.stars GROUP BY ivo_string_agg(name, ',')", "misplaced-aggregate"),
        ("SELECT ivo_string_agg(n, ',') FROM sky.stars", "arguments"),
        ("SELECT ivo_string_agg(name) FROM sky.stars", "arguments"),
        ("SELECT ivo_histogram(n, 1, 1, 3) FROM sky.stars", "value"),
        ("SELECT ivo_histogram(n, 5, 1, 3) FROM sky.stars", "value"),
        ("SELECT ivo_histogram(n, -1e308, 1.5e308, 3) FROM sky.stars", "value"),
        ("SELECT ivo_histogram(n, 1, 5, 0) FROM sky.stars", "value"),
        ("SELECT ivo_histogram(n, 1, 5, 10001) FROM sky.stars", "value"),
        ("SELECT ivo_histogram(n, 1, 5, n) FROM sky.stars", "value"),
        ("SELECT ivo_histogram(n, n, 5, 3) FROM sky.stars", "arguments"),
        ("SELECT ivo_histogram(name, 1, 5, 3) FROM sky.stars", "arguments"),
    ],
)
def test_a_wrong_aggregate_is_refused(described: Callable[[str], Column], query: str, code: str) -> None:
    with pytest.raises(QueryError) as caught:
        described(query)
    assert caught.value.code == code
