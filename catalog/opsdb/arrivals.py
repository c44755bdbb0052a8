"""Copies that come into being where movers have put something, and the places where they may be put."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from catalog.errors import IntegrityError, NotFoundError
from catalog.opsdb.enums import ChecksumAlgorithm, PhysicalCopyStatus, Verification
from catalog.opsdb.models import DataLocation, OpsBase, Site

__all__ = ["find_location", "place_name", "record_arrivals"]

_COPIES = OpsBase.metadata.tables["ops.physical_copy"]


def find_location(connection: sa.Connection, place: str) -> int:
    """The number of a location.

    Args:
        connection: Any.
        place: ``SITE/NAME``.

    Raises:
        NotFoundError: There is no such location, or it is not active.
    """
    site, _, name = place.partition("/")
    query = sa.select(DataLocation.id, DataLocation.active).join(Site)
    found = connection.execute(query.where(Site.key == site, DataLocation.name == name)).one_or_none()
    if found is None:
        raise NotFoundError(f"there is no location {place}; expected SITE/NAME")
    if not found.active:
        raise NotFoundError(f"the location {place} is not active")
    return int(found.id)


def place_name() -> sa.ColumnElement[str]:
    """``SITE/NAME`` of a location that is joined with its site."""
    return Site.key + "/" + DataLocation.name


def record_arrivals(
    connection: sa.Connection,
    kind: str,
    things: sa.Select[Any],
    location_id: int,
    *,
    now: datetime,
    is_verified: bool,
    checksum: str | None = None,
    checksum_algorithm: ChecksumAlgorithm | None = None,
    status: PhysicalCopyStatus = PhysicalCopyStatus.PRESENT,
) -> None:
    """Record that things are at a location: new copies of those that have none there, and what was found out of all.

    Args:
        connection: In a writing transaction that holds the locks of the things.
        kind: ``raw_data_package`` or ``data_transfer_package``.
        things: SELECT of their ids.
        location_id: Where they are.
        now: The database's time.
        is_verified: Whether each was compared with its size and checksum, and is whole.
        checksum: As computed there, when it is one thing.
        checksum_algorithm: Of the checksum.
        status: Of new copies: present, or staged where packages were unpacked at once.

    Raises:
        IntegrityError: A copy that is there already is being deleted.
    """
    target = _COPIES.c[f"{kind}_id"]
    ids = things.subquery()
    key = ids.c[0]
    there = sa.and_(_COPIES.c.data_location_id == location_id, _COPIES.c.status != PhysicalCopyStatus.DELETED)
    going = sa.select(_COPIES.c.id).join(ids, target == key)
    alike = {PhysicalCopyStatus.PRESENT, status}
    other = going.where(there, _COPIES.c.status.not_in(alike)).order_by(_COPIES.c.id).limit(1)
    if (found := connection.scalar(other)) is not None:
        raise IntegrityError(
            f"the copy {found}, which is there already, is not present; it is being deleted or unpacked"
        )
    known: dict[str, Any] = {}
    if is_verified:
        known |= {"verification": Verification.OK, "verified_at": now}
    if checksum is not None:
        known |= {"checksum": checksum, "checksum_algorithm": checksum_algorithm}
    if known:
        connection.execute(sa.update(_COPIES).where(there, target.in_(sa.select(key))).values(known))
    values: dict[str, Any] = {
        "type": f"{kind}_physical_copy",
        "data_location_id": location_id,
        "status": status,
        "verification": Verification.NEVER,
    } | known
    constants = [
        sa.cast(sa.literal(value, _COPIES.c[name].type), _COPIES.c[name].type) for name, value in values.items()
    ]
    fresh = sa.select(key, *constants).where(sa.not_(sa.exists().where(target == key, there)))
    connection.execute(sa.insert(_COPIES).from_select([target.name, *values], fresh, include_defaults=False))
