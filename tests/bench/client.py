"""HTTP clients that cost little themselves: what is measured is the service."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Barrier, Thread
from urllib.parse import quote

__all__ = ["Connection", "Streamed", "load", "sync_path"]

_PIECE = 1 << 18
_TAIL = 4_000
_LAST_CHUNK = b"\r\n0\r\n\r\n"  # with the end of the chunk before: a row of CSV may end in 0, too


@dataclass(frozen=True, slots=True)
class Streamed:
    """What arrived, and when."""

    first_byte_s: float
    seconds: float
    size: int
    tail: bytes


def sync_path(query: str, responseformat: str = "votable", maxrec: int = 5_000_000) -> str:
    """Path and query of a synchronous query."""
    return (
        f"/tap/sync?LANG=ADQL&MAXREC={maxrec}&RESPONSEFORMAT={quote(responseformat, safe='')}"
        f"&QUERY={quote(query, safe='')}"
    )


class Connection:
    """One connection that is kept."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def close(self) -> None:
        self._socket.close()

    def ask(self, path: str, method: str = "GET", body: bytes = b"", headers: str = "") -> bytes:
        """The body of an answer, as it came over the wire; other status than 200 or 303 is an error."""
        kind = f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n" if body else ""
        self._socket.sendall(
            f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\n{kind}{headers}\r\n".encode() + body
        )
        head, rest = self._head()
        if b" 304 " in head[:20]:
            return head
        if b"content-length:" in head:
            size = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
            parts = [rest]
            missing = size - len(rest)
            while missing > 0:
                piece = self._receive()
                parts.append(piece)
                missing -= len(piece)
            return head + b"\r\n\r\n" + b"".join(parts)
        while not rest.endswith(_LAST_CHUNK):
            rest += self._receive()
        return head + b"\r\n\r\n" + rest

    def stream(self, path: str, headers: str = "") -> Streamed:
        """Read an answer of any size and throw it away."""
        began = time.perf_counter()
        self._socket.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\n{headers}\r\n".encode())
        _, rest = self._head()
        while not rest:
            rest = self._receive()
        first = time.perf_counter() - began
        size, tail = len(rest), rest
        buffer = bytearray(_PIECE)
        view = memoryview(buffer)
        while not tail.endswith(_LAST_CHUNK):
            count = self._socket.recv_into(view)
            if not count:
                raise RuntimeError(f"the answer broke off after {size:,} bytes")
            size += count
            tail = (tail + bytes(view[max(0, count - _TAIL) : count]))[-_TAIL:]
        seconds = time.perf_counter() - began
        if b'value="ERROR"' in tail:
            raise RuntimeError(f"the answer is not whole: {tail[-600:]!r}")
        return Streamed(first, seconds, size, tail)

    def first_byte(self, path: str) -> float:
        """Seconds until the first byte of a body, after which the connection is of no more use."""
        began = time.perf_counter()
        self._socket.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\n\r\n".encode())
        _, rest = self._head()
        while not rest:
            rest = self._receive()
        return time.perf_counter() - began

    def _head(self) -> tuple[bytes, bytes]:
        received = b""
        while b"\r\n\r\n" not in received:
            received += self._receive()
        head, _, rest = received.partition(b"\r\n\r\n")
        if head[9:12] not in (b"200", b"303", b"304"):
            raise RuntimeError(f"the service answered {head[:40]!r}: {rest[:2000]!r}")
        return head, rest

    def _receive(self) -> bytes:
        piece = self._socket.recv(_PIECE)
        if not piece:
            raise RuntimeError("the service closed the connection")
        return piece


def load(port: int, paths: Sequence[str], clients: int, seconds: float) -> tuple[float, list[float]]:
    """Requests a second of several clients, each on a connection of its own, and the seconds of each request."""
    times: list[list[float]] = [[] for _ in range(clients)]
    gate = Barrier(clients + 1)

    def work(number: int) -> None:
        connection = Connection(port)
        connection.ask(paths[number % len(paths)])
        gate.wait()
        turn, until = number, time.perf_counter() + seconds
        while (began := time.perf_counter()) < until:
            connection.ask(paths[turn % len(paths)])
            times[number].append(time.perf_counter() - began)
            turn += 1
        connection.close()

    began = _run([lambda number=number: work(number) for number in range(clients)], gate)  # type: ignore[misc]
    elapsed = time.perf_counter() - began
    flat = [each for some in times for each in some]
    return len(flat) / elapsed, flat


def _run(works: Sequence[Callable[[], None]], gate: Barrier) -> float:
    threads = [Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    gate.wait()
    began = time.perf_counter()
    for thread in threads:
        thread.join()
    return began
