"""Parameters of a TAP query: what is read, what is tolerated, what is refused."""

from __future__ import annotations

import pytest

from catalog.dali import TapParameters, parse_detail, parse_parameters
from catalog.errors import ParameterError

QUERY = ("QUERY", "SELECT 1 FROM t")


def test_names_are_case_blind_and_values_are_kept() -> None:
    params = parse_parameters(
        [("query", "SELECT 'a' FROM t"), ("MaxRec", "5"), ("responseformat", "csv"), ("runid", "r1"), ("lang", "adql")]
    )
    assert params == TapParameters("SELECT 'a' FROM t", "ADQL", 5, "csv", "r1")


@pytest.mark.parametrize("lang", ["ADQL", "ADQL-2.0", "ADQL-2.1", "adql-2.1"])
def test_languages(lang: str) -> None:
    assert parse_parameters([QUERY, ("LANG", lang)]).lang == lang.upper()


def test_what_old_clients_send_is_tolerated() -> None:
    params = parse_parameters(
        [QUERY, ("REQUEST", "doQuery"), ("VERSION", "1.0"), ("FORMAT", "csv"), ("tapclient", "x")]
    )
    assert params.responseformat == "csv"


def test_responseformat_goes_before_format() -> None:
    assert parse_parameters([QUERY, ("FORMAT", "csv"), ("RESPONSEFORMAT", "tsv")]).responseformat == "tsv"


@pytest.mark.parametrize(("text", "maxrec"), [("007", 7), (" 5 ", 5), ("", None), ("  ", None), ("9" * 30, 10**30 - 1)])
def test_maxrec_is_read_as_it_is_written(text: str, maxrec: int | None) -> None:
    assert parse_parameters([QUERY, ("MAXREC", text)]).maxrec == maxrec


@pytest.mark.parametrize(("pairs", "detail"), [([], "max"), ([("detail", "MIN")], "min"), ([("DETAIL", "max")], "max")])
def test_detail_of_the_tables(pairs: list[tuple[str, str]], detail: str) -> None:
    assert parse_detail(pairs) == detail


@pytest.mark.parametrize("pairs", [[("detail", "some")], [("detail", "min"), ("DETAIL", "min")]])
def test_another_detail_is_refused(pairs: list[tuple[str, str]]) -> None:
    with pytest.raises(ParameterError, match="DETAIL"):
        parse_detail(pairs)


def test_maxrec_may_be_zero() -> None:
    assert parse_parameters([QUERY, ("MAXREC", "0")]).maxrec == 0


def test_uploads_come_repeated_or_joined() -> None:
    pairs = [QUERY, ("UPLOAD", "a,param:x"), ("upload", "b,http://h/t?a=1;b=2,3;c_1,PARAM:y;"), ("UPLOAD", " ")]
    assert [(table.name, table.uri) for table in parse_parameters(pairs).uploads] == [
        ("a", "param:x"),
        ("b", "http://h/t?a=1;b=2,3"),
        ("c_1", "PARAM:y"),
    ]
    assert parse_parameters([QUERY]).uploads == ()


@pytest.mark.parametrize(
    ("pairs", "named"),
    [
        ([], "QUERY is missing"),
        ([("QUERY", "  ")], "QUERY is missing"),
        ([QUERY, ("query", "x")], "QUERY was given more than once"),
        ([QUERY, ("MAXREC", "1"), ("maxrec", "2")], "MAXREC was given more than once"),
        ([QUERY, ("MAXREC", "-1")], "MAXREC is '-1'"),
        ([QUERY, ("MAXREC", "ten")], "MAXREC is 'ten'"),
        ([QUERY, ("LANG", "OOBLECK")], "LANG is 'OOBLECK'"),
        ([QUERY, ("LANG", "ADQL-3.0")], "LANG is 'ADQL-3.0'"),
        ([QUERY, ("RUNID", "x" * 65)], "RUNID has 65 characters"),
        ([QUERY, ("REQUEST", "getCapabilities")], "REQUEST is 'getCapabilities'"),
        ([QUERY, ("UPLOAD", "t")], "UPLOAD is 't'; expected name,URI"),
        ([QUERY, ("UPLOAD", ",param:t")], "UPLOAD is ',param:t'; expected name,URI"),
        ([QUERY, ("UPLOAD", "2t,param:t")], "UPLOAD is '2t,param:t'; expected name,URI"),
        ([QUERY, ("UPLOAD", "s.t,param:t")], "UPLOAD is 's.t,param:t'; expected name,URI"),
        ([QUERY, ("UPLOAD", "t,param:")], "UPLOAD of t is from 'param:'; expected"),
        ([QUERY, ("UPLOAD", "t,file:///etc/passwd")], "UPLOAD of t is from 'file:///etc/passwd'; expected"),
        ([QUERY, ("UPLOAD", "t,ftp://host/t")], "expected param:…, http://… or https://…"),
        ([QUERY, ("UPLOAD", "t,vos://host/t")], "expected param:…, http://… or https://…"),
        ([QUERY, ("UPLOAD", "t,http://host/a b")], "expected param:…, http://… or https://…"),
        ([QUERY, ("UPLOAD", "t,param:t"), ("upload", "T,param:u")], "UPLOAD names T twice"),
        ([QUERY, ("UPLOAD", "t,param:t;T,param:u")], "UPLOAD names T twice"),
    ],
)
def test_what_is_wrong_is_named(pairs: list[tuple[str, str]], named: str) -> None:
    with pytest.raises(ParameterError, match=named):
        parse_parameters(pairs)
