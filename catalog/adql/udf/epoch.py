"""Positions at another epoch: stars move on straight lines (Lindegren, ESA SP-1200 section 1.5.5).

A missing parallax means an object infinitely far, a missing motion none. A missing position or epoch is an error by
the catalogue; one that is no place on the sky, or not finite, yields NULL.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import sqlalchemy as sa

from catalog.adql.installed import InstalledFunction, SQLiteFunction, called
from catalog.adql.nodes import Expression, FunctionCall
from catalog.adql.signatures import NUMBER, Fault, Form, Function
from catalog.adql.udf.points import make_point, point_result
from catalog.db.faults import null_argument
from catalog.vo.table import Column
from catalog.vo.types import Datatype

__all__ = ["AU_PER_YEAR", "FUNCTIONS", "MAS", "POSTGRESQL", "SMALL", "SQLITE", "epoch_lat", "epoch_lon", "moved"]

MAS = math.radians(1.0 / 3_600_000.0)
"""A milliarcsecond in radian."""

AU_PER_YEAR = 4.740470446
"""The astronomical unit per Julian year in km/s (ESA SP-1200 table 1.2.2)."""

_LARGEST = 1e15  # what is larger is no motion, and its powers would not be finite


def moved(
    ra: float,
    dec: float,
    parallax: float | None,
    pmra: float | None,
    pmdec: float | None,
    radial_velocity: float | None,
    years: float,
) -> tuple[float, float]:
    """Where an object is after some Julian years: longitude and latitude in degrees.

    Only the direction is wanted, so the distance is left out: along the line of sight the object goes from 1 to
    ``near``, across it by the proper motions.
    """
    near = 1.0 + (radial_velocity or 0.0) * (parallax or 0.0) * MAS / AU_PER_YEAR * years
    east, north = (pmra or 0.0) * MAS * years, (pmdec or 0.0) * MAS * years
    sin, cos = math.sin(math.radians(dec)), math.cos(math.radians(dec))
    outward, up = near * cos - north * sin, near * sin + north * cos
    lon = ra + math.degrees(math.atan2(east, outward))
    lat = math.degrees(math.atan2(up, math.sqrt(east * east + outward * outward)))
    return lon - 360.0 * math.floor(lon / 360.0), lat


# --- SQLite ---------------------------------------------------------------------------------------------------

Number = float | None


def _propagated(
    ra: Number, dec: Number, plx: Number, pmra: Number, pmdec: Number, rv: Number, start: Number, end: Number
) -> tuple[float, float] | None:
    if ra is None or dec is None or start is None or end is None:
        raise null_argument()
    given = [abs(value) for value in (ra, dec, plx, pmra, pmdec, rv, start, end) if value is not None]
    if not max(given) < _LARGEST or abs(dec) > 90.0:
        return None
    return moved(ra, dec, plx, pmra, pmdec, rv, end - start)


def epoch_lon(*arguments: Number) -> Number:
    """Longitude of ``ivo_epoch_prop_pos``.

    Raises:
        QueryError: The position or an epoch is NULL.
    """
    found = _propagated(*arguments)
    return None if found is None else found[0]


def epoch_lat(*arguments: Number) -> Number:
    """Latitude of ``ivo_epoch_prop_pos``.

    Raises:
        QueryError: The position or an epoch is NULL.
    """
    found = _propagated(*arguments)
    return None if found is None else found[1]


SQLITE = (
    SQLiteFunction("adql_epoch_lon", 8, epoch_lon, True),
    SQLiteFunction("adql_epoch_lat", 8, epoch_lat, True),
)

# --- PostgreSQL -----------------------------------------------------------------------------------------------

_NUMBERS = ("ra", "decl", "plx", "pmra", "pmdec", "rv", "e0", "e1")
SMALL = " ".join(
    f"IF abs({number}) < 1e-50 THEN {number} := 0.0; END IF;"
    for number in ("decl", "plx", "pmra", "pmdec", "rv", "e0", "e1")
)
"""What is as small as that is nothing; PostgreSQL would raise when a product of such numbers becomes zero."""

_MOVED = f"""
DECLARE
  near double precision; east double precision; north double precision; up double precision; outward double precision;
  lon double precision;
BEGIN
  IF ra IS NULL OR decl IS NULL OR e0 IS NULL OR e1 IS NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'null_value_not_allowed', MESSAGE = 'position and epochs must be there';
  END IF;
  IF NOT greatest(abs(ra), abs(decl), abs(plx), abs(pmra), abs(pmdec), abs(rv), abs(e0), abs(e1)) < {_LARGEST!r}
  OR abs(decl) > 90 THEN
    RETURN NULL;
  END IF;
  {SMALL}
  near := 1.0 + coalesce(rv, 0.0) * coalesce(plx, 0.0) * {MAS!r} / {AU_PER_YEAR!r} * (e1 - e0);
  east := coalesce(pmra, 0.0) * {MAS!r} * (e1 - e0);
  north := coalesce(pmdec, 0.0) * {MAS!r} * (e1 - e0);
  outward := near * cos(radians(decl)) - north * sin(radians(decl));
  up := near * sin(radians(decl)) + north * cos(radians(decl));
  lon := ra + degrees(atan2(east, outward));
  RETURN {{result}};
END
"""

POSTGRESQL = tuple(
    InstalledFunction(
        name,
        ", ".join(f"{number} double precision" for number in _NUMBERS),
        "double precision",
        _MOVED.format(result=result),
        strict=False,
    )
    for name, result in (
        ("adql_epoch_lon", "lon - 360.0 * floor(lon / 360.0)"),
        ("adql_epoch_lat", "degrees(atan2(up, sqrt(east * east + outward * outward)))"),
    )
)

# --- ADQL -----------------------------------------------------------------------------------------------------


def _coordinate_result(arguments: Sequence[Column]) -> Column:
    return Column("value", Datatype.DOUBLE, unit="deg")


def _propagate(call: FunctionCall, fault: Fault) -> Expression:
    return make_point(("adql_epoch_lon", "adql_epoch_lat"), call.arguments, call.span)


FUNCTIONS = (
    Function(
        "IVO_EPOCH_PROP_POS",
        (NUMBER,) * 8,
        point_result,
        feature="udf",
        forms=(
            Form(
                "ivo_epoch_prop_pos(ra REAL, dec REAL, parallax REAL, pmra REAL, pmdec REAL, radialVelocity REAL,"
                " refEpoch REAL, outEpoch REAL) -> POINT",
                "Position at another epoch, motions being linear. Degrees, mas, mas/yr (pmra includes cos dec), km/s "
                "and Julian years; parallax and motions may be NULL.",
            ),
        ),
        finish=_propagate,
    ),
    *(
        Function(name, (NUMBER,) * 8, _coordinate_result, called(name, sa.Double), raises=True)
        for name in ("adql_epoch_lon", "adql_epoch_lat")
    ),
)
