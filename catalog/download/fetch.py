"""Download one thing from whichever of its copies gives it: resumed, verified, and named when it is whole."""

from __future__ import annotations

import base64
import binascii
import http.client
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from urllib.parse import urlsplit

from catalog.download.links import Copy, Wanted
from catalog.download.names import Folder, told_name
from catalog.download.part import DIGESTS, Identity, PartFile, file_digest
from catalog.download.web import Answer, Web
from catalog.errors import CatalogError, CopyError, ResourceLimitError, UnavailableError

__all__ = ["Downloaded", "Downloader", "Stopped"]

_PIECE = 2**18
_FAILURES = 3  # of a copy, one after another, without a byte
_PAUSE_S = 1.0
_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)")
_DIGEST = re.compile(r"\s*(sha-256|sha-512)\s*=\s*:([A-Za-z0-9+/=]+):\s*")


class Stopped(Exception):  # noqa: N818  (nothing is wrong)
    """Somebody does not want it any more; what is there stays for another time."""


@dataclass(frozen=True, slots=True)
class Downloaded:
    """A complete file."""

    did: str
    path: Path
    size: int
    """Bytes."""

    verified: str | None
    """By which checksum; None when nobody tells any."""

    is_new: bool
    """False when it was there already."""


@dataclass(slots=True)
class _Source:
    """A copy, and what became of asking for it."""

    copy: Copy
    failures: int = 0
    is_given_up: bool = False
    fault: CatalogError | None = None


class Downloader:
    """Downloads things into a folder; any number of threads may use it at once.

    Args:
        web: Asks.
        folder: Where to.
        stop: Set when nobody wants to wait any more.
        report: Told the key of a thing, its bytes so far, and how many there are if that is known.
    """

    def __init__(
        self,
        web: Web,
        folder: Folder,
        *,
        stop: Event | None = None,
        report: Callable[[str, int, int | None], None] = lambda key, done, total: None,
    ) -> None:
        self._web = web
        self._folder = folder
        self._stop = stop or Event()
        self._report = report

    def fetch(self, wanted: Wanted) -> Downloaded:
        """Download one thing.

        Raises:
            CatalogError: None of its copies gives it; of several reasons the gravest.
            Stopped: It is not wanted any more.
        """
        if wanted.fault is not None:
            raise wanted.fault
        key = f"{wanted.did}#{wanted.number}" if wanted.number else wanted.did
        with PartFile(self._folder.part_path(key)) as part:
            return _Download(self._web, self._folder, part, wanted, key, self._stop, self._report).run()


class _Download:
    """The download of one thing. When what came from several copies is wrong, each is asked for all of it."""

    def __init__(
        self,
        web: Web,
        folder: Folder,
        part: PartFile,
        wanted: Wanted,
        key: str,
        stop: Event,
        report: Callable[[str, int, int | None], None],
    ) -> None:
        self._web = web
        self._folder = folder
        self._part = part
        self._did = wanted.did
        self._key = key
        self._stop = stop
        self._report = report
        self._sources = [_Source(copy) for copy in wanted.copies]
        self._givers: set[str] = {"an earlier time"} if part.size else set()
        self._mixes = True
        self._target: Path | None = None

    def run(self) -> Downloaded:
        """Ask one copy after the other, and again, until one has given what is missing."""
        while True:
            had = self._part.size
            for source in self._sources:
                if not source.is_given_up:
                    done = self._try(source)
                    if done is not None:
                        return done
            if all(source.is_given_up for source in self._sources):
                raise _gravest(self._sources)
            if self._part.size == had and self._stop.wait(_PAUSE_S):
                raise Stopped

    def _try(self, source: _Source) -> Downloaded | None:
        had = self._part.size
        try:
            return self._ask(source.copy)
        except (ResourceLimitError, Stopped):
            raise
        except UnavailableError as fault:
            source.fault = fault
            source.failures = 0 if self._part.size > had else source.failures + 1
            source.is_given_up = source.failures >= _FAILURES
        except CopyError as fault:
            if self._givers == {source.copy.url} or not self._part.size:
                source.fault, source.is_given_up = fault, True
            self._mixes = self._mixes and len(self._givers) < 2
            self._forget()
        except CatalogError as fault:
            source.fault, source.is_given_up = fault, True
        return None

    def _forget(self) -> None:
        self._part.forget()
        self._givers.clear()

    def _ask(self, copy: Copy) -> Downloaded | None:
        """Ask one copy for what is missing; from its beginning, where what is there may belong to something else."""
        if not self._mixes and not self._givers <= {copy.url}:
            self._forget()
        kept = self._part.identity
        offset = self._part.size if kept is not None else 0
        if kept is not None and offset and offset == kept.size:
            offset -= 1  # the server says the name with the last byte
        for start in dict.fromkeys((offset, 0)):
            with self._web.ask(copy.url, headers=self._headers(copy, start)) as answer:
                identity = _identity(copy, answer)
                if start and (answer.status == 416 or not _goes_on(answer, start, kept, identity)):
                    if answer.status == 200:
                        start = 0
                    else:
                        continue
                done = self._there_already(answer, identity)
                if done is not None:
                    return done
                if answer.status == 416:
                    raise CopyError(f"{_where(answer)} has no bytes of it")
                return self._take(copy, answer, identity, start)
        return None

    def _headers(self, copy: Copy, start: int) -> dict[str, str]:
        """``If-Range`` where there is no checksum: then bytes are the same only while the server says so."""
        if not start:
            return {}
        kept = self._part.identity
        headers = {"Range": f"bytes={start}-"}
        if kept is not None and kept.checksum is None:
            headers["If-Range"] = kept.etag if kept.etag and kept.url == copy.url else '"none"'
        return headers

    def _there_already(self, answer: Answer, identity: Identity) -> Downloaded | None:
        """The file, if what it would be called is there already; else a name is given to it."""
        if self._target is None:
            name = told_name(answer.headers, answer.url, self._did)
            self._target = self._folder.give(name, self._key, is_same=lambda path: _is_same(path, identity))
            if self._target.exists():
                self._part.forget()
                size = self._target.stat().st_size
                self._report(self._key, size, size)
                return Downloaded(self._did, self._target, size, identity.algorithm, is_new=False)
        return None

    def _take(self, copy: Copy, answer: Answer, identity: Identity, start: int) -> Downloaded:
        part = self._part
        if not start:
            self._givers.clear()
        part.begin(identity, keep=start)
        self._report(self._key, part.size, identity.size)
        while piece := self._read(answer):
            self._givers.add(copy.url)
            part.write(piece)
            self._report(self._key, part.size, identity.size)
            if identity.size is not None and part.size > identity.size:
                raise CopyError(f"{_where(answer)} gives more than the {identity.size:,} bytes that there are")
        if answer.is_cut_short or (identity.size is not None and part.size < identity.size):
            raise UnavailableError(f"{_where(answer)} broke off after {part.size:,} bytes")
        if part.is_right() is False:
            raise CopyError(f"what {_where(answer)} gives has another {identity.algorithm} than it should")
        assert self._target is not None  # noqa: S101  (given with the first answer)
        part.finish(self._target)
        verified = None if part.is_right() is None else identity.algorithm
        return Downloaded(self._did, self._target, part.size, verified, is_new=True)

    def _read(self, answer: Answer) -> bytes:
        if self._stop.is_set():
            raise Stopped
        try:
            return answer.body.read1(_PIECE)
        except (OSError, http.client.HTTPException, ValueError):
            raise UnavailableError(f"{_where(answer)} broke off after {self._part.size:,} bytes") from None


def _identity(copy: Copy, answer: Answer) -> Identity:
    """What a copy gives, by the word of the links and of the server.

    Raises:
        CopyError: They contradict each other.
    """
    size = _size(answer)
    if None not in (size, copy.size) and size != copy.size:
        raise CopyError(f"{_where(answer)} has {size:,} bytes of it, and not {copy.size:,}")
    told = _digests(answer)
    algorithm, checksum = copy.checksum or (None, None)
    if algorithm is not None and told.get(algorithm, checksum) != checksum:
        raise CopyError(f"{_where(answer)} has another {algorithm} of it than the links say")
    if algorithm not in DIGESTS:
        algorithm, checksum = next(iter(sorted(told.items())), (None, None))
    etag = answer.headers.get("ETag", "")
    strong = etag if etag.startswith('"') else None
    return Identity(copy.size if size is None else size, algorithm, checksum, copy.url, strong)


def _size(answer: Answer) -> int | None:
    """How large the whole is, in bytes, if the server says it."""
    if answer.status == 200:
        return answer.body.length
    text = answer.headers.get("Content-Range", "").rpartition("/")[2]
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else None


def _digests(answer: Answer) -> dict[str, str]:
    """Of the whole, as the server says them (RFC 9530 section 3)."""
    found = {}
    for text in ",".join(answer.headers.get_all("Repr-Digest", [])).split(","):
        said = _DIGEST.fullmatch(text)
        if said is not None:
            try:
                found[said[1].replace("-", "")] = base64.b64decode(said[2], validate=True).hex()
            except (binascii.Error, ValueError):
                continue
    return found


def _goes_on(answer: Answer, start: int, kept: Identity | None, identity: Identity) -> bool:
    """Whether the bytes are those that come after what is kept, of the same thing."""
    said = _RANGE.fullmatch(answer.headers.get("Content-Range", "").strip())
    is_next = answer.status == 206 and said is not None and int(said[1]) == start
    return is_next and kept is not None and kept.is_certain(identity)


def _is_same(path: Path, identity: Identity) -> bool:
    if not path.is_file() or path.stat().st_size != identity.size:
        return False
    return identity.checksum is None or file_digest(path, identity.algorithm or "") == identity.checksum


def _where(answer: Answer) -> str:
    return urlsplit(answer.url).netloc


def _gravest(sources: Sequence[_Source]) -> CatalogError:
    """Wrong bytes before what may pass, and both before what is refused."""
    faults = [source.fault for source in sources if source.fault is not None]
    order = (CopyError, UnavailableError)
    ranked = sorted(faults, key=lambda fault: next((n for n, kind in enumerate(order) if isinstance(fault, kind)), 9))
    return ranked[0] if ranked else UnavailableError("nobody gives it")
