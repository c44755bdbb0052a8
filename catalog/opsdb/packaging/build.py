"""Plan packages of the files that are in none, and write them: set-based, some thousands of files to a transaction.

Killed midway, the next call goes on: what was written is in packages then, and the rest is planned as before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from catalog.db import Database, UuidText
from catalog.db.listed import listed
from catalog.db.rows import stream_rows
from catalog.opsdb.enums import ExecutionStatus, PackageState, Status
from catalog.opsdb.identity import build_package_id, build_package_path
from catalog.opsdb.models import ExecutedObsUnit, Instrument, InstrumentModule, OpsBase, RawDataFile, RawDataPackage
from catalog.opsdb.packaging.plan import FileToPack, PackageLimits, PlannedPackage, UnsizedFiles, plan_packages
from catalog.opsdb.schema import refuse_attached
from catalog.opsdb.triggers import queue_suspended

__all__ = ["PackagingSummary", "build_packages", "files_to_pack"]

Progress = Callable[[int, int | None], None]
"""Told how many files are in packages now, and how many there are to be."""

_FILES_AT_ONCE = 20_000
_PACKAGES_AT_ONCE = 2_000
_COLUMNS = (
    *("id", "executed_obs_unit_id", "instrument_module_id", "sequence", "name", "relative_path"),
    *("content_format", "state", "status"),
)
_FILES = OpsBase.metadata.tables["ops.raw_data_file"]
_PACKAGES = OpsBase.metadata.tables["ops.raw_data_package"]
_PLAN = sa.Table(
    "packaging_plan",
    sa.MetaData(),
    sa.Column("file_id", UuidText, primary_key=True),
    sa.Column("package_id", UuidText, nullable=False),
    prefixes=["TEMPORARY"],
    postgresql_on_commit="DROP",
)


@dataclass(slots=True)
class PackagingSummary:
    """What was planned, and what waits."""

    packages: int = 0
    files: int = 0
    """In these packages."""

    size_bytes: int = 0
    """Of these files."""

    larger: int = 0
    """Packages above the limit, each of one file or of files that are not separated."""

    changed: int = 0
    """Packages that were not written, because another writer had their files meanwhile."""

    unsized: int = 0
    """Files that wait, because their size or that of one of their set is not known."""

    running: int = 0
    """Files that wait for the end of their observation."""

    unplaced: int = 0
    """Files of which nobody has said to which observation they belong."""

    dry_run: bool = False


def build_packages(
    database: Database,
    limits: PackageLimits,
    *,
    dry_run: bool = False,
    progress: Progress | None = None,
    planned: Callable[[PlannedPackage], None] | None = None,
) -> PackagingSummary:
    """Put every file that is in no package into one; see `catalog.opsdb.packaging.plan`.

    Files that come later go into further packages: what is in a package stays there. A file waits while the
    observation goes on, and while its size or its observation is not known.

    Args:
        database: Opened with the owner's login.
        limits: How large a package becomes.
        dry_run: Say what would be planned, and write nothing.
        progress: Told how far it is.
        planned: Told each package, before it is written.

    Raises:
        SettingsError: The operations tables are another's.
    """
    summary = PackagingSummary(dry_run=dry_run)
    with database.engine.connect() as reader:
        refuse_attached(reader)
        summary.running, summary.unplaced = _waiting(reader)
        total = _count(reader) if progress is not None else None
        names = _module_names(reader)
        with closing(files_to_pack(reader)) as files:
            for batch in _batches(_noted(plan_packages(files, limits), summary, planned)):
                written = batch if dry_run else _write(database, batch, names)
                summary.changed += len(batch) - len(written)
                summary.packages += len(written)
                summary.files += sum(len(package.files) for package in written)
                summary.size_bytes += sum(package.size_bytes for package in written)
                summary.larger += sum(_is_larger(package, limits) for package in written)
                if progress is not None:
                    progress(summary.files, total)
    return summary


def files_to_pack(connection: sa.Connection) -> Generator[FileToPack]:
    """Files that are in no package although their observation is over, in the order in which they are planned.

    Close it, if it is not read to its end.
    """
    path = RawDataFile.relative_path
    in_order = path if connection.dialect.name == "sqlite" else sa.collate(path, "C")
    query = (
        sa.select(
            RawDataFile.id,
            RawDataFile.executed_obs_unit_id,
            RawDataFile.instrument_module_id,
            path,
            RawDataFile.size_bytes,
            RawDataFile.file_type,
        )
        .join(ExecutedObsUnit, ExecutedObsUnit.id == RawDataFile.executed_obs_unit_id)
        .where(RawDataFile.raw_data_package_id.is_(None), sa.not_(_is_running()))
        .order_by(RawDataFile.executed_obs_unit_id, RawDataFile.instrument_module_id, in_order)
    )
    with closing(stream_rows(connection, query)) as rows:
        for row in rows:
            yield FileToPack(*row)


def _is_larger(package: PlannedPackage, limits: PackageLimits) -> bool:
    return package.size_bytes > limits.max_bytes or len(package.files) > limits.max_files


def _is_running() -> sa.ColumnElement[bool]:
    return sa.and_(ExecutedObsUnit.end_time.is_(None), ExecutedObsUnit.execution_status != ExecutionStatus.ABORTED)


def _waiting(connection: sa.Connection) -> tuple[int, int]:
    """Files of observations that go on, and files of no observation."""
    free = sa.select(sa.func.count(RawDataFile.id)).where(RawDataFile.raw_data_package_id.is_(None))
    running = free.join(ExecutedObsUnit, ExecutedObsUnit.id == RawDataFile.executed_obs_unit_id).where(_is_running())
    unplaced = free.where(RawDataFile.executed_obs_unit_id.is_(None))
    return connection.scalar(running) or 0, connection.scalar(unplaced) or 0


def _count(connection: sa.Connection) -> int:
    free = sa.select(sa.func.count(RawDataFile.id)).where(RawDataFile.raw_data_package_id.is_(None))
    return connection.scalar(free.where(RawDataFile.executed_obs_unit_id.is_not(None))) or 0


def _module_names(connection: sa.Connection) -> dict[int, tuple[str, str]]:
    named = sa.select(InstrumentModule.id, Instrument.name, InstrumentModule.name.label("module"))
    return {row.id: (row.name, row.module) for row in connection.execute(named.join(Instrument))}


def _noted(
    plan: Iterator[PlannedPackage | UnsizedFiles],
    summary: PackagingSummary,
    planned: Callable[[PlannedPackage], None] | None,
) -> Iterator[PlannedPackage]:
    for some in plan:
        if isinstance(some, UnsizedFiles):
            summary.unsized += some.files
            continue
        if planned is not None:
            planned(some)
        yield some


def _batches(packages: Iterator[PlannedPackage]) -> Iterator[list[PlannedPackage]]:
    """Packages for one transaction."""
    batch: list[PlannedPackage] = []
    files = 0
    for package in packages:
        batch.append(package)
        files += len(package.files)
        if files >= _FILES_AT_ONCE or len(batch) >= _PACKAGES_AT_ONCE:
            yield batch
            batch, files = [], 0
    if batch:
        yield batch


# Writing


def _write(
    database: Database, batch: Sequence[PlannedPackage], names: dict[int, tuple[str, str]]
) -> list[PlannedPackage]:
    """Write packages in one transaction; those whose files another writer has taken meanwhile are left out.

    Nothing of a package is published before it is built, so its rows need not stand in the queue.
    """
    with database.begin() as connection:
        _lock(connection, {package.executed_obs_unit_id for package in batch})
        with queue_suspended(connection):
            _PLAN.create(connection, checkfirst=False)
            numbered = _numbered(connection, batch, names)
            files = ((file, row["id"]) for row, package in numbered for file in package.files)
            database.bulk_insert(connection, _PLAN, ("file_id", "package_id"), files)
            free = _free(connection)
            whole = [(row, package) for row, package in numbered if free[row["id"]] == len(package.files)]
            values = ([row[name] for name in _COLUMNS] for row, _ in whole)
            database.bulk_insert(connection, _PACKAGES, _COLUMNS, values)
            _fill(connection)
            _PLAN.drop(connection)
    return [package for _, package in whole]


def _lock(connection: sa.Connection, executions: set[UUID]) -> None:
    """Keep others from planning packages of the same executions; on SQLite there is one writer at a time."""
    if connection.dialect.name == "sqlite":
        return
    for some in listed(sorted(executions)):
        rows = sa.select(ExecutedObsUnit.id).where(ExecutedObsUnit.id.in_(some)).order_by(ExecutedObsUnit.id)
        connection.execute(rows.with_for_update(key_share=True)).all()


def _numbered(
    connection: sa.Connection, batch: Sequence[PlannedPackage], names: dict[int, tuple[str, str]]
) -> list[tuple[dict[str, Any], PlannedPackage]]:
    """The rows of the packages, each with the next number of its execution and module."""
    last: dict[tuple[UUID, int], int] = {}
    key = (RawDataPackage.executed_obs_unit_id, RawDataPackage.instrument_module_id)
    for some in listed(sorted({package.executed_obs_unit_id for package in batch})):
        used = sa.select(*key, sa.func.max(RawDataPackage.sequence)).where(key[0].in_(some)).group_by(*key)
        last |= {(row[0], row[1]): row[2] for row in connection.execute(used)}
    found = []
    for package in batch:
        group = package.executed_obs_unit_id, package.instrument_module_id
        last[group] = sequence = last.get(group, -1) + 1
        path = build_package_path(group[0], *names[group[1]], sequence)
        row = {
            "id": build_package_id(group[0], *names[group[1]], sequence),
            "executed_obs_unit_id": group[0],
            "instrument_module_id": group[1],
            "sequence": sequence,
            "name": path.rpartition("/")[2],
            "relative_path": path,
            "content_format": package.content_format,
            "state": PackageState.WAITING,
            "status": Status.PENDING,
        }
        found.append((row, package))
    return found


def _free(connection: sa.Connection) -> Counter[UUID]:
    """How many files of each package are in none now; on PostgreSQL they stay so until this transaction ends."""
    here = sa.select(_PLAN.c.package_id).join(_FILES, _FILES.c.id == _PLAN.c.file_id)
    free = here.where(_FILES.c.raw_data_package_id.is_(None)).order_by(_FILES.c.id)
    if connection.dialect.name == "postgresql":
        free = free.with_for_update(of=_FILES, key_share=True)
    return Counter(connection.scalars(free))


def _fill(connection: sa.Connection) -> None:
    """Put the files of the packages that were written into them."""
    connection.execute(
        sa.update(_FILES)
        .values(raw_data_package_id=_PLAN.c.package_id)
        .where(
            _FILES.c.id == _PLAN.c.file_id,
            _FILES.c.raw_data_package_id.is_(None),
            sa.exists().where(_PACKAGES.c.id == _PLAN.c.package_id, _PACKAGES.c.status == Status.PENDING),
        )
    )
