"""HEALPix cells in the nested order: one arithmetic, in Python for SQLite and in PL/pgSQL for PostgreSQL.

The sphere is cut into twelve faces, a face into 4^order cells (Górski et al. 2005, ApJ 622, 759). An order outside 0 to
29, a cell that does not exist and a position off the sphere yield NULL. pgSphere's own ``healpix_nest`` would be ten
times as fast, but version 1.2.0 puts positions north of 42° whose longitude is 0, 90, 180 or 270 into cells on another
side of the sky, and so do its ``smoc`` operators; its centres of cells are right and used.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import sqlalchemy as sa

from catalog.adql import nodes
from catalog.adql.installed import InstalledFunction, SQLiteFunction, called
from catalog.adql.nodes import Expression, FunctionCall
from catalog.adql.signatures import INTEGER, NUMBER, Fault, Form, Function
from catalog.adql.udf.points import coordinates, is_point, make_point, point_result
from catalog.vo.table import Column
from catalog.vo.types import Datatype

__all__ = ["FUNCTIONS", "MAX_ORDER", "POSTGRESQL", "SQLITE", "cell_center", "cell_of"]

MAX_ORDER = 29
"""Cells of this order are numbered in 63 bits."""


def cell_of(order: int, lon: float, lat: float) -> int:
    """The cell of a position in degrees; the latitude lies between -90 and 90, the order between 0 and 29."""
    size = 1 << order
    z = math.sin(math.radians(lat))
    turns = lon / 90.0 - 4.0 * math.floor(lon / 360.0)
    turns = turns if 0.0 <= turns < 4.0 else 0.0
    if abs(z) <= 2.0 / 3.0:
        rising, falling = int(size * (0.5 + turns - z * 0.75)), int(size * (0.5 + turns + z * 0.75))
        first, second = rising >> order, falling >> order
        face = first % 4 + 4 if first == second else first if first < second else second + 8
        return _number(order, face, falling % size, size - rising % size - 1)
    column = int(turns)
    height = math.cos(math.radians(lat)) / math.sqrt((1.0 + abs(z)) / 3.0)
    rising = min(int(size * (turns - column) * height), size - 1)
    falling = min(int(size * (1.0 - turns + column) * height), size - 1)
    if z > 0.0:
        return _number(order, column, size - falling - 1, size - rising - 1)
    return _number(order, column + 8, rising, falling)


def _number(order: int, face: int, x: int, y: int) -> int:
    """The number of a cell by its place on a face: the bits of x and y alternate."""
    return (face << 2 * order) + int(f"{x:b}", 4) + 2 * int(f"{y:b}", 4)


_RING = (2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4)
_MERIDIAN = (1, 3, 5, 7, 0, 2, 4, 6, 1, 3, 5, 7)
"""Where the twelve faces have their southern corner and their middle: rings from the north pole, eighths of a turn."""


def cell_center(order: int, index: int) -> tuple[float, float]:
    """Longitude and latitude in degrees of the middle of a cell that exists."""
    size = 1 << order
    face, rest = index >> 2 * order, index & (size * size - 1)
    bits = f"{rest:0{2 * order + 2}b}"
    x, y = (int(bits[1::2], 2) + 0.5) / size, (int(bits[0::2], 2) + 0.5) / size
    ring = _RING[face] - x - y
    if 1.0 <= ring <= 3.0:
        turn, z = _MERIDIAN[face] + x - y, (2.0 - ring) * 2.0 / 3.0
        lat = math.degrees(math.asin(z))
    else:
        from_pole = ring if ring < 1.0 else 4.0 - ring
        turn, away = _MERIDIAN[face] + (x - y) / from_pole, from_pole * from_pole / 3.0
        lat = math.degrees(math.atan2(1.0 - away, math.sqrt(away * (2.0 - away))))
        lat = lat if ring < 1.0 else -lat
    return (turn * 45.0) % 360.0, lat


# --- SQLite ---------------------------------------------------------------------------------------------------


def healpix_index(order: int | None, lon: float | None, lat: float | None) -> int | None:
    """``ivo_healpix_index`` of three numbers."""
    if order is None or lon is None or lat is None:
        return None
    if not (0 <= order <= MAX_ORDER and -90.0 <= lat <= 90.0 and math.isfinite(lon)):
        return None
    return cell_of(order, lon, lat)


def healpix_lon(order: int | None, index: int | None) -> float | None:
    """Longitude of ``ivo_healpix_center``."""
    return cell_center(order, index)[0] if order is not None and index is not None and _exists(order, index) else None


def healpix_lat(order: int | None, index: int | None) -> float | None:
    """Latitude of ``ivo_healpix_center``."""
    return cell_center(order, index)[1] if order is not None and index is not None and _exists(order, index) else None


def _exists(order: int, index: int) -> bool:
    return 0 <= order <= MAX_ORDER and 0 <= index < 12 << 2 * order


SQLITE = (
    SQLiteFunction("ivo_healpix_index", 3, healpix_index, True),
    SQLiteFunction("adql_healpix_lon", 2, healpix_lon, True),
    SQLiteFunction("adql_healpix_lat", 2, healpix_lat, True),
)

# --- PostgreSQL -----------------------------------------------------------------------------------------------

_SPREAD = " ".join(
    f"{{n}} := ({{n}} | ({{n}} << {shift})) & {mask};"
    for shift, mask in (
        (16, 0x0000_FFFF_0000_FFFF),
        (8, 0x00FF_00FF_00FF_00FF),
        (4, 0x0F0F_0F0F_0F0F_0F0F),
        (2, 0x3333_3333_3333_3333),
        (1, 0x5555_5555_5555_5555),
    )
)
"""Puts a zero bit before every bit of a number below 2^32."""

_INDEX = f"""
DECLARE
  o integer; size bigint; z double precision; turns double precision; height double precision; face bigint;
  rising bigint; falling bigint; x bigint; y bigint;
BEGIN
  IF NOT (hpxorder BETWEEN 0 AND {MAX_ORDER} AND lat BETWEEN -90 AND 90 AND abs(lon) < 'Infinity') THEN
    RETURN NULL;
  END IF;
  o := hpxorder;
  size := 1::bigint << o;
  z := sin(radians(lat));
  turns := lon / 90.0 - 4.0 * floor(lon / 360.0);
  turns := CASE WHEN turns >= 0.0 AND turns < 4.0 THEN turns ELSE 0.0 END;
  IF abs(z) <= 2.0::double precision / 3.0 THEN
    rising := trunc(size * (0.5 + turns - z * 0.75));
    falling := trunc(size * (0.5 + turns + z * 0.75));
    face := rising >> o;
    face := CASE WHEN face = falling >> o THEN face % 4 + 4
      WHEN face < falling >> o THEN face ELSE (falling >> o) + 8 END;
    x := falling % size;
    y := size - rising % size - 1;
  ELSE
    face := trunc(turns);
    height := cos(radians(lat)) / sqrt((1.0 + abs(z)) / 3.0);
    rising := least(trunc(size * (turns - face) * height)::bigint, size - 1);
    falling := least(trunc(size * (1.0 - turns + face) * height)::bigint, size - 1);
    x := CASE WHEN z > 0.0 THEN size - falling - 1 ELSE rising END;
    y := CASE WHEN z > 0.0 THEN size - rising - 1 ELSE falling END;
    face := CASE WHEN z > 0.0 THEN face ELSE face + 8 END;
  END IF;
  {_SPREAD.format(n="x")}
  {_SPREAD.format(n="y")}
  RETURN (face << 2 * o) | x | (y << 1);
END
"""
_CENTER = f"""
SELECT CASE WHEN hpxorder BETWEEN 0 AND {MAX_ORDER} AND hpxindex >= 0 AND hpxindex >> (2 * hpxorder)::integer < 12
THEN degrees({{part}}(center_of_healpix_nest(hpxorder::integer, hpxindex))) END
"""

POSTGRESQL = (
    InstalledFunction(
        "ivo_healpix_index",
        "hpxorder bigint, lon double precision, lat double precision",
        "bigint",
        _INDEX,
    ),
    *(
        InstalledFunction(
            name,
            "hpxorder bigint, hpxindex bigint",
            "double precision",
            _CENTER.format(part=part),
            language="sql",
            strict=False,
        )
        for name, part in (("adql_healpix_lon", "long"), ("adql_healpix_lat", "lat"))
    ),
)

# --- ADQL -----------------------------------------------------------------------------------------------------


def _index_result(arguments: Sequence[Column]) -> Column:
    return Column("value", Datatype.LONG, ucd="pos.healpix")


def _coordinate_result(arguments: Sequence[Column]) -> Column:
    return Column("value", Datatype.DOUBLE, unit="deg")


def _unify_index(call: FunctionCall, fault: Fault) -> FunctionCall:
    if len(call.arguments) == 2 and is_point(call.arguments[1]):
        return replace(call, arguments=(call.arguments[0], *coordinates(call.arguments[1])))
    return call


def _check_order(call: FunctionCall, fault: Fault) -> FunctionCall:
    order = call.arguments[0]
    if isinstance(order, nodes.Number) and not 0 <= order.value <= MAX_ORDER:
        raise fault(order, f"the order of a HEALPix cell is an integer from 0 to {MAX_ORDER}", code="value")
    return call


def _center(call: FunctionCall, fault: Fault) -> Expression:
    return make_point(("adql_healpix_lon", "adql_healpix_lat"), _check_order(call, fault).arguments, call.span)


FUNCTIONS = (
    Function(
        "IVO_HEALPIX_INDEX",
        (INTEGER, NUMBER, NUMBER),
        _index_result,
        called("ivo_healpix_index", sa.BigInteger),
        feature="udf",
        forms=(
            Form(
                "ivo_healpix_index(hpxOrder INTEGER, long REAL, lat REAL) -> BIGINT",
                "Number of the HEALPix cell, in nested order, that holds a position in degrees; orders 0 to 29.",
            ),
            Form(
                "ivo_healpix_index(hpxOrder INTEGER, p POINT) -> BIGINT",
                "Number of the HEALPix cell, in nested order, that holds a point; orders 0 to 29.",
            ),
        ),
        unify=_unify_index,
        finish=_check_order,
    ),
    Function(
        "IVO_HEALPIX_CENTER",
        (INTEGER, INTEGER),
        point_result,
        feature="udf",
        forms=(
            Form(
                "ivo_healpix_center(hpxOrder INTEGER, hpxIndex BIGINT) -> POINT",
                "Middle of a HEALPix cell in nested order; NULL when there is no such cell.",
            ),
        ),
        finish=_center,
    ),
    *(
        Function(name, (INTEGER, INTEGER), _coordinate_result, called(name, sa.Double))
        for name in ("adql_healpix_lon", "adql_healpix_lat")
    ),
)
