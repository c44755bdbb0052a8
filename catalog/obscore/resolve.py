"""Resolve packages: read the core tables, derive what a row of ObsCore needs, keep ``catalog.package_obscore`` in step.

Only rows that differ are written. One resolver works at a time, in the transaction of whoever calls: on PostgreSQL an
advisory lock sees to that, on SQLite there is one writer anyway. So a row always says what is committed with it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import UUID

import numpy as np
import sqlalchemy as sa

from catalog.db.keys import is_one_of
from catalog.db.listed import listed
from catalog.db.parts import ranges, within
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
from catalog.obscore.obsplan import PLAN_REVISION, obsplan_rows
from catalog.obscore.package_obscore import package_obscore, package_rows
from catalog.obscore.plan import resolve_executions, resolve_plan
from catalog.obscore.resolved_table import CAP_COLUMNS, STATE_KEY, VECTOR_COLUMNS, Row
from catalog.opsdb.models import PackagePublication, PublicationSetting
from catalog.opsdb.publication import Publication, read_publication
from catalog.vo.ivoid import build_publisher_did

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
    "resolve_packages",
    "stored_rows",
]

BATCH_PACKAGES = 10_000
"""Packages worked on at once: the memory that resolving takes does not depend on how many there are."""

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
    if package_ids is not None:
        for condition in listed_packages(package_ids):
            total += resolve_batch(connection, condition)
        return total
    for condition in every_package(connection):
        total += resolve_packages(connection, condition)[0]
    resolve_plan(connection)
    mark_up_to_date(connection)
    return total


def resolve_batch(connection: sa.Connection, condition: Condition) -> ResolveSummary:
    """Bring the rows of the packages meant by a condition up to date, and with them those of their observations."""
    summary, executions = resolve_packages(connection, condition)
    resolve_executions(connection, executions)
    return summary


def resolve_packages(connection: sa.Connection, condition: Condition) -> tuple[ResolveSummary, set[UUID]]:
    """Bring the rows of the packages alone up to date.

    Returns:
        What was done, and the executions whose packages have changed.
    """
    lock_resolver(connection)
    publication = read_publication(connection)
    _identify(connection, publication, condition)
    fresh = {row[0]: row for row in fresh_rows(connection, publication, condition)}
    stored = stored_rows(connection, condition)
    names = (*column_names(), "resolved_at")
    changed, before = package_rows().update(connection, names, stored, fresh, stamp=(datetime.now(UTC),))
    resolved = connection.scalar(sa.select(sa.func.count()).select_from(PACKAGE).where(condition(PACKAGE.c.id)))
    place = column_names().index("obs_id")
    executions = {UUID(text) for text in {str(row[place]) for row in (*changed.values(), *before)}}
    return ResolveSummary(resolved or 0, len(changed), len(stored.keys() - fresh.keys())), executions


def is_up_to_date(connection: sa.Connection) -> bool:
    """Whether every package has been looked at since mapping, layout or publisher last changed."""
    query = sa.select(PublicationSetting.value).where(PublicationSetting.key == STATE_KEY)
    return connection.scalar(query) == _state(connection)


def mark_up_to_date(connection: sa.Connection) -> None:
    """Note that every package has been looked at."""
    connection.execute(sa.delete(PublicationSetting).where(PublicationSetting.key == STATE_KEY))
    connection.execute(sa.insert(PublicationSetting).values(key=STATE_KEY, value=_state(connection)))


def _state(connection: sa.Connection) -> str:
    digests = mapping_digest(), package_rows().layout, obsplan_rows().layout, PLAN_REVISION
    parts = *digests, read_publication(connection).publisher_id
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def lock_resolver(connection: sa.Connection) -> None:
    """Wait until no other transaction resolves; the lock is held until this one ends."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))


def column_names() -> tuple[str, ...]:
    """Columns of a row as `fresh_rows` yields it."""
    published = tuple(rule.column for rule in MAPPING if rule.column in package_obscore().c)
    return (*_KEY_COLUMNS, *published, "declared_rights", *VECTOR_COLUMNS, *CAP_COLUMNS)


def fresh_rows(connection: sa.Connection, publication: Publication, condition: Condition) -> list[Row]:
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
    for low, high in ranges(connection, PACKAGE.c.id, size):
        yield partial(within, low=low, high=high)


def listed_packages(package_ids: Iterable[UUID]) -> Iterator[Condition]:
    """Conditions that together mean the packages of a list."""
    for ids in listed(package_ids, BATCH_PACKAGES):
        yield partial(is_one_of, keys=ids)


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


def stored_rows(connection: sa.Connection, condition: Condition) -> dict[object, tuple[int, Row]]:
    """Key and row of each package that has one."""
    table = package_obscore()
    query = sa.select(table.c.obscore_key, *(table.c[name] for name in column_names()))
    rows = connection.execute(query.where(condition(table.c.raw_data_package_id)))
    return {row[1]: (row[0], tuple(row[1:])) for row in rows}
