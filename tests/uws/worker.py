"""A process that does jobs until it is stopped or killed: ``worker.py URL FOLDER LEASE_S ATTEMPTS``.

The work writes the lines that a parameter asks for, slowly, so that a kill is likely to come in the middle.
"""

from __future__ import annotations

import signal
import sys
from threading import Event

from catalog.uws.control import Control, Output
from catalog.uws.job import Job
from catalog.uws.leases import Leases
from catalog.uws.results import ResultStore
from catalog.uws.runner import Runner
from catalog.uws.service import JobLimits, JobService
from catalog.uws.store import JobStore

LIMITS = JobLimits(
    duration_default_s=600,
    duration_hard_s=600,
    destruction_default_s=3600,
    destruction_hard_s=3600,
    jobs_per_caller=10_000,
    bytes_per_caller=10**9,
)


def work(job: Job, control: Control) -> Output:
    """Write LINES lines, SECONDS apart."""
    stopped = Event()
    control.on_cancel(stopped.set)
    (lines,), (seconds,) = job.values("LINES"), job.values("SECONDS")
    for number in range(int(lines)):
        control.write(f"{job.id} {number}\n".encode())
        control.progress(number + 1, rows_expected=int(lines))
        if stopped.wait(float(seconds)):
            break
    return Output("text/plain", int(lines))


def main(url: str, folder: str, lease_s: float, attempts: int) -> None:
    """Do jobs until SIGTERM."""
    store = JobStore(url)
    files = ResultStore(folder, store=lambda: store.name)
    jobs = JobService(store, files, limits=LIMITS, check=lambda job: None)
    leases = Leases(store, lease_s=lease_s, attempts=attempts, running_per_caller=4)
    runner = Runner(leases, files, jobs, work=work, workers=2)
    stopped = Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    runner.start()
    print("ready", flush=True)
    while not stopped.wait(1.0):
        pass
    runner.stop()
    store.close()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]), int(sys.argv[4]))
