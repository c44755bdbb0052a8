"""MOC('4/3-5 7/…'): a region made of HEALPix cells (MOC 2.0 section 4.3.2), in which points are looked for.

A MOC is a list of ranges of cells of order 29. PostgreSQL keeps it as a multirange, which is read once a query; SQLite
searches it in Python. A circle around it goes before, so that the spatial index finds candidates. (pgSphere's ``smoc``
is not used: see `catalog.adql.udf.healpix`.)
"""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TypeAlias

import sqlalchemy as sa

from catalog.adql import nodes
from catalog.adql.installed import SQLiteFunction, called
from catalog.adql.kinds import literal
from catalog.adql.mathematics import Dialect, Sql, verbatim
from catalog.adql.nodes import Condition, Expression, FunctionCall
from catalog.adql.signatures import NUMBER, TEXT, Fault, Form, Function
from catalog.adql.udf.healpix import MAX_ORDER, cell_center, healpix_index
from catalog.adql.udf.points import coordinates, is_point, point_result
from catalog.vo.table import Column
from catalog.vo.types import Datatype

__all__ = ["FUNCTIONS", "MAX_CHARACTERS", "MAX_RANGES", "SQLITE", "Ranges", "bounding_cap", "parse_moc", "within_moc"]

MAX_CHARACTERS = 200_000
"""Longest text of a MOC."""

MAX_RANGES = 10_000
"""Pieces that a MOC may have once neighbouring cells are joined."""

Ranges: TypeAlias = tuple[tuple[int, int], ...]
"""First cell and the one after the last, of order 29; ascending, apart from each other."""

_WORD = re.compile(r"(?:(\d{1,2})/)?(?:(\d{1,20})(?:-(\d{1,20}))?)?", re.ASCII)


@lru_cache(maxsize=64)
def parse_moc(text: str) -> Ranges:
    """The cells of a MOC in its ASCII form.

    Raises:
        ValueError: It is none; the message is a sentence.
    """
    if len(text) > MAX_CHARACTERS:
        raise ValueError(f"a MOC has at most {MAX_CHARACTERS} characters here")
    ranges = _joined(_cells(text))
    if len(ranges) > MAX_RANGES:
        raise ValueError(f"a MOC has at most {MAX_RANGES} separate pieces here; degrade it to a lower order")
    return ranges


def _cells(text: str) -> Iterable[tuple[int, int]]:
    order: int | None = None
    for word in re.split(r"[\s,]+", text.strip(" \t\r\n,")):
        found = _WORD.fullmatch(word)
        if found is None or not word:
            raise ValueError(f"'{word[:20]}' does not belong into a MOC such as 4/3-5 7/12,15")
        if found[1] is not None:
            order = int(found[1])
        if order is None or order > MAX_ORDER:
            raise ValueError(f"a MOC begins with an order from 0 to {MAX_ORDER}, as 4/3-5 does")
        if found[2] is None:
            continue
        first, last = int(found[2]), int(found[3] or found[2])
        if not first <= last < 12 << 2 * order:
            raise ValueError(f"'{word[:20]}' are no cells of order {order}, which go from 0 to {(12 << 2 * order) - 1}")
        shift = 2 * (MAX_ORDER - order)
        yield first << shift, (last + 1) << shift


def _joined(cells: Iterable[tuple[int, int]]) -> Ranges:
    ranges: list[tuple[int, int]] = []
    for first, after in sorted(cells):
        if ranges and first <= ranges[-1][1]:
            ranges[-1] = (ranges[-1][0], max(after, ranges[-1][1]))
        else:
            ranges.append((first, after))
    return tuple(ranges)


# --- the circle around it -------------------------------------------------------------------------------------

_CELLS = 400  # looked at for the circle


def bounding_cap(ranges: Ranges) -> tuple[float, float, float] | None:
    """Longitude, latitude and radius in degrees of a circle that holds a MOC; None when it would be no help."""
    cells, order = _coarse(ranges)
    vectors = [_vector(*cell_center(order, cell)) for cell in cells]
    total = [sum(axis) for axis in zip(*vectors, strict=True)]
    length = math.hypot(*total) if vectors else 0.0
    if length < 1e-3 * max(len(vectors), 1):
        return None
    x, y, z = (part / length for part in total)
    farthest = max(math.acos(max(-1.0, min(1.0, x * a + y * b + z * c))) for a, b, c in vectors)
    radius = math.degrees(farthest + _cell_radius(order)) * (1.0 + 1e-9)
    if radius >= 90.0:
        return None
    return math.degrees(math.atan2(y, x)) % 360.0, math.degrees(math.atan2(z, math.hypot(x, y))), radius


def _coarse(ranges: Ranges) -> tuple[list[int], int]:
    """The cells of the finest order that has few of them."""
    for order in range(MAX_ORDER, 0, -1):
        shift = 2 * (MAX_ORDER - order)
        cells = _joined((first >> shift, (after - 1 >> shift) + 1) for first, after in ranges)
        if sum(after - first for first, after in cells) <= _CELLS:
            return [cell for first, after in cells for cell in range(first, after)], order
    return [], 0


def _cell_radius(order: int) -> float:
    """The farthest that a corner lies from the middle of its cell, in radian."""
    size = 1 << order
    middle = _at_height(2.0 / 3.0, math.pi / (4 * size))
    corner = _at_height(1.0 - (1.0 - 1.0 / size) ** 2 / 3.0, 0.0)
    return math.acos(max(-1.0, min(1.0, sum(a * b for a, b in zip(middle, corner, strict=True)))))


def _at_height(z: float, phi: float) -> tuple[float, float, float]:
    across = math.sqrt(1.0 - z * z)
    return across * math.cos(phi), across * math.sin(phi), z


def _vector(lon: float, lat: float) -> tuple[float, float, float]:
    return _at_height(math.sin(math.radians(lat)), math.radians(lon))


# --- SQL ------------------------------------------------------------------------------------------------------


def _multirange(ranges: Ranges) -> str:
    return "{" + ",".join(f"[{first},{after})" for first, after in ranges) + "}"


class _Searched:
    """Multiranges that rows are searched in: their text comes anew with each row, and must not be read each time."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, str, str], tuple[str, list[int]]] = {}

    def borders(self, text: str) -> list[int]:
        """Where ranges begin and end, in turn."""
        key = len(text), text[:80], text[-80:]  # hashing all of it would cost more than comparing it
        known = self._known.get(key)
        if known is None or known[0] != text:
            if len(self._known) > 100:
                self._known.clear()
            known = self._known[key] = text, [int(number) for number in re.findall(r"\d+", text)]
        return known[1]


_SEARCHED = _Searched()


def in_moc(lon: float | None, lat: float | None, multirange: str | None) -> int | None:
    """1 when a position lies in one of the cells, else 0."""
    cell = healpix_index(MAX_ORDER, lon, lat)
    if cell is None or multirange is None:
        return None
    return bisect_right(_SEARCHED.borders(multirange), cell) % 2


class _Multirange(sa.types.UserDefinedType[str]):
    cache_ok = True

    def get_col_spec(self, **_: object) -> str:
        """Name of the type."""
        return "int8multirange"


def _in_moc(dialect: Dialect, lon: Sql, lat: Sql, multirange: Sql) -> Sql:
    if dialect == "sqlite":
        return sa.func.adql_in_moc(lon, lat, multirange, type_=sa.Integer)
    order = sa.cast(verbatim(str(MAX_ORDER)), sa.BigInteger)
    cell = called("ivo_healpix_index", sa.BigInteger)(dialect, order, lon, lat)
    once = sa.select(sa.cast(multirange, _Multirange())).scalar_subquery()  # else it would be read for every row
    return sa.cast(once.op("@>", is_comparison=True)(cell), sa.Integer)


SQLITE = (SQLiteFunction("adql_in_moc", 3, in_moc, True),)

# --- ADQL -----------------------------------------------------------------------------------------------------


def _flag(arguments: Sequence[Column]) -> Column:
    return Column("value", Datatype.INT)


def _moc(arguments: Sequence[Column]) -> Column:
    return Column("value", Datatype.CHAR, "*", xtype="moc")


def _check(call: FunctionCall, fault: Fault) -> FunctionCall:
    (text,) = call.arguments
    if not isinstance(text, nodes.String):
        raise fault(text, "a MOC is a literal, such as MOC('4/3-5 7/12,15')", code="arguments")
    try:
        parse_moc(text.value)
    except ValueError as error:
        raise fault(text, str(error), code="moc") from None
    return call


def within_moc(call: FunctionCall, fault: Fault) -> Expression | None:
    """CONTAINS or INTERSECTS of a point and a MOC; None when the call is another."""
    mocs = [argument for argument in call.arguments if isinstance(argument, FunctionCall) and argument.name == "MOC"]
    if call.name not in ("CONTAINS", "INTERSECTS") or not mocs or len(call.arguments) != 2:
        return None
    point, area = call.arguments
    if call.name == "INTERSECTS" and point is mocs[0]:
        point, area = area, point
    if area is not mocs[0] or not is_point(point):
        message = "a MOC is asked for points only: CONTAINS(POINT(lon, lat), MOC('…'))"
        raise fault(mocs[0], message, code="arguments")
    text = area.arguments[0]
    assert isinstance(text, nodes.String)  # noqa: S101  (checked when MOC was resolved)
    multirange = _multirange(parse_moc(text.value))
    searched = nodes.String(multirange, span=text.span, meta=literal(multirange))
    return FunctionCall("contains_moc", (*coordinates(point), searched), span=call.span, meta=_flag(()))


def _condition(call: FunctionCall) -> Condition:
    """In the circle, and in a cell."""
    lon, lat, multirange = call.arguments
    assert isinstance(multirange, nodes.String)  # noqa: S101  (made above)
    one = nodes.Number(1, meta=literal(1))
    exact = nodes.Comparison("=", replace(call, name="adql_in_moc"), one)
    borders = _SEARCHED.borders(multirange.value)
    cap = bounding_cap(tuple(zip(borders[::2], borders[1::2], strict=True)))
    if cap is None:
        return exact
    circle = Column("value", Datatype.DOUBLE, "3", unit="deg", xtype="circle")
    area = FunctionCall("CIRCLE", tuple(nodes.Number(part, meta=literal(part)) for part in cap), meta=circle)
    near = FunctionCall("CONTAINS", (FunctionCall("POINT", (lon, lat), meta=point_result(())), area), meta=call.meta)
    return nodes.And((nodes.Comparison("=", near, one), exact))


FUNCTIONS = (
    Function(
        "MOC",
        (TEXT,),
        _moc,
        lambda dialect, text: text,
        feature="udf",
        forms=(
            Form(
                "MOC(moc TEXT) -> MOC",
                "A region of HEALPix cells in the ASCII form of MOC 2.0, a literal: 1=CONTAINS(POINT(ra, dec), "
                "MOC('4/3-5 7/12,15')).",
            ),
        ),
        finish=_check,
    ),
    Function("contains_moc", (NUMBER, NUMBER, TEXT), _flag, condition=_condition, copies=2),
    Function("adql_in_moc", (NUMBER, NUMBER, TEXT), _flag, _in_moc),
)
