"""Messages of movers in any order, repeated and forged: exactly what a model allows happens, on both engines."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, event, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from catalog.db import Database
from catalog.errors import IntegrityError
from catalog.opsdb.enums import LocationType, RouteType
from catalog.opsdb.lifecycle.rules import DeletionRules
from catalog.opsdb.lifecycle.survivors import read_verdicts
from catalog.opsdb.models import (
    DataLocation,
    DataTransfer,
    DataTransferPackage,
    DataTransferRoute,
    DiskDataLocation,
    MoveNote,
    PhysicalCopy,
    RawDataPackage,
    Site,
    StagingJob,
)
from catalog.opsdb.transfers.plan import BundleLimits
from catalog.opsdb.transfers.service import TransferService
from catalog.opsdb.transfers.steps import TransferStep
from catalog.opsdb.work import RetryRules

PACKAGE = UUID("00000000-0000-4000-8000-000000000001")
SHA = "ef" * 32
ATTEMPTS = 3
WORKS = ("bundle", "first leg", "second leg", "unpacking")
STEPS = dict(zip(WORKS, (*TransferStep, TransferStep.UNPACK), strict=True)) | {"second leg": TransferStep.MOVE}
OPEN = ("pending", "in_progress")


@dataclass
class Progress:
    """What the model knows of one piece of work."""

    status: str = "pending"
    failures: int = 0
    holder: str | None = None


class Model:
    """The rules of reports in plain Python: a bundle that goes by way of a relay."""

    def __init__(self) -> None:
        self.works = {name: Progress() for name in WORKS}

    def may_begin(self, name: str) -> bool:
        before = dict(zip(WORKS[1:], WORKS, strict=False)).get(name)
        if before is None:
            return self.works["first leg"].status in OPEN
        return self.works[before].status == "completed"

    def start(self, name: str, actor: str) -> bool | None:
        """Whether something happens; None when it is refused."""
        work = self.works[name]
        if work.status == "in_progress":
            return False if work.holder == actor else None
        if work.status == "completed":
            return False
        if work.status == "failed" or not self.may_begin(name):
            return None
        work.status, work.holder = "in_progress", actor
        return True

    def report(self, name: str, attempt: int, outcome: str, *, is_final: bool = False) -> bool | None:
        work = self.works[name]
        current = work.failures + 1
        if attempt < current:
            return False
        if attempt == current and work.status == "completed":
            return False if outcome == "complete" else None
        if attempt > current or work.status != "in_progress":
            return None
        if outcome == "complete":
            work.status = "completed"
        else:
            work.failures = attempt
            work.status = "failed" if is_final or attempt >= ATTEMPTS else "pending"
            if work.status == "failed":
                self.give_up(name)
        return True

    def give_up(self, name: str) -> None:
        for later in {"bundle": ("first leg", "second leg"), "first leg": ("second leg",)}.get(name, ()):
            self.works[later].status = "failed"

    @property
    def state(self) -> str:
        if self.works["unpacking"].status == "completed":
            return "archived"
        return "failed" if any(work.status == "failed" for work in self.works.values()) else "transferring"


@dataclass
class Ready:
    """A database in which one package is bundled for a way by a relay."""

    database: Database
    keys: dict[str, int | UUID]
    source_copy: int


@pytest.fixture
def ready(observed: Database) -> Ready:
    with observed.session() as session:
        session.execute(sa.update(DataTransferPackage).values(status="failed"))
        session.execute(sa.update(StagingJob).values(status="failed"))
        session.execute(sa.update(PhysicalCopy).where(PhysicalCopy.status == "present").values(verification="missing"))
        session.execute(sa.update(RawDataPackage).where(RawDataPackage.id == PACKAGE).values(status="completed"))
        chile = session.scalars(sa.select(Site).where(Site.key == "ccat")).one()
        relay, archive = Site(key="relay", name="Relay"), Site(key="home", name="Home")
        places = (
            (chile, "source", LocationType.SOURCE),
            (relay, "stop", LocationType.BUFFER),
            (archive, "vault", LocationType.LONG_TERM_ARCHIVE),
        )
        session.add_all(DiskDataLocation(site=s, name=name, location_type=kind, path="/x") for s, name, kind in places)
        session.flush()
        source = session.scalars(sa.select(DataLocation.id).where(DataLocation.name == "source")).one()
        copy = {"type": "raw_data_package_physical_copy", "raw_data_package_id": PACKAGE, "data_location_id": source}
        session.execute(sa.insert(PhysicalCopy.__table__).values(copy))  # type: ignore[arg-type]
        ends = {"origin_site_id": chile.id, "destination_site_id": archive.id, "relay_site_id": relay.id}
        session.add(DataTransferRoute(name="r", method="bbcp", route_type=RouteType.RELAY, **ends))
        session.commit()
    service = TransferService(
        observed, BundleLimits(0, 10**9), RetryRules(), overdue_after=timedelta(), writing=observed.begin
    )
    assert service.plan(actor="planner").packages == 1
    with observed.engine.connect() as connection:
        legs = connection.execute(sa.select(DataTransfer.id, DataTransfer.data_transfer_package_id)).all()
        mine = sa.select(PhysicalCopy.id).where(PhysicalCopy.data_location_id == source)
        copy_id = connection.scalars(mine).one()
    first, second = sorted(leg.id for leg in legs)
    keys = {"bundle": legs[0].data_transfer_package_id, "first leg": first, "second leg": second, "unpacking": second}
    return Ready(observed, keys, copy_id)


def machine(ready: Ready, seen: set[str]) -> type[RuleBasedStateMachine]:
    works, actors = st.sampled_from(WORKS), st.sampled_from(["ada", "bob"])

    class Movers(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.model = Model()
            self.transaction = ready.database.begin()
            self.connection = self.transaction.__enter__()
            self.service = TransferService(
                ready.database,
                BundleLimits(),
                RetryRules(ATTEMPTS, 0.0),
                overdue_after=timedelta(),
                writing=self.writing,
            )

        def teardown(self) -> None:
            self.connection.rollback()
            self.transaction.__exit__(None, None, None)

        @contextmanager
        def writing(self) -> Iterator[sa.Connection]:
            with self.connection.begin_nested():
                yield self.connection

        @initialize(done=st.integers(0, 4))
        def advance_so_far(self, done: int) -> None:
            for _ in range(done):
                self.advance()

        @rule(is_final=st.booleans())
        def break_down(self, is_final: bool) -> None:
            self.advance("fail", is_final)

        @rule()
        def go_on(self) -> None:
            self.advance()

        def advance(self, outcome: str = "complete", is_final: bool = False) -> None:
            """Do what comes next, if anything does, as a mover would who hears every answer."""
            for name, work in self.model.works.items():
                if work.status == "pending" and self.model.may_begin(name):
                    self.start(name, "ada")
                if work.status == "in_progress":
                    self.tell(name, work.failures + 1, outcome, is_final)
                    return

        @rule(name=works, actor=actors)
        def start(self, name: str, actor: str) -> None:
            expected = self.model.start(name, actor)
            event(f"start {expected}")
            if expected is None:
                with pytest.raises(IntegrityError):
                    self.service.start(STEPS[name], ready.keys[name], actor=actor)
            else:
                task = self.service.start(STEPS[name], ready.keys[name], actor=actor)
                assert task.attempt == self.model.works[name].failures + 1

        @rule(step=st.sampled_from(list(TransferStep)), actor=actors)
        def take(self, step: TransferStep, actor: str) -> None:
            due = [
                name
                for name, work in self.model.works.items()
                if STEPS[name] is step and work.status == "pending" and self.model.may_begin(name)
            ]
            task = self.service.take(step, actor=actor)
            event(f"take {bool(due)}")
            assert (None if task is None else task.key) == (ready.keys[due[0]] if due else None)
            if due:
                assert self.model.start(due[0], actor)

        @rule(
            name=works,
            attempt=st.integers(1, ATTEMPTS + 1),
            outcome=st.sampled_from(["complete", "complete", "complete", "fail"]),
            is_final=st.booleans(),
        )
        def report(self, name: str, attempt: int, outcome: str, is_final: bool) -> None:
            self.tell(name, attempt, outcome, is_final)

        @rule(name=works, outcome=st.sampled_from(["complete", "complete", "fail"]))
        def report_as_told(self, name: str, outcome: str) -> None:
            self.tell(name, self.model.works[name].failures + 1, outcome, False)

        def tell(self, name: str, attempt: int, outcome: str, is_final: bool) -> None:
            expected = self.model.report(name, attempt, outcome, is_final=is_final)
            event(f"{outcome} {expected}")
            step, key = STEPS[name], ready.keys[name]

            def call() -> bool:
                if outcome == "fail":
                    return self.service.fail(
                        step, key, attempt=attempt, reason="cut", actor="ada", is_final=is_final
                    ).is_new
                known = {} if step is TransferStep.UNPACK else {"size_bytes": 7, "checksum": SHA}
                return self.service.complete(
                    step,
                    key,
                    attempt=attempt,
                    actor="ada",
                    is_verified=True,
                    **known,  # type: ignore[arg-type]
                ).is_new

            if expected is None:
                with pytest.raises(IntegrityError):
                    call()
            else:
                assert call() is expected

        @invariant()
        def the_records_say_what_the_model_says(self) -> None:
            transfer = DataTransfer.__table__.c
            rows = self.connection.execute(
                sa.select(transfer.status, transfer.retry_count, transfer.unpack_status, transfer.unpack_retry_count)
                .where(transfer.id.in_([ready.keys["first leg"], ready.keys["second leg"]]))
                .order_by(transfer.id)
            ).all()
            works = self.model.works
            first, second, unpacking = works["first leg"], works["second leg"], works["unpacking"]
            assert [tuple(map(str, row)) for row in rows] == [
                (first.status, str(first.failures), "completed", "0"),
                (second.status, str(second.failures), unpacking.status, str(unpacking.failures)),
            ]
            bundle = sa.select(DataTransferPackage.status).where(DataTransferPackage.id == ready.keys["bundle"])
            assert str(self.connection.scalar(bundle)) == works["bundle"].status
            state = sa.select(RawDataPackage.state).where(RawDataPackage.id == PACKAGE)
            assert str(self.connection.scalar(state)) == self.model.state
            seen.add(self.model.state)
            assert self.connection.scalar(sa.select(sa.func.count()).select_from(MoveNote)) == 0

        @invariant()
        def copies_are_where_something_has_arrived(self) -> None:
            copy = PhysicalCopy.__table__.c
            query = sa.select(DataLocation.name).join(PhysicalCopy, copy.data_location_id == DataLocation.id)
            bundles = query.where(copy.data_transfer_package_id == ready.keys["bundle"]).order_by(DataLocation.name)
            arrived = {"bundle": "source", "first leg": "stop", "second leg": "vault"}
            done = {name for name, work in self.model.works.items() if work.status == "completed"}
            assert list(self.connection.scalars(bundles)) == sorted(arrived[name] for name in done & set(arrived))
            packages = query.where(copy.raw_data_package_id == PACKAGE, DataLocation.name == "vault")
            assert len(self.connection.scalars(packages).all()) == ("unpacking" in done)

        @invariant()
        def the_origin_cannot_go_while_the_leg_that_begins_with_it_is_open(self) -> None:
            (verdict,) = read_verdicts(self.connection, [ready.source_copy], DeletionRules())
            assert (verdict.refusal == "in_use") == (self.model.works["first leg"].status in OPEN)

    return Movers


def test_invariant_any_messages_in_any_order_change_what_the_model_says(ready: Ready) -> None:
    seen: set[str] = set()
    run_state_machine_as_test(
        machine(ready, seen),
        settings=settings(
            max_examples=30, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
    assert seen == {"transferring", "failed", "archived"}
