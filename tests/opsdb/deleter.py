"""Processes that give up copies at random until they are killed: ``deleter.py URL LOG THREADS``.

Each line on standard input is the seed of one more, whose number is printed. Each thread of it has a connection of its
own. What the database has acknowledged goes to the log, a line for each copy: its number, the state before, and the
states that it went through.
"""

from __future__ import annotations

import logging
import os
import random
import signal
import sys
import time
from threading import Thread

import sqlalchemy as sa

from catalog.db import Database
from catalog.errors import UnavailableError
from catalog.opsdb.enums import PhysicalCopyStatus, Verification
from catalog.opsdb.lifecycle.copies import CopyService
from catalog.opsdb.lifecycle.deletion import CopyStep, VerificationReport
from catalog.opsdb.lifecycle.rules import DeletionRules
from catalog.opsdb.models import DataLocation, PhysicalCopy

STEPS = {
    CopyStep.REQUEST: 3,
    CopyStep.SCHEDULE: 4,
    CopyStep.START: 5,
    CopyStep.CONFIRM: 3,
    CopyStep.FAIL: 1,
    CopyStep.CANCEL: 2,
    CopyStep.KEEP: 1,
}
PLAIN_SHARE = 0.1


def work(database: Database, packages: list[list[int]], log: int, seed: str) -> None:
    """Take steps for all copies of a few packages at once."""
    rng = random.Random(seed)
    service = CopyService(database, DeletionRules())
    while True:
        keys = [key for copies in rng.sample(packages, rng.randint(1, 6)) for key in copies]
        try:
            if rng.random() < PLAIN_SHARE:
                acknowledge(log, plain_start(database, rng.choice(keys)))
                continue
            (step,) = rng.choices(list(STEPS), STEPS.values())
            if step is CopyStep.KEEP:
                list(service.verify_all(VerificationReport(key, Verification.OK) for key in keys))
            changes = list(service.take_all(step, keys, actor=seed))
            acknowledge(log, [f"{c.copy_id} {c.before} {' '.join(c.path)}" for c in changes if c.path])
        except UnavailableError:
            time.sleep(0.05)


def read_packages(database: Database) -> list[list[int]]:
    """Keys of the copies of each package."""
    named = sa.select(PhysicalCopy.raw_data_package_id, PhysicalCopy.id).join(DataLocation)
    found: dict[object, list[int]] = {}
    with database.engine.connect() as connection:
        for package, key in connection.execute(named.where(DataLocation.name.startswith("many_"))):
            found.setdefault(package, []).append(key)
    return list(found.values())


def plain_start(database: Database, key: int) -> list[str]:
    """What somebody does who knows nothing of the rules."""
    scheduled, going = PhysicalCopyStatus.DELETION_SCHEDULED, PhysicalCopyStatus.DELETION_IN_PROGRESS
    change = sa.update(PhysicalCopy).where(PhysicalCopy.id == key, PhysicalCopy.status == scheduled)
    try:
        with database.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.exec_driver_sql("SET LOCAL synchronous_commit = on")
            changed = connection.execute(change.values(status=going)).rowcount
    except sa.exc.DBAPIError:
        return []
    return [f"{key} {scheduled} {going}"] if changed else []


def acknowledge(log: int, lines: list[str]) -> None:
    """One write: whole lines or none."""
    if lines:
        os.write(log, "".join(f"{line}\n" for line in lines).encode())


def warm_up(database: Database, keys: list[int], log: int) -> None:
    """Let SQLAlchemy compile all statements before there are processes, which live for a second or two."""
    service = CopyService(database, DeletionRules())
    list(service.verify_all(VerificationReport(key, Verification.OK) for key in keys))
    for step in (CopyStep.REQUEST, CopyStep.CANCEL, CopyStep.SCHEDULE, CopyStep.START, CopyStep.FAIL):
        changes = list(service.take_all(step, keys, actor="warm up"))
        acknowledge(log, [f"{c.copy_id} {c.before} {' '.join(c.path)}" for c in changes if c.path])


def main(url: str, path: str, threads: str) -> None:
    """Fork a process, which has all modules loaded, for each line."""
    logging.getLogger("psycopg").setLevel(logging.CRITICAL)  # the server is killed all the time
    log = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    database = Database(url)
    packages = read_packages(database)
    warm_up(database, packages[0], log)
    database.engine.dispose()  # no connection is taken into a fork
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the killed
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            seeds = [f"{line.strip()}-{number}" for number in range(int(threads))]
            workers = [Thread(target=work, args=(database, packages, log, seed)) for seed in seeds]
            for worker in workers:
                worker.start()
            return
        print(child, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
