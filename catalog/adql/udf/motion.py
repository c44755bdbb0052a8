"""All six parameters of a star at another epoch; `catalog.adql.udf.epoch` has the position (ESA SP-1200 section 1.5.5).

What is missing stays missing, as NaN in the array: both motions when one is. Without a parallax a radial velocity
stays as it is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import sqlalchemy as sa

from catalog.adql.installed import InstalledFunction, SQLiteFunction, called
from catalog.adql.signatures import NUMBER, Form, Function
from catalog.adql.udf.epoch import AU_PER_YEAR, MAS, SMALL, epoch_lat, epoch_lon
from catalog.vo.table import Column
from catalog.vo.types import Datatype

__all__ = ["FUNCTIONS", "POSTGRESQL", "SQLITE"]

Number = float | None


def propagated(
    ra: Number, dec: Number, plx: Number, pmra: Number, pmdec: Number, rv: Number, start: Number, end: Number
) -> str | None:
    """Six blank-separated numbers.

    Raises:
        QueryError: The position or an epoch is NULL.
    """
    lon = epoch_lon(ra, dec, plx, pmra, pmdec, rv, start, end)
    lat = epoch_lat(ra, dec, plx, pmra, pmdec, rv, start, end)
    if lon is None or lat is None or ra is None or dec is None or start is None or end is None:
        return None
    years = end - start
    zeta = (rv or 0.0) * (plx or 0.0) * MAS / AU_PER_YEAR
    east, north = (pmra or 0.0) * MAS, (pmdec or 0.0) * MAS
    square = east * east + north * north
    near = 1.0 + zeta * years
    factor = 1.0 / math.sqrt(near * near + square * years * years)
    cube = factor * factor * factor
    radial = -square * years * cube
    pm = _turned(radial, east * near * cube, north * near * cube, dec, lon - ra, lat)
    rate = (zeta + (square + zeta * zeta) * years) * factor * factor
    parallax = None if plx is None else plx * factor
    velocity = rate * AU_PER_YEAR / (parallax * MAS) if rv is not None and parallax else rv
    motions = (None, None) if pmra is None or pmdec is None else (pm[0] / MAS, pm[1] / MAS)
    found = (lon, lat, parallax, *motions, velocity)
    return " ".join("NaN" if number is None else repr(number) for number in found)


def _turned(radial: float, east: float, north: float, dec: float, turn: float, lat: float) -> tuple[float, float]:
    """A vector at the old position, given along the old axes, as its parts along east and north at the new one."""
    sin, cos = math.sin(math.radians(dec)), math.cos(math.radians(dec))
    x, y, z = radial * cos - north * sin, east, radial * sin + north * cos
    along, across = math.cos(math.radians(turn)), math.sin(math.radians(turn))
    outward = x * along + y * across
    return y * along - x * across, z * math.cos(math.radians(lat)) - outward * math.sin(math.radians(lat))


SQLITE = (SQLiteFunction("ivo_epoch_prop", 8, propagated, True),)

_NUMBERS = ("ra", "decl", "plx", "pmra", "pmdec", "rv", "e0", "e1")
_POSITION = ", ".join(_NUMBERS)
_PROPAGATED = f"""
DECLARE
  lon double precision := ivoa.adql_epoch_lon({_POSITION});
  lat double precision := ivoa.adql_epoch_lat({_POSITION});
  years double precision; zeta double precision; east double precision; north double precision;
  square double precision; near double precision; factor double precision; cube double precision;
  x double precision; y double precision; z double precision; turn double precision; parallax double precision;
BEGIN
  IF lon IS NULL THEN
    RETURN NULL;
  END IF;
  {SMALL}
  years := e1 - e0;
  zeta := coalesce(rv, 0.0) * coalesce(plx, 0.0) * {MAS!r} / {AU_PER_YEAR!r};
  east := coalesce(pmra, 0.0) * {MAS!r};
  north := coalesce(pmdec, 0.0) * {MAS!r};
  square := east * east + north * north;
  near := 1.0 + zeta * years;
  factor := 1.0 / sqrt(near * near + square * years * years);
  cube := factor * factor * factor;
  x := -square * years * cube * cos(radians(decl)) - north * near * cube * sin(radians(decl));
  y := east * near * cube;
  z := -square * years * cube * sin(radians(decl)) + north * near * cube * cos(radians(decl));
  turn := radians(lon - ra);
  parallax := plx * factor;
  RETURN array_to_string(ARRAY[
    lon, lat, parallax,
    CASE WHEN pmra IS NOT NULL AND pmdec IS NOT NULL THEN (y * cos(turn) - x * sin(turn)) / {MAS!r} END,
    CASE WHEN pmra IS NOT NULL AND pmdec IS NOT NULL THEN
      (z * cos(radians(lat)) - (x * cos(turn) + y * sin(turn)) * sin(radians(lat))) / {MAS!r} END,
    CASE WHEN rv IS NULL OR coalesce(parallax, 0.0) = 0.0 THEN rv
      ELSE (zeta + (square + zeta * zeta) * years) * factor * factor * {AU_PER_YEAR!r} / (parallax * {MAS!r}) END
  ], ' ', 'NaN');
END
"""

POSTGRESQL = (
    InstalledFunction(
        "ivo_epoch_prop",
        ", ".join(f"{number} double precision" for number in _NUMBERS),
        "text",
        _PROPAGATED,
        strict=False,
    ),
)


def _six(arguments: Sequence[Column]) -> Column:
    return Column("value", Datatype.DOUBLE, "6")


FUNCTIONS = (
    Function(
        "IVO_EPOCH_PROP",
        (NUMBER,) * 8,
        _six,
        called("ivo_epoch_prop", sa.Text),
        feature="udf",
        forms=(
            Form(
                "ivo_epoch_prop(ra REAL, dec REAL, parallax REAL, pmra REAL, pmdec REAL, radialVelocity REAL,"
                " refEpoch REAL, outEpoch REAL) -> REAL[6]",
                "As ivo_epoch_prop_pos, but all six parameters: degrees, degrees, mas, mas/yr, mas/yr, km/s.",
            ),
        ),
        raises=True,
    ),
)
