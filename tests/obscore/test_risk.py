"""fyst.packages says which packages are at risk now, as the command does; copies count by every state of theirs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from itertools import product
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalog.db import Database
from catalog.db.clock import read_clock
from catalog.opsdb.enums import LocationType, PackageState, PhysicalCopyStatus, Verification
from catalog.opsdb.lifecycle.copies import CopyService
from catalog.opsdb.lifecycle.rules import DeletionRules, keep_rules
from catalog.opsdb.lifecycle.survivors import select_survivors
from catalog.opsdb.models import (
    DataLocation,
    DiskDataLocation,
    LongTermArchiveTransfer,
    PhysicalCopy,
    RawDataPackage,
    RawDataPackagePhysicalCopy,
)
from catalog.opsdb.triggers import Triggers

ReadView = Callable[..., list[dict[str, Any]]]
Force = Callable[[Database, sa.Executable], None]
RULES = DeletionRules()
PLACES = ("source", "buffer", "archive", "other archive", "processing")
DAY = timedelta(days=1)


@pytest.fixture
def held(catalog: Database, world: Any) -> dict[str, int]:
    """A package with a copy at a place of each kind, archived, every copy just verified; their numbers by place."""
    package = world.package(world.unit(world.orion), copies=0, state=PackageState.ARCHIVED)
    kinds = (LocationType.SOURCE, LocationType.BUFFER, *[LocationType.LONG_TERM_ARCHIVE] * 2, LocationType.PROCESSING)
    with catalog.engine.connect() as connection:
        now = read_clock(connection)
    copies = {}
    for name, kind in zip(PLACES, kinds, strict=True):
        site = world.sites[name == "archive"]
        place = DiskDataLocation(site=site, name=f"of {name}", location_type=kind, path="/x")
        copies[name] = RawDataPackagePhysicalCopy(
            raw_data_package=package, location=place, verification=Verification.OK
        )
        copies[name].verified_at = now
    world.session.add_all(copies.values())
    world.session.flush()
    keys = {name: copy.id for name, copy in copies.items()}
    world.session.commit()
    return keys


def change(database: Database, copy: int, **values: Any) -> None:
    with database.begin() as connection:
        connection.execute(sa.update(PhysicalCopy).where(PhysicalCopy.id == copy).values(values))


def at_risk(database: Database, read_view: ReadView, rules: DeletionRules = RULES) -> bool:
    """What the published column says of the one package; the command says the same."""
    (row,) = read_view(database, "fyst.packages")
    found = list(CopyService(database, rules).at_risk())
    assert row["at_risk"] == (1 if found else 0), found
    assert {finding.did for finding in found} <= {row["obs_publisher_did"]}
    return bool(row["at_risk"])


def test_a_package_is_at_risk_below_its_rule_and_when_only_buffers_have_it(
    catalog: Database, held: dict[str, int], force: Force, read_view: ReadView
) -> None:
    assert not at_risk(catalog, read_view)
    change(catalog, held["archive"], verification=Verification.UNREACHABLE)
    assert at_risk(catalog, read_view), "one site is left of two"
    force(catalog, sa.update(RawDataPackage).values(state=PackageState.WAITING))
    assert not at_risk(catalog, read_view), "there is no rule for what is not archived"
    for name in ("archive", "other archive", "processing"):
        change(catalog, held[name], verification=Verification.MISSING)
    assert at_risk(catalog, read_view), "only a source and a buffer have it"
    for name in ("source", "buffer"):
        change(catalog, held[name], verification=Verification.MISSING)
    assert not at_risk(catalog, read_view), "nobody has it, and nobody said that it is archived"


def test_time_alone_puts_a_package_at_risk(catalog: Database, held: dict[str, int], read_view: ReadView) -> None:
    with catalog.engine.connect() as connection:
        now = read_clock(connection)
    for age, expected in ((364 * DAY, False), (366 * DAY, True)):
        change(catalog, held["archive"], verified_at=now - age)
        assert at_risk(catalog, read_view) == expected
    change(catalog, held["archive"], verified_at=None, verification=Verification.OK)
    assert at_risk(catalog, read_view), "nobody knows when"


def test_the_column_follows_the_rules_of_the_settings_at_once(
    catalog: Database, held: dict[str, int], read_view: ReadView
) -> None:
    for rules, expected in (
        (DeletionRules(archive_sites=3), True),
        (DeletionRules(archive_sites=2), False),
        (DeletionRules(archive_sites=1, verified_within_days=1), False),
    ):
        with catalog.begin() as connection:
            keep_rules(connection, rules)
        assert at_risk(catalog, read_view, rules) == expected
    with catalog.engine.connect() as connection:
        old = read_clock(connection) - 2 * DAY
    change(catalog, held["archive"], verified_at=old)
    assert at_risk(catalog, read_view, rules), "the third rule wants it younger than a day"


def test_invariant_only_a_present_verified_archive_copy_survives(
    catalog: Database, held: dict[str, int], read_view: ReadView
) -> None:
    with catalog.begin() as connection:
        Triggers().drop(connection)
    for name, status, verification in product(PLACES, PhysicalCopyStatus, Verification):
        change(catalog, held[name], status=status, verification=verification)
        with catalog.engine.connect() as connection:
            counted = select_survivors(RULES.at(read_clock(connection))).subquery()
            survivors = set(connection.scalars(sa.select(counted.c.copy_id)))
        counts = "archive" in name and (status, verification) == (PhysicalCopyStatus.PRESENT, Verification.OK)
        assert (held[name] in survivors) == counts, (name, status, verification)
        assert at_risk(catalog, read_view) == ("archive" in name and not counts), (name, status, verification)
        change(catalog, held[name], status=PhysicalCopyStatus.PRESENT, verification=Verification.OK)


def test_invariant_the_column_and_the_command_agree_whatever_is_recorded(
    catalog: Database, world: Any, held: dict[str, int], read_view: ReadView
) -> None:
    """Many packages with copies of every kind, and transfers."""
    some = st.sampled_from
    copy = st.tuples(some(PLACES), some(list(PhysicalCopyStatus)), some(list(Verification)), some([None, 0, -400, 2]))
    facts = st.tuples(some(list(PackageState)), st.lists(copy, max_size=4, unique_by=lambda c: c[0]), some(PLACES))
    unit = world.unit(world.orion)
    packages = [world.package(unit, copies=0, sequence=number) for number in range(12)]
    keys = [package.id for package in packages]
    world.session.commit()
    with catalog.begin() as connection:
        Triggers().drop(connection)
        named = sa.select(DataLocation.name, DataLocation.id).where(DataLocation.name.startswith("of "))
        places = {row.name.removeprefix("of "): row.id for row in connection.execute(named)}
        now = read_clock(connection)

    @settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(facts, min_size=12, max_size=12))
    def agree(many: list[Any]) -> None:
        with catalog.begin() as connection:
            for table in (PhysicalCopy, LongTermArchiveTransfer):
                connection.execute(sa.delete(table).where(table.raw_data_package_id.in_(keys)))
            for key, (state, copies, arriving) in zip(keys, many, strict=True):
                connection.execute(sa.update(RawDataPackage).where(RawDataPackage.id == key).values(state=state))
                ends = {"origin_location_id": places["source"], "destination_location_id": places[arriving]}
                connection.execute(sa.insert(LongTermArchiveTransfer).values(raw_data_package_id=key, **ends))
                for name, status, verification, days in copies:
                    values = {"status": status, "verification": verification}
                    values |= {"verified_at": None if days is None else now + days * DAY}
                    values |= {"type": "raw_data_package_physical_copy", "data_location_id": places[name]}
                    connection.execute(sa.insert(PhysicalCopy).values(raw_data_package_id=key, **values))
        found = {finding.did for finding in CopyService(catalog, RULES).at_risk()}
        rows = read_view(catalog, "fyst.packages")
        assert {row["obs_publisher_did"] for row in rows if row["at_risk"]} == found
        assert {row["at_risk"] for row in rows} <= {0, 1}

    agree()
