"""SQL of the mathematical functions (section 2.3.1), the same answer on both engines.

Outside its domain a function yields NULL: SQLite does so by itself, PostgreSQL would raise and is kept from it. Each
builder takes the engine's name and the translated arguments.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import sqlalchemy as sa

__all__ = [
    "Dialect",
    "Sql",
    "SqlBuilder",
    "cotangent",
    "divide",
    "exponential",
    "inverse",
    "logarithm",
    "modulo",
    "power",
    "random",
    "rounded",
    "simple",
    "square_root",
    "verbatim",
]

Dialect: TypeAlias = Literal["sqlite", "postgresql"]
Sql: TypeAlias = sa.ColumnElement[Any]
SqlBuilder: TypeAlias = Callable[..., Sql]

_BELOW_ZERO = "-4.94065645841247e-324"  # the negative double nearest to zero
_ABOVE_ONE = "1.0000000000000002"  # the double next to one
_LARGEST_EXPONENT = "709.78"
_SMALLEST_EXPONENT = "-744.0"


def verbatim(sql: str, kind: type[sa.types.TypeEngine[Any]] = sa.Double) -> Sql:
    """A number or piece of SQL of our own, written out as it stands; never a part of a query that was asked."""
    return sa.literal_column(sql, kind)


def divide(x: Sql, y: Sql) -> Sql:
    """``x / y`` as the engine divides: integers stay integers. Nothing guards against zero here."""
    return x.op("/", precedence=8)(y)


def simple(sqlite: str, postgresql: str | None = None) -> SqlBuilder:
    """A function that both engines have, perhaps by different names."""
    names = {"sqlite": sqlite, "postgresql": postgresql or sqlite}

    def build(dialect: Dialect, *arguments: Sql) -> Sql:
        return getattr(sa.func, names[dialect])(*arguments)  # type: ignore[no-any-return]

    return build


def square_root(dialect: Dialect, x: Sql) -> Sql:
    """NULL below zero. GREATEST passes over NULL, which NULLIF then restores; x is written once."""
    if dialect == "postgresql":
        low = sa.cast(verbatim(_BELOW_ZERO), sa.Double)
        x = sa.func.nullif(sa.func.greatest(x, low), low)
    return sa.func.sqrt(x)


def logarithm(sqlite: str, postgresql: str) -> SqlBuilder:
    """NULL at and below zero."""

    def build(dialect: Dialect, x: Sql) -> Sql:
        if dialect == "sqlite":
            return getattr(sa.func, sqlite)(x)  # type: ignore[no-any-return]
        return getattr(sa.func, postgresql)(sa.func.nullif(sa.func.greatest(x, _zero()), _zero()))  # type: ignore[no-any-return]

    return build


def _zero() -> Sql:
    return sa.cast(verbatim("0"), sa.Double)


def inverse(name: str) -> SqlBuilder:
    """ASIN and ACOS: NULL outside -1 to 1."""

    def build(dialect: Dialect, x: Sql) -> Sql:
        if dialect == "postgresql":
            high = sa.cast(verbatim(_ABOVE_ONE), sa.Double)
            low = sa.cast(verbatim("-" + _ABOVE_ONE), sa.Double)
            x = sa.func.nullif(sa.func.least(x, high), high)
            x = sa.func.nullif(sa.func.greatest(x, low), low)
        return getattr(sa.func, name)(x)  # type: ignore[no-any-return]

    return build


def cotangent(dialect: Dialect, x: Sql) -> Sql:
    """NULL at zero."""
    return divide(verbatim("1.0"), sa.func.nullif(sa.func.tan(x), verbatim("0.0")))


def exponential(dialect: Dialect, x: Sql) -> Sql:
    """NULL when the result is too large, zero when it is too small."""
    return sa.case(
        (x < verbatim(_SMALLEST_EXPONENT), verbatim("0.0")),
        (x <= verbatim(_LARGEST_EXPONENT), sa.func.exp(x)),
    )


def power(dialect: Dialect, x: Sql, y: Sql) -> Sql:
    """NULL when undefined (zero to a negative power, a root of a negative number) or too large."""
    magnitude = y * sa.func.ln(sa.func.nullif(sa.func.abs(x), verbatim("0.0")))
    zero = verbatim("0.0")
    at_zero = sa.case((y > zero, zero), (y == zero, verbatim("1.0")))
    return sa.case(
        (x == zero, at_zero),
        (sa.and_(x < zero, y != sa.func.trunc(y)), sa.cast(sa.null(), sa.Double)),
        (magnitude > verbatim(_LARGEST_EXPONENT), sa.cast(sa.null(), sa.Double)),
        (magnitude < verbatim(_SMALLEST_EXPONENT), zero),
        else_=sa.func.power(x, y),
    )


def modulo(dialect: Dialect, x: Sql, y: Sql) -> Sql:
    """The remainder, with the sign of x; NULL when y is zero. Both are integers or both are doubles."""
    if isinstance(x.type, sa.Integer) and isinstance(y.type, sa.Integer):
        divisor = sa.func.nullif(y, verbatim("0", sa.BigInteger))
        return x.op("%", precedence=8)(divisor) if dialect == "sqlite" else sa.func.mod(x, divisor)
    return x - y * sa.func.trunc(divide(x, sa.func.nullif(y, verbatim("0.0"))))


def rounded(sqlite: str, postgresql: str) -> SqlBuilder:
    """ROUND and TRUNCATE on decimal digits, as PostgreSQL's numeric counts them."""

    def build(dialect: Dialect, x: Sql, places: Sql | None = None) -> Sql:
        digits = verbatim("0", sa.Integer) if places is None else places
        if dialect == "sqlite":
            return getattr(sa.func, sqlite)(x, digits)  # type: ignore[no-any-return]
        return sa.cast(getattr(sa.func, postgresql)(sa.cast(x, sa.Numeric), digits), sa.Double)

    return build


def random(dialect: Dialect, seed: Sql | None = None) -> Sql:
    """A number from 0 to 1; a seed is accepted and does not make the sequence repeat."""
    if dialect == "postgresql":
        return sa.func.random()
    return divide(sa.func.random(), verbatim("18446744073709551616.0")) + verbatim("0.5")
