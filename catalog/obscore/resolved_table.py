"""What the tables of resolved rows have in common: how they are installed, indexed and kept in step."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import sqlalchemy as sa

from catalog.db.bulk import copy_columns, copy_rows
from catalog.db.listed import listed
from catalog.opsdb.models import PublicationSetting
from catalog.opsdb.models.declarative import OUR_SCHEMA
from catalog.vo.region import unit_box

__all__ = ["CAP_COLUMNS", "STATE_KEY", "VECTOR_COLUMNS", "ResolvedTable", "Row"]

VECTOR_COLUMNS = ("s_x", "s_y", "s_z")
"""The unit vector of a position."""

CAP_COLUMNS = ("s_cap_ra", "s_cap_dec", "s_cap_radius")
"""A circle that holds s_region, degrees: what the index of regions knows of them."""

STATE_KEY = "obscore_state"
"""The publication setting that says what all rows were last resolved with; where a table is new, there is none."""

_CAP = "scircle(spoint(radians(s_cap_ra), radians(s_cap_dec)), radians(least(s_cap_radius, 90)))"
_BOX = "(id, x_min, x_max, y_min, y_max, z_min, z_max)"

Row = tuple[object, ...]
_Key = TypeVar("_Key")


@dataclass(frozen=True, slots=True)
class ResolvedTable:
    """A table of ours in schema ``catalog``, whose rows have numbers, positions and regions.

    On PostgreSQL indexes of the table's own find positions and regions, on SQLite two R*Trees beside it do.
    """

    table: sa.Table
    key: str
    """Column that numbers the rows; ``id`` of the R*Trees."""

    positions: str
    """R*Tree of positions."""

    regions: str
    """R*Tree of regions: boxes around the circles that hold them."""

    layout_key: str
    """The publication setting that says which layout the table has."""

    @property
    def layout(self) -> str:
        """A digest of the table's layout: names, types, order and indexes of its columns."""
        columns = [f"{column.name} {column.type!r} {column.nullable}" for column in self.table.columns]
        indexes = sorted(f"{index.name} {index.unique}" for index in self.table.indexes)
        spatial = [*self._spatial_indexes("postgresql"), *self._spatial_indexes("sqlite")]
        return hashlib.sha256("\n".join([*columns, *indexes, *spatial]).encode()).hexdigest()

    def install(self, connection: sa.Connection) -> None:
        """Create the table and its indexes, or make them anew when the layout has changed; else do nothing.

        A new table is empty; that all rows were resolved is then no longer noted, so that a full refresh follows.
        """
        setting = PublicationSetting.key == self.layout_key
        stored = connection.scalar(sa.select(PublicationSetting.value).where(setting))
        if stored == self.layout and sa.inspect(connection).has_table(self.table.name, schema=_schema(connection)):
            return
        self.drop(connection)
        self.table.create(connection)
        for statement in self._spatial_indexes(connection.dialect.name):
            connection.execute(sa.text(statement))
        connection.execute(sa.insert(PublicationSetting).values(key=self.layout_key, value=self.layout))

    def drop(self, connection: sa.Connection) -> None:
        """Remove the table with its indexes; views that read it must be gone. Safe to repeat."""
        self.table.drop(connection, checkfirst=True)
        if connection.dialect.name == "sqlite":
            for index in (self.positions, self.regions):
                connection.execute(sa.text(f"DROP TABLE IF EXISTS {index}"))
        if sa.inspect(connection).has_table(PublicationSetting.__tablename__, schema=_schema(connection)):
            settings = (self.layout_key, STATE_KEY)
            connection.execute(sa.delete(PublicationSetting).where(PublicationSetting.key.in_(settings)))

    def update(
        self,
        connection: sa.Connection,
        names: Sequence[str],
        stored: Mapping[_Key, tuple[int, Row]],
        fresh: Mapping[_Key, Row],
        *,
        stamp: Row = (),
    ) -> tuple[dict[_Key, Row], list[Row]]:
        """Make some stored rows the fresh ones; only what differs is written.

        Args:
            connection: In a transaction that writes.
            names: Columns of the rows without their number, then those of the stamp.
            stored: Number and row of each that there is.
            fresh: What there shall be.
            stamp: Further values of each row that is written; they do not count as a difference.

        Returns:
            The rows that are new or changed, and those that were changed or are gone.
        """
        changed = {key: row for key, row in fresh.items() if key not in stored or stored[key][1] != row}
        stale = [found for key, found in stored.items() if key in changed or key not in fresh]
        keys = self.next_keys(connection, [stored[key][0] if key in stored else None for key in changed])
        self.delete(connection, [key for key, _ in stale])
        rows = [(key, *row, *stamp) for key, row in zip(keys, changed.values(), strict=True)]
        self.insert(connection, (self.key, *names), rows)
        return changed, [row for _, row in stale]

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
        for some in listed(keys):
            connection.execute(sa.delete(self.table).where(self.table.c[self.key].in_(some)))
            if connection.dialect.name == "sqlite":
                for index in (_rtree(self.positions), _rtree(self.regions)):
                    connection.execute(sa.delete(index).where(index.c.id.in_(some)))

    def insert(self, connection: sa.Connection, names: Sequence[str], rows: Sequence[Row]) -> None:
        """Write rows.

        Args:
            connection: In a transaction that writes.
            names: Columns of the rows; the key comes first.
            rows: Their values.
        """
        if not rows:
            return
        copy_columns(connection, self.table, dict(zip(names, zip(*rows, strict=True), strict=True)))
        if connection.dialect.name == "sqlite":
            for name, columns, build in (
                (self.positions, VECTOR_COLUMNS, _point_box),
                (self.regions, CAP_COLUMNS, unit_box),
            ):
                self._index(connection, _rtree(name), names.index(columns[0]), build, rows)

    @staticmethod
    def _index(
        connection: sa.Connection,
        index: sa.Table,
        first: int,
        build: Callable[[float, float, float], tuple[float, ...]],
        rows: Sequence[Row],
    ) -> None:
        boxes = ((row[0], *build(*map(_number, row[first : first + 3]))) for row in rows if row[first] is not None)
        copy_rows(connection, index, [column.name for column in index.c], boxes, schemas={})

    def _spatial_indexes(self, dialect: str) -> tuple[str, ...]:
        """DDL of the spatial indexes; pgSphere's circles reach 90 degrees: wider ones have an index of their own."""
        if dialect == "sqlite":
            return tuple(f"CREATE VIRTUAL TABLE {name} USING rtree{_BOX}" for name in (self.positions, self.regions))
        name = self.table.name
        point = "spoint(radians(s_ra), radians(s_dec))"
        return (
            f"CREATE INDEX ix_{name}_position ON catalog.{name} USING gist ({point})",
            f"CREATE INDEX ix_{name}_region ON catalog.{name} USING gist ({_CAP})",
            f"CREATE INDEX ix_{name}_region_radius ON catalog.{name} (s_cap_radius)",
        )


def _schema(connection: sa.Connection) -> str | None:
    return OUR_SCHEMA if connection.dialect.name == "postgresql" else None


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
