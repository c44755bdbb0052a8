"""Keep the records: datestamps that move only when content moves, tombstones for ever (OAI-PMH 2.0 section 2.5).

Content is compared in canonical form and without its dates, so that neither a restart nor another layout of the same
facts moves a datestamp; the layout is replaced all the same. A record that is not among those that are published
becomes a tombstone; one that comes back has its first ``created``.

A harvester asks next time for what has changed since the answer that it had. So no record may appear with a datestamp
that lies before an answer already given: what takes longer to write than its second lasts is written again, with a
datestamp ahead of the clock.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from xml.etree.ElementTree import canonicalize

import sqlalchemy as sa

from catalog.db import Database
from catalog.db.clock import read_clock
from catalog.db.listed import listed
from catalog.errors import NotFoundError, UnavailableError
from catalog.opsdb.models import RegistryRecord

__all__ = [
    "Cursor",
    "PublishSummary",
    "RecordStore",
    "Rendered",
    "Selection",
    "StoredRecord",
    "lock_registry",
    "write_time",
]

_LOCK = 0x7265676973747279  # any constant of our own: one publishes at a time
_AHEAD_S = (0, 1, 10, 100)  # of the clock: the first is enough unless a second ends while records are written
_COMMIT_S = 0.2  # what a commit takes
_AT_ONCE = 200  # records in one statement

_Known = sa.Row[*tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Rendered:
    """A record as it is to be published, with marks where its dates belong."""

    identifier: str
    kind: str
    ivo_vor: str
    oai_dc: str


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """A record as it is harvested; a deleted one is a tombstone."""

    identifier: str
    kind: str
    created: datetime
    datestamp: datetime
    deleted: bool
    ivo_vor: str
    oai_dc: str


@dataclass(frozen=True, slots=True)
class PublishSummary:
    """What publishing changed."""

    created: int = 0
    changed: int = 0
    """Records whose content is another than before, those included that came back."""

    unchanged: int = 0
    deleted: int = 0


@dataclass(frozen=True, slots=True)
class Selection:
    """Which records a harvester wants; both ends are included."""

    kinds: tuple[str, ...] | None = None
    """Of resources; all when None."""

    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Cursor:
    """The last record that a harvester has: the next are those after it."""

    datestamp: datetime
    identifier: str


class RecordStore:
    """The records of one registry.

    Args:
        database: Opened with the owner's login.
        created_mark: Stands in a rendered record for the time when it was first published.
        updated_mark: Stands for the time of its last change.
        clock: Says what time it is for everybody who uses the database.
    """

    def __init__(
        self,
        database: Database,
        *,
        created_mark: str,
        updated_mark: str,
        clock: Callable[[sa.Connection], datetime] = read_clock,
    ) -> None:
        self._database = database
        self._marks = created_mark, updated_mark
        self._clock = clock

    def now(self) -> datetime:
        """The time by which records are stamped."""
        with self._database.engine.connect() as connection:
            return self._clock(connection)

    def publish(self, records: Iterable[Rendered]) -> PublishSummary:
        """Make these the records of the registry, in one transaction; all others become tombstones.

        Args:
            records: Each identifier once, whatever its case.

        Raises:
            UnavailableError: The database is too slow; nothing has changed.
        """
        wanted = {record.identifier.lower(): record for record in records}
        for ahead_s in _AHEAD_S:
            with self._database.begin() as connection:
                lock_registry(connection)
                summary = self._write(connection, wanted, ahead_s)
                if summary is not None:
                    return summary
                connection.rollback()
        raise UnavailableError("the records of the registry take too long to be written; they stay as they are")

    def _write(
        self, connection: sa.Connection, wanted: Mapping[str, Rendered], ahead_s: float
    ) -> PublishSummary | None:
        """Write what has changed; None if its datestamp has passed before it can be seen.

        Identifiers are compared without regard to case: one that is spelled anew is still that of the same record.
        """
        table = RegistryRecord
        columns = (table.identifier, table.kind, table.digest, table.deleted, table.created, table.datestamp)
        known = {row.identifier.lower(): row for row in connection.execute(sa.select(*columns))}
        created = [key for key in wanted if key not in known]
        other = [key for key in wanted if key in known and not self._is_same(wanted[key], known[key])]
        content = {key: self._content(wanted[key]) for key in (*created, *other)}
        changed = [key for key in other if known[key].deleted or not _has(known[key], content[key])]
        gone = sorted(key for key, row in known.items() if not row.deleted and key not in wanted)
        now = _after((row.datestamp for row in known.values()), _second(self._clock(connection), ahead_s))
        stamps = dict.fromkeys((*created, *changed, *gone), now)

        def rows() -> Iterator[dict[str, object]]:
            for key in (*created, *other):
                record, before = wanted[key], known.get(key)
                dates = (now, now) if before is None else (before.created, stamps.get(key, before.datestamp))
                yield self._row(record, f"{content[key]} {self._layout(record)}", *dates)
            for key in gone:
                yield _tombstone(known[key], now)

        for some in listed(rows(), _AT_ONCE):
            keys = [str(row["identifier"]).lower() for row in some]
            connection.execute(sa.delete(table).where(sa.func.lower(table.identifier).in_(keys)))
            connection.execute(sa.insert(table), some)
        if stamps and _second(self._clock(connection), _COMMIT_S) > now:
            return None
        unchanged = len(wanted) - len(created) - len(changed)
        return PublishSummary(len(created), len(changed), unchanged, len(gone))

    def read(self, identifier: str) -> StoredRecord:
        """One record, or its tombstone; by its identifier in any case (Identifiers 2.0 section 2.1).

        Raises:
            NotFoundError: There has never been such a record.
        """
        query = _select().where(sa.func.lower(RegistryRecord.identifier) == identifier.lower())
        with self._database.engine.connect() as connection:
            row = connection.execute(query).first()
        if row is None:
            raise NotFoundError(f"there is no record {identifier[:200]}")
        return StoredRecord(*row)

    def page(self, selection: Selection, *, after: Cursor | None, limit: int) -> list[StoredRecord]:
        """The next records in the order of their datestamps.

        Args:
            selection: Which.
            after: The last one that is known; None to begin.
            limit: How many at most.
        """
        table = RegistryRecord
        query = _select().where(*_conditions(selection)).order_by(table.datestamp, table.identifier).limit(limit)
        if after is not None:
            later = table.datestamp > after.datestamp
            beside = sa.and_(table.datestamp == after.datestamp, table.identifier > after.identifier)
            query = query.where(sa.or_(later, beside))
        with self._database.engine.connect() as connection:
            return [StoredRecord(*row) for row in connection.execute(query)]

    def all(self) -> Iterator[StoredRecord]:
        """Every record and tombstone, a page at a time, in the order of their datestamps."""
        after = None
        while found := self.page(Selection(), after=after, limit=_AT_ONCE):
            yield from found
            after = Cursor(found[-1].datestamp, found[-1].identifier)

    def count(self, selection: Selection) -> int:
        """How many records there are."""
        query = sa.select(sa.func.count()).select_from(RegistryRecord).where(*_conditions(selection))
        with self._database.engine.connect() as connection:
            return connection.scalar(query) or 0

    def earliest(self) -> datetime | None:
        """A moment before which no datestamp lies; None when nothing has been published."""
        with self._database.engine.connect() as connection:
            return connection.scalar(sa.select(sa.func.min(RegistryRecord.created)))

    def registry(self) -> StoredRecord | None:
        """The record that describes the registry itself; None before anything is published."""
        query = _select().where(RegistryRecord.kind == "registry", RegistryRecord.deleted.is_(False))
        with self._database.engine.connect() as connection:
            row = connection.execute(query.order_by(RegistryRecord.datestamp.desc())).first()
        return None if row is None else StoredRecord(*row)

    def _row(self, record: Rendered, digest: str, created: datetime, datestamp: datetime) -> dict[str, object]:
        return {
            "identifier": record.identifier,
            "kind": record.kind,
            "created": created,
            "datestamp": datestamp,
            "deleted": False,
            "digest": digest,
            "ivo_vor": self._dated(record.ivo_vor, created, datestamp),
            "oai_dc": self._dated(record.oai_dc, created, datestamp),
        }

    def _is_same(self, record: Rendered, known: _Known) -> bool:
        """Whether it is stored, letter by letter; no canonical form need be made then."""
        return not known.deleted and _has(known, self._layout(record))

    @staticmethod
    def _layout(record: Rendered) -> str:
        return _hashed(record.kind, record.ivo_vor, record.oai_dc)

    def _content(self, record: Rendered) -> str:
        documents = (self._without_dates(document) for document in (record.ivo_vor, record.oai_dc))
        return _hashed(record.kind, *(canonicalize(document, strip_text=True) for document in documents))

    def _without_dates(self, document: str) -> str:
        for mark in self._marks:
            document = document.replace(mark, "")
        return document

    def _dated(self, document: str, created: datetime, updated: datetime) -> str:
        times = (write_time(created), write_time(updated))
        for mark, moment in zip(self._marks, times, strict=True):
            document = document.replace(mark, moment)
        return document


def lock_registry(connection: sa.Connection) -> None:
    """Wait until no other transaction writes what the registry keeps; the lock is held until this one ends."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))


def write_time(moment: datetime) -> str:
    """A datestamp: ``YYYY-MM-DDThh:mm:ssZ``."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _tombstone(known: _Known, now: datetime) -> dict[str, object]:
    kept = {"identifier": known.identifier, "kind": known.kind, "created": known.created}
    return {**kept, "datestamp": now, "deleted": True, "digest": "", "ivo_vor": "", "oai_dc": ""}


def _has(known: _Known, digest: str) -> bool:
    """Whether a digest is among those that are stored."""
    return digest in known.digest.split()


def _hashed(*texts: str) -> str:
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()


def _after(known: Iterable[datetime], now: datetime) -> datetime:
    """Now, or the second after the last datestamp, so that what changes twice during a harvest is given twice.

    A datestamp further in the future than any that is made here comes from a clock that was wrong: it binds nobody.
    """
    soon = now + timedelta(seconds=2 * _AHEAD_S[-1])
    last = max((moment for moment in known if now <= moment <= soon), default=None)
    return now if last is None else last + timedelta(seconds=1)


def _second(moment: datetime, ahead_s: float) -> datetime:
    return (moment + timedelta(seconds=ahead_s)).replace(microsecond=0)


def _select() -> sa.Select[*tuple[Any, ...]]:
    return sa.select(*(RegistryRecord.__table__.c[name] for name in StoredRecord.__dataclass_fields__))


def _conditions(selection: Selection) -> list[sa.ColumnElement[bool]]:
    table = RegistryRecord
    found: list[sa.ColumnElement[bool]] = []
    if selection.kinds is not None:
        found.append(table.kind.in_(selection.kinds))
    if selection.since is not None:
        found.append(table.datestamp >= selection.since)
    if selection.until is not None:
        found.append(table.datestamp <= selection.until)
    return found
