"""The time axis: when the data of a package begin and end, how long was integrated, and when they are released."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np

from catalog.obscore.batch import Batch, Floats, Times, Values, first_of
from catalog.vo.time import mjd_to_datetime64, to_mjd

__all__ = ["SPAN_DIGITS", "add_months", "derive_release_date", "derive_times"]

SPAN_DIGITS = 5  # of a second: what two MJDs in double precision can tell apart


def derive_times(batch: Batch) -> dict[str, Values]:
    """t_min and t_max as MJD (UTC), t_exptime in seconds.

    The span of the package's own files counts before that of its observation. While the observation runs, t_max is
    unknown. Files may have been written side by side, so their exposure times add up to the span at most.
    """
    started, ended = batch.times("unit_start"), batch.times("unit_end")
    is_running = ~np.isnat(started) & np.isnat(ended)
    first, last = batch.times("files_first"), batch.times("files_last")
    t_min = first_of(batch.floats("stated_t_min"), to_mjd(first), to_mjd(started))
    derived_end = np.where(is_running, np.nan, first_of(to_mjd(last), to_mjd(ended)))
    t_max = first_of(batch.floats("stated_t_max"), derived_end)
    t_max = np.where(t_max < t_min, np.nan, t_max)
    return {"t_min": t_min, "t_max": t_max, "t_exptime": _exposure(batch, t_min, t_max)}


def _exposure(batch: Batch, t_min: Floats, t_max: Floats) -> Floats:
    span = np.round((t_max - t_min) * 86400.0, SPAN_DIGITS)
    total = np.where(batch.floats("files_without_exptime") > 0, np.nan, batch.floats("files_exptime_s"))
    return first_of(batch.floats("stated_t_exptime"), np.fmin(total, span))


def derive_release_date(batch: Batch) -> dict[str, Values]:
    """obs_release_date: stated for the package, else by the sub-programme's rule, else by the programme's.

    A rule is a date, or calendar months after the end of the data (after their start where the end is unknown); with
    no rule the date is None. A sub-programme that states either overrules its programme.
    """
    stated = batch.times("stated_obs_release_date")
    sub_date, sub_months = batch.times("sub_release_date"), batch.floats("sub_release_months")
    date, months = batch.times("program_release_date"), batch.floats("program_release_months")
    has_own_rule = ~np.isnat(sub_date) | ~np.isnan(sub_months)
    date = np.where(has_own_rule, sub_date, date)
    months = np.where(has_own_rule, sub_months, months)
    observed = mjd_to_datetime64(first_of(batch.floats("t_max"), batch.floats("t_min")))
    by_rule = np.where(np.isnat(date), add_months(observed, months), date)
    return {"obs_release_date": _datetimes(np.where(np.isnat(stated), by_rule, stated))}


def add_months(times: Times, months: Floats) -> Times:
    """Times so many calendar months later; the day is cut to the month's last, the time of day kept.

    Args:
        times: ``datetime64[us]``.
        months: Whole numbers; NaN yields NaT.
    """
    unknown = np.isnan(months) | np.isnat(times)
    count = np.where(unknown, 0.0, months).astype(np.int64)
    month = times.astype("datetime64[M]")
    day = times - month.astype("datetime64[us]")
    later = month + count.astype("timedelta64[M]")
    last_day = ((later + 1).astype("datetime64[D]") - np.timedelta64(1, "D")).astype("datetime64[us]")
    time_of_day = day % np.timedelta64(1, "D")
    whole_days = day - time_of_day
    result: Times = np.minimum(later.astype("datetime64[us]") + whole_days, last_day) + time_of_day
    return np.where(unknown, np.datetime64("NaT", "us"), result)


def _datetimes(times: Times) -> list[object]:
    """Aware UTC datetimes, None for NaT and for what a datetime cannot say."""
    moments = times.astype("datetime64[us]").tolist()
    return [moment.replace(tzinfo=UTC) if isinstance(moment, datetime) else None for moment in moments]
