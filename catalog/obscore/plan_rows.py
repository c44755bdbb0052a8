"""Rows of ``ivoa.obsplan``: one for each execution that was performed or aborted, one for each unit still to come.

What was observed and published is described by its packages, so that it agrees with ObsCore. All else is derived from
the plan by the same rules as ObsCore (`catalog.obscore.spatial_axis`, `catalog.obscore.spectral_axis`), for each module
that the plan names. Several packages or modules become one row: the widest position, all times and wavelengths, and of
the rest what they agree on.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import sqlalchemy as sa

from catalog.obscore.batch import Batch
from catalog.obscore.inputs import (
    DRIFT,
    INSTRUMENT,
    MODE,
    MODULE,
    MODULE_JOINS,
    OBS_UNIT,
    OBSERVATION_JOINS,
    PACKAGE,
    PROGRAM,
    SOLAR_SYSTEM,
    SOURCE,
    SUB_PROGRAM,
    TELESCOPE,
    UNIT,
    Condition,
    join_outer,
)
from catalog.obscore.mapping import INPUTS
from catalog.obscore.obsplan import obsplan_columns
from catalog.obscore.package_obscore import package_obscore
from catalog.obscore.resolved_table import CAP_COLUMNS, VECTOR_COLUMNS, Row
from catalog.obscore.spatial_axis import derive_spatial_axis
from catalog.obscore.spectral_axis import derive_spectral_axis
from catalog.obscore.time_axis import SPAN_DIGITS, derive_release_date
from catalog.opsdb.enums import DataRights, ExecutionStatus, TrackingType
from catalog.opsdb.models import (
    ExecutedObsUnit,
    InstrumentModuleConfiguration,
    ObsUnitSlot,
    Telescope,
    obs_unit_module_configuration,
)
from catalog.vo.time import datetime_to_mjd, to_mjd

__all__ = ["DONE", "fresh_executions", "fresh_plans"]

_Part = Mapping[str, Any]
"""What one package, or one module of a plan, says of an observation."""

DONE = (ExecutionStatus.PERFORMED, ExecutionStatus.ABORTED)
"""Executions with a row of their own; the others are what is still to come of their unit."""

_DAY_S = 86_400.0
_LOWEST_PRIORITY = 2
_POSITION = ("s_ra", "s_dec", "s_fov", "s_region", *VECTOR_COLUMNS, *CAP_COLUMNS)
_AGREED = ("target_name", "obs_collection", "t_resolution", "em_res_power", "o_ucd", "pol_states", "pol_xel")
_OF_PACKAGES = (
    *_POSITION,
    *_AGREED,
    *("s_resolution", "t_min", "t_max", "t_exptime", "em_min", "em_max"),
    *("facility_name", "instrument_name", "tracking_type"),
    *("declared_rights", "obs_release_date"),
)
_TRACKING = {kind.value: kind.value.capitalize() for kind in TrackingType}
_RANKS = (ExecutionStatus.UNSCHEDULED, ExecutionStatus.PLANNED, ExecutionStatus.SCHEDULED)

_EXECUTION = ExecutedObsUnit.__table__.alias("execution")
_SLOT = ObsUnitSlot.__table__.alias("slot")
_LAST = ObsUnitSlot.__table__.alias("last_slot")
_CONFIGURED = obs_unit_module_configuration.alias("configured_module")
_SETUP = InstrumentModuleConfiguration.__table__.alias("module_setup")


def fresh_executions(connection: sa.Connection, condition: Condition) -> list[Row]:
    """Rows of the executions meant by a condition on their ids, in the order of `obsplan_columns`."""
    known: dict[str, list[_Part]] = defaultdict(list)
    packages = connection.execute(_packages_select(condition))
    names = list(packages.keys())
    for row in packages.all():
        known[row[0]].append(dict(zip(names, row, strict=True)))
    columns = {
        "obs_id": sa.cast(UNIT.c.id, sa.Text()),
        "status": _text(UNIT.c.execution_status),
        "start": UNIT.c.start_time,
        "end": UNIT.c.end_time,
        "unit_elevation_deg": UNIT.c.elevation_deg,
    }
    tables = UNIT.join(OBS_UNIT, OBS_UNIT.c.id == UNIT.c.obs_unit_id)
    done = _text(UNIT.c.execution_status).in_([status.value for status in DONE])
    select = _plan_select(columns, tables).where(condition(UNIT.c.id), done)
    return _rows(connection, select, known)


def fresh_plans(connection: sa.Connection, condition: Condition) -> list[Row]:
    """Rows of what is still to come of the units meant by a condition on their ids, as `fresh_executions`."""
    is_of_unit = _EXECUTION.c.obs_unit_id == OBS_UNIT.c.id
    is_done = _text(_EXECUTION.c.execution_status).in_([status.value for status in DONE])
    last_done = sa.select(sa.func.max(_EXECUTION.c.start_time)).where(is_of_unit, is_done)
    begun = last_done.correlate(OBS_UNIT).scalar_subquery()
    slots = sa.select(sa.func.max(_SLOT.c.start_time)).where(_SLOT.c.obs_unit_id == OBS_UNIT.c.id)
    to_come = slots.where(sa.or_(begun.is_(None), _SLOT.c.start_time > begun))
    start = to_come.correlate(OBS_UNIT).scalar_subquery()
    end = sa.select(_LAST.c.end_time).where(_LAST.c.obs_unit_id == OBS_UNIT.c.id, _LAST.c.start_time == start)
    ranks = {status.value: rank for rank, status in enumerate(_RANKS)}
    rank = sa.case(ranks, value=_text(_EXECUTION.c.execution_status))
    columns = {
        "obs_id": sa.cast(OBS_UNIT.c.id, sa.Text()),
        "status": sa.select(sa.func.max(rank)).where(is_of_unit).scalar_subquery(),
        "start": start,
        "end": end.limit(1).scalar_subquery(),
        "unit_elevation_deg": sa.null(),
    }
    executed = sa.exists().where(is_of_unit, is_done)
    still = sa.exists().where(is_of_unit, ~is_done)
    select = _plan_select(columns, OBS_UNIT).where(condition(OBS_UNIT.c.id), sa.or_(~executed, still))
    return _rows(connection, select, {})


def _packages_select(condition: Condition) -> sa.Select[Any]:
    resolved = package_obscore().alias("o")
    tables = UNIT.join(PACKAGE, PACKAGE.c.executed_obs_unit_id == UNIT.c.id).join(
        resolved, resolved.c.raw_data_package_id == PACKAGE.c.id
    )
    names = ("obs_id", *_OF_PACKAGES)
    return (
        sa.select(*(resolved.c[name] for name in names))
        .select_from(tables)
        .where(condition(UNIT.c.id))
        .order_by(resolved.c.obs_id, resolved.c.obs_publisher_did)
    )


def _plan_select(columns: Mapping[str, sa.ColumnElement[Any]], tables: sa.FromClause) -> sa.Select[Any]:
    """The plan beside each module that it names; one row without a module where it names none."""
    tables = join_outer(
        tables,
        *OBSERVATION_JOINS,
        (SUB_PROGRAM, SUB_PROGRAM.c.id == OBS_UNIT.c.sub_observing_program_id),
        (_CONFIGURED, _CONFIGURED.c.obs_unit_id == OBS_UNIT.c.id),
        (_SETUP, _SETUP.c.id == _CONFIGURED.c.instrument_module_configuration_id),
        (MODULE, MODULE.c.id == _SETUP.c.instrument_module_id),
        *MODULE_JOINS,
    )
    kind = _text(MODULE.c.kind)
    of_plan = {
        "obs_unit_id": OBS_UNIT.c.id,
        "observing_program_id": OBS_UNIT.c.observing_program_id,
        "planned_at": sa.func.coalesce(OBS_UNIT.c.planned_at, OBS_UNIT.c.created_at),
        "planned_exptime_s": OBS_UNIT.c.planned_exptime_s,
        "priority": OBS_UNIT.c.priority,
        "category": _text(OBS_UNIT.c.category),
        "target_name": SOURCE.c.name,
        "obs_collection": PROGRAM.c.short_name,
        "tracking_type": sa.func.coalesce(_text(MODE.c.tracking_type), _tracking_of_source()),
        "s_resolution": MODULE.c.beam_fwhm_arcsec,
        "o_ucd": sa.case((kind.in_(["detector_stream", "heterodyne"]), "phys.voltage")),
        "pol_states": MODULE.c.pol_states,
        "facility_name": TELESCOPE.c.short_name,
        "instrument_name": INSTRUMENT.c.name + "/" + MODULE.c.name,
    }
    derived_from = {
        name: sa.null() if name.startswith("stated_") else expression
        for name, expression in INPUTS.items()
        if not name.startswith("unit_") and name != "sequence"
    }
    every = {**columns, **of_plan, **derived_from}
    return (
        sa.select(*(expression.label(name) for name, expression in every.items()))
        .select_from(tables)
        .order_by(every["obs_id"], INSTRUMENT.c.name, MODULE.c.name)
    )


def _tracking_of_source() -> sa.ColumnElement[Any]:
    return sa.case(
        (DRIFT.c.id.is_not(None), TrackingType.FIXED_AZ_EL_TRANSIT.value),
        (SOLAR_SYSTEM.c.id.is_not(None), TrackingType.SOLAR_SYSTEM_OBJECT_TRACKING.value),
        else_=TrackingType.SIDEREAL.value,
    )


def _rows(connection: sa.Connection, select: sa.Select[Any], known: Mapping[str, Sequence[_Part]]) -> list[Row]:
    result = connection.execute(select)
    names = list(result.keys())
    found = result.all()
    place = names.index("obs_id")
    plans = {row[place]: dict(zip(names, row, strict=True)) for row in found}
    parts: dict[str, Sequence[_Part]] = defaultdict(list, known)
    for obs_id, part in _derived(names, [row for row in found if row[place] not in known]):
        parts[obs_id].append(part)  # type: ignore[attr-defined]
    facility = _only_telescope(connection)
    return [_row(plan, parts[obs_id], facility) for obs_id, plan in plans.items()]


def _derived(names: Sequence[str], rows: Sequence[Sequence[object]]) -> Iterable[tuple[str, _Part]]:
    """What the plan says of each module, as a package would."""
    if not rows:
        return
    batch = Batch(names, rows)
    start, end = to_mjd(batch.times("start")), to_mjd(batch.times("end"))
    batch.add({"t_min": start, "t_max": np.where(end < start, np.nan, end)})
    with np.errstate(all="ignore"):
        batch.add(derive_spectral_axis(batch))
        batch.add(derive_spatial_axis(batch))
        batch.add(derive_release_date(batch))
    count = batch.size
    states = batch.texts("pol_states")
    batch.add(
        {
            "t_resolution": [None] * count,
            "t_exptime": [None] * count,
            "declared_rights": [None] * count,
            "pol_xel": [max(0, text.count("/") - 1) if text else None for text in states],
        }
    )
    columns = {name: batch.cells(name) for name in _OF_PACKAGES}
    for number, obs_id in enumerate(batch.texts("obs_id")):
        yield str(obs_id), {name: cells[number] for name, cells in columns.items()}


def _row(plan: _Part, parts: Sequence[_Part], only_telescope: str | None) -> Row:
    cells: dict[str, object] = {name: _agreed(parts, name) for name in _AGREED}
    cells |= _position(parts) | _rights(parts)
    cells |= {
        "obs_unit_id": plan["obs_unit_id"],
        "observing_program_id": plan["observing_program_id"],
        "obs_id": plan["obs_id"],
        "t_planning": _first(_mjd(plan["planned_at"]), _mjd(plan["start"])),
        "t_plan_exptime": plan["planned_exptime_s"],
        "s_resolution": _least(parts, "s_resolution"),
        "em_min": _least(parts, "em_min"),
        "em_max": _greatest(parts, "em_max"),
        "facility_name": _facility(parts) or only_telescope or "unknown",
        "instrument_name": ", ".join(sorted(_said(parts, "instrument_name"))) or None,
        "category": (plan["category"] or "other").capitalize(),
        "priority": _LOWEST_PRIORITY if plan["priority"] is None else plan["priority"],
        "tracking_type": _TRACKING.get(str(_agreed(parts, "tracking_type")).lower())
        or _TRACKING[plan["tracking_type"]],
        **_times(plan, parts),
    }
    for name in ("target_name", "obs_collection"):
        cells[name] = cells[name] or plan[name]
    return tuple(cells[name] for name in obsplan_columns())


def _times(plan: _Part, parts: Sequence[_Part]) -> dict[str, object]:
    """Times and status; ObsLocTAP wants times of everything that is Scheduled or Performed.

    What runs is Scheduled until it has ended, with the end that is expected; Scheduled without a time is Planned.
    """
    t_min = _first(_least(parts, "t_min"), _mjd(plan["start"]))
    t_max = _first(_greatest(parts, "t_max"), _mjd(plan["end"]))
    planned = plan["planned_exptime_s"]
    status = _status(plan, has_time=t_min is not None)
    if status == "Scheduled" and t_max is None and t_min is not None and planned is not None:
        t_max = t_min + planned / _DAY_S
    span = None if t_min is None or t_max is None else round((t_max - t_min) * _DAY_S, SPAN_DIGITS)
    if status == "Scheduled" and span is None:
        status = "Planned"
    exptime = _first(planned, span) if status == "Scheduled" else _exposure(parts, span)
    times = {"t_min": t_min, "t_max": t_max, "t_exptime": None if span is None else exptime}
    return {**times, "execution_status": status}


def _status(plan: _Part, *, has_time: bool) -> str:
    status = plan["status"]
    if status in (ExecutionStatus.PERFORMED.value, ExecutionStatus.ABORTED.value):
        runs = status == ExecutionStatus.PERFORMED.value and plan["start"] is not None and plan["end"] is None
        return "Scheduled" if runs else str(status).capitalize()
    if status is not None:
        return _RANKS[status].value.capitalize()
    return "Scheduled" if has_time else "Planned"


def _exposure(parts: Sequence[_Part], span: float | None) -> float | None:
    """Of several packages of one instrument the sum, of several instruments the longest; never more than the span."""
    if span is None or any(part["t_exptime"] is None for part in parts):
        return span
    totals: dict[object, float] = defaultdict(float)
    for part in parts:
        totals[part["instrument_name"]] += part["t_exptime"]
    return min(max(totals.values(), default=span), span)


def _position(parts: Sequence[_Part]) -> dict[str, object]:
    """That of the package or module which covers most; the first of equals."""
    placed = [part for part in parts if part["s_ra"] is not None]
    if not placed:
        return dict.fromkeys(_POSITION)
    widest = max(placed, key=lambda part: part["s_fov"] or 0.0)
    return {name: widest[name] for name in _POSITION}


def _rights(parts: Sequence[_Part]) -> dict[str, object]:
    """What the access rule looks at: the observation is released when the last of its parts is."""
    declared = {part["declared_rights"] for part in parts}
    dates = [part["obs_release_date"] for part in parts if part["declared_rights"] != DataRights.PUBLIC.value]
    strictest = DataRights.SECURE.value if DataRights.SECURE.value in declared else None
    return {
        "declared_rights": strictest or (None if dates or not parts else DataRights.PUBLIC.value),
        "obs_release_date": None if not dates or None in dates else max(dates),
    }


def _facility(parts: Sequence[_Part]) -> str | None:
    names = _said(parts, "facility_name")
    return "Many" if len(names) > 1 else next(iter(names), None)


def _only_telescope(connection: sa.Connection) -> str | None:
    """Where the plan names no module: the telescope, if there is one alone."""
    names = connection.scalars(sa.select(Telescope.short_name).limit(2)).all()
    return names[0] if len(names) == 1 else None


def _said(parts: Sequence[_Part], name: str) -> dict[Any, None]:
    return dict.fromkeys(part[name] for part in parts if part[name] is not None)


def _agreed(parts: Sequence[_Part], name: str) -> object:
    values = {part[name] for part in parts}
    return values.pop() if len(values) == 1 else None


def _least(parts: Sequence[_Part], name: str) -> float | None:
    return min(_said(parts, name), default=None)


def _greatest(parts: Sequence[_Part], name: str) -> float | None:
    return max(_said(parts, name), default=None)


def _first(*values: float | None) -> Any:
    return next((value for value in values if value is not None), None)


def _mjd(moment: Any) -> float | None:
    return None if moment is None else datetime_to_mjd(moment)


def _text(column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    return sa.type_coerce(column, sa.Text())
