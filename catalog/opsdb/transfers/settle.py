"""Packages follow what becomes of the bundle that holds them."""

from __future__ import annotations

from functools import partial
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from catalog.opsdb.enums import PackageState
from catalog.opsdb.lifecycle.package_state import Ground, select_states
from catalog.opsdb.lifecycle.traffic import is_under_way
from catalog.opsdb.models import DataTransfer, RawDataPackage, data_transfer_package_member
from catalog.opsdb.work import governed_by, move_rows

__all__ = ["fail_packages", "members_of", "settle_packages"]

_MEMBER = data_transfer_package_member.c
_STATE = governed_by(RawDataPackage, "state")


def members_of(bundle_id: UUID) -> sa.Select[Any]:
    """Ids of the packages of a bundle."""
    mine = data_transfer_package_member.alias("mine")
    return sa.select(mine.c.raw_data_package_id).where(mine.c.data_transfer_package_id == bundle_id)


def settle_packages(connection: sa.Connection, bundle_id: UUID, *, actor: str, reason: str | None) -> None:
    """Move the packages of a bundle to the states that follow from their copies and transfers now.

    Args:
        connection: In a writing transaction.
        bundle_id: Which bundle.
        actor: Who; kept in the history.
        reason: Why; kept in the history.
    """
    _lock(connection, bundle_id)
    for target in (PackageState.TRANSFERRING, PackageState.ARCHIVED, PackageState.FAILED):
        states = select_states(partial(_among, members_of(bundle_id))).subquery()
        follows = sa.select(states.c.package_id).where(
            states.c.wanted == str(target), sa.type_coerce(states.c.state, sa.Text()) != str(target)
        )
        move_rows(connection, _STATE, RawDataPackage.id.in_(follows), target, actor=actor, reason=reason)


def fail_packages(connection: sa.Connection, bundle_id: UUID, *, actor: str, reason: str) -> None:
    """Move packages of a bundle that has failed for good, that nothing else brings anywhere, and that are nowhere else.

    Arguments as `settle_packages`.
    """
    settle_packages(connection, bundle_id, actor=actor, reason=reason)
    travels = sa.exists().where(
        _MEMBER.raw_data_package_id == RawDataPackage.id,
        DataTransfer.data_transfer_package_id == _MEMBER.data_transfer_package_id,
        is_under_way(),
    )
    states = select_states(partial(_among, members_of(bundle_id))).subquery()
    arrived = sa.select(states.c.package_id).where(states.c.ground == str(Ground.ARRIVED))
    stranded = sa.and_(
        RawDataPackage.id.in_(members_of(bundle_id)),
        RawDataPackage.state == PackageState.TRANSFERRING,
        sa.not_(travels),
        RawDataPackage.id.not_in(arrived),
    )
    move_rows(connection, _STATE, stranded, PackageState.FAILED, actor=actor, reason=reason)


def _among(members: sa.Select[Any], column: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
    return column.in_(members)


def _lock(connection: sa.Connection, bundle_id: UUID) -> None:
    """In the order of their ids, as whoever wants to delete a copy does."""
    mine = sa.select(RawDataPackage.id).where(RawDataPackage.id.in_(members_of(bundle_id)))
    connection.execute(mine.order_by(RawDataPackage.id).with_for_update()).all()
