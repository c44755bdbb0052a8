"""URLs of uploads: what is not public is refused, by whatever way it is named, and all is bounded."""

from __future__ import annotations

import io
import ipaddress
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from catalog.errors import CatalogError, ParameterError, ResourceLimitError, SettingsError
from catalog.tap import fetch as fetching
from catalog.tap.fetch import Fetcher

CONTENT = b"a,b\r\n1,2\r\n"


@contextmanager
def server(answer: Callable[[BaseHTTPRequestHandler], None], host: str = "127.0.0.1") -> Iterator[str]:
    """A real server; yields host:port. What it is asked is kept in ``server.asked``."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append((self.path, dict(self.headers)))
            answer(self)

        def log_message(self, *_: object) -> None:
            pass

    asked.clear()
    running = ThreadingHTTPServer((host, 0), Handler)
    running.daemon_threads = True
    threading.Thread(target=running.serve_forever, args=[0.01], daemon=True).start()
    try:
        yield f"{host}:{running.server_address[1]}"
    finally:
        running.shutdown()
        running.server_close()


asked: list[tuple[str, dict[str, str]]] = []


def give(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Type", "text/csv; header=present")
    handler.send_header("Content-Length", str(len(CONTENT)))
    handler.end_headers()
    handler.wfile.write(CONTENT)


def redirect(location: str, status: int = 302) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header("Location", location)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer


def fetched(url: str, *allowed: str, max_bytes: int = 1000, seconds: float = 20.0) -> tuple[bytes, str]:
    target = io.BytesIO()
    content_type = Fetcher(allowed, seconds=seconds).fetch(url, target, max_bytes=max_bytes)
    return target.getvalue(), content_type


def test_an_allowed_host_is_asked_without_credentials() -> None:
    with server(give) as host:
        assert fetched(f"http://{host}/t.csv?x=1#part", host) == (CONTENT, "text/csv; header=present")
    path, headers = asked[0]
    assert path == "/t.csv?x=1"
    assert headers["Host"] == host
    assert not {"authorization", "cookie"} & {name.lower() for name in headers}
    assert headers["Accept-Encoding"] == "identity"


@pytest.mark.parametrize("entry", ["127.0.0.1", "127.0.0.0/8", "{host}", "localhost"])
def test_hosts_are_allowed_by_name_port_and_network(entry: str) -> None:
    with server(give) as host:
        url = f"http://{host}/" if entry != "localhost" else f"http://LOCALHOST:{host.split(':')[1]}/"
        assert fetched(url, entry.format(host=host))[0] == CONTENT


@pytest.mark.parametrize("entry", ["127.0.0.1:1", "10.0.0.0/8", "example.org"])
def test_what_is_on_the_list_otherwise_is_refused(entry: str) -> None:
    with server(give) as host, pytest.raises(ParameterError, match="no public address"):
        fetched(f"http://{host}/", entry)
    assert not asked


LOOPBACK = [
    "127.0.0.1:{port}",
    "localhost:{port}",
    "127.1:{port}",
    "2130706433:{port}",
    "0x7f000001:{port}",
    "0177.0.0.1:{port}",
    "0.0.0.0:{port}",
    "[::1]:{port}",
    "[::]:{port}",
    "[::ffff:127.0.0.1]:{port}",
    "[::ffff:7f00:1]:{port}",
    "[64:ff9b::7f00:1]:{port}",
    "[2002:7f00:1::]:{port}",
    "[::127.0.0.1]:{port}",
    "127.0.0.1.:{port}",
    "localhost.:{port}",
]


@pytest.mark.parametrize("address", LOOPBACK)
def test_loopback_is_refused_however_it_is_spelled(address: str) -> None:
    with server(give) as host:
        with pytest.raises(ParameterError, match="no public address"):
            fetched(f"http://{address.format(port=host.split(':')[1])}/")
        assert not asked


@pytest.mark.parametrize(
    "address",
    [
        "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.1.2.3", "224.0.0.1", "240.0.0.1",
        "255.255.255.255", "192.0.2.1", "198.18.0.1", "fe80::1", "fc00::1", "fec0::1", "ff02::1", "::", "::1",
        "64:ff9b::a01:203", "64:ff9b:1::1", "2002:a01:203::1", "2001:0:1::1", "::ffff:8.8.8.8", "::10.1.2.3",
        "2001:db8::1",
    ],
)  # fmt: skip
def test_no_address_that_is_not_public_is_asked(address: str) -> None:
    assert not fetching._is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", ["8.8.8.8", "129.206.0.1", "2a00:1450:4001::1"])
def test_public_addresses_are_asked(address: str) -> None:
    assert fetching._is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed_within_what_is_allowed(status: int) -> None:
    with server(give) as target:
        with server(redirect(f"http://{target}/there", status)) as first:
            assert fetched(f"http://{first}/here", first, target)[0] == CONTENT
        assert [path for path, _ in asked] == ["/here", "/there"]


def test_a_redirect_to_what_is_forbidden_is_refused() -> None:
    with server(give) as inside, server(redirect(f"http://{inside}/secret")) as outside:
        asked.clear()
        with pytest.raises(ParameterError, match="no public address"):
            fetched(f"http://{outside}/", outside)
        assert [path for path, _ in asked] == ["/"]


@pytest.mark.parametrize("location", ["file:///etc/passwd", "ftp://127.0.0.1/", "gopher://x/", "http://u:p@127.0.0.1/"])
def test_redirects_to_other_schemes_are_refused(location: str) -> None:
    with server(redirect(location)) as host, pytest.raises(ParameterError):
        fetched(f"http://{host}/", host)


def test_redirects_end() -> None:
    with server(redirect("/again")) as host, pytest.raises(ParameterError, match="more than 5 times"):
        fetched(f"http://{host}/", host)
    assert len(asked) == 6


def test_the_address_that_was_judged_is_the_one_that_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that means something else at the second look gains nothing by it."""
    looks: list[str] = []
    real = socket.getaddrinfo

    def changing(host: str, *rest: object, **more: object) -> object:
        looks.append(host)
        return real("127.0.0.1" if len(looks) == 1 else "169.254.169.254", *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", changing)
    with server(give) as host:
        url = f"http://changing.example:{host.split(':')[1]}/"
        assert fetched(url, "127.0.0.0/8")[0] == CONTENT
    assert looks == ["changing.example"]


def test_a_name_with_a_private_address_among_others_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def both(host: str, port: int, **_: object) -> list[object]:
        return [(2, 1, 6, "", ("8.8.8.8", port)), (2, 1, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", both)
    with pytest.raises(ParameterError, match="no public address"):
        fetched("http://both.example/")


def test_a_large_document_is_refused_whether_it_says_so_or_not() -> None:
    def endless(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        try:
            while True:
                handler.wfile.write(b"x" * 1000)
        except OSError:
            pass

    def stated(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000000")
        handler.end_headers()

    for answer in (endless, stated):
        with server(answer) as host, pytest.raises(ResourceLimitError, match="larger than the 1,000 bytes"):
            fetched(f"http://{host}/", host)


@pytest.mark.parametrize("where", ["headers", "body"])
def test_a_slow_document_is_given_up(where: str) -> None:
    def slow(handler: BaseHTTPRequestHandler) -> None:
        try:
            if where == "body":
                handler.send_response(200)
                handler.end_headers()
            else:
                handler.wfile.write(b"HTTP/1.0 200 OK\r\nX: ")
            while True:
                handler.wfile.write(b"a")
                time.sleep(0.05)
        except OSError:
            pass

    with server(slow) as host, pytest.raises(ResourceLimitError, match="did not arrive within 1 s"):
        fetched(f"http://{host}/", host, max_bytes=10**9, seconds=1.0)


def test_a_document_that_is_cut_off_is_refused() -> None:
    def cut(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "100")
        handler.end_headers()
        handler.wfile.write(b"a,b")

    with server(cut) as host, pytest.raises(ParameterError, match="cannot be fetched"):
        fetched(f"http://{host}/", host)


@pytest.mark.parametrize("status", [204, 400, 401, 404, 500])
def test_what_a_server_says_of_a_failure_is_not_passed_on(status: int) -> None:
    def fail(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status, "internal secret")
        handler.end_headers()
        handler.wfile.write(b"internal secret")

    with server(fail) as host, pytest.raises(ParameterError) as caught:
        fetched(f"http://{host}/", host)
    assert "secret" not in caught.value.message
    assert str(status) not in caught.value.message.replace(host, "")


def test_what_does_not_answer_is_told_as_briefly() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{closed.getsockname()[1]}"
        with pytest.raises(ParameterError, match=r"cannot be fetched from '127\.0\.0\.1'"):
            fetched(f"http://{host}/", host)


def test_what_is_there_and_what_is_not_are_refused_alike() -> None:
    with server(give) as host, pytest.raises(ParameterError) as there:
        fetched(f"http://{host}/")
    with pytest.raises(ParameterError) as nowhere:
        fetched("http://127.0.0.1:1/")
    assert there.value.message == nowhere.value.message


@pytest.mark.parametrize(
    "url",
    ["http://", "http:///x", "https://[::1", "http://h:99999/", "http://user:secret@example.org/", "http://h:0/",
     "file:///etc/passwd", "http://exa mple/", "http://127.0.0.1\\@example.org/"],
)  # fmt: skip
def test_urls_that_are_none_are_refused(url: str) -> None:
    with pytest.raises(CatalogError) as caught:
        fetched(url)
    assert isinstance(caught.value, ParameterError)
    assert "secret" not in caught.value.message


@pytest.mark.parametrize("entry", ["", "http://host", "host/path", "u@host", "host:port"])
def test_an_entry_of_the_list_that_is_none_is_a_mistake_in_the_settings(entry: str) -> None:
    with pytest.raises(SettingsError, match="upload_allowed_hosts"):
        Fetcher([entry], seconds=1)


def test_certificates_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    with server(give) as host, pytest.raises(ParameterError, match="cannot be fetched"):
        fetched(f"https://{host}/", host)  # a server that speaks no TLS
    assert not asked
