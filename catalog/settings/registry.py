"""The publishing registry: section ``[registry]``."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from catalog.settings.section import Section

__all__ = ["RegistrySettings"]


class RegistrySettings(Section):
    """The publishing registry: what it describes, and how it is harvested."""

    records: str | None = None
    """Folder of declared facts, made by `catalog registry init`; those of the synthetic observatory when absent."""

    refresh_s: Annotated[float, Field(gt=0)] = 3600.0
    """Seconds between two looks of the service at whether a record has changed."""

    page_size: Annotated[int, Field(ge=1, le=1000)] = 100
    """Records in one answer; a harvester goes on with a resumption token."""

    token_s: Annotated[int, Field(ge=60)] = 86_400
    """How long a resumption token is valid."""

    moc_order: Annotated[int, Field(ge=0, le=10)] = 6
    """Order of the coverage maps; cells of order 6 are about a degree wide."""
