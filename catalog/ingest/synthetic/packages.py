"""Executed units, their slots, packages and the metadata of packages."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from catalog.ingest.synthetic.columns import ColumnBatch, from_records, or_null
from catalog.ingest.synthetic.draws import Indices
from catalog.ingest.synthetic.fixed import Now, table
from catalog.ingest.synthetic.frame import Frame, World
from catalog.ingest.synthetic.timeline import seconds
from catalog.ingest.synthetic.timetable import Plan
from catalog.opsdb.enums import ChecksumAlgorithm, DataRights, ExecutionStatus, ScanMode

__all__ = ["build_metadata", "build_packages", "build_planned", "build_units"]

_SLOTTED = ("fixed", "coordinated", "window")
_CREATOR = "Synthetic observatory (demonstration data)"
_OVERRIDES = 97
"""Of so many packages, some have one of the values that override what is derived."""


def build_units(world: World, unit: Indices) -> Iterator[ColumnBatch]:
    """Executed units by number, and the slots of those that were scheduled."""
    cycle = world.cycle
    place = unit % cycle.units
    times = world.unit_times(unit)
    running = np.isin(unit, world.running)
    plan = np.array([plan.id for plan in cycle.plans])[cycle.unit_plan[place]]
    made = times.start - seconds(5)
    closed = np.where(running, times.start, times.end + seconds(10))
    status = np.where(cycle.unit_aborted[place], str(ExecutionStatus.ABORTED), str(ExecutionStatus.PERFORMED))
    yield ColumnBatch(
        table("executed_obs_unit"),
        {
            "id": times.id,
            "obs_unit_id": plan,
            "start_time": times.start,
            "end_time": np.where(running, np.datetime64("NaT", "us"), times.end),
            "execution_status": status,
            "azimuth_deg": cycle.unit_azimuth_deg[place],
            "elevation_deg": cycle.unit_elevation_deg[place],
            "pwv_mm": world.pwv_mm(unit),
            "created_at": made,
            "updated_at": closed,
        },
    )
    slotted = np.array([plan.category in _SLOTTED for plan in cycle.plans])[cycle.unit_plan[place]]
    planned_end = times.start + seconds(cycle.unit_duration_s[place] + world.facts.timetable["overhead_s"])
    slots = {"id": unit + 1, "obs_unit_id": plan, "start_time": times.start, "end_time": planned_end}
    slots |= {"created_at": times.start - np.timedelta64(3, "D"), "updated_at": times.start - np.timedelta64(3, "D")}
    yield ColumnBatch(table("obs_unit_slot"), slots).take(slotted)


def build_planned(world: World, now: Now) -> Iterator[ColumnBatch]:
    """Units that are planned and not observed, and the slots of those that have a time."""
    plans = [plan for plan in world.cycle.plans if plan.status is not None]
    begin = [world.timeline.end + np.timedelta64(plan.after_days, "D") for plan in plans]
    ids = world.draws.uuids("planned unit", np.arange(len(plans)), np.array([now["created_at"]] * len(plans)))
    units = [
        {"id": id_, "obs_unit_id": plan.id, "execution_status": plan.status, **now}
        for id_, plan in zip(ids.tolist(), plans, strict=True)
    ]
    yield from_records(table("executed_obs_unit"), units)
    slots = [
        {"id": world.cycle.units_before(world.packages) + number, "obs_unit_id": plan.id}
        | {"start_time": start, "end_time": start + seconds(plan.seconds), **now}
        for number, (plan, start) in enumerate(zip(plans, begin, strict=True), start=1)
        if plan.status != ExecutionStatus.UNSCHEDULED
    ]
    yield from_records(table("obs_unit_slot"), slots)


def build_packages(frame: Frame) -> ColumnBatch:
    """Rows of ``raw_data_package``."""
    world, fates = frame.world, frame.world.fates
    cycle = world.cycle
    rebuild = cycle.package_rebuild[frame.place]
    replaced = np.full(len(frame), None, dtype=object)
    replaced[rebuild] = Frame(world, frame.index[rebuild] - 1).ids
    names, paths = _names(frame)
    kinds = {name: kind["files"] for name, kind in world.facts.observatory["recording"].items()}
    fits = or_null(frame.by_module(kinds) == "fits", "application/fits")
    return ColumnBatch(
        table("raw_data_package"),
        {
            "id": frame.ids,
            "executed_obs_unit_id": frame.units.id,
            "instrument_module_id": frame.by_module(dict(world.facts.modules)),
            "sequence": cycle.package_sequence[frame.place],
            "name": names,
            "relative_path": paths,
            "content_format": fits,
            "size_bytes": or_null(frame.built, frame.sizes),
            "checksum": or_null(frame.built, frame.checksums),
            "checksum_algorithm": or_null(frame.built, str(ChecksumAlgorithm.SHA256)),
            "state": fates.state[frame.fate],
            "status": fates.status[frame.fate],
            "supersedes_id": replaced,
            "created_at": frame.made_at,
            "updated_at": np.minimum(frame.made_at + seconds(frame.built * 900.0), world.timeline.end),
        },
    )


def build_metadata(frame: Frame) -> ColumnBatch:
    """Rows of ``raw_data_package_metadata``: a title for every package, and here and there an overriding value."""
    world = frame.world
    recording = world.facts.observatory["recording"]
    turn = (frame.index * 5 + world.draws.shift("override", _OVERRIDES)) % _OVERRIDES
    stated = {
        name: frame.by_module({module: kind["metadata"].get(name, np.nan) for module, kind in recording.items()})
        for name in ("t_resolution", "f_resolution")
    }
    span = (frame.end - frame.start) / np.timedelta64(1, "s")
    return ColumnBatch(
        table("raw_data_package_metadata"),
        {
            "raw_data_package_id": frame.ids,
            "obs_title": frame.cycle_texts(_titles(world)),
            "obs_creator_name": _same(frame, _CREATOR),
            **_pointing(frame, turn >= _OVERRIDES - 6),
            "t_exptime": np.where(turn == 0, np.round(span * 0.9, 3), np.nan),
            "scan_mode": or_null(turn == 1, str(ScanMode.RASTER_MAP)),
            **_rights(turn),
            **stated,
            "document": _documents(frame),
            "schema_version": np.ones(len(frame), dtype=np.int64),
            "generated_at": frame.made_at,
            "created_at": frame.made_at,
            "updated_at": frame.made_at,
        },
    )


def _names(frame: Frame) -> tuple[npt.NDArray[np.object_], npt.NDArray[np.object_]]:
    cycle = frame.world.cycle
    modules = [name.replace("/", "-") for name in cycle.package_module]
    stamps = np.datetime_as_string(frame.units.start, unit="s")
    names, paths = [], []
    columns = (stamps.tolist(), frame.place.tolist(), frame.index.tolist())
    for stamp, place, index in zip(*columns, strict=True):
        day = stamp[:10].replace("-", "")
        name = f"synthetic_{day}_{index:08d}_{modules[place]}_{cycle.package_sequence[place]:02d}.tar"
        names.append(name)
        paths.append(f"synthetic/{modules[place]}/{day[:4]}/{day[4:6]}/{day[6:]}/{name}")
    return _objects(names), _objects(paths)


def _titles(world: World) -> list[str]:
    titles = []
    for unit, module in zip(world.cycle.package_unit, world.cycle.package_module, strict=True):
        plan: Plan = world.cycle.plans[world.cycle.unit_plan[unit]]
        line = f", {plan.configuration}" if plan.configuration and module.startswith("CHAI/") else ""
        titles.append(f"Synthetic: {plan.source or 'no source'}, {module}{line}, {plan.mode}")
    return titles


def _pointing(frame: Frame, chosen: npt.NDArray[np.bool_]) -> dict[str, npt.NDArray[Any]]:
    """Centres as pointing data would give them, for some packages of fixed sources: off by up to half an arcminute."""
    cycle, facts = frame.world.cycle, frame.world.facts
    fixed = facts.observatory["sources"]["fixed"]
    sources = [cycle.plans[plan].source for plan in cycle.unit_plan]
    planned = [facts.position(name) if name in fixed else (np.nan, np.nan) for name in sources]
    centre = np.array(planned)[cycle.package_unit][frame.place]
    off = (frame.world.draws.uniform("pointing", frame.index) - 0.5) / 60
    centre = np.where(chosen[:, None], np.round(centre + off[:, None], 6), np.nan)
    return {"s_ra": centre[:, 0], "s_dec": centre[:, 1]}


def _rights(turn: Indices) -> dict[str, npt.NDArray[Any]]:
    """Declared rights, and release dates of single packages: one past, one far."""
    rights = np.full(len(turn), None, dtype=object)
    for at, kind in ((3, DataRights.PUBLIC), (4, DataRights.SECURE), (5, DataRights.PROPRIETARY)):
        rights[turn == at] = str(kind)
    release = np.full(len(turn), np.datetime64("NaT", "us"))
    release[turn == 6] = np.datetime64("2026-06-01", "us")
    release[turn == 7] = np.datetime64("2028-06-01", "us")
    return {"obs_release_date": release, "data_rights": rights}


def _documents(frame: Frame) -> npt.NDArray[np.object_]:
    facts, cycle = frame.world.facts, frame.world.cycle
    tuned = facts.observatory["configurations"]["chai"]
    lines = [tuned.get(cycle.plans[plan].configuration, [None])[0] for plan in cycle.unit_plan]
    documents = []
    columns = (frame.unit.tolist(), cycle.package_unit[frame.place].tolist(), frame.world.pwv_mm(frame.unit).tolist())
    for unit, place, pwv_mm in zip(*columns, strict=True):
        observation: dict[str, object] = {"scan_id": f"scan_{unit:06d}", "pwv_mm": pwv_mm}
        if lines[place] is not None:
            observation["frequency_ghz"] = lines[place]
        documents.append(json.dumps({"synthetic": True, "observation": observation}))
    return _objects(documents)


def _same(frame: Frame, text: str) -> npt.NDArray[np.object_]:
    return np.full(len(frame), text, dtype=object)


def _objects(values: list[str]) -> npt.NDArray[np.object_]:
    return np.array(values, dtype=object)
