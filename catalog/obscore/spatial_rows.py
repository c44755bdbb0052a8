"""Write and remove rows of a resolved table, and of the R*Trees that find them on SQLite."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from catalog.db.bulk import copy_rows
from catalog.obscore.package_obscore import CAP_COLUMNS, VECTOR_COLUMNS
from catalog.vo.region import unit_box

__all__ = ["SpatialTable"]

_LISTED = 2_000  # keys named one by one in a statement


@dataclass(frozen=True, slots=True)
class SpatialTable:
    """A table whose rows have numbers, positions and regions.

    On PostgreSQL indexes of the table's own find positions and regions, on SQLite two R*Trees beside it do.
    """

    table: sa.Table
    key: str
    """Column that numbers the rows; ``id`` of the R*Trees."""

    positions: str
    """R*Tree of positions."""

    regions: str
    """R*Tree of regions: boxes around the circles that hold them."""

    def next_keys(self, connection: sa.Connection, stored: Sequence[int | None]) -> list[int]:
        """A key for each row: the one that it had, else the next."""
        last = connection.scalar(sa.select(sa.func.max(self.table.c[self.key]))) or 0
        keys = []
        for key in stored:
            if key is None:
                last += 1
            keys.append(last if key is None else key)
        return keys

    def delete(self, connection: sa.Connection, keys: Sequence[int]) -> None:
        """Remove rows by their keys."""
        for start in range(0, len(keys), _LISTED):
            some = keys[start : start + _LISTED]
            connection.execute(sa.delete(self.table).where(self.table.c[self.key].in_(some)))
            if connection.dialect.name == "sqlite":
                for index in (_rtree(self.positions), _rtree(self.regions)):
                    connection.execute(sa.delete(index).where(index.c.id.in_(some)))

    def insert(self, connection: sa.Connection, names: Sequence[str], rows: Sequence[tuple[object, ...]]) -> None:
        """Write rows.

        Args:
            connection: In a transaction that writes.
            names: Columns of the rows; the key comes first.
            rows: Their values.
        """
        if not rows:
            return
        schemas = connection.get_execution_options().get("schema_translate_map") or {}
        copy_rows(connection, self.table, names, rows, schemas=schemas)
        if connection.dialect.name == "sqlite":
            for name, columns, build in (
                (self.positions, VECTOR_COLUMNS, _point_box),
                (self.regions, CAP_COLUMNS, unit_box),
            ):
                self._index(connection, _rtree(name), names.index(columns[0]), build, rows, schemas)

    @staticmethod
    def _index(
        connection: sa.Connection,
        index: sa.Table,
        first: int,
        build: Callable[[float, float, float], tuple[float, ...]],
        rows: Sequence[tuple[object, ...]],
        schemas: dict[str | None, str | None],
    ) -> None:
        boxes = ((row[0], *build(*map(_number, row[first : first + 3]))) for row in rows if row[first] is not None)
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
