"""TAP_UPLOAD: the tables that a request brings, from its body or from a URL (TAP 1.1 section 2.7.5).

A table lives as long as the request: it is read and kept in a temporary file, every query that names it loads it into a
temporary table on its own connection, and all is gone when `Uploads` is closed.
"""

from __future__ import annotations

import tempfile
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import IO

from catalog.closing import Closing
from catalog.dali import UploadedFile, UploadedTable
from catalog.db import TemporaryTable
from catalog.errors import ParameterError, ResourceLimitError, UnavailableError, UsageError
from catalog.formats.reading.table import read_table
from catalog.tap.fetch import Fetcher
from catalog.tap.uploaded import StoredUpload
from catalog.vo.table import Table

__all__ = ["UploadLimits", "UploadService", "Uploads"]

_GZIP = b"\x1f\x8b"
_PIECE = 64 * 1024
_MEMORY = 2**20
_UNPACKED = 20  # times the limit of bytes that tables may be when read and kept
_PARAM = "param:"


@dataclass(frozen=True, slots=True)
class UploadLimits:
    """What a request may bring."""

    bytes: int
    """Of all its tables together, as they come and when unpacked."""

    rows: int
    """Of one table."""

    tables: int
    seconds: float
    """Until all its tables are unpacked and read."""

    columns: int = 400
    """Of one table; more than that and their companions do not fit a row of PostgreSQL."""


class Uploads(Closing):
    """The tables of one request. Close it, or use ``with``."""

    def __init__(self, tables: Sequence[StoredUpload] = ()) -> None:
        self._tables = tuple(tables)

    @property
    def tables(self) -> Mapping[str, Table]:
        """Descriptions by qualified name, as queries name them."""
        return {table.name: table for table in (stored.table for stored in self._tables)}

    def temporary(self, names: Sequence[str]) -> tuple[TemporaryTable, ...]:
        """What the database must load for a query that reads the tables of these names."""
        return tuple(stored.temporary for stored in self._tables if stored.table.name in names)

    def close(self) -> None:
        """Let go of the rows. Safe to repeat."""
        for stored in self._tables:
            stored.close()


class UploadService:
    """Reads what requests bring.

    Args:
        limits: How much.
        fetcher: Gets what is named by URL.
        takes_tables: Whether the database can be given tables.
    """

    def __init__(self, limits: UploadLimits, fetcher: Fetcher, *, takes_tables: Callable[[], bool]) -> None:
        self._limits = limits
        self._fetcher = fetcher
        self._takes_tables = takes_tables

    @property
    def is_offered(self) -> bool:
        """Whether tables may be uploaded at all; as long as the database does not answer, what settings say."""
        try:
            return self._limits.bytes > 0 and self._takes_tables()
        except UnavailableError:
            return True

    def open(
        self,
        wanted: Sequence[UploadedTable],
        files: Sequence[UploadedFile] = (),
        *,
        is_stopped: Callable[[], bool] = lambda: False,
    ) -> Uploads:
        """Read the tables of a request.

        Args:
            wanted: What its UPLOAD parameters ask for.
            files: What came with it; read from the beginning, left open.
            is_stopped: Asked while tables are read; once it says so, the reading ends with an error.

        Returns:
            The tables; whoever gets them closes them.

        Raises:
            ParameterError: A file is not there, a URL cannot be fetched, or the content is wrong; names the table.
            ResourceLimitError: A limit was reached; names it and the table.
        """
        if not wanted:
            return Uploads()
        if not self.is_offered:
            raise ParameterError("UPLOAD is not offered by this service; its capabilities say what is")
        if len(wanted) > self._limits.tables:
            raise ResourceLimitError(
                f"the request uploads {len(wanted)} tables; tap.upload_limit_tables allows {self._limits.tables}"
            )
        clock = _Clock(self._limits.seconds, is_stopped)
        with ExitStack() as opened:
            stored: list[StoredUpload] = []
            left = self._limits.bytes
            for number, table in enumerate(wanted, start=1):
                with _named(table.name), tempfile.SpooledTemporaryFile(max_size=_MEMORY) as content:
                    content_type = self._take(table, files, content, left, clock)
                    left -= content.tell()
                    content.seek(0)
                    stored.append(self._stored(table.name, number, content, content_type, opened, clock))
            opened.pop_all()
            return Uploads(stored)

    def _take(
        self, table: UploadedTable, files: Sequence[UploadedFile], content: IO[bytes], left: int, clock: _Clock
    ) -> str:
        """Copy what is uploaded to a file, unpacked; and say what it is called."""
        if not table.uri.lower().startswith(_PARAM):
            with tempfile.SpooledTemporaryFile(max_size=_MEMORY) as packed:
                with clock.waiting():
                    content_type = self._fetcher.fetch(table.uri, packed, max_bytes=left)
                packed.seek(0)
                self._unpack(packed, content, left, clock)
            return content_type
        label = table.uri[len(_PARAM) :]
        found = [file for file in files if file.name == label]
        if len(found) != 1:
            how = "more than one file" if found else "no file"
            raise ParameterError(f"the request brings {how} named '{label[:80]}'; expected one part of that name")
        found[0].file.seek(0)
        self._unpack(found[0].file, content, left, clock)
        return found[0].content_type

    def _unpack(self, source: IO[bytes], target: IO[bytes], left: int, clock: _Clock) -> None:
        """Copy, through gzip where the content is packed with it."""
        head = source.read(2)
        source.seek(0)
        taken = 0
        for piece in _gunzipped(source) if head == _GZIP else iter(lambda: source.read(_PIECE), b""):
            clock.check()
            taken += len(piece)
            if taken > left:
                limit = f"{self._limits.bytes:,} bytes (tap.upload_limit_bytes)"
                raise ResourceLimitError(f"all uploads together are larger than {limit}")
            target.write(piece)
        if not taken:
            raise ParameterError("the upload is empty")

    def _stored(
        self, name: str, number: int, content: IO[bytes], content_type: str, opened: ExitStack, clock: _Clock
    ) -> StoredUpload:
        with read_table(content, content_type, max_columns=self._limits.columns) as stream:
            stored = StoredUpload(name, number, stream.table)
            opened.callback(stored.close)
            unpacked = 0
            for batch in stream:
                clock.check()
                unpacked += batch.nbytes
                if stored.rows + batch.num_rows > self._limits.rows:
                    raise ResourceLimitError(f"it has more than {self._limits.rows:,} rows (tap.upload_limit_rows)")
                stored.add(batch)
                if max(unpacked, stored.bytes) > _UNPACKED * self._limits.bytes:
                    raise ResourceLimitError("it is too large when unpacked (tap.upload_limit_bytes)")
        return stored


class _Clock:
    """Ends work that takes longer than it may, or that nobody wants any more; waiting for others does not count."""

    def __init__(self, seconds: float, is_stopped: Callable[[], bool]) -> None:
        self._seconds = seconds
        self._deadline = time.monotonic() + seconds
        self._is_stopped = is_stopped

    def check(self) -> None:
        """Go on, or not.

        Raises:
            ResourceLimitError: The time is over, or the work was stopped.
        """
        if self._is_stopped():
            raise ResourceLimitError("the request was stopped")
        if time.monotonic() >= self._deadline:
            raise ResourceLimitError(
                f"the tables of a request must be read within {self._seconds:g} s (tap.upload_read_s)"
            )

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Stand still."""
        before = time.monotonic()
        try:
            yield
        finally:
            self._deadline += time.monotonic() - before


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Say in faults which table is meant."""
    try:
        yield
    except ResourceLimitError as fault:
        raise ResourceLimitError(f"uploaded table {name}: {fault.message}", hint=fault.hint) from None
    except UsageError as fault:
        raise ParameterError(f"uploaded table {name}: {fault.message}", hint=fault.hint) from None


def _gunzipped(source: IO[bytes]) -> Iterator[bytes]:
    """The content of a gzip file, in pieces of bounded size (RFC 1952)."""
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 16)
    packed = source.read(_PIECE)
    while packed or not unpacker.eof:
        try:
            piece = unpacker.decompress(packed, _PIECE)
        except zlib.error:
            raise ParameterError("the content is packed with gzip and damaged") from None
        yield piece
        packed = unpacker.unconsumed_tail
        if unpacker.eof:
            packed = unpacker.unused_data or source.read(_PIECE)
            if packed:  # another member of the file
                unpacker = zlib.decompressobj(zlib.MAX_WBITS | 16)
        elif not packed:
            packed = source.read(_PIECE)
            if not packed and not piece:
                raise ParameterError("the content is packed with gzip and cut off")
