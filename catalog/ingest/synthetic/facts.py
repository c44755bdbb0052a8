"""The facts of the synthetic observatory, and the numbers by which its rows refer to each other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from catalog.assets import read_asset

__all__ = ["Facts", "load_facts"]

_FOLDER = ("vo_resources", "synthetic")


@dataclass(frozen=True, slots=True)
class Facts:
    """Both files as written, and ids by name, counted from 1 in the order of the files."""

    observatory: Mapping[str, Any]
    timetable: Mapping[str, Any]
    instruments: Mapping[str, int] = field(default_factory=dict)
    modules: Mapping[str, int] = field(default_factory=dict)
    """``Instrument/Module``."""

    programs: Mapping[str, int] = field(default_factory=dict)
    """By short name, like the sub-programmes."""

    sub_programs: Mapping[str, int] = field(default_factory=dict)
    sources: Mapping[str, int] = field(default_factory=dict)
    modes: Mapping[str, int] = field(default_factory=dict)
    configurations: Mapping[str, int] = field(default_factory=dict)
    sites: Mapping[str, int] = field(default_factory=dict)
    locations: Mapping[str, int] = field(default_factory=dict)
    routes: Mapping[str, int] = field(default_factory=dict)

    @property
    def note(self) -> str:
        """The sentence that says that all this is synthetic."""
        return str(self.observatory["note"])

    def position(self, source: str | None) -> tuple[float, float] | None:
        """ICRS position of a fixed source, or of the middle of a survey field, in degrees; None for all else."""
        sources = self.observatory["sources"]
        if source in sources["fixed"]:
            return sources["fixed"][source][0], sources["fixed"][source][1]
        *_, west, east, south, north = sources["constant_elevation"].get(source, [None] * 7)
        if west is None:
            return None
        return (west + (east - west) % 360 / 2) % 360, (south + north) / 2

    def scan(self, source: str | None) -> tuple[float, float] | None:
        """Mean azimuth and elevation of a scan, in degrees; None where only the field is stated."""
        begin, end, elevation, *_ = self.observatory["sources"]["constant_elevation"].get(source, [None] * 7)
        return None if begin is None else ((begin + end) / 2, float(elevation))


def load_facts() -> Facts:
    """Read ``vo_resources/synthetic``.

    Raises:
        InternalError: The installation lacks the files.
    """
    written = yaml.safe_load(read_asset(*_FOLDER, "observatory.yaml"))
    timetable = yaml.safe_load(read_asset(*_FOLDER, "timetable.yaml"))
    instruments, programs = written["instruments"], written["programs"]
    return Facts(
        observatory=written,
        timetable=timetable,
        instruments=_numbered(instrument["name"] for instrument in instruments),
        modules=_numbered(f"{i['name']}/{module['name']}" for i in instruments for module in i["modules"]),
        programs=_numbered(program["short_name"] for program in programs),
        sub_programs=_numbered(sub["short_name"] for program in programs for sub in program.get("subs", ())),
        sources=_numbered(name for kind in written["sources"].values() for name in kind),
        modes=_numbered(written["obs_modes"]),
        configurations=_numbered(name for kind in written["configurations"].values() for name in kind),
        sites=_numbered(site["key"] for site in written["sites"]),
        locations=_numbered(written["locations"]),
        routes=_numbered(route["name"] for route in written["routes"]),
    )


def _numbered(names: Iterable[str]) -> dict[str, int]:
    return {name: number for number, name in enumerate(names, start=1)}
