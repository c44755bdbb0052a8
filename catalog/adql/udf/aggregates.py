"""Aggregates: the texts of a group joined, and a histogram of its numbers.

The texts stand in the order of their code points, so that both engines, and every run, give the same.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import aggregate_order_by

from catalog.adql import nodes
from catalog.adql.installed import InstalledFunction, SQLiteFunction, called
from catalog.adql.mathematics import Dialect, Sql, verbatim
from catalog.adql.nodes import Expression, FunctionCall
from catalog.adql.signatures import INTEGER, NUMBER, TEXT, Fault, Form, Function
from catalog.errors import ResourceLimitError
from catalog.vo.table import Column
from catalog.vo.types import Datatype

__all__ = ["FUNCTIONS", "MAX_BINS", "POSTGRESQL", "SQLITE"]

MAX_BINS = 10_000
"""Of a histogram."""

_MAX_TEXT = 64 * 1024 * 1024  # characters; SQLite holds no longer value

# --- texts ----------------------------------------------------------------------------------------------------


class JoinedTexts:
    """The texts of a group, joined."""

    def __init__(self) -> None:
        self._texts: list[tuple[str, bool, str]] = []
        self._length = 0

    def step(self, text: str | None, delimiter: str | None) -> None:
        """Take one more; NULL leaves no trace.

        Raises:
            ResourceLimitError: They would be too long together.
        """
        if text is None:
            return
        self._texts.append((text, delimiter is None, delimiter or ""))
        self._length += len(text) + len(delimiter or "")
        if self._length > _MAX_TEXT:
            raise ResourceLimitError("the texts of a group are too long to be joined")

    def finalize(self) -> str | None:
        """All of them, each but the first after its delimiter; None when there is none."""
        if not self._texts:
            return None
        self._texts.sort()
        pieces = [piece for text, _, delimiter in self._texts for piece in (delimiter, text)]
        return "".join(pieces[1:])


def _joined(dialect: Dialect, text: Sql, delimiter: Sql) -> Sql:
    if dialect == "sqlite":
        return sa.func.ivo_string_agg(text, delimiter, type_=sa.Text)
    keys = sa.collate(text, "C"), sa.collate(delimiter, "C")
    return sa.func.string_agg(text, aggregate_order_by(delimiter, *keys), type_=sa.Text)


def _text(arguments: Sequence[Column]) -> Column:
    """Text; the quantity stays what it is."""
    unicode = any(argument.datatype is Datatype.UNICODE_CHAR for argument in arguments)
    return Column("value", Datatype.UNICODE_CHAR if unicode else Datatype.CHAR, "*", ucd=arguments[0].ucd)


# --- histograms -----------------------------------------------------------------------------------------------


class Histogram:
    """How many numbers of a group fall into each bin; below and NULL come first, above last."""

    def __init__(self) -> None:
        self._counts: list[int] = []

    def step(self, value: float | None, lower: float, upper: float, bins: int) -> None:
        """Count one more, as PostgreSQL's ``width_bucket`` does."""
        if not self._counts:
            self._counts = [0] * (bins + 2)
        if value is None or value < lower:
            place = 0
        elif value >= upper:
            place = bins + 1
        else:
            place = min(int(bins * ((value - lower) / (upper - lower))), bins - 1) + 1
        self._counts[place] += 1

    def finalize(self) -> str | None:
        """The counts, blank separated; None when there was no row."""
        return " ".join(map(str, self._counts)) or None


_COUNTED = """
DECLARE
  place integer := coalesce(width_bucket(nullif(value, 'NaN'), lower, upper, bins::integer), 0);
BEGIN
  IF counts IS NULL THEN
    counts := array_fill(0::bigint, ARRAY[bins::integer + 2]);
  END IF;
  counts[place + 1] := counts[place + 1] + 1;
  RETURN counts;
END
"""
_HISTOGRAM = "double precision, double precision, double precision, bigint"


def _counts(dialect: Dialect, *arguments: Sql) -> Sql:
    counted = called("ivo_histogram", sa.Text)(dialect, *arguments)
    if dialect == "sqlite":
        return counted
    return sa.func.array_to_string(counted, verbatim("' '", sa.Text), type_=sa.Text)


def _integers(arguments: Sequence[Column]) -> Column:
    return Column("value", Datatype.INT, "*", ucd="meta.number")


def _binned(call: FunctionCall, fault: Fault) -> Expression:
    """The limits as plain numbers: all rows must have the same."""
    lower, upper = (_number(argument, fault) for argument in call.arguments[1:3])
    bins = call.arguments[3]
    if not lower < upper or math.isinf(upper - lower):
        raise fault(call.arguments[2], "the upper limit of a histogram lies above the lower", code="value")
    if not isinstance(bins, nodes.Number) or not 1 <= bins.value <= MAX_BINS:
        raise fault(bins, f"a histogram has from 1 to {MAX_BINS} bins, given as a literal", code="value")
    meta = replace(call.type, arraysize=str(int(bins.value) + 2))
    return replace(call, meta=meta)


def _number(expression: Expression, fault: Fault) -> float:
    if isinstance(expression, nodes.Number) and math.isfinite(expression.value):
        return expression.value
    raise fault(expression, "the limits of a histogram are literal numbers", code="arguments")


# --- what there is --------------------------------------------------------------------------------------------

SQLITE = (
    SQLiteFunction("ivo_string_agg", 2, JoinedTexts, True, aggregate=True),
    SQLiteFunction("ivo_histogram", 4, Histogram, True, aggregate=True),
)
POSTGRESQL = (
    InstalledFunction(
        "adql_counted",
        "counts bigint[], value double precision, lower double precision, upper double precision, bins bigint",
        "bigint[]",
        _COUNTED,
        strict=False,
    ),
    InstalledFunction(
        "ivo_histogram", _HISTOGRAM, "bigint[]", "SFUNC = ivoa.adql_counted, STYPE = bigint[]", aggregate=True
    ),
)
FUNCTIONS = (
    Function(
        "IVO_STRING_AGG",
        (TEXT, TEXT),
        _text,
        _joined,
        feature="udf",
        copies=2,
        forms=(
            Form(
                "ivo_string_agg(expression TEXT, delimiter TEXT) -> TEXT",
                "The values of a group, ordered by code point and joined with the delimiter; NULLs leave no trace.",
            ),
        ),
        aggregate=True,
    ),
    Function(
        "IVO_HISTOGRAM",
        (NUMBER, NUMBER, NUMBER, INTEGER),
        _integers,
        _counts,
        feature="udf",
        forms=(
            Form(
                "ivo_histogram(val REAL, lower REAL, upper REAL, nbins INTEGER) -> INTEGER[]",
                "Counts of a group's values in nbins bins from lower to upper, which are literals; before them stands "
                "the number of values below and of NULLs, after them of those at or above upper.",
            ),
        ),
        finish=_binned,
        aggregate=True,
    ),
)
