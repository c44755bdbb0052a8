"""Times as numbers, intervals, and what covers what."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from astropy.time import Time

from catalog.errors import QueryError
from catalog.vo.table import Column

Ask = Callable[[str], list[tuple[Any, ...]]]


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-31T12:34:56.789",
        "1858-11-17",
        "1970-01-01T00:00:00",
        "1600-02-29T23:59:59.999999",
        "9999-12-31",
        "0001-01-01",
    ],
)
def test_days_are_those_of_astropy(value: Callable[[str], Any], text: str) -> None:
    time = Time(text, scale="tai")
    assert value(f"ivo_to_mjd('{text}')") == pytest.approx(time.mjd, abs=1e-9)
    assert value(f"ivo_to_jd('{text}')") == pytest.approx(time.jd, abs=1e-8)


def test_days_of_columns(ask: Ask) -> None:
    assert ask("SELECT id, ivo_to_mjd(seen) FROM sky.stars ORDER BY id") == [
        (1, 61071.5 + 0.25 / 86400),
        (2, 51543.0),
        (3, None),
        (4, 61071.0),
        (5, 51545.5),
    ]
    assert ask("SELECT id FROM sky.stars WHERE ivo_to_jd(seen) > 2461071.6 ORDER BY id") == [(1,)]


def test_text_that_is_no_time_is_refused(value: Callable[[str], Any], ask: Ask) -> None:
    with pytest.raises(QueryError, match="is not a time") as caught:
        value("ivo_to_mjd('yesterday')")
    assert caught.value.code == "value"
    with pytest.raises(QueryError, match="cannot be converted") as caught:
        ask("SELECT ivo_to_mjd(words) FROM sky.stars")
    assert caught.value.code == "bad-cast"


def test_a_hidden_row_raises_no_error(ask_hidden: Ask) -> None:
    assert ask_hidden("SELECT ivo_to_mjd('20' || '26-01-0' || name) FROM sky.stars WHERE id > 4") == []


COVERED = [
    ("61000.3", [1, 2]),
    ("61000", [1]),
    ("60000", [4]),
    ("70000", [2]),
    ("61000.5", [1, 2]),
    ("NULL", []),
    ("'2025-11-21T08:00:00'", [1, 2]),
    ("CAST('2025-11-21T08:00:00' AS TIMESTAMP)", [1, 2]),
]


@pytest.mark.parametrize(("time", "expected"), COVERED)
def test_packages_cover_times(ask: Ask, time: str, expected: list[int]) -> None:
    condition = f"ccat_covers_time(t_min, t_max, {time})"
    assert ask(f"SELECT id FROM sky.stars WHERE 1={condition} ORDER BY id") == [(row,) for row in expected]
    assert ask(f"SELECT id FROM sky.stars WHERE {condition} = 1 ORDER BY id") == [(row,) for row in expected]


def test_packages_cover_times_of_a_column(ask: Ask) -> None:
    days = "ivo_to_mjd(b.seen)"
    found = ask(
        f"SELECT a.t_min, a.t_max, {days}, ccat_covers_time(a.t_min, a.t_max, b.seen), "
        f"ccat_covers_time(a.t_min, a.t_max, {days}) FROM sky.stars AS a, sky.stars AS b"
    )
    assert len(found) == 25
    for begin, end, time, by_timestamp, by_number in found:
        assert by_timestamp == by_number == covers(begin, end, time)


def covers(begin: float | None, end: float | None, time: float | None) -> int | None:
    if time is None or begin is None:
        return 0 if time is not None and end is not None and time > end else None
    return int(begin <= time and (end is None or time <= end))


def test_a_package_without_a_beginning_covers_what_nobody_knows(ask: Ask) -> None:
    query = "SELECT ccat_covers_time(t_min, t_max, {}) FROM sky.stars WHERE id = 3"
    assert ask(query.format("61000")) == [(None,)]
    assert ask(query.format("61002")) == [(0,)]


def test_coverage_uses_the_index_of_the_beginning(sky: Any) -> None:
    plan = sky.plan("SELECT id FROM sky.stars WHERE 1=ccat_covers_time(t_min, t_max, 61000.3)")
    if sky.database.dialect == "sqlite":
        assert "stars_begin" in plan
    else:
        assert "CASE" not in plan
        assert "t_min <=" in plan


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ("1, 2, 2, 3", 1),
        ("1, 2, 2.0000001, 3", 0),
        ("1, 1, 1, 1", 1),
        ("5, 6, 1, 2", 0),
        ("1, 10, 4, 5", 1),
        ("2, 1, 0, 5", 0),
        ("NULL, 2, 1, 3", None),
        ("NULL, 2, 3, 4", 0),
        ("1, 2, NULL, NULL", None),
    ],
)
def test_intervals_overlap(value: Callable[[str], Any], numbers: str, expected: int | None) -> None:
    assert value(f"ivo_interval_overlaps({numbers})") == expected


def test_intervals_of_columns(ask: Ask) -> None:
    query = "SELECT id FROM sky.stars WHERE {}ivo_interval_overlaps(t_min, t_max, 61000.1, 61000.2) ORDER BY id"
    assert ask(query.format("1=")) == [(1,)]
    assert ask(query.format("0=")) == [(2,), (4,), (5,)]


def test_random_numbers_are_normal(ask: Ask) -> None:
    found = [row[0] for row in ask("SELECT ivo_normal_random(10, 5) FROM sky.grid AS a, sky.stars AS b")]
    mean = sum(found) / len(found)
    width = (sum((number - mean) ** 2 for number in found) / len(found)) ** 0.5
    within = sum(abs(number - 10) < 5 for number in found) / len(found)
    assert len(set(found)) == len(found) > 2900
    assert mean == pytest.approx(10, abs=0.6)
    assert width == pytest.approx(5, rel=0.1)
    assert within == pytest.approx(0.683, abs=0.05)


def test_random_numbers_of_nothing(value: Callable[[str], Any]) -> None:
    assert value("ivo_normal_random(NULL, 1)") is None
    assert value("ivo_normal_random(3, 0)") == 3


def test_results_say_what_they_are(described: Callable[[str], Column]) -> None:
    day = described("SELECT ivo_to_mjd(seen) FROM sky.stars")
    assert (day.datatype.votable, day.unit, day.ucd, day.xtype) == ("double", "d", "time.creation", None)
    assert described("SELECT ivo_to_jd('2026-01-01') FROM sky.stars").ucd == "time.epoch"
    assert described("SELECT ccat_covers_time(t_min, t_max, 1) FROM sky.stars").datatype.votable == "int"
    assert described("SELECT ivo_normal_random(freq, freq) FROM sky.stars").unit == "GHz"
