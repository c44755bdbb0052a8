"""Jobs on each engine: stores, services, runners, and processes that do jobs."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

import pytest
import sqlalchemy as sa

from catalog.uws.control import Work
from catalog.uws.job import Client, Job
from catalog.uws.leases import Leases
from catalog.uws.phase import FINISHED, Phase
from catalog.uws.results import ResultStore
from catalog.uws.runner import Runner
from catalog.uws.service import JobLimits, JobService
from catalog.uws.store import JobStore

ALICE = Client(owner="alice")
LIMITS = JobLimits(
    duration_default_s=60,
    duration_hard_s=600,
    destruction_default_s=3600,
    destruction_hard_s=86_400,
    jobs_per_caller=20,
    bytes_per_caller=100_000,
)


@dataclass(frozen=True, slots=True)
class Part:
    """A file of a request."""

    name: str
    content_type: str
    file: IO[bytes]


class House:
    """Jobs of one database and one folder, as one process sees them.

    Args:
        url: Of the jobs.
        folder: Of the results.
        check: Of parameters.
        list_anonymous: As the setting.
        limits: What differs from `LIMITS`.
    """

    def __init__(
        self,
        url: str,
        folder: Path,
        *,
        check: Callable[[Job], None] = lambda job: None,
        list_anonymous: bool = True,
        **limits: int,
    ) -> None:
        self.store = JobStore(url)
        self.files = ResultStore(str(folder), store=lambda: self.store.name)
        self.jobs = JobService(
            self.store,
            self.files,
            limits=replace(LIMITS, **limits),
            check=check,
            multiple={"UPLOAD"},
            list_anonymous=list_anonymous,
        )
        self.folder = folder
        self.url = url
        self._runners: list[Runner] = []

    def leases(self, *, lease_s: float = 30.0, attempts: int = 3, running_per_caller: int = 10) -> Leases:
        return Leases(self.store, lease_s=lease_s, attempts=attempts, running_per_caller=running_per_caller)

    def runner(self, work: Work, *, workers: int = 1, **settings: Any) -> Runner:
        """A runner that has begun; it is stopped at the end of the test."""
        runner = Runner(self.leases(**settings), self.files, self.jobs, work=work, workers=workers)
        self._runners.append(runner)
        runner.start()
        return runner

    def queue(self, *pairs: tuple[str, str], client: Client = ALICE) -> str:
        return self.jobs.create([*pairs, ("PHASE", "RUN")], client=client).id

    def get(self, job_id: str, client: Client = ALICE) -> Job:
        return self.jobs.get(job_id, client=client)

    def wait(self, job_id: str, *phases: Phase, client: Client = ALICE, seconds: float = 60.0) -> Job:
        """The job when it has come into one of the phases; into a final one by default."""
        deadline = time.monotonic() + seconds
        while (job := self.get(job_id, client)).phase not in (phases or FINISHED):
            assert time.monotonic() < deadline, f"the job is still {job.phase}"
            time.sleep(0.02)
        return job

    def paths(self) -> set[str]:
        """Files of all jobs: job and name."""
        root = self.folder / self.store.name
        return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}

    def write(self, statement: sa.Executable) -> None:
        """What no process does: move time."""
        with self.store.transaction() as (connection, _):
            connection.execute(statement)

    @staticmethod
    def part(name: str, content: bytes, content_type: str = "text/csv") -> Part:
        return Part(name, content_type, io.BytesIO(content))

    @staticmethod
    def until(condition: Callable[[], object], *, seconds: float = 60.0) -> None:
        """Wait until something is true."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def close(self) -> None:
        for runner in self._runners:
            runner.stop()
        self.store.close()


@pytest.fixture
def open_house(database_url: str, tmp_path: Path) -> Iterator[Callable[..., House]]:
    """Opens the same jobs once more, as another process would."""
    opened: list[House] = []

    def open_it(**settings: Any) -> House:
        opened.append(House(database_url, tmp_path / "results", **settings))
        return opened[-1]

    yield open_it
    for house in opened:
        house.close()


@pytest.fixture
def house(open_house: Callable[..., House]) -> House:
    return open_house()
