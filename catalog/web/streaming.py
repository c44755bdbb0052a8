"""Answers that are made while they are sent: byte iterators over HTTP, which end when the client leaves."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock

import anyio
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from catalog.errors import UnavailableError
from catalog.web.admission import Admission
from catalog.web.compression import Packer, accepts_gzip, pack, shrinks
from catalog.web.responses import as_fault

__all__ = ["Answer", "StreamResponse", "breaking_off", "cancelled_when_gone", "send_piece"]

_LOG = logging.getLogger(__name__)
_SLICE_BYTES = 128 * 1024
_WHOLE_BYTES, _WHOLE_SECONDS = 64 * 1024, 0.05  # what is shorter, and quickly made, is sent as a whole
_STOP_AGAIN_S = 0.05
_LOOK_AFTER_S = 0.05
_SLICE_SECONDS = 30.0  # a client that takes less than 4 kB/s does not keep its place


@dataclass(frozen=True, slots=True)
class Answer:
    """A document that is made piece by piece."""

    pieces: Iterator[bytes]
    """A generator; it is closed at the end, whatever happens."""

    cancel: Callable[[], None]
    """Stops whatever the generator waits for; called from another thread, also when all is done."""

    content_type: str


class StreamResponse(Response):
    """Run a query in a place of its own and send its answer as it is made.

    The status line is sent when the first piece has been made, so that what fails until then is answered by a document.
    A fault midway breaks the connection, since the format has no tail to tell it in. A client that hangs up, also
    while it waits, stops the query in the database.

    Args:
        prepare: Starts the work; called in a worker thread.
        admission: Where the place comes from.
        refuse: The document for what fails before the first piece.
        close: Called at the end, whatever happens; lets go of what the work needed.
    """

    def __init__(
        self,
        prepare: Callable[[], Answer],
        *,
        admission: Admission,
        refuse: Callable[[Exception], Response],
        close: Callable[[], None] = lambda: None,
    ) -> None:
        self.status_code = 200
        self.background = None
        self._prepare = prepare
        self._admission = admission
        self._refuse = refuse
        self._close = close

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, and watch the client meanwhile."""
        try:
            with cancelled_when_gone(receive):
                refusal = await self._answer(scope, send)
                if refusal is not None:
                    await refusal(scope, receive, send)
        finally:
            self._close()

    async def _answer(self, scope: Scope, send: Send) -> Response | None:
        """Send the answer, or say what is to be sent instead of it."""
        packs = accepts_gzip(Headers(scope=scope).get("accept-encoding"))
        try:
            async with self._admission.place():
                work = _Work(self._prepare, self._admission, packs=packs)
                try:
                    first = await work.first()
                    with breaking_off():
                        await self._start(send, work, len(first))
                        await self._send(send, work, None if scope["method"] == "HEAD" else first)
                finally:
                    await work.stop()
        except Exception as error:
            return self._refuse(error)
        return None

    async def _start(self, send: Send, work: _Work, size: int) -> None:
        headers = {"content-type": work.content_type, "vary": "Accept-Encoding"}
        if work.is_packed:
            headers["content-encoding"] = "gzip"
        if work.is_complete:
            headers["content-length"] = str(size)
        self.init_headers(headers)
        with anyio.fail_after(_SLICE_SECONDS):
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})

    async def _send(self, send: Send, work: _Work, first: bytes | None) -> None:
        piece = first
        while piece is not None and not work.is_complete:
            await send_piece(send, piece)
            piece = await work.next()
        with anyio.fail_after(_SLICE_SECONDS):
            await send({"type": "http.response.body", "body": piece or b"", "more_body": False})


@contextmanager
def breaking_off() -> Iterator[None]:
    """What fails in here ends an answer that has begun: without its end, so that nobody takes a part for the whole."""
    try:
        yield
    except TimeoutError:
        _LOG.warning("an answer was broken off: the client reads less than 4 kB/s")
    except Exception as error:
        _LOG.warning("an answer was broken off: %s", as_fault(error).message)


async def send_piece(send: Send, piece: bytes) -> None:
    """Send bytes of an answer that has begun.

    Raises:
        TimeoutError: The client does not take them.
    """
    whole = memoryview(piece)
    for start in range(0, len(piece), _SLICE_BYTES):
        with anyio.fail_after(_SLICE_SECONDS):
            await send({"type": "http.response.body", "body": whole[start : start + _SLICE_BYTES], "more_body": True})


@contextmanager
def cancelled_when_gone(receive: Receive) -> Iterator[None]:
    """Cancel the block when the client, who has nothing more to send, hangs up.

    It is looked at when the block has lasted a moment: most answers take less than to watch for their client would.
    """
    loop = asyncio.get_running_loop()
    watchers: list[asyncio.Task[None]] = []
    with anyio.CancelScope() as scope:
        timer = loop.call_later(_LOOK_AFTER_S, lambda: watchers.append(loop.create_task(_watch(receive, scope))))
        try:
            yield
        finally:
            timer.cancel()
            for watcher in watchers:
                watcher.cancel()


async def _watch(receive: Receive, scope: anyio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


class _Work:
    """An `Answer` in the making: threads take pieces in turn, and anybody may stop it.

    What is small is made from beginning to end in one turn: to go from thread to thread takes longer than to make it.

    Args:
        prepare: Starts it.
        admission: Where threads come from.
        packs: Whether the client takes gzip.
    """

    def __init__(self, prepare: Callable[[], Answer], admission: Admission, *, packs: bool) -> None:
        self.content_type = ""
        self.is_complete = False
        """Whether the first piece is all there is."""
        self.is_packed = False
        self._prepare = prepare
        self._admission = admission
        self._packs = packs
        self._packer: Packer | None = None
        self._answer: Answer | None = None
        self._is_over = False
        self._stopping = False
        self._turn = Lock()

    async def first(self) -> bytes:
        """The first piece, or everything."""
        return await self._admission.run(self._first)

    async def next(self) -> bytes | None:
        """The next piece; None at the end."""
        return None if self._is_over else await self._admission.run(self._next)

    async def stop(self) -> None:
        """Let go of everything, also while a thread is at work."""
        if not self._is_over:
            with anyio.CancelScope(shield=True):
                await run_in_threadpool(self._stop)

    def _first(self) -> bytes:
        with self._turn:
            if self._stopping:
                raise UnavailableError("the client is gone")
            answer = self._answer = self._prepare()
            self.content_type = answer.content_type
            body = self._begun(answer)
            self.is_packed = self._packs and shrinks(self.content_type, len(body) if self.is_complete else None)
            if not self.is_packed:
                return body
            if self.is_complete:
                return pack(body)
            self._packer = Packer()
            return self._packer.add(body)

    def _begun(self, answer: Answer) -> bytes:
        """All pieces, if they are few and come quickly; else some."""
        pieces: list[bytes] = []
        began: float | None = None
        while (piece := next(answer.pieces, None)) is not None:
            pieces.append(piece)
            began = began or time.monotonic()
            if sum(map(len, pieces)) >= _WHOLE_BYTES or time.monotonic() - began > _WHOLE_SECONDS:
                return b"".join(pieces)
        self._end(answer)
        self.is_complete = True
        return b"".join(pieces)

    def _next(self) -> bytes | None:
        with self._turn:
            answer = self._answer
            if answer is None or self._is_over:
                return None
            while (piece := next(answer.pieces, None)) is not None:
                packed = piece if self._packer is None else self._packer.add(piece)
                if packed:
                    return packed
            self._end(answer)
            return None if self._packer is None else self._packer.end()

    def _end(self, answer: Answer) -> None:
        self._is_over = True
        answer.cancel()

    def _stop(self) -> None:
        self._stopping = True
        answer = self._answer
        if answer is not None:
            answer.cancel()
        while not self._turn.acquire(timeout=_STOP_AGAIN_S):
            if self._answer is not None and self._answer is not answer:  # it was being prepared
                answer = self._answer
                answer.cancel()
        try:
            if self._answer is not None and not self._is_over:
                self._end(self._answer)
                close = getattr(self._answer.pieces, "close", None)
                if close is not None:
                    close()
        finally:
            self._turn.release()
