"""What the rows of a stretch of packages share: where they belong, when they were made, what became of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from catalog.ingest.synthetic.draws import Draws, Indices, Texts
from catalog.ingest.synthetic.facts import Facts
from catalog.ingest.synthetic.fates import Fates, build_fates
from catalog.ingest.synthetic.timeline import Moments, Timeline, seconds
from catalog.ingest.synthetic.timetable import Cycle

__all__ = ["Frame", "UnitTimes", "World"]

_RECORD = 512  # tar: bytes of a header, and the grain of what follows it (POSIX.1-2001 ustar)
_BLOCK = 10_240  # tar: grain of the whole


@dataclass(frozen=True, slots=True)
class UnitTimes:
    """Executed units: identity and times."""

    id: Texts
    start: Moments
    end: Moments
    """Also of units that still run: when they are due to end."""


class World:
    """One synthetic observatory, of which any stretch can be made.

    Args:
        facts: What is fixed.
        cycle: What recurs.
        packages: How many packages there are.
        seed: What the random numbers come from.
        files_per_package: How many files each package holds.
        people: Whether there are users who ask for packages.
    """

    def __init__(
        self, facts: Facts, cycle: Cycle, *, packages: int, seed: int, files_per_package: int, people: bool = True
    ) -> None:
        self.facts = facts
        self.cycle = cycle
        self.packages = packages
        self.files_per_package = files_per_package
        self.people = people
        self.draws = Draws(seed)
        self.fates: Fates = build_fates(facts)
        self.timeline = Timeline(
            cycle.sessions_for(packages),
            slots=cycle.slots,
            longitude_deg=facts.observatory["telescope"]["longitude_deg"],
        )
        self.recent_from = packages - min(packages // 2, max(20, min(packages // 50, 2000)))
        """Packages from here on are the last to be recorded: most are not archived yet."""

    @cached_property
    def running(self) -> Indices:
        """Units that have begun and not ended: the last of each of the last two sessions."""
        found = []
        for session in range(max(0, self.timeline.sessions - 2), self.timeline.sessions):
            round_, position = divmod(session, len(self.cycle.slots))
            first = round_ * self.cycle.packages + self.cycle.unit_first_package
            inside = (self.cycle.unit_session == position) & (self.cycle.unit_packages > 0) & (first < self.packages)
            found.append(round_ * self.cycle.units + int(np.flatnonzero(inside)[-1]))
        return np.array(found, dtype=np.int64)

    def unit_times(self, unit: Indices) -> UnitTimes:
        """Identity and times of executed units, by number."""
        round_, place = np.divmod(unit, self.cycle.units)
        session = round_ * len(self.cycle.slots) + self.cycle.unit_session[place]
        late = self.draws.uniform("unit delay", unit) * 20
        start = self.timeline.starts(session) + seconds(self.cycle.unit_offset_s[place] + late)
        kept = np.where(self.cycle.unit_aborted[place], 0.3, 1.0)
        end = start + seconds(self.cycle.unit_duration_s[place] * kept)
        return UnitTimes(self.draws.uuids("unit", unit, start), start, end)

    def pwv_mm(self, unit: Indices) -> npt.NDArray[np.float64]:
        """Precipitable water vapour during executed units, by number: like within a session, unlike between them."""
        round_, place = np.divmod(unit, self.cycle.units)
        session = round_ * len(self.cycle.slots) + self.cycle.unit_session[place]
        weather = np.exp(1.8 * self.draws.uniform("weather", session) - 1.3)
        return np.asarray(np.round(weather * (0.9 + 0.2 * self.draws.uniform("unit weather", unit)), 3))


class Frame:
    """A stretch of packages, by number.

    Args:
        world: Of which observatory.
        index: Which packages.
    """

    def __init__(self, world: World, index: Indices) -> None:
        self.world = world
        self.index = index
        round_, self.place = np.divmod(index, world.cycle.packages)
        self.unit = round_ * world.cycle.units + world.cycle.package_unit[self.place]
        self.units = world.unit_times(self.unit)

    def __len__(self) -> int:
        return len(self.index)

    def by_module(self, of_module: dict[str, Any]) -> npt.NDArray[Any]:
        """A value for each package, chosen by the name of its module."""
        names = list(of_module)
        values = np.array(list(of_module.values()))
        number = {name: at for at, name in enumerate(names)}
        places = np.array([number[name] for name in self.world.cycle.package_module])
        chosen: npt.NDArray[Any] = values[places]
        return chosen[self.place]

    @cached_property
    def start(self) -> Moments:
        """When the package's part of the unit began."""
        return self._moment(self.world.cycle.package_part[self.place])

    @cached_property
    def end(self) -> Moments:
        """When it ended, or is due to end."""
        return self._moment(self.world.cycle.package_part[self.place] + 1)

    @cached_property
    def made_at(self) -> Moments:
        """When the package was opened: minutes after its last file, a rebuild some hours later."""
        wait = 120 + 600 * self.world.draws.uniform("package delay", self.index)
        rebuild = self.world.cycle.package_rebuild[self.place]
        made: Moments = self.end + seconds(np.where(rebuild, wait + 3600, wait))
        return np.minimum(made, self.world.timeline.end)

    @cached_property
    def ids(self) -> Texts:
        """UUIDs of the packages."""
        return self.world.draws.uuids("package", self.index, self.made_at)

    @cached_property
    def running(self) -> npt.NDArray[np.bool_]:
        """Whether the unit still runs."""
        return np.isin(self.unit, self.world.running)

    @cached_property
    def fate(self) -> Indices:
        """What became of each package: an index into `Fates`."""
        fates, draws = self.world.fates, self.world.draws
        # Each hundred packages meet every fate of their table; the stride scatters them, the second term varies them.
        turn = self.index * 37 + 7 * (self.index // 100)
        settled = fates.settled[(turn + draws.shift("fate", 100)) % 100]
        recent = fates.recent[(self.index * 7 + draws.shift("recent fate", 20)) % 20 * 5]
        rebuild = self.world.cycle.package_rebuild
        replaced = rebuild | np.append(rebuild[1:], rebuild[:1])
        fate = np.where(self.index >= self.world.recent_from, recent, settled)
        return np.where(self.running, fates.running[0], np.where(replaced[self.place], fates.settled[0], fate))

    @cached_property
    def built(self) -> npt.NDArray[np.bool_]:
        """Whether the tar exists, or existed: size and checksum are known."""
        return self.world.fates.built[self.fate]

    @cached_property
    def file_sizes(self) -> Indices:
        """Bytes of each file; shape (packages, files_per_package)."""
        count = self.world.files_per_package
        rates = self.by_module({name: kind["bytes_per_s"] for name, kind in self._recording.items()})
        share = (self.end - self.start) / np.timedelta64(1, "s") / max(count, 1)
        address = self.index[:, None] * count + np.arange(count)
        scatter = 0.9 + 0.2 * self.world.draws.uniform("file size", address)
        return np.asarray((rates * share)[:, None] * scatter).astype(np.int64)

    @cached_property
    def sizes(self) -> Indices:
        """Bytes of each package: a tar of its files."""
        members = _RECORD + -(-self.file_sizes // _RECORD) * _RECORD
        sizes: Indices = -(-(members.sum(axis=1) + 2 * _RECORD) // _BLOCK) * _BLOCK
        return sizes

    @cached_property
    def checksums(self) -> Texts:
        """SHA-256 of each package, as invented as the package."""
        return self.world.draws.digits("package checksum", self.index, 64)

    def chosen(self, which: npt.NDArray[Any]) -> Frame:
        """Some of these packages."""
        return Frame(self.world, self.index[which])

    def cycle_texts(self, texts: Sequence[str]) -> npt.NDArray[np.object_]:
        """A text for each package, chosen by its place in the cycle."""
        return np.array(texts, dtype=object)[self.place]

    @property
    def _recording(self) -> dict[str, Any]:
        return dict(self.world.facts.observatory["recording"])

    def _moment(self, part: Indices) -> Moments:
        parts = self.world.cycle.package_parts[self.place]
        span = (self.units.end - self.units.start) / np.timedelta64(1, "s")
        return self.units.start + seconds(span * part / parts)
