# ruff: noqa: E501  (a case a line)
"""Whole results reckoned in Python: groups, joins, multisets, subqueries, orders with NULL as the greatest value."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable
from decimal import ROUND_HALF_UP, Context, Decimal
from fractions import Fraction
from typing import Any

import pytest

Rows = list[tuple[Any, ...]]


def defined(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function with NULL for NULL, and for what is undefined."""

    def guarded(*arguments: Any) -> Any:
        if None in arguments:
            return None
        try:
            value = function(*arguments)
        except (ValueError, ZeroDivisionError, OverflowError):
            return None
        return None if isinstance(value, complex) or (isinstance(value, float) and not math.isfinite(value)) else value

    return guarded


def rounded(value: float, places: int, way: str) -> float:
    number = Decimal(value) if isinstance(value, int) else Decimal(f"{value:.15g}")
    return float(number.quantize(Decimal(1).scaleb(-places), rounding=way, context=Context(prec=400)))


def remainder(x: int, y: int) -> int:
    return x - y * int(Fraction(x, y))


d = defined


def total(values: Iterable[Any]) -> Any:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def mean(values: Iterable[Any]) -> Any:
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known else None


def least(values: Iterable[Any]) -> Any:
    return min((value for value in values if value is not None), default=None)


def most(values: Iterable[Any]) -> Any:
    return max((value for value in values if value is not None), default=None)


def grouped(rows: Iterable[Any], key: Callable[[Any], Any]) -> dict[Any, list[Any]]:
    found: dict[Any, list[Any]] = {}
    for row in rows:
        found.setdefault(key(row), []).append(row)
    return found


def multi(first: Iterable[Any], second: Iterable[Any], way: str) -> Rows:
    """A set operation on multisets."""
    one, two = Counter(first), Counter(second)
    result = {
        "UNION": lambda: set(one) | set(two),
        "UNION ALL": lambda: (one + two).elements(),
        "EXCEPT": lambda: set(one) - set(two),
        "EXCEPT ALL": lambda: (one - two).elements(),
        "INTERSECT": lambda: set(one) & set(two),
        "INTERSECT ALL": lambda: (one & two).elements(),
    }[way]()
    return [(value,) for value in result]


def last(value: Any) -> tuple[bool, Any]:
    """Sorts NULL after everything."""
    return (value is None, 0 if value is None else value)


def small(numbers: Iterable[Any]) -> list[Any]:
    """Rows whose sums stay in range."""
    return [n for n in numbers if n.id not in (8, 12, 13, 14, 15)]


SMALL = "id NOT IN (8, 12, 13, 14, 15)"

RESULTS: list[tuple[str, Callable[[Any], Rows]]] = [
    # aggregates
    ("SELECT COUNT(*), COUNT(i), COUNT(DISTINCT i), COUNT(DISTINCT g) FROM lab.numbers",
     lambda lab: [(16, 15, 14, 3)]),
    ("SELECT SUM(i), AVG(i), MIN(i), MAX(i) FROM lab.numbers",
     lambda lab: [(total(n.i for n in lab.numbers), mean(n.i for n in lab.numbers), -2147483648, 2147483647)]),
    (f"SELECT SUM(x), AVG(x), MIN(x), MAX(x) FROM lab.numbers WHERE {SMALL}",
     lambda lab: [(v := [n.x for n in small(lab.numbers)]) and (total(v), mean(v), least(v), most(v))]),
    ("SELECT SUM(h), AVG(h), MIN(h), MAX(h) FROM lab.numbers",
     lambda lab: [(v := [n.h for n in lab.numbers]) and (total(v), mean(v), least(v), most(v))]),
    (f"SELECT SUM(r), MIN(r), MAX(r) FROM lab.numbers WHERE {SMALL}",
     lambda lab: [(v := [n.r for n in small(lab.numbers)]) and (total(v), least(v), most(v))]),
    (f"SELECT SUM(l), MAX(l) FROM lab.numbers WHERE {SMALL}", lambda lab: [(7 + 1 - 1, 9007199254740993)]),
    ("SELECT SUM(DISTINCT i), AVG(DISTINCT x) FROM lab.numbers WHERE i BETWEEN -10 AND 10 AND id < 12",
     lambda lab: [(v := {n.i: n for n in lab.numbers if n.i is not None and -10 <= n.i <= 10 and n.id < 12}) and (
         sum(v), mean({n.x for n in v.values()}))]),
    ("SELECT COUNT(*), SUM(i), AVG(i), MIN(i), MAX(g) FROM lab.numbers WHERE id = 9", lambda lab: [(1, None, None, None, "c")]),
    ("SELECT COUNT(*), COUNT(i), SUM(i), AVG(x), MAX(g) FROM lab.numbers WHERE id > 99", lambda lab: [(0, 0, None, None, None)]),
    ("SELECT g, COUNT(*) FROM lab.numbers WHERE id > 99 GROUP BY g", lambda lab: []),
    ("SELECT MIN(t), MAX(t), COUNT(t), COUNT(DISTINCT t) FROM lab.texts",
     lambda lab: [("", "\U0001d518", 33, 32)]),
    ("SELECT MIN(moment), MAX(moment), COUNT(DISTINCT moment) FROM lab.times",
     lambda lab: [("1999-12-31T23:59:59.000", "2038-01-19T03:14:08.000", 6)]),
    ("SELECT SUM(i + 1) - SUM(i), COUNT(*) * 2, MAX(i) - MIN(i) FROM lab.numbers", lambda lab: [(15, 32, 4294967295)]),
    ("SELECT ROUND(AVG(i), 3), ABS(MIN(h)) FROM lab.numbers",
     lambda lab: [(rounded(mean(n.i for n in lab.numbers), 3, ROUND_HALF_UP), 32768)]),
    # GROUP BY
    ("SELECT g, COUNT(*), SUM(i) FROM lab.numbers GROUP BY g",
     lambda lab: [(g, len(v), total(n.i for n in v)) for g, v in grouped(lab.numbers, lambda n: n.g).items()]),
    ("SELECT COUNT(*) FROM lab.numbers GROUP BY g", lambda lab: [(5,), (4,), (5,), (2,)]),
    ("SELECT g, i / 2 AS half, COUNT(*) FROM lab.numbers GROUP BY g, i / 2",
     lambda lab: [(*k, len(v)) for k, v in grouped(lab.numbers, lambda n: (n.g, d(lambda a: int(Fraction(a, 2)))(n.i))).items()]),
    ("SELECT i / 2 AS half, COUNT(*) FROM lab.numbers GROUP BY half",
     lambda lab: [(k, len(v)) for k, v in grouped(lab.numbers, lambda n: d(lambda a: int(Fraction(a, 2)))(n.i)).items()]),
    ("SELECT MOD(i, 3) AS m, MAX(x) FROM lab.numbers GROUP BY 1",
     lambda lab: [(k, most(n.x for n in v)) for k, v in grouped(lab.numbers, lambda n: d(lambda a: remainder(a, 3))(n.i)).items()]),
    ("SELECT COALESCE(g, 'none') AS k, COUNT(*) FROM lab.numbers GROUP BY COALESCE(g, 'none')",
     lambda lab: [(k, len(v)) for k, v in grouped(lab.numbers, lambda n: n.g or "none").items()]),
    ("SELECT LOWER(t) AS k, COUNT(*) AS n FROM lab.texts GROUP BY LOWER(t) HAVING COUNT(*) > 1",
     lambda lab: [("abc", 4), ("zebra", 2)]),
    ("SELECT g, COUNT(*) AS n FROM lab.numbers GROUP BY g HAVING COUNT(*) > 4 AND MIN(i) < 0", lambda lab: [("a", 5), ("c", 5)]),
    ("SELECT g FROM lab.numbers GROUP BY g HAVING g IS NULL OR AVG(x) = 0.8", lambda lab: [("a",), (None,)]),
    ("SELECT COUNT(*) FROM lab.numbers HAVING COUNT(*) > 99", lambda lab: []),
    ("SELECT g, g || 'x', COUNT(*) + 1 FROM lab.numbers WHERE g < 'c' GROUP BY g", lambda lab: [("a", "ax", 6), ("b", "bx", 5)]),
    ("SELECT DISTINCT g FROM lab.numbers", lambda lab: [("a",), ("b",), ("c",), (None,)]),
    ("SELECT DISTINCT i, x FROM lab.numbers WHERE g = 'a'",
     lambda lab: sorted({(n.i, n.x) for n in lab.numbers if n.g == "a"})),
    ("SELECT DISTINCT 1 FROM lab.numbers", lambda lab: [(1,)]),
    # joins
    ("SELECT n.id, k.label FROM lab.numbers AS n JOIN lab.groups AS k ON n.g = k.g",
     lambda lab: [(n.id, k.label) for n in lab.numbers for k in lab.groups if n.g is not None and n.g == k.g]),
    ("SELECT n.id, k.label FROM lab.numbers AS n LEFT JOIN lab.groups AS k ON n.g = k.g AND n.i = k.i",
     lambda lab: [(n.id, next((k.label for k in lab.groups if n.g and n.i is not None and (n.g, n.i) == (k.g, k.i)), None)) for n in lab.numbers]),
    ("SELECT n.id, k.label FROM lab.numbers AS n RIGHT OUTER JOIN lab.groups AS k ON n.g = k.g AND n.i = k.i",
     lambda lab: [(1, "alpha"), (16, "alpha"), (None, "beta"), (None, "delta"), (None, "none"), (10, "gamma")]),
    ("SELECT n.id, k.label FROM lab.numbers AS n FULL JOIN lab.groups AS k ON n.g = k.g AND n.i = k.i WHERE n.id IS NULL OR n.id < 3",
     lambda lab: [(1, "alpha"), (2, None), (None, "beta"), (None, "delta"), (None, "none")]),
    ("SELECT g, label, COUNT(*) FROM lab.numbers JOIN lab.groups USING (g) GROUP BY g, label",
     lambda lab: [("a", "alpha", 5), ("b", "beta", 4), ("c", "gamma", 5)]),
    ("SELECT g, COUNT(label), COUNT(id) FROM lab.groups LEFT JOIN lab.numbers USING (g) GROUP BY g",
     lambda lab: [("a", 5, 5), ("b", 4, 4), ("d", 1, 0), (None, 1, 0), ("c", 5, 5)]),
    ("SELECT g, label FROM (SELECT DISTINCT g FROM lab.numbers) AS n FULL JOIN lab.groups USING (g)",
     lambda lab: [("a", "alpha"), ("b", "beta"), ("c", "gamma"), ("d", "delta"), (None, "none"), (None, None)]),
    ("SELECT g, label FROM (SELECT DISTINCT g FROM lab.numbers) AS n RIGHT JOIN lab.groups USING (g)",
     lambda lab: [("a", "alpha"), ("b", "beta"), ("c", "gamma"), ("d", "delta"), (None, "none")]),
    ("SELECT id, g, i, label FROM lab.numbers NATURAL JOIN lab.groups",
     lambda lab: [(1, "a", 7, "alpha"), (16, "a", 7, "alpha"), (10, "c", 10, "gamma")]),
    ("SELECT * FROM lab.groups NATURAL LEFT JOIN (SELECT id, g, i FROM lab.numbers) AS n",
     lambda lab: [("a", 7, "alpha", 1), ("a", 7, "alpha", 16), ("b", None, "beta", None), ("d", 3, "delta", None), (None, 0, "none", None), ("c", 10, "gamma", 10)]),
    ("SELECT COUNT(*) FROM lab.numbers, lab.groups", lambda lab: [(80,)]),
    ("SELECT a.id, b.id FROM lab.numbers AS a, lab.numbers AS b WHERE a.i = b.i AND a.id < b.id", lambda lab: [(1, 16)]),
    ("SELECT a.id, b.id, c.label FROM lab.numbers AS a JOIN lab.numbers AS b ON a.i = -b.i JOIN lab.groups AS c ON b.g = c.g WHERE a.i > 0",
     lambda lab: [(1, 2, "alpha"), (16, 2, "alpha"), (4, 5, "beta"), (6, 7, "beta")]),
    ("SELECT n.id, k.label FROM lab.numbers AS n JOIN (lab.groups AS k JOIN lab.texts AS w ON k.g = w.t) ON n.g = k.g", lambda lab: []),
    ("SELECT x.id, x.label FROM (lab.numbers JOIN lab.groups USING (g)) AS x WHERE x.label = 'beta'",
     lambda lab: [(5, "beta"), (6, "beta"), (7, "beta"), (8, "beta")]),
    ("SELECT n.id FROM lab.numbers AS n JOIN lab.groups AS k ON n.i > k.i AND n.x < 1 WHERE k.label = 'delta'",
     lambda lab: [(n.id,) for n in lab.numbers if n.i is not None and n.i > 3 and n.x < 1]),
    ("SELECT a.g, a.label, b.label FROM lab.groups AS a LEFT JOIN lab.groups AS b ON a.i = b.i + 3",
     lambda lab: [("a", "alpha", None), ("b", "beta", None), ("d", "delta", "none"), (None, "none", None), ("c", "gamma", "alpha")]),
    # set operations on multisets
    *((f"SELECT i FROM lab.numbers WHERE i > 0 {way} SELECT i FROM lab.groups",
       lambda lab, way=way: multi([n.i for n in lab.numbers if n.i is not None and n.i > 0], [k.i for k in lab.groups], way))
      for way in ("UNION", "UNION ALL", "EXCEPT", "EXCEPT ALL", "INTERSECT", "INTERSECT ALL")),
    *((f"SELECT g FROM lab.numbers {way} SELECT g FROM lab.texts",
       lambda lab, way=way: multi([n.g for n in lab.numbers], [w.g for w in lab.texts], way))
      for way in ("UNION", "UNION ALL", "EXCEPT", "EXCEPT ALL", "INTERSECT", "INTERSECT ALL")),
    ("SELECT i FROM lab.numbers WHERE id < 3 UNION ALL SELECT x FROM lab.numbers WHERE id < 3",
     lambda lab: [(7.0,), (-7.0,), (2.5,), (-2.5,)]),
    ("SELECT i FROM lab.groups UNION ALL SELECT id FROM lab.groups FULL JOIN lab.numbers USING (g) WHERE g > 'b' ORDER BY 1",
     lambda lab: [(v,) for v in (7, None, 3, 0, 10, 9, 10, 11, 14, 15, None)]),
    ("SELECT NULL AS v FROM lab.groups UNION SELECT g FROM lab.groups WHERE g < 'c'", lambda lab: [(None,), ("a",), ("b",)]),
    ("SELECT i FROM lab.groups EXCEPT SELECT i FROM lab.numbers UNION SELECT 42 FROM lab.groups",
     lambda lab: [(42,)]),
    ("SELECT i FROM lab.groups EXCEPT (SELECT i FROM lab.numbers UNION SELECT 42 FROM lab.groups)", lambda lab: []),
    ("SELECT 1 FROM lab.groups UNION SELECT 2 FROM lab.groups INTERSECT SELECT 3 FROM lab.groups", lambda lab: [(1,)]),
    ("(SELECT 1 FROM lab.groups UNION SELECT 2 FROM lab.groups) INTERSECT SELECT 2 FROM lab.groups", lambda lab: [(2,)]),
    ("(SELECT TOP 1 id FROM lab.numbers ORDER BY id) UNION ALL (SELECT TOP 1 id FROM lab.numbers ORDER BY id DESC)",
     lambda lab: [(1,), (16,)]),
    ("(SELECT id FROM lab.numbers ORDER BY id OFFSET 13) EXCEPT (SELECT id FROM lab.numbers WHERE id = 15)", lambda lab: [(14,), (16,)]),
    # subqueries and WITH
    ("SELECT m.g, m.n FROM (SELECT g, COUNT(*) AS n FROM lab.numbers GROUP BY g) AS m WHERE m.n > 4", lambda lab: [("a", 5), ("c", 5)]),
    ("WITH m AS (SELECT g, COUNT(*) AS n FROM lab.numbers GROUP BY g) SELECT a.g, b.g FROM m AS a, m AS b WHERE a.n = b.n AND a.g < b.g",
     lambda lab: [("a", "c")]),
    ("WITH m AS (SELECT id, i FROM lab.numbers WHERE i > 0), k AS (SELECT i FROM m WHERE i < 10) SELECT COUNT(*), MAX(i) FROM k", lambda lab: [(6, 7)]),
    ("WITH m AS (SELECT g FROM lab.groups) SELECT g FROM m WHERE g IN (SELECT g FROM m WHERE g > 'b')", lambda lab: [("d",), ("c",)]),
    ("SELECT z.v FROM (SELECT TOP 3 id AS v FROM lab.numbers ORDER BY x DESC, id) AS z WHERE z.v < 12", lambda lab: [(9,), (10,)]),
    ("SELECT (z.b) FROM (SELECT i AS a, i + 1 AS b FROM lab.numbers WHERE id = 1) AS z", lambda lab: [(8,)]),
    ("SELECT COUNT(*) FROM (SELECT DISTINCT i FROM lab.numbers) AS z", lambda lab: [(15,)]),
    ("SELECT MAX(z.n) FROM (SELECT COUNT(*) AS n FROM lab.texts GROUP BY g) AS z", lambda lab: [(most(len(v) for v in grouped(lab.texts, lambda w: w.g).values()),)]),
]  # fmt: skip

ORDERED: list[tuple[str, Callable[[Any], Rows]]] = [
    ("SELECT i, id FROM lab.numbers ORDER BY i, id", lambda lab: [(n.i, n.id) for n in sorted(lab.numbers, key=lambda n: (last(n.i), n.id))]),
    ("SELECT i, id FROM lab.numbers ORDER BY i DESC, id",
     lambda lab: [(n.i, n.id) for n in sorted(lab.numbers, key=lambda n: (n.i is not None, -(n.i or 0), n.id))]),
    ("SELECT g, id FROM lab.numbers ORDER BY g ASC, id DESC", lambda lab: [(n.g, n.id) for n in sorted(lab.numbers, key=lambda n: (last(n.g), -n.id))]),
    ("SELECT id FROM lab.numbers ORDER BY ABS(x), id", lambda lab: [(n.id,) for n in sorted(lab.numbers, key=lambda n: (last(d(abs)(n.x)), n.id))]),
    ("SELECT id, ABS(i) AS a FROM lab.numbers WHERE id < 8 ORDER BY a DESC, 1",
     lambda lab: [(n.id, abs(n.i)) for n in sorted(lab.numbers[:7], key=lambda n: (-abs(n.i), n.id))]),
    ("SELECT id, x FROM lab.numbers ORDER BY 2, 1", lambda lab: [(n.id, n.x) for n in sorted(lab.numbers, key=lambda n: (last(n.x), n.id))]),
    ("SELECT t, id FROM lab.texts ORDER BY t, id", lambda lab: [(w.t, w.id) for w in sorted(lab.texts, key=lambda w: (last(w.t) if w.t is not None else (True, ""), w.id))]),
    ("SELECT t, id FROM lab.texts WHERE t IS NOT NULL ORDER BY t DESC, id DESC", lambda lab: [(w.t, w.id) for w in sorted((w for w in lab.texts if w.t is not None), key=lambda w: (w.t, w.id), reverse=True)]),
    ("SELECT LOWER(t) AS k, id FROM lab.texts WHERE g = 'a' ORDER BY LOWER(t) || 'x', id", lambda lab: [("abc", 1), ("abc", 2), ("abc", 3), (None, 27)]),
    ("SELECT moment, id FROM lab.times ORDER BY moment DESC, id", lambda lab: [
        (None if m.moment is None else m.moment.isoformat(timespec="milliseconds"), m.id)
        for m in sorted(lab.times, key=lambda m: (m.moment is not None, -(m.moment.timestamp() if m.moment else 0), m.id))]),
    ("SELECT g, COUNT(*) AS n FROM lab.numbers GROUP BY g ORDER BY n DESC, g", lambda lab: [("a", 5), ("c", 5), ("b", 4), (None, 2)]),
    ("SELECT g FROM lab.numbers GROUP BY g ORDER BY COUNT(*), MAX(id)", lambda lab: [(None,), ("b",), ("c",), ("a",)]),
    ("SELECT NULL AS x, 'a' AS y, g FROM lab.groups ORDER BY x, y, g DESC", lambda lab: [(None, "a", g) for g in (None, *"dcba")]),
    ("SELECT TOP 3 id FROM lab.numbers ORDER BY id", lambda lab: [(1,), (2,), (3,)]),
    ("SELECT TOP 3 id FROM lab.numbers ORDER BY id OFFSET 14", lambda lab: [(15,), (16,)]),
    ("SELECT id FROM lab.numbers ORDER BY id OFFSET 13", lambda lab: [(14,), (15,), (16,)]),
    ("SELECT id FROM lab.numbers ORDER BY id OFFSET 99", lambda lab: []),
    ("SELECT TOP 0 id FROM lab.numbers ORDER BY id", lambda lab: []),
    ("SELECT TOP 2 id FROM lab.numbers WHERE g = 'c' ORDER BY x DESC, id OFFSET 1", lambda lab: [(10,), (14,)]),
    ("SELECT DISTINCT g FROM lab.numbers ORDER BY g DESC", lambda lab: [(None,), ("c",), ("b",), ("a",)]),
    ("SELECT DISTINCT TOP 2 g FROM lab.numbers ORDER BY g OFFSET 1", lambda lab: [("b",), ("c",)]),
    ("SELECT g FROM lab.numbers UNION SELECT g FROM lab.texts ORDER BY g DESC", lambda lab: [(None,), *((s,) for s in "hgfedcba")]),
    ("SELECT g FROM lab.numbers UNION SELECT g FROM lab.texts ORDER BY 1 OFFSET 6", lambda lab: [("g",), ("h",), (None,)]),
    ("SELECT id FROM lab.groups NATURAL JOIN lab.numbers ORDER BY x, id", lambda lab: [(1,), (16,), (10,)]),
    ("SELECT n.id FROM lab.numbers AS n JOIN lab.groups AS k ON n.g = k.g ORDER BY k.label DESC, n.x, n.id",
     lambda lab: [(n.id,) for n in sorted((n for n in lab.numbers if n.g), key=lambda n: ("cba".index(n.g), last(n.x), n.id))]),
    ("SELECT z.id FROM (SELECT id, i FROM lab.numbers ORDER BY i DESC, id OFFSET 1) AS z ORDER BY z.i, z.id OFFSET 12",
     lambda lab: [(n.id,) for n in sorted((n for n in lab.numbers if n.i is not None), key=lambda n: (n.i, n.id))][12:]),
    ("SELECT -i AS v FROM lab.numbers WHERE id < 6 ORDER BY v", lambda lab: [(-7,), (-3,), (0,), (3,), (7,)]),
    ("SELECT id FROM lab.numbers WHERE id < 6 ORDER BY g, -i", lambda lab: [(1,), (4,), (3,), (2,), (5,)]),
    ("WITH m AS (SELECT g, MAX(i) AS top_i FROM lab.numbers GROUP BY g) SELECT * FROM m ORDER BY top_i DESC", lambda lab: [("c", 2147483647), ("a", 7), (None, 5), ("b", 2)]),
]  # fmt: skip


@pytest.mark.parametrize(("query", "reckon"), RESULTS, ids=[text for text, _ in RESULTS])
def test_a_result_equals_the_reckoned_one(
    query: str, reckon: Callable[[Any], Rows], answers: Any, laboratory: Any, same: Any
) -> None:
    for found in answers(query):
        assert same(found, reckon(laboratory)), found


@pytest.mark.parametrize(("query", "reckon"), ORDERED, ids=[text for text, _ in ORDERED])
def test_a_sorted_result_equals_the_reckoned_one_in_its_order(
    query: str, reckon: Callable[[Any], Rows], answers: Any, laboratory: Any, same: Any
) -> None:
    for found in answers(query):
        assert same(found, reckon(laboratory), ordered=True), found
