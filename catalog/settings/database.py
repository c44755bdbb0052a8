"""Where the operations database is: sections ``[database]`` and ``[attached]``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import ConfigDict, Field, SecretStr

from catalog.settings.section import Section

__all__ = ["AttachedSettings", "DatabaseSettings"]


class DatabaseSettings(Section):
    """Where the operations database is."""

    url: SecretStr = SecretStr("sqlite:///var/catalog.db")
    """``sqlite:///path`` or ``postgresql://…``; the owner's login."""

    public_url: SecretStr | None = None
    """Read-only login for queries from outside; the owner's is used, read-only, when absent."""


class AttachedSettings(Section):
    """An existing operations database with names of its own, read in place (PostgreSQL)."""

    schema_name: Annotated[str, Field(alias="schema")] = "public"
    """Schema that holds their tables."""

    table_prefix: str = ""
    """Put before every table name that is not renamed."""

    tables: Mapping[str, str] = Field(default_factory=dict)
    """Our table name to theirs; an empty name says that they have none."""

    columns: Mapping[str, Mapping[str, str]] = Field(default_factory=dict)
    """Our table, our column to theirs; an empty name says that they have none (NULL)."""

    enums: Mapping[str, Mapping[str, str]] = Field(default_factory=dict)
    """``table.column`` to a map from their value to ours."""

    model_config = ConfigDict(populate_by_name=True)
