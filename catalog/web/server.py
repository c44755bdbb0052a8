"""Run the service with uvicorn, within bounds: connections, headers, clients that are slow to ask."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from catalog.errors import UsageError
from catalog.web.app import create_app
from catalog.wiring import Catalog

__all__ = ["listen", "run"]

_LOG = logging.getLogger(__name__)
_CONNECTIONS = 500
_HEADER_BYTES = 64 * 1024  # queries in a URL are long
_REQUEST_SECONDS = 30.0
_KEEP_ALIVE_SECONDS = 75  # longer than proxies keep theirs, so that they never use one that is being closed
_GRACE_SECONDS = 5  # for answers under way when the service is stopped
_STALLED_MS = 120_000
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def listen(host: str, port: int) -> socket.socket:
    """A socket that accepts connections from now on.

    Args:
        host: Name or address to listen at.
        port: Port; 0 for any that is free.

    Raises:
        UsageError: The port is taken, or is not ours to take.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=_CONNECTIONS)
    except OSError as error:
        raise UsageError(
            f"cannot listen at {host}, port {port}: {error.strerror}", hint="Choose another with --port or --host."
        ) from None
    # Connections inherit it. asyncio sets it where a socket says that it is one of TCP, which these do not. Without it
    # each answer on a kept connection waits 40 ms for the client's system to acknowledge the one before.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux: drop a client that takes nothing of what it asked for
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _STALLED_MS)
    return listener


def run(catalog: Catalog, listener: socket.socket, *, is_housekeeper: bool = True) -> None:
    """Serve until SIGINT or SIGTERM.

    Then answers under way get a few seconds, after which their queries are cancelled; who waits for a job is answered
    at once, and jobs are handed back for another process to take.

    Args:
        catalog: Stays the caller's: it is not closed here.
        listener: From `listen`; closed at the end.
        is_housekeeper: Whether this process publishes what others change by plain SQL; one of a service is enough.
    """
    app = create_app(catalog, is_housekeeper=is_housekeeper)
    config = uvicorn.Config(
        app,
        http=_Protocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=_CONNECTIONS,
        h11_max_incomplete_event_size=_HEADER_BYTES,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    with _signals_stay_quiet(), listener:
        _Server(config, before_stop=app.state.phase_watch.close).run(sockets=[listener])


class _Server(uvicorn.Server):
    """Says when it begins to stop."""

    def __init__(self, config: uvicorn.Config, *, before_stop: Callable[[], None]) -> None:
        super().__init__(config)
        self._before_stop = before_stop

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._before_stop()
        await super().shutdown(sockets)


class _Protocol(H11Protocol):
    """HTTP/1.1 that does not wait for ever for a request: neither for the first byte nor for the last of its header."""

    _waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        if self._waiting is None:
            self._wait()
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_waiting()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._stop_waiting()

    def _wait(self) -> None:
        self._waiting = self.loop.call_later(_REQUEST_SECONDS, self.timeout_keep_alive_handler)

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None


@contextmanager
def _signals_stay_quiet() -> Iterator[None]:
    """Stopping is no failure: uvicorn raises the signal that stopped it once more when all is done."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ignore(number: int, frame: FrameType | None) -> None:
        _LOG.debug("stopped by signal %d", number)

    before = [(number, signal.signal(number, ignore)) for number in _SIGNALS]
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)
