"""Many wait for jobs, and one question to the database tells all of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping

import anyio
import pytest

from catalog.errors import UnavailableError
from catalog.uws.phase import Phase
from catalog.web import waiting
from catalog.web.waiting import PhaseWatch

LONG = 60.0


class Jobs:
    """Phases of jobs, and how often they were asked for."""

    def __init__(self) -> None:
        self.known: dict[str, Phase] = {}
        self.questions: list[list[str]] = []
        self.failures = 0

    def phases(self, job_ids: Iterable[str]) -> Mapping[str, Phase]:
        self.questions.append(sorted(job_ids))
        if self.failures:
            self.failures -= 1
            raise UnavailableError("away")
        return {job_id: self.known[job_id] for job_id in self.questions[-1] if job_id in self.known}


def watched(scene: Callable[[PhaseWatch, Jobs], Awaitable[None]]) -> Jobs:
    """Play a scene while the watch runs; nothing in it may take as long as they would wait."""
    jobs = Jobs()

    async def play() -> None:
        watch = PhaseWatch(jobs.phases)
        with anyio.fail_after(LONG / 2):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(watch.watch)
                await scene(watch, jobs)
                tasks.cancel_scope.cancel()

    anyio.run(play)
    return jobs


def test_what_another_process_moves_is_told_to_all_by_one_question() -> None:
    async def scene(watch: PhaseWatch, jobs: Jobs) -> None:
        jobs.known = {f"j{number}": Phase.QUEUED for number in range(100)}
        async with anyio.create_task_group() as crowd:
            for number in range(200):
                crowd.start_soon(wait, watch, f"j{number % 100}")
            await anyio.sleep(0.1)
            jobs.known = dict.fromkeys(jobs.known, Phase.EXECUTING)

    jobs = watched(scene)
    assert len(jobs.questions) <= 5
    assert len(jobs.questions[-1]) == 100


async def wait(watch: PhaseWatch, job_id: str) -> None:
    await watch.wait(job_id, Phase.QUEUED, seconds=LONG)


def test_what_this_process_moves_is_told_at_once_from_any_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(watch: PhaseWatch, jobs: Jobs) -> None:
        jobs.known = {"a": Phase.QUEUED}
        for phase in (Phase.QUEUED, Phase.EXECUTING):
            threading.Timer(0.2, watch.changed, ("a", phase)).start()
        await wait(watch, "a")
        threading.Timer(0.2, watch.changed, ("a", None)).start()
        await wait(watch, "a")

    monkeypatch.setattr(waiting, "_POLL_SECONDS", LONG)
    watched(scene)


def test_a_job_that_is_gone_ends_the_waiting() -> None:
    async def scene(watch: PhaseWatch, jobs: Jobs) -> None:
        await wait(watch, "unknown")

    watched(scene)


def test_a_database_that_is_away_for_a_while_is_asked_again(caplog: pytest.LogCaptureFixture) -> None:
    async def scene(watch: PhaseWatch, jobs: Jobs) -> None:
        jobs.failures, jobs.known = 2, {"a": Phase.ABORTED}
        await wait(watch, "a")

    watched(scene)
    assert caplog.text.count("not told of changes for now: away") == 1


def test_nothing_is_asked_when_nobody_waits() -> None:
    async def scene(watch: PhaseWatch, jobs: Jobs) -> None:
        jobs.known = {"a": Phase.QUEUED}
        began = time.monotonic()
        await watch.wait("a", Phase.QUEUED, seconds=0.2)
        assert time.monotonic() - began >= 0.19
        await anyio.sleep(1.2)
        count = len(jobs.questions)
        await anyio.sleep(1.2)
        assert len(jobs.questions) == count

    watched(scene)


def test_nobody_waits_when_the_service_stops_or_too_many_do(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(watch: PhaseWatch, jobs: Jobs) -> None:
        jobs.known = {"a": Phase.QUEUED}
        async with anyio.create_task_group() as crowd:
            for _ in range(3):
                crowd.start_soon(wait, watch, "a")
            await anyio.sleep(0.1)
            await wait(watch, "a")  # the fourth
            watch.close()
        await wait(watch, "a")

    monkeypatch.setattr(waiting, "_MOST", 3)
    watched(scene)
