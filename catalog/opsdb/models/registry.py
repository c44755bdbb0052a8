"""The records of the publishing registry as they are harvested, and the coverage that is kept for them."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from catalog.opsdb.models.declarative import OurBase

__all__ = ["RegistryCoverage", "RegistryRecord"]


class RegistryRecord(OurBase):
    """A resource record with its datestamp; one that has disappeared stays as a tombstone."""

    __tablename__ = "registry_record"
    __table_args__ = (sa.Index(None, "datestamp", "identifier"),)

    identifier: Mapped[str] = mapped_column(primary_key=True)
    """IVOA identifier."""

    kind: Mapped[str]
    """Kind of resource, as in the file that declares it; the sets of the registry are made of kinds."""

    created: Mapped[datetime]
    """When it was first published; kept for ever, to the second."""

    datestamp: Mapped[datetime]
    """When its content last changed, to the second."""

    deleted: Mapped[bool] = mapped_column(sa.Boolean(create_constraint=True, name="deleted"), server_default=sa.false())
    digest: Mapped[str]
    """Two of sha-256: of the canonical form of the content, without dates, and of its letters."""

    ivo_vor: Mapped[str]
    """The record as VOResource, a whole element."""

    oai_dc: Mapped[str]
    """The record as Dublin Core, a whole element."""


class RegistryCoverage(OurBase):
    """The part of the sky that the published packages of a programme cover, and which packages were counted."""

    __tablename__ = "registry_coverage"

    collection: Mapped[str] = mapped_column(primary_key=True)
    """obs_collection."""

    moc: Mapped[str]
    """MOC 2.0 in its ASCII form."""

    moc_order: Mapped[int]
    packages: Mapped[int] = mapped_column(sa.BigInteger)
    resolved_until: Mapped[datetime]
    """The last ``resolved_at`` among the packages that were counted."""
