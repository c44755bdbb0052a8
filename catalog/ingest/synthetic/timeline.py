"""When the synthetic telescope observed: sessions of two sidereal hours, ending in November 2026."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from catalog.ingest.synthetic.draws import Indices

__all__ = ["Moments", "Timeline", "seconds"]

Moments = npt.NDArray[np.datetime64]

_J2000 = np.datetime64("2000-01-01T12:00:00", "us")
_SIDEREAL_DAY = np.timedelta64(86_164_090_531, "us")
_SESSION = np.timedelta64(7_180_340_878, "us")
_LAST_NIGHT = np.datetime64("2026-11-18T00:00:00", "us")
_SEASON = 230
"""Sidereal days from the first night of a small catalog (1 April 2026) to the last."""


class Timeline:
    """The times of the sessions, evenly spread over a season; more than it can hold begin in earlier years.

    Args:
        sessions: How many there are.
        slots: Which session of the sidereal day each session of a cycle is.
        longitude_deg: Of the telescope, east positive.
    """

    def __init__(self, sessions: int, *, slots: tuple[int, ...], longitude_deg: float) -> None:
        self.sessions = sessions
        self._slots = np.array(slots)
        self._per_day = min(len(slots), max(1, -(-sessions // (_SEASON + 1))))
        self._days = -(-sessions // self._per_day)
        self._last_day = _sidereal_midnight(_LAST_NIGHT, longitude_deg)

    @property
    def begin(self) -> np.datetime64:
        """Before everything: when the observatory was set up."""
        first: np.datetime64 = self._day(np.zeros(1, dtype=np.int64))[0]
        return first - np.timedelta64(30, "D")

    @property
    def end(self) -> np.datetime64:
        """After everything: the time at which the catalog is a picture of the observatory."""
        return self._last_day + np.timedelta64(36, "h")

    def starts(self, session: Indices) -> Moments:
        """When each session begins, UTC, microseconds."""
        slot = self._slots[session % len(self._slots)]
        return self._day(session // self._per_day) + slot * _SESSION

    def _day(self, day: Indices) -> Moments:
        left = self._days - 1 - day
        if 1 < self._days <= _SEASON:
            left = np.round(left * (_SEASON / (self._days - 1))).astype(np.int64)
        return self._last_day - left * _SIDEREAL_DAY


def seconds(values: npt.ArrayLike) -> npt.NDArray[np.timedelta64]:
    """Seconds as spans of time, to the millisecond."""
    return (np.round(np.asarray(values, dtype=np.float64) * 1e3).astype(np.int64) * 1000).astype("timedelta64[us]")


def _sidereal_midnight(moment: np.datetime64, longitude_deg: float) -> np.datetime64:
    """The last time, to the second, at which the local mean sidereal time was 0 (IAU 1982, linear part)."""
    days = (moment - _J2000) / np.timedelta64(1, "D")
    turned = (280.46061837 + 360.98564736629 * float(days) + longitude_deg) % 360.0
    return moment - np.timedelta64(round(turned / 360.0 * 86164.0905), "s")
