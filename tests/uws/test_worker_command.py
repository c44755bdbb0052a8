"""`catalog worker`, as a process of its own beside another that makes the jobs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from catalog import Catalog, Settings
from catalog.uws.job import Client
from catalog.uws.phase import FINISHED, Phase

ALICE = Client(owner="alice")
ROOT = Path(__file__).parents[2]
LONG = "SELECT COUNT(*) AS n FROM fyst.files AS a, fyst.files AS b, fyst.files AS c, fyst.files AS d, fyst.files AS e"
PATIENCE_S = 120.0


@pytest.fixture
def values(database_url: str, engine_name: str, tmp_path: Path) -> dict[str, str]:
    """Settings that both processes have."""
    jobs = database_url if engine_name == "postgresql" else f"sqlite:///{tmp_path}/jobs.db"
    return {"database.url": database_url, "jobs.url": jobs, "jobs.results": str(tmp_path / "results")}


@pytest.fixture
def front(values: dict[str, str]) -> Iterator[Catalog]:
    """A filled catalog that makes jobs and does none."""
    sections: dict[str, dict[str, str]] = {}
    for name, value in values.items():
        section, _, key = name.partition(".")
        sections.setdefault(section, {})[key] = value
    with Catalog(Settings.model_validate(sections)) as catalog:
        catalog.init()
        catalog.load_synthetic(packages=40, seed=3)
        catalog.accounts.add_user("alice")
        yield catalog


@pytest.fixture
def worker(front: Catalog, values: dict[str, str], tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """The command, when it has said that it is ready."""
    environ = {f"CATALOG_{name.upper().replace('.', '_', 1)}": value for name, value in values.items()}
    process = subprocess.Popen(
        [sys.executable, "-m", "catalog", "worker", "--workers", "1"],
        env={**os.environ, **environ, "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        assert "doing jobs" in process.stderr.readline()
        yield process
    finally:
        process.kill()
        process.communicate()


def wait(catalog: Catalog, job_id: str, *phases: Phase) -> Phase:
    deadline = time.monotonic() + PATIENCE_S
    while (phase := catalog.jobs.phases([job_id])[job_id]) not in (phases or FINISHED):
        assert time.monotonic() < deadline, f"the job is still {phase}"
        time.sleep(0.05)
    return phase


def test_the_command_does_jobs_and_hands_them_back_when_it_is_stopped(
    front: Catalog, worker: subprocess.Popen[str]
) -> None:
    pairs = [("QUERY", "SELECT TOP 2 obs_id FROM ivoa.obscore"), ("RESPONSEFORMAT", "csv"), ("PHASE", "RUN")]
    done = front.jobs.create(pairs, client=ALICE)
    assert wait(front, done.id) is Phase.COMPLETED
    job = front.jobs.get(done.id, client=ALICE)
    with front.jobs.open(job.results[0].file) as file:
        assert file.read().startswith(b"obs_id")
    aborted = front.jobs.create([("QUERY", LONG), ("PHASE", "RUN")], client=ALICE)
    wait(front, aborted.id, Phase.EXECUTING)
    front.jobs.abort(aborted.id, client=ALICE)
    handed_back = front.jobs.create([("QUERY", LONG), ("PHASE", "RUN")], client=ALICE)
    wait(front, handed_back.id, Phase.EXECUTING)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(PATIENCE_S) == 0
    assert front.jobs.phases([aborted.id, handed_back.id]) == {
        aborted.id: Phase.ABORTED,
        handed_back.id: Phase.QUEUED,
    }
