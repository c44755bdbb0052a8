"""Real processes do jobs, and are stopped and killed: no job is lost, none hangs, none ends twice."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from catalog.errors import NotFoundError, PhaseError
from catalog.uws.job import Client, Job
from catalog.uws.phase import FINISHED, Phase
from catalog.uws.tables import job as job_table

PROGRAM = Path(__file__).parent / "worker.py"
ROOT = Path(__file__).parents[2]
CLIENTS = [Client(owner="alice"), Client(owner="bob"), Client(origin="192.0.2.1")]
LEASE_S = 2.0
PATIENCE_S = 180.0
KILLING_S = 60 if os.environ.get("CI", "").lower() == "true" else 12

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(database_url: str, tmp_path: Path) -> Iterator[Start]:
    """Starts a process that does jobs; what is left at the end is killed."""
    with ExitStack() as stack:

        def begin(*, lease_s: float = LEASE_S, attempts: int = 3) -> subprocess.Popen[str]:
            command = [sys.executable, PROGRAM, database_url, tmp_path / "results", str(lease_s), str(attempts)]
            process = subprocess.Popen(
                [str(part) for part in command],
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stdout=subprocess.PIPE,
                text=True,
            )
            stack.callback(end, process)
            return process

        yield begin


def end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


def ready(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"


def content(job: Job, lines: int) -> bytes:
    return "".join(f"{job.id} {number}\n" for number in range(lines)).encode()


def check_result(house: Any, job: Job, lines: int) -> None:
    (result,) = job.results
    with house.jobs.open(result.file) as file:
        found = file.read()
    assert found == content(job, lines)
    assert (result.file.size, result.file.sha256) == (len(found), hashlib.sha256(found).hexdigest())


def queue(house: Any, client: Client, *, lines: int, seconds: float) -> str:
    pairs = [("LINES", str(lines)), ("SECONDS", str(seconds)), ("PHASE", "RUN")]
    job_id: str = house.jobs.create(pairs, client=client).id
    return job_id


def test_the_job_of_a_killed_process_is_done_by_another(open_house: Callable[..., Any], start: Start) -> None:
    house = open_house()
    first = start(attempts=1000)
    ready(first)
    job_id = queue(house, CLIENTS[0], lines=20, seconds=0.1)
    house.until(house.paths)
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert house.get(job_id).phase is Phase.EXECUTING
    ready(start(attempts=1000))
    job = house.wait(job_id, seconds=PATIENCE_S)
    assert job.phase is Phase.COMPLETED
    check_result(house, job, 20)
    assert house.paths() == {job.results[0].file.path}


def test_a_stopped_process_hands_its_jobs_over(open_house: Callable[..., Any], start: Start) -> None:
    """With one attempt allowed: what is handed back does not count."""
    house = open_house()
    first = start(lease_s=600.0, attempts=1)
    ready(first)
    job_id = queue(house, CLIENTS[0], lines=20, seconds=0.1)
    house.until(house.paths)
    first.send_signal(signal.SIGTERM)
    assert first.wait(PATIENCE_S) == 0
    assert house.get(job_id).phase is Phase.QUEUED
    ready(start(lease_s=600.0, attempts=1))
    job = house.wait(job_id, seconds=PATIENCE_S)
    assert job.phase is Phase.COMPLETED
    check_result(house, job, 20)


def test_a_job_that_kills_its_processes_ends_in_error(open_house: Callable[..., Any], start: Start) -> None:
    house = open_house()
    job_id = queue(house, CLIENTS[0], lines=10_000, seconds=0.1)
    for attempt in (1, 2):
        process = start(attempts=2)
        house.until(lambda attempt=attempt: claims(house) >= attempt or is_over(house, job_id), seconds=PATIENCE_S)
        end(process)
    ready(start(attempts=2))
    job = house.wait(job_id, seconds=PATIENCE_S)
    assert job.phase is Phase.ERROR
    assert "2 times" in job.error.message


def claims(house: Any) -> int:
    """How often the only job was claimed."""
    with house.store.read_transaction() as (connection, _):
        return int(connection.execute(sa.select(job_table.c.attempt)).scalar_one())


def is_over(house: Any, job_id: str) -> bool:
    return house.get(job_id).phase in FINISHED


def test_no_job_is_lost_when_processes_are_killed_at_random(
    open_house: Callable[..., Any], start: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    counts = run_and_account(open_house(jobs_per_caller=10_000), start, seconds=KILLING_S, seed=1)
    with capsys.disabled():
        print(f"\n{KILLING_S} s of kills: {dict(counts)}")


def run_and_account(house: Any, start: Start, *, seconds: float, seed: int) -> Counter[str]:
    """Make jobs, abort and delete some, kill and stop processes; then let the rest be done, and account for all.

    Attempts are not limited, so that every job that nobody aborted or deleted must be completed.
    """
    rng = random.Random(seed)
    processes = [start(attempts=1000) for _ in range(3)]
    for process in processes:
        ready(process)
    jobs: dict[str, tuple[Client, int]] = {}
    aborted: set[str] = set()
    deleted: set[str] = set()
    counts: Counter[str] = Counter()
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        client, lines = rng.choice(CLIENTS), rng.randint(1, 20)
        jobs[queue(house, client, lines=lines, seconds=0.03)] = client, lines
        counts["made"] += 1
        draw = rng.random()
        if draw < 0.1:
            victim = rng.choice(sorted(jobs.keys() - deleted))
            with suppress(PhaseError):  # it had ended
                house.jobs.abort(victim, client=jobs[victim][0])
                aborted.add(victim)
        elif draw < 0.2:
            victim = rng.choice(sorted(jobs.keys() - deleted))
            house.jobs.delete(victim, client=jobs[victim][0])
            deleted.add(victim)
        elif draw < 0.35:
            number = rng.randrange(len(processes))
            hard = rng.random() < 0.7
            counts["killed" if hard else "stopped"] += 1
            processes[number].send_signal(signal.SIGKILL if hard else signal.SIGTERM)
            processes[number].wait(PATIENCE_S)
            processes[number] = start(attempts=1000)
        time.sleep(rng.uniform(0.0, 0.2))
    final = settle(house, jobs)
    for job_id, (client, lines) in jobs.items():
        job = final[job_id]
        if job_id in deleted:
            assert job is None
            counts["deleted"] += 1
        elif job_id in aborted:
            assert job is not None
            assert job.phase is Phase.ABORTED
            assert job.results == ()
            counts["aborted"] += 1
        else:
            assert job is not None
            assert job.phase is Phase.COMPLETED, (job.phase, job.error)
            check_result(house, job, lines)
            assert job.client == client
            counts["completed"] += 1
    assert counts["made"] == counts["completed"] + counts["aborted"] + counts["deleted"]
    assert counts["killed"] > 0
    for process in processes:
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE_S)
    check_files(house, [job for job in final.values() if job is not None])
    return counts


def settle(house: Any, jobs: dict[str, tuple[Client, int]]) -> dict[str, Job | None]:
    """Every job in its final phase; None for what is gone."""
    house.until(lambda: set(house.jobs.phases(jobs).values()) <= FINISHED, seconds=PATIENCE_S)
    final: dict[str, Job | None] = {}
    for job_id, (client, _) in jobs.items():
        try:
            final[job_id] = house.jobs.get(job_id, client=client)
        except NotFoundError:
            final[job_id] = None
    time.sleep(1)
    for job_id, job in final.items():
        if job is not None:
            assert house.jobs.get(job_id, client=job.client) == job
    return final


def check_files(house: Any, jobs: list[Job]) -> None:
    """One file for each result, nothing of deleted jobs; an aborted one may keep the file of a killed process."""
    house.jobs.sweep_leftovers(older_than_s=-3600.0)
    results = {job.results[0].file.path for job in jobs if job.results}
    assert results <= house.paths()
    loose = {path.partition("/")[0] for path in house.paths() - results}
    assert loose <= {job.id for job in jobs if job.phase is Phase.ABORTED}
