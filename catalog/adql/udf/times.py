"""Times as day numbers, and whether a package covers one.

Nothing is known of time scales here: a timestamp is counted in the scale that it is given in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import sqlalchemy as sa

from catalog.adql import nodes
from catalog.adql.installed import SQLiteFunction
from catalog.adql.kinds import Kind, kind_of
from catalog.adql.mathematics import Dialect, Sql, SqlBuilder, divide, verbatim
from catalog.adql.nodes import Condition, FunctionCall
from catalog.adql.signatures import NUMBER, TIMESTAMP, Fault, Form, Function
from catalog.vo.table import Column
from catalog.vo.types import Datatype

__all__ = ["FUNCTIONS", "SQLITE"]

_EPOCH = datetime(1970, 1, 1)
_MJD_1970 = 40587.0
_JD_1970 = 2440587.5


def _days_since(origin: float) -> Callable[[str | None], float | None]:
    """Counts a time as it stands in the database, in PostgreSQL's arithmetic; NULL for what is none."""

    def days(value: str | None) -> float | None:
        if value is None:
            return None
        try:
            microseconds = (datetime.fromisoformat(value) - _EPOCH) // timedelta(microseconds=1)
        except (ValueError, TypeError):
            return None
        return microseconds / 1_000_000 / 86_400.0 + origin

    return days


SQLITE = (
    SQLiteFunction("ivo_to_jd", 1, _days_since(_JD_1970), True),
    SQLiteFunction("ivo_to_mjd", 1, _days_since(_MJD_1970), True),
)


def _day_number(name: str, origin: float) -> SqlBuilder:
    def build(dialect: Dialect, time: Sql) -> Sql:
        if dialect == "sqlite":
            return getattr(sa.func, name)(time, type_=sa.Double)  # type: ignore[no-any-return]
        seconds = sa.cast(sa.extract("epoch", time), sa.Double)
        return divide(seconds, verbatim("86400.0")) + verbatim(repr(origin))

    return build


def _day(arguments: Sequence[Column]) -> Column:
    return Column("value", Datatype.DOUBLE, unit="d", ucd=_time_ucd(arguments[0].ucd))


def _time_ucd(ucd: str | None) -> str:
    return ucd if ucd is not None and ucd.startswith("time") else "time.epoch"


def _flag(arguments: Sequence[Column]) -> Column:
    return Column("value", Datatype.INT)


# --- coverage -------------------------------------------------------------------------------------------------


def _as_number(call: FunctionCall, fault: Fault) -> FunctionCall:
    """The time as MJD."""
    begin, end, time = call.arguments
    if kind_of(time.type) is not Kind.TIMESTAMP:
        return call
    counted = FunctionCall("IVO_TO_MJD", (time,), span=time.span, meta=_day([time.type]))
    return replace(call, arguments=(begin, end, counted))


def _covers(call: FunctionCall) -> Condition:
    """``t_min <= t AND (t_max >= t OR t_max IS NULL)``."""
    begin, end, time = call.arguments
    open_end = nodes.Or((nodes.Comparison(">=", end, time), nodes.IsNull(end)))
    return nodes.And((nodes.Comparison("<=", begin, time), open_end))


FUNCTIONS = (
    Function(
        "IVO_TO_JD",
        (TIMESTAMP,),
        _day,
        _day_number("ivo_to_jd", _JD_1970),
        feature="udf",
        forms=(Form("ivo_to_jd(d TIMESTAMP) -> REAL", "Julian date of a timestamp; the time scale stays as it is."),),
    ),
    Function(
        "IVO_TO_MJD",
        (TIMESTAMP,),
        _day,
        _day_number("ivo_to_mjd", _MJD_1970),
        feature="udf",
        forms=(
            Form(
                "ivo_to_mjd(d TIMESTAMP) -> REAL",
                "Modified Julian date of a timestamp; the time scale stays as it is.",
            ),
        ),
    ),
    Function(
        "CCAT_COVERS_TIME",
        (NUMBER, NUMBER, NUMBER | TIMESTAMP),
        _flag,
        feature="udf",
        copies=2,
        forms=(
            Form(
                "ccat_covers_time(tMin REAL, tMax REAL, t REAL) -> INTEGER",
                "1 if t, an MJD, lies between tMin and tMax (MJD), else 0. tMax is NULL while data are still taken.",
            ),
            Form(
                "ccat_covers_time(tMin REAL, tMax REAL, t TIMESTAMP) -> INTEGER",
                "1 if the time t lies between tMin and tMax (MJD), else 0. tMax is NULL while data are still taken.",
            ),
        ),
        finish=_as_number,
        condition=_covers,
    ),
)
