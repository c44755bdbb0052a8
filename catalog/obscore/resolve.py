"""Resolve packages: read the core tables, derive what a row of ObsCore needs, keep ``catalog.package_obscore`` in step.

Only rows that differ are written. One resolver works at a time, in the transaction of whoever calls: on PostgreSQL an
advisory lock sees to that, on SQLite there is one writer anyway. So a row always says what is committed with it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any
from uuid import UUID

import numpy as np
import sqlalchemy as sa

from catalog.db.bulk import copy_rows
from catalog.obscore.batch import Batch
from catalog.obscore.inputs import (
    METADATA,
    OBS_UNIT,
    PACKAGE,
    PUBLICATION,
    Condition,
    file_columns,
    is_complete,
    join_core_tables,
)
from catalog.obscore.mapping import DERIVATIONS, INPUTS, MAPPING, mapping_digest
from catalog.obscore.package_obscore import (
    CAP_COLUMNS,
    POSITION_INDEX,
    REGION_INDEX,
    STATE_KEY,
    VECTOR_COLUMNS,
    layout_digest,
    package_obscore,
)
from catalog.opsdb.models import PackagePublication, PublicationSetting
from catalog.opsdb.publication import Publication, read_publication
from catalog.vo.ivoid import build_publisher_did
from catalog.vo.region import unit_box

__all__ = [
    "BATCH_PACKAGES",
    "ResolveSummary",
    "column_names",
    "complete_without_identifier",
    "core_select",
    "every_package",
    "fresh_rows",
    "is_up_to_date",
    "listed_packages",
    "lock_resolver",
    "mark_up_to_date",
    "resolve",
    "resolve_batch",
    "stored_rows",
]

BATCH_PACKAGES = 10_000
"""Packages worked on at once: the memory that resolving takes does not depend on how many there are."""

_LISTED = 2_000  # ids named one by one in a statement
_LOCK = 0x0B5C04E  # any constant of our own
_NO_PACKAGE = UUID(int=0)
_KEY_COLUMNS = ("raw_data_package_id", "observing_program_id")


@dataclass(frozen=True, slots=True)
class ResolveSummary:
    """What resolving did."""

    resolved: int = 0
    """Packages looked at, published or not."""

    written: int = 0
    """Rows that are new or changed."""

    removed: int = 0
    """Rows of packages that are no longer published."""

    def __add__(self, other: ResolveSummary) -> ResolveSummary:
        return ResolveSummary(
            self.resolved + other.resolved, self.written + other.written, self.removed + other.removed
        )


def resolve(connection: sa.Connection, package_ids: Iterable[UUID] | None) -> ResolveSummary:
    """Bring the rows of packages up to date, in the caller's transaction.

    Packages that are complete for the first time get their obs_publisher_did; those that are withdrawn or unknown
    lose their row.

    Args:
        connection: From ``Database.begin()`` or ``session.connection()``; changes of the session must be flushed.
        package_ids: Which packages; None for all.
    """
    total = ResolveSummary()
    conditions = every_package(connection) if package_ids is None else listed_packages(package_ids)
    for condition in conditions:
        total += resolve_batch(connection, condition)
    if package_ids is None:
        mark_up_to_date(connection)
    return total


def resolve_batch(connection: sa.Connection, condition: Condition) -> ResolveSummary:
    """Bring the rows of the packages meant by a condition up to date; see `resolve`."""
    lock_resolver(connection)
    publication = read_publication(connection)
    _identify(connection, publication, condition)
    fresh = fresh_rows(connection, publication, condition)
    stored = stored_rows(connection, condition)
    changed = {row[0]: row for row in fresh if row[0] not in stored or stored[row[0]][1] != row}
    gone = stored.keys() - {row[0] for row in fresh}
    stale = [stored[package_id][0] for package_id in (*changed, *gone) if package_id in stored]
    keys = _keys(connection, [stored[package_id][0] if package_id in stored else None for package_id in changed])
    _delete(connection, stale)
    _insert(connection, keys, list(changed.values()))
    resolved = connection.scalar(sa.select(sa.func.count()).select_from(PACKAGE).where(condition(PACKAGE.c.id)))
    return ResolveSummary(resolved or 0, len(changed), len(gone))


def is_up_to_date(connection: sa.Connection) -> bool:
    """Whether every package has been looked at since mapping, layout or publisher last changed."""
    query = sa.select(PublicationSetting.value).where(PublicationSetting.key == STATE_KEY)
    return connection.scalar(query) == _state(connection)


def mark_up_to_date(connection: sa.Connection) -> None:
    """Note that every package has been looked at."""
    connection.execute(sa.delete(PublicationSetting).where(PublicationSetting.key == STATE_KEY))
    connection.execute(sa.insert(PublicationSetting).values(key=STATE_KEY, value=_state(connection)))


def _state(connection: sa.Connection) -> str:
    parts = mapping_digest(), layout_digest(), read_publication(connection).publisher_id
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def lock_resolver(connection: sa.Connection) -> None:
    """Wait until no other transaction resolves; the lock is held until this one ends."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))


def column_names() -> tuple[str, ...]:
    """Columns of a row as `fresh_rows` yields it."""
    published = tuple(rule.column for rule in MAPPING if rule.column in package_obscore().c)
    return (*_KEY_COLUMNS, *published, "declared_rights", *VECTOR_COLUMNS, *CAP_COLUMNS)


def fresh_rows(connection: sa.Connection, publication: Publication, condition: Condition) -> list[tuple[object, ...]]:
    """Rows as the core tables say them now, in the order of `column_names`.

    A number that is not finite is not known: whatever one package states, the others are resolved.
    """
    rows = connection.execute(core_select(condition), {"publisher_id": publication.publisher_id})
    batch = Batch(list(rows.keys()), rows.all())
    with np.errstate(all="ignore"):
        for derive in DERIVATIONS:
            batch.add(derive(batch))
    columns = package_obscore().c
    cells = [batch.cells(name, numbers=isinstance(columns[name].type, sa.Double)) for name in column_names()]
    return list(zip(*cells, strict=True))


def core_select(condition: Condition) -> sa.Select[Any]:
    """Everything that is read of the packages meant, by the name under which derivations know it."""
    expressions = {rule.column: rule.expression for rule in MAPPING if rule.expression is not None}
    columns = {
        "raw_data_package_id": PACKAGE.c.id,
        "observing_program_id": OBS_UNIT.c.observing_program_id,
        "declared_rights": sa.type_coerce(METADATA.c.data_rights, sa.Text()),
        **expressions,
        **INPUTS,
    }
    files = file_columns(condition)
    columns |= {
        "files_first": files.c.first,
        "files_last": files.c.last,
        "files_exptime_s": files.c.exptime_s,
        "files_without_exptime": files.c.without_exptime,
    }
    return (
        sa.select(*(column.label(name) for name, column in columns.items()))
        .select_from(join_core_tables(files))
        .where(condition(PACKAGE.c.id), is_complete(), PUBLICATION.c.withdrawn_at.is_(None))
    )


def every_package(connection: sa.Connection, size: int = BATCH_PACKAGES) -> Iterator[Condition]:
    """Conditions that together mean every package that is or has been, each about ``size`` of them."""
    last: UUID | None = None
    while True:
        query = sa.select(PACKAGE.c.id).order_by(PACKAGE.c.id).offset(size - 1).limit(1)
        upper = connection.scalar(query if last is None else query.where(PACKAGE.c.id > last))
        yield _between(last, upper)
        if upper is None:
            return
        last = upper


def listed_packages(package_ids: Iterable[UUID]) -> Iterator[Condition]:
    """Conditions that together mean the packages of a list."""
    ids = iter(package_ids)
    while some := list(islice(ids, _LISTED)):
        yield _among(some)


def _between(low: UUID | None, high: UUID | None) -> Condition:
    def condition(column: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
        bounds = [] if low is None else [column > low]
        bounds += [] if high is None else [column <= high]
        return sa.and_(sa.true(), *bounds)

    return condition


def _among(ids: Sequence[UUID]) -> Condition:
    return lambda column: column.in_(ids)


def _identify(connection: sa.Connection, publication: Publication, condition: Condition) -> None:
    """Give each complete package that lacks one its obs_publisher_did."""
    prefix = build_publisher_did(publication.authority, publication.path, _NO_PACKAGE).removesuffix(str(_NO_PACKAGE))
    did = sa.literal(prefix) + sa.cast(PACKAGE.c.id, sa.Text())
    fresh = complete_without_identifier(condition).add_columns(did)
    connection.execute(sa.insert(PackagePublication).from_select(["raw_data_package_id", "obs_publisher_did"], fresh))


def complete_without_identifier(condition: Condition) -> sa.Select[Any]:
    """Packages that are complete and not yet published or withdrawn."""
    known = sa.select(PUBLICATION.c.raw_data_package_id).where(PUBLICATION.c.raw_data_package_id == PACKAGE.c.id)
    return sa.select(PACKAGE.c.id).where(condition(PACKAGE.c.id), is_complete(), ~known.exists())


def stored_rows(connection: sa.Connection, condition: Condition) -> dict[object, tuple[int, tuple[object, ...]]]:
    """Key and row of each package that has one."""
    table = package_obscore()
    query = sa.select(table.c.obscore_key, *(table.c[name] for name in column_names()))
    rows = connection.execute(query.where(condition(table.c.raw_data_package_id)))
    return {row[1]: (row[0], tuple(row[1:])) for row in rows}


def _keys(connection: sa.Connection, stored: Sequence[int | None]) -> list[int]:
    """A key for each row: the one that it had, else the next."""
    last = connection.scalar(sa.select(sa.func.max(package_obscore().c.obscore_key))) or 0
    keys = []
    for key in stored:
        if key is None:
            last += 1
        keys.append(last if key is None else key)
    return keys


def _delete(connection: sa.Connection, keys: Sequence[int]) -> None:
    table = package_obscore()
    for start in range(0, len(keys), _LISTED):
        some = keys[start : start + _LISTED]
        connection.execute(sa.delete(table).where(table.c.obscore_key.in_(some)))
        if connection.dialect.name == "sqlite":
            for index in (_rtree(POSITION_INDEX), _rtree(REGION_INDEX)):
                connection.execute(sa.delete(index).where(index.c.id.in_(some)))


def _insert(connection: sa.Connection, keys: Sequence[int], rows: Sequence[tuple[object, ...]]) -> None:
    if not rows:
        return
    now = datetime.now(UTC)
    schemas = connection.get_execution_options().get("schema_translate_map") or {}
    names = ("obscore_key", *column_names(), "resolved_at")
    complete = ((key, *row, now) for key, row in zip(keys, rows, strict=True))
    copy_rows(connection, package_obscore(), names, complete, schemas=schemas)
    if connection.dialect.name == "sqlite":
        for name, columns, build in (
            (POSITION_INDEX, VECTOR_COLUMNS, _point_box),
            (REGION_INDEX, CAP_COLUMNS, unit_box),
        ):
            first = column_names().index(columns[0])
            boxes = (
                (key, *build(*map(_number, row[first : first + 3])))
                for key, row in zip(keys, rows, strict=True)
                if row[first] is not None
            )
            index = _rtree(name)
            copy_rows(connection, index, [column.name for column in index.c], boxes, schemas=schemas)


def _point_box(x: float, y: float, z: float) -> tuple[float, ...]:
    return x, x, y, y, z, z


def _number(cell: object) -> float:
    assert isinstance(cell, float)  # noqa: S101  (columns of doubles)
    return cell


def _rtree(name: str) -> sa.Table:
    """An R*Tree of SQLite as a table."""
    bounds = [f"{axis}_{side}" for axis in "xyz" for side in ("min", "max")]
    return sa.Table(
        name,
        sa.MetaData(),
        sa.Column("id", sa.Integer, primary_key=True),
        *(sa.Column(bound, sa.Double) for bound in bounds),
    )
