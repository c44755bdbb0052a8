"""Servers to download from: they know ranges, can lie, be slow, and die. Started alone it serves one folder, slowly."""

from __future__ import annotations

import hashlib
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread
from typing import Any
from urllib.parse import parse_qs

LINKS = ("ID", "access_url", "error_message", "semantics", "content_length", "checksum", "checksum_algorithm")
_RANGE = re.compile(r"bytes=(\d+)-")
_PIECE = 16_384


def serve_bytes(request: BaseHTTPRequestHandler, content: bytes, *, rate: float = 0, **headers: str) -> int:
    """Answer with bytes, or those from the start of a range on, some per second; returns how many were sent."""
    tag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
    asked = _RANGE.fullmatch(request.headers.get("Range", ""))
    start = int(asked[1]) if asked and request.headers.get("If-Range", tag) == tag else 0
    told = {"Content-Length": str(len(content) - start), "ETag": tag} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    if start >= len(content) and start:
        request.send_response(416)
        told |= {"Content-Range": f"bytes */{len(content)}", "Content-Length": "0"}
    else:
        request.send_response(206 if start else 200)
        if start:
            told["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
    for name, value in told.items():
        if value:
            request.send_header(name, value)
    request.end_headers()
    sent = 0
    with suppress(OSError):
        for at in range(start, len(content), _PIECE):
            time.sleep(_PIECE / rate if rate else 0)
            request.wfile.write(content[at : at + _PIECE])
            request.wfile.flush()
            sent += len(content[at : at + _PIECE])
    return sent


class Archive:
    """A server of this process. What it answers at a path is a function of the request."""

    def __init__(self) -> None:
        self.answers: dict[str, Callable[[BaseHTTPRequestHandler], object]] = {}
        self.links: list[dict[str, Any]] = []
        self.asked: list[tuple[str, str, Mapping[str, str]]] = []
        self.at_once = self.most_at_once = 0
        archive, lock = self, Lock()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer()

            def do_POST(self) -> None:
                self._answer()

            def _answer(self) -> None:
                with lock:
                    archive.asked.append((self.command, self.path, dict(self.headers.items())))
                    archive.at_once += 1
                    archive.most_at_once = max(archive.most_at_once, archive.at_once)
                try:
                    archive.answers.get(self.path.split("?")[0], archive.nothing)(self)
                finally:
                    with lock:
                        archive.at_once -= 1

            def log_message(self, *words: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self.answers["/links"] = self._links
        Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    @staticmethod
    def nothing(request: BaseHTTPRequestHandler) -> None:
        request.send_error(404)

    def put(self, path: str, content: bytes, **headers: str) -> str:
        """Give out bytes at a path; returns its URL."""
        self.answers[path] = lambda request: serve_bytes(request, content, **headers)
        return f"{self.url}{path}"

    def link(self, did: str, url: str | None, content: bytes | None = None, **changes: Any) -> None:
        """Add a row of links; with content, its size and checksum are told."""
        row: dict[str, Any] = {"ID": did, "access_url": url, "semantics": "#this"}
        if content is not None:
            digest = hashlib.sha256(content).hexdigest()
            row |= {"content_length": len(content), "checksum": digest, "checksum_algorithm": "sha256"}
        self.links.append(row | changes)

    def _links(self, request: BaseHTTPRequestHandler) -> None:
        form = request.rfile.read(int(request.headers.get("Content-Length", "0"))).decode()
        ids = parse_qs(form).get("ID", [])
        rows = [row for did in ids for row in self.links if row["ID"] == did]
        serve_bytes(request, votable(rows), Content_Type="application/x-votable+xml;content=datalink")

    def requests(self, path: str) -> list[Mapping[str, str]]:
        """Headers of the requests for a path."""
        return [headers for _, asked, headers in self.asked if asked.split("?")[0] == path]


def votable(rows: list[dict[str, Any]]) -> bytes:
    """Rows of links."""
    kinds = dict.fromkeys(LINKS, 'datatype="char" arraysize="*"') | {"content_length": 'datatype="long"'}
    names = [*LINKS, *sorted({name for row in rows for name in row} - set(LINKS))]
    fields = "".join(f'<FIELD name="{name}" {kinds.get(name, kinds["ID"])}/>' for name in names)

    def cell(row: dict[str, Any], name: str) -> str:
        value = row.get(name)
        return f"<TD>{'' if value is None else escape(str(value))}</TD>"

    body = "".join(f"<TR>{''.join(cell(row, name) for name in names)}</TR>" for row in rows)
    return (
        '<?xml version="1.0"?><VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3">'
        f'<RESOURCE type="results"><TABLE>{fields}<DATA><TABLEDATA>{body}</TABLEDATA></DATA></TABLE></RESOURCE>'
        "</VOTABLE>"
    ).encode()


@contextmanager
def archive() -> Iterator[Archive]:
    made = Archive()
    try:
        yield made
    finally:
        made.close()


def main(port: int, folder: Path, rate: float) -> None:
    """Serve the files of a folder until somebody ends the process."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            serve_bytes(self, (folder / Path(self.path).name).read_bytes(), rate=rate)

        def do_HEAD(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str((folder / Path(self.path).name).stat().st_size))
            self.end_headers()

        def log_message(self, *words: object) -> None:
            pass

    ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]))
