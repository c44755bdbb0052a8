"""What the asker of a refused query reads: the place, what was expected, the ADQL way, a query that is proposed."""

from __future__ import annotations

import time
from typing import Any

import pytest

from catalog.adql.diagnostics import render_diagnostic
from catalog.adql.parser import parse
from catalog.adql.resolver import resolve
from catalog.errors import QueryError
from catalog.vo.table import Table

FROM = "FROM ivoa.obscore"


@pytest.fixture
def refuse(tables: dict[str, Table]) -> Any:
    """The fault of a query, by the parser or the resolver."""

    def fault_of(query: str) -> QueryError:
        with pytest.raises(QueryError) as caught:
            resolve(parse(query), tables)
        return caught.value

    return fault_of


@pytest.mark.parametrize(
    ("query", "hint"),
    [
        ("SELECT zzz FROM (SELECT s_ra AS a, s_dec AS b FROM ivoa.obscore) AS t", "the columns are a, b"),
        (f"SELECT zzz {FROM}", "TAP_SCHEMA.columns lists those of published tables"),
    ],
)
def test_a_column_that_is_like_no_other_brings_what_there_is(refuse: Any, query: str, hint: str) -> None:
    assert refuse(query).hint == hint


# --- how a fault looks ---------------------------------------------------------------------------------------


def test_a_fault_shows_the_line_and_a_caret_under_the_place(refuse: Any) -> None:
    query = "SELECT s_ra\nFROM ivoa.obscore\nWHERE s_ra >> 5"
    assert render_diagnostic(query, refuse(query)) == (
        "line 3, column 13: '>' cannot stand here; expected a value\n  WHERE s_ra >> 5\n              ^"
    )


def test_a_fault_shows_hint_and_proposal_below_the_caret(refuse: Any) -> None:
    query = "SELECT s_ra\nFROM ivoa.obscore\nLIMIT 10"
    assert render_diagnostic(query, refuse(query)) == (
        "line 3, column 7: '10' cannot stand here; expected JOIN, ',', WHERE, GROUP BY, HAVING, ORDER BY, OFFSET, "
        "UNION, EXCEPT, INTERSECT or the end of the query\n"
        "  LIMIT 10\n"
        "        ^^\n"
        "hint: ADQL limits rows at the front: SELECT TOP 10 …\n"
        "proposed query, not run:\n"
        "  SELECT TOP 10 s_ra\n"
        "  FROM ivoa.obscore"
    )


def test_the_caret_underlines_the_whole_word_and_no_more_than_the_line(refuse: Any) -> None:
    shown = render_diagnostic(query := f"SELECT target_nam {FROM}", refuse(query))
    assert shown.splitlines()[2] == "         ^^^^^^^^^^"
    query = f"SELECT s_ra {FROM} WHERE s_ra = 'a\nb'"
    assert render_diagnostic(query, refuse(query)).splitlines()[2].strip() == "^^"


def test_the_caret_stands_right_behind_the_end_when_a_query_ends_too_early(refuse: Any) -> None:
    for query in ("SELECT s_ra FROM", "SELECT s_ra FROM   \n\n", "SELECT s_ra FROM -- where from?"):
        fault = refuse(query)
        _, line, caret = render_diagnostic(query, fault).splitlines()[:3]
        assert caret.index("^") == len(line.rstrip())
        assert "the query ends too early" in fault.message


def test_tabs_and_carriage_returns_keep_the_caret_in_place(refuse: Any) -> None:
    query = "SELECT\ts_ra,\r\n\ts_dek\r\nFROM\tivoa.obscore"
    fault = refuse(query)
    assert (fault.line, fault.column) == (2, 2)
    shown = render_diagnostic(query, fault).splitlines()
    assert shown[1:3] == ["  \ts_dek", "  \t^^^^^"]
    assert "\r" not in "".join(shown)


def test_of_a_long_line_the_part_around_the_place_is_shown(refuse: Any) -> None:
    query = f"SELECT {', '.join(['s_ra'] * 500)}, s_raa, {', '.join(['s_dec'] * 300)} {FROM}"
    fault = refuse(query)
    _, line, caret = render_diagnostic(query, fault).splitlines()[:3]
    assert len(line) <= 102
    assert line[caret.index("^") : caret.rindex("^") + 1] == "s_raa"


def test_wide_and_combining_characters_do_not_move_the_column(refuse: Any) -> None:
    query = f"SELECT '星☉é' || s_raa {FROM}"
    fault = refuse(query)
    assert query[fault.column - 1 : fault.column - 1 + fault.length] == "s_raa"


def test_a_fault_without_a_place_is_its_message_and_hint() -> None:
    fault = QueryError("the query is too long", code="too-long", hint="upload a table")
    assert render_diagnostic("SELECT", fault) == "the query is too long\nhint: upload a table"


def test_a_long_word_is_cut_in_the_message(refuse: Any) -> None:
    fault = refuse(f"SELECT s_ra {FROM} WHERE s_ra > 5 {'x' * 5000}")
    assert len(fault.message) < 300
    assert "…" in fault.message


# --- what was expected ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("SELECT s_ra, FROM t", "'FROM' cannot stand here; expected a value"),
        ("SELECT", "the query ends too early; expected a value, *, ALL, DISTINCT or TOP"),
        ("SELECT TOP s_ra FROM t", "'s_ra' cannot stand here; expected a whole number"),
        ("SELECT a FROM", "the query ends too early; expected a name or '('"),
        ("SELECT a FROM t WHERE a", "expected a comparison (=, <>, <, >, <=, >=, BETWEEN, IN, LIKE, ILIKE, IS NULL)"),
        ("SELECT a FROM t WHERE a NOT 5", "'5' cannot stand here; expected BETWEEN, ILIKE, IN or LIKE"),
        ("SELECT a FROM t GROUP a", "'a' cannot stand here; expected BY"),
        ("SELECT CAST(a AS b) FROM t", "expected a type: SMALLINT, INTEGER, BIGINT, REAL, DOUBLE PRECISION"),
        ("SELECT ABS(a FROM t", "'FROM' cannot stand here; expected ',' or ')'"),
        ("SELECT a FROM t JOIN u WHERE a = 1", "JOIN needs a condition: ON … or USING (…)"),
        ("FROM t", "'FROM' cannot stand here; expected '(', SELECT or WITH"),
        ("WITH x SELECT a FROM x", "'SELECT' cannot stand here; expected AS"),
        ("SELECT a FROM t; SELECT", "'SELECT' cannot stand here; expected the end of the query"),
        ("SELECT 'abc FROM t", "this string does not end; expected a closing '"),
        ('SELECT "abc FROM t', 'this name is empty or does not end; expected a closing "'),
        ("SELECT a\u2028FROM t", "the character U+2028 has no meaning in ADQL outside quotes"),
        ("SELECT 'a\0b' FROM t", "a query cannot hold the character U+0000"),
        ("SELECT 'a\ud800b' FROM t", "a query cannot hold the character U+D800"),
        ("SELECT MOD(a) FROM t", "MOD takes other arguments: MOD(x, y)"),
    ],
)
def test_a_fault_says_what_was_expected(query: str, message: str) -> None:
    with pytest.raises(QueryError) as caught:
        parse(query)
    assert message in caught.value.message


def test_no_fault_of_the_grammar_shows_the_names_of_its_terminals(refused: list[Any]) -> None:
    inner = ("_COMMA", "UINT", "LITERALS", "STAR", "_LPAR", "DELIMITED", "SEMICOLON", "$END", "COMPARISON", "_VALUE")
    for phrase in refused:
        with pytest.raises(QueryError) as caught:
            parse(phrase.text)
        assert not any(word in caught.value.message for word in inner), caught.value.message


# --- what people bring from SQL, and slips -------------------------------------------------------------------


def test_the_adql_way_is_told_and_a_query_proposed_where_one_edit_repairs(
    advice: list[Any], refuse: Any, tables: dict[str, Table]
) -> None:
    assert len(advice) > 120
    for query, hint, proposal in advice:
        fault = refuse(query)
        assert hint in fault.hint if hint else fault.hint is None, query
        assert (fault.proposal or "") == proposal, query
        if proposal:
            resolve(parse(proposal), tables)


def test_every_proposal_is_adql_and_another_query(refused: list[Any]) -> None:
    proposals = 0
    for phrase in refused:
        with pytest.raises(QueryError) as caught:
            parse(phrase.text)
        if caught.value.proposal is not None:
            parse(caught.value.proposal)
            assert caught.value.proposal != phrase.text
            proposals += 1
    assert proposals >= 100


def test_two_mistakes_bring_a_hint_and_no_proposal(refuse: Any) -> None:
    fault = refuse("SELECT s_raa FROM ivoa.obscore WHERE s_decc > 5")
    assert fault.hint == "did you mean s_dec?"
    assert fault.proposal is None
    fault = refuse("SELECT a == 1 FROM t LIMIT 10")
    assert "single =" in fault.hint
    assert fault.proposal is None


def test_a_proposal_is_not_made_of_what_stands_in_quotes_or_comments(refuse: Any) -> None:
    query = "SELECT s_ra FROM ivoa.obscore WHERE obs_id <> '==' -- a == b, LIMIT 5\n AND calib_level == 1"
    assert refuse(query).proposal == query.replace("level ==", "level =")


def test_a_long_query_brings_a_hint_and_no_proposal_and_is_refused_in_no_time(refuse: Any) -> None:
    query = f"SELECT {', '.join(['s_ra'] * 9000)} FROM ivoa.obscore LIMIT 10"
    start = time.perf_counter()
    fault = refuse(query)
    assert time.perf_counter() - start < 5  # about 0.3 s when nothing else runs
    assert "SELECT TOP 10" in fault.hint
    assert fault.proposal is None
