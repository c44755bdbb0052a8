"""Whether lines hold ADQL, for tools."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from catalog.adql.check import check_lines


def test_the_phrase_book_is_told_right(accepted: list[str], refused: list[Any]) -> None:
    assert all(check_lines(json.dumps(query) for query in accepted))
    assert not any(check_lines(json.dumps(phrase.text) + "\n" for phrase in refused))


def test_queries_that_only_a_table_could_refuse_are_adql(unresolved: list[Any]) -> None:
    assert all(check_lines(json.dumps(phrase.text) for phrase in unresolved))


def test_a_line_that_is_no_json_string_is_no_query() -> None:
    lines = [
        "",
        "\n",
        "SELECT a FROM t",
        "5",
        "null",
        '["SELECT a FROM t"]',
        '"SELECT a FROM t',
        "[" * 100_000,
        '"\\ud800"',
        "1e999",
    ]
    assert list(check_lines(lines)) == [False] * len(lines)
    assert list(check_lines(['"SELECT a FROM t"', ' "SELECT a\\nFROM t -- \\u2609" \n'])) == [True, True]


def test_each_answer_comes_before_the_next_line_is_read() -> None:
    read = []

    def lines() -> Iterator[str]:
        for number in range(3):
            read.append(number)
            yield '"SELECT a FROM t"'

    answers = check_lines(lines())
    assert (next(answers), read) == (True, [0])
    assert (next(answers), read) == (True, [0, 1])
