"""Many copies at once, and many writers at once; on both engines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from threading import Thread
from typing import Any

import pytest
import sqlalchemy as sa

from catalog.db import Database
from catalog.db.clock import read_clock
from catalog.errors import CatalogError, NotFoundError, UsageError
from catalog.opsdb.enums import Verification
from catalog.opsdb.lifecycle import copies
from catalog.opsdb.lifecycle.copies import CopyService
from catalog.opsdb.lifecycle.deletion import CopyStep, VerificationReport
from catalog.opsdb.lifecycle.rules import DeletionRules
from catalog.opsdb.models import DataLocation, LifecycleMove, LongTermArchiveTransfer, PhysicalCopy, RawDataPackage
from catalog.opsdb.refusals import translate_integrity

PACKAGE = "00000000-0000-4000-8000-000000000001"
Many = Callable[[Database, int], dict[str, int]]
WAITS_S = 0.4


@pytest.fixture
def service(observed: Database) -> CopyService:
    return CopyService(observed, DeletionRules())


def keys_at(database: Database, *names: str) -> list[int]:
    """Numbers of the copies at some locations."""
    chosen = sa.select(PhysicalCopy.id).join(DataLocation).where(DataLocation.name.in_(names))
    with database.engine.connect() as connection:
        return list(connection.scalars(chosen.order_by(PhysicalCopy.id)))


def states_at(database: Database, *names: str) -> Counter[str]:
    chosen = sa.select(PhysicalCopy.status).join(DataLocation).where(DataLocation.name.in_(names))
    with database.engine.connect() as connection:
        return Counter(str(state) for state in connection.scalars(chosen))


ALL_ARCHIVES = ("many_bonn", "many_cornell", "many_cologne")


@pytest.mark.parametrize("step", [CopyStep.REQUEST, CopyStep.SCHEDULE])
def test_invariant_of_all_archive_copies_at_once_only_those_go_that_may(
    observed: Database, service: CopyService, many_packages: Many, step: CopyStep
) -> None:
    many_packages(observed, 30)
    keys = keys_at(observed, *ALL_ARCHIVES)
    rehearsed = [(change.copy_id, change.after, change.obstacle) for change in service.rehearse(step, keys)]
    taken = [(change.copy_id, change.after, change.obstacle) for change in service.take_all(step, keys, actor="ada")]
    assert taken == rehearsed
    assert Counter(obstacle for _, _, obstacle in taken) == {None: 30, "too_few_sites": 60}
    assert states_at(observed, *ALL_ARCHIVES)["present"] == 60
    again = Counter(change.obstacle for change in service.take_all(step, keys, actor="ada"))
    assert again == {None: 30, "too_few_sites": 60}
    with observed.engine.connect() as connection:
        lines = connection.execute(sa.select(LifecycleMove.__table__).where(LifecycleMove.entity == "physical_copy"))
        for line in lines.mappings():
            assert len({survivor["site"] for survivor in line["survivors"]}) == 2
            assert int(line["entity_key"]) not in [survivor["copy_id"] for survivor in line["survivors"]]


def test_a_run_that_is_broken_off_is_taken_up_again(
    observed: Database, service: CopyService, many_packages: Many, monkeypatch: pytest.MonkeyPatch
) -> None:
    many_packages(observed, 30)
    monkeypatch.setattr(copies, "_AT_ONCE", 8)
    chosen = service.chosen(CopyStep.SCHEDULE, "ccat/many_buffer")
    run = service.take_all(CopyStep.SCHEDULE, chosen, actor="ada")
    for _ in range(9):
        next(run)
    run.close()
    assert states_at(observed, "many_buffer") == {"present": 14, "deletion_scheduled": 16}
    left = list(service.chosen(CopyStep.SCHEDULE, "ccat/many_buffer"))
    assert len(left) == 14
    done = list(service.take_all(CopyStep.SCHEDULE, keys_at(observed, "many_buffer"), actor="ada"))
    assert sum(1 for change in done if change.path) == 14
    assert states_at(observed, "many_buffer") == {"deletion_scheduled": 30}


def test_copies_are_chosen_by_place_age_and_number(
    observed: Database, service: CopyService, many_packages: Many
) -> None:
    many_packages(observed, 5)
    place = "ccat/many_buffer"
    assert len(list(service.chosen(CopyStep.REQUEST, place))) == 5
    assert len(list(service.chosen(CopyStep.REQUEST, place, limit=2))) == 2
    assert list(service.chosen(CopyStep.REQUEST, place, older_than=timedelta(days=1))) == []
    assert len(list(service.chosen(CopyStep.REQUEST, place, older_than=timedelta(0)))) == 5
    assert list(service.chosen(CopyStep.START, place)) == []
    for wrong in ("ccat/none", "none/many_buffer", "many_buffer", ""):
        with pytest.raises(NotFoundError, match="there is no location"):
            list(service.chosen(CopyStep.REQUEST, wrong))


def test_unknown_numbers_do_not_hold_the_others_up(
    observed: Database, service: CopyService, many_packages: Many
) -> None:
    many_packages(observed, 2)
    keys = keys_at(observed, "many_buffer")
    changes = list(service.take_all(CopyStep.SCHEDULE, [999, *keys, *keys, -1, 2**62], actor="ada"))
    assert [change.obstacle for change in changes] == ["unknown_copy", None, None, "unknown_copy", "unknown_copy"]
    with pytest.raises(UsageError, match="who acts"):
        list(service.take_all(CopyStep.CANCEL, keys, actor=" "))
    assert states_at(observed, "many_buffer") == {"deletion_scheduled": 2}


def test_invariant_messages_that_come_twice_or_too_late_change_nothing(
    observed: Database, service: CopyService, many_packages: Many
) -> None:
    many_packages(observed, 1)
    buffer, bonn = keys_at(observed, "many_buffer")[0], keys_at(observed, "many_bonn")[0]
    with observed.engine.connect() as connection:
        now = read_clock(connection)
    later = VerificationReport(bonn, Verification.MISMATCH, now + timedelta(seconds=20))
    earlier = VerificationReport(bonn, Verification.OK, now + timedelta(seconds=10))
    future = VerificationReport(bonn, Verification.OK, now + timedelta(hours=1))
    unknown = VerificationReport(999, Verification.OK)
    empty = VerificationReport(bonn, Verification.NEVER)
    told = [fault for _, fault in service.verify_all([earlier, later, earlier, later, future, unknown, empty])]
    assert [type(fault).__name__ for fault in told] == [
        "NoneType",
        "NoneType",
        "IntegrityError",
        "NoneType",
        "UsageError",
        "NotFoundError",
        "UsageError",
    ]
    with observed.engine.connect() as connection:
        found = sa.select(PhysicalCopy.verification).where(PhysicalCopy.id == bonn)
        assert connection.scalar(found) == "mismatch"
    for step in (CopyStep.CONFIRM, CopyStep.START, CopyStep.FAIL, CopyStep.KEEP, CopyStep.RESTORE, CopyStep.UNPACK):
        (change,) = service.take_all(step, [buffer], actor="ada")  # before its time
        assert change.path == ()
    for step in (CopyStep.SCHEDULE, CopyStep.START, CopyStep.CONFIRM):
        service.take(step, buffer, actor="ada")
    for step in CopyStep:
        (change,) = service.take_all(step, [buffer], actor="ada")  # once more, or too late
        assert (change.before, change.path) == ("deleted", ())
    with observed.engine.connect() as connection:
        lines = sa.select(sa.func.count()).where(LifecycleMove.entity_key == str(buffer))
        assert connection.scalar(lines) == 3


@pytest.mark.parametrize("state", ["gone", "", "PRESENT", None])
def test_forged_states_are_refused_in_words(observed: Database, state: str | None) -> None:
    for table in (PhysicalCopy, RawDataPackage):
        name = table.__tablename__
        physical = name if observed.dialect == "sqlite" else f"ops.{name}"
        with pytest.raises(sa.exc.IntegrityError) as refused, observed.begin() as connection:
            connection.execute(sa.text(f"UPDATE {physical} SET status = :state"), {"state": state})
        sentence = translate_integrity(refused.value).message
        assert sentence.startswith(f"a row of {name} is refused: status must be"), sentence


# None of them touches the copy that is to go.
REDUCTIONS: dict[str, sa.Executable] = {
    "found damaged": sa.update(PhysicalCopy).where(PhysicalCopy.verification == "ok").values(verification="mismatch"),
    "given up": sa.update(PhysicalCopy).where(PhysicalCopy.verification == "ok").values(status="deletion_possible"),
    "place inactive": sa.update(DataLocation).values(active=False),
    "package lost": sa.update(RawDataPackage).where(RawDataPackage.id == PACKAGE).values(state="failed"),
}


@pytest.mark.parametrize("by", ["service", "sql"])
@pytest.mark.parametrize("reduction", [*REDUCTIONS, "read by a transfer"])
def test_invariant_a_deletion_waits_for_whoever_changes_what_it_counts_on(
    holdings: Any, reduction: str, by: str
) -> None:
    holdings.take("schedule_deletion", "buffer")
    ends = {"origin_location_id": holdings.places["tape"], "destination_location_id": holdings.places["cornell"]}
    statement = REDUCTIONS.get(reduction)
    if statement is None:  # what arrives does not count, what is read cannot go
        for name in ("archive", "tape"):
            holdings.set(name, verification="missing")
        statement = sa.insert(LongTermArchiveTransfer).values(raw_data_package_id=PACKAGE, **ends)
    faults: list[Exception] = []

    def start() -> None:
        try:
            if by == "service":
                holdings.take("start_deletion", "buffer")
            else:
                holdings.set("buffer", status="deletion_in_progress")
        except (CatalogError, sa.exc.IntegrityError) as fault:
            faults.append(fault)

    other = Thread(target=start)
    with holdings.database.begin() as connection:
        connection.execute(statement)
        other.start()
        other.join(WAITS_S)
        assert other.is_alive(), faults
    other.join()
    assert len(faults) == 1
    assert holdings.status("buffer") == "deletion_scheduled"


@pytest.mark.parametrize("step", ["request_deletion", "schedule_deletion"])
def test_invariant_two_deletions_at_once_do_not_count_on_each_other(holdings: Any, step: str) -> None:
    """Either of the copies in Cologne may go, not both."""
    faults: list[CatalogError] = []

    def give_up_tape() -> None:
        try:
            holdings.take(step, "tape")
        except CatalogError as fault:
            faults.append(fault)

    other = Thread(target=give_up_tape)
    service = CopyService(holdings.database, DeletionRules())
    with holdings.database.begin() as connection:
        (change,) = copies.take_steps(
            connection, CopyStep(step), [holdings.copies["archive"]], rules=service.rules, actor="ada"
        )
        assert change.fault is None
        other.start()
        other.join(WAITS_S)
        assert other.is_alive(), faults
    other.join()
    assert ["too_few_sites" in fault.message for fault in faults] == [True]
    assert holdings.status("tape") == "present"


@pytest.mark.parametrize("engine_name", ["postgresql"], indirect=True)
def test_a_step_that_meets_another_in_the_opposite_order_is_tried_again(holdings: Any) -> None:
    """PostgreSQL ends one of two transactions that wait for each other."""
    service = CopyService(holdings.database, DeletionRules())
    done: list[Any] = []
    key = holdings.copies["buffer"]
    other = Thread(target=lambda: done.append(service.take(CopyStep.SCHEDULE, key, actor="ada")))
    with holdings.database.begin() as connection:
        connection.execute(sa.update(PhysicalCopy).where(PhysicalCopy.id == key).values(checksum=None))
        other.start()
        other.join(WAITS_S)  # it has the package, and waits for the copy
        package = sa.update(RawDataPackage).where(RawDataPackage.id == PACKAGE)
        connection.execute(package.values(name=RawDataPackage.name))
    other.join()
    assert [change.after for change in done] == ["deletion_scheduled"]


def test_invariant_what_is_acknowledged_is_on_the_disk(
    observed: Database, service: CopyService, many_packages: Many
) -> None:
    """SQLite does not wait for the disk by itself, nor does the server of the tests."""
    many_packages(observed, 1)
    ask = "PRAGMA synchronous" if observed.dialect == "sqlite" else "SHOW synchronous_commit"
    seen: list[Any] = []

    def look(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("UPDATE"):
            seen.append(connection.connection.driver_connection.execute(ask).fetchone()[0])

    sa.event.listen(observed.engine, "before_cursor_execute", look)
    (key,) = keys_at(observed, "many_buffer")
    service.take(CopyStep.SCHEDULE, key, actor="ada")
    service.verify(key, Verification.OK)
    assert seen == ([2, 2] if observed.dialect == "sqlite" else ["on", "on"])
    with observed.begin() as connection:
        assert connection.exec_driver_sql(ask).scalar() == (1 if observed.dialect == "sqlite" else "off")
