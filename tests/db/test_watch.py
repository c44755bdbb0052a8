"""One thread stops what takes too long."""

from __future__ import annotations

import time
from threading import Event
from threading import enumerate as threads

import pytest

from catalog.db.watch import Watch


def test_what_takes_too_long_is_told_to_stop_until_it_hears() -> None:
    told: list[float] = []
    heard = Event()

    def stop() -> None:
        told.append(time.monotonic())
        if len(told) == 3:
            heard.set()

    began = time.monotonic()
    watch = Watch(0.1, stop)
    assert heard.wait(5)
    watch.end()
    assert watch.has_expired
    assert told[0] - began >= 0.1
    count = len(told)
    time.sleep(0.2)
    assert len(told) <= count + 1, "one call may have been under way"


def test_what_ends_in_time_is_left_alone() -> None:
    told = Event()
    for _ in range(1_000):
        Watch(0.2, told.set).end()
    assert not told.wait(0.4)


def test_what_cannot_be_stopped_does_not_keep_the_others_from_it(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise OSError("no way there")

    told = Event()
    watches = [Watch(0.05, fail), Watch(0.1, told.set)]
    assert told.wait(2)
    for watch in watches:
        watch.end()
    assert "could not be told to stop" in caplog.text


def test_a_short_time_is_kept_beside_long_ones() -> None:
    long = [Watch(60, lambda: None) for _ in range(20)]
    told = Event()
    short = Watch(0.05, told.set)
    assert told.wait(2)
    assert sum(thread.name == "query-clock" for thread in threads()) == 1
    for watch in (short, *long):
        watch.end()
    assert not any(watch.has_expired for watch in long)
