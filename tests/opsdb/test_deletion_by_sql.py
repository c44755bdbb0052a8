"""What somebody who writes plain SQL can do to content, and what the database refuses him; on both engines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from catalog.errors import IntegrityError
from catalog.opsdb.enums import PhysicalCopyStatus
from catalog.opsdb.lifecycle.rules import DeletionRules, keep_rules
from catalog.opsdb.models import (
    DataLocation,
    DataTransfer,
    DataTransferRoute,
    DiskDataLocation,
    LifecycleMove,
    LongTermArchiveTransfer,
    PhysicalCopy,
    RawDataFile,
    RawDataPackage,
    Site,
    StagingJob,
    data_transfer_package_member,
)
from catalog.opsdb.refusals import translate_integrity

PACKAGE = "00000000-0000-4000-8000-000000000001"
SECOND_PACKAGE = "00000000-0000-4000-8000-000000000002"
TRANSFER_PACKAGE = "00000000-0000-4000-8000-0000000000dd"
ARCHIVES = ("archive", "tape", "cornell")
KEPT = "a copy goes only while enough verified copies are left"
BUSY = "a transfer or a staging does not begin or end with a copy that is being deleted"


def refusal(holdings: Any, *statements: sa.Executable) -> str:
    """What the writer reads; nothing has changed then."""
    with pytest.raises(sa.exc.IntegrityError) as refused:
        holdings.run(*statements)
    return translate_integrity(refused.value).message


def move(holdings: Any, name: str, *states: str) -> None:
    for state in states:
        holdings.set(name, status=state)


@pytest.mark.parametrize("name", ["buffer", "scratch", "file", *ARCHIVES])
def test_invariant_sql_lets_no_bytes_go_without_survivors(holdings: Any, name: str) -> None:
    move(holdings, name, "deletion_scheduled")
    for archive in ARCHIVES:
        if archive != name:
            holdings.set(archive, verification="mismatch")
    going = (
        sa.update(PhysicalCopy).where(PhysicalCopy.id == holdings.copies[name]).values(status="deletion_in_progress")
    )
    assert refusal(holdings, going).startswith(KEPT)
    assert holdings.status(name) == "deletion_scheduled"
    for archive in ARCHIVES:
        if archive != name:
            holdings.set(archive, verification="ok")
    if name == "cornell":  # both others are at one site
        assert refusal(holdings, going).startswith(KEPT)
    else:
        holdings.run(going)


def test_invariant_sql_starts_at_once_only_what_may_go_at_once(holdings: Any) -> None:
    """None of the copies that are on their way counts for another."""
    for archive in ("archive", "tape"):
        move(holdings, archive, "deletion_scheduled")
    change = sa.update(PhysicalCopy).where(PhysicalCopy.status == "deletion_scheduled")
    assert refusal(holdings, change.values(status="deletion_in_progress")).startswith(KEPT)
    assert {holdings.status(archive) for archive in ("archive", "tape")} == {"deletion_scheduled"}


def test_invariant_sql_unpacks_nothing_without_survivors(holdings: Any) -> None:
    for archive in ARCHIVES:
        holdings.set(archive, verification="unreachable")
    unpacked = sa.update(PhysicalCopy).where(PhysicalCopy.id == holdings.copies["scratch"]).values(status="staged")
    assert refusal(holdings, unpacked).startswith(KEPT)
    holdings.set("tape", verification="ok")
    holdings.run(unpacked)


def test_invariant_sql_is_judged_by_the_rules_of_the_settings(holdings: Any) -> None:
    for rules, name, allowed in (
        (DeletionRules(archive_sites=1), "cornell", True),
        (DeletionRules(survivors=4), "buffer", False),
        (DeletionRules(archive_media=4), "tape", False),
        (DeletionRules(), "tape", True),
    ):
        with holdings.database.begin() as connection:
            keep_rules(connection, rules)
        move(holdings, name, "deletion_scheduled")
        if allowed:
            move(holdings, name, "deletion_in_progress")
            holdings.set(name, status="deletion_failed", verification="never")
            holdings.set(name, verification="ok")
        else:
            going = sa.update(PhysicalCopy).where(PhysicalCopy.id == holdings.copies[name])
            assert refusal(holdings, going.values(status="deletion_in_progress")).startswith(KEPT)
        move(holdings, name, "present")


FALSE_CLAIMS = [
    sa.delete(PhysicalCopy),
    sa.update(PhysicalCopy).values(raw_data_package_id=SECOND_PACKAGE),
    sa.update(PhysicalCopy).values(raw_data_file_id=None),
    sa.update(PhysicalCopy).values(data_transfer_package_id=TRANSFER_PACKAGE),
    sa.update(PhysicalCopy).values(data_location_id=1),
    sa.update(PhysicalCopy).values(type="raw_data_file_physical_copy"),
    sa.update(PhysicalCopy).values(id=PhysicalCopy.id + 100),
    sa.update(PhysicalCopy).values(status="deleted"),
    sa.update(DataLocation).where(DataLocation.name == "buffer").values(location_type="long_term_archive"),
    sa.update(DataLocation).where(DataLocation.name == "archive").values(location_type="buffer"),
    sa.update(DataLocation).where(DataLocation.name == "tape").values(site_id=1),
    sa.update(DataLocation).values(storage_type="tape"),
    sa.update(RawDataFile).values(raw_data_package_id=SECOND_PACKAGE),
    sa.update(RawDataFile).values(raw_data_package_id=None),
    sa.delete(data_transfer_package_member),
    sa.update(data_transfer_package_member)
    .where(data_transfer_package_member.c.raw_data_package_id == SECOND_PACKAGE)
    .values(data_transfer_package_id="00000000-0000-4000-8000-000000000005"),
    sa.update(RawDataPackage).values(checksum="ff"),
    sa.delete(RawDataPackage),
    sa.delete(DataLocation),
    sa.delete(Site),
]
"""What would let a copy count for what it is not, or be deleted unseen."""


def test_invariant_sql_cannot_make_a_copy_count_for_what_it_is_not(holdings: Any) -> None:
    copies = sa.select(PhysicalCopy.__table__)
    with holdings.database.engine.connect() as connection:
        before = connection.execute(copies).all()
    for statement in FALSE_CLAIMS:
        sentence = refusal(holdings, statement)
        assert "never" in sentence or "stays" in sentence or "goes from" in sentence, (str(statement), sentence)
    with holdings.database.engine.connect() as connection:
        assert connection.execute(copies).all() == before


def test_what_nobody_has_verified_or_stored_yet_may_be_corrected_by_sql(holdings: Any, force: Any) -> None:
    with holdings.database.session() as session:
        session.add(DiskDataLocation(site_id=1, name="new", location_type="buffer", path="/x"))
        session.commit()
    holdings.run(
        sa.update(DataLocation).where(DataLocation.name == "new").values(location_type="processing", site_id=2)
    )
    force(holdings.database, sa.update(RawDataFile).values(raw_data_package_id=SECOND_PACKAGE))
    holdings.run(sa.update(RawDataFile).values(raw_data_package_id=PACKAGE))  # the second was never verified
    force(holdings.database, sa.update(PhysicalCopy).values(status="deleted"))
    holdings.run(sa.delete(data_transfer_package_member))


def test_invariant_sql_does_not_bring_a_deleted_copy_back(holdings: Any) -> None:
    move(holdings, "buffer", "deletion_scheduled", "deletion_in_progress", "deleted")
    change = sa.update(PhysicalCopy).where(PhysicalCopy.id == holdings.copies["buffer"])
    for state in set(PhysicalCopyStatus) - {"deleted"}:
        assert "that is 'deleted' stays so" in refusal(holdings, change.values(status=state))


def archiving(holdings: Any, origin: str, destination: str) -> list[sa.Executable]:
    return [
        sa.insert(LongTermArchiveTransfer).values(raw_data_package_id=PACKAGE, **ends(holdings, origin, destination))
    ]


def moving(holdings: Any, origin: str, destination: str) -> list[sa.Executable]:
    route = {"id": 77, "name": "r", "method": "bbcp", "origin_site_id": 1, "destination_site_id": 2}
    transfer = {"data_transfer_package_id": TRANSFER_PACKAGE, "data_transfer_route_id": 77}
    return [
        sa.insert(DataTransferRoute).values(route),
        sa.insert(DataTransfer).values(**transfer, **ends(holdings, origin, destination)),
    ]


def staging(holdings: Any, origin: str, destination: str) -> list[sa.Executable]:
    member = StagingJob.packages.property.secondary
    return [
        sa.insert(StagingJob).values(id=77, **ends(holdings, origin, destination)),
        sa.insert(member).values(staging_job_id=77, raw_data_package_id=PACKAGE),
    ]


def restaging(holdings: Any, origin: str, destination: str) -> list[sa.Executable]:
    """The origin is chosen when the job is there already."""
    member = StagingJob.packages.property.secondary
    return [
        sa.insert(StagingJob).values(id=77, destination_location_id=holdings.places["buffer"]),
        sa.insert(member).values(staging_job_id=77, raw_data_package_id=PACKAGE),
        sa.update(StagingJob).where(StagingJob.id == 77).values(ends(holdings, origin, destination)),
    ]


def ends(holdings: Any, origin: str, destination: str) -> dict[str, int]:
    return {
        "origin_location_id": holdings.places[origin],
        "destination_location_id": holdings.places[destination],
    }


@pytest.mark.parametrize("end", ["origin", "destination"])
@pytest.mark.parametrize(
    ("begin", "name"),
    [(archiving, "tape"), (moving, "transfer"), (staging, "tape"), (restaging, "tape")],
    ids=["archiving", "moving", "staging", "restaging"],
)
def test_invariant_nothing_begins_or_ends_where_bytes_are_going(
    holdings: Any, begin: Callable[..., list[sa.Executable]], name: str, end: str
) -> None:
    with holdings.database.begin() as connection:
        connection.execute(sa.update(RawDataPackage).values(state="archived"))
        copies = {"raw_data_package_id": SECOND_PACKAGE, "type": "raw_data_package_physical_copy"}
        verified = {
            "verification": "ok",
            "verified_at": sa.select(sa.func.max(PhysicalCopy.verified_at)).scalar_subquery(),
        }
        connection.execute(
            sa.insert(PhysicalCopy.__table__).values(
                copies | verified | {"data_location_id": holdings.places["archive"]}
            )
        )
    place = "buffer" if name == "transfer" else name
    other = "archive" if name == "transfer" else "scratch"
    begun = begin(holdings, place, other) if end == "origin" else begin(holdings, other, place)
    for state in ("deletion_scheduled", "deletion_in_progress", "deletion_failed"):
        holdings.set(name, status=state, verification="never")
        assert refusal(holdings, *begun) == BUSY
    holdings.set(name, verification="ok")
    move(holdings, name, "present", "deletion_possible", "deletion_pending")
    holdings.run(*begun)
    with pytest.raises(IntegrityError, match="in_use"):
        holdings.take("schedule_deletion", name)
    move(holdings, name, "deletion_scheduled")
    going = sa.update(PhysicalCopy).where(PhysicalCopy.id == holdings.copies[name])
    assert refusal(holdings, going.values(status="deletion_in_progress")).startswith(KEPT)


def test_a_staging_that_has_not_chosen_what_it_reads_may_begin_beside_a_deletion(holdings: Any) -> None:
    move(holdings, "buffer", "deletion_scheduled", "deletion_in_progress")
    member = StagingJob.packages.property.secondary
    holdings.run(
        sa.insert(StagingJob).values(id=77, destination_location_id=holdings.places["scratch"]),
        sa.insert(member).values(staging_job_id=77, raw_data_package_id=PACKAGE),
    )


INVENTED: tuple[dict[str, str], ...] = (
    {"from_state": "present", "to_state": "deleted"},
    {"from_state": "staged", "to_state": "present"},
    {"from_state": "deletion_possible", "to_state": "deletion_possible"},
    {"entity": "site", "from_state": "present", "to_state": "deletion_possible"},
    {"attribute": "type", "from_state": "present", "to_state": "deletion_possible"},
    {"entity_key": "999", "from_state": "present", "to_state": "deletion_possible"},
)


def test_invariant_the_history_tells_of_no_move_that_was_not_made(holdings: Any) -> None:
    move(holdings, "buffer", "deletion_possible")
    key = str(holdings.copies["buffer"])
    for line in INVENTED:
        told = {"entity": "physical_copy", "attribute": "status", "entity_key": key, "verb": "offer"} | line
        sentence = refusal(holdings, sa.insert(LifecycleMove.__table__).values(told))
        assert sentence.startswith("the history of states is written by the moves alone"), line
    assert len(holdings.history("buffer")) == 1


@pytest.mark.parametrize("engine_name", ["postgresql"], indirect=True)
@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
def test_invariant_nothing_is_decided_on_what_is_no_longer_so(holdings: Any, level: str) -> None:
    """Other isolations show the state that the transaction began with."""
    move(holdings, "buffer", "deletion_scheduled")
    going = sa.update(PhysicalCopy).where(PhysicalCopy.id == holdings.copies["buffer"])
    for statement in (going.values(status="deletion_in_progress"), *archiving(holdings, "tape", "scratch")):
        with (
            pytest.raises(sa.exc.IntegrityError, match="transactions of the isolation READ COMMITTED"),
            holdings.database.engine.connect().execution_options(isolation_level=level) as connection,
        ):
            connection.execute(statement)
