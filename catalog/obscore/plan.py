"""Keep ``catalog.obsplan`` in step with the plan, its executions and their packages.

Rows hang from units and executions. What many share (a source, a module, a programme) leads to the units that use it,
by the same lines that lead the resolver of packages (`catalog.opsdb.routes`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

import sqlalchemy as sa

from catalog.db.keys import is_one_of
from catalog.db.listed import listed
from catalog.db.parts import ranges, within
from catalog.obscore.inputs import Condition
from catalog.obscore.obsplan import obsplan, obsplan_columns, obsplan_rows
from catalog.obscore.plan_rows import fresh_executions, fresh_plans
from catalog.obscore.resolved_table import Row
from catalog.opsdb.models import (
    ExecutedObsUnit,
    InstrumentModule,
    InstrumentModuleConfiguration,
    ObsUnit,
    ResolveCause,
    obs_unit_module_configuration,
)
from catalog.opsdb.routes import EVERYTHING

__all__ = [
    "PlanPart",
    "compare_plan_with_fresh",
    "follow_plan_changes",
    "plan_parts",
    "resolve_executions",
    "resolve_plan",
    "resolve_plan_part",
    "resolve_plans_of",
]

_AT_ONCE = 10_000  # executions worked on at once

_T = TypeVar("_T")
_UNIT = ObsUnit.__table__
_EXECUTED = ExecutedObsUnit.__table__
_CONFIGURED = obs_unit_module_configuration
_SETUP = InstrumentModuleConfiguration.__table__
_MODULE = InstrumentModule.__table__
_OF_SETUP = _CONFIGURED.join(_SETUP, _SETUP.c.id == _CONFIGURED.c.instrument_module_configuration_id)
_OF_MODULE = _OF_SETUP.join(_MODULE, _MODULE.c.id == _SETUP.c.instrument_module_id)

_Route = tuple[sa.ColumnElement[Any], sa.FromClause, sa.ColumnElement[Any]]
_SOURCE: _Route = (_UNIT.c.id, _UNIT, _UNIT.c.source_id)
_CONFIGURATION: _Route = (_UNIT.c.id, _UNIT, _UNIT.c.observation_configuration_id)
_MODULE_SETUP: _Route = (_CONFIGURED.c.obs_unit_id, _CONFIGURED, _CONFIGURED.c.instrument_module_configuration_id)
_CHANGE_ALL = frozenset({EVERYTHING, "telescope"})
_OF_UNIT = ("obs_unit", "obs_unit_module_configuration")
_ROUTES: dict[str, _Route] = {
    "source": _SOURCE,
    "fixed_source": _SOURCE,
    "solar_system_object": _SOURCE,
    "constant_elevation_source": _SOURCE,
    "obs_mode": (_UNIT.c.id, _UNIT, _UNIT.c.obs_mode_id),
    "observing_program": (_UNIT.c.id, _UNIT, _UNIT.c.observing_program_id),
    "sub_observing_program": (_UNIT.c.id, _UNIT, _UNIT.c.sub_observing_program_id),
    "observation_configuration": _CONFIGURATION,
    "chai_observation_configuration": _CONFIGURATION,
    "instrument_module_configuration": _MODULE_SETUP,
    "chai_module_configuration": _MODULE_SETUP,
    "instrument_module": (_CONFIGURED.c.obs_unit_id, _OF_SETUP, _SETUP.c.instrument_module_id),
    "instrument": (_CONFIGURED.c.obs_unit_id, _OF_MODULE, _MODULE.c.instrument_id),
}
"""By table of the changed row: the column of unit ids, where it is found, and what the row's key is compared with."""


def resolve_plan(connection: sa.Connection) -> None:
    """Bring every row up to date, in the caller's transaction."""
    for part in plan_parts(connection):
        resolve_plan_part(connection, part)


def resolve_executions(connection: sa.Connection, execution_ids: Iterable[UUID]) -> None:
    """Bring the rows of executions up to date: those that are performed or aborted have one, others have none."""
    for ids in listed(sorted(set(execution_ids)), _AT_ONCE):
        resolve_plan_part(connection, _executions_among(ids))


def follow_plan_changes(connection: sa.Connection, which: Sequence[int]) -> None:
    """Bring the rows up to date that hang from changed rows of shared tables.

    Args:
        connection: In a transaction that writes, and that keeps every other resolver waiting.
        which: ``seq`` of the causes.
    """
    changed: dict[str, set[str]] = defaultdict(set)
    for some in listed(which):
        causes = sa.select(ResolveCause.entity, ResolveCause.entity_key).where(ResolveCause.seq.in_(some))
        for entity, key in connection.execute(causes):
            changed[entity].add(key)
    if changed.keys() & _CHANGE_ALL:
        resolve_plan(connection)
        return
    executions = {UUID(key) for key in changed["executed_obs_unit"]}
    units = {int(key) for entity in _OF_UNIT for key in changed[entity]}
    for entity in sorted(changed.keys() & _ROUTES.keys()):
        units |= _units(connection, _ROUTES[entity], {int(key) for key in changed[entity]})
    plans = units | {int(key) for key in changed["obs_unit_slot"]} | _units_of(connection, executions)
    resolve_executions(connection, executions | _executions_of(connection, units))
    _resolve_plans(connection, plans)


def resolve_plans_of(connection: sa.Connection, execution_ids: Collection[UUID]) -> None:
    """Bring the rows up to date of what is still to come of the units of executions."""
    _resolve_plans(connection, _units_of(connection, execution_ids))


def _resolve_plans(connection: sa.Connection, unit_ids: Iterable[int]) -> None:
    """Bring the rows up to date of what is still to come of units."""
    for ids in listed(sorted(unit_ids), _AT_ONCE):
        resolve_plan_part(connection, _plans_among(ids))


@dataclass(frozen=True, slots=True)
class PlanPart:
    """Some of the rows: what they hang from, and where they are in the table."""

    fresh: Callable[[sa.Connection, Condition], list[Row]]
    condition: Condition
    """On ids of executions or of units."""

    stored: sa.ColumnElement[bool]


def compare_plan_with_fresh(connection: sa.Connection) -> Iterator[str]:
    """obs_id of every row that is not what a fresh full resolution gives; nothing is written."""
    for part in plan_parts(connection):
        stored = {obs_id: row for obs_id, (_, row) in _stored(connection, part).items()}
        fresh = _fresh(connection, part)
        yield from sorted(obs_id for obs_id in stored.keys() | fresh.keys() if stored.get(obs_id) != fresh.get(obs_id))


def resolve_plan_part(connection: sa.Connection, part: PlanPart) -> None:
    """Bring some rows up to date, in the caller's transaction: what differs is written."""
    obsplan_rows().update(connection, obsplan_columns(), _stored(connection, part), _fresh(connection, part))


def _fresh(connection: sa.Connection, part: PlanPart) -> dict[str, Row]:
    place = obsplan_columns().index("obs_id")
    return {str(row[place]): row for row in part.fresh(connection, part.condition)}


def _stored(connection: sa.Connection, part: PlanPart) -> dict[str, tuple[int, Row]]:
    """Key and row by obs_id."""
    table = obsplan()
    select = sa.select(table.c.obsplan_key, *(table.c[name] for name in obsplan_columns())).where(part.stored)
    return {row.obs_id: (row.obsplan_key, tuple(row[1:])) for row in connection.execute(select)}


def plan_parts(connection: sa.Connection) -> Iterator[PlanPart]:
    """Parts that together are everything, each of some thousand rows."""
    for low, high in ranges(connection, _EXECUTED.c.id, _AT_ONCE):
        yield _executions_between(low, high)
    yield PlanPart(fresh_plans, lambda column: sa.true(), _is_plan())


def _executions_between(low: UUID | None, high: UUID | None) -> PlanPart:
    """Executions after one and up to another; ids and their texts have the same order."""
    texts = within(obsplan().c.obs_id, low=low and str(low), high=high and str(high))
    return PlanPart(fresh_executions, partial(within, low=low, high=high), sa.and_(~_is_plan(), texts))


def _executions_among(ids: Sequence[UUID]) -> PlanPart:
    stored = is_one_of(obsplan().c.obs_id, [str(one) for one in ids])
    return PlanPart(fresh_executions, partial(is_one_of, keys=ids), stored)


def _plans_among(ids: Sequence[int]) -> PlanPart:
    stored = sa.and_(is_one_of(obsplan().c.obs_unit_id, ids), _is_plan())
    return PlanPart(fresh_plans, partial(is_one_of, keys=ids), stored)


def _is_plan() -> sa.ColumnElement[bool]:
    """Whether a row is of what is still to come: its obs_id is the number of the unit."""
    return obsplan().c.obs_id == sa.cast(obsplan().c.obs_unit_id, sa.Text())


def _units(connection: sa.Connection, route: _Route, keys: set[int]) -> set[int]:
    """Units that use one of the rows with these keys."""
    unit, tables, compared = route
    found: set[int] = set()
    for some in listed(sorted(keys)):
        found |= set(connection.scalars(sa.select(unit).select_from(tables).where(compared.in_(some))))
    return found


def _units_of(connection: sa.Connection, executions: Collection[UUID]) -> set[int]:
    """Units that executions belong to, or belonged to when they were last resolved."""
    found: set[int] = set()
    for some in listed(sorted(executions), _AT_ONCE):
        units = sa.select(_EXECUTED.c.obs_unit_id).distinct().where(is_one_of(_EXECUTED.c.id, some))
        found |= set(connection.scalars(units))
        before = sa.select(obsplan().c.obs_unit_id).distinct().where(is_one_of(obsplan().c.obs_id, some))
        found |= set(connection.scalars(before))
    return found


def _executions_of(connection: sa.Connection, units: set[int]) -> set[UUID]:
    """Executions of units, also such as were theirs when they were last resolved."""
    found: set[UUID] = set()
    for some in listed(sorted(units)):
        found |= set(connection.scalars(sa.select(_EXECUTED.c.id).where(_EXECUTED.c.obs_unit_id.in_(some))))
        before = sa.select(obsplan().c.obs_id).where(obsplan().c.obs_unit_id.in_(some), ~_is_plan())
        found |= {UUID(obs_id) for obs_id in connection.scalars(before)}
    return found
