# ruff: noqa: E501  (a case a line)
"""What is too much is refused in words, and nothing that is asked brings the process down."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest

from catalog.adql.lexer import MAX_CHARACTERS
from catalog.adql.parser import parse
from catalog.adql.resolver import resolve
from catalog.adql.translate import translate
from catalog.db.statement import Query, compile_statement
from catalog.errors import CatalogError, QueryError, ResourceLimitError
from catalog.vo.table import Table

SELECT = "SELECT s_ra FROM ivoa.obscore"
WHERE = f"{SELECT} WHERE "


def compiled(text: str, tables: dict[str, Table]) -> list[Query]:
    """The SQL of a query for either engine, as it would be sent."""
    resolved = resolve(parse(text), tables)
    return [
        compile_statement(translate(resolved, dialect=dialect, limit=10), dialect, {})
        for dialect in ("sqlite", "postgresql")
    ]


def nested(core: str, opening: str, closing: str, times: int) -> str:
    return opening * times + core + closing * times


def grown(levels: int, times: int) -> str:
    text = "SELECT obs_id AS t FROM ivoa.obscore"
    for _ in range(levels):
        text = f"SELECT {' || '.join(['t'] * times)} AS t FROM ({text}) AS q"
    return text


def chain(count: int) -> str:
    steps = [f"c{number} AS (SELECT s_ra FROM c{number - 1})" for number in range(1, count)]
    return f"WITH {', '.join([f'c0 AS ({SELECT})', *steps])} SELECT * FROM c{count - 1}"


def alternating(count: int) -> str:
    return "".join(f"{SELECT} {('UNION', 'EXCEPT')[number % 2]} " for number in range(count - 1)) + SELECT


TAKEN = {
    "a list of 20,000 integers": WHERE + f"access_estsize IN ({','.join(map(str, range(20_000)))})",
    "a list of 20,000 identifiers": WHERE + "obs_id IN (" + ",".join(f"'019d4b74-07b5-78-{n:06}'" for n in range(20_000)) + ")",
    "a list of 20,000 numbers, negated": WHERE + f"s_ra NOT IN ({','.join(str(n / 7) for n in range(20_000))})",
    "a list of 5,000 times": WHERE + "obs_release_date IN (" + ",".join(f"'2026-01-01T00:{n // 60 % 60:02}:{n % 60:02}'" for n in range(5_000)) + ")",
    "a list with a column in it": WHERE + f"s_ra IN (s_dec, {','.join(map(str, range(3_000)))})",
    "a long string": WHERE + f"obs_id = '{'x' * (MAX_CHARACTERS - 100)}'",
    "a long comment": WHERE + f"s_ra = 1 --{'x' * (MAX_CHARACTERS - 100)}",
    "many blanks": WHERE + " " * (MAX_CHARACTERS - 100) + "s_ra = 1",
    "many digits": f"SELECT 0.{'9' * (MAX_CHARACTERS - 100)} FROM ivoa.obscore",
    "a long alias": f'SELECT s_ra AS "{"x" * (MAX_CHARACTERS - 100)}" FROM ivoa.obscore',
    "60 parentheses": WHERE + nested("s_ra = 1", "(", ")", 60),
    "60 negations": WHERE + nested("s_ra = 1", "NOT (", ")", 60),
    "60 functions": f"SELECT {nested('s_ra', 'ABS(', ')', 60)} FROM ivoa.obscore",
    "a chain of OR": WHERE + " OR ".join(f"s_ra = {n}" for n in range(4_900)),
    "a chain of AND in OR": WHERE + " OR ".join(["s_ra = 1 AND s_dec = 2"] * 1_000),
    "many LIKE": WHERE + " OR ".join(["obs_id LIKE '%a%'"] * 2_000),
    "200 terms": f"SELECT {' + '.join(['s_ra'] * 200)} FROM ivoa.obscore",
    "200 texts": f"SELECT {' || '.join(['obs_id'] * 200)} FROM ivoa.obscore",
    "sums in sums": f"SELECT {nested('s_ra', '(', ' + s_dec' * 100 + ')', 8)} FROM ivoa.obscore",
    "texts in texts": f"SELECT {nested('obs_id', '(', ' || obs_id' * 100 + ')', 8)} FROM ivoa.obscore",
    "texts through subqueries": grown(4, 5),
    "1000 columns": f"SELECT {', '.join(['s_ra'] * 1_000)} FROM ivoa.obscore",
    "50 tables": f"SELECT 1 FROM {', '.join(f'ivoa.obscore AS a{n}' for n in range(50))}",
    "30 natural joins": "SELECT 1 FROM ivoa.obscore AS a" + "".join(f" NATURAL JOIN ivoa.obscore AS a{n}" for n in range(30)),
    "100 unions": " UNION ".join([SELECT] * 100),
    "60 alternating set operations": alternating(60),
    "11 subqueries": nested("ivoa.obscore", "(SELECT * FROM ", ") AS x", 10).join(["SELECT * FROM ", ""]),
    "a chain of WITH": chain(60),
    "WITH that doubles": "WITH c0 AS (" + SELECT + ")" + "".join(
        f", c{n} AS (SELECT a.s_ra FROM c{n - 1} AS a, c{n - 1} AS b)" for n in range(1, 30)) + " SELECT * FROM c29",
    "a polygon of 99 corners": WHERE + f"1 = CONTAINS(POINT(s_ra, s_dec), POLYGON({', '.join(f'{50 + 9 * math.cos(n / 16):.4f}, {9 * math.sin(n / 16):.4f}' for n in range(99))}))",
}  # fmt: skip

REFUSED = {
    "too many characters": (WHERE + f"obs_id = '{'x' * 1_000_000}'", "too-long"),
    "too many words": (WHERE + " OR ".join(["s_ra = 1"] * 6_000), "too-long"),
    "only parentheses": ("(" * 700_000, "too-deep"),
    "65 parentheses": (WHERE + nested("s_ra = 1", "(", ")", 65), "too-deep"),
    "30 subqueries": (f"SELECT * FROM {nested('ivoa.obscore', '(SELECT * FROM ', ') AS x', 30)}", "too-deep"),
    "60 queries in parentheses": (nested(SELECT, "(", ")", 60), "too-deep"),
    "201 terms": (f"SELECT {' + '.join(['s_ra'] * 201)} FROM ivoa.obscore", "too-complex"),
    "201 arguments": (f"SELECT COALESCE({', '.join(['s_ra'] * 201)}) FROM ivoa.obscore", "too-complex"),
    "1001 columns": (f"SELECT {', '.join(['s_ra'] * 1_001)} FROM ivoa.obscore", "too-complex"),
    "many stars": (f"SELECT {', '.join(['o.*'] * 30)} FROM ivoa.obscore AS o", "too-complex"),
    "51 tables": (f"SELECT 1 FROM {', '.join(f'ivoa.obscore AS a{n}' for n in range(51))}", "too-complex"),
    "5000 tables": (f"SELECT 1 FROM {', '.join(f't AS a{n}' for n in range(4_000))}", "too-complex"),
    "101 unions": (" UNION ".join([SELECT] * 101), "too-complex"),
    "400 alternating set operations": (alternating(400), "too-complex"),
    "200 named queries": (f"WITH {', '.join(f'c{n} AS ({SELECT})' for n in range(200))} SELECT * FROM c1", "too-complex"),
    "a long chain of WITH": (chain(400), "too-complex"),
    "201 groups": (f"SELECT COUNT(*) FROM ivoa.obscore GROUP BY {', '.join(['s_ra'] * 201)}", "too-complex"),
    "201 sort keys": (f"{SELECT} ORDER BY {', '.join(['s_ra'] * 201)}", "too-complex"),
    "functions that grow": (f"SELECT {nested('s_ra', 'POWER(', ', 2)', 20)} FROM ivoa.obscore", "too-complex"),
    "many functions that grow": (WHERE + " OR ".join(["POWER(POWER(POWER(s_ra, 2), 2), 2) > 1"] * 700), "too-complex"),
    "thousands of circles": (WHERE + " OR ".join(["1 = CONTAINS(POINT(s_ra, s_dec), CIRCLE(1, 2, 3))"] * 800), "too-complex"),
    "texts that grow through subqueries": (grown(3, 100), "too-complex"),
    "texts that grow through named queries": (
        "WITH a AS (SELECT " + " || ".join(["obs_id"] * 100) + " AS t FROM ivoa.obscore), b AS (SELECT "
        + " || ".join(["t"] * 100) + " AS t FROM a UNION SELECT t FROM a ORDER BY t) SELECT t || t FROM b", "too-complex"),
    "long texts in many columns": (
        f"SELECT {', '.join(['x.t'] * 100)} FROM ({grown(2, 35)}) AS x", "too-complex"),
    "a number of 700,000 digits": (f"SELECT {'9' * 700_000} FROM ivoa.obscore", "value"),
    "TOP of 700,000 digits": (f"SELECT TOP {'9' * 700_000} s_ra FROM ivoa.obscore", "syntax"),
    "text of a billion blanks": ("SELECT CAST(obs_id AS CHAR(999999999)) FROM ivoa.obscore", "syntax"),
    "a string without end": (WHERE + "obs_id = '" + "x''" * 200_000, "syntax"),
    "quotes without end": ('"' * 700_001, "syntax"),
    "a path without end": (f"SELECT a{'.a' * 9_000} FROM t", "syntax"),
    "a long name that is not there": (f"SELECT {'x' * 700_000} FROM ivoa.obscore", "unknown-column"),
    "a long table that is not there": (f"SELECT 1 FROM {'x' * 700_000}", "unknown-table"),
    "a long function that is not there": (f"SELECT {'x' * 700_000}(1) FROM ivoa.obscore", "unknown-function"),
    "commas": (f"SELECT {',' * 19_000}", "syntax"),
    "NUL": ("SELECT 'a\0b' FROM ivoa.obscore", "syntax"),
    "half a character": ('SELECT s_ra AS "\ud800" FROM ivoa.obscore', "syntax"),
}  # fmt: skip


@pytest.mark.parametrize("text", TAKEN.values(), ids=TAKEN.keys())
def test_large_queries_are_taken(text: str, tables: dict[str, Table]) -> None:
    assert all(query.sql for query in compiled(text, tables))


@pytest.mark.parametrize(("text", "code"), REFUSED.values(), ids=REFUSED.keys())
def test_too_large_queries_are_refused_in_a_sentence(text: str, code: str, tables: dict[str, Table]) -> None:
    with pytest.raises(QueryError) as caught:
        compiled(text, tables)
    assert caught.value.code == code
    assert len(caught.value.message) <= 400
    assert caught.value.proposal is None


@pytest.mark.parametrize("text", [chain(149), alternating(100)])
def test_what_nests_too_deeply_for_the_translation_is_refused_or_taken(text: str, tables: dict[str, Table]) -> None:
    """Where the stack ends depends on who calls; the stack's end is a fault of the query."""
    try:
        compiled(text, tables)
    except CatalogError as fault:
        assert "nests too deeply" in fault.message  # noqa: PT017  (either is right)


@pytest.mark.parametrize("word", [" AND ", " OR "])
def test_a_chain_of_2000_conditions_is_answered(word: str, answers: Any) -> None:
    """More than SQLite nests: translated as they stand, they would be 2000 levels deep."""
    chain = word.join(f"id <> {n}" if word == " AND " else f"id = {n}" for n in range(5, 2_005))
    assert answers(f"SELECT COUNT(*) FROM lab.numbers WHERE {chain}") == [[(4 if word == " AND " else 12,)]] * 2


def test_a_list_of_20_000_values_finds_what_it_names(answers: Any) -> None:
    numbers = ", ".join(str(number) for number in range(-9_999, 10_000))
    for found in answers(f"SELECT id FROM lab.numbers WHERE i IN ({numbers})"):
        assert sorted(found) == [(n,) for n in (1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 16)]
    words = ", ".join(["'abc'", "'it''s'", "'a\\b'", "'a\"b'", "'{a,b}'", "''", *(f"'w{n}'" for n in range(20_000))])
    for found in answers(f"SELECT id FROM lab.texts WHERE t IN ({words})"):
        assert sorted(found) == [(1,), (11,), (15,), (23,), (24,), (31,), (34,)]
    times = ", ".join(["'2026-04-02'", *(f"'2001-01-01T00:{n // 60 % 60:02}:{n % 60:02}'" for n in range(1_000))])
    for found in answers(f"SELECT id FROM lab.times WHERE moment NOT IN ({times})"):
        assert sorted(found) == [(1,), (3,), (4,), (5,), (8,)]


# --- a fuzzer ------------------------------------------------------------------------------------------------

PIECES = [
    "(", ")", "'", '"', ",", ".", "*", "+", "-", "/", "||", "=", "<>", "%", ";", "--", "\n", "\t", "\0", "\u00a0", "é", "☉", "\ud800",
    "1", "0", "1e400", "9" * 25, "''", '""', "NULL", "SELECT", "FROM", "WHERE", "AND", "OR", "NOT", "IN", "BETWEEN", "LIKE", "IS",
    "AS", "ON", "USING", "JOIN", "NATURAL", "LEFT", "FULL", "GROUP BY", "HAVING", "ORDER BY", "OFFSET", "TOP 3", "DISTINCT", "ALL",
    "UNION", "EXCEPT ALL", "INTERSECT", "WITH", "EXISTS", "CAST(", "COUNT(*)", "MAX(", "POINT(", "CIRCLE(1, 2, 3)", "CONTAINS(",
    "DISTANCE(", "COALESCE(", "POWER(", "s_ra", "s_dec", "t_min", "target_name", "obs_id", "ivoa.obscore", "fyst.files",
    "obs_release_date", "'2026-01-01'", "LIMIT 5", "::int", "/*", "CASE", "INTEGER", "VARCHAR(3)", "REGION('x')", "IN_UNIT(s_ra, 'rad')",
]  # fmt: skip


def mutated(text: str, chance: random.Random) -> str:
    """A query with a few words or characters lost, doubled, swapped or put in."""
    for _ in range(chance.randint(1, 4)):
        words = text.split(" ")
        where = chance.randrange(len(words))
        way = chance.randrange(6)
        if way == 0:
            del words[where]
        elif way == 1:
            words.insert(where, chance.choice(PIECES))
        elif way == 2:
            words[where] = chance.choice(PIECES)
        elif way == 3:
            other = chance.randrange(len(words))
            words[where], words[other] = words[other], words[where]
        elif way == 4:
            words[where:where] = words[chance.randrange(len(words)) : chance.randrange(len(words))]
        text = " ".join(words)
        if way == 5 and text:
            cut = chance.randrange(len(text))
            text = text[:cut] + chance.choice(["", chr(chance.randrange(0x250)), *PIECES]) + text[cut + 1 :]
    return text


def test_mutated_queries_raise_our_own_faults_or_none(
    accepted: list[str], asked: list[str], tables: dict[str, Table]
) -> None:
    chance = random.Random(20231215)
    outcomes = {"compiled": 0, "refused": 0}
    for _ in range(3_000):
        text = mutated(chance.choice(chance.choice([accepted, asked, asked])), chance)
        try:
            compiled(text, tables)
            outcomes["compiled"] += 1
        except (QueryError, ResourceLimitError):
            outcomes["refused"] += 1
    assert min(outcomes.values()) > 100


def test_noise_raises_our_own_faults() -> None:
    chance = random.Random(1)
    for length in range(300):
        for text in (
            bytes(chance.randrange(256) for _ in range(length)).decode("latin-1"),
            "".join(chr(chance.randrange(0x110000)) for _ in range(length)),
            " ".join(chance.choice(PIECES) for _ in range(length)),
        ):
            with pytest.raises(QueryError):
                parse(text)


def test_mutated_queries_that_resolve_are_answered_alike_or_refused_alike(
    asked: list[str], services: Any, same: Any
) -> None:
    chance = random.Random(2)
    outcomes = {"answered": 0, "refused": 0}
    while sum(outcomes.values()) < 100:
        text = mutated(chance.choice(asked), chance)
        try:
            services["sqlite"].resolve(text)
        except CatalogError:
            continue
        results = []
        for service in services.values():
            try:
                with service.run(text, maxrec=2_000) as stream:
                    rows = [
                        row for batch in stream for row in zip(*(c.to_pylist() for c in batch.columns), strict=True)
                    ]
                    results.append(None if stream.truncated or "TOP" in text or "OFFSET" in text else rows)
            except (QueryError, ResourceLimitError) as fault:
                results.append(fault.code)
        first, second = results
        refused = isinstance(first, str)
        outcomes["refused" if refused else "answered"] += 1
        assert first == second if refused or None in results else same(first, second), text
