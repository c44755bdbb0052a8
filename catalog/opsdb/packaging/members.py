"""Where the files of a package lie in its tar, so that one of them can be read without the others."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import closing
from dataclasses import dataclass
from uuid import UUID

import sqlalchemy as sa

from catalog.db.listed import listed
from catalog.db.rows import stream_rows
from catalog.errors import IntegrityError
from catalog.opsdb.enums import ChecksumAlgorithm
from catalog.opsdb.models import OpsBase, RawDataFile, RawDataPackage

__all__ = ["Member", "record_members", "unindexed_packages"]

_FILES = OpsBase.metadata.tables["ops.raw_data_file"]


@dataclass(frozen=True, slots=True)
class Member:
    """A plain file in a tar."""

    offset: int
    """Byte of the tar at which its data begin."""

    size_bytes: int
    sha256: str


def record_members(connection: sa.Connection, package_id: UUID, members: Mapping[str, Member]) -> int:
    """Record where the files of a package begin; the tar may hold others beside them.

    Args:
        connection: In a writing transaction.
        package_id: Which package.
        members: Of its tar, by their paths.

    Returns:
        How many files there are.

    Raises:
        IntegrityError: The tar lacks a file that is recorded, or has it with other bytes.
    """
    query = sa.select(
        RawDataFile.id,
        RawDataFile.relative_path,
        RawDataFile.size_bytes,
        RawDataFile.checksum,
        RawDataFile.checksum_algorithm,
    )
    found: list[dict[str, object]] = []
    for row in connection.execute(query.where(RawDataFile.raw_data_package_id == package_id)):
        member = members.get(row.relative_path)
        if member is None:
            raise IntegrityError(f"the tar has no file '{row.relative_path}', which belongs into the package")
        is_other = row.checksum_algorithm is ChecksumAlgorithm.SHA256 and row.checksum != member.sha256
        if row.size_bytes not in (None, member.size_bytes) or is_other:
            raise IntegrityError(f"the file '{row.relative_path}' of the tar has other bytes than are recorded")
        found.append({"file": row.id, "offset": member.offset})
    change = sa.update(_FILES).where(_FILES.c.id == sa.bindparam("file")).values(tar_offset=sa.bindparam("offset"))
    for some in listed(found):
        connection.execute(change, some)
    return len(found)


def unindexed_packages(connection: sa.Connection) -> Generator[UUID]:
    """Built packages of a file of which nobody knows where it begins; close it, if it is not read to its end."""
    inside = sa.exists().where(RawDataFile.raw_data_package_id == RawDataPackage.id, RawDataFile.tar_offset.is_(None))
    query = sa.select(RawDataPackage.id).where(inside, RawDataPackage.checksum.is_not(None))
    with closing(stream_rows(connection, query.order_by(RawDataPackage.id))) as rows:
        for row in rows:
            yield row[0]
