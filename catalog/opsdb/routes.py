"""Which packages hang from a row of a core table: what the triggers watch, and how the resolver follows it.

A change of a package or of what belongs to it alone (a file, its metadata) names the package at once. A change of what
many share leaves a line in ``catalog.resolve_cause``; it is followed when it is worked off, by a statement that sees
every package that was committed until then.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from catalog.db import UuidText
from catalog.db.listed import listed
from catalog.opsdb.models import (
    ExecutedObsUnit,
    Instrument,
    InstrumentModule,
    ObsUnit,
    RawDataPackage,
    ResolveCause,
    ResolveQueue,
    obs_unit_module_configuration,
)

__all__ = ["EVERYTHING", "ROUTES", "Route", "follow_causes"]

EVERYTHING = "*"
"""Entity of a cause that concerns every package."""

_PACKAGE = RawDataPackage.__table__
_EXECUTED = ExecutedObsUnit.__table__
_UNIT = ObsUnit.__table__
_MODULE = InstrumentModule.__table__
_INSTRUMENT = Instrument.__table__
_CONFIGURED = obs_unit_module_configuration

_OF_EXECUTION = _PACKAGE.join(_EXECUTED, _EXECUTED.c.id == _PACKAGE.c.executed_obs_unit_id)
_OF_UNIT = _OF_EXECUTION.join(_UNIT, _UNIT.c.id == _EXECUTED.c.obs_unit_id)
_OF_CONFIGURATION = _OF_EXECUTION.join(_CONFIGURED, _CONFIGURED.c.obs_unit_id == _EXECUTED.c.obs_unit_id)
_OF_MODULE = _PACKAGE.join(_MODULE, _MODULE.c.id == _PACKAGE.c.instrument_module_id)
_OF_INSTRUMENT = _OF_MODULE.join(_INSTRUMENT, _INSTRUMENT.c.id == _MODULE.c.instrument_id)


@dataclass(frozen=True, slots=True)
class Route:
    """How the rows of a table lead to packages."""

    key: str
    """The column of the row from which to start."""

    packages: sa.FromClause | None = None
    """Packages joined to what the key is compared with; None when the key is the package's id."""

    column: sa.ColumnElement[Any] | None = None
    """What the key is compared with."""

    without: frozenset[str] = frozenset()
    """Columns that no published row depends on."""

    plan_only: bool = False
    """Whether what is planned hangs from the row, and no package."""


_SOURCE = Route("id", _OF_UNIT, _UNIT.c.source_id)
_CONFIGURATION = Route("id", _OF_UNIT, _UNIT.c.observation_configuration_id)
_MODULE_CONFIGURATION = Route("id", _OF_CONFIGURATION, _CONFIGURED.c.instrument_module_configuration_id)
ROUTES: dict[str, Route] = {
    "raw_data_package": Route("id", without=frozenset({"state", "status"})),
    "raw_data_package_metadata": Route("raw_data_package_id"),
    "raw_data_file": Route("raw_data_package_id", without=frozenset({"tar_offset"})),
    "executed_obs_unit": Route("id", _PACKAGE, _PACKAGE.c.executed_obs_unit_id),
    "obs_unit": Route("id", _OF_EXECUTION, _EXECUTED.c.obs_unit_id),
    "obs_unit_slot": Route("obs_unit_id", _OF_EXECUTION, _EXECUTED.c.obs_unit_id, plan_only=True),
    "source": _SOURCE,
    "fixed_source": _SOURCE,
    "solar_system_object": _SOURCE,
    "constant_elevation_source": _SOURCE,
    "obs_mode": Route("id", _OF_UNIT, _UNIT.c.obs_mode_id),
    "observation_configuration": _CONFIGURATION,
    "chai_observation_configuration": _CONFIGURATION,
    "prime_cam_observation_configuration": _CONFIGURATION,
    "obs_unit_module_configuration": Route("obs_unit_id", _OF_EXECUTION, _EXECUTED.c.obs_unit_id),
    "instrument_module_configuration": _MODULE_CONFIGURATION,
    "chai_module_configuration": _MODULE_CONFIGURATION,
    "observing_program": Route("id", _OF_UNIT, _UNIT.c.observing_program_id),
    "sub_observing_program": Route("id", _OF_UNIT, _UNIT.c.sub_observing_program_id),
    "instrument_module": Route("id", _PACKAGE, _PACKAGE.c.instrument_module_id),
    "instrument": Route("id", _OF_MODULE, _MODULE.c.instrument_id),
    "telescope": Route("id", _OF_INSTRUMENT, _INSTRUMENT.c.telescope_id),
}
"""By table. What a telescope's observatory is called, and who asked for what, is not published."""


def follow_causes(connection: sa.Connection, which: Sequence[int]) -> None:
    """Put the packages that hang from changed rows into the queue, in the place of these causes.

    Args:
        connection: In a transaction that writes, and that keeps every other resolver waiting.
        which: ``seq`` of the causes.
    """
    for some in listed(which):
        meant = ResolveCause.seq.in_(some)
        keys: dict[str, set[str]] = defaultdict(set)
        for entity, key in connection.execute(sa.select(ResolveCause.entity, ResolveCause.entity_key).where(meant)):
            keys[entity].add(key)
        for entity in sorted(keys):
            if entity in ROUTES and ROUTES[entity].plan_only:
                continue
            found = _packages(entity, keys[entity])
            connection.execute(sa.insert(ResolveQueue).from_select(["raw_data_package_id"], found))
        connection.execute(sa.delete(ResolveCause).where(meant))


def _packages(entity: str, keys: set[str]) -> sa.Select[Any]:
    """Ids of the packages that hang from the rows of a table."""
    query = sa.select(_PACKAGE.c.id).distinct()
    route = ROUTES.get(entity)
    if route is None or route.packages is None or route.column is None:
        return query
    is_uuid = isinstance(route.column.type, UuidText)
    values = [UUID(key) if is_uuid else int(key) for key in sorted(keys)]
    return query.select_from(route.packages).where(route.column.in_(values))
