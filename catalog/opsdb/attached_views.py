"""One view over an attached table: their names, spellings and types become ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import sqlalchemy as sa
from sqlalchemy.orm import Mapper

from catalog.errors import SettingsError
from catalog.opsdb.attached_tables import TheirColumn, TheirTable
from catalog.opsdb.attached_values import absent, conversion, respelled, type_name
from catalog.opsdb.models import OpsBase
from catalog.opsdb.triggers.dialect import quoted
from catalog.settings import AttachedSettings

__all__ = ["AttachedView", "ClosedList", "build_views"]

_REQUIRED_TABLES = {
    "executed_obs_unit",
    "instrument",
    "instrument_module",
    "obs_unit",
    "observing_program",
    "raw_data_package",
}
_REQUIRED_COLUMNS = {
    "fixed_source": {"ra_deg", "dec_deg"},
    "instrument": {"name"},
    "instrument_module": {"name"},
    "observing_program": {"short_name"},
    "physical_copy": {"raw_data_package_id", "status"},
    "raw_data_file": {"raw_data_package_id"},
    "raw_data_package": {"size_bytes", "checksum"},
    "site": {"key"},
    "solar_system_object": {"body"},
    "source": {"name"},
}
"""Beside keys, foreign keys that we never leave empty, and the columns that tell subclasses apart."""


@dataclass(frozen=True, slots=True)
class ClosedList:
    """A column whose values must be in a list of ours."""

    column: str
    """Ours, with its table."""

    values: tuple[str, ...]


@dataclass(slots=True)
class AttachedView:
    """A view of ours over a table of theirs."""

    name: str
    select: str
    is_empty: bool = False
    """They have no such table."""

    missing: list[str] = field(default_factory=list)
    """Our columns for which they have nothing, and the settings do not say so."""

    closed: list[ClosedList] = field(default_factory=list)


def build_views(theirs: Mapping[str, TheirTable], settings: AttachedSettings) -> list[AttachedView]:
    """A view for every operations table.

    Raises:
        SettingsError: A table or column that we need is missing or of another kind, this login may not read it, or
            the settings name what does not exist; the message says which.
    """
    _check_settings(settings)
    return [_Builder(table, theirs, settings).build() for table in OpsBase.metadata.sorted_tables]


def _check_settings(settings: AttachedSettings) -> None:
    known = {table.name: table for table in OpsBase.metadata.sorted_tables}
    for name in (*settings.tables, *settings.columns):
        if name not in known:
            raise SettingsError(f"the settings under 'attached' name the table {name}, which is none of ours")
    for name, columns in settings.columns.items():
        for column in columns:
            if column not in known[name].columns:
                raise SettingsError(f"attached.columns.{name} names the column {column}, which our {name} lacks")
    for place in settings.enums:
        table, _, column = place.partition(".")
        if table not in known or column not in known[table].columns:
            raise SettingsError(f"attached.enums names {place}; expected one of our tables, a dot, and its column")


class _Builder:
    """Builds the view of one table."""

    def __init__(self, table: sa.Table, theirs: Mapping[str, TheirTable], settings: AttachedSettings) -> None:
        self._table = table
        self._theirs = theirs
        self._settings = settings
        self._mapper = _mapper_of(table)
        self._view = AttachedView(table.name, "")
        self._joins: dict[str, str] = {}

    def build(self) -> AttachedView:
        source = self._source()
        if source is None:
            nothing = ", ".join(f'NULL::{type_name(c)} AS "{c.name}"' for c in self._table.columns)
            self._view.select = f"SELECT {nothing} WHERE false"
            self._view.is_empty = True
            return self._view
        columns = ", ".join(f'{self._column(column, source)} AS "{column.name}"' for column in self._table.columns)
        joins = "".join(f" LEFT JOIN {join}" for join in self._joins.values())
        self._view.select = f"SELECT {columns} FROM {self._place(source.name)} t{joins}{self._only_this_kind(source)}"
        return self._view

    def _source(self) -> TheirTable | None:
        """Their table for ours."""
        ours = self._table.name
        stated = self._settings.tables.get(ours)
        name = f"{self._settings.table_prefix}{ours}" if stated is None else stated
        found = self._theirs.get(name)
        if found is None and (stated or ours in _REQUIRED_TABLES):
            what = f"the table {name}" if name else "any table"
            raise SettingsError(
                f"the schema {self._settings.schema_name} lacks {what} for our {ours}",
                hint=f"Name their table in attached.tables.{ours}.",
            )
        if found is not None and not found.readable:
            raise SettingsError(
                f"this login may not read {self._settings.schema_name}.{found.name}",
                hint=f"Their owner must GRANT SELECT ON {self._settings.schema_name}.{found.name} to it.",
            )
        return found

    def _column(self, column: sa.Column[object], source: TheirTable) -> str:
        """The expression for one column of ours."""
        stated = self._settings.columns.get(self._table.name, {}).get(column.name)
        found = self._find(column, source, stated)
        if found is None:
            if self._is_required(column):
                raise SettingsError(
                    f"{self._settings.schema_name}.{source.name} has nothing for {column.name} of our "
                    f"{self._table.name}, which we cannot do without",
                    hint=f"Name their column in attached.columns.{self._table.name}.",
                )
            if stated is None:
                self._view.missing.append(column.name)
            return absent(column)
        alias, theirs = found
        pattern = conversion(column, theirs)
        if pattern is None:
            raise SettingsError(
                f"{self._settings.schema_name}.{source.name}.{theirs.name} is of type {theirs.kind}, which cannot "
                f"become {type_name(column)} for {column.name} of our {self._table.name}"
            )
        return self._spelled(column, pattern.format(f'{alias}."{theirs.name}"'))

    def _find(
        self, column: sa.Column[object], source: TheirTable, stated: str | None
    ) -> tuple[str, TheirColumn] | None:
        """Alias and column of theirs: in the table itself or, as ``table.column``, in one that is joined by its key."""
        if stated == "":
            return None
        table, dot, name = (stated or column.name).rpartition(".")
        if not dot:
            found = source.columns.get(name)
            if found is not None:
                return "t", found
            if stated is None:
                return self._find_in_subclass(column, source)
        else:
            other = self._theirs.get(table)
            if other is not None and name in other.columns:
                return self._join(other, source), other.columns[name]
        raise SettingsError(
            f"attached.columns.{self._table.name}.{column.name} names {stated}, which the schema "
            f"{self._settings.schema_name} lacks"
        )

    def _find_in_subclass(self, column: sa.Column[object], source: TheirTable) -> tuple[str, TheirColumn] | None:
        """Their subclass of copies, where ours lie in one table and theirs in several."""
        if self._table.name != "physical_copy" or not column.name.endswith("_id"):
            return None
        subclass = f"{self._settings.table_prefix}{column.name.removesuffix('_id')}_physical_copy"
        other = self._theirs.get(subclass)
        if other is None or column.name not in other.columns:
            return None
        return self._join(other, source), other.columns[column.name]

    def _join(self, other: TheirTable, source: TheirTable) -> str:
        alias = f"j_{other.name}"
        stated = self._settings.columns.get(self._table.name, {}).get("id", "id")
        key = other.primary_key or stated
        if key not in other.columns or stated not in source.columns:
            raise SettingsError(
                f"{self._settings.schema_name}.{other.name} has no single key by which it could be joined to "
                f"{source.name}"
            )
        self._joins[alias] = f'{self._place(other.name)} "{alias}" ON "{alias}"."{key}" = t."{stated}"'
        return f'"{alias}"'

    def _is_required(self, column: sa.Column[object]) -> bool:
        if column.primary_key or column.name in _REQUIRED_COLUMNS.get(self._table.name, ()):
            return True
        if column.foreign_keys and not column.nullable:
            return True
        return self._mapper is not None and column is self._mapper.polymorphic_on

    def _spelled(self, column: sa.Column[object], expression: str) -> str:
        """A value of a closed list in our spelling; SQLAlchemy's own spelling, the members' names, needs no map."""
        stated = self._settings.enums.get(f"{self._table.name}.{column.name}", {})
        other = None
        if self._mapper is not None and column is self._mapper.polymorphic_on:
            words, other = self._kinds()
        elif isinstance(column.type, sa.Enum):
            members = column.type.enum_class or ()
            words = {member.name: member.value for member in members} | {m.value: m.value for m in members}
        else:
            return expression
        if other is None:
            self._view.closed.append(
                ClosedList(f"{self._table.name}.{column.name}", tuple(sorted(set(words.values()))))
            )
        return respelled(expression, words | dict(stated), other=other)

    def _kinds(self) -> tuple[dict[str, str], str | None]:
        """The words that tell subclasses apart, and the one for those that we or they have no table for."""
        assert self._mapper is not None  # noqa: S101  (asked by the caller)
        base = self._mapper.polymorphic_identity
        words: dict[str, str] = {}
        for identity, mapper in self._mapper.polymorphic_map.items():
            lacking = base is not None and self._their_name(mapper.local_table) not in self._theirs
            words[str(identity)] = str(base if lacking else identity)
            words[getattr(identity, "name", str(identity))] = words[str(identity)]
        return words, None if base is None else str(base)

    def _their_name(self, table: sa.FromClause) -> str:
        assert isinstance(table, sa.Table)  # noqa: S101  (every model is mapped to one)
        return self._settings.tables.get(table.name, f"{self._settings.table_prefix}{table.name}")

    def _only_this_kind(self, source: TheirTable) -> str:
        """A condition where a subclass shares the parent's table with others."""
        if self._mapper is None or self._mapper.inherits is None:
            return ""
        parent = self._mapper.inherits.local_table
        kind = self._mapper.polymorphic_on
        assert isinstance(parent, sa.Table)  # noqa: S101  (every model is mapped to one)
        assert isinstance(kind, sa.Column)  # noqa: S101  (every family has such a column)
        if self._their_name(parent) != source.name:
            return ""
        theirs = self._settings.columns.get(parent.name, {}).get(kind.name, kind.name)
        if theirs not in source.columns:
            raise SettingsError(
                f"{self._settings.schema_name}.{source.name} has nothing for {kind.name} of our {parent.name}"
            )
        identity = self._mapper.polymorphic_identity
        stated = self._settings.enums.get(f"{parent.name}.{kind.name}", {})
        spellings = {word for word, ours in stated.items() if ours == identity}
        spellings |= {str(identity), getattr(identity, "name", str(identity))}
        return f' WHERE t."{theirs}"::text IN ({", ".join(quoted(word) for word in sorted(spellings))})'

    def _place(self, name: str) -> str:
        return f'"{self._settings.schema_name}"."{name}"'


def _mapper_of(table: sa.Table) -> Mapper[object] | None:
    """The mapper of the class to which the table belongs, when the class has subclasses or is one."""
    for mapper in OpsBase.registry.mappers:
        if mapper.local_table is table and mapper.polymorphic_on is not None:
            base: Mapper[object] = mapper
            while base.inherits is not None and base.inherits.local_table is table:
                base = base.inherits
            return base
    return None
