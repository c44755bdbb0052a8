"""What callers may do: make, change, list, run, abort and delete jobs; limits, owners, quotas, destruction."""

from __future__ import annotations

import io
import os
import resource
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from threading import Barrier
from typing import Any

import pytest

from catalog.errors import (
    AuthorizationError,
    NotFoundError,
    ParameterError,
    PhaseError,
    QueryError,
    QuotaError,
    ResourceLimitError,
    SettingsError,
    UnavailableError,
)
from catalog.uws.job import Client, Job
from catalog.uws.phase import Phase
from catalog.uws.results import ResultStore
from catalog.uws.store import JobStore
from catalog.uws.tables import job as job_table
from catalog.uws.tables import job_layout

ALICE, BOB = Client(owner="alice"), Client(owner="bob")
HERE, THERE, NOWHERE = Client(origin="192.0.2.1"), Client(origin="192.0.2.2"), Client()


def test_a_new_job_is_pending_with_its_parameters_as_they_were_spelt(house: Any) -> None:
    pairs = [("Query", "SELECT 'é'\n"), ("LANG", "ADQL"), ("RunId", "night 7"), ("", "nameless")]
    job = house.jobs.create(pairs, client=ALICE)
    assert job.phase is Phase.PENDING
    assert job.pairs() == pairs[:3]
    assert job.run_id == "night 7"
    assert job.owner == "alice"
    assert job.values("QUERY") == ["SELECT 'é'\n"]
    assert (job.started, job.ended, job.results, job.error, job.progress) == (None, None, (), None, None)
    assert len(job.id) == 32
    assert house.jobs.get(job.id, client=ALICE) == job


def test_another_process_sees_the_same_job(open_house: Callable[..., Any]) -> None:
    job = open_house().jobs.create([("QUERY", "x")], client=ALICE, files=[])
    assert open_house().jobs.get(job.id, client=ALICE) == job


def test_new_parameters_replace_old_ones_and_uploads_are_added(house: Any) -> None:
    job = house.jobs.create([("QUERY", "a"), ("UPLOAD", "t,http://x/"), ("MAXREC", "1")], client=ALICE)
    changed = house.jobs.add_parameters(
        job.id, [("query", "b"), ("runId", "new"), ("upload", "u,http://y/"), ("upload", "v,http://z/")], client=ALICE
    )
    assert changed.pairs() == [
        ("UPLOAD", "t,http://x/"),
        ("MAXREC", "1"),
        ("query", "b"),
        ("runId", "new"),
        ("upload", "u,http://y/"),
        ("upload", "v,http://z/"),
    ]
    assert changed.run_id == "new"


def test_files_come_along_and_the_later_one_counts(house: Any) -> None:
    first = house.jobs.create([("UPLOAD", "t,param:file")], client=ALICE, files=[house.part("file", b"old")])
    again = house.jobs.add_parameters(first.id, [], client=ALICE, files=[house.part("file", b"new", "text/xml")])
    stored = [each.file for each in again.parameters if each.file]
    assert [(each.size, each.content_type) for each in stored] == [(3, "text/xml")]
    with house.jobs.open(stored[0]) as file:
        assert file.read() == b"new"
    with house.jobs.open(stored[0], start=2) as file:
        assert file.read() == b"w"


@pytest.mark.parametrize(
    "pairs",
    [
        [("QUERY", "a"), ("query", "b")],
        [("PHASE", "RUN"), ("phase", "RUN")],
        [("PHASE", "EXECUTE")],
        [("EXECUTIONDURATION", "-1")],
        [("EXECUTIONDURATION", "1e3")],
        [("DESTRUCTION", "tomorrow")],
        [("RUNID", "x" * 65)],
    ],
)
def test_what_cannot_be_is_refused_and_leaves_nothing(house: Any, pairs: list[tuple[str, str]]) -> None:
    with pytest.raises(ParameterError, match=pairs[0][0]):
        house.jobs.create(pairs, client=ALICE, files=[house.part("file", b"abc")])
    assert house.jobs.list(client=ALICE) == []
    assert house.paths() == set()


@pytest.mark.parametrize("text", ["a\0b", "a\ud800b"])
def test_what_no_database_stores_is_refused(house: Any, text: str) -> None:
    for pairs in ([("QUERY", text)], [(text, "x")], [("RUNID", text)]):
        with pytest.raises(ParameterError, match="no text"):
            house.jobs.create(pairs, client=ALICE)
    for file in (house.part(text, b""), house.part("f", b"", text)):
        with pytest.raises(ParameterError, match="no text"):
            house.jobs.create([], client=ALICE, files=[file])
    for job_id in (text, "", "x" * 100_000):
        with pytest.raises(NotFoundError):
            house.jobs.get(job_id, client=ALICE)
    assert house.paths() == set()


def test_too_many_parameters_are_refused_also_bit_by_bit(house: Any) -> None:
    job = house.jobs.create([(f"P{n}", "") for n in range(200)], client=ALICE)
    with pytest.raises(ResourceLimitError, match="200"):
        house.jobs.add_parameters(job.id, [("Q", "")], client=ALICE, files=[house.part("f", b"x")])
    with pytest.raises(ResourceLimitError, match="characters"):
        house.jobs.add_parameters(job.id, [("P1", "x" * (8 * 1024 * 1024))], client=ALICE)
    assert len(house.get(job.id).parameters) == 200
    assert house.paths() == set()


def test_durations_and_destructions_are_cut_to_what_is_allowed(house: Any) -> None:
    job = house.jobs.create([], client=ALICE)
    assert job.execution_duration == 60
    assert job.destruction == job.created + timedelta(hours=1)
    for text, expected in (("0", 600), ("5", 5), ("600", 600), ("601", 600), ("999999999", 600)):
        assert house.jobs.set_execution_duration(job.id, text, client=ALICE).execution_duration == expected
    late = (job.created + timedelta(days=3)).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert house.jobs.set_destruction(job.id, late, client=ALICE).destruction == job.created + timedelta(days=1)
    soon = (job.created + timedelta(minutes=5)).replace(microsecond=0)
    changed = house.jobs.set_destruction(job.id, soon.strftime("%Y-%m-%dT%H:%M:%SZ"), client=ALICE)
    assert changed.destruction == soon
    both = house.jobs.create([("executionDuration", "7"), ("Destruction", "2999-01-01")], client=ALICE)
    assert (both.execution_duration, both.destruction) == (7, both.created + timedelta(days=1))


def test_a_finished_or_queued_job_is_not_changed(house: Any) -> None:
    job_id = house.queue(("QUERY", "a"))
    with pytest.raises(PhaseError, match="QUEUED"):
        house.jobs.set_execution_duration(job_id, "5", client=ALICE)
    with pytest.raises(PhaseError, match="QUEUED"):
        house.jobs.add_parameters(job_id, [("QUERY", "b")], client=ALICE, files=[house.part("f", b"x")])
    assert house.get(job_id).pairs() == [("QUERY", "a")]
    assert house.paths() == set()


def test_running_and_aborting_are_said_once_and_no_more(house: Any) -> None:
    job_id = house.jobs.create([], client=ALICE).id
    assert house.jobs.run(job_id, client=ALICE).phase is Phase.QUEUED
    assert house.jobs.run(job_id, client=ALICE).phase is Phase.QUEUED
    assert house.jobs.abort(job_id, client=ALICE).phase is Phase.ABORTED
    assert house.jobs.abort(job_id, client=ALICE).phase is Phase.ABORTED
    assert house.get(job_id).ended is not None
    with pytest.raises(PhaseError, match="ABORTED"):
        house.jobs.run(job_id, client=ALICE)


def test_what_is_wrong_shows_when_the_job_is_run_and_not_before(open_house: Callable[..., Any]) -> None:
    def check(job: Job) -> None:
        raise QueryError("no", code="unknown-column", line=2, column=3, length=4, hint="h", proposal="p")

    house = open_house(check=check)
    assert house.jobs.create([("QUERY", "x")], client=ALICE).phase is Phase.PENDING
    job = house.jobs.create([("QUERY", "x"), ("PHASE", "RUN")], client=ALICE)
    assert job.phase is Phase.ERROR
    fault = job.error.to_fault()
    assert isinstance(fault, QueryError)
    facts = (fault.message, fault.code, fault.line, fault.column, fault.length, fault.hint, fault.proposal)
    assert facts == ("no", "unknown-column", 2, 3, 4, "h", "p")
    with pytest.raises(PhaseError, match="ERROR"):
        house.jobs.abort(job.id, client=ALICE)


def test_a_check_that_cannot_be_made_now_leaves_the_job_as_it_was(open_house: Callable[..., Any]) -> None:
    def check(job: Job) -> None:
        raise UnavailableError("away")

    house = open_house(check=check)
    job = house.jobs.create([], client=ALICE)
    with pytest.raises(UnavailableError):
        house.jobs.run(job.id, client=ALICE)
    assert house.get(job.id).phase is Phase.PENDING


def test_jobs_of_others_are_theirs(house: Any) -> None:
    mine = house.jobs.create([], client=ALICE).id
    anonymous = house.jobs.create([], client=HERE).id
    for client in (BOB, HERE, NOWHERE, Client(owner="alicE")):
        for act in ("get", "run", "abort", "delete"):
            with pytest.raises(AuthorizationError):
                getattr(house.jobs, act)(mine, client=client)
        with pytest.raises(AuthorizationError):
            house.jobs.set_destruction(mine, "2030-01-01", client=client)
        with pytest.raises(AuthorizationError):
            house.jobs.set_execution_duration(mine, "1", client=client)
        with pytest.raises(AuthorizationError):
            house.jobs.add_parameters(mine, [], client=client)
    assert house.get(mine).phase is Phase.PENDING
    assert house.jobs.get(anonymous, client=THERE).id == anonymous


def test_lists_hold_ones_own_jobs_newest_first(house: Any) -> None:
    first = house.jobs.create([("RUNID", "one")], client=ALICE)
    second = house.jobs.create([("PHASE", "RUN")], client=ALICE)
    third = house.jobs.create([], client=ALICE)
    house.jobs.create([], client=BOB)
    house.jobs.create([], client=NOWHERE)
    here = house.jobs.create([], client=HERE)

    def listed(**filters: Any) -> list[str]:
        return [ref.id for ref in house.jobs.list(client=ALICE, **filters)]

    assert listed() == [third.id, second.id, first.id]
    assert listed(last=2) == [third.id, second.id]
    assert listed(phases=[Phase.PENDING]) == [third.id, first.id]
    assert listed(phases=[Phase.PENDING, Phase.QUEUED], last=2) == [third.id, second.id]
    assert listed(phases=[Phase.ARCHIVED]) == []
    assert listed(after=first.created) == [third.id, second.id]
    assert listed(after=datetime.now(UTC) + timedelta(days=1)) == []
    ref = house.jobs.list(client=ALICE)[-1]
    assert (ref.id, ref.phase, ref.run_id, ref.owner, ref.created) == (
        first.id,
        Phase.PENDING,
        "one",
        "alice",
        first.created,
    )
    assert [ref.id for ref in house.jobs.list(client=HERE)] == [here.id]
    assert house.jobs.list(client=THERE) == []
    assert house.jobs.list(client=NOWHERE) == []


def test_anonymous_lists_can_be_switched_off(open_house: Callable[..., Any]) -> None:
    house = open_house(list_anonymous=False)
    house.jobs.create([], client=HERE)
    house.jobs.create([], client=ALICE)
    assert house.jobs.list(client=HERE) == []
    assert len(house.jobs.list(client=ALICE)) == 1


def test_an_address_is_not_taken_for_a_name(house: Any) -> None:
    house.jobs.create([], client=Client(origin="alice"))
    assert house.jobs.list(client=ALICE) == []


def test_the_number_of_jobs_is_bounded_for_each_caller(open_house: Callable[..., Any]) -> None:
    house = open_house(jobs_per_caller=2)
    jobs = [house.jobs.create([], client=HERE) for _ in range(2)]
    with pytest.raises(QuotaError, match="at most 2") as refusal:
        house.jobs.create([], client=HERE, files=[house.part("f", b"abc")])
    assert 1 <= refusal.value.retry_after <= 3600
    assert house.paths() == set()
    house.jobs.create([], client=THERE)
    house.jobs.delete(jobs[0].id, client=HERE)
    house.jobs.create([], client=HERE)
    for _ in range(3):
        house.jobs.create([], client=NOWHERE)


def test_requests_at_one_time_do_not_pass_by_the_number_of_jobs(open_house: Callable[..., Any]) -> None:
    house = open_house(jobs_per_caller=5)
    start = Barrier(12)

    def create(_: int) -> bool:
        start.wait(timeout=20)
        try:
            house.jobs.create([], client=HERE)
        except QuotaError:
            return False
        return True

    with ThreadPoolExecutor(max_workers=12) as threads:
        made = list(threads.map(create, range(12)))
    assert made.count(True) == len(house.jobs.list(client=HERE)) == 5


def test_neighbours_in_a_network_of_ipv6_share_their_bounds_but_not_their_jobs(open_house: Callable[..., Any]) -> None:
    house = open_house(jobs_per_caller=2)
    first, second, other = (Client(origin=f"2001:db8:0:{end}") for end in ("1::1", "1:ffff::2", "2::1"))
    mine = house.jobs.create([], client=first)
    house.jobs.create([], client=second)
    with pytest.raises(QuotaError, match="at most 2"):
        house.jobs.create([], client=first)
    house.jobs.create([], client=other)
    assert [ref.id for ref in house.jobs.list(client=first)] == [mine.id]


def test_the_bytes_kept_are_bounded_for_each_caller(open_house: Callable[..., Any]) -> None:
    house = open_house(bytes_per_caller=10)
    full = house.jobs.create([], client=HERE, files=[house.part("f", b"0123456789")])
    job = house.jobs.create([], client=HERE)
    with pytest.raises(QuotaError, match="10 bytes"):
        house.jobs.run(job.id, client=HERE)
    assert house.get(job.id, HERE).phase is Phase.PENDING
    house.jobs.delete(full.id, client=HERE)
    assert house.jobs.run(job.id, client=HERE).phase is Phase.QUEUED


def test_uploads_count_among_the_bytes_kept_before_a_job_is_run(open_house: Callable[..., Any]) -> None:
    house = open_house(bytes_per_caller=10)
    with pytest.raises(QuotaError, match="at most 10"):
        house.jobs.create([], client=HERE, files=[house.part("f", b"012345"), house.part("g", b"678901")])
    assert house.paths() == set()
    job = house.jobs.create([], client=HERE, files=[house.part("f", b"01234567")])
    kept = house.paths()
    for client in (HERE, THERE):  # whoever knows the job: it counts for the one who made it
        with pytest.raises(QuotaError):
            house.jobs.add_parameters(job.id, [], client=client, files=[house.part("g", b"890")])
    assert house.paths() == kept
    house.jobs.add_parameters(job.id, [], client=HERE, files=[house.part("g", b"89")])
    with pytest.raises(QuotaError):
        house.jobs.create([], client=HERE, files=[house.part("f", b"0")])
    house.jobs.create([], client=THERE, files=[house.part("f", b"0123456789")])


def test_an_upload_that_is_replaced_takes_no_room_any_more(house: Any) -> None:
    job = house.jobs.create([], client=HERE, files=[house.part("f", b"old"), house.part("g", b"other")])
    for content in (b"newer", b"newest"):
        job = house.jobs.add_parameters(job.id, [], client=HERE, files=[house.part("f", content)])
    assert house.paths() == {each.file.path for each in job.parameters}
    assert sorted(each.file.size for each in job.parameters) == [5, 6]


def test_a_deleted_job_leaves_nothing(house: Any) -> None:
    job = house.jobs.create([("QUERY", "x")], client=ALICE, files=[house.part("f", b"abc")])
    assert len(house.paths()) == 1
    house.jobs.delete(job.id, client=ALICE)
    assert house.paths() == set()
    for act in ("get", "run", "abort", "delete"):
        with pytest.raises(NotFoundError):
            getattr(house.jobs, act)(job.id, client=ALICE)
    assert house.jobs.list(client=ALICE) == []
    with pytest.raises(NotFoundError, match="gone"):
        house.jobs.open(job.parameters[-1].file)


def test_destruction_destroys(open_house: Callable[..., Any]) -> None:
    house, other = open_house(), open_house()
    job = house.jobs.create([("QUERY", "x")], client=ALICE, files=[house.part("f", b"abc")])
    kept = house.jobs.create([], client=ALICE, files=[house.part("f", b"abc")])
    assert house.jobs.set_destruction(kept.id, "2999-01-01", client=ALICE)
    with pytest.raises(NotFoundError):
        house.jobs.set_destruction(job.id, "2001-01-01T00:00:00", client=ALICE)
    with pytest.raises(NotFoundError):
        house.jobs.get(job.id, client=ALICE)
    assert house.jobs.phases([job.id, kept.id]) == {kept.id: Phase.PENDING}
    assert house.jobs.sweep() + other.jobs.sweep() == 1
    assert {path.partition("/")[0] for path in house.paths()} == {kept.id}
    with house.store.read_transaction() as (connection, _):
        assert list(connection.scalars(job_table.select().with_only_columns(job_table.c.id))) == [kept.id]


def test_leftovers_of_requests_that_were_killed_are_swept_away_in_time(house: Any) -> None:
    kept = house.jobs.create([], client=ALICE, files=[house.part("f", b"abc")])
    house.files.save("0" * 32, "upload-1", house.part("f", b"abc").file, "")
    house.files.save("1" * 32, "upload-1", house.part("f", b"abc").file, "")
    old = time.time() - 7200
    os.utime(house.folder / house.store.name / ("0" * 32) / "upload-1", (old, old))
    assert house.jobs.sweep_leftovers() == 1
    assert {path.partition("/")[0] for path in house.paths()} == {kept.id, "1" * 32}
    assert house.jobs.sweep_leftovers(older_than_s=-60.0) == 1
    assert {path.partition("/")[0] for path in house.paths()} == {kept.id}


def test_phases_of_many_jobs_come_at_once(house: Any) -> None:
    ids = [house.jobs.create([], client=NOWHERE).id for _ in range(3)]
    house.jobs.abort(ids[1], client=NOWHERE)
    wanted = [*ids, *(f"{n:032x}" for n in range(1500))]
    assert house.jobs.phases(wanted) == {ids[0]: Phase.PENDING, ids[1]: Phase.ABORTED, ids[2]: Phase.PENDING}


def test_those_who_listen_hear_of_every_move(house: Any) -> None:
    heard: list[tuple[str, Phase | None]] = []
    house.jobs.on_change(lambda job_id, phase: heard.append((job_id, phase)))
    job_id = house.queue()
    house.jobs.abort(job_id, client=ALICE)
    house.jobs.abort(job_id, client=ALICE)
    house.jobs.delete(job_id, client=ALICE)
    assert heard == [(job_id, Phase.QUEUED), (job_id, Phase.ABORTED), (job_id, None)]


def test_a_store_of_another_layout_is_refused(open_house: Callable[..., Any]) -> None:
    house = open_house()
    house.jobs.create([], client=ALICE)
    house.write(job_layout.update().values(version=99))
    with pytest.raises(SettingsError, match="layout 99") as refusal:
        open_house().jobs.create([], client=ALICE)
    assert "jobs.url" in str(refusal.value.hint)


def test_a_login_without_rights_is_told_which_it_needs(postgres_server: Any) -> None:
    url = postgres_server.create_database()
    store = JobStore(postgres_server.reader_url(url))
    with pytest.raises(SettingsError, match="may not make the tables") as refusal:
        store.read("x")
    assert "GRANT CREATE ON DATABASE" in str(refusal.value.hint)
    store.close()
    postgres_server.drop_database(url)


def test_results_in_a_store_of_unknown_kind_are_refused(house: Any) -> None:
    files = ResultStore("nonsense://bucket", store=lambda: "x")
    with pytest.raises(SettingsError, match=r"jobs\.results"):
        files.save("j", "n", house.part("f", b"").file, "")


def test_a_file_that_comes_for_a_job_that_is_being_deleted_says_so(house: Any) -> None:
    job = house.jobs.create([], client=ALICE)

    class DeletesTheJob(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            piece = super().read(size)
            if not piece:
                house.jobs.delete(job.id, client=ALICE)
            return piece

    late = replace(house.part("f", b""), file=DeletesTheJob(b"abc"))
    with pytest.raises(NotFoundError, match="deleted meanwhile"):
        house.jobs.add_parameters(job.id, [], client=ALICE, files=[late])
    assert house.paths() == set()


def test_a_disk_that_is_full_keeps_no_part_of_a_result(house: Any) -> None:
    """Files that may not grow stand for the full disk: writing fails, and so does closing what is not written yet."""
    writer = house.files.create("j1", "result-1", "")
    former, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(UnavailableError, match="store of results"):
            house.files.save("j2", "result-1", io.BytesIO(bytes(10_000)), "")
        writer.write(bytes(4000))
        with pytest.raises(UnavailableError, match="store of results"):
            writer.write(bytes(200_000))
        writer.discard()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (former, hard))
    assert house.paths() == set()


def test_results_lie_in_an_object_store_as_well(house: Any) -> None:
    """Fsspec's own one, in memory: it has no folders and no disk to be forced to."""
    files = ResultStore("memory://results", store=lambda: house.store.name)
    stored = files.save("j1", "result-1", house.part("", b"0123456789").file, "text/plain")
    assert (stored.size, stored.content_type) == (10, "text/plain")
    with files.open(stored, start=4) as file:
        assert file.read(3) == b"456"
    writer = files.create("j1", "result-2", "")
    writer.write(b"x")
    writer.discard()
    files.save("j1", "result-3", house.part("", b"x").file, "")
    files.keep_only("j1", {stored.path})
    assert list(files.jobs()) == ["j1"]
    assert files.age_s("j1") < 3600
    with files.open(stored) as file:
        assert file.read() == b"0123456789"
    files.remove("j1")
    files.remove("j1")
    assert list(files.jobs()) == []
    with pytest.raises(NotFoundError):
        files.open(stored)


ALL, NONE = None, frozenset[str]()
READ, WRITE = frozenset({"read:observations"}), frozenset({"write:observations"})


@pytest.mark.parametrize(
    ("made_with", "asked_with", "is_shown"),
    [
        ((ALL, NONE), (ALL, NONE), True),
        ((READ, NONE), (ALL, NONE), True),
        ((READ, NONE), (READ, NONE), True),
        ((READ, NONE), (READ | WRITE, NONE), True),
        ((ALL, NONE), (READ, NONE), False),
        ((READ | WRITE, NONE), (READ, NONE), False),
        ((WRITE, NONE), (READ, NONE), False),
        ((ALL, frozenset({"staff"})), (ALL, NONE), False),
        ((ALL, NONE), (ALL, frozenset({"staff"})), True),
        ((ALL, frozenset({"staff"})), (READ, frozenset({"staff"})), False),
    ],
)
def test_a_job_is_shown_to_credentials_that_have_all_its_rights(
    house: Any, made_with: Any, asked_with: Any, is_shown: bool
) -> None:
    job = house.jobs.create([("QUERY", "x")], client=Client("alice", None, *made_with))
    assert job.client == Client("alice", None, *made_with)
    client = Client("alice", None, *asked_with)
    assert [ref.id for ref in house.jobs.list(client=client)] == ([job.id] if is_shown else [])
    if is_shown:
        assert house.jobs.run(job.id, client=client).client == Client("alice", None, *made_with)
        return
    for act in ("get", "run", "abort", "delete"):
        with pytest.raises(AuthorizationError, match="rights"):
            getattr(house.jobs, act)(job.id, client=client)
    with pytest.raises(AuthorizationError):
        house.jobs.add_parameters(job.id, [("QUERY", "y")], client=client)
    assert house.store.read(job.id) == job


def test_a_list_is_cut_after_what_is_not_shown(house: Any) -> None:
    narrow = Client("alice", scopes=READ)
    mine = [house.jobs.create([], client=narrow).id for _ in range(2)]
    for _ in range(3):
        house.jobs.create([], client=ALICE)
    assert {ref.id for ref in house.jobs.list(client=narrow, last=2)} == set(mine)
    assert len(house.jobs.list(client=narrow, last=1)) == 1
    assert len(house.jobs.list(client=ALICE)) == 5
