"""The timetable as columns: what one cycle of twelve sessions holds, from which every unit and package follows.

A package is a number: its cycle is the quotient by the packages of a cycle, its place in the cycle the remainder. So
any stretch of the catalog can be made without what lies before it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from catalog.ingest.synthetic.draws import Indices
from catalog.ingest.synthetic.facts import Facts

__all__ = ["Cycle", "Plan", "build_cycle"]

_Floats = npt.NDArray[np.float64]
_Flags = npt.NDArray[np.bool_]
_SESSION_HOURS = 2  # sidereal


@dataclass(frozen=True, slots=True)
class Plan:
    """One planned observation: a row of ``obs_unit``."""

    id: int
    name: str
    program: str
    sub: str | None
    source: str | None
    mode: str
    configuration: str | None
    modules: tuple[str, ...]
    seconds: float
    priority: int
    category: str
    status: str | None = None
    """How it stands when it has not been observed."""

    after_days: int = 0


@dataclass(frozen=True, slots=True)
class Cycle:
    """What one cycle holds; arrays over its executed units and over its packages."""

    plans: tuple[Plan, ...]
    slots: tuple[int, ...]
    """Which session of the sidereal day each of the cycle's sessions is."""

    unit_session: Indices
    unit_offset_s: _Floats
    """Seconds after the session began."""

    unit_duration_s: _Floats
    unit_plan: Indices
    """Index into ``plans``."""

    unit_aborted: _Flags
    unit_first_package: Indices
    """First package of the unit or, if it has none, the next package of the cycle."""

    unit_packages: Indices
    unit_azimuth_deg: _Floats
    unit_elevation_deg: _Floats
    package_unit: Indices
    package_module: npt.NDArray[np.object_]
    """``Instrument/Module``."""

    package_part: Indices
    package_parts: Indices
    package_sequence: Indices
    package_rebuild: _Flags
    """Supersedes the package before it."""

    @property
    def units(self) -> int:
        """How many executed units one cycle has."""
        return len(self.unit_plan)

    @property
    def packages(self) -> int:
        """How many packages one cycle has."""
        return len(self.package_unit)

    def sessions_for(self, packages: int) -> int:
        """How many sessions so many packages take."""
        whole, rest = divmod(packages, self.packages)
        begun = self.unit_session[self.unit_first_package < rest]
        return whole * len(self.slots) + (int(begun.max()) + 1 if len(begun) else 0)

    def units_before(self, package: int) -> int:
        """How many executed units come before the one that holds a package, or that package's own remainder."""
        cycle, place = divmod(package, self.packages)
        return cycle * self.units + int(np.searchsorted(self.unit_first_package, place, side="left"))


def build_cycle(facts: Facts) -> Cycle:
    """Lay out the sessions of the timetable one after another."""
    plans: dict[tuple[Any, ...], Plan] = {}
    units: list[tuple[Any, ...]] = []
    packages: list[tuple[Any, ...]] = []
    order = facts.timetable["session_order"]
    for session, slot in enumerate(order):
        for offset, step in _steps(facts, facts.timetable["sessions"][slot]):
            plan = _plan(plans, step)
            before = len(packages)
            if not step.get("aborted"):
                packages.extend(_packages(len(units), step))
            times = (session, offset, float(step["seconds"]))
            made = (bool(step.get("aborted")), before, len(packages) - before)
            units.append((*times, plan.id - 1, *made, *_horizon(facts, plan, slot, offset)))
    for planned in facts.timetable["planned"]:
        _plan(plans, {**facts.timetable["recipes"][planned["do"]], **planned})
    return Cycle(tuple(plans.values()), tuple(order), *_arrays(units), *_arrays(packages))


def _steps(facts: Facts, session: list[dict[str, Any]]) -> Iterator[tuple[float, dict[str, Any]]]:
    """Each step with its recipe filled in, and when it begins."""
    begin, clock = 0.0, 0.0
    for written in session:
        step = {**facts.timetable["recipes"][written["do"]], **written}
        begin = begin if step.get("with") else clock
        clock = max(clock, begin + step["seconds"] + facts.timetable["overhead_s"])
        yield begin, step


def _plan(plans: dict[tuple[Any, ...], Plan], step: Mapping[str, Any]) -> Plan:
    key = tuple(step.get(name) for name in ("program", "sub", "at", "mode", "configuration", "status"))
    if key not in plans:
        words = [word for word in ("synthetic", *key) if word]
        plans[key] = Plan(
            id=len(plans) + 1,
            name="-".join(re.sub(r"[^a-z0-9+]+", "-", word.lower()).strip("-") for word in words),
            program=step["program"],
            sub=step.get("sub"),
            source=step.get("at"),
            mode=step["mode"],
            configuration=step.get("configuration"),
            modules=tuple(step["modules"]),
            seconds=step["seconds"],
            priority=step["priority"],
            category=step.get("category", "other"),
            status=step.get("status"),
            after_days=step.get("after_days", 0),
        )
    return plans[key]


def _packages(unit: int, step: Mapping[str, Any]) -> Iterator[tuple[Any, ...]]:
    parts = step.get("parts", 1)
    for module in step["modules"]:
        for part in range(parts):
            yield unit, module, part, parts, part, False
    if step.get("rebuild"):
        yield unit, step["modules"][-1], parts - 1, parts, parts, True


def _horizon(facts: Facts, plan: Plan, slot: int, offset_s: float) -> tuple[float, float]:
    """Azimuth and elevation in mid-observation, degrees; NaN for what moves and for what has no direction."""
    scan = facts.scan(plan.source)
    if scan is not None:
        return scan
    position = facts.position(plan.source)
    if position is None:
        return np.nan, np.nan
    sidereal_deg = (slot * _SESSION_HOURS + (offset_s + plan.seconds / 2) / 3590.17) * 15
    latitude, dec = np.radians(facts.observatory["telescope"]["latitude_deg"]), np.radians(position[1])
    angle = np.radians(sidereal_deg - position[0])
    up = np.sin(latitude) * np.sin(dec) + np.cos(latitude) * np.cos(dec) * np.cos(angle)
    north = np.cos(latitude) * np.sin(dec) - np.sin(latitude) * np.cos(dec) * np.cos(angle)
    azimuth = np.degrees(np.arctan2(-np.cos(dec) * np.sin(angle), north)) % 360
    return round(float(azimuth), 2), round(float(np.degrees(np.arcsin(up))), 2)


def _arrays(rows: list[tuple[Any, ...]]) -> Iterator[npt.NDArray[Any]]:
    for values in zip(*rows, strict=True):
        array = np.array(values)
        yield array.astype(object) if array.dtype.kind == "U" else array
