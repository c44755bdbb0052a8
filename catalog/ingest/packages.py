"""A package, its files, copies and metadata: written once, completed where something was open, never overwritten."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from catalog.ingest.faults import ContradictionError, MissingParentError
from catalog.ingest.parents import Parents
from catalog.ingest.records import CopyRecord, FileRecord, MetadataRecord, PackageRecord
from catalog.ingest.report import Outcome
from catalog.opsdb.enums import ChecksumAlgorithm, Status
from catalog.opsdb.identity import build_file_id, build_package_id, build_package_path
from catalog.opsdb.models import (
    ExecutedObsUnit,
    PhysicalCopy,
    RawDataFile,
    RawDataPackage,
    RawDataPackageMetadata,
)

__all__ = [
    "PackageWriter",
    "Written",
    "build_copy_values",
    "build_file_values",
    "build_metadata_values",
    "build_package_values",
    "identify_file",
    "identify_package",
]

_OPEN = ("file_type", "start_time", "end_time", "exptime_s", "tar_offset")
_LISTED = 500  # ids named one by one in a statement

Note = Callable[[str, str], None]
"""Told the field and what is worth knowing about it."""


@dataclass(frozen=True, slots=True)
class Written:
    """What became of one record."""

    outcome: Outcome
    files: int
    """Files that were recorded anew."""


class PackageWriter:
    """Brings records into the tables of one session, each within the caller's savepoint.

    Args:
        session: Where to.
        parents: Finds what packages hang on.
        note: Told what differs from what is recorded and was left as it is.
    """

    def __init__(self, session: Session, parents: Parents, note: Note) -> None:
        self._session = session
        self._parents = parents
        self._note = note

    def write(self, record: PackageRecord, *, create_instruments: bool) -> Written:
        """Write a record.

        Raises:
            UnknownInstrumentError: Its module is not known and may not be created.
            MissingParentError: It refers to something that is not known yet.
            ContradictionError: It says something else than what is recorded, or is of other bytes.
        """
        module_id = self._parents.module(record, create=create_instruments)
        execution = self._parents.execution(record.executed_obs_unit)
        if record.supersedes is not None and self._session.get(RawDataPackage, record.supersedes) is None:
            raise MissingParentError(f"the package {record.supersedes}, which is superseded, is not known")
        identifier = identify_package(record)
        package = self._session.get(RawDataPackage, identifier)
        is_new = package is None
        is_closed = package is not None and package.checksum is not None and self._has_files(package)
        if package is None:
            package = self._create(record, identifier, execution, module_id)
        else:
            self._compare(record, package, execution, module_id)
        was_touched = self._session.is_modified(execution) or self._session.is_modified(package)
        self._session.flush()
        files, filled = self._write_files(record, package, is_closed=is_closed)
        copies = self._write_copies("raw_data_package", {package.id: record.copies})
        described = self._describe(record.metadata, package.id)
        completed = was_touched or bool(files) or filled or bool(copies) or described
        return Written("created" if is_new else "completed" if completed else "unchanged", files)

    def _create(
        self, record: PackageRecord, identifier: UUID, execution: ExecutedObsUnit, module_id: int
    ) -> RawDataPackage:
        other = self._session.scalar(
            sa.select(RawDataPackage.id).where(
                RawDataPackage.executed_obs_unit_id == execution.id,
                RawDataPackage.instrument_module_id == module_id,
                RawDataPackage.sequence == record.sequence,
            )
        )
        if other is not None:
            raise ContradictionError(
                "id",
                f"package {record.sequence} of this execution and module is {other}, not {identifier}; "
                "another package of them has another sequence",
            )
        package = RawDataPackage(**build_package_values(record, identifier, execution.id, module_id))
        self._session.add(package)
        return package

    def _compare(
        self, record: PackageRecord, package: RawDataPackage, execution: ExecutedObsUnit, module_id: int
    ) -> None:
        for field, recorded, stated in (
            ("executed_obs_unit.id", package.executed_obs_unit_id, execution.id),
            ("module", package.instrument_module_id, module_id),
            ("sequence", package.sequence, record.sequence),
        ):
            if recorded != stated:
                raise ContradictionError(field, f"the package {package.id} is recorded with another {field}")
        for field in ("relative_path", "name"):
            value = getattr(record, field)
            if value is not None and value != getattr(package, field):
                raise ContradictionError(
                    field, f"the package {package.id} is recorded as '{getattr(package, field)}', not '{value}'"
                )
        for field, column in (("content_format", "content_format"), ("supersedes", "supersedes_id")):
            value, kept = getattr(record, field), getattr(package, column)
            if value is not None and value != kept:
                self._note(field, f"recorded as {_shown(kept)}: kept, not '{value}'")
        filled = _fill_bytes(record, package, f"the package {package.id}", "", self._note)
        if filled and package.status is Status.PENDING and package.size_bytes is not None and package.checksum:
            package.status = Status.COMPLETED

    # Files

    def _write_files(self, record: PackageRecord, package: RawDataPackage, *, is_closed: bool) -> tuple[int, bool]:
        """How many files are new, and whether something was added to others or their copies.

        Raises:
            ContradictionError: A file differs from what is recorded, or is new to a package that is closed: built of
                other files.
        """
        module_id = package.instrument_module_id
        created, filled = 0, False
        for offset in range(0, len(record.files), _LISTED):
            part = record.files[offset : offset + _LISTED]
            ids = [identify_file(record, file) for file in part]
            known = self._known_files(ids, module_id, [file.relative_path for file in part])
            fresh: list[dict[str, Any]] = []
            for index, (file, identifier) in enumerate(zip(part, ids, strict=True), start=offset):
                row = known.get(identifier)
                if row is not None:
                    filled |= self._compare_file(file, row, package, f"files.{index}")
                elif file.relative_path in known:
                    self._refuse_path(file, known[file.relative_path].id, identifier, f"files.{index}")
                elif is_closed:
                    raise ContradictionError(
                        f"files.{index}",
                        f"the package {package.id} is built without the file '{file.relative_path}'",
                    )
                else:
                    fresh.append(
                        build_file_values(file, identifier, package.id, package.executed_obs_unit_id, module_id)
                    )
            if fresh:
                self._session.flush()
                self._session.execute(sa.insert(RawDataFile), fresh)
                created += len(fresh)
            self._session.flush()
            copies = {identifier: file.copies for identifier, file in zip(ids, part, strict=True)}
            filled |= bool(self._write_copies("raw_data_file", copies))
        return created, filled

    def _has_files(self, package: RawDataPackage) -> bool:
        query = sa.select(RawDataFile.id).where(RawDataFile.raw_data_package_id == package.id).limit(1)
        return self._session.scalar(query) is not None

    def _known_files(
        self, ids: Sequence[UUID], module_id: int, paths: Sequence[str]
    ) -> Mapping[UUID | str, RawDataFile]:
        """Rows by id, and those of the module also by path."""
        by_path = sa.and_(RawDataFile.instrument_module_id == module_id, RawDataFile.relative_path.in_(paths))
        known: dict[UUID | str, RawDataFile] = {}
        for condition in (RawDataFile.id.in_(ids), by_path):
            for row in self._session.scalars(sa.select(RawDataFile).where(condition)):
                known[row.id] = row
                if row.instrument_module_id == module_id:
                    known[row.relative_path] = row
        return known

    def _refuse_path(self, file: FileRecord, known: UUID, identifier: UUID, field: str) -> None:
        raise ContradictionError(
            f"{field}.id", f"the file '{file.relative_path}' of this module is {known}, not {identifier}"
        )

    def _compare_file(self, file: FileRecord, row: RawDataFile, package: RawDataPackage, field: str) -> bool:
        """Whether something was filled in."""
        if row.instrument_module_id != package.instrument_module_id or row.relative_path != file.relative_path:
            raise ContradictionError(
                f"{field}.relative_path", f"the file {row.id} is recorded as '{row.relative_path}' of its module"
            )
        if row.raw_data_package_id not in (None, package.id):
            raise ContradictionError(
                field, f"the file '{file.relative_path}' belongs to the package {row.raw_data_package_id}"
            )
        filled = _fill_bytes(file, row, f"the file '{file.relative_path}'", f"{field}.", self._note)
        stated = {"raw_data_package_id": package.id, "executed_obs_unit_id": package.executed_obs_unit_id}
        stated |= {
            name: getattr(file, name) for name in ("file_type", "start_time", "end_time", "exptime_s", "tar_offset")
        }
        for name, value in stated.items():
            recorded = getattr(row, name)
            if value is None or value == recorded:
                continue
            if recorded is None:
                setattr(row, name, value)
                filled = True
            else:
                self._note(f"{field}.{name}", f"recorded as {_shown(recorded)}: kept, not {_shown(value)}")
        return filled

    # Copies and metadata

    def _write_copies(self, kind: str, copies: Mapping[UUID, Sequence[CopyRecord]]) -> int:
        """Record the copies that are not known yet; one that was known keeps its state, also when it is gone."""
        wanted = {identifier: records for identifier, records in copies.items() if records}
        if not wanted:
            return 0
        table = sa.inspect(PhysicalCopy).local_table
        assert isinstance(table, sa.Table)  # noqa: S101  (the three kinds share one table)
        target = table.c[f"{kind}_id"]
        known = {
            (row[0], row[1])
            for some in _parts(list(wanted))
            for row in self._session.execute(sa.select(target, table.c.data_location_id).where(target.in_(some)))
        }
        fresh = [
            build_copy_values(copy, kind, identifier, location)
            for identifier, records in wanted.items()
            for copy in records
            for location in [self._parents.location(copy.location)]
            if (identifier, location) not in known
        ]
        if fresh:
            self._session.execute(sa.insert(table), fresh)
        return len(fresh)

    def _describe(self, record: MetadataRecord | None, package_id: UUID) -> bool:
        """Whether the package had no metadata and has some now."""
        if record is None:
            return False
        row = self._session.get(RawDataPackageMetadata, package_id)
        if row is None:
            self._session.add(RawDataPackageMetadata(**build_metadata_values(record, package_id)))
            self._session.flush()
            return True
        for name in sorted(record.stated()):
            recorded, value = getattr(row, name), getattr(record, name)
            if recorded != value and name != "generated_at":
                self._note(f"metadata.{name}", f"recorded as {_shown(recorded)}: kept, not {_shown(value)}")
        return False


def identify_package(record: PackageRecord) -> UUID:
    """As stated, else made of execution, module and sequence."""
    execution = record.executed_obs_unit.id
    return record.id or build_package_id(execution, record.instrument, record.module, record.sequence)


def identify_file(record: PackageRecord, file: FileRecord) -> UUID:
    """As stated, else made of module and path."""
    return file.id or build_file_id(record.instrument, record.module, file.relative_path)


def build_package_values(record: PackageRecord, identifier: UUID, execution_id: UUID, module_id: int) -> dict[str, Any]:
    """Columns of a new package."""
    path = record.relative_path or build_package_path(execution_id, record.instrument, record.module, record.sequence)
    is_built = record.checksum is not None and record.size_bytes is not None
    return {
        "id": identifier,
        "executed_obs_unit_id": execution_id,
        "instrument_module_id": module_id,
        "sequence": record.sequence,
        "name": record.name or posixpath.basename(path),
        "relative_path": path,
        "content_format": record.content_format,
        "size_bytes": record.size_bytes,
        **_checksum(record),
        "state": record.state,
        "status": record.status or (Status.COMPLETED if is_built else Status.PENDING),
        "supersedes_id": record.supersedes,
    }


def build_file_values(
    file: FileRecord, identifier: UUID, package_id: UUID, execution_id: UUID, module_id: int
) -> dict[str, Any]:
    """Columns of a new file of a package."""
    return {
        "id": identifier,
        "instrument_module_id": module_id,
        "executed_obs_unit_id": execution_id,
        "raw_data_package_id": package_id,
        "name": file.name or posixpath.basename(file.relative_path),
        "relative_path": file.relative_path,
        "file_type": file.file_type,
        "size_bytes": file.size_bytes,
        **_checksum(file),
        "start_time": file.start_time,
        "end_time": file.end_time,
        "exptime_s": file.exptime_s,
        "tar_offset": file.tar_offset,
    }


def build_copy_values(copy: CopyRecord, kind: str, identifier: UUID, location_id: int) -> dict[str, Any]:
    """Columns of a new copy of a ``raw_data_package`` or a ``raw_data_file``."""
    return {
        "type": f"{kind}_physical_copy",
        f"{kind}_id": identifier,
        "data_location_id": location_id,
        "status": copy.status,
        "verification": copy.verification,
        "verified_at": copy.verified_at,
        "deleted_at": copy.deleted_at,
        **_checksum(copy),
    }


def build_metadata_values(record: MetadataRecord, identifier: UUID) -> dict[str, Any]:
    """Columns of the metadata of a package, as far as they are stated."""
    stated = {name: getattr(record, name) for name in record.stated()}
    return {"raw_data_package_id": identifier, "document": {}, **stated}


def _checksum(record: PackageRecord | FileRecord | CopyRecord) -> dict[str, Any]:
    algorithm = None if record.checksum is None else record.checksum_algorithm or ChecksumAlgorithm.SHA256
    return {"checksum": record.checksum, "checksum_algorithm": algorithm}


def _fill_bytes(
    record: PackageRecord | FileRecord, row: RawDataPackage | RawDataFile, what: str, prefix: str, note: Note
) -> bool:
    """Add size and checksum where they were open.

    Raises:
        ContradictionError: They are known and differ: the same identity with other bytes.
    """
    stated = _checksum(record)
    if record.size_bytes is not None and row.size_bytes not in (None, record.size_bytes):
        raise ContradictionError(
            f"{prefix}size_bytes", f"{what} is recorded with {row.size_bytes} bytes, not {record.size_bytes}"
        )
    if record.checksum is not None and row.checksum is not None:
        if row.checksum_algorithm is not stated["checksum_algorithm"]:
            note(f"{prefix}checksum", f"recorded as {row.checksum_algorithm}: another algorithm proves nothing")
        elif row.checksum != record.checksum:
            raise ContradictionError(f"{prefix}checksum", f"{what} is recorded with another checksum: its bytes differ")
    filled = False
    if record.size_bytes is not None and row.size_bytes is None:
        row.size_bytes, filled = record.size_bytes, True
    if record.checksum is not None and row.checksum is None:
        row.checksum, row.checksum_algorithm, filled = record.checksum, stated["checksum_algorithm"], True
    return filled


def _parts(ids: list[UUID]) -> Iterator[list[UUID]]:
    for offset in range(0, len(ids), _LISTED):
        yield ids[offset : offset + _LISTED]


def _shown(value: Any) -> str:
    return "nothing" if value is None else f"'{value}'"
