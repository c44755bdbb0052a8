"""What the toolkit itself keeps beside the operations tables; ours also when those belong to somebody else."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from catalog.opsdb.models.declarative import OurBase, Timestamps, utc_now

__all__ = ["PackagePublication", "ParkedRecord", "PublicationSetting", "ResolveCause", "ResolveQueue"]


class PackagePublication(Timestamps, OurBase):
    """The public identity of a package, made when it is first resolved and never changed after.

    There is no foreign key to the package: the operations tables may be another's. Neither side is ever deleted.
    """

    __tablename__ = "package_publication"
    __table_args__ = (
        sa.CheckConstraint("(withdrawn_at IS NULL) = (withdrawn_reason IS NULL)", name="withdrawal_has_reason"),
    )

    raw_data_package_id: Mapped[UUID] = mapped_column(primary_key=True)
    obs_publisher_did: Mapped[str] = mapped_column(unique=True)
    """``ivo://<authority>/<path>?<package id>``; the database refuses to change it."""

    withdrawn_at: Mapped[datetime | None]
    withdrawn_reason: Mapped[str | None]


class PublicationSetting(Timestamps, OurBase):
    """Facts about this publication that the views read: authority, base URL of the service."""

    __tablename__ = "publication_setting"

    key: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str]


class ResolveQueue(OurBase):
    """Packages whose resolved row is out of date; filled by triggers, emptied by the resolver.

    A package may stand here more than once; each writer adds its own line, so that no writer waits for another.
    """

    __tablename__ = "resolve_queue"

    seq: Mapped[int] = mapped_column(sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True)
    raw_data_package_id: Mapped[UUID] = mapped_column(index=True)
    queued_at: Mapped[datetime] = mapped_column(server_default=utc_now())


class ResolveCause(OurBase):
    """A changed row from which packages hang; filled by triggers, worked off by the resolver.

    Which packages these are is looked up then and not when the row changes: a package that another transaction adds at
    the same time is seen by neither statement.
    """

    __tablename__ = "resolve_cause"

    seq: Mapped[int] = mapped_column(sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True)
    entity: Mapped[str]
    """Name of the table; ``*`` when all packages are meant."""

    entity_key: Mapped[str]
    """Its key as text (`catalog.opsdb.routes`)."""

    queued_at: Mapped[datetime] = mapped_column(server_default=utc_now())


class ParkedRecord(Timestamps, OurBase):
    """A record of a manifest that lacks its parent; kept with the reason and tried again."""

    __tablename__ = "parked_record"
    __table_args__ = (sa.UniqueConstraint("digest"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    digest: Mapped[str]
    """sha-256 of the record's canonical JSON: the same record is parked once."""

    origin: Mapped[str]
    """File and line it came from."""

    reason: Mapped[str]
    record: Mapped[dict[str, Any]]
    attempts: Mapped[int] = mapped_column(default=1)
