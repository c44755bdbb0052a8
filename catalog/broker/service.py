"""From a package to its bytes: who may have them, and which copy they come from."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from io import BytesIO
from typing import IO, Any
from uuid import UUID

import sqlalchemy as sa

from catalog.access import ANONYMOUS, AccessRule, Caller
from catalog.broker.disk import Disk
from catalog.broker.places import AnyPlace, Readable
from catalog.broker.server import Server
from catalog.db import Database
from catalog.errors import AuthorizationError, CatalogError, NotFoundError, UnavailableError
from catalog.opsdb.enums import ChecksumAlgorithm
from catalog.opsdb.models import RawDataFile, RawDataPackage
from catalog.opsdb.readable import CopyReader, Obstacle, PackageCopy

__all__ = ["Broker", "FileMember", "FilePackage", "Redirected", "Streamed", "Visibility", "file_name"]

_LOG = logging.getLogger(__name__)
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")

Visibility = Callable[[Caller], sa.ColumnElement[bool] | None]
"""The published packages that a caller may see, as a condition on their rows; None for all."""


@dataclass(frozen=True, slots=True)
class FilePackage:
    """A package whose bytes a caller may fetch."""

    id: UUID
    did: str
    name: str
    relative_path: str
    size_bytes: int
    checksum: str
    """Hexadecimal."""

    checksum_algorithm: ChecksumAlgorithm
    recorded_at: datetime
    is_public: bool
    """Whether everybody may fetch them."""


@dataclass(frozen=True, slots=True)
class _Chosen:
    package: FilePackage
    copy: PackageCopy
    others: Sequence[PackageCopy]
    """Further copies that can be fetched, the better first."""


@dataclass(frozen=True, slots=True)
class Streamed(_Chosen):
    """A copy that this service reads."""

    open: Callable[[int], IO[bytes]]
    """The bytes from this one on; whoever gets them closes them."""


@dataclass(frozen=True, slots=True)
class Redirected(_Chosen):
    """A copy that another server gives out."""

    url: str


@dataclass(frozen=True, slots=True)
class FileMember:
    """One file in a package, and the copy that it is read from."""

    package: FilePackage
    name: str
    media_type: str | None
    """As it was recorded, which may be anything."""

    offset: int
    """Byte of the package at which it begins."""

    size_bytes: int
    checksum: str | None
    checksum_algorithm: ChecksumAlgorithm | None
    open: Callable[[int], IO[bytes]]
    """Its bytes from this one on; others may follow. Whoever gets them closes them."""


class Broker:
    """Finds the copy from which a package is fetched.

    Args:
        database: The operations database.
        access: Who may fetch what.
        visible: Who may see what.
        published: The table of the published packages, with the columns that the access rule reads.
        copies: Knows the copies of packages, in their order.
        places: What can be read, by ``SITE/NAME``.
        staging_wait_s: How long bringing a package from tape takes.
        is_staged: Whether packages are brought from tape on request.
        contact: Whom to ask for what is not served; None when nobody is named.
    """

    def __init__(
        self,
        database: Database,
        access: AccessRule,
        *,
        visible: Visibility,
        published: sa.Table,
        copies: CopyReader,
        places: Mapping[str, AnyPlace],
        staging_wait_s: int,
        is_staged: bool,
        contact: str | None,
    ) -> None:
        self._database = database
        self._access = access
        self._visible = visible
        self._published = published
        self._copies = copies
        self._places = places
        self._staging_wait_s = staging_wait_s
        self._is_staged = is_staged
        self._contact = contact

    def package(self, package_id: UUID, caller: Caller) -> FilePackage:
        """A package whose bytes a caller may fetch.

        Raises:
            NotFoundError: It is not published, or the caller may not see that it is.
            AuthorizationError: The caller may not fetch it.
        """
        rows = self._published
        conditions = (self._access.data(caller, rows), self._access.data(ANONYMOUS, rows))
        allowed, public = (sa.true() if each is None else sa.func.coalesce(each, sa.false()) for each in conditions)
        visible = self._visible(caller)
        query = (
            sa.select(
                RawDataPackage.id,
                rows.c.obs_publisher_did,
                RawDataPackage.name,
                RawDataPackage.relative_path,
                RawDataPackage.size_bytes,
                RawDataPackage.checksum,
                RawDataPackage.checksum_algorithm,
                RawDataPackage.created_at,
                public.label("is_public"),
                allowed.label("is_allowed"),
            )
            .join(rows, rows.c.raw_data_package_id == RawDataPackage.id)
            .where(RawDataPackage.id == package_id, sa.true() if visible is None else visible)
        )
        with self._database.engine.connect() as connection:
            found = connection.execute(query).one_or_none()
        if found is None:
            raise NotFoundError(f"there is no package {package_id}")
        *facts, is_allowed = found
        if not is_allowed:
            raise AuthorizationError(
                f"the package {package_id} is not released; its bytes are for members of its programme and for staff"
            )
        return FilePackage(*facts)

    def fetch(
        self, package_id: UUID, caller: Caller, *, copy_id: int | None = None, method: str = "GET"
    ) -> Streamed | Redirected:
        """The best copy of a package that is there, of the right size, and not found damaged.

        Args:
            package_id: Which package.
            caller: Who asks.
            copy_id: The only copy that will do; any when None.
            method: ``GET`` or ``HEAD``: what the client does where it is sent.

        Raises:
            NotFoundError: There is no such package or copy, or none is ever served.
            AuthorizationError: The caller may not fetch it.
            UnavailableError: No copy can be fetched now; says what to do about it, and when to ask again.
        """
        package = self.package(package_id, caller)
        every = self.copies(package)
        copies = every if copy_id is None else _numbered(package, every, copy_id)
        refused: list[str] = []
        for copy in (copy for copy in copies if copy.way is not None):
            others = tuple(other for other in every if other.way is not None and other != copy)
            try:
                return self._chosen(package, copy, others, method)
            except UnavailableError as fault:
                _refuse(package, copy, fault, refused)
        raise self.explain(package, copies, refused)

    def member(self, package_id: UUID, path: str, caller: Caller, *, copy_id: int | None = None) -> FileMember:
        """One file of a package, read out of the best copy that this service can read.

        Args:
            package_id: Which package.
            path: Of the file, in the package.
            caller: Who asks.
            copy_id: The only copy that will do; any when None.

        Raises:
            NotFoundError: There is no such package, file or copy, or nobody knows where the file begins.
            AuthorizationError: The caller may not fetch it.
            UnavailableError: No copy can be read now.
        """
        package = self.package(package_id, caller)
        row = self._member(package, path)
        copies = self.copies(package, copy_id)
        refused: list[str] = []
        for copy in (copy for copy in copies if copy.way is not None):
            place = self._places[copy.stored.place]
            try:
                if isinstance(place, Server):
                    raise UnavailableError("the server that holds it gives out whole packages alone")
                place.check(package.relative_path, package.size_bytes)
            except UnavailableError as fault:
                _refuse(package, copy, fault, refused)
                continue
            size, begin = row.size_bytes, row.tar_offset
            opened = partial(_open_part, place, package, begin, size)
            kind = row.checksum_algorithm
            return FileMember(package, row.name, row.file_type, begin, size, row.checksum, kind, opened)
        raise self.explain(package, copies, refused)

    def _member(self, package: FilePackage, path: str) -> Any:
        """What is recorded of a file of a package.

        Raises:
            NotFoundError: There is none, or nobody knows where it begins.
        """
        query = sa.select(
            RawDataFile.name,
            RawDataFile.file_type,
            RawDataFile.size_bytes,
            RawDataFile.checksum,
            RawDataFile.checksum_algorithm,
            RawDataFile.tar_offset,
        ).where(RawDataFile.raw_data_package_id == package.id, RawDataFile.relative_path == path)
        with self._database.engine.connect() as connection:
            row = connection.execute(query).one_or_none() if "\0" not in path else None
        if row is None:
            raise NotFoundError(f"the package {package.id} has no file of this path")
        is_inside = (
            None not in (row.tar_offset, row.size_bytes) and 0 <= row.tar_offset <= package.size_bytes - row.size_bytes
        )
        if not is_inside:
            raise NotFoundError(
                f"nobody has recorded where in the package {package.id} this file begins",
                hint="Fetch the package, and unpack it.",
            )
        return row

    def read(self, package_id: UUID) -> tuple[IO[bytes], ChecksumAlgorithm]:
        """A package from its first byte on, for who operates the catalog, and the algorithm of its checksum.

        Raises:
            NotFoundError: There is no such package, or it is not built.
            UnavailableError: No copy can be read now.
        """
        facts = (RawDataPackage.relative_path, RawDataPackage.size_bytes, RawDataPackage.checksum_algorithm)
        with self._database.engine.connect() as connection:
            row = connection.execute(sa.select(*facts).where(RawDataPackage.id == package_id)).one_or_none()
        if row is None or row.size_bytes is None or row.checksum_algorithm is None:
            raise NotFoundError(f"there is no package {package_id} that is built")
        why = ["no copy lies at a disk or bucket of files.locations"]
        for copy in self._copies.of([package_id]).get(package_id, ()):
            place = self._places.get(copy.stored.place) if copy.way is not None else None
            if place is None or isinstance(place, Server):
                continue
            try:
                size = row.size_bytes
                return place.open(row.relative_path, size, start=0, length=size), row.checksum_algorithm
            except UnavailableError as fault:
                why.append(f"copy {copy.stored.copy_id}: {fault.message}")
        raise UnavailableError(f"the package {package_id} cannot be read: {'; '.join(why[1:] or why)}")

    def copies(self, package: FilePackage, copy_id: int | None = None) -> Sequence[PackageCopy]:
        """The copies of a package, or the one of this number.

        Raises:
            NotFoundError: It has no copy of this number.
        """
        found = self._copies.of([package.id]).get(package.id, ())
        return found if copy_id is None else _numbered(package, found, copy_id)

    def explain(self, package: FilePackage, copies: Sequence[PackageCopy], refused: Sequence[str]) -> CatalogError:
        """Why no copy of a package can be fetched, as a fault.

        Args:
            package: Which package.
            copies: Those that were asked for, in their order.
            refused: What was wrong with those that should be there.
        """
        ask = f"; to get it, ask {self._contact}" if self._contact else ""
        if not copies:
            return NotFoundError(f"no copy of the package {package.id} remains{ask}")
        if self._is_staged and any(copy.obstacle is Obstacle.ON_TAPE for copy in copies):
            wait = _span(self._staging_wait_s)
            return UnavailableError(
                f"the package {package.id} lies on tape; bringing it to a disk takes about {wait}",
                hint="POST to this address asks for it, by those who have logged in.",
                retry_after=self._staging_wait_s,
            )
        if refused:
            return UnavailableError(f"no copy of the package {package.id} can be read now: {'; '.join(refused)}")
        first = copies[0]
        assert first.obstacle is not None  # noqa: S101  (a copy without one was tried)
        sentence = f"the package {package.id} cannot be fetched: {first.obstacle.sentence}{ask}"
        return UnavailableError(sentence) if first.obstacle is Obstacle.AVOIDED else NotFoundError(sentence)

    def _chosen(
        self, package: FilePackage, copy: PackageCopy, others: Sequence[PackageCopy], method: str
    ) -> Streamed | Redirected:
        path, size = package.relative_path, package.size_bytes
        place = self._places[copy.stored.place]
        place.check(path, size)
        if isinstance(place, Disk):
            return Streamed(package, copy, others, partial(_open_part, place, package, 0, size))
        return Redirected(package, copy, others, place.url(path, method=method, name=file_name(package.name)))


def _numbered(package: FilePackage, copies: Sequence[PackageCopy], copy_id: int) -> Sequence[PackageCopy]:
    """The copy of this number alone.

    Raises:
        NotFoundError: There is none.
    """
    wanted = tuple(copy for copy in copies if copy.stored.copy_id == copy_id)
    if not wanted:
        raise NotFoundError(f"the package {package.id} has no copy {copy_id}")
    return wanted


def _open_part(place: Readable, package: FilePackage, begin: int, size: int, start: int) -> IO[bytes]:
    """Bytes of a file in a package; of an empty one there are none to be asked for."""
    if start >= size:
        return BytesIO()
    return place.open(package.relative_path, package.size_bytes, start=begin + start, length=size - start)


def _refuse(package: FilePackage, copy: PackageCopy, fault: UnavailableError, refused: list[str]) -> None:
    """Note that a copy is not what it is recorded to be."""
    _LOG.warning("copy %d of the package %s is passed over: %s", copy.stored.copy_id, package.id, fault.message)
    refused.append(f"copy {copy.stored.copy_id}: {fault.message}")


def file_name(name: str) -> str:
    """A name that may stand in a header and on any disk."""
    return _UNSAFE.sub("_", name)


def _span(seconds: int) -> str:
    """About how long that is, for people."""
    minutes = max(1, round(seconds / 60))
    if minutes < 90:
        return f"{minutes} min"
    return f"{round(minutes / 60)} h"
