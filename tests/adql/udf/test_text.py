"""Words, lists and angles in text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from astropy.coordinates import Angle

from catalog.errors import QueryError
from catalog.vo.table import Column

Ask = Callable[[str], list[tuple[Any, ...]]]


@pytest.mark.parametrize(
    ("haystack", "needle", "expected"),
    [
        ("Dust in Orion", "orion DUST", 1),
        ("Dust in Orion", "ori", 0),
        ("Dust-in-Orion (A)", "in, a", 1),
        ("NGC1234", "1234", 0),
        ("NGC 1234", "1234", 1),
        ("under_score", "score", 1),
        ("Größe und Maß", "größe", 1),
        ("Größe und Maß", "GRÖSSE", 0),
        ("ÄB", "äb", 0),
        ("anything", "", 0),
        ("anything", " ,. ", 0),
        ("", "a", 0),
        ("a", "a a A", 1),
        ("it's", "it''s", 1),
        ("a\\b %_", "b", 1),
    ],
)
def test_words_are_found_whole(value: Callable[[str], Any], haystack: str, needle: str, expected: int) -> None:
    quoted = haystack.replace("'", "''")
    assert value(f"ivo_hasword('{quoted}', '{needle}')") == expected


@pytest.mark.parametrize(
    ("hashlist", "item", "expected"),
    [
        ("radio#Millimeter", "MILLIMETER", 1),
        ("radio#Millimeter", "milli", 0),
        ("radio", "radio", 1),
        ("radio#", "#", 0),
        ("a#b%c#d_", "b%", 0),
        ("a#b%c#d_", "d_", 1),
        ("a#b%c#d_", "dx", 0),
        ("Äpfel#b", "äpfel", 0),
        ("", "a", 0),
    ],
)
def test_lists_have_whole_words(value: Callable[[str], Any], hashlist: str, item: str, expected: int) -> None:
    assert value(f"ivo_hashlist_has('{hashlist}', '{item}')") == expected


@pytest.mark.parametrize(
    ("text", "pattern", "expected"),
    [
        ("Beta", "b%", 1),
        ("Beta", "bet", 0),
        ("100%", "100\\%", 0),
        ("a\\b", "A\\_", 1),
        ("[x]*?", "[X]*_", 1),
        ("", "%", 1),
        ("Äx", "äx", 0),
    ],
)
def test_matches_ignore_case(value: Callable[[str], Any], text: str, pattern: str, expected: int) -> None:
    assert value(f"ivo_nocasematch('{text}', '{pattern}')") == expected


@pytest.mark.parametrize("name", ["ivo_hasword", "ivo_hashlist_has", "ivo_nocasematch"])
def test_null_makes_null(value: Callable[[str], Any], ask: Ask, name: str) -> None:
    assert value(f"{name}(NULL, 'a')") is None
    assert value(f"{name}('a', NULL)") is None
    assert ask(f"SELECT {name}(name, 'beta') FROM sky.stars WHERE id = 4") == [(None,)]


def test_functions_that_answer_one_or_zero_select_rows(ask: Ask) -> None:
    query = "SELECT id FROM sky.stars WHERE {} ORDER BY id"
    assert ask(query.format("1=ivo_nocasematch(name, 'BETA')")) == [(2,), (3,)]
    assert ask(query.format("ivo_nocasematch(name, 'b%') = 0")) == [(1,), (5,)]
    assert ask(query.format("NOT 1=ivo_nocasematch(name, 'b%')")) == [(1,), (5,)]
    assert ask(query.format("ivo_nocasematch(name, 'b%') <> 1")) == [(1,), (5,)]
    assert ask(query.format("ivo_nocasematch(name, 'b%') > 5")) == []
    assert ask(query.format("ivo_nocasematch(name, 'b%') IN (0, 1)")) == [(1,), (2,), (3,), (5,)]
    assert ask(query.format("1=ivo_hasword(words, 'orion')")) == [(2,)]
    assert ask(query.format("1=ivo_hashlist_has(words, 'Green')")) == [(1,)]
    assert ask("SELECT ivo_nocasematch(name, 'b%') AS b, COUNT(*) FROM sky.stars GROUP BY b ORDER BY b") == [
        (0, 2),
        (1, 2),
        (None, 1),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "12:34:56.789",
        "0:0:0",
        "23h59m59.99s",
        " 1 2 3 ",
        "123456.7",
        "235959",
        "7H8M9S",
        "05:06:07.",
        "1h2m3",
        "+1:2:3",
    ],
)
def test_hours_are_degrees_as_astropy_counts_them(value: Callable[[str], Any], text: str) -> None:
    spelled = text.strip()
    if spelled[:5].isdigit():
        spelled = f"{spelled[:2]}:{spelled[2:4]}:{spelled[4:]}"
    assert value(f"ivo_hms_to_degrees('{text}')") == pytest.approx(Angle(spelled.lower(), "hourangle").deg, abs=1e-12)


@pytest.mark.parametrize("text", ["-12:34:56.789", "+89d59m59.9s", "-5 22 28", "-052228.5", "0:0:0.001", "359D59M59S"])
def test_degrees_are_degrees(value: Callable[[str], Any], text: str) -> None:
    spelled = text
    if text[1:].split(".")[0].isdigit():
        spelled = f"{text[:3]}:{text[3:5]}:{text[5:]}"
    assert value(f"ivo_dms_to_degrees('{text}')") == pytest.approx(Angle(spelled.lower(), "deg").deg, abs=1e-12)


@pytest.mark.parametrize(
    "text", ["", "abc", "1:2", "1:60:0", "1:2:60", "1::2:3", "1e3:2:3", "361:0:0", "1:2:3x", "--1:2:3"]
)
@pytest.mark.parametrize("name", ["ivo_hms_to_degrees", "ivo_dms_to_degrees"])
def test_what_is_no_angle_is_null(value: Callable[[str], Any], name: str, text: str) -> None:
    assert value(f"{name}('{text}')") is None


def test_each_angle_has_its_own_letters(value: Callable[[str], Any]) -> None:
    assert value("ivo_hms_to_degrees('1d2m3s')") is None
    assert value("ivo_dms_to_degrees('1h2m3s')") is None
    assert value("ivo_hms_to_degrees('24:00:00')") == 360
    assert value("ivo_hms_to_degrees('24:00:01')") is None
    assert value("ivo_hms_to_degrees(NULL)") is None


def test_angles_of_columns(ask: Ask) -> None:
    found = ask("SELECT id, ivo_hms_to_degrees(words) FROM sky.stars ORDER BY id")
    assert [row for row, angle in found if angle is not None] == [3]


def test_results_say_what_they_are(described: Callable[[str], Column]) -> None:
    angle = described("SELECT ivo_dms_to_degrees(words) FROM sky.stars")
    assert (angle.datatype.votable, angle.unit, angle.name) == ("double", "deg", "ivo_dms_to_degrees_words")
    assert described("SELECT ivo_hasword(words, 'a') FROM sky.stars").datatype.votable == "int"


@pytest.mark.parametrize("call", ["ivo_hasword(n, 'a')", "ivo_nocasematch('a')", "ivo_hashlist_has('a', 'b', 'c')"])
def test_a_wrong_call_names_the_signature(value: Callable[[str], Any], call: str) -> None:
    with pytest.raises(QueryError, match=r"-> INTEGER") as caught:
        value(call)
    assert caught.value.code == "arguments"
