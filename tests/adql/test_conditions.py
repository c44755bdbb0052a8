# ruff: noqa: E501  (a case a line)
"""Conditions reckoned in Python, in the three values of SQL: text by code point, LIKE minding case, NULL unknown."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import pytest


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


def fold(text: str, method: str) -> str:
    return "".join(getattr(sign, method)() if sign.isascii() else sign for sign in text)


d = defined
sum2 = d(lambda a, b: a + b)


def like(text: str, pattern: str) -> bool:
    """LIKE, by the rule alone."""
    if not pattern:
        return not text
    if pattern[0] == "%":
        return any(like(text[start:], pattern[1:]) for start in range(len(text) + 1))
    return bool(text) and pattern[0] in ("_", text[0]) and like(text[1:], pattern[1:])


def ilike(text: str, pattern: str) -> bool:
    return like(fold(text, "lower"), fold(pattern, "lower"))


def among(value: Any, options: Iterable[Any]) -> bool | None:
    """IN: unknown for NULL, and beside NULL when nothing else matches."""
    listed = list(options)
    if value is None:
        return None if listed else False
    return True if value in [o for o in listed if o is not None] else None if None in listed else False


def at(row: Any, ids: Iterable[int]) -> bool | None:
    """Whether a time is one of these rows'."""
    return None if row.moment is None else row.id in ids


def and3(a: bool | None, b: bool | None) -> bool | None:
    return False if a is False or b is False else None if a is None or b is None else True


def not3(a: bool | None) -> bool | None:
    return None if a is None else not a


def or3(a: bool | None, b: bool | None) -> bool | None:
    return not3(and3(not3(a), not3(b)))


lt = d(lambda a, b: a < b)
eq = d(lambda a, b: a == b)

CONDITIONS: list[tuple[str, str, Callable[[Any], Any]]] = [
    # three-valued logic
    ("numbers", "i < 3", lambda n: lt(n.i, 3)),
    ("numbers", "NOT i < 3", lambda n: not3(lt(n.i, 3))),
    ("numbers", "i = NULL", lambda n: None),
    ("numbers", "NOT i = NULL", lambda n: None),
    ("numbers", "i <> 7", lambda n: not3(eq(n.i, 7))),
    ("numbers", "i != 7 OR i IS NULL", lambda n: n.i != 7),
    ("numbers", "i IS NULL", lambda n: n.i is None),
    ("numbers", "i IS NOT NULL", lambda n: n.i is not None),
    ("numbers", "i / 0 IS NULL", lambda n: True),
    ("numbers", "i > 0 AND x > 0", lambda n: and3(lt(0, n.i), lt(0, n.x))),
    ("numbers", "i > 1000 OR x IS NULL", lambda n: or3(lt(1000, n.i), n.x is None)),
    ("numbers", "NOT (i > 0 AND g = 'a')", lambda n: not3(and3(lt(0, n.i), eq(n.g, "a")))),
    ("numbers", "NOT (i > 0 OR g = 'a')", lambda n: not3(or3(lt(0, n.i), eq(n.g, "a")))),
    ("numbers", "i > 0 AND g = 'a' OR i < 0 AND NOT g = 'b'", lambda n: or3(
        and3(lt(0, n.i), eq(n.g, "a")), and3(lt(n.i, 0), not3(eq(n.g, "b"))))),
    # comparisons across types
    ("numbers", "i = x", lambda n: eq(n.i, n.x)),
    ("numbers", "l = 9007199254740993", lambda n: eq(n.l, 9007199254740993)),
    ("numbers", "l > 9007199254740992", lambda n: lt(9007199254740992, n.l)),
    ("numbers", "h = i", lambda n: eq(n.h, n.i)),
    ("numbers", "r = 0.25", lambda n: eq(n.r, 0.25)),
    ("numbers", "r > 0.125", lambda n: lt(0.125, n.r)),
    ("numbers", "2 < x", lambda n: lt(2, n.x)),
    ("numbers", "x >= -0.5 AND x <= .5", lambda n: d(lambda a: -0.5 <= a <= 0.5)(n.x)),
    ("numbers", "i / 2 = 3", lambda n: among(n.i, [7])),
    ("numbers", "i / 2. = 3.5", lambda n: eq(n.i, 7)),
    # BETWEEN
    ("numbers", "i BETWEEN -3 AND 3", lambda n: d(lambda a: -3 <= a <= 3)(n.i)),
    ("numbers", "i NOT BETWEEN -3 AND 3", lambda n: d(lambda a: not -3 <= a <= 3)(n.i)),
    ("numbers", "i BETWEEN 3 AND -3", lambda n: d(lambda a: False)(n.i)),
    ("numbers", "3 BETWEEN i AND 7", lambda n: d(lambda a: a <= 3)(n.i)),
    ("numbers", "i BETWEEN NULL AND 3", lambda n: d(lambda a: False if a > 3 else None)(n.i)),
    ("numbers", "NOT i BETWEEN NULL AND 3", lambda n: d(lambda a: True if a > 3 else None)(n.i)),
    # IN
    ("numbers", "i IN (7, 0, 42)", lambda n: among(n.i, (7, 0, 42))),
    ("numbers", "i NOT IN (7, 0, 42)", lambda n: not3(among(n.i, (7, 0, 42)))),
    ("numbers", "i IN (7)", lambda n: eq(n.i, 7)),
    ("numbers", "i IN (7, NULL)", lambda n: among(n.i, (7, None))),
    ("numbers", "i NOT IN (7, NULL)", lambda n: not3(among(n.i, (7, None)))),
    ("numbers", "i IN (-7, +3, - 1)", lambda n: among(n.i, (-7, 3, -1))),
    ("numbers", "i IN (2.5, 7.0, 1e1)", lambda n: among(n.i, (7, 10))),
    ("numbers", "x IN (2.5, -1.5, 0)", lambda n: among(n.x, (2.5, -1.5, 0))),
    ("numbers", "i IN (h, 2)", lambda n: among(n.i, (n.h, 2))),
    ("numbers", "i + 1 IN (8, id)", lambda n: among(sum2(n.i, 1), (8, n.id))),
    ("numbers", f"i IN ({', '.join(map(str, range(200)))})", lambda n: d(lambda a: 0 <= a < 200)(n.i)),
    ("numbers", f"i NOT IN ({', '.join(map(str, range(200)))})", lambda n: d(lambda a: not 0 <= a < 200)(n.i)),
    ("numbers", f"x IN ({', '.join(str(k / 2) for k in range(-50, 50))})", lambda n: among(n.x, [k / 2 for k in range(-50, 50)])),
    ("numbers", f"l IN ({', '.join(str(k) for k in [9007199254740993, *range(50)])})", lambda n: among(n.l, (9007199254740993, *range(50)))),
    # text by code point
    ("texts", "t < 'b'", lambda w: lt(w.t, "b")),
    ("texts", "t >= 'Z' AND t <= 'a'", lambda w: d(lambda t: "Z" <= t <= "a")(w.t)),
    ("texts", "t > 'z'", lambda w: lt("z", w.t)),
    ("texts", "t = 'abc'", lambda w: eq(w.t, "abc")),
    ("texts", "t = ''", lambda w: eq(w.t, "")),
    ("texts", "t <> ''", lambda w: not3(eq(w.t, ""))),
    ("texts", "t = ' '", lambda w: eq(w.t, " ")),
    ("texts", "t = 'it''s'", lambda w: eq(w.t, "it's")),
    ("texts", "t = 'a\\b'", lambda w: eq(w.t, "a\\b")),
    ("texts", "t = 'two\nlines'", lambda w: eq(w.t, "two\nlines")),
    ("texts", "t BETWEEN 'A' AND 'a'", lambda w: d(lambda t: "A" <= t <= "a")(w.t)),
    ("texts", "t NOT BETWEEN 'A' AND 'é'", lambda w: d(lambda t: not "A" <= t <= "é")(w.t)),
    ("texts", "t > '\uffee'", lambda w: lt("\uffee", w.t)),
    ("texts", "LOWER(t) = 'abc'", lambda w: d(lambda t: fold(t, "lower") == "abc")(w.t)),
    ("texts", "t IN ('abc', 'É', '', 'it''s')", lambda w: among(w.t, ("abc", "É", "", "it's"))),
    ("texts", "t NOT IN ('abc', 'É')", lambda w: d(lambda t: t not in ("abc", "É"))(w.t)),
    ("texts", "t IN ('a\\b', 'a\"b', '{a,b}', 'x,y', 'it''s', '星', 'NULL', '', '1', '2', '3', '4', '5', '6', '7', '8', '9', '0')",
     lambda w: among(w.t, ("a\\b", 'a"b', "{a,b}", "it's", "星", ""))),
    ("texts", "t IN (g, 'abc')", lambda w: among(w.t, (w.g, "abc"))),
    # LIKE
    *(("texts", f"t LIKE '{p.replace(chr(39), chr(39) * 2)}'", lambda w, p=p: d(lambda t: like(t, p))(w.t))
      for p in ["abc", "a%", "%b%", "_b_", "%", "", "_", "a\\b", "%\\%", "a_b", "[abc]", "[a]%", "*", "?", "%c]", "%'%",
                "__", "A%", "%é%", "é", "星", "\U0001d518", "%\n%", "-%", "%%", "a%%c"]),
    ("texts", "t NOT LIKE 'a%'", lambda w: d(lambda t: not like(t, "a%"))(w.t)),
    *(("texts", f"t ILIKE '{p}'", lambda w, p=p: d(lambda t: ilike(t, p))(w.t))
      for p in ["ABC", "a%", "%B%", "É", "é", "[A%", "Z_BRA", "_"]),
    ("texts", "t NOT ILIKE 'A%'", lambda w: d(lambda t: not ilike(t, "A%"))(w.t)),
    ("texts", "t LIKE t", lambda w: d(lambda t: True)(w.t)),
    ("texts", "t LIKE g || '%'", lambda w: d(lambda t, g: like(t, g + "%"))(w.t, w.g)),
    ("texts", "t ILIKE UPPER(g) || '%'", lambda w: d(lambda t, g: ilike(t, g.upper() + "%"))(w.t, w.g)),
    ("texts", "'a*b?[c]' LIKE 'a' || t || 'b?[c]'", lambda w: d(lambda t: like("a*b?[c]", f"a{t}b?[c]"))(w.t)),
    ("texts", "'a\\b' LIKE t", lambda w: d(lambda t: like("a\\b", t))(w.t)),
    ("texts", "t LIKE NULL", lambda w: None),
    ("texts", "g || 'x' LIKE '_x'", lambda w: d(lambda g: True)(w.g)),
    # EXISTS and IN of a subquery, correlated or not
    ("numbers", "g IN (SELECT g FROM lab.groups)", lambda n: among(n.g, ("a", "b", "c", "d", None))),
    ("numbers", "g NOT IN (SELECT g FROM lab.groups)", lambda n: not3(among(n.g, ("a", "b", "c", "d", None)))),
    ("numbers", "g NOT IN (SELECT g FROM lab.groups WHERE g IS NOT NULL AND g <> 'a')", lambda n: d(lambda g: g == "a")(n.g)),
    ("numbers", "g NOT IN (SELECT g FROM lab.groups WHERE g = 'nowhere')", lambda n: True),
    ("numbers", "EXISTS (SELECT * FROM lab.groups)", lambda n: True),
    ("numbers", "EXISTS (SELECT * FROM lab.groups WHERE g = 'nowhere')", lambda n: False),
    ("numbers", "EXISTS (SELECT 1 FROM lab.groups AS k WHERE k.g = numbers.g AND k.i = numbers.i)",
     lambda n: (n.g, n.i) in (("a", 7), ("d", 3), ("c", 10))),
    ("numbers", "NOT EXISTS (SELECT 1 FROM lab.groups AS k WHERE k.g = numbers.g)", lambda n: n.g is None),
    ("numbers", "i IN (SELECT k.i FROM lab.groups AS k WHERE k.g = numbers.g)", lambda n: among(n.i, {"a": [7], "b": [None], "c": [10]}.get(n.g, []))),
    ("numbers", "i > 0 AND EXISTS (SELECT 1 FROM lab.texts AS w WHERE w.g = numbers.g AND w.id > numbers.id)",
     lambda n: and3(lt(0, n.i), n.g in ("a", "b") or (n.g == "c" and n.id < 11))),
    ("numbers", "EXISTS (SELECT 1 FROM lab.groups AS k WHERE k.i = numbers.i AND EXISTS (SELECT 1 FROM lab.texts AS w WHERE w.g = k.g AND w.id = numbers.id))",
     lambda n: (n.i == 7 and n.id in (1, 2, 3, 27)) or (n.i == 10 and n.id in (7, 8, 9, 10, 11))),
    # times
    ("times", "moment >= '2026-04-02'", lambda m: d(lambda t: t.year > 2026 or (t.year, t.month, t.day) >= (2026, 4, 2))(m.moment)),
    ("times", "moment = '2026-04-02T00:00:00'", lambda m: at(m, (2, 7))),
    ("times", "moment = '2026-04-02T00:00:00.000Z'", lambda m: at(m, (2, 7))),
    ("times", "moment <> '2026-04-02'", lambda m: at(m, (1, 3, 4, 5, 8))),
    ("times", "moment BETWEEN '2000-01-01' AND '2026-04-01T23:59:59.999'", lambda m: at(m, (1, 4))),
    ("times", "'2000-02-29T12:00' = moment", lambda m: at(m, [4])),
    ("times", "moment IN ('2000-02-29T12:00:00', '2026-04-02')", lambda m: at(m, (2, 4, 7))),
    ("times", "moment < CAST('2000-01-01' AS TIMESTAMP)", lambda m: at(m, [5])),
    ("times", "moment IN (SELECT moment FROM lab.times WHERE id = 2)", lambda m: at(m, (2, 7))),
    ("times", "CAST(moment AS VARCHAR) LIKE '2026%'", lambda m: at(m, (1, 2, 3, 7))),
    ("times", "moment || '' > '2030'", lambda m: at(m, [8])),
]  # fmt: skip


@pytest.mark.parametrize(
    ("table", "condition", "reckon"), CONDITIONS, ids=[f"{table}: {text[:60]}" for table, text, _ in CONDITIONS]
)
def test_a_condition_keeps_the_rows_for_which_it_is_true(
    table: str, condition: str, reckon: Callable[[Any], Any], answers: Any, laboratory: Any, same: Any
) -> None:
    expected = [(row.id,) for row in getattr(laboratory, table) if reckon(row) is True]
    for found in answers(f"SELECT id FROM lab.{table} WHERE {condition}"):
        assert sorted(found) == expected
    elsewhere = f"SELECT z.id FROM (SELECT id FROM lab.{table} AS {table} WHERE NOT ({condition})) AS z"
    rest = [(row.id,) for row in getattr(laboratory, table) if reckon(row) is False]
    for found in answers(elsewhere):
        assert sorted(found) == rest
