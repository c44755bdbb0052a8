"""The bytes of packages: which copy they come from, who may have them, and what is refused."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
import sqlalchemy as sa

from catalog import open_catalog
from catalog.opsdb.models import DataLocation, RawDataPackage, RawDataPackagePhysicalCopy, S3DataLocation

DISK, SECOND, S3, TAPE = "cologne/archive", "ccat/buffer", "cornell/objects", "cologne/tape"
UNKNOWN = UUID(int=5)


@pytest.fixture(scope="module")
def held(engine: str, make_stored: Callable[[str], Any]) -> Any:
    return make_stored(engine)


@pytest.fixture(scope="module")
def service(held: Any, start: Callable[..., Any]) -> Iterator[Any]:
    with start(held.database_url, **held.environment()) as running:
        yield running


@pytest.fixture
def get(service: Any, held: Any) -> Callable[..., httpx.Response]:
    """A request for a package, by its name."""

    def ask(name: str, who: str | None = None, *, method: str = "GET", **options: Any) -> httpx.Response:
        headers = held.bearer(who) | options.pop("headers", {})
        return httpx.request(method, f"{service.url}/files/{held.id(name)}", headers=headers, timeout=60, **options)

    return ask


@contextmanager
def replaced(path: Path, make: Callable[[Path], object]) -> Iterator[None]:
    """Something else in the place of a file, for a while."""
    kept = path.with_name(f"{path.name}.kept")
    path.rename(kept)
    try:
        make(path)
        yield
    finally:
        path.unlink(missing_ok=True)
        kept.rename(path)


def links_of(answer: httpx.Response) -> list[int]:
    """Numbers of the copies that a Link header names, in its order."""
    return [int(number) for number in re.findall(r"\?copy=(\d+)>; rel=duplicate", answer.headers.get("link", ""))]


# --- the bytes ---


def test_a_package_is_streamed_from_the_best_disk(get: Callable[..., httpx.Response], held: Any, service: Any) -> None:
    content = held.content("open")
    answer = get("open")
    assert (answer.status_code, answer.content) == (200, content)
    assert answer.headers["content-length"] == str(len(content))
    assert answer.headers["etag"] == f'"{hashlib.sha256(content).hexdigest()}"'
    digest = base64.b64encode(hashlib.sha256(content).digest()).decode()
    assert answer.headers["repr-digest"] == f"sha-256=:{digest}:"
    assert answer.headers["content-type"] == "application/x-tar"
    assert answer.headers["content-disposition"] == 'attachment; filename="open.tar"'
    assert answer.headers["cache-control"] == "public, no-cache"
    assert "Authorization" in answer.headers["vary"]
    assert links_of(answer) == [held.copy_id("open", S3), held.copy_id("open", SECOND)]
    assert f"<{service.url}/files/{held.id('open')}?copy=" in answer.headers["link"]


def test_head_tells_the_same_without_the_bytes(get: Callable[..., httpx.Response]) -> None:
    whole, head = get("open"), get("open", method="HEAD")
    assert (head.status_code, head.content) == (200, b"")
    kept = ("content-length", "etag", "repr-digest", "link", "content-type", "accept-ranges", "last-modified")
    assert {name: head.headers[name] for name in kept} == {name: whole.headers[name] for name in kept}


def test_a_range_is_sent_and_a_download_resumed(get: Callable[..., httpx.Response], held: Any) -> None:
    content = held.content("open")
    etag = get("open", method="HEAD").headers["etag"]
    part = get("open", headers={"Range": "bytes=1000-1999", "If-Range": etag})
    assert (part.status_code, part.content) == (206, content[1000:2000])
    assert part.headers["content-range"] == f"bytes 1000-1999/{len(content)}"
    assert get("open", headers={"Range": "bytes=-7"}).content == content[-7:]
    assert get("open", headers={"Range": f"bytes={len(content)}-"}).status_code == 416
    assert get("open", headers={"Range": "bytes=5-", "If-Range": '"other"'}).content == content
    assert get("open", headers={"If-None-Match": etag}).status_code == 304
    second = get("open", params={"copy": held.copy_id("open", SECOND)}, headers={"Range": "bytes=9-", "If-Range": etag})
    assert (second.status_code, second.content) == (206, content[9:])


def test_an_object_store_is_led_to_with_a_signed_url(get: Callable[..., httpx.Response], held: Any) -> None:
    answer = get("objects")
    assert answer.status_code == 307
    assert "repr-digest" not in answer.headers
    assert answer.headers["cache-control"] == "no-store"
    location = httpx.URL(answer.headers["location"])
    assert f"{location.scheme}://{location.netloc.decode()}" == held.s3
    assert location.params["X-Amz-Expires"] == "3600"
    assert "secret" not in str(location)
    fetched = httpx.get(location)
    assert fetched.content == held.content("objects")
    assert fetched.headers["content-disposition"] == 'attachment; filename="objects.tar"'
    assert httpx.get(location, headers={"Range": "bytes=3-9"}).content == held.content("objects")[3:10]
    head = get("objects", method="HEAD")
    assert httpx.head(head.headers["location"]).headers["content-length"] == str(len(held.content("objects")))


@pytest.mark.parametrize("name", ["objects", "lost", "tape"])
def test_what_is_not_to_be_kept_is_not_for_who_has_logged_in(get: Callable[..., httpx.Response], name: str) -> None:
    for who in (None, "bob", "sam"):
        assert get(name, who).headers["cache-control"] == "no-store"


def test_what_everybody_may_have_is_kept_by_nobody_else(get: Callable[..., httpx.Response]) -> None:
    answer = get("open", "bob")
    assert (answer.headers["cache-control"], answer.headers["x-vo-authenticated"]) == ("private, no-cache", "bob")
    assert get("open", "bob", headers={"If-None-Match": answer.headers["etag"]}).headers["cache-control"] == (
        "private, no-cache"
    )


def test_one_copy_is_asked_for_by_its_number(get: Callable[..., httpx.Response], held: Any) -> None:
    chosen = held.copy_id("open", S3)
    answer = get("open", params={"copy": chosen})
    assert (answer.status_code, chosen in links_of(answer)) == (307, False)
    assert len(links_of(answer)) == 2
    assert get("open", params={"COPY": held.copy_id("open", SECOND)}).content == held.content("open")
    tape = get("open", params={"copy": held.copy_id("open", TAPE)})
    assert (tape.status_code, tape.headers["retry-after"]) == (503, "7200")


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("copy=999999", 404),
        ("copy=0", 404),
        ("copy=1&copy=2", 400),
        ("copy=1&COPY=1", 400),
        ("copy=-1", 400),
        ("copy=1%20OR%201=1", 400),
        ("copy=%0d%0aset-cookie:a", 400),
        ("copy=" + "9" * 400, 400),
        ("copy=", 400),
    ],
)
def test_a_forged_number_of_a_copy_is_refused(service: Any, held: Any, query: str, status: int) -> None:
    answer = httpx.get(f"{service.url}/files/{held.id('open')}?{query}")
    assert answer.status_code == status
    assert "set-cookie" not in answer.headers


def test_the_copy_of_another_package_is_none_of_this_one(get: Callable[..., httpx.Response], held: Any) -> None:
    answer = get("open", params={"copy": held.copy_id("secret", DISK)})
    assert (answer.status_code, answer.content) == (
        404,
        get("open", params={"copy": 999_999}).content.replace(b"999999", str(held.copy_id("secret", DISK)).encode()),
    )


# --- who may ---


@pytest.mark.parametrize(("who", "status"), [(None, 401), ("bob", 403), ("alice", 200), ("sam", 200)])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_bytes_that_are_not_released_are_for_members_and_staff(
    get: Callable[..., httpx.Response], held: Any, who: str | None, status: int, method: str
) -> None:
    answer = get("secret", who, method=method)
    assert answer.status_code == status
    if status == 200:
        assert method == "HEAD" or answer.content == held.content("secret")
        assert answer.headers["cache-control"] == "private, no-cache"
        return
    assert answer.headers["cache-control"] == "no-store"
    assert "link" not in answer.headers
    assert "etag" not in answer.headers
    assert ("www-authenticate" in answer.headers) == (status == 401)
    assert held.content("secret")[:4] not in answer.content
    assert method == "HEAD" or "not released" in answer.text


def test_a_copy_that_is_named_needs_the_same_right(get: Callable[..., httpx.Response], held: Any) -> None:
    for place in (DISK, S3, TAPE):
        assert get("secret", params={"copy": held.copy_id("secret", place)}).status_code == 401
        assert get("secret", "bob", params={"copy": held.copy_id("secret", place)}).status_code == 403
    assert get("secret", "alice", params={"copy": held.copy_id("secret", S3)}).status_code == 307


def test_wrong_credentials_are_not_taken_for_none(get: Callable[..., httpx.Response]) -> None:
    answer = get("open", headers={"Authorization": "Bearer nobodys"})
    assert answer.status_code == 401
    assert "Bearer" in answer.headers["www-authenticate"]


def test_a_hidden_package_is_like_none(held: Any, start: Callable[..., Any]) -> None:
    with start(held.database_url, **held.environment(), access_hide_unreleased="true") as service:
        url = f"{service.url}/files"
        hidden = httpx.get(f"{url}/{held.id('secret')}")
        unknown = httpx.get(f"{url}/{UNKNOWN}")
        assert hidden.status_code == unknown.status_code == 404
        assert hidden.text.replace(str(held.id("secret")), str(UNKNOWN)) == unknown.text
        different = {"date", "content-length"}
        assert {k: v for k, v in hidden.headers.items() if k not in different} == {
            k: v for k, v in unknown.headers.items() if k not in different
        }
        assert httpx.get(f"{url}/{held.id('secret')}?copy={held.copy_id('secret', DISK)}").text == hidden.text
        assert httpx.get(f"{url}/{held.id('secret')}", headers=held.bearer("bob")).status_code == 404
        assert httpx.get(f"{url}/{held.id('secret')}", headers=held.bearer("alice")).status_code == 200


# --- what is not there ---


@pytest.mark.parametrize(
    "name",
    [
        str(UNKNOWN),
        "open",
        "%2e%2e",
        "..%2f..%2fetc%2fpasswd",
        "urn:uuid:00000000-0000-0000-0000-000000000005",
        "00000000000000000000000000000005",
        "'; DROP TABLE x --",
        "a%0d%0aset-cookie:%20b",
        "%00",
        "x" * 5000,
    ],
)
def test_what_is_no_package_is_not_found(service: Any, name: str) -> None:
    answer = httpx.get(f"{service.url}/files/{name}")
    assert answer.status_code == 404
    assert "set-cookie" not in answer.headers


def test_a_fault_is_json_for_who_asks_for_it(get: Callable[..., httpx.Response]) -> None:
    answer = get("tape", headers={"Accept": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (503, "TransientFault")
    assert "POST" in answer.json()["hint"]


def test_a_package_on_tape_says_how_to_ask_for_it(get: Callable[..., httpx.Response]) -> None:
    answer = get("tape")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "7200")
    assert "lies on tape; bringing it to a disk takes about 2 h" in answer.text
    assert "POST to this address" in answer.text
    assert get("secret-tape").status_code == 401


@pytest.mark.parametrize(
    ("name", "sentence"),
    [("dark", "it is not served over the network"), ("lost", "no copy of the package .* remains")],
)
def test_what_nobody_serves_is_not_found(get: Callable[..., httpx.Response], name: str, sentence: str) -> None:
    answer = get(name)
    assert answer.status_code == 404
    assert re.search(sentence, answer.text)


def test_methods_that_are_not_known_are_refused(get: Callable[..., httpx.Response]) -> None:
    assert get("open", method="PUT").status_code == 405
    assert get("open", method="DELETE").status_code == 405


# --- copies that are not what they should be ---


@pytest.mark.parametrize(
    "make",
    [
        lambda path: None,
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.with_name("open.tar.kept").read_bytes()[:-1]),
        lambda path: path.write_bytes(path.with_name("open.tar.kept").read_bytes() + b"x"),
        lambda path: path.symlink_to(path.with_name("open.tar.kept")),
        lambda path: path.symlink_to("/etc/passwd"),
        lambda path: os.mkfifo(path),
        lambda path: path.symlink_to("/dev/zero"),
    ],
    ids=["gone", "empty", "short", "long", "link", "link-outside", "fifo", "device"],
)
def test_the_next_copy_is_tried_when_one_is_not_what_it_should_be(
    get: Callable[..., httpx.Response], held: Any, service: Any, make: Callable[[Path], object]
) -> None:
    with replaced(held.tar("open"), make):
        answer = get("open")
        assert (answer.status_code, httpx.URL(answer.headers["location"]).path.endswith("/open.tar")) == (307, True)
        alone = get("open", params={"copy": held.copy_id("open", DISK)})
        assert alone.status_code == 503
        assert f"copy {held.copy_id('open', DISK)}: " in alone.text
        assert str(held.folder) not in alone.text
    assert get("open").status_code == 200
    assert "passed over" in service.log.read_text()
    assert str(held.folder) not in service.log.read_text()


def test_the_third_copy_is_tried_when_two_are_gone(get: Callable[..., httpx.Response], held: Any) -> None:
    content = held.content("open")
    with replaced(held.tar("open"), lambda path: None):
        try:
            held.put_object("open", content[:-1])
            assert get("open").content == held.content("open")
            held.put_object("open", None)
            assert get("open").content == held.content("open")
            with replaced(held.tar("open", SECOND), lambda path: None):
                last = get("open")
                assert last.status_code == 503
                assert "lies on tape" in last.text
        finally:
            held.put_object("open", content)


def test_a_copy_with_another_checksum_is_not_given_out(get: Callable[..., httpx.Response], held: Any) -> None:
    held.set_copy("open", DISK, checksum="ab" * 32, checksum_algorithm="sha256", verification="never")
    try:
        assert get("open").status_code == 307
        damaged = get("open", params={"copy": held.copy_id("open", DISK)})
        assert (damaged.status_code, "found damaged" in damaged.text) == (404, True)
    finally:
        held.set_copy("open", DISK, checksum=None, checksum_algorithm=None, verification="ok")


def test_a_disk_that_is_not_mounted_is_passed_over(get: Callable[..., httpx.Response], held: Any) -> None:
    folder = held.tar("open").parent
    kept = folder.with_name("elsewhere")
    folder.rename(kept)
    try:
        assert get("open").status_code == 307
    finally:
        kept.rename(folder)


@contextmanager
def relative_path(held: Any, name: str, path: str) -> Iterator[None]:
    """The recorded path of a package, for a while."""
    statement = sa.update(RawDataPackage).where(RawDataPackage.id == held.id(name))
    with open_catalog(held.settings()) as catalog:
        for value in (path, f"{name}.tar"):
            with catalog.session() as session:
                session.execute(statement.values(relative_path=value))
                session.commit()
            if value == path:
                yield


@pytest.mark.parametrize("outside", ["../{}/secret.tar", "/{}/secret.tar", "x/../../{}/secret.tar", "./secret.tar", ""])
def test_no_recorded_path_leaves_its_root(
    get: Callable[..., httpx.Response], held: Any, tmp_path: Path, outside: str
) -> None:
    """The file outside is as large as the package, so that nothing but its place is wrong."""
    for folder in (held.folder / "neighbour", Path(f"/{held.folder}/absolute")):
        folder.mkdir(exist_ok=True)
        (folder / "secret.tar").write_bytes(b"x" * len(held.content("other")))
    target = "neighbour" if outside.startswith((".", "x")) else f"{held.folder}/absolute"
    with relative_path(held, "objects", outside.format(target)):
        answer = get("objects")
        assert answer.status_code == 503
        assert "does not stay below the root" in answer.text
    with relative_path(held, "open", outside.format(target)):
        assert get("open", params={"copy": held.copy_id("open", DISK)}).status_code == 503


def test_a_folder_that_is_a_link_is_not_followed(get: Callable[..., httpx.Response], held: Any) -> None:
    root = held.tar("open").parent
    (held.folder / "aside").mkdir(exist_ok=True)
    (held.folder / "aside" / "open.tar").write_bytes(held.content("open"))
    (root / "inner").symlink_to(held.folder / "aside")
    with relative_path(held, "open", "inner/open.tar"):
        answer = get("open", params={"copy": held.copy_id("open", DISK)})
        assert (answer.status_code, "a part of its path is a link" in answer.text) == (503, True)
    (root / "inner").unlink()
    (root / "inner").mkdir()
    (root / "inner" / "open.tar").write_bytes(held.content("open"))
    with relative_path(held, "open", "inner/open.tar"):
        assert get("open").content == held.content("open")


def test_what_the_database_says_of_hosts_is_not_believed(get: Callable[..., httpx.Response], held: Any) -> None:
    """Endpoint and bucket come from the settings alone; a service that listens at the recorded one is never asked."""
    with silent_server() as (url, asked), open_catalog(held.settings()) as catalog, catalog.session() as session:
        session.execute(sa.update(S3DataLocation).values(endpoint=url, bucket="stolen", prefix="../x"))
        session.commit()
        answer = get("objects")
        assert answer.headers["location"].startswith(f"{held.s3}/fyst-raw/{held.prefix}/objects.tar?")
        assert asked == []


def test_a_name_with_line_breaks_stays_in_its_header(get: Callable[..., httpx.Response], held: Any) -> None:
    statement = sa.update(RawDataPackage).where(RawDataPackage.id == held.id("open"))
    evil = 'a"\r\nset-cookie: b=c\r\n\r\n<script>é.tar'
    with open_catalog(held.settings()) as catalog:
        for name in (evil, "open.tar"):
            with catalog.session() as session:
                session.execute(statement.values(name=name))
                session.commit()
            streamed, led = get("open"), get("open", params={"copy": held.copy_id("open", S3)})
            assert streamed.status_code == 200
            assert "set-cookie" not in streamed.headers
            assert "\n" not in led.headers["location"]
            assert "set-cookie" not in httpx.get(led.headers["location"]).headers
    assert streamed.headers["content-disposition"] == 'attachment; filename="open.tar"'


# --- other servers ---


@contextmanager
def silent_server(answer: Callable[[str], tuple[int, bytes]] | None = None) -> Iterator[tuple[str, list[str]]]:
    """A server that writes down what it is asked for, and answers so."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            asked.append(f"{self.command} {self.path}")
            status, content = (404, b"") if answer is None else answer(self.path)
            self.send_response(status)
            if status == 302:
                self.send_header("Location", content.decode())
                content = b""
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

        def do_GET(self) -> None:
            self.do_HEAD()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_another_server_is_led_to_only_when_it_has_the_package(held: Any, start: Callable[..., Any]) -> None:
    content = held.content("other")
    answers = {"now": (200, content)}
    files = json.loads(json.dumps(held.files["locations"]))
    with silent_server(lambda path: answers["now"]) as (url, asked):
        files["cornell/server"] = {"url": f"{url}/raw"}
        with start(held.database_url, **held.environment() | {"files_locations": json.dumps(files)}) as service:
            address = f"{service.url}/files/{held.id('other')}"
            answer = httpx.get(address)
            assert (answer.status_code, answer.headers["location"]) == (307, f"{url}/raw/other.tar")
            assert "repr-digest" not in answer.headers
            assert asked == ["HEAD /raw/other.tar"]
            assert httpx.get(answer.headers["location"]).content == content
            for wrong, why in (
                ((404, b""), "answers 404"),
                ((500, b""), "answers 500"),
                ((200, b"short"), "has another size"),
                ((302, b"http://169.254.169.254/"), "answers 302"),
            ):
                answers["now"] = wrong
                refused = httpx.get(address)
                assert (refused.status_code, why in refused.text) == (503, True)
                assert url not in refused.text
            answers["now"] = (401, b"")
            assert (
                httpx.get(address).status_code == 307
            )  # the client has credentials for it, or learns that it needs them


def test_a_server_that_does_not_answer_is_passed_over(get: Callable[..., httpx.Response]) -> None:
    answer = get("other")
    assert (answer.status_code, "does not answer" in answer.text) == (503, True)


@contextmanager
def hanging_server() -> Iterator[tuple[str, Callable[[], None]]]:
    """A server that takes every connection and never says a word, and what makes it hang up."""
    taken: list[socket.socket] = []

    def take() -> None:
        with suppress(OSError):
            while True:
                taken.append(listener.accept()[0])

    with socket.create_server(("127.0.0.1", 0), backlog=200) as listener:
        thread = threading.Thread(target=take)
        thread.start()

        def hang_up() -> None:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            thread.join()
            listener.close()
            while taken:
                taken.pop().close()

        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}", hang_up
        finally:
            hang_up()


def test_a_store_that_hangs_holds_up_nothing_else(held: Any, start_with: Callable[..., Any]) -> None:
    with hanging_server() as (url, hang_up):
        objects = held.files["locations"][S3] | {"endpoint": url}
        files = json.dumps(held.files["locations"] | {S3: objects})
        changes = "from catalog.web import files\nfiles._PATIENCE_S = 2"
        with start_with(held.database_url, changes, **held.environment() | {"files_locations": files}) as service:
            address = f"{service.url}/files/{held.id('objects')}"
            with ThreadPoolExecutor(60) as clients:
                asked = [clients.submit(httpx.get, address, timeout=60) for _ in range(60)]
                try:
                    refused, _ = wait(asked, 20, FIRST_COMPLETED)
                    assert [each.result().status_code for each in refused][:1] == [503]
                    for path in ("/tap/availability", "/tap/capabilities", "/"):
                        assert httpx.get(service.url + path, headers=held.bearer("bob"), timeout=10).is_success
                finally:
                    hang_up()
                assert {each.result().status_code for each in asked} == {503}


# --- settings ---


def test_only_locations_of_the_settings_are_served(held: Any, start: Callable[..., Any]) -> None:
    with start(held.database_url) as service:
        answer = httpx.get(f"{service.url}/files/{held.id('open')}")
        assert (answer.status_code, "lies on tape" in answer.text) == (404, True)
        assert "POST" not in answer.text
        assert httpx.get(f"{service.url}/files/{held.id('objects')}").status_code == 404


def test_avoided_sites_come_last_and_regions_decide(held: Any, start: Callable[..., Any]) -> None:
    changed = held.environment() | {"files_avoid": "cologne", "files_near": "chile,america"}
    with start(held.database_url, **changed) as service:
        answer = httpx.get(f"{service.url}/files/{held.id('open')}")
        assert answer.status_code == 307
        assert links_of(answer) == [held.copy_id("open", SECOND)]
        only = httpx.get(f"{service.url}/files/{held.id('open')}?copy={held.copy_id('open', DISK)}")
        assert (only.status_code, "out of service" in only.text) == (503, True)


def test_without_credentials_an_object_store_is_passed_over(
    held: Any, start: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with start(held.database_url, **held.environment()) as service:
        answer = httpx.get(f"{service.url}/files/{held.id('objects')}")
        assert (answer.status_code, "does not answer as it should" in answer.text) == (503, True)


def test_the_public_address_of_an_object_store_is_the_one_told(held: Any, start: Callable[..., Any]) -> None:
    files = json.loads(json.dumps(held.files))
    files["locations"][S3]["public_endpoint"] = "https://objects.example.org"
    changed = held.environment() | {"files_locations": json.dumps(files["locations"]), "files_signed_url_s": 60}
    with start(held.database_url, **changed) as service:
        answer = httpx.get(f"{service.url}/files/{held.id('objects')}")
        location = httpx.URL(answer.headers["location"])
        assert (location.host, location.params["X-Amz-Expires"]) == ("objects.example.org", "60")
        assert "secret-of-the-service" not in service.log.read_text()


def test_a_package_with_an_old_kind_of_checksum_has_no_digest(get: Callable[..., httpx.Response], held: Any) -> None:
    md5 = hashlib.md5(held.content("dark"), usedforsecurity=False).hexdigest()
    with open_catalog(held.settings()) as catalog, catalog.session() as session:
        location = session.scalars(sa.select(DataLocation.id).where(DataLocation.name == "archive")).one()
        package = session.get_one(RawDataPackage, held.id("dark"))
        package.checksum, package.checksum_algorithm = md5, "md5"
        session.add(RawDataPackagePhysicalCopy(data_location_id=location, raw_data_package_id=package.id))
        session.commit()
    held.tar("dark", DISK).write_bytes(held.content("dark"))
    answer = get("dark")
    assert (answer.status_code, answer.headers["etag"]) == (200, f'"{md5}"')
    assert "repr-digest" not in answer.headers
