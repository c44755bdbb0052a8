"""Keep the records: datestamps that move only when content moves, tombstones for ever (OAI-PMH 2.0 section 2.5).

Content is compared in canonical form and without its dates, so that neither a restart nor another layout of the same
facts moves a datestamp; the layout is replaced all the same. A record that is not among those that are published
becomes a tombstone; one that comes back has its first ``created``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from xml.etree.ElementTree import canonicalize

import sqlalchemy as sa

from catalog.db import Database
from catalog.errors import NotFoundError
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
    """

    def __init__(self, database: Database, *, created_mark: str, updated_mark: str) -> None:
        self._database = database
        self._marks = created_mark, updated_mark

    def publish(self, records: Iterable[Rendered]) -> PublishSummary:
        """Make these the records of the registry, in one transaction; all others become tombstones.

        Args:
            records: Each identifier once.
        """
        wanted = {record.identifier: (record, self._digest(record)) for record in records}
        table = RegistryRecord
        created = changed = unchanged = 0
        with self._database.begin() as connection:
            lock_registry(connection)
            now = _this_second()
            columns = (table.identifier, table.digest, table.deleted, table.created, table.datestamp)
            known = {row[0]: row for row in connection.execute(sa.select(*columns))}
            for identifier, (record, digest) in wanted.items():
                before = known.get(identifier)
                if before is None:
                    values = self._values(record, digest, now, now)
                    connection.execute(sa.insert(table).values(identifier=identifier, created=now, **values))
                    created += 1
                elif before.deleted or before.digest != digest:
                    values = self._values(record, digest, before.created, now)
                    connection.execute(sa.update(table).where(table.identifier == identifier).values(**values))
                    changed += 1
                else:
                    values = self._values(record, digest, before.created, before.datestamp)
                    rewritten = sa.or_(table.ivo_vor != values["ivo_vor"], table.oai_dc != values["oai_dc"])
                    same = sa.update(table).where(table.identifier == identifier, rewritten)
                    connection.execute(same.values(**values))
                    unchanged += 1
            gone = sorted(row.identifier for row in known.values() if not row.deleted and row.identifier not in wanted)
            for identifier in gone:
                tomb = sa.update(table).where(table.identifier == identifier)
                connection.execute(tomb.values(deleted=True, datestamp=now, digest="", ivo_vor="", oai_dc=""))
        return PublishSummary(created, changed, unchanged, len(gone))

    def read(self, identifier: str) -> StoredRecord:
        """One record, or its tombstone.

        Raises:
            NotFoundError: There has never been such a record.
        """
        with self._database.engine.connect() as connection:
            row = connection.execute(_select().where(RegistryRecord.identifier == identifier)).first()
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

    def _values(self, record: Rendered, digest: str, created: datetime, now: datetime) -> dict[str, object]:
        return {
            "kind": record.kind,
            "datestamp": now,
            "deleted": False,
            "digest": digest,
            "ivo_vor": self._dated(record.ivo_vor, created, now),
            "oai_dc": self._dated(record.oai_dc, created, now),
        }

    def _digest(self, record: Rendered) -> str:
        documents = (self._without_dates(document) for document in (record.ivo_vor, record.oai_dc))
        forms = [canonicalize(document, strip_text=True) for document in documents]
        return hashlib.sha256("\n".join([record.kind, *forms]).encode()).hexdigest()

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


def _this_second() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


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
