"""The synthetic observatory from outside: its rows in batches of columns, whole or from any place on."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from catalog.errors import UsageError
from catalog.ingest.synthetic.columns import ColumnBatch
from catalog.ingest.synthetic.copies import build_archiving, build_copies, build_file_copies
from catalog.ingest.synthetic.facts import load_facts
from catalog.ingest.synthetic.files import build_files
from catalog.ingest.synthetic.fixed import build_fixed
from catalog.ingest.synthetic.frame import Frame, World
from catalog.ingest.synthetic.packages import build_metadata, build_packages, build_planned, build_units
from catalog.ingest.synthetic.storage import build_people, build_storage
from catalog.ingest.synthetic.timetable import build_cycle
from catalog.ingest.synthetic.transfers import build_transfers, packages_per_transfer

__all__ = ["BATCH_PACKAGES", "SyntheticObservatory", "build_observatory"]

BATCH_PACKAGES = 20_000
"""Packages of one batch, unless the files of each are many."""

_MAX_PACKAGES = 10_000_000
_MAX_FILES = 1_000
_BATCH_FILES = 60_000


class SyntheticObservatory:
    """The rows of one synthetic observatory; any stretch of packages can be made by itself.

    Args:
        packages: How many packages, 1 to 10,000,000.
        seed: Any whole number; all that is random follows from it.
        files_per_package: How many files each package holds, 0 to 1,000.
        people: Whether users, roles and permissions are made too.

    Raises:
        UsageError: A number is out of range.
    """

    def __init__(self, packages: int, seed: int, files_per_package: int = 3, *, people: bool = True) -> None:
        if not 1 <= packages <= _MAX_PACKAGES:
            raise UsageError(f"{packages} is no number of packages; expected 1 to {_MAX_PACKAGES:,}")
        if not 0 <= files_per_package <= _MAX_FILES:
            raise UsageError(f"{files_per_package} is no number of files per package; expected 0 to {_MAX_FILES:,}")
        facts = load_facts()
        self._world = World(
            facts,
            build_cycle(facts),
            packages=packages,
            seed=seed,
            files_per_package=files_per_package,
            people=people,
        )
        self.packages = packages
        self.batch_packages = max(1, min(BATCH_PACKAGES, _BATCH_FILES // max(1, files_per_package)))
        """How many packages to make at once, so that memory stays small."""

        self._per_transfer = packages_per_transfer(self._world)
        self.transfers = -(-packages // self._per_transfer)
        """How many groups of packages may travel together."""

        self.batch_transfers = self.transfers_of(self.batch_packages)
        """How many of these groups to make at once."""

    def transfers_of(self, packages: int) -> int:
        """How many whole groups so many packages make, at least one."""
        return max(1, packages // self._per_transfer)

    def fixed(self) -> Iterator[ColumnBatch]:
        """What does not depend on the number of packages, and what is planned."""
        world = self._world
        now = {"created_at": world.timeline.begin, "updated_at": world.timeline.begin}
        yield from build_fixed(world.facts, world.cycle, now)
        yield from build_storage(world.facts, now)
        if world.people:
            yield from build_people(world.facts, world.draws, now)
        yield from build_planned(world, now)

    def stretch(self, first: int, last: int) -> Iterator[ColumnBatch]:
        """Packages ``first`` to ``last - 1`` with their units, metadata, files and copies; after `fixed`, in order."""
        world = self._world
        last = min(last, self.packages)
        units = np.arange(world.cycle.units_before(first), world.cycle.units_before(last))
        frame = Frame(world, np.arange(first, last))
        yield from build_units(world, units)
        yield build_packages(frame)
        yield build_metadata(frame)
        yield build_files(frame)
        yield build_copies(frame)
        yield build_file_copies(frame)
        yield build_archiving(frame)

    def moves(self, first: int, last: int) -> Iterator[ColumnBatch]:
        """Transfer packages and staging jobs of the groups ``first`` to ``last - 1``; after their packages."""
        yield from build_transfers(self._world, np.arange(first, min(last, self.transfers)))


def build_observatory(
    packages: int, seed: int, files_per_package: int = 3, *, batch_packages: int | None = None
) -> Iterator[ColumnBatch]:
    """All rows of a synthetic observatory, in an order that satisfies every foreign key, in constant memory.

    Args:
        packages: How many packages, 1 to 10,000,000.
        seed: Any whole number; the same numbers make the same rows.
        files_per_package: How many files each package holds, 0 to 1,000.
        batch_packages: How many packages to make at once; changes nothing in the rows.

    Raises:
        UsageError: A number is out of range.
    """
    observatory = SyntheticObservatory(packages, seed, files_per_package)
    size = batch_packages or observatory.batch_packages
    return _batches(observatory, size)


def _batches(observatory: SyntheticObservatory, size: int) -> Iterator[ColumnBatch]:
    yield from (batch for batch in observatory.fixed() if len(batch))
    for first in range(0, observatory.packages, size):
        yield from (batch for batch in observatory.stretch(first, first + size) if len(batch))
    groups = observatory.transfers_of(size)
    for first in range(0, observatory.transfers, groups):
        yield from (batch for batch in observatory.moves(first, first + groups) if len(batch))
