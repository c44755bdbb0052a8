"""Which packages travel together: a pure function over waiting packages, which holds one bundle at a time.

The packages of one execution are never separated; those of one planned observation are kept together while the
bundle has room. What does not fill a bundle waits, until its oldest package has waited too long.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from uuid import UUID

__all__ = ["BundleLimits", "PackageToSend", "PlannedBundle", "plan_bundles"]


@dataclass(frozen=True, slots=True)
class PackageToSend:
    """A package that lies at an origin and is wanted elsewhere."""

    package_id: UUID
    executed_obs_unit_id: UUID
    obs_unit_id: int
    size_bytes: int
    ways: tuple[int, ...]
    """Which ways it has to go, by their numbers."""

    is_overdue: bool
    """Whether something of its observation has waited too long."""

    obs_unit_bytes: int
    """Of everything of its planned observation that goes the same ways."""


@dataclass(frozen=True, slots=True)
class BundleLimits:
    """How large a bundle becomes; an execution that is larger travels in a bundle of its own."""

    min_bytes: int = 10_000_000_000_000
    max_bytes: int = 50_000_000_000_000
    max_packages: int = 100_000


@dataclass(frozen=True, slots=True)
class PlannedBundle:
    """Packages that travel together, or that wait together for more."""

    ways: tuple[int, ...]
    packages: tuple[UUID, ...]
    size_bytes: int
    goes: bool
    """Whether it is large enough, or has waited long enough."""


@dataclass(slots=True)
class _Load:
    """Packages that are together so far: an execution, or a bundle."""

    obs_unit_id: int = 0
    """Of the last execution."""

    obs_unit_bytes: int = 0
    packages: list[UUID] = field(default_factory=list)
    size_bytes: int = 0
    is_overdue: bool = False

    def add(self, package: PackageToSend) -> None:
        self.obs_unit_id = package.obs_unit_id
        self.obs_unit_bytes = package.obs_unit_bytes
        self.packages.append(package.package_id)
        self.size_bytes += package.size_bytes
        self.is_overdue |= package.is_overdue

    def join(self, other: _Load) -> None:
        self.obs_unit_id = other.obs_unit_id
        self.packages += other.packages
        self.size_bytes += other.size_bytes
        self.is_overdue |= other.is_overdue

    def has_room_for(self, size_bytes: int, packages: int, limits: BundleLimits) -> bool:
        return self.size_bytes + size_bytes <= limits.max_bytes and len(self.packages) + packages <= limits.max_packages


def plan_bundles(packages: Iterable[PackageToSend], limits: BundleLimits) -> Iterator[PlannedBundle]:
    """Group packages into bundles; the last of each group of ways may have to wait.

    Args:
        packages: By ways, then by urgency, those of one planned observation together, those of one execution together
            among them; read once, as bundles are asked for.
        limits: How large a bundle becomes.
    """
    for ways, some in groupby(packages, key=lambda package: package.ways):
        yield from _bundles(ways, _executions(some), limits)


def _executions(packages: Iterable[PackageToSend]) -> Iterator[_Load]:
    for _, some in groupby(packages, key=lambda package: package.executed_obs_unit_id):
        load = _Load()
        for package in some:
            load.add(package)
        yield load


def _bundles(ways: tuple[int, ...], executions: Iterator[_Load], limits: BundleLimits) -> Iterator[PlannedBundle]:
    bundle = _Load()
    for execution in executions:
        if bundle.packages and not bundle.has_room_for(execution.size_bytes, len(execution.packages), limits):
            if bundle.size_bytes < limits.min_bytes <= execution.size_bytes:
                yield _planned(ways, execution, goes=True)
                continue
            yield _planned(ways, bundle, goes=True)
            bundle = _Load()
        elif bundle.size_bytes >= limits.min_bytes and _begins_what_would_be_torn(bundle, execution, limits):
            yield _planned(ways, bundle, goes=True)
            bundle = _Load()
        bundle.join(execution)
    if bundle.packages:
        yield _planned(ways, bundle, goes=bundle.size_bytes >= limits.min_bytes or bundle.is_overdue)


def _begins_what_would_be_torn(bundle: _Load, execution: _Load, limits: BundleLimits) -> bool:
    """The execution is the first of a planned observation that the bundle has no room for as a whole."""
    is_first = execution.obs_unit_id != bundle.obs_unit_id
    return is_first and not bundle.has_room_for(execution.obs_unit_bytes, len(execution.packages), limits)


def _planned(ways: tuple[int, ...], load: _Load, *, goes: bool) -> PlannedBundle:
    return PlannedBundle(ways, tuple(load.packages), load.size_bytes, goes)
