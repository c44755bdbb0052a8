"""Packages on tape: asked for by POST, followed, brought by a mover, and then fetched."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from catalog import open_catalog
from catalog.opsdb.models import StagingJob

PROCESSING = "cologne/processing"


@pytest.fixture
def held(engine: str, make_stored: Callable[[str], Any]) -> Any:
    return make_stored(engine)


@pytest.fixture
def service(held: Any, start: Callable[..., Any]) -> Iterator[Any]:
    with start(held.database_url, **held.environment() | {"files_staging_per_user": 1}) as running:
        yield running


def test_a_package_is_asked_for_followed_brought_and_fetched(service: Any, held: Any) -> None:
    address = f"{service.url}/files/{held.id('tape')}"
    asked = httpx.post(address, headers=held.bearer("bob"))
    assert asked.status_code == 303
    place = asked.headers["location"]
    assert place.startswith(f"{service.url}/staging/")
    assert httpx.post(address, headers=held.bearer("bob")).headers["location"] == place
    poll = httpx.get(place, headers=held.bearer("bob"))
    assert (poll.status_code, poll.headers["retry-after"]) == (200, "60")
    assert poll.text == f"{address} waits for its turn\n"
    told = httpx.get(place, headers=held.bearer("bob") | {"Accept": "application/json"}).json()
    assert (told["status"], told["is_over"], told["packages"]) == ("pending", False, [address])
    assert "failure" not in told
    with open_catalog(held.settings()) as catalog:
        task = catalog.staging.take(actor="mover", location=PROCESSING)
        assert task is not None
        assert httpx.get(place, headers=held.bearer("bob")).text == f"{address} is being brought\n"
        assert [package.relative_path for package in catalog.staging.contents(task.job_id)] == ["tape.tar"]
        shutil.copy(held.folder / "tars" / "tape.tar", held.tar("tape", PROCESSING))
        catalog.staging.complete(task.job_id, attempt=task.attempt, actor="mover", is_unpacked=False, is_verified=True)
    over = httpx.get(place, headers=held.bearer("bob"))
    assert (over.text, "retry-after" in over.headers) == (f"{address} has been brought\n", False)
    assert httpx.get(address).content == held.content("tape")
    again = httpx.post(address, headers=held.bearer("bob"))
    assert (again.status_code, again.headers["location"]) == (303, address)


def test_requests_belong_to_who_made_them_and_are_bounded(service: Any, held: Any) -> None:
    address, secret = (f"{service.url}/files/{held.id(name)}" for name in ("tape", "secret-tape"))
    place = httpx.post(secret, headers=held.bearer("alice")).headers["location"]
    for who, status in (("alice", 200), ("sam", 200), ("bob", 404), (None, 401)):
        assert httpx.get(place, headers=held.bearer(who)).status_code == status
    unknown = httpx.get(f"{service.url}/staging/999999", headers=held.bearer("bob"))
    number = place.rpartition("/")[2]
    assert httpx.get(place, headers=held.bearer("bob")).text == unknown.text.replace("999999", number)
    staff = httpx.get(place, headers=held.bearer("sam") | {"Accept": "application/json"}).json()
    assert (staff["requester"], staff["destination"]) == ("alice", PROCESSING)
    full = httpx.post(address, headers=held.bearer("alice"))
    assert (full.status_code, full.headers["retry-after"]) == (429, "7200")
    assert httpx.post(secret, headers=held.bearer("alice")).status_code == 303
    assert httpx.post(secret, headers=held.bearer("sam")).headers["location"] == place
    assert httpx.post(address, headers=held.bearer("sam")).status_code == 303
    other = httpx.post(address, headers=held.bearer("bob"))
    assert (other.status_code, other.headers["retry-after"], "location" in other.headers) == (202, "7200", False)


def test_who_may_not_fetch_may_not_ask(service: Any, held: Any) -> None:
    secret = f"{service.url}/files/{held.id('secret-tape')}"
    for name, who, status in (
        ("secret-tape", None, 401),
        ("secret-tape", "bob", 403),
        ("tape", None, 401),
        ("dark", "bob", 404),
        ("lost", "bob", 404),
    ):
        answer = httpx.post(f"{service.url}/files/{held.id(name)}", headers=held.bearer(who))
        assert (answer.status_code, "www-authenticate" in answer.headers) == (status, status == 401)
    assert httpx.post(f"{service.url}/files/{held.id('open')}", headers=held.bearer("bob")).status_code == 303
    assert httpx.post(f"{secret[:-1]}z", headers=held.bearer("bob")).status_code == 404
    for number in ("0", "-1", "1%0d%0ax:y", "9" * 10, "9" * 30, "x"):
        assert httpx.get(f"{service.url}/staging/{number}", headers=held.bearer("bob")).status_code == 404
    with open_catalog(held.settings()) as catalog, catalog.session() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(StagingJob)) == 0


def test_many_who_ask_at_once_get_one_job(service: Any, held: Any) -> None:
    address = f"{service.url}/files/{held.id('tape')}"

    def ask(_: int) -> str:
        return httpx.post(address, headers=held.bearer("bob"), timeout=60).headers["location"]

    with ThreadPoolExecutor(6) as pool:
        assert len(set(pool.map(ask, range(6)))) == 1


def test_what_was_unpacked_is_told_and_a_failure_is_for_staff(service: Any, held: Any) -> None:
    address = f"{service.url}/files/{held.id('tape')}"
    place = httpx.post(address, headers=held.bearer("bob")).headers["location"]
    with open_catalog(held.settings()) as catalog:
        task = catalog.staging.take(actor="mover")
        assert task is not None
        secret = "/tape/robot7 jammed"
        catalog.staging.fail(task.job_id, attempt=task.attempt, actor="mover", reason=secret, is_final=True)
        json = {"Accept": "application/json"}
        failed = httpx.get(place, headers=held.bearer("bob") | json)
        assert (failed.json()["status"], failed.json()["is_over"], secret in failed.text) == ("failed", True, False)
        assert httpx.get(place, headers=held.bearer("sam") | json).json()["failure"] == secret
        second = httpx.post(address, headers=held.bearer("bob")).headers["location"]
        assert second != place
        again = catalog.staging.take(actor="mover")
        assert again is not None
        catalog.staging.complete(again.job_id, attempt=again.attempt, actor="mover")
    answer = httpx.post(address, headers=held.bearer("bob"))
    assert (answer.status_code, "lie there unpacked" in answer.text) == (409, True)


def test_without_a_place_nothing_is_brought(held: Any, start: Callable[..., Any]) -> None:
    settings = held.environment()
    for location, status, sentence in (("", 404, "lies on tape"), ("cologne/nowhere", 503, "not taken now")):
        settings["files_staging_location"] = location
        with start(held.database_url, **{name: value for name, value in settings.items() if value}) as service:
            answer = httpx.post(f"{service.url}/files/{held.id('tape')}", headers=held.bearer("bob"))
            assert (answer.status_code, sentence in answer.text, "POST" in answer.text) == (status, True, False)
            assert "nowhere" not in answer.text
            nobody = httpx.post(f"{service.url}/files/{held.id('tape')}")  # need not log in to learn that
            assert nobody.status_code == (404 if status == 404 else 401)
