"""Live facts about what is published: how much, where, when, in which band, by which instrument.

The part of the sky is a MOC, which takes time for a large programme. It is kept, and packages that were added since are
laid over it; it is made anew when a package that was counted has changed or gone. The rest are plain aggregates. Where
the metadata of some packages are hidden, only what everybody sees is told of.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import sqlalchemy as sa

from catalog.db import Database
from catalog.opsdb.models import RegistryCoverage
from catalog.registry.store import lock_registry

__all__ = ["Coverage", "Interval", "joined", "read_coverages", "update_mocs"]

Interval = tuple[float, float]
Shown = sa.ColumnElement[bool] | None
"""A condition on the rows; None when all are shown."""

_Row = sa.Row[*tuple[Any, ...]]

_LIGHT_JM = 6.62607015e-34 * 299_792_458.0  # Planck's constant times the speed of light
_DAYS = 0.01  # MJD are rounded outwards to it: UTC at the telescope is not TDB at the barycentre, by up to ten minutes
_DIGITS = 4
_REGIONS = 5_000  # laid over a MOC at once


@dataclass(frozen=True, slots=True)
class Coverage:
    """What a set of packages covers."""

    packages: int = 0
    moc: str = ""
    """MOC 2.0, ASCII, ICRS; empty where no position is known."""

    temporal: Interval | None = None
    """First and last moment, MJD."""

    spectral: tuple[Interval, ...] = ()
    """Energies of photons in joule, low and high; apart from each other and ascending."""

    facilities: tuple[str, ...] = ()
    instruments: tuple[str, ...] = ()


def read_coverages(connection: sa.Connection, rows: sa.Table, shown: Shown = None) -> dict[str, Coverage]:
    """What each programme covers, by obs_collection; its MOC as `update_mocs` left it.

    Args:
        connection: Of the owner.
        rows: ``catalog.package_obscore``.
        shown: Which of them everybody sees; None for all.
    """
    c = rows.c
    keys = (c.obs_collection, c.facility_name, c.instrument_name)
    first, last = sa.func.coalesce(c.t_min, c.t_max), sa.func.coalesce(c.t_max, c.t_min)
    ends = (sa.func.min(first), sa.func.max(last), sa.func.min(c.em_min), sa.func.max(c.em_max))
    groups = connection.execute(
        sa.select(*keys, sa.func.count(), *ends).where(_all(shown)).group_by(*keys).order_by(c.obs_collection)
    )
    mocs = {row.collection: row.moc for row in connection.execute(sa.select(RegistryCoverage.__table__))}
    return {
        collection: _coverage(list(group), mocs.get(collection, ""))
        for collection, group in groupby(groups, key=lambda row: str(row[0]))
    }


def joined(coverages: Sequence[Coverage]) -> Coverage:
    """What several sets of packages cover together."""
    mocs = [coverage.moc for coverage in coverages if coverage.moc]
    times = [coverage.temporal for coverage in coverages if coverage.temporal]
    return Coverage(
        packages=sum(coverage.packages for coverage in coverages),
        moc=_union(mocs),
        temporal=(min(t[0] for t in times), max(t[1] for t in times)) if times else None,
        spectral=_merged([interval for coverage in coverages for interval in coverage.spectral]),
        facilities=_names(name for coverage in coverages for name in coverage.facilities),
        instruments=_names(name for coverage in coverages for name in coverage.instruments),
    )


def update_mocs(database: Database, rows: sa.Table, *, order: int, full: bool = False, shown: Shown = None) -> None:
    """Bring the kept MOCs up to date. They are made while others may write; what has changed is written at the end.

    Args:
        database: Opened with the owner's login.
        rows: ``catalog.package_obscore``.
        order: Of the MOCs.
        full: Make every one anew.
        shown: Which packages everybody sees; None for all. The clock adds to them, and so a map is made anew then.
    """
    with database.engine.connect() as connection:
        packages = sa.func.count().filter(_all(shown))
        counted = sa.select(rows.c.obs_collection, packages, sa.func.max(rows.c.resolved_at))
        found = connection.execute(counted.group_by(rows.c.obs_collection).having(packages > 0)).all()
        kept = {row.collection: row for row in connection.execute(sa.select(RegistryCoverage.__table__))}
        changed: list[dict[str, object]] = []
        for collection, packages, until in found:
            old = None if full else kept.get(collection)
            if old is not None and (
                old.moc_order != order or _still_there(connection, rows, old, shown) != old.packages
            ):
                old = None
            if shown is not None and old is not None and (packages, until) != (old.packages, old.resolved_until):
                old = None
            if old is None or (packages, until) != (old.packages, old.resolved_until):
                moc = _moc(connection, rows, collection, order, old, shown)
                state = {"moc_order": order, "packages": packages, "resolved_until": until}
                changed.append({"collection": collection, "moc": moc, **state})
    stale = [*(values["collection"] for values in changed), *(kept.keys() - {row[0] for row in found})]
    if not stale:
        return
    with database.begin() as connection:
        lock_registry(connection)
        connection.execute(sa.delete(RegistryCoverage).where(RegistryCoverage.collection.in_(stale)))
        if changed:
            connection.execute(sa.insert(RegistryCoverage), changed)


def _still_there(connection: sa.Connection, rows: sa.Table, kept: _Row, shown: Shown) -> int:
    """How many of the packages that were counted are as they were: a changed one has been resolved since."""
    return (
        connection.scalar(
            sa.select(sa.func.count())
            .select_from(rows)
            .where(rows.c.obs_collection == kept.collection, rows.c.resolved_at <= kept.resolved_until, _all(shown))
        )
        or 0
    )


def _moc(connection: sa.Connection, rows: sa.Table, collection: str, order: int, old: _Row | None, shown: Shown) -> str:
    """The MOC of the packages of a programme; laid over an old one, of those that were resolved since."""
    from catalog.registry.moc import lay_over  # loads much of astropy, which only the keeper of the registry needs

    c = rows.c
    query = (
        sa.select(c.s_region, c.s_ra, c.s_dec)
        .distinct()
        .where(c.obs_collection == collection, c.s_ra.is_not(None), _all(shown))
    )
    if old is not None:
        query = query.where(c.resolved_at > old.resolved_until)
    found = connection.execution_options(yield_per=_REGIONS).execute(query).partitions()
    return lay_over(old.moc if old is not None else "", found, order=order)


def _union(mocs: Sequence[str]) -> str:
    if len(mocs) < 2:
        return "".join(mocs)
    from catalog.registry.moc import union  # as above

    return union(mocs)


def _all(shown: Shown) -> sa.ColumnElement[bool]:
    return sa.true() if shown is None else shown


def _coverage(groups: Sequence[_Row], moc: str) -> Coverage:
    firsts = [row[4] for row in groups if row[4] is not None]
    lasts = [row[5] for row in groups if row[5] is not None]
    bands = [(_LIGHT_JM / row[7], _LIGHT_JM / row[6]) for row in groups if row[6] and row[7]]
    return Coverage(
        packages=sum(row[3] for row in groups),
        moc=moc,
        temporal=(_outward(min(firsts), math.floor), _outward(max(lasts), math.ceil)) if firsts and lasts else None,
        spectral=_merged([(_rounded(low), _rounded(high)) for low, high in bands]),
        facilities=_names(row[1] for row in groups),
        instruments=_names(row[2] for row in groups),
    )


def _outward(mjd: float, turn: Callable[[float], int]) -> float:
    return round(turn(mjd / _DAYS) * _DAYS, 2)


def _rounded(energy: float) -> float:
    return float(f"{energy:.{_DIGITS}g}")


def _names(found: Iterable[str | None]) -> tuple[str, ...]:
    return tuple(sorted({name for name in found if name}))


def _merged(intervals: Sequence[Interval]) -> tuple[Interval, ...]:
    merged: list[Interval] = []
    for low, high in sorted(intervals):
        if merged and low <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return tuple(merged)
