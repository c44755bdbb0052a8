"""Results in an object store: a server that speaks S3, in a process of its own."""

from __future__ import annotations

import io
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import fsspec
import httpx
import pytest

from catalog.errors import NotFoundError, UnavailableError
from catalog.uws.control import Control, Output
from catalog.uws.job import Client, Job
from catalog.uws.phase import Phase
from catalog.uws.results import ResultStore
from catalog.uws.runner import Runner
from catalog.uws.service import JobLimits, JobService

BUCKET = "results"
START_SECONDS = 60.0
LARGE = 12 * 2**20  # beyond one part of an upload
LIMITS = JobLimits(60, 600, 3600, 86_400, jobs_per_caller=20, bytes_per_caller=2 * LARGE)


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a running server; it is ended by its own pid."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    log = tmp_path_factory.mktemp("s3") / "log"
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with log.open("wb") as sink:
        process = subprocess.Popen(command, stdout=sink, stderr=sink)
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + START_SECONDS
        while not answers(url):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait(20)


def answers(url: str) -> bool:
    try:
        httpx.get(url)
    except httpx.TransportError:
        return False
    return True


@pytest.fixture
def bucket(s3: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An empty bucket, reached as an operator would have it reached: by the environment."""
    for name, value in (
        ("AWS_ENDPOINT_URL", s3),
        ("AWS_ACCESS_KEY_ID", "key"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
    ):
        monkeypatch.setenv(name, value)
    store: Any = fsspec.filesystem("s3")
    store.mkdir(BUCKET)
    yield f"s3://{BUCKET}/jobs"
    store.rm(BUCKET, recursive=True)


def files_in(bucket: str) -> ResultStore:
    return ResultStore(bucket, store=lambda: "store-1")


def in_bucket(bucket: str, house: Any) -> tuple[JobService, Runner]:
    """The house's jobs with their files in the bucket."""
    files = ResultStore(bucket, store=lambda: house.store.name)
    jobs = JobService(house.store, files, limits=LIMITS, check=lambda job: None)
    return jobs, Runner(house.leases(), files, jobs, work=write_letters, workers=1)


def write_letters(job: Job, control: Control) -> Output:
    """Writes many bytes of one letter, and says how many rows that is."""
    for _ in range(LARGE // 2**20):
        control.write(b"a" * 2**20)
    return Output("text/plain", LARGE)


def test_a_file_is_there_when_it_is_finished_and_read_from_any_byte(bucket: str) -> None:
    files = files_in(bucket)
    writer = files.create("j1", "result-1", "text/plain")
    for letter in b"abcdef":
        writer.write(bytes([letter]) * (LARGE // 6))
    assert not fsspec.filesystem("s3").exists(f"{BUCKET}/jobs/store-1/j1/result-1")
    stored = writer.finish()
    assert (stored.size, stored.content_type) == (LARGE, "text/plain")
    with files.open(stored, start=LARGE - 3) as handle:
        assert handle.read() == b"fff"
    with files.open(stored) as handle:
        assert handle.read(5) == b"aaaaa"


def test_files_are_kept_listed_aged_and_removed(bucket: str) -> None:
    files = files_in(bucket)
    kept = files.save("j1", "upload-1", io.BytesIO(b"one"), "text/csv")
    files.save("j1", "result-1", io.BytesIO(b"left over"), "text/csv")
    discarded = files.create("j2", "result-1", "text/csv")
    discarded.write(b"x")
    discarded.discard()
    assert list(files.jobs()) == ["j1"]
    assert 0 <= files.age_s("j1") < 3600
    files.keep_only("j1", {kept.path})
    with files.open(kept) as handle:
        assert handle.read() == b"one"
    files.remove("j1")
    files.remove("j1")
    assert list(files.jobs()) == []
    with pytest.raises(NotFoundError, match="the result is gone"):
        files.open(kept)


def test_a_job_brings_its_result_there_and_takes_it_away(bucket: str, house: Any) -> None:
    alice = Client(owner="alice")
    jobs, runner = in_bucket(bucket, house)
    runner.start()
    try:
        job_id = jobs.create([("PHASE", "RUN")], client=alice).id
        house.until(lambda: jobs.get(job_id, client=alice).phase is not Phase.QUEUED)
        house.until(lambda: jobs.get(job_id, client=alice).phase is not Phase.EXECUTING)
    finally:
        runner.stop()
    done = jobs.get(job_id, client=alice)
    assert (done.phase, done.error) == (Phase.COMPLETED, None)
    (result,) = done.results
    with jobs.open(result.file, start=LARGE - 2) as handle:
        assert handle.read() == b"aa"
    jobs.delete(job_id, client=alice)
    assert not fsspec.filesystem("s3").find(BUCKET)


def test_a_store_that_does_not_answer_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        port = silent.getsockname()[1]
        options = {"endpoint_url": f"http://127.0.0.1:{port}", "config_kwargs": {"retries": {"max_attempts": 1}}}
        monkeypatch.setitem(fsspec.config.conf, "s3", options)
        files = files_in("s3://elsewhere/jobs")
        with pytest.raises(UnavailableError, match="the store of results does not answer"):
            files.save("j1", "result-1", io.BytesIO(b"x"), "text/csv")
