"""The one list of functions that ADQL queries may call here (sections 2.3 and 4.2).

From it come the checks of the resolver, the SQL of both engines and the language features that the capabilities
document declares (TAPRegExt 1.0 section 2.3): what is not in this list is neither accepted nor declared.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import sqlalchemy as sa

from catalog.adql import mathematics as mathematical
from catalog.adql.kinds import Kind, common, kind_of
from catalog.adql.mathematics import Dialect, Sql, SqlBuilder
from catalog.vo.table import Column
from catalog.vo.types import Datatype

__all__ = ["FUNCTIONS", "LANGUAGE_FEATURES", "NOT_YET", "Function", "aggregate_result"]

_FEATURES = "ivo://ivoa.net/std/tapregext#features-"
_NUMBER = frozenset({Kind.INTEGER, Kind.FLOAT})
_INTEGER = frozenset({Kind.INTEGER})
_TEXT = frozenset({Kind.TEXT})
_POINT = frozenset({Kind.POINT})
_AREA = frozenset({Kind.CIRCLE, Kind.POLYGON})
_ANY = frozenset({Kind.INTEGER, Kind.FLOAT, Kind.TEXT, Kind.TIMESTAMP})

Result: TypeAlias = Callable[[Sequence[Column]], Column | None]


@dataclass(frozen=True, slots=True)
class Function:
    """A function: what it takes, what it gives, how each engine says it."""

    name: str
    parameters: tuple[frozenset[Kind], ...]
    """Kinds that each argument may be of; NULL may stand anywhere."""

    result: Result
    """Description of the value, from those of the arguments; None when they do not go together."""

    sql: SqlBuilder | None = None
    """Called with the engine's name and the translated arguments; geometry is translated elsewhere."""

    required: int | None = None
    """How many arguments must be there; None means all."""

    variadic: bool = False
    """Whether the last parameter may repeat."""

    feature: str | None = None
    """Type of language feature to declare; None when every ADQL service has the function."""

    doubles: bool = True
    """Whether arguments are made doubles first, so that integers do not bring integer arithmetic."""

    copies: int = 1
    """How often the SQL repeats its arguments; nested calls multiply."""

    def takes(self, count: int) -> bool:
        """Whether this many arguments are right."""
        low = len(self.parameters) if self.required is None else self.required
        return low <= count and (self.variadic or count <= len(self.parameters))

    def parameter(self, index: int) -> frozenset[Kind]:
        """Kinds allowed for an argument."""
        return self.parameters[min(index, len(self.parameters) - 1)]

    @property
    def signature(self) -> str:
        """How to call it, for messages."""
        names = [_spell(kinds) for kinds in self.parameters]
        low = len(names) if self.required is None else self.required
        optional = "".join(f"[, {name}]" for name in names[low:]) + (", …" if self.variadic else "")
        return f"{self.name}({', '.join(names[:low])}{optional})"


def _spell(kinds: frozenset[Kind]) -> str:
    if kinds == _INTEGER:
        return "integer"
    if kinds == _NUMBER:
        return "number"
    if kinds == _ANY:
        return "value"
    return " or ".join(sorted(kind.value.removeprefix("a ") for kind in kinds))


# --- what they give ------------------------------------------------------------------------------------------


def _double(unit: str | None = None) -> Result:
    return lambda arguments: Column("value", Datatype.DOUBLE, unit=unit)


def _same_quantity(arguments: Sequence[Column]) -> Column:
    """A double of the first argument's quantity."""
    first = arguments[0]
    return Column("value", Datatype.DOUBLE, unit=first.unit, ucd=first.ucd)


def _same_type(arguments: Sequence[Column]) -> Column:
    return replace(arguments[0], utype=None, description=None, ref=None)


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
    one = (_NUMBER,)
    two = (_NUMBER, _NUMBER)
    simple = mathematical.simple
    return [
        Function("ABS", one, _same_type, simple("abs"), doubles=False),
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
        Function("RAND", (_INTEGER,), _double(), mathematical.random, required=0),
        Function(
            "ROUND",
            (_NUMBER, _INTEGER),
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
            (_NUMBER, _INTEGER),
            _same_quantity,
            mathematical.rounded("adql_truncate", "trunc"),
            required=1,
            doubles=False,
        ),
    ]


def _strings() -> list[Function]:
    return [
        Function("LOWER", (_TEXT,), _same_type, _folded("lower"), feature="adql-string", doubles=False),
        Function("UPPER", (_TEXT,), _same_type, _folded("upper"), feature="adql-string", doubles=False),
        Function(
            "COALESCE", (_ANY,), _first_known, _coalesce, variadic=True, feature="adql-conditional", doubles=False
        ),
    ]


def _geometries() -> list[Function]:
    """Their SQL is in `catalog.adql.geometry`; parameters are those left when `resolver` has unified the spellings."""
    corner = (_NUMBER,) * 6
    return [
        Function("POINT", (_NUMBER, _NUMBER), _geometry("point", "2"), feature="adqlgeo"),
        Function("CIRCLE", (_NUMBER, _NUMBER, _NUMBER), _geometry("circle", "3"), feature="adqlgeo"),
        Function("POLYGON", corner, _geometry("polygon", "*"), variadic=True, feature="adqlgeo"),
        Function("CONTAINS", (_POINT, _AREA), _flag, feature="adqlgeo"),
        Function("DISTANCE", (_POINT, _POINT), _double("deg"), feature="adqlgeo"),
        Function("COORD1", (_POINT,), _double("deg"), feature="adqlgeo"),
        Function("COORD2", (_POINT,), _double("deg"), feature="adqlgeo"),
        Function("COORDSYS", (_POINT | _AREA,), _frame, feature="adqlgeo"),
    ]


FUNCTIONS: dict[str, Function] = {f.name: f for f in (*_mathematics(), *_strings(), *_geometries())}
"""By upper-case name."""

NOT_YET = frozenset({"AREA", "BOX", "CENTROID", "INTERSECTS", "IN_UNIT", "REGION"})
"""Functions of ADQL 2.1 that this service does not have yet, all of them optional."""

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
            forms.setdefault(function.feature, []).append(function.name)
    return tuple((_FEATURES + key, tuple(sorted(words))) for key, words in sorted(forms.items()))


LANGUAGE_FEATURES = _language_features()
"""Pairs of a feature type and its forms, all of which work."""
