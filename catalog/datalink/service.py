"""The service: identifiers of packages to their links, some hundred at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, replace
from uuid import UUID

import pyarrow as pa

from catalog.access import ANONYMOUS, Caller
from catalog.datalink.links import LINKS_TABLE, STANDARD_ID, Link
from catalog.datalink.packages import CopiesOf, Package, PackageReader
from catalog.datalink.rows import FILES_AT_MOST, LinkWords, gives_files, package_links
from catalog.opsdb.publication import Withdrawals
from catalog.vo.ivoid import Ivoid, parse_ivoid
from catalog.vo.table import Info, TableStream

__all__ = ["IDS_AT_MOST", "LinkService", "parse_did"]

IDS_AT_MOST = 50_000
"""Identifiers of one request that are answered; further ones are an overflow."""

_AT_ONCE = 100  # identifiers that one query asks for
_FILES_AT_ONCE = 2 * FILES_AT_MOST  # files that are held together
_LONGEST = 1_000  # characters of an identifier that may be one of ours
_SHOWN = 200  # characters of a stranger's identifier in a message

_Answer = tuple[str, Package | None, str]
"""An identifier as it was asked for, and its package, or what is wrong with it."""


class LinkService:
    """Find what belongs to packages.

    Args:
        reader: Knows the published packages.
        copies: Knows their copies.
        withdrawals: Knows the packages that are published no more.
        words: What the operator has declared.
        maxrec: Rows handed out at most, whatever the client's MAXREC.
    """

    def __init__(
        self, reader: PackageReader, copies: CopiesOf, withdrawals: Withdrawals, *, words: LinkWords, maxrec: int
    ) -> None:
        self._reader = reader
        self._copies = copies
        self._withdrawals = withdrawals
        self._words = words
        self._maxrec = maxrec

    def links(
        self, ids: Sequence[str], *, base_url: str, caller: Caller = ANONYMOUS, maxrec: int | None = None
    ) -> TableStream:
        """The links of each identifier, in the order in which they were first named.

        Args:
            ids: Values of the parameter ID; blank ones are passed over, and each counts once.
            base_url: What the client calls the service.
            caller: Who asks. A package that this caller may not see is an unknown one.
            maxrec: Rows wanted at most; identifiers whose links do not fit any more are left out.

        Returns:
            The rows; whoever gets the stream closes it.
        """
        wanted = [text for text in dict.fromkeys(ids) if text.strip()]
        answered = wanted[:IDS_AT_MOST]
        room = _Room(self._maxrec if maxrec is None else min(maxrec, self._maxrec))

        def batches() -> Iterator[pa.RecordBatch]:
            for start in range(0, len(answered), _AT_ONCE):
                for rows in self._find(answered[start : start + _AT_ONCE], base_url, caller, room):
                    yield _record_batch(rows)
                    if room.is_stopped:
                        return
                if room.is_full:
                    break
            stream.truncated = room.is_full or len(wanted) > len(answered)

        stream = TableStream(LINKS_TABLE, map(_same, batches()), close=room.stop)
        return stream

    @staticmethod
    def infos() -> tuple[Info, ...]:
        """What a links document says of itself."""
        return (Info("standardID", STANDARD_ID),)

    def _find(self, ids: Sequence[str], base_url: str, caller: Caller, room: _Room) -> Iterator[list[Link]]:
        """The links of some identifiers as far as there is room, in parts; those of one are never apart."""
        answers = self._resolve(ids, caller)
        packages = {package.id: package for _, package, _ in answers if package is not None}
        copies = self._copies(packages) if packages else {}
        listed = {key for key, each in packages.items() if gives_files(each, copies.get(key, ()), self._words)}
        for part in _parts(answers, listed):
            files = self._reader.files([package.id for _, package, _ in part if package and _counted(package, listed)])
            rows: list[Link] = []
            for text, package, fault in part:
                links = [Link(text, "#this", error_message=fault)]
                if package is not None:
                    mine = copies.get(package.id, ()), files.get(package.id, ())
                    links = list(package_links(text, package, *mine, base_url=base_url, words=self._words))
                if not room.take(len(links)):
                    break
                rows += links
            yield rows
            if room.is_full:
                return

    def _resolve(self, ids: Sequence[str], caller: Caller) -> list[_Answer]:
        """What each identifier means to this caller."""
        ivoids = {text: _ivoid(text) for text in ids}
        named = [spelling for ivoid in ivoids.values() if ivoid is not None for spelling in _spellings(ivoid)]
        found = self._reader.packages(named, caller) if named else []
        packages = {parse_ivoid(package.did): package for package in found}
        is_all = all(ivoid in packages for ivoid in ivoids.values() if ivoid is not None)
        withdrawn = {} if is_all else self._withdrawals(named)
        gone = {parse_ivoid(did): sentence for did, sentence in withdrawn.items()}
        answers: list[_Answer] = []
        for text, ivoid in ivoids.items():
            if ivoid is None:
                answers.append((text, None, f"UsageFault: {_malformed(text)}"))
            else:
                answers.append((text, packages.get(ivoid), f"NotFoundFault: {gone.get(ivoid) or _unknown(text)}"))
        return answers


@dataclass(slots=True)
class _Room:
    """Rows that may still be handed out; another thread may say that no more are wanted."""

    left: int
    is_full: bool = False
    is_stopped: bool = False

    def take(self, rows: int) -> bool:
        """Whether these rows still fit."""
        if rows > self.left:
            self.is_full = True
            return False
        self.left -= rows
        return True

    def stop(self) -> None:
        self.is_stopped = True


def parse_did(text: str) -> list[str]:
    """The identifier of a package in the spellings under which it may be recorded; none for what is no identifier."""
    ivoid = _ivoid(text)
    return [] if ivoid is None else list(_spellings(ivoid))


def _parts(answers: Sequence[_Answer], listed: Set[UUID]) -> Iterator[list[_Answer]]:
    """Answers in parts whose packages together hold a bounded number of files to be listed."""
    part: list[_Answer] = []
    held = 0
    for answer in answers:
        count = 0 if answer[1] is None else _counted(answer[1], listed)
        if part and held + count > _FILES_AT_ONCE:
            yield part
            part, held = [], 0
        part.append(answer)
        held += count
    if part:
        yield part


def _counted(package: Package, listed: Set[UUID]) -> int:
    """How many files are links of their own: all when they can be fetched and are not too many, else none."""
    return package.files if package.id in listed and package.files <= FILES_AT_MOST else 0


def _record_batch(rows: Sequence[Link]) -> pa.RecordBatch:
    schema = LINKS_TABLE.arrow_schema
    columns = [pa.array([getattr(row, field.name) for row in rows], field.type) for field in schema]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _ivoid(text: str) -> Ivoid | None:
    """The identifier, if it is one."""
    try:
        return parse_ivoid(text) if len(text) <= _LONGEST else None
    except ValueError:
        return None


def _spellings(ivoid: Ivoid) -> Iterator[str]:
    """As it was written and as it is usually written: all but the local part is case-blind."""
    yield str(ivoid)
    yield str(replace(ivoid, authority=ivoid.authority.lower(), path=ivoid.path.lower()))


def _malformed(text: str) -> str:
    return f"'{_shown(text)}' is no identifier of a package; expected an obs_publisher_did: ivo://AUTHORITY/PATH?ID"


def _unknown(text: str) -> str:
    return f"no published package has the identifier {_shown(text)}"


def _shown(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _same(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Itself: `map` cannot be closed from another thread while a generator can, and then fails."""
    return batch
