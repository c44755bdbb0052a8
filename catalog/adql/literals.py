"""Text that the databases must read alike: numbers, and times as DALI writes them (DALI 1.1 section 3.3.3)."""

from __future__ import annotations

import math
import re
from datetime import datetime

__all__ = ["parse_number", "parse_timestamp"]

_NUMBER = re.compile(r"\s*[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\s*", re.ASCII)

_TIMESTAMP = re.compile(r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d)(?::(\d\d)(?:\.(\d*))?)?Z?)?")


def parse_number(text: str) -> float:
    """A number in decimal digits; NaN, infinity and what else programming languages read are none.

    Raises:
        ValueError: The text is no number.
        OverflowError: The number is too large for a double, or too near to zero.
    """
    if not _NUMBER.fullmatch(text):
        raise ValueError("not a number")
    number = float(text)
    if not math.isfinite(number) or (number == 0 and re.search("[1-9]", re.split("[eE]", text)[0])):
        raise OverflowError("not a double")
    return number


def parse_timestamp(text: str) -> str:
    """A time as ``YYYY-MM-DDThh:mm:ss.ffffff``, which sorts as text and reads as a timestamp.

    Missing parts are zero; digits beyond the microsecond are dropped; a trailing Z and a blank for T are taken.

    Raises:
        ValueError: The text is not such a time, or no such day exists.
    """
    match = _TIMESTAMP.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"'{text}' is not a time such as 2026-01-31T12:00:00")
    day, minutes, seconds, fraction = match.groups()
    stamp = f"{day}T{minutes or '00:00'}:{seconds or '00'}.{(fraction or '')[:6]:0<6}"
    try:
        datetime.fromisoformat(stamp)
    except ValueError as error:
        raise ValueError(f"'{text}' is no existing time: {error}") from None
    return stamp
