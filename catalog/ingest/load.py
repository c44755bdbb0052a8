"""Records into the database: in blocks what is plainly new, each other in a savepoint of its own.

A record that lacks its parent is parked with the reason and tried again at the end of this and every later ingest,
until nothing moves. So the order in which records arrive does not matter, and killing an ingest loses nothing that was
committed.
"""

from __future__ import annotations

import gc
import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import sqlalchemy as sa
from pydantic import ValidationError
from sqlalchemy.orm import Session

from catalog.errors import IntegrityError
from catalog.ingest.blocks import BlockWriter
from catalog.ingest.faults import ContradictionError, MissingParentError
from catalog.ingest.manifest import Entry, parse_record
from catalog.ingest.packages import PackageWriter, Written
from catalog.ingest.parents import Parents
from catalog.ingest.records import PackageRecord
from catalog.ingest.report import Outcome, Problem, Report
from catalog.opsdb.models import ParkedRecord
from catalog.opsdb.refusals import translate_integrity

__all__ = ["BATCH_RECORDS", "BLOCK_RECORDS", "LoadedBlock", "Loader"]

BATCH_RECORDS = 200
"""Records to a transaction, where each has a savepoint of its own."""

BLOCK_RECORDS = 4_000
"""Records to a block: those of them that are plainly new are written together and committed."""

_BLOCK_SIZE = 8 * 2**20  # characters of records: what a block takes in memory
_FIRST_BLOCK = 100
_OBJECTS = 500_000  # more than a block makes


@dataclass(frozen=True, slots=True)
class LoadedBlock:
    """A block of a manifest that was loaded."""

    records: int
    plain: int
    """How many of them were plainly new."""

    line: int | None
    """Of the last."""


class Loader:
    """Loads records through one session; leave it with ``with``, so that the last batch is committed.

    Args:
        session: From ``Database.session()``; what it commits is resolved by whoever listens to it.
        report: Counts and reasons go there.
        create_instruments: Create instruments and modules that are not known.
        block_records: Records to a block at most; with 1 each is loaded for itself.
    """

    def __init__(
        self,
        session: Session,
        report: Report,
        *,
        create_instruments: bool = False,
        block_records: int = BLOCK_RECORDS,
    ) -> None:
        self._session = session
        self._report = report
        self._create_instruments = create_instruments
        self._block_records = block_records
        self._notes: list[tuple[str, str]] = []
        note = lambda field, remark: self._notes.append((field, remark))  # noqa: E731
        self._parents = Parents(session, note)
        self._writer = PackageWriter(session, self._parents, note)
        self._blocks = BlockWriter(session)
        self._pending = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.commit()
        finally:
            self._session.close()

    def load(self, record: PackageRecord, file: str, line: int | None = None) -> Outcome:
        """Load one record, count what became of it and report why, if it was refused.

        Args:
            record: What to load.
            file: Where it comes from.
            line: In a manifest.
        """
        self._report.records += 1
        try:
            written = self._attempt(record, create=self._create_instruments)
        except MissingParentError as reason:
            self._park(record, file if line is None else f"{file}:{line}", reason.message)
            self._report.outcomes["parked"] += 1
            return "parked"
        except IntegrityError as error:
            field = error.field if isinstance(error, ContradictionError) else None
            self._report.refuse(Problem(file, line, field, error.message))
            return "refused"
        self._count(written, file, line)
        self._advance()
        return written.outcome

    def load_all(self, entries: Iterable[Entry]) -> Iterator[LoadedBlock]:
        """Load what a manifest says, a block at a time, counted and reported as by `load`.

        Yields:
            What a block was, when it is loaded.
        """
        with _seldom_collecting():
            for block in _blocks(entries, min(_FIRST_BLOCK, self._block_records), self._block_records):
                others = 0
                for entry in self._write_plain(block):
                    others += 1
                    self._load_entry(entry)
                yield LoadedBlock(len(block), len(block) - others, block[-1].line)

    def load_plain(self, entries: Iterable[Entry]) -> Iterator[Sequence[Entry]]:
        """Load what is plainly new of a manifest, a block at a time, and leave the rest.

        Yields:
            What was left of a block, when its plain records are committed.
        """
        with _seldom_collecting():
            for block in _blocks(entries, self._block_records, self._block_records):
                yield list(self._write_plain(block))

    def commit(self) -> None:
        """End the transaction; of a dry run nothing is kept, but the transaction goes on."""
        self._pending = 0
        if self._report.dry_run:
            self._session.flush()
        else:
            self._session.commit()
        self._session.expunge_all()

    def retry_parked(self) -> None:
        """Try everything that waits for a parent, until nothing moves any more."""
        last = self._session.scalar(sa.select(sa.func.max(ParkedRecord.id)))
        if last is None:
            return
        is_ascending = True
        while self._retry_all(is_ascending=is_ascending):
            is_ascending = not is_ascending  # a chain is resolved in one pass from one of its ends
        waiting = sa.update(ParkedRecord).values(attempts=ParkedRecord.attempts + 1)
        self._session.execute(waiting, execution_options={"synchronize_session": False})
        self._report.waiting = self._session.scalar(sa.select(sa.func.count()).select_from(ParkedRecord)) or 0
        self.commit()

    def _write_plain(self, entries: Sequence[Entry]) -> Iterator[Entry]:
        """Write what is plainly new together and commit it; the others come out, in their order.

        If the database refuses the whole, its halves are tried: one row may be to blame, or another writer.
        """
        if len(entries) > 1:
            block = self._blocks.plan([entry.record for entry in entries])
            try:
                with self._session.begin_nested():
                    self._blocks.write(block, announce=not self._report.dry_run)
            except (IntegrityError, sa.exc.DBAPIError):
                middle = len(entries) // 2
                yield from self._write_plain(entries[:middle])
                yield from self._write_plain(entries[middle:])
                return
            self._report.records += len(block.places)
            self._report.outcomes["created"] += len(block.places)
            self._report.files += len(block.files)
            self.commit()
            entries = [entry for place, entry in enumerate(entries) if place not in block.places]
        yield from entries

    def _load_entry(self, entry: Entry) -> None:
        if entry.record is None:
            self._report.records += 1
            self._report.refuse(*entry.problems)
        else:
            self.load(entry.record, entry.file, entry.line)

    def _attempt(self, record: PackageRecord, *, create: bool) -> Written:
        """Write a record in a savepoint; once more when another writer was faster with the same row."""
        for is_last in (False, True):
            self._notes.clear()
            try:
                with self._session.begin_nested():
                    written = self._writer.write(record, create_instruments=create)
                    self._session.flush()
            except sa.exc.DBAPIError as error:
                self._parents.forget()
                fault = translate_integrity(error)
                if is_last:
                    raise fault from None
            except BaseException:
                self._parents.forget()
                raise
            else:
                self._parents.settle()
                return written
        raise AssertionError  # the second turn returns or raises

    def _count(self, written: Written, file: str, line: int | None) -> None:
        self._report.outcomes[written.outcome] += 1
        self._report.files += written.files
        self._report.note(*(Problem(file, line, field, remark) for field, remark in self._notes))

    def _advance(self) -> None:
        self._pending += 1
        if self._pending >= BATCH_RECORDS:
            self.commit()

    def _park(self, record: PackageRecord, origin: str, reason: str) -> None:
        content = {
            "record": record.model_dump(mode="json", exclude_none=True, exclude_defaults=True),
            "create_instruments": self._create_instruments,
        }
        digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
        if self._session.scalar(sa.select(ParkedRecord.id).where(ParkedRecord.digest == digest)) is None:
            self._session.add(ParkedRecord(digest=digest, origin=origin, reason=reason, record=content))
            self._session.flush()
        self._advance()

    def _retry_all(self, *, is_ascending: bool) -> bool:
        """Try each parked record once; whether one of them went in or turned out to be wrong."""
        moved = False
        last: int | None = None
        while True:
            query = sa.select(ParkedRecord).limit(BATCH_RECORDS)
            query = query.order_by(ParkedRecord.id if is_ascending else ParkedRecord.id.desc())
            if last is not None:
                query = query.where(ParkedRecord.id > last if is_ascending else ParkedRecord.id < last)
            rows = self._session.scalars(query).all()
            if not rows:
                return moved
            last = rows[-1].id
            for row in rows:
                moved |= self._retry(row)
            self.commit()

    def _retry(self, row: ParkedRecord) -> bool:
        file, line = _place(row.origin)
        try:
            record = parse_record(row.record["record"])
            create = bool(row.record["create_instruments"]) or self._create_instruments
            written = self._attempt(record, create=create)
        except MissingParentError as reason:
            if row.reason != reason.message:
                row.reason = reason.message
            return False
        except (ValidationError, KeyError):
            self._report.refuse(Problem(file, line, None, "the parked record does not fit this version of the catalog"))
        except IntegrityError as error:
            field = error.field if isinstance(error, ContradictionError) else None
            self._report.refuse(Problem(file, line, field, error.message))
        else:
            self._count(written, file, line)
            self._report.unparked += 1
        self._session.execute(sa.delete(ParkedRecord).where(ParkedRecord.id == row.id))
        self._session.flush()
        return True


@contextmanager
def _seldom_collecting() -> Iterator[None]:
    """Look for garbage in cycles less often: the many records and rows of a block have none."""
    before = gc.get_threshold()
    gc.set_threshold(_OBJECTS, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _blocks(entries: Iterable[Entry], first: int, records: int) -> Iterator[list[Entry]]:
    """Entries in blocks, bounded in number and size; the first may be small: it may bring what others need."""
    block: list[Entry] = []
    size, most = 0, first
    for entry in entries:
        block.append(entry)
        size += entry.size
        if len(block) >= most or size >= _BLOCK_SIZE:
            yield block
            block, size, most = [], 0, min(2 * most, records)
    if block:
        yield block


def _place(origin: str) -> tuple[str, int | None]:
    """File and line of ``file:line``."""
    file, colon, line = origin.rpartition(":")
    return (file, int(line)) if colon and line.isdecimal() else (origin, None)
