"""Load the column descriptions of ``vo_resources/tables``: the one place where they are stated.

Unknown keys, duplicate names, bad units and UCDs are errors that name the file, the table and the column.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from catalog.assets import asset_path, read_asset
from catalog.errors import InternalError
from catalog.vo.table import Column, ForeignKey, Table
from catalog.vo.types import Datatype

__all__ = ["TableSchema", "load_tableset", "parse_tableset"]

_LOADER: type = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # written in C where the installation has it


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Column(_Strict):
    name: str
    datatype: str
    arraysize: str | None = None
    unit: str | None = None
    ucd: str | None = None
    utype: str | None = None
    xtype: str | None = None
    ref: Literal["icrs", "utc", "utc_mjd"] | None = None
    principal: bool = False
    indexed: bool = False
    std: bool = False
    description: str

    @field_validator("datatype")
    @classmethod
    def _known(cls, value: str) -> str:
        Datatype.from_votable(value)
        return value

    def build(self) -> Column:
        return Column(**{**self.model_dump(), "datatype": Datatype.from_votable(self.datatype)})


class _ForeignKey(_Strict):
    target_table: str
    columns: tuple[tuple[str, str], ...]
    description: str | None = None
    utype: str | None = None


class _Position(_Strict):
    ra: str
    dec: str
    key: str
    rtree: str
    vector: tuple[str, str, str]


class _Region(_Strict):
    column: str
    key: str
    rtree: str
    cap: tuple[str, str, str]


class _Table(_Strict):
    name: str
    title: str
    description: str
    utype: str | None = None
    table_type: Literal["table", "view"] = "table"
    protected: bool = False
    position: _Position | None = None
    region: _Region | None = None
    foreign_keys: tuple[_ForeignKey, ...] = ()
    columns: tuple[_Column, ...]

    @field_validator("columns")
    @classmethod
    def _unique(cls, value: tuple[_Column, ...]) -> tuple[_Column, ...]:
        names = [column.name.lower() for column in value]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"column {twice[0]} is described twice")
        return value

    def build(self, guards: tuple[str, ...]) -> Table:
        indexes = {"position": self.position, "region": self.region}
        extra: dict[str, Any] = {name: index.model_dump() for name, index in indexes.items() if index is not None}
        if self.protected:
            extra["hidden"] = guards
        return Table(
            name=self.name,
            title=self.title,
            description=self.description,
            utype=self.utype,
            table_type=self.table_type,
            protected=self.protected,
            columns=tuple(column.build() for column in self.columns),
            foreign_keys=tuple(ForeignKey(**key.model_dump()) for key in self.foreign_keys),
            extra=extra,
        )


class _Schema(_Strict):
    schema_name: str
    title: str = ""
    description: str = ""
    guards: tuple[str, ...] = ()
    """Columns of protected tables that the access rule reads, published or not."""

    tables: tuple[_Table, ...]


class TableSchema(BaseModel):
    """A schema with its tables, as TAP_SCHEMA.schemas and VOSI tables show it."""

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    name: str
    title: str
    description: str
    tables: tuple[Table, ...]


def parse_tableset(text: str, origin: str) -> TableSchema:
    """Read one YAML file of table descriptions.

    Args:
        text: The YAML text.
        origin: File name for messages.

    Raises:
        InternalError: The text is not YAML, or a key is unknown, missing or of the wrong kind.
    """
    try:
        values = yaml.load(text, _LOADER)  # noqa: S506  (the safe one)
        values["schema_name"] = values.pop("schema", None)
        schema = _Schema.model_validate(values)
        tables = tuple(table.build(schema.guards) for table in schema.tables)
    except (yaml.YAMLError, ValidationError, TypeError, AttributeError) as error:
        raise InternalError(f"{origin}: {error}") from None
    return TableSchema(name=schema.schema_name, title=schema.title, description=schema.description, tables=tables)


@cache
def load_tableset() -> tuple[TableSchema, ...]:
    """Every schema of ``vo_resources/tables``, by its first file.

    Several files may describe tables of one schema; one of them says what the schema is.
    """
    folder = asset_path("vo_resources", "tables")
    found: dict[str, TableSchema] = {}
    for path in sorted(folder.glob("*.yaml")):
        part = parse_tableset(read_asset("vo_resources", "tables", path.name), path.name)
        found[part.name] = _joined(found[part.name], part) if part.name in found else part
    return tuple(found.values())


def _joined(first: TableSchema, second: TableSchema) -> TableSchema:
    return TableSchema(
        name=first.name,
        title=first.title or second.title,
        description=first.description or second.description,
        tables=(*first.tables, *second.tables),
    )
