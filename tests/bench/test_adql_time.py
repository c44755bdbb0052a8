"""Our own time for a query, from its text to the SQL of an engine, printed by `make bench`."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest

from catalog.adql.parser import parse
from catalog.adql.resolver import resolve
from catalog.adql.translate import translate
from catalog.db.statement import compile_statement
from catalog.vo.tableset import load_tableset

pytestmark = pytest.mark.slow

WHERE = "SELECT s_ra FROM ivoa.obscore WHERE "
CONE = "SELECT * FROM ivoa.obscore WHERE 1 = CONTAINS(POINT(s_ra, s_dec), CIRCLE(83.8, -5.4, 3))"
QUERIES = {
    "a cone": CONE,
    "IN of 20,000 integers": WHERE + f"access_estsize IN ({','.join(map(str, range(20_000)))})",
    "IN of 20,000 identifiers": WHERE + f"obs_id IN ({','.join(repr(f'{n:036}') for n in range(20_000))})",
    "OR of 4,900 comparisons": WHERE + " OR ".join(f"s_ra = {n}" for n in range(4_900)),
    "100 unions": " UNION ".join(["SELECT s_ra FROM ivoa.obscore"] * 100),
}


@pytest.mark.parametrize("text", QUERIES.values(), ids=QUERIES.keys())
def test_time_from_text_to_sql(text: str, request: pytest.FixtureRequest) -> None:
    tables = {table.name: table for schema in load_tableset() for table in schema.tables}
    compile_statement(translate(resolve(parse(CONE), tables), dialect="sqlite"), "sqlite", {})
    times = []
    for _ in range(5):
        marks = [time.perf_counter()]
        tree = parse(text)
        marks.append(time.perf_counter())
        resolved = resolve(tree, tables)
        marks.append(time.perf_counter())
        assert compile_statement(translate(resolved, dialect="postgresql"), "postgresql", {}).sql
        marks.append(time.perf_counter())
        times.append([1e3 * (after - before) for before, after in pairwise(marks)])
    parsed, resolving, translating = min(times, key=sum)
    total = parsed + resolving + translating
    print(f"\n{request.node.callspec.id}: {total:.0f} ms ({parsed:.0f} + {resolving:.0f} + {translating:.0f})")
