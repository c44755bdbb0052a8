"""States of packages are brought in line with what is recorded, by legal moves, each in the history."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from threading import Thread
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from catalog.db import Database
from catalog.errors import UsageError
from catalog.opsdb.enums import PackageState, Verification
from catalog.opsdb.lifecycle import reconcile
from catalog.opsdb.lifecycle.machines import PACKAGE as MACHINE
from catalog.opsdb.lifecycle.package_state import Ground
from catalog.opsdb.lifecycle.reconcile import StateFinding, reconcile_states, rehearse_states
from catalog.opsdb.models import (
    DataLocation,
    LifecycleMove,
    LongTermArchiveTransfer,
    MoveNote,
    PhysicalCopy,
    RawDataPackage,
    RawDataPackagePhysicalCopy,
)

PACKAGE = UUID("00000000-0000-4000-8000-000000000001")
SECOND_PACKAGE = UUID("00000000-0000-4000-8000-000000000002")
Force = Callable[[Database, sa.Executable], None]


def state_of(database: Database, package: UUID = PACKAGE) -> PackageState:
    with database.engine.connect() as connection:
        return connection.execute(sa.select(RawDataPackage.state).where(RawDataPackage.id == package)).scalar_one()


def history(database: Database) -> list[Any]:
    with database.engine.connect() as connection:
        lines = sa.select(LifecycleMove.__table__).where(LifecycleMove.attribute == "state").order_by(LifecycleMove.id)
        return list(connection.execute(lines))


def at(name: str) -> sa.ScalarSelect[int]:
    return sa.select(DataLocation.id).where(DataLocation.name == name).scalar_subquery()


def lead_to(database: Database, wanted: PackageState) -> UUID:
    """Let the records say that a package should be in a state; the first is in a buffer and in an archive."""
    copies = sa.update(PhysicalCopy).where(PhysicalCopy.data_location_id == at("archive"))
    with database.begin() as connection:
        if wanted is PackageState.WAITING:
            held = {"raw_data_package_id": SECOND_PACKAGE, "data_location_id": at("buffer")}
            connection.execute(sa.insert(PhysicalCopy).values(type="raw_data_package_physical_copy", **held))
            return SECOND_PACKAGE
        if wanted is not PackageState.ARCHIVED:
            connection.execute(copies.values(verification=Verification.MISSING))
        if wanted is PackageState.TRANSFERRING:
            ends = {"origin_location_id": at("buffer"), "destination_location_id": at("archive")}
            connection.execute(sa.insert(LongTermArchiveTransfer).values(raw_data_package_id=PACKAGE, **ends))
    return PACKAGE


@pytest.mark.parametrize("wanted", PackageState)
@pytest.mark.parametrize("state", PackageState)
def test_invariant_every_state_is_reached_from_every_other_by_legal_moves(
    observed: Database, force: Force, state: PackageState, wanted: PackageState
) -> None:
    package = lead_to(observed, wanted)
    force(observed, sa.update(RawDataPackage).where(RawDataPackage.id == package).values(state=state))
    expected = [] if state is wanted else [(package, state, wanted)]
    rehearsed = [finding for finding in rehearse_states(observed) if finding.package_id == package]
    assert [(f.package_id, f.state, f.wanted) for f in rehearsed] == expected
    assert state_of(observed, package) is state

    done = [finding for finding in reconcile_states(observed, actor="ada") if finding.package_id == package]

    assert done == rehearsed, "rehearsal and execution say the same"
    assert state_of(observed, package) is wanted
    lines = [line for line in history(observed) if line.entity_key == str(package)]
    ends = [state, *(line.to_state for line in lines)]
    assert [line.from_state for line in lines] == ends[:-1]
    assert all(MACHINE.move(PackageState(line.from_state), PackageState(line.to_state)) for line in lines)
    for line, finding in product(lines, done):
        assert (line.actor, line.reason) == ("ada", finding.sentence)
        assert line.evidence == {"ground": str(finding.ground)}
    assert list(reconcile_states(observed, actor="ada")) == []


def test_the_reason_may_be_named_and_nobody_may_not(observed: Database) -> None:
    with pytest.raises(UsageError, match="name somebody"):
        list(reconcile_states(observed, actor=" "))
    list(reconcile_states(observed, actor="ada", reason="after the move of the archive"))
    assert {line.reason for line in history(observed)} == {"after the move of the archive"}
    with observed.engine.connect() as connection:
        assert connection.execute(sa.select(MoveNote)).all() == []


def test_an_operator_may_take_a_failed_package_up_again(observed: Database) -> None:
    lead_to(observed, PackageState.FAILED)
    list(reconcile_states(observed, actor="ada"))
    assert state_of(observed) is PackageState.FAILED
    with observed.begin() as connection:
        recall = sa.update(RawDataPackage).where(RawDataPackage.id == PACKAGE)
        connection.execute(recall.values(state=PackageState.WAITING))
    assert list(rehearse_states(observed)) == []
    with observed.begin() as connection:
        lost = sa.update(PhysicalCopy).where(PhysicalCopy.data_location_id == at("archive"))
        connection.execute(lost.values(verification=Verification.MISMATCH))
    assert [finding.ground for finding in rehearse_states(observed)] == [Ground.LOST]


def test_many_batches_are_moved_and_what_was_broken_off_goes_on(
    observed: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconcile, "BATCH_PACKAGES", 7)
    add_packages(observed, 40)
    assert len(list(rehearse_states(observed))) == 41
    running = reconcile_states(observed, actor="ada")
    first = [next(running) for _ in range(9)]
    del running
    left = list(rehearse_states(observed))
    assert len(left) == 41 - 14, "what has come out is committed"
    assert not {finding.package_id for finding in first} & {finding.package_id for finding in left}
    assert list(reconcile_states(observed, actor="ada")) == left
    assert list(rehearse_states(observed)) == []


def add_packages(database: Database, count: int) -> None:
    """Packages that wait although the archive has them."""
    with database.session() as session:
        model = session.get_one(RawDataPackage, PACKAGE)
        archive = session.scalars(sa.select(DataLocation).where(DataLocation.name == "archive")).one()
        for number in range(count):
            package = RawDataPackage(
                id=UUID(int=number),
                executed_obs_unit_id=model.executed_obs_unit_id,
                instrument_module_id=model.instrument_module_id,
                sequence=100 + number,
                name="p",
                relative_path="p",
            )
            session.add(RawDataPackagePhysicalCopy(raw_data_package=package, location=archive))
        session.commit()


def test_invariant_what_changes_while_others_hold_the_package_is_seen(observed: Database) -> None:
    """The archive loses the copy in a transaction that is not over when the states are looked at."""
    found: list[StateFinding] = []
    worker = Thread(target=lambda: found.extend(reconcile_states(observed, actor="ada")))
    with observed.begin() as connection:
        package = sa.select(RawDataPackage.id).where(RawDataPackage.id == PACKAGE)
        connection.execute(package.with_for_update()).all()
        lost = sa.update(PhysicalCopy).where(PhysicalCopy.data_location_id == at("archive"))
        connection.execute(lost.values(verification=Verification.MISSING))
        worker.start()
        worker.join(0.5)
        assert worker.is_alive(), "it waits"
    worker.join(30)
    assert [finding.wanted for finding in found] == [PackageState.FAILED]
    assert state_of(observed) is PackageState.FAILED
    assert [line.to_state for line in history(observed)] == ["failed"]
