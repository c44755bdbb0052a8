"""Random events in any order: exactly the steps that a model allows succeed, on both engines."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, event, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from catalog.db import Database
from catalog.db.clock import read_clock
from catalog.errors import IntegrityError
from catalog.opsdb.enums import LocationType, PackageState, Status, Verification
from catalog.opsdb.lifecycle import deletion
from catalog.opsdb.lifecycle.rules import DeletionRules
from catalog.opsdb.models import (
    DataLocation,
    DiskDataLocation,
    LongTermArchiveTransfer,
    PhysicalCopy,
    RawDataFilePhysicalCopy,
    RawDataPackage,
    RawDataPackagePhysicalCopy,
    Site,
    StagingJob,
)

PACKAGE = UUID("00000000-0000-4000-8000-000000000001")
SECOND_PACKAGE = UUID("00000000-0000-4000-8000-000000000002")
RULES = DeletionRules()
SITES = {"buffer": "ccat", "archive": "cologne", "tape": "cologne", "cornell": "cornell", "scratch": "cologne"}
ARCHIVES = ("archive", "tape", "cornell")
FIRST = tuple(SITES)
"""Copies of the first package are called as their locations."""

PLACES = {**{name: name for name in FIRST}, "second": "cornell", "file": "tape", "transfer": "buffer"}
MARKED = ("deletion_possible", "deletion_pending", "deletion_scheduled")
GUARDED = ("request_deletion", "schedule_deletion", "start_deletion", "unpack")
STEPS = (*GUARDED, "confirm_deleted", "deletion_failed", "cancel_deletion", "keep", "restore")


@dataclass
class Copy:
    """What the model knows of a copy."""

    key: int
    status: str = "present"
    before: str = "present"
    verification: str = "never"
    is_fresh: bool = False


class Model:
    """The rules of deletion in plain Python, written without a look at the SELECT."""

    def __init__(self) -> None:
        self.copies: dict[str, Copy] = {}
        self.inactive: set[str] = set()
        self.is_archived = True
        self.transfer: tuple[str, str] | None = None
        self.staging: tuple[str | None, str] | None = None

    def survivors(self, package: str, without: str) -> list[str]:
        names = FIRST if package == "first" else ("second",)
        found = []
        for name in names:
            copy, place = self.copies[name], PLACES[name]
            counts = copy.status == "present" and copy.verification == "ok" and copy.is_fresh
            arrives = package == "first" and self.transfer is not None and self.transfer[1] == place
            if name != without and counts and place in ARCHIVES and place not in self.inactive and not arrives:
                found.append(name)
        return found

    def is_safe(self, name: str) -> bool:
        """Whether the rule of its location is kept without this copy."""
        packages = {"second": ("second",), "transfer": ("first", "second")}.get(name, ("first",))
        for package in packages:
            left = self.survivors(package, name)
            if PLACES[name] in ARCHIVES:
                if len({SITES[PLACES[other]] for other in left}) < 2:
                    return False
            elif not left or (package == "first" and not self.is_archived):
                return False
        return True

    def is_used(self, name: str) -> bool:
        if name not in FIRST:
            return False
        staged = self.staging is not None and (self.staging[0] is None or name in self.staging)
        return staged or (self.transfer is not None and name in self.transfer)

    def may_be_used(self, *names: str) -> bool:
        """Whether an operation may begin or end with these copies."""
        going = ("deletion_scheduled", "deletion_in_progress", "deletion_failed")
        return not any(self.copies[name].status in going for name in names)

    def take(self, step: str, name: str) -> bool:
        """Whether the step succeeds; if so, it is made."""
        copy = self.copies[name]
        status = copy.status
        if step == "unpack" and name != "scratch":
            return False
        done, target = self.outcome(step, copy)
        if done:
            return True
        if target is None or (step in GUARDED and (self.is_used(name) or not self.is_safe(name))):
            return False
        if status in ("present", "staged"):
            copy.before = status
        copy.status = target
        if step in ("restore", "deletion_failed"):
            copy.verification, copy.is_fresh = "never", False
        return True

    @staticmethod
    def outcome(step: str, copy: Copy) -> tuple[bool, str | None]:
        """Whether nothing is left to do, and where else it leads."""
        status, back = copy.status, copy.before
        later = ("deletion_in_progress", "deleted")
        if step == "request_deletion":
            target = {"present": "deletion_pending", "deletion_possible": "deletion_pending"}.get(status)
            return status in (*MARKED[1:], *later), "deletion_scheduled" if status == "staged" else target
        if step == "schedule_deletion":
            legal = status in ("present", "staged", *MARKED[:2], "deletion_failed")
            return status in (MARKED[2], *later), "deletion_scheduled" if legal else None
        if step == "start_deletion":
            return status in later, "deletion_in_progress" if status == "deletion_scheduled" else None
        if step == "confirm_deleted":
            return status == "deleted", "deleted" if status == "deletion_in_progress" else None
        if step == "deletion_failed":
            return status == "deletion_failed", "deletion_failed" if status == "deletion_in_progress" else None
        if step == "cancel_deletion":
            return status in ("present", "staged"), back if status in MARKED else None
        if step == "keep":
            found = status == "deletion_failed" and copy.verification == "ok"
            return status in ("present", "staged"), back if found else None
        if step == "unpack":
            return status == "staged", "staged" if status == "present" else None
        return status == "present", "present" if status == "staged" else None


class Deletions(RuleBasedStateMachine):
    """The database beside the model; every run is undone at its end."""

    def __init__(self, database: Database) -> None:
        super().__init__()
        self.transaction = database.begin()
        self.connection = self.transaction.__enter__()
        self.model = Model()
        self.places: dict[str, int] = {}

    @initialize()
    def fill(self) -> None:
        connection = self.connection
        named = sa.select(DataLocation.name, DataLocation.id)
        self.places = {row.name: row.id for row in connection.execute(named)}
        of_first = sa.select(PhysicalCopy.id, DataLocation.name).join(DataLocation)
        for key, name in connection.execute(of_first.where(PhysicalCopy.raw_data_package_id == PACKAGE)):
            self.model.copies[name] = Copy(key)
        for name, column in (
            ("second", PhysicalCopy.raw_data_package_id == SECOND_PACKAGE),
            ("file", PhysicalCopy.raw_data_file_id.is_not(None)),
            ("transfer", PhysicalCopy.data_transfer_package_id.is_not(None)),
        ):
            self.model.copies[name] = Copy(connection.execute(sa.select(PhysicalCopy.id).where(column)).scalar_one())
        for name in (*FIRST, "second"):
            self.verify(name, Verification.OK)

    @rule(name=st.sampled_from(sorted(PLACES)), step=st.sampled_from(STEPS))
    def take(self, name: str, step: str) -> None:
        key = self.model.copies[name].key
        before = self.model.copies[name].status
        expected = self.model.take(step, name)
        wanted = deletion.CopyStep(step)
        (rehearsed,) = deletion.rehearse_steps(self.connection, wanted, [key], rules=RULES)
        assert (rehearsed.fault is None) == expected, (step, name, before)
        try:
            with self.connection.begin_nested():
                deletion.take_step(self.connection, wanted, key, rules=RULES, actor="ada")
            succeeded = True
        except IntegrityError:
            succeeded = False
        assert succeeded == expected, (step, name, before)
        moved = self.model.copies[name].status != before
        event(f"{step} {'moves' if moved else 'changes nothing' if succeeded else 'is refused'}")
        if moved and step in GUARDED:
            assert self.model.is_safe(name)

    @rule(names=st.sets(st.sampled_from(sorted(PLACES)), min_size=2), step=st.sampled_from(STEPS))
    def take_many(self, names: set[str], step: str) -> None:
        """At once, as if one after the other: first those that are counted on."""
        keys = {self.model.copies[name].key: name for name in names}
        order = sorted(keys, key=lambda key: (PLACES[keys[key]] not in ARCHIVES or keys[key] == "file", key))
        expected = {key: self.model.take(step, keys[key]) for key in order}
        wanted = deletion.CopyStep(step)
        changes = deletion.take_steps(self.connection, wanted, keys, rules=RULES, actor="ada")
        assert {change.copy_id: change.fault is None for change in changes} == expected, (step, names)
        event(f"{step} of many moves {min(2, sum(1 for change in changes if change.path))}")

    @rule(name=st.sampled_from(sorted(FIRST)), then=st.booleans())
    def give_up(self, name: str, then: bool) -> None:
        """All steps in their order: rare by chance alone."""
        for step in ("request_deletion", "schedule_deletion", "start_deletion"):
            self.take(name, step)
        self.take(name, "confirm_deleted" if then else "deletion_failed")

    @rule(name=st.sampled_from(sorted(PLACES)), outcome=st.sampled_from(sorted(set(Verification) - {"never"})))
    def verify(self, name: str, outcome: Verification) -> None:
        copy = self.model.copies[name]
        if copy.status == "deleted":
            with pytest.raises(IntegrityError), self.connection.begin_nested():
                deletion.record_verification(self.connection, copy.key, Verification(outcome))
            return
        deletion.record_verification(self.connection, copy.key, Verification(outcome))
        copy.verification, copy.is_fresh = str(outcome), True

    @rule(name=st.sampled_from([*ARCHIVES, "second"]), days=st.sampled_from([-400, -300, 2]))
    def age(self, name: str, days: int) -> None:
        """By plain SQL: time passes, or a clock was wrong."""
        copy = self.model.copies[name]
        moment = read_clock(self.connection) + timedelta(days=days)
        change = sa.update(PhysicalCopy).where(PhysicalCopy.id == copy.key)
        self.connection.execute(change.values(verified_at=moment, verification=copy.verification))
        copy.is_fresh = days == -300
        if days == 2:  # so that it can be verified again
            self.connection.execute(change.values(verified_at=None))

    @rule(name=st.sampled_from(ARCHIVES), active=st.booleans())
    def use_location(self, name: str, active: bool) -> None:
        self.connection.execute(sa.update(DataLocation).where(DataLocation.name == name).values(active=active))
        (self.model.inactive.discard if active else self.model.inactive.add)(name)

    @rule()
    def change_state(self) -> None:
        self.model.is_archived = not self.model.is_archived
        state = PackageState.ARCHIVED if self.model.is_archived else PackageState.FAILED
        self.connection.execute(sa.update(RawDataPackage).where(RawDataPackage.id == PACKAGE).values(state=state))

    @rule(ends=st.none() | st.permutations(sorted(FIRST)).map(lambda names: (names[0], names[1])))
    def transfer(self, ends: tuple[str, str] | None) -> None:
        opened = sa.update(LongTermArchiveTransfer).where(LongTermArchiveTransfer.status == "pending")
        self.connection.execute(opened.values(status=Status.FAILED))
        self.model.transfer = None
        if ends is None:
            return
        origin, destination = (self.places[name] for name in ends)
        begun = self.begins(
            sa.insert(LongTermArchiveTransfer).values(
                raw_data_package_id=PACKAGE, origin_location_id=origin, destination_location_id=destination
            )
        )
        assert begun == self.model.may_be_used(*ends), ends
        self.model.transfer = ends if begun else None

    @rule(origin=st.none() | st.sampled_from(ARCHIVES), opens=st.booleans())
    def stage(self, origin: str | None, opens: bool) -> None:
        opened = sa.update(StagingJob).where(StagingJob.status == "pending")
        self.connection.execute(opened.values(status=Status.FAILED))
        self.model.staging = None
        if not opens:
            return
        made = self.connection.execute(
            sa.insert(StagingJob).values(
                origin_location_id=None if origin is None else self.places[origin],
                destination_location_id=self.places["scratch"],
            )
        )
        key = made.inserted_primary_key[0]  # type: ignore[index]
        members = StagingJob.packages.property.secondary
        begun = self.begins(sa.insert(members).values(staging_job_id=key, raw_data_package_id=PACKAGE))
        assert begun == self.model.may_be_used(*([] if origin is None else [origin]), "scratch"), origin
        self.model.staging = (origin, "scratch") if begun else None

    def begins(self, statement: sa.Executable) -> bool:
        """Whether the database lets an operation begin."""
        try:
            with self.connection.begin_nested():
                self.connection.execute(statement)
        except sa.exc.IntegrityError:
            event("an operation is refused")
            return False
        return True

    @rule(name=st.sampled_from(sorted(FIRST)))
    def copy_again(self, name: str) -> None:
        """What is deleted stays so; a new copy is a new row."""
        if self.model.copies[name].status == "deleted":
            made = self.connection.execute(
                sa.insert(PhysicalCopy).values(
                    type="raw_data_package_physical_copy",
                    raw_data_package_id=PACKAGE,
                    data_location_id=self.places[name],
                )
            )
            self.model.copies[name] = Copy(made.inserted_primary_key[0])  # type: ignore[index]

    @invariant()
    def states_agree(self) -> None:
        keys = {copy.key: copy.status for copy in self.model.copies.values()}
        rows = self.connection.execute(sa.select(PhysicalCopy.id, PhysicalCopy.status).where(PhysicalCopy.id.in_(keys)))
        assert {key: str(status) for key, status in rows} == keys

    def teardown(self) -> None:
        self.connection.rollback()
        self.transaction.__exit__(None, None, None)


@pytest.fixture
def world(observed: Database) -> Database:
    """The observed packages, archived, with places and copies of every kind."""
    with observed.session() as session:
        session.execute(sa.update(StagingJob).values(status=Status.FAILED))
        session.execute(sa.update(RawDataPackage).values(state=PackageState.ARCHIVED))
        cologne = session.scalars(sa.select(Site).where(Site.key == "cologne")).one()
        for site, name, kind in (
            (Site(key="cornell", name="Cornell"), "cornell", LocationType.LONG_TERM_ARCHIVE),
            (cologne, "scratch", LocationType.PROCESSING),
        ):
            session.add(DiskDataLocation(site=site, name=name, location_type=kind, path="/x"))
        session.flush()
        places = {location.name: location for location in session.scalars(sa.select(DataLocation))}
        for name in ("tape", "cornell", "scratch"):
            session.add(RawDataPackagePhysicalCopy(raw_data_package_id=PACKAGE, location=places[name]))
        session.add(RawDataPackagePhysicalCopy(raw_data_package_id=SECOND_PACKAGE, location=places["cornell"]))
        assert session.scalars(sa.select(RawDataFilePhysicalCopy)).one().location.name == "tape"
        session.commit()
    return observed


def test_invariant_exactly_the_allowed_deletions_succeed(world: Database) -> None:
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        lambda: Deletions(world),
        settings=settings(
            max_examples=25,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            database=None,
        ),
    )
