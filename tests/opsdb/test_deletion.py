"""Which copies may go: by hand, and in any order of events against a model; on both engines."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from catalog.db import Database
from catalog.db.clock import read_clock
from catalog.errors import IntegrityError, NotFoundError, UsageError
from catalog.opsdb.enums import Verification
from catalog.opsdb.lifecycle import deletion
from catalog.opsdb.lifecycle.copies import CopyService
from catalog.opsdb.lifecycle.deletion import CopyStep
from catalog.opsdb.lifecycle.risk import Risk
from catalog.opsdb.lifecycle.rules import DeletionRules
from catalog.opsdb.lifecycle.survivors import Refusal, read_survivors
from catalog.opsdb.models import (
    DataLocation,
    DataTransfer,
    DataTransferPackage,
    DataTransferPackagePhysicalCopy,
    DataTransferRoute,
    LongTermArchiveTransfer,
    PhysicalCopy,
    RawDataFile,
    RawDataPackage,
    RawDataPackagePhysicalCopy,
    StagingJob,
)

PACKAGE = UUID("00000000-0000-4000-8000-000000000001")
DID = f"ivo://ccat.example/raw?{PACKAGE}"
SECOND_PACKAGE = UUID("00000000-0000-4000-8000-000000000002")
FILE = UUID("00000000-0000-4000-8000-00000000000f")
TRANSFER_PACKAGE = UUID("00000000-0000-4000-8000-0000000000dd")
RULES = DeletionRules()
Force = Callable[[Database, sa.Executable], None]
ARCHIVES = ("archive", "tape", "cornell")


def test_invariant_a_buffer_copy_is_freed_step_by_step_and_the_history_names_the_survivors(holdings: Any) -> None:
    change = holdings.take("request_deletion", "buffer", reason="the buffer is full")
    assert (change.before, change.after) == ("present", "deletion_pending")
    assert holdings.take("schedule_deletion", "buffer").after == "deletion_scheduled"
    assert holdings.take("start_deletion", "buffer").after == "deletion_in_progress"
    assert holdings.take("confirm_deleted", "buffer").after == "deleted"
    lines = holdings.history("buffer")
    assert [line["verb"] for line in lines] == ["offer", "request", "schedule", "start", "confirm"]
    assert lines[0]["actor"] == "ada"
    assert lines[0]["reason"] == "the buffer is full"
    assert lines[3]["evidence"]["survivors"] == 3
    assert [survivor["location"] for survivor in lines[3]["survivors"]] == ["archive", "tape", "cornell"]


def test_invariant_an_archive_copy_goes_only_while_two_sites_keep_one(holdings: Any) -> None:
    for name in ("archive", "tape"):  # both in Cologne
        assert holdings.refusal(name) is None
    assert holdings.refusal("cornell") is Refusal.TOO_FEW_SITES
    holdings.take("request_deletion", "tape")
    assert holdings.refusal("archive") is Refusal.TOO_FEW_SITES
    with pytest.raises(IntegrityError, match=r"at too few sites \(too_few_sites\)"):
        holdings.take("schedule_deletion", "archive")
    assert holdings.status("archive") == "present"
    assert holdings.refusal("archive", DeletionRules(archive_sites=1)) is None
    assert holdings.refusal("tape", DeletionRules(archive_media=3)) is Refusal.TOO_FEW_MEDIA


@pytest.mark.parametrize("name", ["buffer", "scratch", "file"])
def test_invariant_the_last_survivor_holds_every_other_copy(holdings: Any, name: str) -> None:
    assert holdings.refusal(name) is None
    for gone in ("archive", "tape"):
        holdings.set(gone, verification="missing")
    assert holdings.refusal("buffer") is None
    holdings.set("cornell", verification="unreachable")
    assert holdings.refusal(name) is Refusal.NO_SURVIVOR
    for archive in ARCHIVES:
        assert holdings.refusal(archive) is Refusal.NO_SURVIVOR


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        (sa.update(PhysicalCopy).values(verification="never"), Refusal.NO_SURVIVOR),
        (sa.update(PhysicalCopy).values(verified_at=None), Refusal.NO_SURVIVOR),
        (sa.update(PhysicalCopy).values(checksum="ff", checksum_algorithm="sha256"), Refusal.NO_SURVIVOR),
        (sa.update(PhysicalCopy).values(checksum="ff", checksum_algorithm="md5"), None),
        (sa.update(PhysicalCopy).values(status="deletion_possible"), Refusal.NO_SURVIVOR),
        (sa.update(DataLocation).values(active=False), Refusal.NO_SURVIVOR),
        (sa.update(RawDataPackage).values(state="failed"), Refusal.NOT_ARCHIVED),
    ],
)
def test_invariant_only_whole_copies_in_use_count(
    holdings: Any, statement: sa.Executable, expected: Refusal | None
) -> None:
    assert holdings.refusal("buffer") is None
    holdings.run(statement)
    assert holdings.refusal("buffer") is expected


@pytest.mark.parametrize(("days", "expected"), [(-366, Refusal.NO_SURVIVOR), (-364, None), (1, Refusal.NO_SURVIVOR)])
def test_invariant_old_verifications_and_skewed_clocks_do_not_count(
    holdings: Any, days: int, expected: Refusal | None
) -> None:
    with holdings.database.engine.connect() as connection:
        moment = read_clock(connection) + timedelta(days=days)
    holdings.run(sa.update(PhysicalCopy).values(verified_at=moment))
    assert holdings.refusal("buffer") is expected


def test_invariant_what_a_transfer_or_a_staging_reads_stays(holdings: Any) -> None:
    ends = {"origin_location_id": holdings.places["buffer"], "destination_location_id": holdings.places["tape"]}
    archiving = sa.insert(LongTermArchiveTransfer).values(raw_data_package_id=PACKAGE, **ends)
    holdings.run(archiving)
    assert holdings.refusal("buffer") is Refusal.IN_USE
    assert holdings.refusal("tape") is Refusal.IN_USE
    assert holdings.refusal("archive") is Refusal.TOO_FEW_SITES  # what arrives on tape does not count
    assert holdings.refusal("scratch") is None
    holdings.run(sa.update(LongTermArchiveTransfer).values(status="failed"))
    assert holdings.refusal("buffer") is None
    with holdings.database.session() as session:
        package = session.get_one(RawDataPackage, PACKAGE)
        session.add(StagingJob(destination_location_id=holdings.places["scratch"], packages=[package]))
        session.commit()
    for name in ("buffer", *ARCHIVES, "scratch"):  # from wherever it is read
        assert holdings.refusal(name) is Refusal.IN_USE


def test_invariant_a_transfer_package_goes_only_when_every_package_in_it_is_safe(holdings: Any) -> None:
    assert holdings.refusal("transfer") is Refusal.NOT_ARCHIVED
    holdings.run(sa.update(RawDataPackage).where(RawDataPackage.id == SECOND_PACKAGE).values(state="archived"))
    assert holdings.refusal("transfer") is Refusal.NO_SURVIVOR
    with holdings.database.session() as session:
        now = read_clock(session.connection())
        copy = RawDataPackagePhysicalCopy(
            raw_data_package_id=SECOND_PACKAGE, data_location_id=holdings.places["cornell"]
        )
        copy.verification, copy.verified_at = Verification.OK, now
        session.add(copy)
        session.commit()
    assert holdings.refusal("transfer") is None
    route = {"name": "r", "method": "bbcp", "origin_site_id": 1, "destination_site_id": 2}
    ends = {"origin_location_id": holdings.places["buffer"], "destination_location_id": holdings.places["archive"]}
    with holdings.database.session() as session:
        session.add(made := DataTransferRoute(**route))
        session.flush()
        session.add(DataTransfer(data_transfer_package_id=TRANSFER_PACKAGE, data_transfer_route_id=made.id, **ends))
        session.commit()
    assert holdings.refusal("transfer") is Refusal.IN_USE
    assert holdings.refusal("buffer") is Refusal.IN_USE


def test_invariant_unknown_contents_stay(holdings: Any, force: Force) -> None:
    with holdings.database.session() as session:
        empty = DataTransferPackage(id=UUID(int=5), name="empty", relative_path="e")
        copy: PhysicalCopy = DataTransferPackagePhysicalCopy(
            data_transfer_package=empty, data_location_id=holdings.places["buffer"]
        )
        session.add(copy)
        session.commit()
        holdings.copies["empty"] = copy.id
    assert holdings.refusal("empty") is Refusal.CONTENTS_UNKNOWN
    force(holdings.database, sa.update(RawDataFile).where(RawDataFile.id == FILE).values(raw_data_package_id=None))
    assert holdings.refusal("file") is Refusal.NOT_PACKAGED


def test_invariant_the_guard_runs_again_when_the_deletion_starts(holdings: Any) -> None:
    holdings.take("schedule_deletion", "buffer")
    for archive in ARCHIVES:
        holdings.set(archive, verification="mismatch")
    with pytest.raises(IntegrityError, match="no verified copy"):
        holdings.take("start_deletion", "buffer")
    assert holdings.status("buffer") == "deletion_scheduled"
    assert holdings.take("cancel_deletion", "buffer").after == "present"


def test_invariant_unpacking_destroys_an_archive_and_is_guarded_as_a_deletion(holdings: Any) -> None:
    with pytest.raises(IntegrityError, match="only at a processing location"):
        holdings.take("unpack", "buffer")
    assert holdings.take("unpack", "scratch").after == "staged"
    assert holdings.take("unpack", "scratch").before == "staged"
    assert holdings.take("restore", "scratch").after == "present"
    for archive in ARCHIVES:
        holdings.set(archive, verification="mismatch")
    with pytest.raises(IntegrityError, match="no verified copy"):
        holdings.take("unpack", "scratch")


def test_invariant_steps_are_repeated_without_effect_and_come_in_order(holdings: Any) -> None:
    for early in ("start_deletion", "confirm_deleted", "deletion_failed", "restore"):
        if early == "restore":
            assert holdings.take(early, "buffer").after == "present"
            continue
        with pytest.raises(IntegrityError, match="it is 'present', not"):
            holdings.take(early, "buffer")
    for step in ("request_deletion", "schedule_deletion", "start_deletion", "confirm_deleted"):
        first, again = holdings.take(step, "buffer"), holdings.take(step, "buffer")
        assert again.before == again.after == first.after
    for late in ("request_deletion", "schedule_deletion", "start_deletion"):
        assert holdings.take(late, "buffer").after == "deleted"
    for wrong in ("cancel_deletion", "deletion_failed", "unpack"):
        with pytest.raises(IntegrityError):
            holdings.take(wrong, "scratch" if wrong == "deletion_failed" else "buffer")
    assert len(holdings.history("buffer")) == 5


def test_invariant_a_failed_deletion_is_tried_again_or_taken_back_after_a_verification(holdings: Any) -> None:
    for step in ("schedule_deletion", "start_deletion", "deletion_failed"):
        holdings.take(step, "tape")
    assert holdings.refusal("archive") is Refusal.TOO_FEW_SITES
    with pytest.raises(IntegrityError, match="since then it was not found whole"):
        holdings.take("keep", "tape")
    with holdings.database.begin() as connection:
        deletion.record_verification(connection, holdings.copies["tape"], Verification.OK)
    assert holdings.take("keep", "tape").after == "present"
    assert holdings.refusal("archive") is None
    for step in ("schedule_deletion", "start_deletion", "deletion_failed", "schedule_deletion", "start_deletion"):
        holdings.take(step, "tape")


def test_unknown_copies_and_impossible_verifications_are_refused(holdings: Any) -> None:
    holdings.copies["none"] = 999
    with pytest.raises(NotFoundError, match="there is no copy 999"):
        holdings.take("request_deletion", "none")
    with holdings.database.begin() as connection:
        now = read_clock(connection)
        for outcome, when, kind in (
            (Verification.NEVER, None, UsageError),
            (Verification.OK, now + timedelta(days=1), UsageError),
            (Verification.OK, now - timedelta(days=1), IntegrityError),
        ):
            with pytest.raises(kind):
                deletion.record_verification(connection, holdings.copies["tape"], outcome, verified_at=when)


def test_invariant_copies_outside_of_archives_do_not_count(holdings: Any) -> None:
    with holdings.database.begin() as connection:
        for name in ("buffer", "scratch"):
            deletion.record_verification(connection, holdings.copies[name], Verification.OK)
        for name in ARCHIVES:
            deletion.record_verification(connection, holdings.copies[name], Verification.MISSING)
    for name in ("buffer", "scratch"):
        assert holdings.refusal(name) is Refusal.NO_SURVIVOR


def test_a_package_is_proved_safe_or_told_why_not(holdings: Any) -> None:
    service = CopyService(holdings.database, RULES)
    proof = service.prove(DID)
    assert [survivor.site for survivor in proof.survivors] == ["cologne", "cologne", "cornell"]
    assert proof.refusal is None
    assert service.prove(DID, without_site="ccat").refusal is None
    assert service.prove(DID, without_site="cologne").refusal is Refusal.TOO_FEW_SITES
    holdings.set("cornell", verification="unreachable")
    assert service.prove(DID).refusal is Refusal.TOO_FEW_SITES
    assert service.prove(DID, without_site="cologne").refusal is Refusal.NO_SURVIVOR
    with pytest.raises(NotFoundError, match="there is no site bonn"):
        service.prove(DID, without_site="bonn")
    with pytest.raises(NotFoundError, match="no package has the identifier"):
        service.prove("ivo://ccat.example/raw?none")


def test_packages_at_risk_are_found_with_the_reason(holdings: Any) -> None:
    service = CopyService(holdings.database, RULES)
    assert list(service.at_risk()) == []
    moment = datetime(2001, 1, 1, tzinfo=UTC)
    for name in ("tape", "cornell"):
        holdings.set(name, verified_at=moment)
    found = [(finding.did, finding.risk, finding.sites) for finding in service.at_risk()]
    assert found == [(DID, Risk.BELOW_RULE, 1), (DID, Risk.VERIFICATION_EXPIRED, 1)]
    for name in (*ARCHIVES, "scratch"):
        holdings.set(name, verification="missing")
    assert [finding.risk for finding in service.at_risk()] == [Risk.BELOW_RULE, Risk.ONLY_TRANSIENT]


def test_the_service_keeps_the_history_of_a_package_and_wants_a_name(holdings: Any) -> None:
    service = CopyService(holdings.database, RULES)
    with pytest.raises(UsageError, match="who acts"):
        service.take(CopyStep.REQUEST, holdings.copies["buffer"], actor=" ")
    assert [change.fault for change in service.rehearse(CopyStep.REQUEST, [holdings.copies["buffer"]])] == [None]
    service.take(CopyStep.REQUEST, holdings.copies["buffer"], actor="ada", reason="full")
    service.verify(holdings.copies["tape"], Verification.OK)
    moves = [move for move in service.history(DID) if move.subject != "package"]
    assert [(move.verb, move.actor, move.reason) for move in moves] == [
        ("offer", "ada", "full"),
        ("request", "ada", "full"),
    ]
    assert {copy.location: copy.status for copy in service.copies(DID)}["buffer"] == "deletion_pending"


def test_without_a_site_its_copies_do_not_count(holdings: Any) -> None:
    assert holdings.refusal("buffer", without_site="cologne") is None
    assert holdings.refusal("tape", without_site="cornell") is Refusal.TOO_FEW_SITES
    with holdings.database.engine.connect() as connection:
        left = read_survivors(connection, [PACKAGE], RULES, without_site="cologne")
    assert [survivor.location for survivor in left] == ["cornell"]
