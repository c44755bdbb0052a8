"""States move as the machines say, whoever writes, and every move is in the history; by plain SQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from itertools import product
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from catalog.db import Database
from catalog.db.clock import read_clock
from catalog.opsdb.enums import LocationType, PackageState, PhysicalCopyStatus, Status, Verification
from catalog.opsdb.lifecycle.machines import COPY, GOVERNED, Governed, Machine
from catalog.opsdb.models import (
    DataLocation,
    DataTransfer,
    DataTransferPackage,
    DataTransferRoute,
    DiskDataLocation,
    LifecycleMove,
    LongTermArchiveTransfer,
    MoveNote,
    PhysicalCopy,
    RawDataPackage,
    RawDataPackagePhysicalCopy,
    Site,
    StagingJob,
)
from catalog.opsdb.refusals import translate_integrity

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "operations-database.md"
PACKAGE = UUID("00000000-0000-4000-8000-000000000001")
TRANSFER_PACKAGE = UUID("00000000-0000-4000-8000-0000000000dd")
Force = Callable[[Database, sa.Executable], None]


def leave_a_survivor(session: Session) -> None:
    """The package is archived, one archive copy of it is verified, and nobody reads it."""
    now = read_clock(session.connection())
    verified = {"verification": "ok", "verified_at": now}
    kept = DataLocation.location_type == LocationType.LONG_TERM_ARCHIVE
    archives = sa.select(DataLocation.id).where(kept).scalar_subquery()
    for statement in (
        sa.update(StagingJob).values(status=Status.FAILED),
        sa.update(RawDataPackage).where(RawDataPackage.id == PACKAGE).values(state=PackageState.ARCHIVED),
        sa.update(PhysicalCopy).where(PhysicalCopy.data_location_id.in_(archives)).values(verified),
    ):
        session.execute(statement)


def one_row_for_each(governed: Governed, database: Database) -> dict[StrEnum, Any]:
    """New rows of the governed table, one in each state, by their keys; everything else is as the guards want it."""
    with database.session() as session:
        package = session.get_one(RawDataPackage, PACKAGE)
        site, here = session.scalars(sa.select(Site)).first(), session.scalars(sa.select(DataLocation)).all()
        assert site is not None
        rows: dict[StrEnum, Any] = {}
        route = DataTransferRoute(
            name="route", method="bbcp", origin_site_id=here[0].site_id, destination_site_id=here[1].site_id
        )
        session.add(route)
        session.flush()
        places = {"origin_location_id": here[0].id, "destination_location_id": here[1].id}
        if governed.model is PhysicalCopy:
            leave_a_survivor(session)
        for number, state in enumerate(governed.machine.states):
            if governed.model is PhysicalCopy:
                there = DiskDataLocation(site=site, name=state, location_type=LocationType.PROCESSING, path="/x")
                row: Any = RawDataPackagePhysicalCopy(raw_data_package=package, location=there)
            elif governed.model is RawDataPackage:
                row = RawDataPackage(
                    id=UUID(int=number + 1),
                    executed_obs_unit_id=package.executed_obs_unit_id,
                    instrument_module_id=package.instrument_module_id,
                    sequence=number + 10,
                    name=state,
                    relative_path=state,
                    size_bytes=1,
                    checksum="ab",
                    checksum_algorithm="md5",
                )
            elif governed.model is DataTransferPackage:
                row = DataTransferPackage(
                    id=UUID(int=number + 1),
                    name=state,
                    relative_path=state,
                    size_bytes=1,
                    checksum="ab",
                    checksum_algorithm="md5",
                )
            elif governed.model is DataTransfer:
                row = DataTransfer(data_transfer_package_id=TRANSFER_PACKAGE, data_transfer_route_id=route.id, **places)
            elif governed.model is LongTermArchiveTransfer:
                row = LongTermArchiveTransfer(raw_data_package_id=PACKAGE, **places)
            else:
                row = StagingJob(destination_location_id=here[1].id)
            setattr(row, governed.column, state)
            session.add(row)
            rows[state] = row
        session.commit()
        return {state: row.id for state, row in rows.items()}


@contextmanager
def undone(connection: sa.Connection) -> Iterator[None]:
    point = connection.begin_nested()
    try:
        yield
    finally:
        point.rollback()


def test_verbs_tell_moves_from_the_same_state_apart() -> None:
    for machine in {governed.machine for governed in GOVERNED}:
        assert len({(move.origin, move.target) for move in machine.moves}) == len(machine.moves)
        for origin, verb in product(machine.states, {move.verb for move in machine.moves}):
            targets = [move.target for move in machine.moves if (move.origin, move.verb) == (origin, verb)]
            assert len(targets) < 2 or verb in ("cancel", "keep")  # back to where the copy was


@pytest.mark.parametrize("governed", GOVERNED, ids=lambda g: f"{g.model.__name__}.{g.column}")
def test_invariant_exactly_the_legal_moves_are_made_and_recorded(observed: Database, governed: Governed) -> None:
    rows = one_row_for_each(governed, observed)
    table, column = governed.table, governed.column
    for origin, target in product(governed.machine.states, repeat=2):
        values: dict[str, Any] = {column: target}
        if governed.model is PhysicalCopy:  # what the guards of these moves want
            values["verification"] = Verification.OK if target in ("present", "staged") else Verification.NEVER
        change = sa.update(table).where(table.c.id == rows[origin]).values(values)
        move = governed.machine.move(origin, target)
        with observed.begin() as connection:
            if move is None and origin is not target:
                with pytest.raises(sa.exc.IntegrityError) as refused:
                    connection.execute(change)
                sentence = translate_integrity(refused.value).message
                assert sentence.startswith(governed.noun), sentence
                assert f"'{origin}'" in sentence
                connection.rollback()
                continue
            with undone(connection):
                connection.execute(change)
                of_row = sa.select(LifecycleMove.__table__).where(LifecycleMove.entity_key == str(rows[origin]))
                history = connection.execute(of_row).mappings().all()
            expected = [] if move is None else [(table.name, column, origin, target, move.verb)]
            names = ("entity", "attribute", "from_state", "to_state", "verb")
            assert [tuple(line[name] for name in names) for line in history] == expected, (origin, target)


def test_a_new_row_starts_in_any_state_and_leaves_no_history(observed: Database) -> None:
    one_row_for_each(next(g for g in GOVERNED if g.machine is COPY), observed)
    of_copies = sa.select(sa.func.count()).where(LifecycleMove.entity == "physical_copy")
    with observed.engine.connect() as connection:
        assert connection.scalar(of_copies) == 0


def test_the_history_says_who_and_why_once(observed: Database) -> None:
    copy = sa.select(sa.func.min(PhysicalCopy.id)).scalar_subquery()
    with observed.begin() as connection:
        key = str(connection.scalar(sa.select(sa.func.min(PhysicalCopy.id))))
        note = {"entity": "physical_copy", "attribute": "status", "entity_key": key}
        said = {"actor": "ada", "reason": "full", "evidence": {"n": 1}, "survivors": [{"site": "cologne"}]}
        connection.execute(sa.insert(MoveNote).values(note | said))
        change = sa.update(PhysicalCopy).where(PhysicalCopy.id == copy)
        connection.execute(change.values(status=PhysicalCopyStatus.DELETION_POSSIBLE))
        connection.execute(change.values(status=PhysicalCopyStatus.DELETION_PENDING))
        first, second = connection.execute(sa.select(LifecycleMove.__table__).order_by("id")).mappings().all()
        assert connection.scalar(sa.select(sa.func.count()).select_from(MoveNote)) == 0
    assert {name: first[name] for name in said} == said
    login = None if observed.dialect == "sqlite" else "postgres"
    assert {name: second[name] for name in said} == dict.fromkeys(said) | {"actor": login}
    assert first["moved_at"] <= second["moved_at"]


@pytest.mark.parametrize("statement", [sa.update(LifecycleMove).values(actor="bob"), sa.delete(LifecycleMove)])
def test_invariant_the_history_is_neither_changed_nor_deleted(observed: Database, statement: Any) -> None:
    with observed.begin() as connection:
        connection.execute(sa.update(PhysicalCopy).values(status=PhysicalCopyStatus.DELETION_POSSIBLE))
    with pytest.raises(sa.exc.IntegrityError) as refused, observed.begin() as connection:
        connection.execute(statement)
    assert translate_integrity(refused.value).message.startswith("the history of states ")


def move(database: Database, key: int, *states: str, **values: Any) -> None:
    for state in states:
        with database.begin() as connection:
            connection.execute(sa.update(PhysicalCopy).where(PhysicalCopy.id == key).values(status=state, **values))


def refusal(database: Database, key: int, state: str, **values: Any) -> str:
    with pytest.raises(sa.exc.IntegrityError) as refused:
        move(database, key, state, **values)
    return translate_integrity(refused.value).message


def test_invariant_a_cancelled_deletion_leads_back_to_where_the_copy_was(observed: Database) -> None:
    keys = one_row_for_each(next(g for g in GOVERNED if g.machine is COPY), observed)
    present, staged = keys[PhysicalCopyStatus.PRESENT], keys[PhysicalCopyStatus.STAGED]
    move(observed, present, "staged", "present", "deletion_possible", "deletion_pending")
    assert refusal(observed, present, "staged").startswith("a copy goes back to the state in which it was")
    move(observed, present, "present", "staged", "deletion_scheduled")
    assert refusal(observed, present, "present").startswith("a copy goes back to the state in which it was")
    move(observed, present, "staged")
    move(observed, staged, "deletion_scheduled", "staged", "present")


def test_invariant_a_failed_deletion_is_undone_only_by_finding_the_copy_whole(observed: Database) -> None:
    keys = one_row_for_each(next(g for g in GOVERNED if g.machine is COPY), observed)
    key = keys[PhysicalCopyStatus.PRESENT]
    move(observed, key, "deletion_scheduled", "deletion_in_progress", verification="ok")
    assert refusal(observed, key, "deletion_failed").startswith("what a failed deletion has left is not known")
    move(observed, key, "deletion_failed", verification="never")
    assert refusal(observed, key, "present").startswith("a copy whose deletion failed is kept once it was found whole")
    move(observed, key, "deletion_failed", verification="ok")
    assert refusal(observed, key, "staged").startswith("a copy whose deletion failed is kept once it was found whole")
    move(observed, key, "present")


def test_invariant_only_packages_are_unpacked_and_only_where_they_are_processed(observed: Database) -> None:
    with observed.engine.connect() as connection:
        keys = connection.scalars(sa.select(PhysicalCopy.id)).all()
    for key in keys:
        assert refusal(observed, key, "staged").startswith("only a package is unpacked")


def test_a_built_package_is_taken_in_with_its_bytes_only(observed: Database) -> None:
    change = sa.update(RawDataPackage).where(RawDataPackage.id == PACKAGE)
    with observed.begin() as connection:
        connection.execute(change.values(checksum=None, checksum_algorithm=None))
    with pytest.raises(sa.exc.IntegrityError) as refused, observed.begin() as connection:
        connection.execute(change.values(status=Status.COMPLETED))
    assert translate_integrity(refused.value).message.startswith("what was built elsewhere has a size and a checksum")


@pytest.mark.parametrize("governed", GOVERNED, ids=lambda g: f"{g.model.__name__}.{g.column}")
def test_the_reference_page_has_every_move(governed: Governed) -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert f"`{governed.table.name}.{governed.column}`" in page
    for line in lines(governed.machine):
        assert line in page


def lines(machine: Machine) -> Iterator[str]:
    """A line of the page's table for each state."""
    for origin in machine.states:
        moves = [f"`{move.target}` ({move.verb})" for move in machine.moves if move.origin is origin]
        yield f"| `{origin}` | {', '.join(moves) or 'final'} |\n"
