"""Bring the states of packages in line with what is recorded of their copies and of their way, many at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from catalog.db import Database
from catalog.db.listed import listed
from catalog.db.parts import ranges, within
from catalog.opsdb.enums import PackageState
from catalog.opsdb.lifecycle.machines import PACKAGE
from catalog.opsdb.lifecycle.package_state import RULES, Condition, Ground, select_states
from catalog.opsdb.models import MoveNote, PackagePublication, RawDataPackage
from catalog.opsdb.reports import require_actor
from catalog.opsdb.schema import refuse_attached

__all__ = ["BATCH_PACKAGES", "StateFinding", "reconcile_states", "rehearse_states"]

BATCH_PACKAGES = 5_000
"""Packages looked at in one transaction."""

_SENTENCES = {rule.ground: rule.sentence for rule in RULES}


@dataclass(frozen=True, slots=True)
class StateFinding:
    """A package whose state is not what its copies and transfers say."""

    package_id: UUID
    did: str | None
    """obs_publisher_did, if it has one."""

    state: PackageState
    wanted: PackageState
    ground: Ground

    @property
    def sentence(self) -> str:
        """Why, in words."""
        return _SENTENCES[self.ground]


def rehearse_states(database: Database) -> Iterator[StateFinding]:
    """Packages whose state is wrong, by their ids; nothing is changed."""
    with database.engine.connect() as connection:
        for condition in _every_package(connection):
            yield from _differing(connection, condition)


def reconcile_states(database: Database, *, actor: str, reason: str | None = None) -> Iterator[StateFinding]:
    """Move packages whose state is wrong to the state that they should be in, by legal moves, each in the history.

    Each batch is a transaction of its own, and is committed when its first finding comes out; what is stopped midway
    goes on when it is called again.

    Args:
        database: Opened with the owner's login.
        actor: Who; kept in the history.
        reason: Why; the ground of each move when None.

    Raises:
        UsageError: Nobody is named.
        SettingsError: The operations tables are another's.
    """
    require_actor(actor)
    with database.engine.connect() as connection:
        refuse_attached(connection)
        conditions = list(_every_package(connection))
    for condition in conditions:
        with database.begin() as connection:
            moved = _reconcile(connection, condition, actor, reason)
        yield from moved


def _every_package(connection: sa.Connection) -> Iterator[Condition]:
    for low, high in ranges(connection, RawDataPackage.__table__.c.id, BATCH_PACKAGES):
        yield partial(within, low=low, high=high)


def _differing(connection: sa.Connection, which: Condition) -> list[StateFinding]:
    states = select_states(which).subquery()
    published = PackagePublication.raw_data_package_id == states.c.package_id
    did = sa.select(PackagePublication.obs_publisher_did).where(published).scalar_subquery()
    query = (
        sa.select(states, did.label("obs_publisher_did"))
        .where(states.c.wanted != sa.type_coerce(states.c.state, sa.Text()))
        .order_by(states.c.package_id)
    )
    return [
        StateFinding(row.package_id, row.obs_publisher_did, row.state, PackageState(row.wanted), Ground(row.ground))
        for row in connection.execute(query)
    ]


def _reconcile(connection: sa.Connection, which: Condition, actor: str, reason: str | None) -> list[StateFinding]:
    """Move what differs; on PostgreSQL it is locked first and looked at again, because others may have acted."""
    found = _differing(connection, which)
    if found and connection.dialect.name == "postgresql":
        keys = {finding.package_id for finding in found}
        for some in listed(sorted(keys)):
            locked = sa.select(RawDataPackage.id).where(RawDataPackage.id.in_(some)).order_by(RawDataPackage.id)
            connection.execute(locked.with_for_update()).all()
        found = [finding for finding in _differing(connection, which) if finding.package_id in keys]
    for state, wanted in product(PackageState, repeat=2):
        alike = [finding for finding in found if (finding.state, finding.wanted) == (state, wanted)]
        for step in _path(state, wanted) if alike else ():
            _move(connection, alike, step, actor, reason)
    return found


def _move(
    connection: sa.Connection, found: Sequence[StateFinding], state: PackageState, actor: str, reason: str | None
) -> None:
    for some in listed(found):
        notes: list[dict[str, Any]] = [
            {
                "entity": "raw_data_package",
                "attribute": "state",
                "entity_key": str(finding.package_id),
                "actor": actor,
                "reason": reason or finding.sentence,
                "evidence": {"ground": str(finding.ground)},
            }
            for finding in some
        ]
        connection.execute(sa.insert(MoveNote), notes)
        keys = [finding.package_id for finding in some]
        connection.execute(sa.update(RawDataPackage).where(RawDataPackage.id.in_(keys)).values(state=state))


def _path(origin: PackageState, target: PackageState) -> tuple[PackageState, ...]:
    """The fewest legal moves from one state to another, by their ends."""
    ways: list[tuple[PackageState, ...]] = [()]
    for way in ways:
        here = way[-1] if way else origin
        if here is target:
            return way
        ways += [(*way, PackageState(state)) for state in PACKAGE.targets(here) if state not in way]
    raise AssertionError(f"no way from {origin} to {target}")  # pragma: no cover  (each state is reached from each)
