"""Blocks of records: what is plainly new goes in by a few statements, however much of it there is.

A record is plainly new when its package and its files are unknown, and all that it refers to is known and described
alike, or is a new execution of a known observation. Writing it takes no look at single rows, and there is nothing to
tell of it. Every other record is left to `catalog.ingest.packages`, and so is one that shares a key with such a record
before it. So a block ends as if its records had come one by one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session
from sqlalchemy.sql.schema import ScalarElementColumnDefault

from catalog.db.bulk import copy_columns
from catalog.db.keys import is_one_of
from catalog.ingest.faults import ContradictionError, MissingParentError
from catalog.ingest.packages import (
    build_copy_values,
    build_file_values,
    build_metadata_values,
    build_package_values,
    identify_file,
    identify_package,
)
from catalog.ingest.parents import EXECUTION_FACTS, Parents, build_execution_values, stated_facts
from catalog.ingest.records import CopyRecord, ExecutedObsUnitRecord, LocationRecord, ObsUnitRecord, PackageRecord
from catalog.opsdb.announced import announcing
from catalog.opsdb.models import ExecutedObsUnit, ObsUnit, OpsBase, RawDataFile, RawDataPackage

__all__ = ["Block", "BlockWriter"]

_Values = Mapping[str, Any]


@dataclass(slots=True)
class Block:
    """Rows to be written."""

    places: set[int] = field(default_factory=set)
    """Of the records that are plainly new, among all that were looked at."""

    executions: dict[UUID, _Values] = field(default_factory=dict)
    packages: dict[UUID, _Values] = field(default_factory=dict)
    metadata: list[_Values] = field(default_factory=list)
    files: dict[UUID, _Values] = field(default_factory=dict)
    copies: list[_Values] = field(default_factory=list)

    def tables(self) -> Iterable[tuple[str, Sequence[_Values]]]:
        """Rows by table, in an order that keeps every foreign key; of two writers one waits, as both go by the ids."""
        yield "executed_obs_unit", _by_id(self.executions)
        yield "raw_data_package", _by_id(self.packages)
        yield "raw_data_package_metadata", self.metadata
        yield "raw_data_file", _by_id(self.files)
        yield "physical_copy", self.copies


class BlockWriter:
    """Finds out which records of a block are plainly new, and writes those.

    Args:
        session: Where to.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._remarks: list[tuple[str, str]] = []
        self._parents = Parents(session, lambda *remark: self._remarks.append(remark), creates=False)

    def plan(self, records: Iterable[PackageRecord | None]) -> Block:
        """Choose the records that are plainly new, and make their rows; nothing is written.

        Args:
            records: In the order in which they came; None for what is no record.
        """
        self._parents.settle()
        references = _References(self._look)
        candidates = [
            _Candidate(place, record, identify_package(record), references.module(record))
            for place, record in enumerate(records)
            if record is not None
        ]
        choice = _Choice(_Known(self._session, candidates), references)
        for candidate in candidates:
            choice.consider(candidate)
        return choice.block

    def write(self, block: Block, *, announce: bool) -> None:
        """Write what was planned, in the caller's savepoint.

        Args:
            block: From `plan`, for the present state of the database.
            announce: Whether a commit follows, so that what is written is resolved.

        Raises:
            IntegrityError: The database refuses a row.
            DBAPIError: Something else is wrong with one.
        """
        if announce:
            with announcing(self._session, block.packages, block.executions):
                self._insert(block)
        else:
            self._insert(block)

    def _insert(self, block: Block) -> None:
        for name, rows in block.tables():
            if rows:
                table = OpsBase.metadata.tables[f"ops.{name}"]
                copy_columns(self._session.connection(), table, _columns(table, rows))

    def _look(self, find: Callable[[Parents], int]) -> int | None:
        """Id of what is known; None if it is not, or if there is something to tell of it."""
        self._remarks.clear()
        try:
            found = find(self._parents)
        except (MissingParentError, ContradictionError):
            return None
        return None if self._remarks else found


class _References:
    """What the records of a block refer to, each looked for once; None for what makes a record not plain."""

    def __init__(self, look: Callable[[Callable[[Parents], int]], int | None]) -> None:
        self._look = look
        self._found: dict[Hashable, int | None] = {}

    def module(self, record: PackageRecord) -> int | None:
        key = ("module", record.instrument, record.module)
        return self._find(key, lambda parents: parents.module(record, create=False))

    def obs_unit(self, record: ObsUnitRecord) -> int | None:
        key = record.name if record.model_fields_set == {"name"} else record  # comparing records takes longer
        return self._find(key, lambda parents: parents.obs_unit(record))

    def location(self, record: LocationRecord) -> int | None:
        return self._find(record, lambda parents: parents.location(record))

    def _find(self, key: Hashable, find: Callable[[Parents], int]) -> int | None:
        if key not in self._found:
            self._found[key] = self._look(find)
        return self._found[key]


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A record that may be plainly new."""

    place: int
    record: PackageRecord
    identifier: UUID
    module_id: int | None

    @property
    def sequence(self) -> tuple[UUID, str, str, int]:
        record = self.record
        return record.executed_obs_unit.id, record.instrument, record.module, record.sequence

    def keys(self) -> Iterable[Hashable]:
        """What no record after it may have in common with it, if it is left."""
        record = self.record
        yield from (self.identifier, record.executed_obs_unit.id, record.supersedes or self.identifier, self.sequence)
        for file in record.files:
            yield from (identify_file(record, file), (record.instrument, record.module, file.relative_path))


@dataclass(frozen=True, slots=True)
class _Execution:
    """An execution that is known, or is to be written."""

    obs_unit: str
    facts: _Values
    row: _Values | None = None
    """What is to be written of it."""


class _Known:
    """What the database holds of the keys of some records."""

    def __init__(self, session: Session, candidates: Sequence[_Candidate]) -> None:
        self._session = session
        packages = {candidate.identifier for candidate in candidates}
        packages |= {one.record.supersedes for one in candidates if one.record.supersedes is not None}
        self.packages: set[UUID] = self._present(RawDataPackage.id, packages)
        self.executions = self._executions({one.record.executed_obs_unit.id for one in candidates})
        self.sequences = self._sequences()
        self.files: set[UUID] = self._present(
            RawDataFile.id, {identify_file(one.record, file) for one in candidates for file in one.record.files}
        )
        self.paths = self._paths(candidates)

    def _present(self, column: Any, ids: set[UUID]) -> set[UUID]:
        return set(self._session.scalars(sa.select(column).where(is_one_of(column.expression, ids)))) if ids else set()

    def _executions(self, ids: set[UUID]) -> dict[UUID, _Execution]:
        columns = {name: getattr(ExecutedObsUnit, name) for name in EXECUTION_FACTS}
        query = sa.select(ExecutedObsUnit.id, ObsUnit.name, *columns.values()).join(ObsUnit)
        rows = self._session.execute(query.where(is_one_of(ExecutedObsUnit.__table__.c.id, ids)))
        return {row[0]: _Execution(row[1], dict(zip(columns, row[2:], strict=True))) for row in rows}

    def _sequences(self) -> set[tuple[UUID, int, int]]:
        columns = RawDataPackage.executed_obs_unit_id, RawDataPackage.instrument_module_id, RawDataPackage.sequence
        if not self.executions:
            return set()
        rows = self._session.execute(sa.select(*columns).where(is_one_of(columns[0], self.executions)))
        return {(row[0], row[1], row[2]) for row in rows}

    def _paths(self, candidates: Sequence[_Candidate]) -> set[tuple[int, str]]:
        wanted: dict[int, set[str]] = defaultdict(set)
        for candidate in candidates:
            if candidate.module_id is not None and candidate.record.files:
                wanted[candidate.module_id] |= {file.relative_path for file in candidate.record.files}
        found: set[tuple[int, str]] = set()
        for module_id, paths in wanted.items():
            of_module = RawDataFile.instrument_module_id == module_id
            query = sa.select(RawDataFile.relative_path).where(of_module, is_one_of(RawDataFile.relative_path, paths))
            found |= {(module_id, path) for path in self._session.scalars(query)}
        return found


class _Choice:
    """The records of a block, looked at one after the other."""

    def __init__(self, known: _Known, references: _References) -> None:
        self.block = Block()
        self._references = references
        self._packages = known.packages
        self._executions = known.executions
        self._there: set[Hashable] = {*known.packages, *known.sequences, *known.files, *known.paths}
        self._left: set[Hashable] = set()

    def consider(self, candidate: _Candidate) -> None:
        """Take the rows of a record, if it is plainly new."""
        is_free = not self._left or self._left.isdisjoint(candidate.keys())
        if not (is_free and self._take(candidate)):
            self._left.update(candidate.keys())

    def _take(self, candidate: _Candidate) -> bool:
        record, identifier, module_id = candidate.record, candidate.identifier, candidate.module_id
        if module_id is None or not (record.supersedes is None or record.supersedes in self._packages):
            return False
        unit = record.executed_obs_unit
        execution = self._execution(unit)
        files = [(identify_file(record, file), file) for file in record.files]
        keys: list[Hashable] = [identifier, (unit.id, module_id, record.sequence)]
        for key, file in files:
            keys += [key, (module_id, file.relative_path)]
        fresh = set(keys)
        if execution is None or len(fresh) < len(keys) or not self._there.isdisjoint(fresh):
            return False
        copies = self._copies("raw_data_package", identifier, record.copies)
        for key, file in files:
            copies += self._copies("raw_data_file", key, file.copies)
        if None in copies:
            return False
        self._there |= fresh
        self._packages.add(identifier)
        self._executions[unit.id] = execution
        block = self.block
        block.places.add(candidate.place)
        block.packages[identifier] = build_package_values(record, identifier, unit.id, module_id)
        block.copies += copies
        block.files.update((key, build_file_values(file, key, identifier, unit.id, module_id)) for key, file in files)
        if record.metadata is not None:
            block.metadata.append(build_metadata_values(record.metadata, identifier))
        if execution.row is not None:
            block.executions[unit.id] = execution.row
        return True

    def _execution(self, record: ExecutedObsUnitRecord) -> _Execution | None:
        """What the record means: known or to be written before, and described alike; else new, of a known unit."""
        known = self._executions.get(record.id)
        unit_id = None if record.obs_unit is None else self._references.obs_unit(record.obs_unit)
        stated = stated_facts(record)
        if known is None:
            if record.obs_unit is None or unit_id is None:
                return None
            return _Execution(record.obs_unit.name, stated, build_execution_values(record, unit_id))
        if record.obs_unit is not None and (unit_id is None or record.obs_unit.name != known.obs_unit):
            return None
        return known if all(known.facts.get(name) == value for name, value in stated.items()) else None

    def _copies(self, kind: str, identifier: UUID, copies: Sequence[CopyRecord]) -> list[Any]:
        """Rows; None in the place of one whose location is not known or described otherwise."""
        places = [(copy, self._references.location(copy.location)) for copy in copies]
        return [place and build_copy_values(copy, kind, identifier, place) for copy, place in places]


def _by_id(rows: Mapping[UUID, _Values]) -> list[_Values]:
    return [rows[identifier] for identifier in sorted(rows, key=attrgetter("int"))]


def _columns(table: sa.Table, rows: Sequence[_Values]) -> dict[str, Sequence[object]]:
    """Rows as columns; where one says nothing that others say, it gets the column's default."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: _column(table.c[name], rows) for name in names}


def _column(column: sa.Column[Any], rows: Sequence[_Values]) -> list[object]:
    name, default = column.name, column.default
    value = default.arg if isinstance(default, ScalarElementColumnDefault) else None
    return [row.get(name, value) for row in rows]
