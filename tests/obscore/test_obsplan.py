"""Rows of ivoa.obsplan, kind by kind, on each engine."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from catalog.access import ACCESS_COLUMNS
from catalog.db import Database
from catalog.obscore.derived import PublishedObjects
from catalog.obscore.freshness import refresh
from catalog.obscore.obsplan import OBSPLAN, obsplan, obsplan_rows, obsplan_view
from catalog.obscore.package_obscore import TABLE, published_table
from catalog.obscore.plan import compare_plan_with_fresh
from catalog.obscore.view import drop_views
from catalog.opsdb.enums import ExecutionStatus, ObsCategory, TrackingType
from catalog.opsdb.models import ExecutedObsUnit, InstrumentModuleConfiguration, ObsUnit, ObsUnitSlot, Telescope
from catalog.vo.time import to_mjd

Rows = list[dict[str, Any]]
SLOT = timedelta(days=30)


@pytest.fixture
def rows(session: Session, catalog: Database, read_view: Callable[..., Rows]) -> Callable[[], Rows]:
    """Commits, and reads the view."""

    def read() -> Rows:
        session.commit()
        return read_view(catalog, OBSPLAN)

    return read


@pytest.fixture
def row(rows: Callable[[], Rows]) -> Callable[[], dict[str, Any]]:
    """Commits, and reads the only row of the view."""

    def read() -> dict[str, Any]:
        (only,) = rows()
        return only

    return read


def mjd(moment: datetime) -> float:
    return float(to_mjd([moment])[0])


def plan(world: Any, source: Any = None, **facts: Any) -> ObsUnit:
    """A unit that is planned, and not executed."""
    unit = ObsUnit(name=f"plan {next(world.numbers)}", program=facts.pop("program", world.geco), source=source, **facts)
    world.session.add(unit)
    return unit


def setup(world: Any, *modules: Any) -> list[InstrumentModuleConfiguration]:
    return [InstrumentModuleConfiguration(module=module, name=module.name, parameters={}) for module in modules]


def start_of(world: Any) -> datetime:
    return world.unit().start_time  # type: ignore[no-any-return]


def test_performed_observation_shares_obs_id_and_facts_with_its_packages(
    world: Any, catalog: Database, row: Callable[[], dict[str, Any]], read_view: Callable[..., Rows]
) -> None:
    planned = {"priority": 0, "category": ObsCategory.FIXED, "planned_exptime_s": 4000.0, "obs_mode": world.otf}
    unit = world.unit(world.orion, obs_unit=planned)
    world.package(unit, world.prime280, files=2)
    found = row()
    (package,) = read_view(catalog, TABLE)
    shared = {column.name for column in published_table(OBSPLAN).columns} & package.keys()
    assert shared >= {"obs_id", "s_region", "t_min", "em_max", "pol_states", "instrument_name", "facility_name"}
    assert {name: found[name] for name in shared} == {name: package[name] for name in shared}
    assert found["obs_id"] == str(unit.id)
    assert (found["execution_status"], found["category"], found["priority"]) == ("Performed", "Fixed", 0)
    assert (found["t_plan_exptime"], found["tracking_type"]) == (4000.0, "Sidereal")
    assert found["observing_program_id"] == world.geco.id


def test_packages_of_several_modules_become_one_row(
    world: Any, catalog: Database, row: Callable[[], dict[str, Any]], read_view: Callable[..., Rows]
) -> None:
    unit = world.unit(world.orion)
    world.package(unit, world.prime280, files=1, exptime=600.0)
    world.package(unit, world.prime280, files=1, exptime=700.0, sequence=1)
    world.package(unit, world.lfa, files=2, exptime=100.0)
    found = row()
    packages = read_view(catalog, TABLE)
    assert len(packages) == 3
    assert found["instrument_name"] == "CHAI/LFA, Prime-Cam/280"
    assert found["em_min"] == min(package["em_min"] for package in packages)
    assert found["em_max"] == max(package["em_max"] for package in packages)
    assert found["t_min"] == min(package["t_min"] for package in packages)
    assert found["t_max"] == max(package["t_max"] for package in packages)
    assert found["t_exptime"] == pytest.approx(1300.0)
    assert found["s_resolution"] == 26
    assert (found["s_fov"], found["s_ra"]) == (1.3, 83.80995)
    assert (found["em_res_power"], found["pol_states"]) == (None, None)
    assert (found["o_ucd"], found["facility_name"]) == ("phys.voltage", "FYST")


def test_aborted_observation_without_packages_is_told_by_its_plan(
    world: Any, row: Callable[[], dict[str, Any]]
) -> None:
    unit = world.unit(
        world.orion,
        obs_unit={"module_configurations": setup(world, world.prime280), "planned_exptime_s": 7200.0},
        execution_status=ExecutionStatus.ABORTED,
    )
    world.session.add(unit)
    found = row()
    assert (found["execution_status"], found["obs_id"]) == ("Aborted", str(unit.id))
    assert (found["t_min"], found["t_max"]) == (mjd(unit.start_time), mjd(unit.end_time))
    assert (found["t_exptime"], found["t_plan_exptime"]) == (3600.0, 7200.0)
    assert (found["s_ra"], found["s_dec"], found["s_fov"]) == (83.80995, -5.374361, 1.3)
    assert found["s_region"] == "CIRCLE ICRS 83.80995 -5.374361 0.65"
    assert found["em_min"] == pytest.approx(299_792_458 / 315e9)
    assert found["em_max"] == pytest.approx(299_792_458 / 250e9)
    assert (found["pol_states"], found["pol_xel"], found["s_resolution"]) == ("/I/Q/U/", 3, 47)
    assert (found["instrument_name"], found["target_name"], found["obs_collection"]) == (
        "Prime-Cam/280",
        "Orion-KL",
        "GEco",
    )


def test_planned_observation_goes_by_the_number_of_its_unit(world: Any, row: Callable[[], dict[str, Any]]) -> None:
    planned_at = start_of(world)
    unit = plan(world, world.orion, planned_at=planned_at, planned_exptime_s=900.0, priority=1)
    found = row()
    assert found["obs_id"] == str(unit.id)
    assert (found["execution_status"], found["priority"], found["t_plan_exptime"]) == ("Planned", 1, 900.0)
    assert found["t_planning"] == mjd(planned_at)
    assert (found["t_min"], found["t_max"], found["t_exptime"]) == (None, None, None)
    assert (found["s_ra"], found["s_dec"], found["s_fov"]) == (83.80995, -5.374361, None)
    assert (found["instrument_name"], found["em_min"], found["facility_name"]) == (None, None, "FYST")


def test_what_the_plan_does_not_say_has_a_value_of_the_standard(world: Any, row: Callable[[], dict[str, Any]]) -> None:
    unit = plan(world)
    found = row()
    assert (found["category"], found["priority"], found["tracking_type"]) == ("Other", 2, "Sidereal")
    assert found["t_planning"] == mjd(unit.created_at)
    assert (found["target_name"], found["s_ra"], found["s_region"]) == (None, None, None)


def test_slot_makes_a_plan_scheduled_and_gives_it_its_times(world: Any, row: Callable[[], dict[str, Any]]) -> None:
    start = start_of(world)
    slots = [ObsUnitSlot(start_time=start + n * SLOT, end_time=start + n * SLOT + timedelta(hours=1)) for n in (1, 2)]
    plan(world, world.orion, slots=slots, planned_exptime_s=3000.0)
    found = row()
    assert found["execution_status"] == "Scheduled"
    assert (found["t_min"], found["t_max"]) == (mjd(slots[1].start_time), mjd(slots[1].end_time))
    assert found["t_exptime"] == 3000.0


@pytest.mark.parametrize(
    ("status", "has_slot", "published"),
    [
        (ExecutionStatus.PLANNED, True, "Planned"),
        (ExecutionStatus.SCHEDULED, True, "Scheduled"),
        (ExecutionStatus.SCHEDULED, False, "Planned"),
        (ExecutionStatus.UNSCHEDULED, False, "Unscheduled"),
    ],
)
def test_execution_to_come_says_how_the_plan_stands(
    world: Any, row: Callable[[], dict[str, Any]], status: ExecutionStatus, has_slot: bool, published: str
) -> None:
    start = start_of(world)
    slots = [ObsUnitSlot(start_time=start, end_time=start + SLOT)] if has_slot else []
    unit = plan(world, world.orion, slots=slots)
    world.session.add(ExecutedObsUnit(id=world.uuid(), obs_unit=unit, execution_status=status))
    found = row()
    assert (found["execution_status"], found["obs_id"]) == (published, str(unit.id))
    assert (found["t_min"] is not None) is has_slot


def test_running_observation_is_scheduled_until_it_ends(
    world: Any, row: Callable[[], dict[str, Any]], session: Session
) -> None:
    unit = world.unit(world.orion, end=None, obs_unit={"planned_exptime_s": 1800.0})
    session.add(unit)
    found = row()
    assert (found["execution_status"], found["obs_id"]) == ("Scheduled", str(unit.id))
    assert (found["t_min"], found["t_exptime"]) == (mjd(unit.start_time), 1800.0)
    assert found["t_max"] == pytest.approx(mjd(unit.start_time) + 1800 / 86400)
    unit.end_time = unit.start_time + timedelta(minutes=20)
    found = row()
    assert (found["execution_status"], found["t_exptime"]) == ("Performed", 1200.0)


def test_body_of_the_solar_system_is_where_it_will_be(world: Any, rows: Callable[[], Rows]) -> None:
    start = start_of(world)
    slot = ObsUnitSlot(start_time=start, end_time=start + timedelta(hours=1))
    modules = setup(world, world.prime280)
    timed = plan(world, world.jupiter, slots=[slot], module_configurations=modules)
    untimed = plan(world, world.jupiter, module_configurations=modules)
    performed = world.unit(world.jupiter)
    world.package(performed)
    found = {one["obs_id"]: one for one in rows()}
    assert found[str(timed.id)]["s_ra"] == found[str(performed.id)]["s_ra"]
    assert found[str(timed.id)]["s_region"] == found[str(performed.id)]["s_region"]
    assert found[str(untimed.id)]["s_ra"] is None
    assert {one["tracking_type"] for one in found.values()} == {"Solar-system-object-tracking"}


def test_scan_at_constant_elevation_is_its_field_until_it_has_a_time(world: Any, rows: Callable[[], Rows]) -> None:
    modules = setup(world, world.prime280)
    untimed = plan(world, world.stripe, module_configurations=modules)
    performed = world.unit(world.stripe)
    world.package(performed)
    aborted = world.unit(
        world.stripe, obs_unit={"module_configurations": modules}, execution_status=ExecutionStatus.ABORTED
    )
    world.session.add(aborted)
    found = {one["obs_id"]: one for one in rows()}
    assert found[str(untimed.id)]["s_region"].startswith("POLYGON ICRS 350 ")
    assert found[str(aborted.id)]["s_region"] == found[str(performed.id)]["s_region"]
    assert {one["tracking_type"] for one in found.values()} == {"Fixed-az-el-transit"}


def test_tuned_receiver_covers_its_line(world: Any, row: Callable[[], dict[str, Any]]) -> None:
    plan(world, world.orion, configuration=world.co43, module_configurations=[world.fine])
    found = row()
    assert found["em_min"] == pytest.approx(299_792_458 / (461.0407682e9 + 2e9))
    assert found["em_res_power"] == pytest.approx(461.0407682e6 / 100.0)


def test_mode_says_how_the_target_is_followed(world: Any, row: Callable[[], dict[str, Any]]) -> None:
    world.otf.tracking_type = TrackingType.FIXED_AZ_EL_TRANSIT
    plan(world, world.orion, obs_mode=world.otf)
    assert row()["tracking_type"] == "Fixed-az-el-transit"


def test_unit_that_was_executed_has_no_row_of_its_own_unless_more_is_to_come(
    world: Any, session: Session, rows: Callable[[], Rows]
) -> None:
    first = world.unit(world.orion)
    session.add(first)
    assert [one["obs_id"] for one in rows()] == [str(first.id)]
    again = ExecutedObsUnit(id=world.uuid(), obs_unit=first.obs_unit, execution_status=ExecutionStatus.SCHEDULED)
    later = first.end_time + SLOT
    session.add_all([again, ObsUnitSlot(obs_unit=first.obs_unit, start_time=later, end_time=later + SLOT)])
    found = {one["obs_id"]: one for one in rows()}
    assert found.keys() == {str(first.id), str(first.obs_unit_id)}
    assert found[str(first.obs_unit_id)]["t_min"] == mjd(later)
    again.execution_status, again.start_time, again.end_time = ExecutionStatus.PERFORMED, later, later + SLOT
    assert {one["obs_id"] for one in rows()} == {str(first.id), str(again.id)}


def test_slot_of_the_past_does_not_count_for_what_is_to_come(
    world: Any, session: Session, rows: Callable[[], Rows]
) -> None:
    first = world.unit(world.orion)
    slot = ObsUnitSlot(obs_unit=first.obs_unit, start_time=first.start_time, end_time=first.end_time)
    again = ExecutedObsUnit(id=world.uuid(), obs_unit=first.obs_unit, execution_status=ExecutionStatus.SCHEDULED)
    session.add_all([first, slot, again])
    found = {one["obs_id"]: one for one in rows()}
    assert found[str(first.obs_unit_id)]["t_min"] is None
    assert found[str(first.obs_unit_id)]["execution_status"] == "Planned"


def test_several_telescopes_are_many_and_none_is_unknown(world: Any, rows: Callable[[], Rows]) -> None:
    assert world.fyst.short_name == "FYST"
    other = Telescope(observatory=world.fyst.observatory, name="Another", short_name="ANO", diameter_m=1.0)
    world.session.add(other)
    unit = plan(world, world.orion)
    assert [one["facility_name"] for one in rows() if one["obs_id"] == str(unit.id)] == ["unknown"]


def test_plain_sql_is_followed_by_a_refresh(world: Any, catalog: Database, rows: Callable[[], Rows]) -> None:
    plan(world, world.orion, planned_exptime_s=10.0)
    (obs_id,) = [one["obs_id"] for one in rows()]
    this = ObsUnit.id == int(obs_id)
    with catalog.begin() as connection:
        connection.execute(sa.update(ObsUnit).where(this).values(planned_exptime_s=20.0))
    assert rows()[0]["t_plan_exptime"] == 10.0
    with catalog.engine.connect() as connection:
        assert list(compare_plan_with_fresh(connection)) == [obs_id]
    refresh(catalog)
    assert rows()[0]["t_plan_exptime"] == 20.0
    with catalog.begin() as connection:
        connection.execute(sa.delete(ObsUnit).where(this))
    refresh(catalog)
    assert rows() == []


def test_database_of_an_earlier_version_is_filled_by_the_next_refresh(
    world: Any, catalog: Database, rows: Callable[[], Rows], read_view: Callable[..., Rows]
) -> None:
    world.package(world.unit(world.orion))
    plan(world, world.field)
    before = rows()
    assert len(before) == 2
    with catalog.begin() as connection:
        drop_views(connection)
        obsplan_rows().drop(connection)
    with catalog.begin() as connection:
        PublishedObjects().install(connection)
    assert read_view(catalog, OBSPLAN) == []
    refresh(catalog)
    again = {one["obs_id"]: {**one, "obsplan_key": 0} for one in read_view(catalog, OBSPLAN)}
    assert again == {one["obs_id"]: {**one, "obsplan_key": 0} for one in before}
    with catalog.begin() as connection:
        PublishedObjects().install(connection)
    assert len(read_view(catalog, OBSPLAN)) == 2


def test_more_rows_than_are_worked_on_at_once(
    world: Any, catalog: Database, rows: Callable[[], Rows], monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(7):
        world.package(world.unit(world.orion, start=start_of(world) + number * SLOT, end=None))
        plan(world, world.field)
    before = rows()
    assert len(before) == 14
    monkeypatch.setattr("catalog.obscore.plan._AT_ONCE", 3)
    monkeypatch.setattr("catalog.db.listed._LISTED", 2)
    with catalog.begin() as connection:
        connection.execute(sa.delete(obsplan()))
        if catalog.dialect == "sqlite":
            for index in ("obsplan_position", "obsplan_region"):
                connection.execute(sa.text(f"DELETE FROM {index}"))
    refresh(catalog, full=True)
    assert sorted(one["obs_id"] for one in rows()) == sorted(one["obs_id"] for one in before)
    with catalog.engine.connect() as connection:
        assert list(compare_plan_with_fresh(connection)) == []


def test_view_has_the_published_columns_first_and_in_their_order() -> None:
    names = [column.name for column in obsplan_view().selected_columns]
    published = [column.name for column in published_table(OBSPLAN).columns]
    assert names[: len(published)] == published
    assert names[-len(ACCESS_COLUMNS) :] == list(ACCESS_COLUMNS)
