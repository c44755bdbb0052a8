"""Geometries in other reference frames: rotations, as the catalogue wants them, with the equinoxes that it sets.

FK4 is the frame of B1950 without the terms of aberration (which are no rotation), ECLIPTIC the mean ecliptic of J2000.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import sqlalchemy as sa

from catalog.adql import nodes
from catalog.adql.installed import InstalledFunction, SQLiteFunction, called
from catalog.adql.kinds import literal
from catalog.adql.nodes import Expression, FunctionCall
from catalog.adql.signatures import NUMBER, SHAPE, TEXT, Fault, Form, Function
from catalog.adql.udf.points import coordinates, is_point
from catalog.vo.table import Column
from catalog.vo.types import Datatype

__all__ = ["FRAMES", "FUNCTIONS", "POSTGRESQL", "SQLITE", "rotation", "turned"]

Matrix = tuple[tuple[float, float, float], ...]

FRAMES: dict[str, Matrix] = {
    "ICRS": ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
    "FK5": (
        (0.9999999999999929, -1.1102233297408355e-07, -4.411804498096783e-08),
        (1.1102233723050047e-07, 0.9999999999999891, 9.647792268784701e-08),
        (4.411803426976331e-08, -9.647792755096953e-08, 0.9999999999999944),
    ),
    "FK4": (
        (0.9999256809514503, 0.011181371753885836, 0.004858960740738844),
        (-0.011181372203850917, 0.9999374861373458, -2.707332853582766e-05),
        (-0.004858959705285428, -2.7258532094276902e-05, 0.9999881948140963),
    ),
    "GALACTIC": (
        (-0.05487565771259173, -0.873437051955616, -0.48383507361671513),
        (0.4941094371927275, -0.44482972122329506, 0.7469821839866676),
        (-0.8676661375596587, -0.1980763372730005, 0.4559838136873019),
    ),
    "SUPER_GALACTIC": (
        (0.3750155557030317, 0.34135887185624775, 0.8618801851683195),
        (-0.8983204377276139, -0.09572710024885138, 0.4287851600030191),
        (0.2288749093754375, -0.9350456902649071, 0.2707504994924457),
    ),
    "ECLIPTIC": (
        (0.9999999999999942, -7.078368960971556e-08, 8.056213977613187e-08),
        (3.2897004077419646e-08, 0.9174821299149586, 0.3977769994440478),
        (-1.0207044725484357e-07, -0.3977769994440429, 0.9174821299149557),
    ),
}
"""Terms of the IVOA's vocabulary refframe, and the rotation from ICRS to each (astropy 8.0)."""


def rotation(start: str, end: str) -> tuple[float, ...]:
    """The nine numbers of the rotation from one frame to another, row by row."""
    return tuple(sum(row[axis] * column[axis] for axis in range(3)) for row in FRAMES[end] for column in FRAMES[start])


def turned(lon: float, lat: float, matrix: Sequence[float]) -> tuple[float, float]:
    """A position in degrees, rotated."""
    cos = math.cos(math.radians(lat))
    a, b, c = cos * math.cos(math.radians(lon)), cos * math.sin(math.radians(lon)), math.sin(math.radians(lat))
    xx, xy, xz, yx, yy, yz, zx, zy, zz = matrix
    x, y, z = xx * a + xy * b + xz * c, yx * a + yy * b + yz * c, zx * a + zy * b + zz * c
    angle = math.degrees(math.atan2(y, x))
    return angle - 360.0 * math.floor(angle / 360.0), math.degrees(math.atan2(z, math.sqrt(x * x + y * y)))


# --- SQLite ---------------------------------------------------------------------------------------------------


def turned_lon(lon: float | None, lat: float | None, *matrix: float) -> float | None:
    """Longitude of `turned`; NULL off the sphere."""
    return turned(lon, lat, matrix)[0] if lon is not None and lat is not None and _on_sphere(lon, lat) else None


def turned_lat(lon: float | None, lat: float | None, *matrix: float) -> float | None:
    """Latitude of `turned`; NULL off the sphere."""
    return turned(lon, lat, matrix)[1] if lon is not None and lat is not None and _on_sphere(lon, lat) else None


def _on_sphere(lon: float, lat: float) -> bool:
    return -90.0 <= lat <= 90.0 and math.isfinite(lon)


def turned_text(shape: str | None, *matrix: float) -> str | None:
    """A shape as text, rotated: ``lon lat radius``, or ``POLYGON ICRS lon lat …``, which loses the ICRS."""
    words = (shape or "").split()
    kind = words[:1] if words and words[0].isalpha() else []
    try:
        numbers = [float(word) for word in words[len(kind) :] if word != "ICRS"]
    except ValueError:
        return None
    pairs = list(zip(numbers[::2], numbers[1::2], strict=False))
    if not pairs or not all(_on_sphere(*pair) for pair in pairs):
        return None
    rest = numbers[2 * len(pairs) :]
    found = [number for pair in pairs for number in turned(*pair, matrix)] + rest
    return " ".join([*kind, *(repr(number).removesuffix(".0") for number in found)])


SQLITE = (
    SQLiteFunction("adql_turned_text", 10, turned_text, True),
    SQLiteFunction("adql_turned_lon", 11, turned_lon, True),
    SQLiteFunction("adql_turned_lat", 11, turned_lat, True),
)

# --- PostgreSQL -----------------------------------------------------------------------------------------------

_AXES = ("xx", "xy", "xz", "yx", "yy", "yz", "zx", "zy", "zz")
_TURNED = """
DECLARE
  a double precision; b double precision; c double precision; x double precision; y double precision;
  angle double precision;
BEGIN
  IF NOT (lat BETWEEN -90 AND 90 AND abs(lon) < 'Infinity') THEN
    RETURN NULL;
  END IF;
  a := cos(radians(lat)) * cos(radians(lon));
  b := cos(radians(lat)) * sin(radians(lon));
  c := sin(radians(lat));
  x := xx * a + xy * b + xz * c;
  y := yx * a + yy * b + yz * c;
  {result}
END
"""

_TURNED_TEXT = r"""
DECLARE
  kind text := substring(shape from '^ *([A-Za-z]+) ');
  found text := '';
  number double precision;
  lon double precision;
BEGIN
  FOREACH number IN ARRAY
    string_to_array(trim(regexp_replace(shape, '^ *([A-Za-z]+ +)?(ICRS +)?', '')), ' ')::double precision[]
  LOOP
    IF lon IS NULL THEN
      lon := number;
    ELSE
      IF NOT (number BETWEEN -90 AND 90 AND abs(lon) < 'Infinity') THEN
        RETURN NULL;
      END IF;
      found := found || ' ' || ivoa.adql_turned_lon(lon, number, {axes}) || ' '
        || ivoa.adql_turned_lat(lon, number, {axes});
      lon := NULL;
    END IF;
  END LOOP;
  RETURN ltrim(coalesce(kind, '') || nullif(found, '') || coalesce(' ' || lon, ''));
EXCEPTION WHEN data_exception THEN
  RETURN NULL;
END
""".format(axes=", ".join(_AXES))

_MATRIX = ", ".join(f"{number} double precision" for number in _AXES)

POSTGRESQL = (
    *(
        InstalledFunction(
            name,
            f"lon double precision, lat double precision, {_MATRIX}",
            "double precision",
            _TURNED.format(result=result),
        )
        for name, result in (
            ("adql_turned_lon", "angle := degrees(atan2(y, x)); RETURN angle - 360.0 * floor(angle / 360.0);"),
            ("adql_turned_lat", "RETURN degrees(atan2(zx * a + zy * b + zz * c, sqrt(x * x + y * y)));"),
        )
    ),
    InstalledFunction("adql_turned_text", f"shape text, {_MATRIX}", "text", _TURNED_TEXT),
)

# --- ADQL -----------------------------------------------------------------------------------------------------

_COORDINATE = Column("value", Datatype.DOUBLE, unit="deg")


def _same_geometry(arguments: Sequence[Column]) -> Column:
    return replace(arguments[2], name="value", ucd=None, utype=None, description=None, ref=None)


def _transform(call: FunctionCall, fault: Fault) -> Expression:
    start, end = (_frame(argument, fault) for argument in call.arguments[:2])
    geometry = call.arguments[2]
    if isinstance(geometry, nodes.Null) or start == end:
        return geometry
    matrix = tuple(nodes.Number(number, meta=literal(number)) for number in rotation(start, end))
    if is_point(geometry):
        return FunctionCall("POINT", tuple(_turned(coordinates(geometry), matrix)), span=call.span, meta=call.meta)
    if not isinstance(geometry, FunctionCall) or geometry.name not in ("CIRCLE", "POLYGON"):
        return FunctionCall("adql_turned_text", (geometry, *matrix), span=call.span, meta=call.meta)
    count = 2 if geometry.name == "CIRCLE" else len(geometry.arguments)
    numbers, rest = geometry.arguments[:count], geometry.arguments[count:]
    return replace(geometry, arguments=(*_turned(numbers, matrix), *rest), span=call.span)


def _turned(numbers: Sequence[Expression], matrix: tuple[Expression, ...]) -> Iterator[Expression]:
    for lon, lat in zip(numbers[::2], numbers[1::2], strict=True):
        for name in ("adql_turned_lon", "adql_turned_lat"):
            yield FunctionCall(name, (lon, lat, *matrix), span=lon.span.to(lat.span), meta=_COORDINATE)


def _frame(argument: Expression, fault: Fault) -> str:
    known = ", ".join(f"'{name}'" for name in FRAMES)
    if not isinstance(argument, nodes.String):
        raise fault(argument, f"a frame is a literal: one of {known}", code="arguments")
    if argument.value not in FRAMES:
        upper = argument.value.strip().upper().replace("SUPERGALACTIC", "SUPER_GALACTIC")
        hint = f"did you mean '{upper}'?" if upper in FRAMES else None
        raise fault(
            argument, f"'{argument.value}' is not a frame known here; expected one of {known}", code="frame", hint=hint
        )
    return argument.value


def _coordinate_result(arguments: Sequence[Column]) -> Column:
    return _COORDINATE


FUNCTIONS = (
    Function(
        "IVO_GEOM_TRANSFORM",
        (TEXT, TEXT, SHAPE),
        _same_geometry,
        feature="udf",
        forms=(
            Form(
                "ivo_geom_transform(fromSys TEXT, toSys TEXT, geo GEOMETRY) -> GEOMETRY",
                "A POINT, CIRCLE or POLYGON, rotated from one frame to another: ICRS, FK5 (J2000), FK4 (B1950, "
                "no E-terms), GALACTIC, SUPER_GALACTIC, ECLIPTIC (J2000).",
            ),
        ),
        finish=_transform,
    ),
    *(
        Function(name, (NUMBER,) * 11, _coordinate_result, called(name, sa.Double))
        for name in ("adql_turned_lon", "adql_turned_lat")
    ),
    Function(
        "adql_turned_text",
        (SHAPE, *(NUMBER,) * 9),
        lambda arguments: Column("value", Datatype.CHAR, "*"),
        called("adql_turned_text", sa.Text),
    ),
)
