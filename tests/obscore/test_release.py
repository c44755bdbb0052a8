"""When data become public, and what the view says of it at the moment of the query."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from catalog.db import Database
from catalog.obscore.time_axis import add_months
from catalog.opsdb.enums import DataRights
from catalog.opsdb.models import RawDataPackageMetadata


@pytest.mark.parametrize(
    ("observed", "months", "released"),
    [
        ("2026-01-15T01:02:03.000004", 1, "2026-02-15T01:02:03.000004"),
        ("2026-01-31T23:59:59.999999", 1, "2026-02-28T23:59:59.999999"),
        ("2028-01-31T00:00:00", 1, "2028-02-29T00:00:00"),
        ("2028-02-29T12:00:00", 12, "2029-02-28T12:00:00"),
        ("2028-02-29T12:00:00", 48, "2032-02-29T12:00:00"),
        ("2026-03-31T00:00:00", 6, "2026-09-30T00:00:00"),
        ("2026-12-31T06:00:00", 2, "2027-02-28T06:00:00"),
        ("2026-08-31T06:00:00", 0, "2026-08-31T06:00:00"),
        ("2026-11-30T06:00:00", 3, "2027-02-28T06:00:00"),
        ("1969-12-31T18:00:00", 2, "1970-02-28T18:00:00"),
        ("2026-01-31T00:00:00", 1200, "2126-01-31T00:00:00"),
    ],
)
def test_months_are_calendar_months(observed: str, months: int, released: str) -> None:
    found = add_months(np.array([observed], dtype="datetime64[us]"), np.array([float(months)]))

    assert found[0] == np.datetime64(released, "us")


def test_no_rule_and_no_time_give_no_date() -> None:
    times = np.array(["2026-01-01", "NaT"], dtype="datetime64[us]")

    assert np.isnat(add_months(times, np.array([np.nan, 3.0]))).all()


def rights(catalog: Database, read_view: Callable[..., Any]) -> str:
    (row,) = read_view(catalog, "ivoa.obscore")
    return str(row["data_rights"])


def test_a_date_that_passes_opens_the_data_and_a_lengthened_embargo_hides_them_again(
    catalog: Database, world: Any, read_view: Callable[..., Any]
) -> None:
    world.package(world.unit(world.orion, program=world.closed))
    world.session.commit()
    assert rights(catalog, read_view) == "proprietary"

    world.closed.release_date = datetime.now(UTC) - timedelta(seconds=2)
    world.session.commit()
    assert rights(catalog, read_view) == "public"

    world.closed.release_date = datetime.now(UTC) + timedelta(days=1)
    world.session.commit()
    assert rights(catalog, read_view) == "proprietary"


def test_the_clock_alone_opens_the_data(catalog: Database, world: Any, read_view: Callable[..., Any]) -> None:
    """The stored row does not change: only the database's clock and the date in the row decide."""
    world.closed.release_date = datetime.now(UTC) + timedelta(hours=1)
    world.package(world.unit(world.orion, program=world.closed))
    world.session.commit()
    assert rights(catalog, read_view) == "proprietary"

    release_in(catalog, -timedelta(milliseconds=100))

    assert rights(catalog, read_view) == "public"


@pytest.mark.parametrize(
    ("declared", "is_released", "effective"),
    [
        (None, False, "proprietary"),
        (None, True, "public"),
        (DataRights.PUBLIC, False, "public"),
        (DataRights.PUBLIC, True, "public"),
        (DataRights.PROPRIETARY, False, "proprietary"),
        (DataRights.PROPRIETARY, True, "public"),
        (DataRights.SECURE, False, "secure"),
        (DataRights.SECURE, True, "secure"),
    ],
)
def test_declared_rights_and_the_clock_decide_together(
    catalog: Database,
    world: Any,
    read_view: Callable[..., Any],
    declared: DataRights | None,
    is_released: bool,
    effective: str,
) -> None:
    program = world.cal if is_released else world.closed
    package = world.package(world.unit(world.orion, program=program))
    package.package_metadata = RawDataPackageMetadata(data_rights=declared)
    world.session.commit()

    assert rights(catalog, read_view) == effective


def test_rights_have_one_value_for_a_moment_in_a_long_query(
    catalog: Database, world: Any, read_view: Callable[..., Any]
) -> None:
    """The date passes while the rows are read: they keep the rights of the moment when the query began."""
    unit = world.unit(world.orion, program=world.closed)
    for sequence in range(400):
        world.package(unit, sequence=sequence, copies=0)
    world.session.commit()
    release_in(catalog, timedelta(seconds=0.7))

    name = "ivoa_obscore" if catalog.dialect == "sqlite" else "ivoa.obscore"
    query = sa.text(f"SELECT a.data_rights FROM {name} a, {name} b, {name} c")
    found: set[str] = set()
    with (
        catalog.engine.connect() as connection,
        connection.execution_options(stream_results=True, yield_per=1000).execute(query) as rows,
    ):
        deadline = time.monotonic() + 1.5
        while time.monotonic() < deadline:
            found |= {rights for (rights,) in rows.fetchmany(1000)}

    assert found == {"proprietary"}
    assert {row["data_rights"] for row in read_view(catalog, "ivoa.obscore")} == {"public"}


def release_in(catalog: Database, delay: timedelta) -> None:
    """Set the date in the resolved rows, by plain SQL."""
    table = "package_obscore" if catalog.dialect == "sqlite" else "catalog.package_obscore"
    moment = datetime.now(UTC).replace(tzinfo=None) + delay
    value = moment.isoformat(timespec="microseconds") if catalog.dialect == "sqlite" else moment
    with catalog.begin() as connection:
        connection.execute(sa.text(f"UPDATE {table} SET obs_release_date = :moment"), {"moment": value})


@pytest.mark.parametrize(
    ("part", "program", "released"),
    [
        ({"release_months": 3}, {"release_months": 12}, "2026-06-30"),
        ({"release_months": 3}, {"release_date": "2020-01-01"}, "2026-06-30"),
        ({"release_months": 0}, {"release_date": "2020-01-01"}, "2026-03-31"),
        ({"release_date": "2030-01-01"}, {"release_months": 12}, "2030-01-01"),
        ({"release_date": "2030-01-01"}, {}, "2030-01-01"),
        ({}, {"release_months": 12}, "2027-03-31"),
        ({}, {"release_date": "2020-01-01"}, "2020-01-01"),
        ({}, {}, None),
    ],
)
def test_a_part_of_a_programme_that_states_a_rule_overrules_it(
    catalog: Database,
    world: Any,
    read_view: Callable[..., Any],
    part: dict[str, Any],
    program: dict[str, Any],
    released: str | None,
) -> None:
    for thing, rule in ((world.deep, part), (world.geco, program)):
        date = rule.get("release_date")
        thing.release_date = None if date is None else datetime.fromisoformat(date).replace(tzinfo=UTC)
        thing.release_months = rule.get("release_months")
    world.package(world.unit(world.orion, obs_unit={"sub_program": world.deep}))
    world.session.commit()

    (row,) = read_view(catalog, "ivoa.obscore")

    assert (None if row["obs_release_date"] is None else str(row["obs_release_date"])[:10]) == released
