"""Packages are staged where they are processed: asked for once, brought by one mover, and recorded."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from catalog import Catalog, open_catalog
from catalog.cli import main
from catalog.db import Database
from catalog.errors import IntegrityError, NotFoundError, UsageError
from catalog.opsdb.enums import PhysicalCopyStatus, Status, Verification
from catalog.opsdb.lifecycle.deletion import CopyStep
from catalog.opsdb.models import (
    DataLocation,
    DiskDataLocation,
    LifecycleMove,
    PackagePublication,
    PhysicalCopy,
    RawDataPackage,
    RawDataPackagePhysicalCopy,
    Site,
    StagingJob,
    User,
    staging_job_package,
)
from catalog.opsdb.staging import StagingRequest, StagingService
from catalog.opsdb.work import RetryRules

PACKAGE = UUID("00000000-0000-4000-8000-000000000001")
DID = f"ivo://ccat.example/raw?{PACKAGE}"
PLACE = "cologne/scratch"


@pytest.fixture
def catalog(observed: Database) -> Iterator[Catalog]:
    """A catalog with a processing location, where nothing is staged yet."""
    with open_catalog(observed.engine.url.render_as_string(hide_password=False)) as opened:
        opened.init()
        with opened.session() as session:
            session.execute(sa.update(StagingJob).values(status=Status.FAILED))
            session.execute(sa.update(RawDataPackage).values(state="archived"))
            cologne = session.scalars(sa.select(Site).where(Site.key == "cologne")).one()
            session.add(DiskDataLocation(site=cologne, name="scratch", location_type="processing", path="/x"))
            session.commit()
        yield opened


@pytest.fixture
def staging(catalog: Catalog) -> StagingService:
    """Tries each job twice, without a rest."""
    return StagingService(catalog.database, RetryRules(attempts=2, backoff_s=0), catalog.database.begin)


def copies(catalog: Catalog) -> dict[str, tuple[int, PhysicalCopyStatus, Verification]]:
    """Copies of the package, by the names of their locations."""
    query = sa.select(DataLocation.name, PhysicalCopy.id, PhysicalCopy.status, PhysicalCopy.verification)
    with catalog.database.engine.connect() as connection:
        rows = connection.execute(query.join(PhysicalCopy).where(PhysicalCopy.raw_data_package_id == PACKAGE))
        return {name: (key, status, found) for name, key, status, found in rows}


def test_a_package_is_staged_and_what_is_repeated_changes_nothing(catalog: Catalog, staging: StagingService) -> None:
    asked = staging.request([DID, DID], PLACE, actor="ada")
    assert asked == StagingRequest(asked.job_id, 1, 0, 0)
    assert staging.request([DID], PLACE, actor="bob") == StagingRequest(None, 0, 0, 1)
    task = staging.take(actor="mover", location=PLACE)
    assert task is not None
    assert (task.job_id, task.attempt, task.status, task.packages) == (asked.job_id, 1, Status.IN_PROGRESS, 1)
    assert task.destination == PLACE
    assert staging.take(actor="mover") is None
    assert staging.start(task.job_id, actor="mover") == task
    with pytest.raises(IntegrityError, match="is being done by mover"):
        staging.start(task.job_id, actor="another")
    with pytest.raises(IntegrityError, match="cannot be cancelled"):
        staging.cancel(task.job_id, actor="ada", reason="no need")

    for is_new in (True, False):
        change = staging.complete(task.job_id, attempt=1, actor="mover", is_verified=True)
        assert (change.is_new, change.after) == (is_new, Status.COMPLETED)
    assert copies(catalog)["scratch"][1:] == (PhysicalCopyStatus.STAGED, Verification.OK)
    assert staging.request([DID], PLACE, actor="ada") == StagingRequest(None, 0, 1, 0)
    with pytest.raises(IntegrityError, match="completed already"):
        staging.fail(task.job_id, attempt=1, reason="too late", actor="mover")

    with catalog.database.engine.connect() as connection:
        lines = sa.select(LifecycleMove.verb, LifecycleMove.actor).where(
            LifecycleMove.entity == "staging_job", LifecycleMove.entity_key == str(task.job_id)
        )
        assert [tuple(line) for line in connection.execute(lines.order_by(LifecycleMove.id))] == [
            ("start", "mover"),
            ("complete", "mover"),
        ]
        job = sa.select(User.username).join(StagingJob, StagingJob.requested_by_user_id == User.id)
        assert connection.scalars(job.where(StagingJob.id == task.job_id)).one() == "ada"


def test_a_staged_copy_is_restored_and_given_up_as_any_other(catalog: Catalog, staging: StagingService) -> None:
    staged(staging, is_verified=True)
    (archive, *_), (scratch, *_) = copies(catalog)["archive"], copies(catalog)["scratch"]
    assert catalog.copies.take(CopyStep.RESTORE, scratch, actor="ada").after is PhysicalCopyStatus.PRESENT
    assert copies(catalog)["scratch"][2] is Verification.NEVER, "nobody has compared the new archive"
    with pytest.raises(IntegrityError, match="no_survivor"):
        catalog.copies.take(CopyStep.UNPACK, scratch, actor="ada")
    catalog.copies.verify(archive, Verification.OK)
    assert catalog.copies.take(CopyStep.UNPACK, scratch, actor="ada").after is PhysicalCopyStatus.STAGED
    for step in (CopyStep.SCHEDULE, CopyStep.START, CopyStep.CONFIRM):
        catalog.copies.take(step, scratch, actor="ada")
    assert staging.request([DID], PLACE, actor="ada").packages == 1, "once more, as a new copy"


def staged(staging: StagingService, **facts: Any) -> None:
    staging.request([DID], PLACE, actor="ada")
    task = staging.take(actor="mover")
    assert task is not None
    staging.complete(task.job_id, attempt=task.attempt, actor="mover", **facts)


def test_invariant_a_staged_copy_is_never_counted_on(catalog: Catalog, staging: StagingService) -> None:
    staged(staging, is_verified=True)
    assert catalog.copies.prove(DID).survivors == ()
    buffer, _, _ = copies(catalog)["buffer"]
    with pytest.raises(IntegrityError, match="no_survivor"):
        catalog.copies.take(CopyStep.SCHEDULE, buffer, actor="ada")


def test_invariant_what_a_staging_may_read_stays_until_it_is_over(catalog: Catalog, staging: StagingService) -> None:
    archive, buffer = copies(catalog)["archive"][0], copies(catalog)["buffer"][0]
    catalog.copies.verify(archive, Verification.OK)
    job = staging.request([DID], PLACE, actor="ada").job_id
    assert job is not None
    with pytest.raises(IntegrityError, match="in_use"):
        catalog.copies.take(CopyStep.SCHEDULE, buffer, actor="ada")
    change = staging.cancel(job, actor="ada", reason="no need")
    assert (change.before, change.after) == (Status.PENDING, Status.FAILED)
    assert not staging.cancel(job, actor="ada", reason="no need").is_new
    catalog.copies.take(CopyStep.SCHEDULE, buffer, actor="ada")


def test_a_job_is_tried_until_its_attempts_are_used_up(staging: StagingService) -> None:
    job = staging.request([DID], PLACE, actor="ada").job_id
    assert job is not None
    for attempt, after in ((1, Status.PENDING), (2, Status.FAILED)):
        task = staging.take(actor="mover")
        assert task is not None
        assert task.attempt == attempt
        assert staging.fail(job, attempt=attempt, reason="no room", actor="mover").after is after
        assert not staging.fail(job, attempt=attempt, reason="no room", actor="mover").is_new or after is Status.FAILED
    assert staging.take(actor="mover") is None
    (record,) = [record for record in staging.jobs(everything=True) if record.job_id == job]
    assert (record.status, record.retry_count, record.failure) == (Status.FAILED, 2, "no room")
    assert list(staging.jobs()) == []
    assert staging.request([DID], PLACE, actor="ada").packages == 1, "what has failed may be asked for again"


def test_what_cannot_be_staged_is_refused_with_the_reason(catalog: Catalog, staging: StagingService) -> None:
    for dids, place, fault, words in (
        ([DID], "cologne/archive", IntegrityError, "staged at a processing location"),
        ([DID], "cologne/none", NotFoundError, "no location cologne/none"),
        ([DID, "ivo://x/y?z"], PLACE, NotFoundError, "no package has the identifier ivo://x/y?z"),
        ([], PLACE, UsageError, "no package is named"),
    ):
        with pytest.raises(fault, match=words.replace("?", r"\?")):
            staging.request(dids, place, actor="ada")
    with pytest.raises(UsageError, match="name somebody"):
        staging.request([DID], PLACE, actor="")
    with pytest.raises(NotFoundError, match="no staging job 999"):
        list(staging.contents(999))
    mine = sa.update(PhysicalCopy).where(PhysicalCopy.raw_data_package_id == PACKAGE)
    with catalog.database.begin() as connection:
        connection.execute(mine.values(verification=Verification.MISSING))
    with pytest.raises(IntegrityError, match=r"no copy of .* can be read"):
        staging.request([DID], PLACE, actor="ada")
    with catalog.session() as session:
        session.execute(mine.values(verification=Verification.OK, verified_at=sa.func.now()))
        scratch = session.scalars(sa.select(DataLocation).where(DataLocation.name == "scratch")).one()
        session.add(
            RawDataPackagePhysicalCopy(raw_data_package_id=PACKAGE, location=scratch, status="deletion_pending")
        )
        session.commit()
    with pytest.raises(IntegrityError, match="is 'deletion_pending'; it is being given up"):
        staging.request([DID], PLACE, actor="ada")
    with catalog.database.engine.connect() as connection:
        assert connection.scalar(sa.select(sa.func.count()).where(StagingJob.status != Status.FAILED)) == 0


def test_the_best_copy_is_named_for_each_package(catalog: Catalog, staging: StagingService) -> None:
    job = staging.request([DID], PLACE, actor="ada").job_id
    assert job is not None
    for change, best in (
        ({}, "cologne/archive"),
        ({"archive": {"verification": Verification.UNREACHABLE}}, "cologne/archive"),
        ({"buffer": {"verification": Verification.OK}}, "ccat/buffer"),
        ({"archive": {"verification": Verification.MISSING}, "buffer": {"verification": Verification.MISSING}}, None),
    ):
        with catalog.database.begin() as connection:
            for name, values in change.items():
                copy = sa.update(PhysicalCopy).where(PhysicalCopy.id == copies(catalog)[name][0])
                connection.execute(copy.values(values))
        (package,) = staging.contents(job)
        assert package.origin == best
    assert (package.relative_path, package.size_bytes) == (f"2026/05/{PACKAGE}.tar", 10_240)


def add_packages(catalog: Catalog, count: int) -> list[str]:
    """Published packages that the archive holds."""
    dids = []
    with catalog.database.session() as session:
        model = session.get_one(RawDataPackage, PACKAGE)
        archive = session.scalars(sa.select(DataLocation).where(DataLocation.name == "archive")).one()
        for number in range(count):
            key = UUID(int=number)
            session.add(
                RawDataPackage(
                    id=key,
                    executed_obs_unit_id=model.executed_obs_unit_id,
                    instrument_module_id=model.instrument_module_id,
                    sequence=100 + number,
                    name="p",
                    relative_path=f"{number:03}.tar",
                )
            )
            session.flush()
            dids.append(f"ivo://ccat.example/raw?{key}")
            session.add(RawDataPackagePhysicalCopy(raw_data_package_id=key, location=archive))
            session.add(PackagePublication(raw_data_package_id=key, obs_publisher_did=dids[-1]))
        session.commit()
    return dids


def test_invariant_many_who_ask_at_once_make_one_job_and_many_movers_never_share_one(
    catalog: Catalog, staging: StagingService
) -> None:
    dids = add_packages(catalog, 12)
    with ThreadPoolExecutor(6) as pool:
        asked = list(pool.map(lambda who: staging.request(dids, PLACE, actor=f"asker {who}"), range(6)))
        assert sorted(request.packages for request in asked) == [0] * 5 + [12]
        single = [did for did in dids for _ in range(2)]
        list(pool.map(lambda did: staging.request([did], "cologne/scratch", actor="again"), single))
    with catalog.database.begin() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(staging_job_package)) == 12 + 2
        place = connection.scalar(sa.select(DataLocation.id).where(DataLocation.name == "scratch"))
        connection.execute(sa.insert(StagingJob), [{"destination_location_id": place}] * 20)

    def work(who: int) -> list[int]:
        taken = []
        while (task := staging.take(actor=f"mover {who}")) is not None:
            taken.append(task.job_id)
            staging.complete(task.job_id, attempt=1, actor=f"mover {who}")
        return taken

    with ThreadPoolExecutor(6) as pool:
        taken = [job for jobs in pool.map(work, range(6)) for job in jobs]
    assert len(taken) == len(set(taken)) == 21


def test_the_commands_say_what_they_did(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in os.environ if name.startswith("CATALOG_")]:
        monkeypatch.delenv(name)
    url = catalog.database.engine.url.render_as_string(hide_password=False)

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["catalog", "staging", *map(str, arguments), "--db", url])
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main()
        said = capsys.readouterr()
        return int(str(end.value.code)), said.out, said.err

    assert run("start")[::2] == (1, "no staging is due now\n")
    asked = json.loads(run("request", DID, "--location", PLACE, "--json")[1])
    job = asked["job_id"]
    assert run("request", DID, "--location", PLACE)[2] == "nothing has to be brought; 0 are there, 1 under way\n"
    assert run("list")[1] == f"{job}  {PLACE}  packages: 1  pending\n"
    assert run("contents", job)[1].startswith(f"2026/05/{PACKAGE}.tar\tcologne/archive\t10240\tsha256:abab")
    told = f"the job {job} is 'in_progress', attempt 1: packages: 1, to {PLACE}\n"
    assert run("start", "--location", PLACE, "--actor", "m")[2] == told
    assert run("fail", job, "--attempt", 1, "--reason", "no room", "--actor", "m")[2] == f"the job {job} is 'pending'\n"
    assert json.loads(run("list", "--json")[1])["jobs"][0]["failure"] == "no room"
    assert run("start", job, "--actor", "m")[0] == 0
    assert run("complete", job, "--attempt", 2, "--packed", "--actor", "m")[2] == f"the job {job} is 'completed'\n"
    assert copies(catalog)["scratch"][1] is PhysicalCopyStatus.PRESENT
    assert run("complete", job, "--attempt", 2)[2] == f"the job {job} is 'completed'; nothing is changed\n"
    assert run("cancel", job, "--reason", "x")[0] == 1
    assert run("list", "--all", "--json")[0] == 0
