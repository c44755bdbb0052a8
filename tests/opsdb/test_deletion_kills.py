"""Dozens of connections give up the last copies of thousands of packages at once; clients and server are killed.

SOAK_SECONDS says for how long; ``make soak`` sets it.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from catalog.db import Database
from catalog.opsdb.enums import Verification
from catalog.opsdb.lifecycle.copies import CopyService
from catalog.opsdb.lifecycle.deletion import CopyStep, VerificationReport
from catalog.opsdb.lifecycle.rules import DeletionRules
from catalog.opsdb.models import DataLocation, LifecycleMove, PhysicalCopy

PROGRAM = Path(__file__).parent / "deleter.py"
ROOT = Path(__file__).parents[2]
SECONDS = float(os.environ.get("SOAK_SECONDS", "5"))
PACKAGES = 400 if SECONDS < 30 else 4_000
Fill = Callable[[str], None]
Many = Callable[[Database, int], dict[str, int]]


def test_invariant_no_kill_of_processes_loses_content_or_a_move_on_sqlite(
    tmp_path: Path, fill_database: Fill, many_packages: Many, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"sqlite:///{tmp_path / 'catalog.db'}"
    fill_database(url)
    with Database(url) as database:
        many_packages(database, PACKAGES)
    with deleters(url, tmp_path, processes=3, threads=2) as killed:
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            time.sleep(0.5)
            killed()
    account(url, tmp_path, capsys)


def test_invariant_no_kill_of_clients_and_server_loses_content_or_a_move_on_postgresql(
    mortal_server: Any, tmp_path: Path, fill_database: Fill, many_packages: Many, capsys: pytest.CaptureFixture[str]
) -> None:
    url = mortal_server.server.create_database()
    fill_database(url)
    with Database(url) as database:
        many_packages(database, PACKAGES)
    with deleters(url, tmp_path, processes=4, threads=8) as killed:
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            for _ in range(3):
                time.sleep(0.5)
                killed()
            mortal_server.kill()
            mortal_server.revive()
    account(url, tmp_path, capsys)


@contextmanager
def deleters(url: str, folder: Path, *, processes: int, threads: int) -> Iterator[Callable[[], None]]:
    """Processes that give up copies; the function kills one of them and starts another. All are killed at the end."""
    rng = random.Random(1)
    command = [sys.executable, str(PROGRAM), url, str(folder / "acknowledged"), str(threads)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    seeds = count(1)
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        commands, numbers = parent.stdin, parent.stdout

        def begin() -> int:
            commands.write(f"{next(seeds)}\n")
            commands.flush()
            return int(numbers.readline())

        def kill_one() -> None:
            number = rng.randrange(processes)
            os.kill(running[number], signal.SIGKILL)  # fails when it ended by itself
            running[number] = begin()

        running = [begin() for _ in range(processes)]
        try:
            yield kill_one
        finally:
            for process in running:
                os.kill(process, signal.SIGKILL)
            commands.close()


def account(url: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing acknowledged is missing; no step left too little when it was made; in the end exactly enough is left."""
    acknowledged = Counter(
        (int(words[0]), origin, target)
        for words in map(str.split, (folder / "acknowledged").read_text().splitlines())
        for origin, target in pairwise(words[1:])
    )
    with Database(url) as database:
        moves = read_moves(database)
        replay(database, moves)
        made = Counter((move.key, move.from_state, move.to_state) for move in moves)
        lost = acknowledged - made
        assert not lost, f"{len(lost)} acknowledged moves are not in the history"
        assert acknowledged.total() > 100
        finish(database)
        replay(database, read_moves(database))
        left = Counter(read_left(database).values())
    assert left == {(0, 2): PACKAGES}, "of each package no buffer copy is left, and two in archives"
    with capsys.disabled():
        dark = made.total() - acknowledged.total()
        print(
            f"\n{url.partition(':')[0]}: {made.total()} moves, {acknowledged.total()} acknowledged, {dark} not heard of"
        )


def read_moves(database: Database) -> list[Any]:
    lines = sa.select(
        sa.cast(LifecycleMove.entity_key, sa.Integer).label("key"),
        LifecycleMove.from_state,
        LifecycleMove.to_state,
        LifecycleMove.verb,
        LifecycleMove.survivors,
    )
    with database.engine.connect() as connection:
        of_copies = lines.where(LifecycleMove.entity == "physical_copy").order_by(LifecycleMove.id)
        return list(connection.execute(of_copies))


def replay(database: Database, moves: list[Any]) -> None:
    """Go through the history: each move goes on from the last, and at each that decides enough copies are left."""
    with database.engine.connect() as connection:
        rows = connection.execute(
            sa.select(PhysicalCopy.id, PhysicalCopy.raw_data_package_id, DataLocation.name, PhysicalCopy.status).join(
                DataLocation
            )
        ).all()
    package = {row.id: row.raw_data_package_id for row in rows}
    place = {row.id: row.name for row in rows}
    inside: defaultdict[Any, list[int]] = defaultdict(list)
    for row in rows:
        inside[row.raw_data_package_id].append(row.id)
    state = dict.fromkeys(package, "present")
    for move in moves:
        assert state[move.key] == move.from_state, "the history has a gap"
        if move.verb in ("offer", "request", "schedule", "retry", "start"):
            others = [key for key in inside[package[move.key]] if key != move.key and place[key] != "many_buffer"]
            left = {place[key] for key in others if state[key] == "present"}
            assert len(left) >= (1 if place[move.key] == "many_buffer" else 2), (move.verb, place[move.key])
        state[move.key] = move.to_state
    assert state == {row.id: row.status for row in rows}


def finish(database: Database) -> None:
    """Nobody is killed any more: take back what has not begun, then give up whatever may go."""
    service = CopyService(database, DeletionRules())
    with database.engine.connect() as connection:
        many = sa.select(PhysicalCopy.id, DataLocation.name).join(DataLocation).order_by(PhysicalCopy.id)
        rows = connection.execute(many.where(DataLocation.name.startswith("many_"))).all()
    keys = [row.id for row in rows]
    list(service.take_all(CopyStep.FAIL, keys, actor="ada"))
    list(service.verify_all(VerificationReport(key, Verification.OK) for key in keys))
    for step in (CopyStep.KEEP, CopyStep.CANCEL, CopyStep.SCHEDULE, CopyStep.START, CopyStep.CONFIRM):
        list(service.take_all(step, keys, actor="ada"))


def read_left(database: Database) -> dict[Any, tuple[int, int]]:
    """Copies at the buffer and in archives that are not deleted, by package."""
    at_buffer = DataLocation.name == "many_buffer"
    counts = (
        sa.select(
            PhysicalCopy.raw_data_package_id,
            sa.func.count().filter(at_buffer, PhysicalCopy.status != "deleted"),
            sa.func.count().filter(sa.not_(at_buffer), PhysicalCopy.status == "present"),
        )
        .join(DataLocation)
        .where(DataLocation.name.startswith("many_"))
        .group_by(PhysicalCopy.raw_data_package_id)
    )
    with database.engine.connect() as connection:
        return {row[0]: (row[1], row[2]) for row in connection.execute(counts)}
