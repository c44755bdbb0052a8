"""Times: DALI timestamps, MJD, and other time scales turned into UTC (DALI 1.1 section 3.1.2, ObsCore 1.1 section 4.6).

Inside the toolkit a time is an aware UTC `datetime` or a ``datetime64[us]`` array that counts UTC. A day of UTC has
86,400 s here, as in both databases, so an instant within a leap second becomes the last microsecond of its day: order
is kept and the error is below 1 s. Leap seconds are those that astropy ships; nothing is fetched.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Literal

import numpy as np
import numpy.typing as npt
from erfa import ufunc as erfa_ufunc  # the plain functions: they neither warn nor raise for a "dubious year"

__all__ = [
    "TIME_SCALES",
    "datetime_to_mjd",
    "format_timestamp",
    "mjd_to_datetime",
    "mjd_to_datetime64",
    "parse_timestamp",
    "tai_minus_utc",
    "to_mjd",
    "to_utc",
    "to_utc64",
]

_Times = npt.NDArray[np.datetime64]
_Floats = npt.NDArray[np.float64]
_Ints = npt.NDArray[np.int64]

_DAY = 86_400_000_000  # microseconds
_MJD_OF_UNIX_EPOCH = 40587
_FIRST_MJD, _END_MJD = -678_575, 2_973_484  # the years 1 to 9999
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_1972 = 63_072_000_000_000  # first instant of UTC with whole leap seconds, in microseconds of UTC since 1970

_UTC_LIKE = frozenset({"UTC", "UT", "GMT", "UT1"})
_BEHIND_TAI = {
    "TAI": 0,
    "IAT": 0,
    "GPS": 19_000_000,
    "TT": -32_184_000,
    "TDT": -32_184_000,
    "ET": -32_184_000,
}  # microseconds to add to reach TAI

TIME_SCALES = (*sorted(_UTC_LIKE), *_BEHIND_TAI, "TDB", "TCG", "TCB")
"""Names that `to_utc` understands (FITS 4.0 table 30). UT1 is taken for UTC: they differ by less than 0.9 s."""

_TIMESTAMP = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})(?:T([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]+))?)?(Z?)")


def to_mjd(times: _Times | Sequence[datetime | None]) -> _Floats:
    """UTC times as MJD (UTC), the nearest double to each microsecond.

    Args:
        times: ``datetime64`` array of any shape, finer units cut to microseconds; or datetimes, where a naive one
            counts as UTC.

    Returns:
        Days, of the same shape; NaN for None and NaT. A double near MJD 60000 resolves 0.6 microseconds.
    """
    if not isinstance(times, np.ndarray):
        times = np.array([None if t is None else _naive_utc(t) for t in times], dtype="datetime64[us]")
    moments = times.astype("datetime64[us]")
    days, rest = np.divmod(moments.view(np.int64), _DAY)
    mjd: _Floats = (days + _MJD_OF_UNIX_EPOCH) + rest / _DAY
    mjd[np.isnat(moments)] = np.nan
    return mjd


def datetime_to_mjd(moment: datetime) -> float:
    """One time as MJD (UTC), as `to_mjd` has it; a naive one counts as UTC."""
    since = moment.replace(tzinfo=UTC) - _EPOCH if moment.tzinfo is None else moment - _EPOCH
    return (since.days + _MJD_OF_UNIX_EPOCH) + (since.seconds * 1_000_000 + since.microseconds) / _DAY


def mjd_to_datetime64(mjd: npt.ArrayLike) -> _Times:
    """MJD (UTC) as ``datetime64[us]``, rounded to the microsecond; NaT for NaN and outside of the years 1 to 9999.

    The inverse of `to_mjd` to the microsecond until 2038 (MJD 65536), to 2 microseconds after.
    """
    values = np.asarray(mjd, dtype=np.float64)
    finite = (values >= _FIRST_MJD) & (values < _END_MJD)
    values = np.where(finite, values, 0.0)
    days = np.floor(values)
    moments = (days.astype(np.int64) - _MJD_OF_UNIX_EPOCH) * _DAY
    moments += np.rint((values - days) * _DAY).astype(np.int64)
    times: _Times = np.where(finite, moments.astype("datetime64[us]"), np.datetime64("NaT", "us"))
    return times


def mjd_to_datetime(mjd: float | None, *, scale: str = "UTC") -> datetime | None:
    """One MJD, counted in this scale, as aware UTC; None for None and NaN.

    Raises:
        ValueError: The scale is unknown, or the year does not lie in 1 to 9999.
    """
    if mjd is None or not np.isfinite(mjd):
        return None
    if not -678_575 <= mjd <= 2_973_483:
        raise ValueError(f"MJD {mjd} lies outside the years 1 to 9999")
    moment = to_utc64(mjd_to_datetime64(mjd), scale)
    return _EPOCH + timedelta(microseconds=int(moment.astype(np.int64)))


def to_utc(value: datetime, scale: str = "UTC") -> datetime:
    """A time counted in the given scale as aware UTC, to the microsecond.

    Args:
        value: Naive: read in ``scale``. Aware: already civil time, so the scale must be UTC.
        scale: One of `TIME_SCALES`, in any case.

    Raises:
        ValueError: The scale is unknown; or two are stated, a zone and a scale other than UTC.
    """
    name = _scale(scale)
    if value.tzinfo is not None:
        if name not in _UTC_LIKE:
            raise ValueError(f"'{value.isoformat()}' states a time zone, so it cannot be counted in {name}")
        return value.astimezone(UTC)
    if name in _UTC_LIKE:
        return value.replace(tzinfo=UTC, fold=0)
    moment = to_utc64(np.array(value, dtype="datetime64[us]"), name)
    return _EPOCH + timedelta(microseconds=int(moment.astype(np.int64)))


def to_utc64(times: _Times, scale: str = "UTC") -> _Times:
    """Times counted in the given scale as ``datetime64[us]`` of UTC; NaT stays NaT.

    Raises:
        ValueError: The scale is not one of `TIME_SCALES`.
    """
    name = _scale(scale)
    moments = times.astype("datetime64[us]")
    if name in _UTC_LIKE:
        return moments
    counts = np.where(np.isnat(moments), 0, moments.view(np.int64))
    if name in _BEHIND_TAI:
        tai = counts + _BEHIND_TAI[name]
    else:
        tai = counts + _dynamical_to_tt(counts, name) + _BEHIND_TAI["TT"]
    utc: _Times = np.where(np.isnat(moments), moments, _tai_to_utc(tai).astype("datetime64[us]"))
    return utc


def tai_minus_utc(mjd: npt.ArrayLike) -> _Floats:
    """TAI − UTC in seconds at each MJD (UTC): today's value for the future, 10 s before 1972, NaN for NaN."""
    starts, offsets = _leap_seconds()
    values = np.asarray(mjd, dtype=np.float64)
    days = starts / _DAY + _MJD_OF_UNIX_EPOCH
    index = np.clip(np.searchsorted(days, values, side="right") - 1, 0, None)
    return np.where(np.isnan(values), np.nan, offsets[index] / 1e6)


def parse_timestamp(text: str, *, scale: str = "UTC") -> datetime:
    """Read a DALI timestamp, ``YYYY-MM-DD['T'hh:mm:ss[.SSS]]['Z']``, as aware UTC.

    Digits beyond the microsecond are rounded. ``23:59:60`` at the end of June or December is a leap second.

    Args:
        text: The timestamp. A date alone is its first instant.
        scale: What it is counted in, one of `TIME_SCALES`; ``Z`` says UTC and goes with nothing else.

    Raises:
        ValueError: The form is another, the date does not exist, or two scales are stated.
    """
    name = _scale(scale)
    match = _TIMESTAMP.fullmatch(text)
    if match is None:
        raise ValueError(f"'{text}' is not a timestamp: expected YYYY-MM-DD or YYYY-MM-DDThh:mm:ss[.SSS]")
    if match[8] and name not in _UTC_LIKE:
        raise ValueError(f"'{text}' ends with Z, which means UTC, so it cannot be counted in {name}")
    year, month, day, hour, minute, second = (int(part or 0) for part in match.groups()[:6])
    is_leap = second == 60 and (hour, minute) == (23, 59) and (month, day) in ((6, 30), (12, 31))
    if is_leap and name in _UTC_LIKE:
        return datetime(year, month, day, 23, 59, 59, 999_999, tzinfo=UTC)
    try:
        fraction = timedelta(microseconds=round(float(f"0.{match[7] or 0}") * 1e6))
        moment = datetime(year, month, day, hour, minute, second) + fraction
        return to_utc(moment, name)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"'{text}' is not a time that exists: {error}") from None


def format_timestamp(value: datetime, *, digits: Literal[0, 3, 6] = 6, zone: bool = False) -> str:
    """Write a time as DALI timestamp in UTC: ``YYYY-MM-DDThh:mm:ss.ffffff``.

    Args:
        value: Aware; a naive one counts as UTC.
        digits: Digits after the second; what does not fit is cut, as clocks do.
        zone: Append ``Z``, as OAI-PMH and UWS want.
    """
    timespec = {0: "seconds", 3: "milliseconds", 6: "microseconds"}[digits]
    return _naive_utc(value).isoformat(timespec=timespec) + ("Z" if zone else "")


def _naive_utc(value: datetime) -> datetime:
    return value if value.tzinfo is None else value.astimezone(UTC).replace(tzinfo=None)


def _scale(name: str) -> str:
    folded = name.strip().upper()
    if folded not in TIME_SCALES:
        raise ValueError(f"'{name}' is not a known time scale: expected one of {', '.join(TIME_SCALES)}")
    return folded


@cache
def _leap_seconds() -> tuple[_Ints, _Ints]:
    """When each offset starts, in microseconds of UTC since 1970, and TAI − UTC from then on in microseconds."""
    from astropy.utils.iers import IERS_LEAP_SECOND_FILE  # loads much of astropy, which few need

    table = np.loadtxt(IERS_LEAP_SECOND_FILE, comments="#", usecols=(0, 4), ndmin=2)
    starts = (table[:, 0].astype(np.int64) - _MJD_OF_UNIX_EPOCH) * _DAY
    return starts, np.rint(table[:, 1] * 1e6).astype(np.int64)


def _tai_to_utc(tai: _Ints) -> _Ints:
    """Microseconds of TAI since 1970 as microseconds of UTC; within a leap second, the last of the day."""
    starts, offsets = _leap_seconds()
    index = np.searchsorted(starts + offsets, tai, side="right") - 1
    following = np.append(starts[1:], np.iinfo(np.int64).max)
    utc: _Ints = np.minimum(tai - offsets[index], following[index] - 1)
    early = tai < _1972 + offsets[0]
    if early.any():  # UTC ran at its own rate, and did not exist before 1960, where erfa takes it for TAI
        day1, day2 = _two_part_jd(tai)
        utc1, utc2, _ = erfa_ufunc.taiutc(day1, day2)
        shift = np.rint(((utc1 - day1) + (utc2 - day2)) * _DAY).astype(np.int64)
        utc = np.where(early, tai + shift, utc)
    return utc


def _dynamical_to_tt(counts: _Ints, scale: str) -> _Ints:
    """Microseconds to add to TDB, TCG or TCB, as seen from the geocentre, to reach TT."""
    day1, day2 = start1, start2 = _two_part_jd(counts)
    if scale == "TCG":
        day1, day2, _ = erfa_ufunc.tcgtt(day1, day2)
    else:
        if scale == "TCB":
            day1, day2, _ = erfa_ufunc.tcbtdb(day1, day2)
        day2 = day2 - erfa_ufunc.dtdb(day1, day2, 0.0, 0.0, 0.0, 0.0) / 86400.0
    shift: _Ints = np.rint(((day1 - start1) + (day2 - start2)) * _DAY).astype(np.int64)
    return shift


def _two_part_jd(counts: _Ints) -> tuple[_Floats, _Floats]:
    days, rest = np.divmod(counts, _DAY)
    return days + (2_400_000.5 + _MJD_OF_UNIX_EPOCH), rest / _DAY
