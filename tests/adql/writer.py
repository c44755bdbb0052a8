"""Writes queries at random, within the rules of types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

__all__ = ["COLUMNS", "Grounds", "Writer"]

T = TypeVar("T")

COLUMNS = {
    "numbers": {"whole": ["id", "i", "h"], "real": ["r"], "text": ["g"]},
    "texts": {"whole": ["id"], "real": [], "text": ["t", "g"]},
    "groups": {"whole": ["i"], "real": [], "text": ["g", "label"]},
    "times": {"whole": ["id"], "real": [], "text": [], "time": ["moment"]},
}
KINDS = ["whole", "real", "text", "time"]
TIMES = ["2026-04-02", "2000-02-29T12:00:00", "1999-12-31T23:59:59.000"]
PATTERNS = ["a%", "%b%", "_", "%", "A_c", "[a%", "%\\\\%", "é", ""]
STRINGS = ["a", "abc", "Z", "", "é", "星", "a%b", "it''s"]


@dataclass(frozen=True, slots=True)
class Grounds:
    """What queries are written over."""

    columns: Mapping[str, Mapping[str, Sequence[str]]]
    """Names of columns by table and kind; the first whole one of each is what tables are joined by."""

    schema: str = "lab."
    merged: Sequence[str] = ("numbers NATURAL {} JOIN lab.groups", "groups {} JOIN lab.numbers USING (g)")
    """FROM clauses whose tables are matched by name."""

    merged_names: Mapping[str, Sequence[str]] = field(
        default_factory=lambda: {
            "whole": ["id", "h"],
            "real": ["r"],
            "text": ["g", "label"],
            "time": ["CAST('2026-04-02' AS TIMESTAMP)"],
        }
    )


class Writer:
    """Writes a query; each number of a list makes one choice, and after the last the plainest is made.

    Args:
        choices: The numbers.
        grounds: What it is about; the laboratory when None.
    """

    def __init__(self, choices: list[int], grounds: Grounds | None = None) -> None:
        self._grounds = grounds or Grounds(COLUMNS)
        self._left = iter(choices)
        self._names = 0
        self._tables: list[tuple[str, str]] = []

    def pick(self, options: Sequence[T]) -> T:
        return options[next(self._left, 0) % len(options)]

    def column(self, kind: str) -> str | None:
        found = [
            f"{alias}.{name}" for alias, table in self._tables for name in self._grounds.columns[table].get(kind, [])
        ]
        return self.pick(found) if found else None

    # --- values ---

    def value(self, kind: str, depth: int = 2) -> str:
        return {"whole": self.whole, "real": self.real, "text": self.text, "time": self.time}[kind](depth)

    def whole(self, depth: int = 2) -> str:
        form = self.pick(["column", "column", "number", "sum", "product", "quotient", "mod", "abs", "coalesce", "cast"])
        if depth == 0 or form == "column":
            return self.column("whole") or "7"
        one, two = self.whole(depth - 1), self.pick(["2", "-3", "5", "0", "10"])
        return {
            "number": self.pick(["0", "1", "-7", "42", "2147483648"]),
            "sum": f"({one} {self.pick(['+', '-'])} {self.whole(depth - 1)})",
            "product": f"{one} * {two}",
            "quotient": f"({one} / {two})",
            "mod": f"MOD({one}, {two})",
            "abs": f"ABS({one} + 0)",
            "coalesce": f"COALESCE({one}, {self.whole(depth - 1)})",
            "cast": f"CAST({self.pick(['2.7', '-2.7', '0.5'])} AS INTEGER)",
        }[form]

    def real(self, depth: int = 2) -> str:
        form = self.pick(["column", "number", "sum", "product", "quotient", "round", "floor", "whole", "sqrt", "cast"])
        if depth == 0 or form == "column":
            return self.column("real") or "0.5"
        one = self.real(depth - 1)
        return {
            "number": self.pick(["0.5", "-1.25", "1e2", "0.1", "3."]),
            "sum": f"({one} {self.pick(['+', '-'])} {self.real(depth - 1)})",
            "product": f"{one} * {self.pick(['2', '0.25', '-1'])}",
            "quotient": f"({one} / {self.pick(['4', '0', '0.5', '3'])})",
            "round": f"{self.pick(['ROUND', 'TRUNCATE'])}({one}, {self.pick(['0', '1', '-1'])})",
            "floor": f"{self.pick(['FLOOR', 'CEILING', 'ABS'])}({one})",
            "whole": f"({self.whole(depth - 1)} / 2.0)",
            "sqrt": f"SQRT({one})",
            "cast": f"CAST({self.whole(depth - 1)} AS DOUBLE PRECISION)",
        }[form]

    def text(self, depth: int = 2) -> str:
        form = self.pick(["column", "column", "string", "join", "case", "coalesce", "cast", "cut"])
        if depth == 0 or form == "column":
            return self.column("text") or "'a'"
        one = self.text(depth - 1)
        return {
            "string": f"'{self.pick(STRINGS)}'",
            "join": f"({one} || {self.text(depth - 1)})",
            "case": f"{self.pick(['LOWER', 'UPPER'])}({one})",
            "coalesce": f"COALESCE({one}, '{self.pick(STRINGS)}')",
            "cast": f"CAST({self.value(self.pick(KINDS), depth - 1)} AS VARCHAR)",
            "cut": f"CAST({one} AS {self.pick(['VARCHAR(2)', 'CHAR(3)', 'VARCHAR'])})",
        }[form]

    def time(self, depth: int = 2) -> str:
        column = self.column("time")
        literal = f"CAST('{self.pick(TIMES)}' AS TIMESTAMP)"
        form = self.pick(["column", "column", "literal", "coalesce"])
        if column is None or form == "literal":
            return literal
        return column if form == "column" or depth == 0 else f"COALESCE({column}, {self.time(depth - 1)})"

    # --- conditions ---

    def condition(self, depth: int = 2) -> str:
        form = self.pick(["compare", "compare", "between", "in", "null", "like", "and", "or", "not", "exists", "query"])
        kind = self.pick(KINDS)
        one = self.value(kind, 1)
        negated = self.pick(["", "NOT "])
        if form in ("and", "or", "not") and depth == 0:
            form = "compare"
        if form == "compare":
            return f"{one} {self.pick(['=', '<>', '<', '>', '<=', '>='])} {self.value(kind, 1)}"
        if form == "between":
            return f"{one} {negated}BETWEEN {self.value(kind, 1)} AND {self.value(kind, 1)}"
        if form == "in":
            items = [self.pick(["NULL", self.value(kind, 1), self.value(kind, 0)]) for _ in range(self.pick([1, 2, 3]))]
            return f"{one} {negated}IN ({', '.join(items)})"
        if form == "null":
            return f"{one} IS {negated}NULL"
        if form == "like":
            return f"{self.text(1)} {negated}{self.pick(['LIKE', 'ILIKE'])} '{self.pick(PATTERNS)}'"
        if form in ("and", "or"):
            return f"({self.condition(depth - 1)} {form.upper()} {self.condition(depth - 1)})"
        if form == "not":
            return f"NOT ({self.condition(depth - 1)})"
        outer = list(self._tables)
        inner = self.table()
        text = (
            f"SELECT {self.value(kind, 0)} FROM {inner} WHERE {self.condition(0)}"
            if depth
            else f"SELECT 1 FROM {inner}"
        )
        self._tables = outer
        return f"{negated}EXISTS ({text})" if form == "exists" or not depth else f"{one} {negated}IN ({text})"

    # --- queries ---

    def table(self) -> str:
        self._names += 1
        alias, name = f"t{self._names}", self.pick(list(self._grounds.columns))
        self._tables.append((alias, name))
        return f"{self._grounds.schema}{name} AS {alias}"

    def tables(self) -> str:
        text = self.table()
        for _ in range(self.pick([0, 0, 1, 1, 2])):
            kind = self.pick(["JOIN", "LEFT JOIN", "RIGHT JOIN", "INNER JOIN", "FULL JOIN"])
            left = self.column("whole")
            right = self.table()
            alias, name = self._tables[-1]
            if self.pick([True, False, False]):
                return f"{text}, {right}"
            text += f" {kind} {right} ON {left} = {alias}.{self._grounds.columns[name]['whole'][0]}"
            text += f" AND {self.condition(0)}" if kind != "FULL JOIN" and self.pick([False, False, True]) else ""
        return text

    def merged(self, kinds: Sequence[str]) -> str:
        """A selection from tables whose columns are matched by name."""
        tables = self.pick(self._grounds.merged)
        text = f"FROM {self._grounds.schema}{tables.format(self.pick(['INNER', 'LEFT', 'RIGHT', 'FULL']))}"
        names = self._grounds.merged_names
        items = ", ".join(self.pick(names[kind]) for kind in kinds)
        return f"SELECT {items} {text} WHERE {self.pick(names['text'])} {self.pick(['>', '<>', '<='])} 'b'"

    def select(self, kinds: Sequence[str]) -> str:
        self._tables = []
        if self._grounds.merged and self.pick([False, False, False, False, True]):
            return self.merged(kinds)
        tables = self.tables()
        where = f" WHERE {self.condition()}" if self.pick([True, True, False]) else ""
        if self.pick([False, False, True]):
            keys = [self.value(kind) for kind in kinds[:-1]]
            last = {
                "whole": f"{self.pick(['MIN(', 'MAX(', 'COUNT(', 'SUM(', 'COUNT(DISTINCT '])}{self.whole(1)})",
                "real": f"{self.pick(['MAX', 'AVG', 'SUM'])}({self.real(1)})",
            }
            items = [*keys, last.get(kinds[-1], f"{self.pick(['MIN', 'MAX'])}({self.value(kinds[-1], 1)})")]
            having = self.pick(["", " HAVING COUNT(*) > 1", f" HAVING MIN({self.whole(1)}) < 5"])
            group = f" GROUP BY {', '.join(map(str, range(1, len(kinds))))}" if keys else ""
            return f"SELECT {', '.join(items)} FROM {tables}{where}{group}{having}"
        items = [self.value(kind) for kind in kinds]
        return f"SELECT {self.pick(['', 'DISTINCT '])}{', '.join(items)} FROM {tables}{where}"

    def query(self) -> str:
        kinds = [self.pick(KINDS) for _ in range(self.pick([1, 2, 3]))]
        text = self.select(kinds)
        for _ in range(self.pick([0, 0, 0, 1, 2])):
            way = self.pick(["UNION", "UNION ALL", "EXCEPT", "EXCEPT ALL", "INTERSECT", "INTERSECT ALL"])
            text += f" {way} {self.select(kinds)}"
        shape = self.pick(["plain", "plain", "subquery", "named"])
        if shape == "subquery":
            text = f"SELECT * FROM ({text}) AS q"
        elif shape == "named":
            text = f"WITH q AS ({text}) SELECT * FROM q"
        order = [f"{n}{self.pick(['', ' DESC'])}" for n in range(1, len(kinds) + 1)]
        return f"{text} ORDER BY {', '.join(order)}"
