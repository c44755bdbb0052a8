"""What links say of packages, read for some identifiers at once and as the caller may see it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from catalog.access import ANONYMOUS, AccessRule, Caller
from catalog.db import Database
from catalog.opsdb.models import RawDataFile, RawDataPackage
from catalog.opsdb.readable import PackageCopy
from catalog.vo.table import Table

__all__ = ["CopiesOf", "Package", "PackageFile", "PackageReader"]

CopiesOf = Callable[[Iterable[UUID]], Mapping[UUID, Sequence[PackageCopy]]]
"""The copies of packages in the order of preference."""


@dataclass(frozen=True, slots=True)
class Package:
    """A published package."""

    did: str
    """obs_publisher_did, as it is usually spelled."""

    id: UUID
    name: str
    dataproduct_type: str | None
    size_bytes: int | None
    checksum: str | None
    checksum_algorithm: str | None
    files: int
    """How many it holds."""

    is_indexed: bool
    """Whether it is known of each where it begins, so that it can be given out alone."""

    is_shown: bool
    """Whether everybody may see it."""

    is_public: bool
    """Whether everybody may fetch it."""

    is_allowed: bool
    """Whether the caller may."""


@dataclass(frozen=True, slots=True)
class PackageFile:
    """A file in a package."""

    package_id: UUID
    path: str
    """POSIX path inside the package."""

    file_type: str | None
    size_bytes: int | None
    checksum: str | None
    checksum_algorithm: str | None


class PackageReader:
    """Reads published packages, a few hundred at a time, each question in one query.

    Args:
        database: Opened with the owner's login: checksums and files are no part of the published rows.
        rows: ``catalog.package_obscore``: what is published.
        table: Description of a protected table, for the access rule.
        access: Who may see and fetch what.
    """

    def __init__(self, database: Database, rows: sa.Table, table: Table, access: AccessRule) -> None:
        self._database = database
        self._rows = rows
        self._table = table
        self._access = access

    def packages(self, dids: Sequence[str], caller: Caller) -> list[Package]:
        """Those of some identifiers that are published and that the caller may see.

        Raises:
            UnavailableError: The database does not answer.
        """
        with self._database.engine.connect() as connection:
            return [Package(*row) for row in connection.execute(self._select(dids, caller))]

    def files(self, packages: Sequence[UUID]) -> dict[UUID, list[PackageFile]]:
        """The files of some packages, each package's by path in the order of code points."""
        if not packages:
            return {}
        file = RawDataFile.__table__.c
        columns = (file.relative_path, file.file_type, file.size_bytes, file.checksum, file.checksum_algorithm)
        query = sa.select(file.raw_data_package_id, *columns).where(file.raw_data_package_id.in_(packages))
        found: dict[UUID, list[PackageFile]] = {}
        with self._database.engine.connect() as connection:
            for row in connection.execute(query):
                found.setdefault(row[0], []).append(PackageFile(*row))
        for files in found.values():
            files.sort(key=lambda file: file.path)
        return found

    def _select(self, dids: Sequence[str], caller: Caller) -> sa.Select[Any]:
        rows = self._rows.alias("o")
        package, file = RawDataPackage.__table__.alias("p"), RawDataFile.__table__.alias("f")
        inside = file.c.raw_data_package_id == package.c.id
        files = sa.select(sa.func.count()).where(inside).scalar_subquery()
        nowhere = sa.or_(file.c.tar_offset.is_(None), file.c.size_bytes.is_(None))
        rights = (
            self._access.metadata(ANONYMOUS, self._table, rows),
            self._access.data(ANONYMOUS, rows),
            self._access.data(caller, rows),
        )
        query = sa.select(
            rows.c.obs_publisher_did,
            package.c.id,
            package.c.name,
            rows.c.dataproduct_type,
            package.c.size_bytes,
            package.c.checksum,
            package.c.checksum_algorithm,
            files,
            ~sa.exists().where(inside, nowhere).correlate(package),
            *(sa.true() if right is None else sa.func.coalesce(right, sa.false()) for right in rights),
        ).select_from(rows.join(package, package.c.id == rows.c.raw_data_package_id))
        seen = self._access.metadata(caller, self._table, rows)
        wanted = rows.c.obs_publisher_did.in_(dids)
        return query.where(wanted) if seen is None else query.where(wanted, seen)
