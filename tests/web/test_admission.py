"""Places for queries: so many at once, the others in a row, nobody for ever."""

from __future__ import annotations

import time

import anyio
import pytest

from catalog.errors import UnavailableError
from catalog.web.admission import Admission


def test_no_more_work_at_once_than_there_are_places() -> None:
    together, most = 0, 0

    async def work(admission: Admission) -> None:
        nonlocal together, most
        async with admission.place():
            together += 1
            most = max(most, together)
            await admission.run(lambda: time.sleep(0.02))
            together -= 1

    async def crowd() -> None:
        admission = Admission(3, wait_s=10)
        async with anyio.create_task_group() as tasks:
            for _ in range(12):
                tasks.start_soon(work, admission)

    anyio.run(crowd)
    assert most == 3


def test_who_waits_too_long_is_asked_to_come_later() -> None:
    async def wait() -> None:
        admission = Admission(1, wait_s=0.05)
        async with admission.place():
            with pytest.raises(UnavailableError, match="busy"):
                async with admission.place():
                    raise AssertionError("there is no second place")
        async with admission.place():
            pass  # it is free again

    anyio.run(wait)


def test_who_leaves_while_waiting_or_working_frees_the_place() -> None:
    async def leave() -> None:
        admission = Admission(1, wait_s=10)
        async with admission.place():
            with anyio.move_on_after(0.05):
                async with admission.place():
                    raise AssertionError("there is no second place")
        began = time.monotonic()
        with anyio.move_on_after(0.05):
            async with admission.place():
                await admission.run(lambda: time.sleep(1))
        assert time.monotonic() - began < 0.5, "a thread that works on is not waited for"
        async with admission.place():
            pass

    anyio.run(leave)
