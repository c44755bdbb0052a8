"""Workers in threads: the work's end becomes the job's, and what was cancelled, lost or late never has a result."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from datetime import UTC, datetime
from threading import Event, Lock
from typing import Any

import pytest
import sqlalchemy as sa

from catalog.errors import NotFoundError, QueryError, QueryTimeoutError
from catalog.uws.control import Control, Output
from catalog.uws.job import Claim, Client, Job, Result
from catalog.uws.phase import Phase
from catalog.uws.tables import job as job_table

ALICE = Client(owner="alice")
PAST = datetime(2001, 1, 1, tzinfo=UTC)


def echo(job: Job, control: Control) -> Output:
    """Writes the values of the parameters."""
    for _, value in job.pairs():
        control.write(value.encode())
    control.progress(3)
    return Output("text/plain", 3, truncated=True)


class Waiting:
    """Work that waits until it is let go or cancelled."""

    def __init__(self) -> None:
        self.begun = Event()
        self.let_go = Event()
        self.cancelled = Event()
        self.ends = Event()

    def __call__(self, job: Job, control: Control) -> Output:
        control.write(b"begun")
        control.progress(1, rows_expected=10)
        control.on_cancel(self.cancelled.set)
        control.on_cancel(self.let_go.set)
        self.begun.set()
        assert self.let_go.wait(60)
        self.ends.set()
        control.write(b" and done")
        return Output("text/plain", 1)


def test_a_job_is_done_and_its_result_is_what_was_written(house: Any) -> None:
    house.runner(echo)
    job = house.wait(house.queue(("A", "alpha "), ("B", "béta")))
    assert job.phase is Phase.COMPLETED
    content = "alpha béta".encode()
    (result,) = job.results
    assert (result.id, result.rows, result.truncated) == ("result", 3, True)
    assert (result.file.size, result.file.content_type) == (len(content), "text/plain")
    assert result.file.sha256 == hashlib.sha256(content).hexdigest()
    with house.jobs.open(result.file) as file:
        assert file.read() == content
    assert house.paths() == {result.file.path}
    assert job.created <= job.started <= job.ended
    assert job.progress.rows == 3


def test_another_process_takes_the_job(open_house: Callable[..., Any]) -> None:
    """One that only makes jobs, and one that only does them."""
    front, back = open_house(), open_house()
    back.runner(echo)
    assert front.wait(front.queue(("A", "x"))).phase is Phase.COMPLETED


def test_files_of_the_request_are_there_for_the_work(house: Any) -> None:
    def copy(job: Job, control: Control) -> Output:
        (stored,) = (each.file for each in job.parameters if each.file)
        with house.jobs.open(stored) as file:
            control.write(file.read())
        return Output("text/csv")

    house.runner(copy)
    job = house.jobs.create([("PHASE", "RUN")], client=ALICE, files=[house.part("f", b"a,b\n")])
    with house.jobs.open(house.wait(job.id).results[0].file) as file:
        assert file.read() == b"a,b\n"


def test_a_fault_becomes_the_error_with_all_that_it_says(house: Any) -> None:
    def fail(job: Job, control: Control) -> Output:
        control.write(b"half")
        raise QueryError("no", code="bad-cast", line=1, column=2, hint="h")

    house.runner(fail)
    job = house.wait(house.queue())
    assert job.phase is Phase.ERROR
    assert (job.error.message, job.error.code, job.error.line, job.error.hint) == ("no", "bad-cast", 1, "h")
    house.until(lambda: not house.paths())


def test_an_unforeseen_error_says_nothing_of_the_inside(house: Any, caplog: pytest.LogCaptureFixture) -> None:
    def fail(job: Job, control: Control) -> Output:
        raise ZeroDivisionError("/secret/path")

    runner = house.runner(fail)
    job = house.wait(house.queue())
    assert job.phase is Phase.ERROR
    assert "secret" not in job.error.message
    assert "/secret/path" in caplog.text
    runner.wake()
    assert house.wait(house.queue()).phase is Phase.ERROR


@pytest.mark.parametrize("act", ["abort", "delete"])
@pytest.mark.parametrize("where", ["here", "in another process"])
def test_what_is_aborted_or_deleted_stops_and_has_no_result(
    open_house: Callable[..., Any], act: str, where: str
) -> None:
    house, other = open_house(), open_house()
    work = Waiting()
    house.runner(work)
    job_id = house.queue()
    assert work.begun.wait(60)
    getattr((house if where == "here" else other).jobs, act)(job_id, client=ALICE)
    assert work.cancelled.wait(60)
    assert work.ends.wait(60)
    house.until(lambda: not house.paths())
    if act == "abort":
        job = other.get(job_id)
        assert (job.phase, job.results, job.error) == (Phase.ABORTED, (), None)
    else:
        with pytest.raises(NotFoundError):
            other.get(job_id)


def test_what_takes_longer_than_it_may_is_aborted_and_says_so(house: Any) -> None:
    work = Waiting()
    house.runner(work)
    job = house.wait(house.queue(("EXECUTIONDURATION", "1")))
    assert work.cancelled.is_set()
    assert job.phase is Phase.ABORTED
    assert "execution duration of 1 s" in job.error.message
    assert job.error.code == QueryTimeoutError.code
    house.until(lambda: not house.paths())


def test_the_time_that_is_left_is_told(house: Any) -> None:
    left: list[float] = []

    def note(job: Job, control: Control) -> Output:
        left.append(control.seconds_left)
        return Output("text/plain")

    house.runner(note)
    house.wait(house.queue(("EXECUTIONDURATION", "500")))
    assert 0 < left[0] <= 500


def test_progress_is_seen_while_the_work_goes_on(open_house: Callable[..., Any]) -> None:
    house, other = open_house(), open_house()
    work = Waiting()
    house.runner(work)
    job_id = house.queue()
    assert work.begun.wait(60)
    house.until(lambda: other.get(job_id).progress.rows_expected == 10)
    assert other.get(job_id).progress.rows == 1
    assert other.get(job_id).phase is Phase.EXECUTING
    assert other.get(job_id).results == ()
    work.let_go.set()
    assert house.wait(job_id).phase is Phase.COMPLETED


def test_stopping_hands_the_job_back_and_another_does_it(open_house: Callable[..., Any]) -> None:
    house, other = open_house(), open_house()
    work = Waiting()
    runner = house.runner(work)
    job_id = house.queue(("A", "x"))
    assert work.begun.wait(60)
    runner.stop()
    assert work.cancelled.is_set()
    job = other.get(job_id)
    assert (job.phase, job.started, job.results) == (Phase.QUEUED, None, ())
    assert house.paths() == set()
    other.runner(echo, attempts=1)
    assert other.wait(job_id).phase is Phase.COMPLETED
    runner.stop()


def test_a_worker_that_lost_its_lease_does_no_harm(open_house: Callable[..., Any]) -> None:
    """It was taken for dead, another has done the job meanwhile, and now it comes back."""
    house, other = open_house(), open_house()
    work = Waiting()
    house.runner(work)
    job_id = house.queue(("A", "x"))
    assert work.begun.wait(60)
    taken = house.get(job_id)
    house.write(job_table.update().values(worker="second", attempt=7))
    stored = other.files.save(job_id, "result-7", house.part("", b"x").file, "text/plain")
    assert other.leases().complete(Claim(taken, "second", 7), [Result("result", stored)])
    assert work.ends.wait(60)
    house.until(lambda: house.paths() == {stored.path})
    job = house.get(job_id)
    assert (job.phase, [each.file for each in job.results]) == (Phase.COMPLETED, [stored])


def test_a_job_whose_workers_are_lost_again_and_again_fails(house: Any) -> None:
    leases = house.leases(attempts=2)
    job_id = house.queue()
    for _ in range(2):
        assert leases.claim("lost").job.id == job_id
        house.write(job_table.update().values(lease_until=PAST))
        leases.recover()
    job = house.get(job_id)
    assert job.phase is Phase.ERROR
    assert "2 times" in job.error.message
    assert job.error.transient


def test_leases_are_prolonged_as_long_as_the_work_takes(house: Any) -> None:
    work = Waiting()
    house.runner(work, lease_s=8.0)
    job_id = house.queue()
    assert work.begun.wait(60)

    def lease() -> datetime:
        with house.store.read_transaction() as (connection, _):
            found: datetime = connection.execute(sa.select(job_table.c.lease_until)).scalar_one()
            return found

    for _ in range(2):
        before = lease()
        house.until(lambda before=before: lease() > before)
    assert house.get(job_id).phase is Phase.EXECUTING
    work.let_go.set()
    assert house.wait(job_id).phase is Phase.COMPLETED


def test_results_beyond_the_quota_fail(open_house: Callable[..., Any]) -> None:
    house = open_house(bytes_per_caller=10)
    house.runner(echo)
    assert house.wait(house.queue(("A", "1234567890"))).phase is Phase.COMPLETED
    house.jobs.delete(house.jobs.list(client=ALICE)[0].id, client=ALICE)
    job = house.wait(house.queue(("A", "12345678901")))
    assert job.phase is Phase.ERROR
    assert "10 bytes" in job.error.message
    assert job.error.code == "LimitFault"


def test_a_result_that_cannot_be_stored_is_an_error(house: Any) -> None:
    (house.folder).mkdir()
    (house.folder / house.store.name).write_text("a file where the folder should be")
    house.runner(echo)
    job = house.wait(house.queue(("A", "x")))
    assert job.phase is Phase.ERROR
    assert job.error.transient
    assert str(house.folder) not in job.error.message


def test_one_caller_does_not_starve_the_others(house: Any) -> None:
    """A hundred jobs of one, then one of another: he is the second to be served."""
    order: list[str | None] = []

    def note(job: Job, control: Control) -> Output:
        order.append(job.owner)
        return Output("text/plain")

    for _ in range(20):
        house.queue()
    house.queue(client=Client(owner="bob"))
    claims = [house.leases().claim("w") for _ in range(2)]
    assert [claim.job.owner for claim in claims] == ["alice", "bob"]


def test_a_caller_runs_so_many_jobs_at_once_and_no_more(open_house: Callable[..., Any]) -> None:
    house, other = open_house(jobs_per_caller=100), open_house(jobs_per_caller=100)
    lock = Lock()
    now, most = 0, 0

    def count(job: Job, control: Control) -> Output:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.05)
        with lock:
            now -= 1
        return Output("text/plain")

    ids = [house.queue() for _ in range(12)]
    for each in (house, other):
        each.runner(count, workers=4, running_per_caller=2)
    for job_id in ids:
        assert house.wait(job_id).phase is Phase.COMPLETED
    assert most == 2


def test_many_runners_do_each_job_once(open_house: Callable[..., Any]) -> None:
    done: list[str] = []

    def note(job: Job, control: Control) -> Output:
        done.append(job.id)
        return Output("text/plain")

    house = open_house(jobs_per_caller=100)
    ids = [house.queue() for _ in range(30)]
    for _ in range(3):
        open_house().runner(note, workers=2)
    for job_id in ids:
        assert house.wait(job_id).phase is Phase.COMPLETED
    assert sorted(done) == sorted(ids)


def test_what_is_due_is_destroyed_without_being_asked(house: Any) -> None:
    work = Waiting()
    house.runner(work)
    job_id = house.queue()
    assert work.begun.wait(60)
    house.write(job_table.update().values(destruction_at=PAST))
    assert work.cancelled.wait(60)
    house.until(lambda: not house.store.known([job_id]))
    house.until(lambda: not house.paths())


def test_work_that_was_cancelled_before_it_asks_is_told_at_once(house: Any) -> None:
    called = Event()

    def late(job: Job, control: Control) -> Output:
        house.jobs.abort(job.id, client=ALICE)
        house.until(lambda: control.cancelled)
        control.on_cancel(called.set)
        return Output("text/plain")

    house.runner(late)
    assert house.wait(house.queue()).phase is Phase.ABORTED
    assert called.wait(60)
