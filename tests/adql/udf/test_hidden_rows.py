"""No error tells of a row that the access rule hides, however the query is built."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from catalog.errors import QueryError
from catalog.vo.table import Table

HIDDEN = "SELECT id, ra, decl, words FROM sky.stars WHERE id > 4"
MOVED = "ivo_epoch_prop_pos({0}.ra, {0}.decl, 1, 1, 1, 1, 2016, 2026)"
NUMBER = "CAST(q.words AS INTEGER)"
QUERIES = {
    "cast": "SELECT id FROM sky.stars WHERE id > 4 AND CAST(words AS INTEGER) > 0",
    "cast in a subquery": f"SELECT id FROM ({HIDDEN}) AS q WHERE CAST(words AS INTEGER) > 0",
    "cast of a cte": f"WITH q AS ({HIDDEN}) SELECT id FROM q WHERE CAST(words AS DOUBLE PRECISION) > 0",
    "cast of a cte's": f"WITH q AS ({HIDDEN}), r AS (SELECT * FROM q) SELECT id FROM r WHERE CAST(words AS REAL) > 0",
    "compared above": f"SELECT k FROM (SELECT CAST(words AS INTEGER) AS k FROM ({HIDDEN}) AS q) AS r WHERE k > 0",
    "joined on": f"SELECT q.id FROM sky.grid AS g JOIN ({HIDDEN}) AS q ON CAST(q.words AS INTEGER) = g.i",
    "compared with a time": f"SELECT id FROM ({HIDDEN}) AS q WHERE words > CAST('2026-01-01' AS TIMESTAMP)",
    "counted as a time": f"SELECT id FROM ({HIDDEN}) AS q WHERE ivo_to_mjd(words) > 0",
    "a shape": f"SELECT id FROM ({HIDDEN}) AS q WHERE 1=CONTAINS(POINT(1, 2), CAST(words AS CIRCLE))",
    "correlated": f"SELECT id FROM ({HIDDEN}) AS q WHERE EXISTS (SELECT i FROM sky.grid WHERE i = {NUMBER})",
    "united": f"SELECT id FROM ({HIDDEN} UNION ALL {HIDDEN}) AS q WHERE CAST(words AS INTEGER) > 0",
    "distinct": f"SELECT w FROM (SELECT DISTINCT words AS w FROM ({HIDDEN}) AS p) AS q WHERE CAST(w AS INTEGER) > 0",
    "grouped": f"SELECT words FROM (SELECT words FROM ({HIDDEN}) AS p GROUP BY words) AS q WHERE {NUMBER} > 0",
    "moved": f"SELECT id FROM sky.stars AS s WHERE id > 4 AND COORD1({MOVED.format('s')}) > 0",
    "moved in a subquery": f"SELECT id FROM ({HIDDEN}) AS q WHERE 1=CONTAINS({MOVED.format('q')}, CIRCLE(1, 2, 90))",
    "moved in a cte": f"WITH q AS ({HIDDEN}) SELECT id FROM q WHERE COORD2({MOVED.format('q')}) > 0",
}


def costly(table: Table, rows: sa.FromClause) -> sa.ColumnElement[bool]:
    """Hides the last star by a rule that PostgreSQL would rather ask last."""
    tests = [rows.c.hidden == 0, *(rows.c.id > -number for number in range(1, 9))]
    return sa.or_(sa.and_(*tests), sa.and_(rows.c.hidden == 7, rows.c.id > 1000, rows.c.id < 5000))


@pytest.mark.parametrize("name", QUERIES)
def test_a_hidden_row_raises_nothing(sky: Any, name: str) -> None:
    assert sky.stream(QUERIES[name], costly)[1] == []


@pytest.mark.parametrize("name", QUERIES)
def test_a_row_that_is_seen_does(sky: Any, name: str) -> None:
    with pytest.raises(QueryError) as caught:
        sky.stream(QUERIES[name])
    assert caught.value.code in ("bad-cast", "null-argument")
    assert "hidden" not in caught.value.message


def test_without_a_rule_nothing_is_in_the_way(sky: Any) -> None:
    assert "Limit" not in sky.plan(QUERIES["cast in a subquery"])
