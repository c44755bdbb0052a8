"""The rows that every synthetic catalog has: observatory, programmes, sources, configurations, plans, sites, people."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import sqlalchemy as sa

from catalog.ingest.synthetic.columns import ColumnBatch, from_records
from catalog.ingest.synthetic.facts import Facts
from catalog.ingest.synthetic.timetable import Cycle
from catalog.opsdb.models import OpsBase

__all__ = ["Now", "build_fixed", "table"]

Now = dict[str, np.datetime64]
"""``created_at`` and ``updated_at`` of what was there from the beginning."""

_Record = dict[str, Any]
_SCAN = ("azimuth_min_deg", "azimuth_max_deg", "elevation_deg")


def table(name: str) -> sa.Table:
    """A table of the operations database."""
    return OpsBase.metadata.tables[f"ops.{name}"]


def build_fixed(facts: Facts, cycle: Cycle, now: Now) -> Iterator[ColumnBatch]:
    """Rows in an order that satisfies every foreign key; what people may do and where data lie come from elsewhere."""
    yield from _instruments(facts, now)
    yield from _programs(facts, now)
    yield from _sources(facts, now)
    yield from _configurations(facts, now)
    yield from _plans(facts, cycle, now)


def _instruments(facts: Facts, now: Now) -> Iterator[ColumnBatch]:
    written = facts.observatory
    observatory = {"id": 1, "name": written["observatory"], "description": facts.note, **now}
    yield from_records(table("observatory"), [observatory])
    yield from_records(table("telescope"), [{"id": 1, "observatory_id": 1, **written["telescope"], **now}])
    instruments = [
        {"id": facts.instruments[i["name"]], "telescope_id": 1, "name": i["name"], "available": i["available"]}
        | {"description": facts.note, **now}
        for i in written["instruments"]
    ]
    yield from_records(table("instrument"), instruments)
    modules = [
        _module(facts, instrument["name"], module) | now
        for instrument in written["instruments"]
        for module in instrument["modules"]
    ]
    yield from_records(table("instrument_module"), modules)


def _module(facts: Facts, instrument: str, module: Mapping[str, Any]) -> _Record:
    records = f"{instrument}/{module['name']}" in facts.observatory["recording"]
    return {
        "id": facts.modules[f"{instrument}/{module['name']}"],
        "instrument_id": facts.instruments[instrument],
        "name": module["name"],
        "kind": module["kind"],
        "frequency_min_ghz": float(module["ghz"][0]),
        "frequency_max_ghz": float(module["ghz"][1]),
        "beam_fwhm_arcsec": float(module["beam"]),
        "fov_deg": float(module["fov"]),
        "pixel_count": module["pixels"],
        "pol_states": module["pol"],
        "resolving_power": module.get("power"),
        "description": facts.note if records else f"{facts.note} Records nothing.",
    }


def _programs(facts: Facts, now: Now) -> Iterator[ColumnBatch]:
    programs: list[_Record] = []
    subs: list[_Record] = []
    for program in facts.observatory["programs"]:
        number = facts.programs[program["short_name"]]
        programs.append(
            {"id": number, "name": f"{program['name']} (synthetic)", "short_name": program["short_name"]}
            | {"description": facts.note, "proposal_id": f"synthetic-2026-{number:03d}"}
            | {"pi_name": f"Synthetic Investigator {number}", **_release(program), **now}
        )
        subs.extend(
            {"id": facts.sub_programs[sub["short_name"]], "observing_program_id": number}
            | {"name": f"{sub['name']} (synthetic)", "short_name": sub["short_name"], **_release(sub), **now}
            for sub in program.get("subs", ())
        )
    yield from_records(table("observing_program"), programs)
    yield from_records(table("sub_observing_program"), subs)


def _release(rule: Mapping[str, Any]) -> _Record:
    date = rule.get("release_date")
    moment = np.datetime64("NaT" if date is None else date, "us")
    return {"release_date": moment, "release_months": rule.get("release_months")}


def _sources(facts: Facts, now: Now) -> Iterator[ColumnBatch]:
    kinds = facts.observatory["sources"]
    tables = {"fixed": "fixed_source", "solar_system": "solar_system_object"}
    tables["constant_elevation"] = "constant_elevation_source"
    columns = {
        "fixed": ("ra_deg", "dec_deg", "extent_deg"),
        "solar_system": ("body", "naif_id"),
        "constant_elevation": (*_SCAN, "ra_min_deg", "ra_max_deg", "dec_min_deg", "dec_max_deg"),
    }
    sources = [
        {"id": facts.sources[name], "type": tables[kind], "name": name, "description": facts.note, **now}
        for kind, known in kinds.items()
        for name in known
    ]
    yield from_records(table("source"), sources)
    for kind, known in kinds.items():
        rows = [
            {"id": facts.sources[name], **dict(zip(columns[kind], values, strict=True))}
            for name, values in known.items()
        ]
        yield from_records(table(tables[kind]), rows)


def _configurations(facts: Facts, now: Now) -> Iterator[ColumnBatch]:
    modes = [
        {"id": facts.modes[name], "name": name, "description": f"{mode[2]}. {facts.note}"}
        | {"scan_mode": mode[0], "tracking_type": mode[1], **now}
        for name, mode in facts.observatory["obs_modes"].items()
    ]
    yield from_records(table("obs_mode"), modes)
    chai, prime_cam = (facts.observatory["configurations"][kind] for kind in ("chai", "prime_cam"))
    kinds = dict.fromkeys(chai, "chai_observation_configuration")
    kinds |= dict.fromkeys(prime_cam, "prime_cam_observation_configuration")
    synthetic = json.dumps({"synthetic": True})
    rows = [
        {"id": facts.configurations[name], "type": kind, "name": f"synthetic-{name}", "parameters": synthetic, **now}
        for name, kind in kinds.items()
    ]
    yield from_records(table("observation_configuration"), rows)
    lines = [
        {"id": facts.configurations[name], "line_id": name, "line_frequency_ghz": tuning[0], "bandwidth_ghz": tuning[1]}
        for name, tuning in chai.items()
    ]
    yield from_records(table("chai_observation_configuration"), lines)
    patterns = [
        {"id": facts.configurations[name], "scan_pattern": pattern[0], "scan_speed_deg_s": pattern[1]}
        for name, pattern in prime_cam.items()
    ]
    yield from_records(table("prime_cam_observation_configuration"), patterns)
    yield from _module_configurations(facts, now)


def _module_configurations(facts: Facts, now: Now) -> Iterator[ColumnBatch]:
    """One set-up for each module, which bears the module's number."""
    synthetic = json.dumps({"synthetic": True})
    heterodyne = [number for name, number in facts.modules.items() if name.startswith("CHAI/")]
    rows = [
        {"id": number, "instrument_module_id": number, "name": "synthetic-default", "parameters": synthetic}
        | {"type": "chai_module_configuration" if number in heterodyne else "instrument_module_configuration", **now}
        for number in facts.modules.values()
    ]
    yield from_records(table("instrument_module_configuration"), rows)
    bands = [{"id": n, "if_min_ghz": 4.0, "if_max_ghz": 8.0, "channel_width_khz": 100.0} for n in heterodyne]
    yield from_records(table("chai_module_configuration"), bands)


def _plans(facts: Facts, cycle: Cycle, now: Now) -> Iterator[ColumnBatch]:
    rows = [
        {
            "id": plan.id,
            "name": plan.name,
            "observing_program_id": facts.programs[plan.program],
            "sub_observing_program_id": facts.sub_programs[plan.sub] if plan.sub else None,
            "source_id": facts.sources[plan.source] if plan.source else None,
            "obs_mode_id": facts.modes[plan.mode],
            "observation_configuration_id": facts.configurations[plan.configuration] if plan.configuration else None,
            "planned_at": now["created_at"] + np.timedelta64(1, "D"),
            "planned_exptime_s": float(plan.seconds),
            "priority": plan.priority,
            "category": plan.category,
            **now,
        }
        for plan in cycle.plans
    ]
    yield from_records(table("obs_unit"), rows)
    used = [
        {"obs_unit_id": plan.id, "instrument_module_configuration_id": facts.modules[module]}
        for plan in cycle.plans
        for module in plan.modules
    ]
    yield from_records(table("obs_unit_module_configuration"), used)
