"""From the text of a query to its rows: limits, the caller's rule, time, and what is said about it."""

from __future__ import annotations

import re
import threading
import time
from typing import Any

import pytest
import sqlalchemy as sa

from catalog import Catalog
from catalog.access import ANONYMOUS, Caller
from catalog.errors import QueryError, QueryTimeoutError, UnavailableError
from catalog.tap.query import QueryService
from catalog.vo.table import Info, Table

LONG = "SELECT COUNT(*) AS n FROM fyst.files AS a, fyst.files AS b, fyst.files AS c, fyst.files AS d, fyst.files AS e"


def service(catalog: Catalog, **changes: Any) -> QueryService:
    settings: dict[str, Any] = {"rule": lambda *_: None, "maxrec_default": 10, "maxrec_hard": 20, "timeout_s": 30.0}
    return QueryService(catalog.database, catalog.schemas, **(settings | changes))


# --- rows ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("maxrec", "rows", "truncated"),
    [(None, 10, True), (0, 0, True), (1, 1, True), (20, 20, True), (21, 20, True), (10**30, 20, True)],
)
def test_rows_are_cut_at_the_smaller_limit(catalog: Catalog, maxrec: int | None, rows: int, truncated: bool) -> None:
    stream = service(catalog).run("SELECT obs_id FROM ivoa.obscore", maxrec=maxrec)
    assert stream.read_all().num_rows == rows
    assert stream.truncated is truncated


@pytest.mark.parametrize(("maxrec", "truncated"), [(6, True), (7, False), (8, False)])
def test_a_cut_is_noticed_exactly(catalog: Catalog, maxrec: int, truncated: bool) -> None:
    stream = service(catalog).run("SELECT TOP 7 obs_id FROM ivoa.obscore", maxrec=maxrec)
    assert stream.read_all().num_rows == min(maxrec, 7)
    assert stream.truncated is truncated


def test_a_default_above_the_hard_limit_is_cut_to_it(catalog: Catalog) -> None:
    stream = service(catalog, maxrec_default=1000, maxrec_hard=3).run("SELECT obs_id FROM ivoa.obscore")
    assert stream.read_all().num_rows == 3
    assert stream.truncated


def test_the_limit_of_a_set_operation_holds_for_the_whole(catalog: Catalog) -> None:
    union = "SELECT obs_id FROM ivoa.obscore UNION ALL SELECT obs_id FROM ivoa.obscore"
    stream = service(catalog).run(union, maxrec=5)
    assert stream.read_all().num_rows == 5
    assert stream.truncated


def test_rows_carry_the_metadata_of_their_columns(catalog: Catalog) -> None:
    with service(catalog).run("SELECT TOP 1 s_ra AS ra, COUNT(*) AS n FROM ivoa.obscore GROUP BY s_ra") as stream:
        ra, n = stream.table.columns
    assert (ra.name, ra.unit, ra.ucd) == ("ra", "deg", "pos.eq.ra")
    assert n.datatype.is_integer


def test_two_queries_run_side_by_side(catalog: Catalog) -> None:
    with service(catalog).run("SELECT obs_id FROM ivoa.obscore") as first:
        batches = iter(first)
        assert next(batches).num_rows == 10
        with service(catalog).run("SELECT target_name FROM ivoa.obscore") as second:
            assert next(iter(second)).num_rows == 10


def test_names_that_are_words_of_an_engine_are_no_trouble(catalog: Catalog, words_of_engines: list[str]) -> None:
    """As a column, as a table, inside and outside of a subquery; what ADQL itself reserves is refused."""
    taken, refused = 0, []
    for word in words_of_engines:
        inner = f"SELECT TOP 1 {word}.obs_id AS {word} FROM ivoa.obscore AS {word}"
        query = f"SELECT t.{word} FROM ({inner}) AS t ORDER BY {word}"
        try:
            taken += service(catalog).run(query).read_all().num_rows
        except QueryError:
            refused.append(word)
    assert taken > 250
    assert not {"nothing", "returning", "lateral", "variadic", "glob", "pragma"} & set(refused)


# --- who asks ------------------------------------------------------------------------------------------------


def test_the_rule_is_asked_for_every_protected_table_and_holds(catalog: Catalog) -> None:
    asked: list[tuple[Caller, str]] = []

    def rule(caller: Caller, table: Table, rows: sa.FromClause) -> sa.ColumnElement[bool] | None:
        asked.append((caller, table.name))
        return rows.c.obs_publisher_did == known[0] if caller.username else None

    queries = service(catalog, rule=rule)
    known = queries.run("SELECT TOP 3 obs_publisher_did FROM ivoa.obscore").read_all().column(0).to_pylist()
    alice = Caller("alice")
    mine = "SELECT a.obs_id, obs_publisher_did FROM ivoa.obscore AS a JOIN ivoa.obscore AS b USING (obs_publisher_did)"
    assert queries.run(mine, caller=alice).read_all().column(1).to_pylist() == [known[0]]
    count = "SELECT COUNT(*) AS n FROM (SELECT obs_publisher_did FROM ivoa.obscore) AS sub"
    assert queries.run(count, caller=alice).read_all().column(0).to_pylist() == [1]
    assert queries.run(count).read_all().column(0).to_pylist()[0] > 3
    assert (ANONYMOUS, "ivoa.obscore") in asked
    assert [each for each in asked if each[0] is alice] == [(alice, "ivoa.obscore")] * 3


@pytest.mark.parametrize("table", ["ivoa.obscore", "ivoa.obscore_radio", "fyst.files", "fyst.packages"])
def test_what_lies_outside_the_rule_is_not_counted_either(catalog: Catalog, table: str) -> None:
    queries = service(catalog, rule=lambda caller, table, rows: sa.false())
    count = f"SELECT COUNT(*) AS n FROM {table}"
    assert queries.run(count).read_all().column(0).to_pylist() == [0]
    assert service(catalog).run(count).read_all().column(0).to_pylist()[0] > 0


# --- what goes wrong -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("SELECT", "ends too early"),
        ("SELECT no_such FROM ivoa.obscore", "no_such"),
        ("SELECT * FROM nowhere", "nowhere"),
        ("SELECT s_ra + target_name FROM ivoa.obscore", r"\+|target_name"),
        ("", "ends too early|empty"),
    ],
)
def test_a_mistake_is_found_before_the_database_is_asked(catalog: Catalog, query: str, named: str) -> None:
    with pytest.raises(QueryError, match=named):
        service(catalog).run(query)


def test_a_query_that_takes_too_long_is_stopped(catalog: Catalog) -> None:
    began = time.monotonic()
    with pytest.raises(QueryTimeoutError, match=r"within 0\.5 s") as raised:
        service(catalog, timeout_s=0.5).run(LONG).read_all()
    assert time.monotonic() - began < 5
    assert raised.value.code == "TimeoutFault"
    assert raised.value.hint


def test_a_query_is_cancelled_from_another_thread(catalog: Catalog) -> None:
    stream = service(catalog).run(LONG)
    threading.Timer(0.5, stream.close).start()
    began = time.monotonic()
    with pytest.raises(UnavailableError, match="cancelled"):
        stream.read_all()
    assert time.monotonic() - began < 5


# --- what is said about it -----------------------------------------------------------------------------------


def test_explain_shows_the_sql_the_values_and_the_plan(catalog: Catalog) -> None:
    cone = "SELECT TOP 5 obs_id FROM ivoa.obscore WHERE 1 = CONTAINS(POINT(s_ra, s_dec), CIRCLE(83.8, -5.4, 3))"
    explanation = service(catalog).explain(cone)
    assert "obscore" in explanation.sql
    assert explanation.values
    for name, _ in explanation.values:
        assert name in explanation.sql
    assert ("VIRTUAL TABLE INDEX" if catalog.database.dialect == "sqlite" else "cost=") in explanation.plan


def test_explain_does_not_run_the_query(catalog: Catalog) -> None:
    began = time.monotonic()
    assert service(catalog).explain(LONG).plan
    assert time.monotonic() - began < 5


def test_a_result_says_what_was_asked_and_where_it_comes_from(catalog: Catalog) -> None:
    queries = service(catalog, origin=[Info("publisher", "Somebody")])
    infos = {info.name: info.value for info in queries.result_infos("SELECT 1", request="http://x/tap/sync")}
    assert infos["query"] == "SELECT 1"
    assert infos["request"] == "http://x/tap/sync"
    assert infos["publisher"] == "Somebody"
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d", infos["request_date"])
    assert "request" not in {info.name for info in queries.result_infos("SELECT 1")}


def test_resolve_says_what_a_result_holds_without_running_it(catalog: Catalog) -> None:
    resolved = service(catalog).resolve("SELECT s_ra, s_dec FROM ivoa.obscore")
    assert [column.name for column in resolved.table.columns] == ["s_ra", "s_dec"]
