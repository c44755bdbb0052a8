"""Downloads: whole, resumed, from another copy, and never wrong ones."""

from __future__ import annotations

import hashlib
import random
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from download import archives
from download.archives import Archive, serve_bytes

from catalog.download import fetch as fetching
from catalog.download.fetch import Downloaded, Downloader
from catalog.download.links import read_wanted
from catalog.download.names import Folder, safe_name
from catalog.download.web import Web
from catalog.errors import (
    AuthorizationError,
    CatalogError,
    NotFoundError,
    ResourceLimitError,
    UnavailableError,
    UsageError,
)

DID = "ivo://ccat.example/raw?11111111-2222-4333-8444-555555555555"
CONTENT = random.Random(1).randbytes(3_000_000)
DUPLICATE = "http://www.iana.org/assignments/relation/duplicate"


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "_PAUSE_S", 0.01)


@pytest.fixture
def archive() -> Iterator[Archive]:
    with archives.archive() as made:
        yield made


@pytest.fixture
def mirror() -> Iterator[Archive]:
    with archives.archive() as made:
        yield made


@pytest.fixture
def get(archive: Archive, tmp_path: Path) -> Callable[..., Downloaded]:
    """Downloads the dataset that the archive links to."""

    def run(did: str = DID, **settings: Any) -> Downloaded:
        web = Web(archive.url, timeout_s=5, **settings)
        [wanted] = read_wanted(web, f"{archive.url}/links", [did])
        return Downloader(web, Folder(tmp_path / "out")).fetch(wanted)

    return run


def files(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "out").iterdir())


def breaking(content: bytes, after: int) -> Callable[[BaseHTTPRequestHandler], None]:
    """Announces everything and breaks off."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        start = int(request.headers.get("Range", "bytes=0-")[6:-1])
        request.send_response(206 if start else 200)
        request.send_header("Content-Length", str(len(content) - start))
        if start:
            request.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        request.end_headers()
        request.wfile.write(content[start : start + after])

    return answer


def test_a_file_is_whole_verified_and_called_as_the_server_says(
    archive: Archive, get: Callable[..., Downloaded], tmp_path: Path
) -> None:
    url = archive.put("/files/7", CONTENT, Content_Disposition='attachment; filename="night 7.tar"')
    archive.link(DID, url, CONTENT)
    done = get()
    assert done == Downloaded(DID, tmp_path / "out/night_7.tar", len(CONTENT), "sha256", is_new=True)
    assert done.path.read_bytes() == CONTENT
    assert files(tmp_path) == ["night_7.tar"]
    again = get()
    assert (again.path, again.is_new) == (done.path, False)


def test_the_next_time_goes_on_where_the_last_ended(
    archive: Archive, get: Callable[..., Downloaded], tmp_path: Path
) -> None:
    archive.link(DID, f"{archive.url}/a.tar", CONTENT)
    broken = breaking(CONTENT, 1_000_000)

    def once(request: BaseHTTPRequestHandler) -> None:
        (broken if len(archive.requests("/a.tar")) == 1 else Archive.nothing)(request)

    archive.answers["/a.tar"] = once
    with pytest.raises(NotFoundError):
        get()
    [part, _] = files(tmp_path)
    assert part.endswith(".part")
    kept = (tmp_path / "out" / part).stat().st_size
    assert 0 < kept <= 1_000_000
    archive.put("/a.tar", CONTENT)
    done = get()
    assert done.path.read_bytes() == CONTENT
    assert archive.requests("/a.tar")[-1]["Range"] == f"bytes={kept}-"
    assert files(tmp_path) == ["a.tar"]


def test_one_copy_with_hiccups_is_asked_again(archive: Archive, get: Callable[..., Downloaded]) -> None:
    archive.link(DID, f"{archive.url}/a.tar", CONTENT)
    archive.answers["/a.tar"] = breaking(CONTENT, 700_000)
    assert get().path.read_bytes() == CONTENT
    assert len(archive.requests("/a.tar")) == 5


def test_a_download_survives_the_death_of_its_copy(
    archive: Archive, mirror: Archive, get: Callable[..., Downloaded], tmp_path: Path
) -> None:
    (tmp_path / "served").mkdir()
    (tmp_path / "served/a.tar").write_bytes(CONTENT)
    port = archive._server.server_port  # a free one, once another is asked for
    with archives.archive() as probe:
        port = probe._server.server_port
    server = subprocess.Popen([sys.executable, archives.__file__, str(port), str(tmp_path / "served"), "500000"])
    killed_at = []

    def kill(key: str, done: int, total: int | None) -> None:
        if done > 600_000 and not killed_at:
            server.kill()
            server.wait()
            killed_at.append(done)

    try:
        archive.link(DID, f"http://127.0.0.1:{port}/a.tar", CONTENT)
        archive.link(DID, mirror.put("/copy/a.tar", CONTENT), CONTENT, semantics=DUPLICATE)
        web = Web(archive.url, timeout_s=5)
        deadline = time.monotonic() + 20
        while not is_there(f"http://127.0.0.1:{port}/a.tar"):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        [wanted] = read_wanted(web, f"{archive.url}/links", [DID])
        done = Downloader(web, Folder(tmp_path / "out"), report=kill).fetch(wanted)
    finally:
        server.kill()
        server.wait()
    assert killed_at
    assert hashlib.sha256(done.path.read_bytes()).digest() == hashlib.sha256(CONTENT).digest()
    [asked] = mirror.requests("/copy/a.tar")
    assert int(asked["Range"][6:-1]) >= 600_000
    assert done.verified == "sha256"


def is_there(url: str) -> bool:
    web = Web(url, timeout_s=5)
    try:
        with web.ask(url):
            return True
    except UnavailableError:
        return False


WRONG = CONTENT[:-1] + bytes([CONTENT[-1] ^ 1])
DIGEST = f"sha-256=:{b64encode(hashlib.sha256(WRONG).digest()).decode()}:"


@pytest.mark.parametrize(
    ("content", "headers", "is_read"),
    [
        (WRONG, {}, True),
        (CONTENT[:-5], {}, False),
        (CONTENT + b"x", {}, False),
        (CONTENT + b"x", {"Content_Length": "", "Connection": "close"}, True),
        (CONTENT[:-5], {"Content_Length": "", "Connection": "close"}, True),
        (CONTENT, {"Repr_Digest": DIGEST}, False),
        (CONTENT, {"Content_Encoding": "gzip"}, False),
    ],
)
def test_a_copy_that_lies_is_left_for_the_next(
    archive: Archive,
    mirror: Archive,
    get: Callable[..., Downloaded],
    tmp_path: Path,
    content: bytes,
    headers: dict[str, str],
    is_read: bool,
) -> None:
    archive.link(DID, archive.put("/a.tar", content, **headers), CONTENT)
    archive.link(DID, mirror.put("/copy/a.tar", CONTENT), CONTENT, semantics=DUPLICATE)
    assert get().path.read_bytes() == CONTENT
    assert len(mirror.requests("/copy/a.tar")) <= 2
    assert files(tmp_path) == ["a.tar"]


def test_when_every_copy_lies_nothing_is_left(
    archive: Archive, mirror: Archive, get: Callable[..., Downloaded], tmp_path: Path
) -> None:
    archive.link(DID, archive.put("/a.tar", WRONG), CONTENT)
    archive.link(DID, mirror.put("/copy/a.tar", WRONG), CONTENT, semantics=DUPLICATE)
    with pytest.raises(CatalogError, match="another sha256") as caught:
        get()
    assert not isinstance(caught.value, UsageError | UnavailableError)
    assert files(tmp_path) == []


def test_what_came_from_several_is_asked_for_from_each_alone(
    archive: Archive, mirror: Archive, get: Callable[..., Downloaded]
) -> None:
    """The first dies midway, after a wrong byte: in the end nobody knows whose was wrong."""
    first = breaking(bytes([CONTENT[0] ^ 1]) + CONTENT[1:], 1_500_000)

    def dying(request: BaseHTTPRequestHandler) -> None:
        (first if len(archive.requests("/a.tar")) == 1 else Archive.nothing)(request)

    archive.answers["/a.tar"] = dying
    archive.link(DID, f"{archive.url}/a.tar", CONTENT)
    archive.link(DID, mirror.put("/copy/a.tar", CONTENT), CONTENT, semantics=DUPLICATE)
    assert get().path.read_bytes() == CONTENT
    ranges = [headers.get("Range", "all") for headers in mirror.requests("/copy/a.tar")]
    assert ranges[0].startswith("bytes=")
    assert ranges[-1] == "all"


def test_without_a_checksum_only_the_same_bytes_go_on(
    archive: Archive, get: Callable[..., Downloaded], tmp_path: Path
) -> None:
    archive.link(DID, f"{archive.url}/a.tar")
    other = random.Random(2).randbytes(len(CONTENT))

    def dying(request: BaseHTTPRequestHandler) -> None:
        count = len(archive.requests("/a.tar"))
        if count == 1:
            tag = hashlib.sha256(CONTENT).hexdigest()[:16]
            request.send_response(200)
            request.send_header("Content-Length", str(len(CONTENT)))
            request.send_header("ETag", f'"{tag}"')
            request.end_headers()
            request.wfile.write(CONTENT[:1_000_000])
        elif count == 2:
            serve_bytes(request, other)

    archive.answers["/a.tar"] = dying
    done = get()
    second = archive.requests("/a.tar")[1]
    assert second["Range"].startswith("bytes=")
    assert second["If-Range"].startswith('"')
    assert done.path.read_bytes() == other
    assert done.verified is None


def test_a_digest_of_the_server_will_do(archive: Archive, get: Callable[..., Downloaded]) -> None:
    told = f"sha-512=:{b64encode(hashlib.sha512(CONTENT).digest()).decode()}:, unknown=:AAAA:"
    archive.link(DID, archive.put("/a.tar", CONTENT, Repr_Digest=told))
    assert get().verified == "sha512"
    archive.put("/b.tar", WRONG, Repr_Digest=told)
    archive.link(f"{DID}b", f"{archive.url}/b.tar")
    with pytest.raises(CatalogError, match="another sha512"):
        get(f"{DID}b")


def test_a_complete_part_is_only_named(archive: Archive, get: Callable[..., Downloaded], tmp_path: Path) -> None:
    """As after a loss of power between the last byte and the name."""
    archive.link(DID, archive.put("/a.tar", CONTENT), CONTENT)
    path = get().path
    part = Folder(tmp_path / "out").part_path(DID)
    path.rename(part)
    part.with_name(f"{part.name}.json").write_text(
        f'{{"size": {len(CONTENT)}, "algorithm": "sha256", "checksum": "{hashlib.sha256(CONTENT).hexdigest()}"}}'
    )
    assert get().path.read_bytes() == CONTENT
    assert archive.requests("/a.tar")[-1]["Range"] == f"bytes={len(CONTENT) - 1}-"


def test_a_part_of_something_else_is_not_gone_on_with(
    archive: Archive, get: Callable[..., Downloaded], tmp_path: Path
) -> None:
    part = Folder(tmp_path / "out").part_path(DID)
    part.write_bytes(b"x" * 1000)
    archive.link(DID, archive.put("/a.tar", CONTENT), CONTENT)
    for facts in (None, "{", '{"size": 5, "algorithm": "sha256", "checksum": "00"}'):
        if facts is not None:
            part.write_bytes(b"x" * 1000)
            part.with_name(f"{part.name}.json").write_text(facts)
            (tmp_path / "out/a.tar").unlink()
        assert get().path.read_bytes() == CONTENT
    assert files(tmp_path) == ["a.tar"]


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("../../up.tar", "up.tar"),
        ("/etc/passwd", "passwd"),
        ("..\\\\..\\\\up.tar", "up.tar"),
        (".bashrc", "bashrc"),
        ("..", "a.tar"),
        ("con.tar", "_con.tar"),
        ("a\tb.tar", "a_b.tar"),
        ("x" * 500 + ".tar", "x" * 130 + ".tar"),
        ("-rf", "rf"),
    ],
)
def test_no_name_leads_out_of_the_folder(
    archive: Archive, get: Callable[..., Downloaded], tmp_path: Path, said: str, name: str
) -> None:
    archive.link(DID, archive.put("/a.tar", CONTENT[:100], Content_Disposition=f'attachment; filename="{said}"'))
    assert get().path == tmp_path / "out" / name
    assert files(tmp_path) == [name]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_name_that_another_has_is_not_taken(archive: Archive, get: Callable[..., Downloaded], tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/a.tar").write_bytes(b"mine")
    archive.link(DID, archive.put("/a.tar", CONTENT), CONTENT)
    done = get()
    assert done.path.name == safe_name(done.path.name) != "a.tar"
    assert done.path.read_bytes() == CONTENT
    assert (tmp_path / "out/a.tar").read_bytes() == b"mine"
    assert not get().is_new
    done.path.write_bytes(b"mine too")
    with pytest.raises(UsageError, match="nothing is written over it"):
        get()
    (tmp_path / "out/a.tar").unlink()
    (tmp_path / "out/a.tar").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="nothing is written over it"):
        get()
    assert not (tmp_path / "elsewhere").exists()


def test_a_part_that_leads_elsewhere_is_not_written(
    archive: Archive, get: Callable[..., Downloaded], tmp_path: Path
) -> None:
    Folder(tmp_path / "out").part_path(DID).symlink_to(tmp_path / "victim")
    archive.link(DID, archive.put("/a.tar", CONTENT), CONTENT)
    with pytest.raises(ResourceLimitError, match="cannot be written"):
        get()
    assert not (tmp_path / "victim").exists()


def test_a_token_goes_to_its_service_alone(archive: Archive, mirror: Archive, get: Callable[..., Downloaded]) -> None:
    def redirect(request: BaseHTTPRequestHandler) -> None:
        request.send_response(307)
        request.send_header("Location", f"{mirror.url}/copy/a.tar?signature=x")
        request.send_header("Content-Length", "0")
        request.end_headers()

    archive.answers["/files/1"] = redirect
    mirror.put("/copy/a.tar", CONTENT)
    archive.link(DID, f"{archive.url}/files/1", CONTENT)
    done = get(token="secret-of-clara")
    assert done.path.name == "a.tar"
    assert [headers.get("Authorization") for _, _, headers in archive.asked] == ["Bearer secret-of-clara"] * 2
    assert [headers.get("Authorization") for _, _, headers in mirror.asked] == [None]
    archive.link(f"{DID}b", f"{mirror.url}/copy/b.tar", CONTENT)
    mirror.put("/copy/b.tar", CONTENT)
    get(f"{DID}b", token="secret-of-clara")
    assert {headers.get("Authorization") for _, _, headers in mirror.asked} == {None}


@pytest.mark.parametrize(
    "service", ["http://archive.example", "ftp://127.0.0.1", "file:///etc", "127.0.0.1", "https://"]
)
def test_a_token_does_not_travel_in_the_clear(service: str) -> None:
    with pytest.raises(UsageError):
        Web(service, token="secret")
    with pytest.raises(UsageError, match="characters"):
        Web("https://archive.example", token="a\nb")


@pytest.mark.parametrize(
    "target", ["file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://x", "http://me:word@127.0.0.1/x"]
)
def test_links_and_redirects_that_lead_elsewhere_are_not_followed(
    archive: Archive, get: Callable[..., Downloaded], target: str
) -> None:
    def redirect(request: BaseHTTPRequestHandler) -> None:
        request.send_response(302)
        request.send_header("Location", target)
        request.send_header("Content-Length", "0")
        request.end_headers()

    archive.answers["/a"] = redirect
    archive.link(DID, f"{archive.url}/a", CONTENT)
    archive.link(f"{DID}b", target, CONTENT)
    for did in (DID, f"{DID}b"):
        with pytest.raises(UsageError, match="no address"):
            get(did)


def test_redirects_in_a_circle_end(archive: Archive, get: Callable[..., Downloaded]) -> None:
    def around(request: BaseHTTPRequestHandler) -> None:
        request.send_response(302)
        request.send_header("Location", "/a")
        request.send_header("Content-Length", "0")
        request.end_headers()

    archive.answers["/a"] = around
    archive.link(DID, f"{archive.url}/a", CONTENT)
    with pytest.raises(UsageError, match="more than 5 times"):
        get()
    assert len(archive.requests("/a")) == 6


@pytest.mark.parametrize(
    ("row", "kind", "message"),
    [
        ({"error_message": "NotFoundFault: no such dataset"}, NotFoundError, "no such dataset"),
        ({"error_message": "TransientFault: it lies on tape"}, UnavailableError, "on tape"),
        ({"error_message": "DefaultFault: not served"}, CatalogError, "not served"),
        ({"access_url": "http://127.0.0.1:9/x", "link_authorized": ""}, UnavailableError, "does not answer"),
        ({"semantics": "#preview", "access_url": "http://127.0.0.1:9/x"}, NotFoundError, "links to nothing"),
    ],
)
def test_what_cannot_be_had_says_why(
    archive: Archive, get: Callable[..., Downloaded], tmp_path: Path, row: dict[str, str], kind: type, message: str
) -> None:
    archive.link(DID, None, **row)
    with pytest.raises(kind, match=message):
        get()
    assert files(tmp_path) == []


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, AuthorizationError), (403, AuthorizationError), (404, NotFoundError), (503, UnavailableError)],
)
def test_what_a_server_refuses_is_told_in_its_words(
    archive: Archive, get: Callable[..., Downloaded], status: int, kind: type
) -> None:
    def refuse(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        request.send_header("Content-Length", "14")
        request.end_headers()
        request.wfile.write(b"not for you, J")

    archive.answers["/a"] = refuse
    archive.link(DID, f"{archive.url}/a")
    with pytest.raises(kind, match=f"status {status}: not for you, J"):
        get()


def test_a_dataset_of_several_files_is_downloaded_whole(archive: Archive, tmp_path: Path) -> None:
    for name in ("a.fits", "b.fits"):
        archive.link(DID, archive.put(f"/{name}", name.encode()), name.encode())
    web = Web(archive.url, timeout_s=5)
    downloader = Downloader(web, Folder(tmp_path / "out"))
    for wanted in read_wanted(web, f"{archive.url}/links", [DID]):
        downloader.fetch(wanted)
    assert files(tmp_path) == ["a.fits", "b.fits"]


def test_a_service_that_takes_few_identifiers_is_asked_again(archive: Archive) -> None:
    dids = [f"{DID}{n}" for n in range(7)]
    whole = archive._links

    def few(request: BaseHTTPRequestHandler) -> None:
        links, left = archive.links, len(archive.requests("/links"))
        archive.links = [row for row in links if row["ID"] in dids[(left - 1) * 3 : left * 3]]
        whole(request)
        archive.links = links

    for did in dids[:6]:
        archive.link(did, f"{archive.url}/x")
    archive.answers["/links"] = few
    found = list(read_wanted(Web(archive.url), f"{archive.url}/links", dids))
    assert [wanted.did for wanted in found] == dids
    assert len(archive.requests("/links")) == 3
    assert isinstance(found[-1].fault, NotFoundError)
