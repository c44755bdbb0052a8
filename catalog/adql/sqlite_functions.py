"""What SQLite lacks or does differently from PostgreSQL, for the opener of reading connections to register.

Each function answers as PostgreSQL does for the same argument, NULL for NULL. Text that is no number or time raises
`ValueError`, which SQLite makes an error of the query; a number beyond its type the fault that it is.
"""

from __future__ import annotations

import math
import re
import struct
from decimal import ROUND_DOWN, ROUND_HALF_UP, Context, Decimal

from catalog.adql.installed import SQLiteFunction
from catalog.adql.literals import parse_number, parse_timestamp
from catalog.adql.sqlite_geometry import SQLITE_GEOMETRY
from catalog.adql.udf.listing import UDF_SQLITE
from catalog.db.faults import out_of_range

__all__ = ["SQLITE_FUNCTIONS", "SQLiteFunction"]


# --- numbers -------------------------------------------------------------------------------------------------

_DECIMAL = Context(prec=400)
_INTEGER_TEXT = re.compile(r"\s*[+-]?\d+\s*", re.ASCII)


def _decimal(value: float) -> Decimal:
    """As PostgreSQL makes a numeric: whole numbers exactly, others with 15 digits."""
    return Decimal(value) if isinstance(value, int) else Decimal(f"{value:.15g}")


def _quantized(value: float | None, places: int, rounding: str) -> float | None:
    if value is None or not math.isfinite(value):
        return value
    result = _decimal(value).quantize(Decimal(1).scaleb(-places), rounding=rounding, context=_DECIMAL)
    return float(result) + 0.0  # a numeric has no zero below zero


def round_half_away(value: float | None, places: int) -> float | None:
    """A number with so many decimal places; halves go away from zero."""
    return _quantized(value, places, ROUND_HALF_UP)


def truncate(value: float | None, places: int) -> float | None:
    """A number cut to so many decimal places."""
    return _quantized(value, places, ROUND_DOWN)


def to_integer(value: str | float | None, low: int, high: int) -> int | None:
    """A whole number: numbers lose their fraction, text must hold an integer.

    Raises:
        ValueError: The text is no integer.
        QueryError: The number lies outside the type's range.
    """
    if value is None:
        return None
    if isinstance(value, str) and not _INTEGER_TEXT.fullmatch(value):
        raise ValueError("not an integer")
    number = float(value)  # digits may be many
    if not low - 1 <= number <= high + 1 or not low <= int(value) <= high:
        raise out_of_range()
    return int(value)


def to_whole(value: float | None) -> float | None:
    """The result of whole-number arithmetic, which SQLite makes a double when it does not fit 64 bits.

    Raises:
        QueryError: It does not fit.
    """
    if isinstance(value, float):
        raise out_of_range()
    return value


def to_double(value: str | float | None) -> float | None:
    """A double from text or a number.

    Raises:
        ValueError: The text is no number.
        QueryError: The number is too large, or too near to zero.
    """
    if not isinstance(value, str):
        return None if value is None else float(value)
    try:
        return parse_number(value)
    except OverflowError:
        raise out_of_range() from None


def to_real(value: str | float | None) -> float | None:
    """The nearest number of four bytes.

    Raises:
        ValueError: The text is no number.
        QueryError: The number is too large, or too near to zero.
    """
    number = to_double(value)
    if number is None or not math.isfinite(number):
        return number
    near = float(struct.unpack("f", struct.pack("f", number))[0])  # of the machine's own order: infinite, no error
    if math.isinf(near) or near == 0 != number:
        raise out_of_range()
    return near


def to_text(value: str | float | None) -> str | None:
    """A number in the fewest digits that tell it from its neighbours, as PostgreSQL writes it."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, int):
        return str(value)
    if not math.isfinite(value):
        return "Infinity" if value > 0 else "-Infinity"
    sign, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    assert isinstance(exponent, int)  # noqa: S101  (the value is finite)
    power = len(digits) - 1 + exponent
    if value == 0:
        text = "0"
    elif -5 < power < 15:
        text = f"{Decimal((0, digits, exponent)):f}"
    else:
        head, *tail = map(str, digits)
        text = f"{head}{'.' if tail else ''}{''.join(tail)}e{power:+03d}"
    return ("-" if sign else "") + text


def to_timestamp(value: str | None) -> str | None:
    """A time in the form that timestamps have in the database.

    Raises:
        ValueError: The text is no time.
    """
    return None if value is None else parse_timestamp(value)


SQLITE_FUNCTIONS: tuple[SQLiteFunction, ...] = (
    *SQLITE_GEOMETRY,
    SQLiteFunction("adql_round", 2, round_half_away, True),
    SQLiteFunction("adql_truncate", 2, truncate, True),
    SQLiteFunction("adql_integer", 3, to_integer, True),
    SQLiteFunction("adql_whole", 1, to_whole, True),
    SQLiteFunction("adql_double", 1, to_double, True),
    SQLiteFunction("adql_real", 1, to_real, True),
    SQLiteFunction("adql_text", 1, to_text, True),
    SQLiteFunction("adql_timestamp", 1, to_timestamp, True),
    *UDF_SQLITE,
)
"""All that `translate` may call on SQLite; its mathematical functions must be built in (SQLite ≥ 3.35)."""
