from __future__ import annotations

import warnings
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
from astropy.time import Time
from erfa import ErfaWarning
from hypothesis import given
from hypothesis import strategies as st

from catalog.vo.time import (
    TIME_SCALES,
    datetime_to_mjd,
    format_timestamp,
    mjd_to_datetime,
    mjd_to_datetime64,
    parse_timestamp,
    tai_minus_utc,
    to_mjd,
    to_utc,
    to_utc64,
)

MICROSECOND = timedelta(microseconds=1)
LAST = timedelta(hours=23, minutes=59, seconds=59, microseconds=999_999)


def days_from(start: str, count: int, seed: int = 7) -> np.ndarray:
    """Random times from a day on, to the microsecond, none on a day that has a leap second."""
    rng = np.random.default_rng(seed)
    times = np.datetime64(start, "us") + rng.integers(0, 15 * 365 * 86_400_000_000, count)
    days = times.astype("datetime64[D]").astype(str)
    return times[[d[5:] not in ("06-30", "12-31") for d in days]]


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_mjd_equals_astropy_to_the_last_bit_or_two() -> None:
    times = days_from("2012-01-01", 2000)
    expected = Time(times, scale="utc").mjd
    assert np.abs(to_mjd(times) - expected).max() <= 2 * np.spacing(60000.0)


@given(st.datetimes(datetime(1950, 1, 1), datetime(2038, 4, 1)))
def test_mjd_round_trip_is_exact_to_the_microsecond(moment: datetime) -> None:
    mjd = to_mjd([moment])
    assert mjd_to_datetime(float(mjd[0])) == moment.replace(tzinfo=UTC)
    assert mjd_to_datetime64(mjd)[0].item() == moment


@given(st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31)))
def test_mjd_of_any_year_stays_within_a_millisecond(moment: datetime) -> None:
    again = mjd_to_datetime(float(to_mjd([moment])[0]))
    assert again is not None
    assert abs(again - moment.replace(tzinfo=UTC)) < timedelta(milliseconds=1)


@given(st.datetimes(timezones=st.none() | st.timezones()))
def test_one_mjd_is_that_of_many(moment: datetime) -> None:
    assert datetime_to_mjd(moment) == to_mjd([moment])[0]


def test_known_mjd() -> None:
    assert to_mjd([utc("2000-01-02T12:00:00")]).tolist() == [51545.5]
    assert to_mjd(np.array(["1858-11-17", "1970-01-01"], "datetime64[s]")).tolist() == [0.0, 40587.0]


def test_missing_times_become_nan_and_back() -> None:
    assert np.isnan(to_mjd([None, utc("2020-01-01")])).tolist() == [True, False]
    assert np.isnan(to_mjd(np.array(["NaT", "2020-01-01"], "datetime64[ns]"))).tolist() == [True, False]
    assert np.isnat(mjd_to_datetime64([np.nan, np.inf, 51544.0])).tolist() == [True, True, False]
    assert mjd_to_datetime(None) is None
    assert mjd_to_datetime(np.nan) is None
    assert to_mjd([]).shape == (0,)


def test_zones_are_converted_before_counting() -> None:
    east = timezone(timedelta(hours=2))
    assert to_mjd([datetime(2000, 1, 2, 14, tzinfo=east)]).tolist() == [51545.5]


def test_shape_is_kept() -> None:
    times = days_from("2020-01-01", 24)[:12].reshape(3, 4)
    assert to_mjd(times).shape == (3, 4)
    assert mjd_to_datetime64(to_mjd(times)).tolist() == times.tolist()


def test_mjd_beyond_the_calendar_is_refused() -> None:
    with pytest.raises(ValueError, match="years 1 to 9999"):
        mjd_to_datetime(4e6)


@pytest.mark.parametrize("scale", ["tai", "tt", "tdb", "tcg", "tcb"])
def test_scales_agree_with_astropy(scale: str, astropy_offline: None) -> None:
    times = np.concatenate([days_from("1973-01-01", 300), days_from("2000-01-01", 300), days_from("2017-01-02", 300)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ErfaWarning)
        expected = Time(times, scale=scale).utc.datetime64.astype("datetime64[us]")
    difference = (to_utc64(times, scale) - expected).astype(np.int64)
    assert np.abs(difference).max() <= 1


def test_gps_is_19_seconds_behind_tai() -> None:
    moment = datetime(2026, 5, 1, 12)
    assert to_utc(moment, "GPS") == utc("2026-05-01T11:59:42")
    assert to_utc(moment + timedelta(seconds=19), "TAI") == to_utc(moment, "GPS")


@pytest.mark.parametrize("scale", ["UTC", "UT", "gmt", "UT1"])
def test_civil_scales_stay(scale: str) -> None:
    assert to_utc(datetime(2026, 5, 1), scale) == utc("2026-05-01")


def test_aware_times_are_utc_already() -> None:
    chile = timezone(timedelta(hours=-4))
    assert to_utc(datetime(2026, 5, 1, 22, tzinfo=chile)) == utc("2026-05-02T02:00:00")
    with pytest.raises(ValueError, match="states a time zone, so it cannot be counted in TAI"):
        to_utc(datetime(2026, 5, 1, tzinfo=UTC), "TAI")


@pytest.mark.parametrize(
    ("tai", "expected"),
    [
        ("2017-01-01T00:00:35", "2016-12-31T23:59:59"),
        ("2017-01-01T00:00:35.999999", "2016-12-31T23:59:59.999999"),
        ("2017-01-01T00:00:36", "2016-12-31T23:59:59.999999"),
        ("2017-01-01T00:00:36.999999", "2016-12-31T23:59:59.999999"),
        ("2017-01-01T00:00:37", "2017-01-01T00:00:00"),
        ("1972-07-01T00:00:10.5", "1972-06-30T23:59:59.999999"),
        ("1972-07-01T00:00:11", "1972-07-01T00:00:00"),
        ("1972-01-01T00:00:10", "1972-01-01T00:00:00"),
    ],
)
def test_leap_second_is_held_on_the_last_microsecond(tai: str, expected: str) -> None:
    assert to_utc(datetime.fromisoformat(tai), "TAI") == utc(expected)


@given(st.datetimes(datetime(2016, 12, 31, 23), datetime(2017, 1, 1, 1)), st.integers(0, 2_000_000))
def test_order_is_kept_across_a_leap_second(moment: datetime, later: int) -> None:
    assert to_utc(moment, "TAI") <= to_utc(moment + later * MICROSECOND, "TAI")


@pytest.mark.parametrize("text", ["1900-01-01", "1955-06-01", "1965-03-04T05:06:07", "2035-01-01", "2999-12-31"])
@pytest.mark.parametrize("scale", TIME_SCALES)
def test_dates_far_away_neither_warn_nor_fail(text: str, scale: str) -> None:
    moment = parse_timestamp(text, scale=scale)
    assert abs(moment - utc(text)) < timedelta(minutes=11 if scale == "TCB" else 2)


def test_rubber_seconds_before_1972_agree_with_astropy() -> None:
    times = np.array(["1962-05-06T07:08:09.123456", "1971-02-03T04:05:06.5"], "datetime64[us]")
    expected = Time(times, scale="tai").utc.datetime64.astype("datetime64[us]")
    assert np.abs((to_utc64(times, "TAI") - expected).astype(np.int64)).max() <= 1


def test_not_a_time_stays_one() -> None:
    assert np.isnat(to_utc64(np.array(["NaT"], "datetime64[us]"), "TT")).all()
    assert np.isnat(to_utc64(np.array(["NaT"], "datetime64[us]"), "TDB")).all()


def test_mjd_counted_in_tai_becomes_utc() -> None:
    assert mjd_to_datetime(60000.0, scale="TAI") == utc("2023-02-24T23:59:23")


def test_unknown_scale_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"'LOCAL' is not a known time scale: expected one of .*TAI"):
        to_utc(datetime(2020, 1, 1), "LOCAL")


def test_tai_minus_utc_steps_at_midnight_and_stays_for_the_future() -> None:
    values = tai_minus_utc([0.0, 57753.999999, 57754.0, 64328.0, 1e6, np.nan])
    assert values.tolist()[:-1] == [10.0, 36.0, 37.0, 37.0, 37.0]
    assert np.isnan(values[-1])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-05-01", "2026-05-01T00:00:00"),
        ("2026-05-01T01:02:03", "2026-05-01T01:02:03"),
        ("2026-05-01T01:02:03Z", "2026-05-01T01:02:03"),
        ("2026-05-01T01:02:03.4", "2026-05-01T01:02:03.4"),
        ("2026-05-01T01:02:03.123456789", "2026-05-01T01:02:03.123457"),
        ("2026-05-01T23:59:59.9999999", "2026-05-02T00:00:00"),
        ("2016-12-31T23:59:60.5", "2016-12-31T23:59:59.999999"),
        ("0001-01-01", "0001-01-01T00:00:00"),
    ],
)
def test_timestamps_of_dali(text: str, expected: str) -> None:
    assert parse_timestamp(text) == utc(expected)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "expected YYYY-MM-DD"),
        ("2026-05-01 01:02:03", "expected YYYY-MM-DD"),
        ("2026-05-01T01:02", "expected YYYY-MM-DD"),
        ("2026-05-01T01:02:03+02:00", "expected YYYY-MM-DD"),
        ("2026-05-01T01:02:03.", "expected YYYY-MM-DD"),
        ("2026-05-01T01:02:03\n", "expected YYYY-MM-DD"),
        ("26-05-01", "expected YYYY-MM-DD"),
        ("٢٠٢٦-05-01", "expected YYYY-MM-DD"),
        ("2026-02-30", "not a time that exists"),
        ("2026-05-01T24:00:00", "not a time that exists"),
        ("2026-05-01T23:59:60", "not a time that exists"),
        ("9999-12-31T23:59:59.9999999", "not a time that exists"),
    ],
)
def test_other_timestamps_are_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_timestamp(text)


def test_two_scales_are_refused() -> None:
    assert parse_timestamp("2026-05-01T00:00:00Z", scale="UTC") == utc("2026-05-01")
    with pytest.raises(ValueError, match="ends with Z, which means UTC, so it cannot be counted in TAI"):
        parse_timestamp("2026-05-01T00:00:00Z", scale="TAI")


@given(st.datetimes(timezones=st.just(UTC)))
def test_written_timestamp_reads_back(moment: datetime) -> None:
    text = format_timestamp(moment)
    assert len(text) == 26
    assert parse_timestamp(text) == moment
    assert parse_timestamp(format_timestamp(moment, zone=True)) == moment


def test_digits_are_cut_not_rounded() -> None:
    moment = utc("2026-05-01T23:59:59.999999")
    assert format_timestamp(moment, digits=0, zone=True) == "2026-05-01T23:59:59Z"
    assert format_timestamp(moment, digits=3) == "2026-05-01T23:59:59.999"
