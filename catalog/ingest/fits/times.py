"""When the data of an HDU were taken (FITS 4.0 section 9), as UTC.

Before FITS had a time standard, ``DATE-OBS`` was ``DD/MM/YY`` and the time of day stood in a keyword of its own; both
forms live on in archives and are read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from catalog.ingest.fits.keywords import Keywords
from catalog.vo.time import TIME_SCALES, mjd_to_datetime, parse_timestamp

__all__ = ["Exposure", "join_exposures", "read_exposure"]

_ISO = re.compile(r"([0-9]{4})[-/]([0-9]{1,2})[-/]([0-9]{1,2})(?:[T ]+([0-9:.]+Z?))?")
_OLD = re.compile(r"([0-9]{1,2})[-/]([0-9]{1,2})[-/]([0-9]{2})")
_CLOCK = re.compile(r"([0-9]{1,2}):([0-9]{2})(?::([0-9]{2}(?:\.[0-9]*)?))?(Z?)")
_SECONDS = {"s": 1.0, "sec": 1.0, "second": 1.0, "seconds": 1.0, "ms": 1e-3, "min": 60.0, "h": 3600.0, "hr": 3600.0}
_DAY_ONLY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Exposure:
    """A span of time, and how much of it was integrated."""

    start_time: datetime | None = None
    end_time: datetime | None = None
    exptime_s: float | None = None


def read_exposure(keywords: Keywords, fallback: Keywords | None = None) -> Exposure:
    """Start, end and integration of one HDU.

    The start is DATE-BEG, DATE-OBS (with TIME-OBS and the like), MJD-BEG or MJD-OBS; the end DATE-END, MJD-END, else
    start and TELAPSE or integration. A date without a time of day says that the data lie somewhere in that day.

    Args:
        keywords: Of the HDU.
        fallback: Of the primary HDU, for TIMESYS.
    """
    exptime = _integration(keywords)
    scale = _scale(keywords, fallback)
    if scale is None:
        return Exposure(exptime_s=exptime)
    start, whole_day = _moment(keywords, scale, ("DATE-BEG", "DATE-OBS"), ("TIME-OBS", "TIME-BEG", *_CLOCKS), _BEGIN)
    end, end_day = _moment(keywords, scale, ("DATE-END",), ("TIME-END",), ("MJD-END",))
    if end is not None and end_day:
        end += _DAY_ONLY
    if end is None and start is not None:
        elapsed = _seconds(keywords, "TELAPSE") or exptime
        end = start + _DAY_ONLY if whole_day else None if elapsed is None else _later(start, elapsed)
    if start is not None and end is not None and end < start:
        keywords.note("the data end before they begin: the end is left out")
        end = None
    return Exposure(start, end, exptime)


_BEGIN = ("MJD-BEG", "MJD-OBS")
_CLOCKS = ("UTC-OBS", "UT", "UTSTART", "UTC", "TM-START")


def join_exposures(exposures: Iterable[Exposure]) -> Exposure:
    """The span of several exposures and what was integrated in it; those that start together count once."""
    known = list(exposures)
    starts = [exposure.start_time for exposure in known if exposure.start_time is not None]
    ends = [exposure.end_time for exposure in known if exposure.end_time is not None]
    longest: dict[datetime | None, float] = {}
    for exposure in known:
        if exposure.exptime_s is not None:
            longest[exposure.start_time] = max(exposure.exptime_s, longest.get(exposure.start_time, 0.0))
    undated = longest.pop(None, None)
    total = sum(longest.values()) if longest else undated
    return Exposure(min(starts, default=None), max(ends, default=None), total)


def _moment(
    keywords: Keywords, scale: str, dates: tuple[str, ...], clocks: tuple[str, ...], mjds: tuple[str, ...]
) -> tuple[datetime | None, bool]:
    """The first date and time that can be read, and whether it is only a date."""
    day: datetime | None = None
    for name in dates:
        text = keywords.text(name)
        if text is None:
            continue
        try:
            date, clock = _split(text)
            clock = clock or next((c for n in clocks if (c := _clock(keywords.text(n)))), None)
            moment = parse_timestamp(date if clock is None else f"{date}T{clock}", scale=scale)
        except ValueError as error:
            keywords.note(f"{name} cannot be read: {error}")
            continue
        if clock is not None:
            return moment, False
        day = day or moment
    for name in mjds:
        number = keywords.number(name)
        if number is None:
            continue
        try:
            return mjd_to_datetime(number, scale=scale), False
        except (ValueError, OverflowError) as error:
            keywords.note(f"{name} cannot be read: {error}")
    return day, day is not None


def _split(text: str) -> tuple[str, str | None]:
    """Date and time of day, each as DALI writes it.

    Raises:
        ValueError: The text is no date.
    """
    iso = _ISO.fullmatch(text)
    if iso:
        clock = _clock(iso[4])
        if iso[4] and clock is None:
            raise ValueError(f"'{iso[4]}' is not a time of day")
        return f"{iso[1]}-{int(iso[2]):02}-{int(iso[3]):02}", clock
    old = _OLD.fullmatch(text)
    if old:
        return f"19{old[3]}-{int(old[2]):02}-{int(old[1]):02}", None  # FITS 4.0 section 4.4.2.1: 1900 to 1999
    raise ValueError(f"'{text}' is not a date: expected YYYY-MM-DD or YYYY-MM-DDThh:mm:ss")


def _clock(text: str | None) -> str | None:
    match = _CLOCK.fullmatch(text.strip()) if text else None
    return f"{int(match[1]):02}:{match[2]}:{(match[3] or '00').rstrip('.')}{match[4]}" if match else None


def _scale(keywords: Keywords, fallback: Keywords | None) -> str | None:
    text = keywords.text("TIMESYS") or (fallback.text("TIMESYS") if fallback else None) or "UTC"
    name = text.partition("(")[0].strip().upper()  # TT(BIPM08)
    if name in TIME_SCALES:
        return name
    keywords.note(f"TIMESYS '{text}' is not known: its times are left out")
    return None


def _integration(keywords: Keywords) -> float | None:
    """Effective integration; what follows the conventions of high-energy astrophysics calls it EXPOSURE."""
    names: tuple[str, ...] = ("XPOSURE", "EXPTIME", "EXPOSURE", "EXP_TIME", "ITIME", "INTTIME", "TEXPTIME", "ONTIME")
    if keywords.text("HDUCLASS") == "OGIP":
        names = ("XPOSURE", "EXPOSURE", "EXPTIME", "ONTIME")
    return next((seconds for name in names if (seconds := _seconds(keywords, name)) is not None), None)


def _seconds(keywords: Keywords, name: str) -> float | None:
    value = keywords.number(name)
    if value is None:
        return None
    seconds = value * _SECONDS.get((keywords.unit(name) or "s").lower(), 1.0)
    if seconds < 0:
        keywords.note(f"{name} is negative")
        return None
    return seconds


def _later(start: datetime, seconds: float) -> datetime | None:
    try:
        return start + timedelta(seconds=seconds)
    except OverflowError:
        return None
