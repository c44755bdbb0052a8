"""Compare the stored rows with what the core tables say now: the judge of freshness."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

import sqlalchemy as sa

from catalog.obscore.resolve import (
    column_names,
    complete_without_identifier,
    every_package,
    fresh_rows,
    stored_rows,
)
from catalog.opsdb.publication import read_publication

__all__ = ["Difference", "compare_with_fresh"]


@dataclass(frozen=True, slots=True)
class Difference:
    """A stored value that is not what a fresh resolution gives."""

    raw_data_package_id: UUID
    column: str
    """Name of the column; ``*`` when the whole row is missing or too many."""

    stored: object
    fresh: object


def compare_with_fresh(connection: sa.Connection) -> Iterator[Difference]:
    """Every difference between ``catalog.package_obscore`` and a fresh full resolution; none when all is up to date.

    Nothing is written.
    """
    publication = read_publication(connection)
    names = column_names()
    for condition in every_package(connection):
        nameless = connection.scalars(complete_without_identifier(condition))
        yield from (Difference(package_id, "*", False, True) for package_id in nameless)
        stored = {package_id: row for package_id, (_, row) in stored_rows(connection, condition).items()}
        fresh = {row[0]: row for row in fresh_rows(connection, publication, condition)}
        for package_id in sorted(stored.keys() | fresh.keys(), key=str):
            assert isinstance(package_id, UUID)  # noqa: S101  (first column of both)
            if package_id not in stored or package_id not in fresh:
                yield Difference(package_id, "*", package_id in stored, package_id in fresh)
                continue
            pairs = zip(names, stored[package_id], fresh[package_id], strict=True)
            yield from (Difference(package_id, name, old, new) for name, old, new in pairs if old != new)
