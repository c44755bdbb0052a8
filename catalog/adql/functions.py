"""The one list of functions that ADQL queries may call here (sections 2.3 and 4.2).

From it come the checks of the resolver, the SQL of both engines and the language features that the capabilities
document declares (TAPRegExt 1.0 section 2.3): what is not in this list is neither accepted nor declared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import sqlalchemy as sa

from catalog.adql import mathematics as mathematical
from catalog.adql.kinds import Kind, common, kind_of
from catalog.adql.mathematics import Dialect, Sql, SqlBuilder
from catalog.adql.signatures import ANY, INTEGER, NUMBER, POINT, SHAPE, TEXT, Function, Result
from catalog.adql.udf.listing import UDF_FUNCTIONS
from catalog.vo.table import Column
from catalog.vo.types import Datatype

__all__ = ["FORM_DESCRIPTIONS", "FUNCTIONS", "LANGUAGE_FEATURES", "Function", "aggregate_result"]

_FEATURES = "ivo://ivoa.net/std/TAPRegExt#features-"
# --- what they give ------------------------------------------------------------------------------------------


def _double(unit: str | None = None) -> Result:
    return lambda arguments: Column("value", Datatype.DOUBLE, unit=unit)


def _same_quantity(arguments: Sequence[Column]) -> Column:
    """A double of the first argument's quantity."""
    first = arguments[0]
    return Column("value", Datatype.DOUBLE, unit=first.unit, ucd=first.ucd)


def _same_type(arguments: Sequence[Column]) -> Column:
    return replace(arguments[0], utype=None, description=None, ref=None)


def _magnitude(arguments: Sequence[Column]) -> Column:
    """Of an integer a long one: the least integer has no counterpart."""
    result = _same_type(arguments)
    return replace(result, datatype=Datatype.LONG) if kind_of(result) is Kind.INTEGER else result


def _remainder(arguments: Sequence[Column]) -> Column:
    integers = all(kind_of(argument) is not Kind.FLOAT for argument in arguments)
    return Column("value", Datatype.LONG if integers else Datatype.DOUBLE, unit=arguments[0].unit)


def _first_known(arguments: Sequence[Column]) -> Column | None:
    result: Column | None = arguments[0]
    for argument in arguments[1:]:
        result = None if result is None else common(result, argument)
    return result


def _flag(arguments: Sequence[Column]) -> Column:
    return Column("value", Datatype.INT)


def _geometry(xtype: str, arraysize: str) -> Result:
    return lambda arguments: Column("value", Datatype.DOUBLE, arraysize, unit="deg", xtype=xtype)


def _frame(arguments: Sequence[Column]) -> Column:
    return Column("value", Datatype.CHAR, "*")


def aggregate_result(name: str, argument: Column | None) -> Column:
    """Description of an aggregate (section 2.3.3): COUNT and sums of integers are long, AVG is double."""
    if name == "COUNT" or argument is None:
        return Column("value", Datatype.LONG, ucd="meta.number")
    if name in ("MIN", "MAX"):
        return replace(argument, utype=None, ucd=_with_statistic(argument.ucd, name.lower()))
    datatype = Datatype.DOUBLE if name == "AVG" or kind_of(argument) is Kind.FLOAT else Datatype.LONG
    ucd = _with_statistic(argument.ucd, "mean") if name == "AVG" else None
    return Column("value", datatype, unit=argument.unit, ucd=ucd, description=argument.description)


def _with_statistic(ucd: str | None, word: str) -> str | None:
    if ucd is None or "stat." in ucd:
        return ucd
    return f"{ucd};stat.{word}"


# --- how SQL says it -----------------------------------------------------------------------------------------


def _coalesce(dialect: Dialect, *arguments: Sql) -> Sql:
    return arguments[0] if len(arguments) == 1 else sa.func.coalesce(*arguments)


def _folded(name: str) -> SqlBuilder:
    """LOWER and UPPER fold the letters A to Z only, as both engines can."""

    def build(dialect: Dialect, text: Sql) -> Sql:
        return getattr(sa.func, name)(text if dialect == "sqlite" else sa.collate(text, "C"))  # type: ignore[no-any-return]

    return build


def _mathematics() -> list[Function]:
    one = (NUMBER,)
    two = (NUMBER, NUMBER)
    simple = mathematical.simple
    return [
        Function("ABS", one, _magnitude, simple("abs"), doubles=False),
        Function("ACOS", one, _double("rad"), mathematical.inverse("acos")),
        Function("ASIN", one, _double("rad"), mathematical.inverse("asin")),
        Function("ATAN", one, _double("rad"), simple("atan")),
        Function("ATAN2", two, _double("rad"), simple("atan2")),
        Function("CEILING", one, _same_quantity, simple("ceil")),
        Function("COS", one, _double(), simple("cos")),
        Function("COT", one, _double(), mathematical.cotangent),
        Function("DEGREES", one, _double("deg"), simple("degrees")),
        Function("EXP", one, _double(), mathematical.exponential, copies=3),
        Function("FLOOR", one, _same_quantity, simple("floor")),
        Function("LOG", one, _double(), mathematical.logarithm("ln", "ln")),
        Function("LOG10", one, _double(), mathematical.logarithm("log10", "log")),
        Function("MOD", two, _remainder, mathematical.modulo, doubles=False, copies=2),
        Function("PI", (), _double(), simple("pi")),
        Function("POWER", two, _double(), mathematical.power, copies=6),
        Function("RADIANS", one, _double("rad"), simple("radians")),
        Function("RAND", (INTEGER,), _double(), mathematical.random, required=0),
        Function(
            "ROUND",
            (NUMBER, INTEGER),
            _same_quantity,
            mathematical.rounded("adql_round", "round"),
            required=1,
            doubles=False,
        ),
        Function("SIN", one, _double(), simple("sin")),
        Function("SQRT", one, _double(), mathematical.square_root),
        Function("TAN", one, _double(), simple("tan")),
        Function(
            "TRUNCATE",
            (NUMBER, INTEGER),
            _same_quantity,
            mathematical.rounded("adql_truncate", "trunc"),
            required=1,
            doubles=False,
        ),
    ]


def _strings() -> list[Function]:
    return [
        Function("LOWER", (TEXT,), _same_type, _folded("lower"), feature="adql-string", doubles=False),
        Function("UPPER", (TEXT,), _same_type, _folded("upper"), feature="adql-string", doubles=False),
        Function("COALESCE", (ANY,), _first_known, _coalesce, variadic=True, feature="adql-conditional", doubles=False),
    ]


def _geometries() -> list[Function]:
    """Their SQL is in `catalog.adql.geometry`; parameters are those left when `shapes` has unified the spellings."""
    corner = (NUMBER,) * 6
    return [
        Function("POINT", (NUMBER, NUMBER), _geometry("point", "2"), feature="adqlgeo"),
        Function("CIRCLE", (NUMBER, NUMBER, NUMBER), _geometry("circle", "3"), feature="adqlgeo"),
        Function("POLYGON", corner, _geometry("polygon", "*"), variadic=True, feature="adqlgeo"),
        Function("BOX", (NUMBER,) * 4, _geometry("polygon", "*"), feature="adqlgeo"),
        Function("REGION", (TEXT,), _geometry("polygon", "*"), feature="adqlgeo"),
        Function("CONTAINS", (SHAPE, SHAPE), _flag, feature="adqlgeo"),
        Function("INTERSECTS", (SHAPE, SHAPE), _flag, feature="adqlgeo"),
        Function("AREA", (SHAPE,), _double("deg**2"), feature="adqlgeo"),
        Function("CENTROID", (SHAPE,), _geometry("point", "2"), feature="adqlgeo"),
        Function("DISTANCE", (POINT, POINT), _double("deg"), feature="adqlgeo"),
        Function("COORD1", (POINT,), _double("deg"), feature="adqlgeo"),
        Function("COORD2", (POINT,), _double("deg"), feature="adqlgeo"),
        Function("COORDSYS", (SHAPE,), _frame, feature="adqlgeo"),
    ]


FUNCTIONS: dict[str, Function] = {f.name: f for f in (*_mathematics(), *_strings(), *_geometries(), *UDF_FUNCTIONS)}
"""By upper-case name; a name in lower case is that of a part of others, which queries cannot call."""

_FORMS = {
    "adql-string": ("ILIKE",),
    "adql-common-table": ("WITH",),
    "adql-sets": ("UNION", "EXCEPT", "INTERSECT"),
    "adql-type": ("CAST",),
    "adql-offset": ("OFFSET",),
}


def _language_features() -> tuple[tuple[str, tuple[str, ...]], ...]:
    forms = {key: list(words) for key, words in _FORMS.items()}
    for function in FUNCTIONS.values():
        if function.feature is not None:
            words = [form.signature for form in function.forms] or [function.name]
            forms.setdefault(function.feature, []).extend(words)
    return tuple((_FEATURES + key, tuple(sorted(words))) for key, words in sorted(forms.items()))


LANGUAGE_FEATURES = _language_features()
"""Pairs of a feature type and its forms, all of which work."""

FORM_DESCRIPTIONS = {form.signature: form.description for function in FUNCTIONS.values() for form in function.forms}
"""What the forms of user-defined functions mean, for people."""
