"""Intervals, and numbers drawn from a normal distribution."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import sqlalchemy as sa

from catalog.adql import nodes
from catalog.adql.installed import SQLiteFunction
from catalog.adql.mathematics import Dialect, Sql, verbatim
from catalog.adql.nodes import Condition, FunctionCall
from catalog.adql.signatures import NUMBER, Form, Function
from catalog.vo.table import Column
from catalog.vo.types import Datatype

__all__ = ["FUNCTIONS", "SQLITE"]


def _overlaps(call: FunctionCall) -> Condition:
    """Each interval is one, and each begins before the other ends; touching counts."""
    low1, high1, low2, high2 = call.arguments
    pairs = ((low1, high2), (low2, high1), (low1, high1), (low2, high2))
    return nodes.And(tuple(nodes.Comparison("<=", low, high) for low, high in pairs))


def _flag(arguments: Sequence[Column]) -> Column:
    return Column("value", Datatype.INT)


def normal_random(mu: float | None, sigma: float | None) -> float | None:
    """A number from a normal distribution."""
    return None if mu is None or sigma is None else random.gauss(mu, sigma)


SQLITE = (SQLiteFunction("ivo_normal_random", 2, normal_random, False),)


def _normal(dialect: Dialect, mu: Sql, sigma: Sql) -> Sql:
    """Box and Muller's method; PostgreSQL's ``random_normal`` came with version 16."""
    if dialect == "sqlite":
        return sa.func.ivo_normal_random(mu, sigma, type_=sa.Double)
    one, two = verbatim("1.0"), verbatim("-2.0")
    distance = sa.func.sqrt(two * sa.func.ln(one - sa.func.random(), type_=sa.Double), type_=sa.Double)
    return mu + sigma * distance * sa.func.cos(verbatim(repr(2 * math.pi)) * sa.func.random(), type_=sa.Double)


def _drawn(arguments: Sequence[Column]) -> Column:
    mu = arguments[0]
    return Column("value", Datatype.DOUBLE, unit=mu.unit if mu.unit == arguments[1].unit else None)


FUNCTIONS = (
    Function(
        "IVO_INTERVAL_OVERLAPS",
        (NUMBER,) * 4,
        _flag,
        feature="udf",
        copies=2,
        forms=(
            Form(
                "ivo_interval_overlaps(a1 REAL, b1 REAL, a2 REAL, b2 REAL) -> INTEGER",
                "1 if the intervals from a1 to b1 and from a2 to b2 have a point in common, else 0.",
            ),
        ),
        condition=_overlaps,
    ),
    Function(
        "IVO_NORMAL_RANDOM",
        (NUMBER, NUMBER),
        _drawn,
        _normal,
        feature="udf",
        forms=(
            Form(
                "ivo_normal_random(mu REAL, sigma REAL) -> REAL",
                "A random number from the normal distribution of this mean and width.",
            ),
        ),
    ),
)
