"""Property: after any sequence of changes, by whatever means, a refresh leaves what a fresh full resolution gives."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from catalog.db import Database
from catalog.obscore.comparison import compare_with_fresh
from catalog.obscore.freshness import keep_resolved, refresh
from catalog.obscore.plan import compare_plan_with_fresh
from catalog.opsdb.enums import ChecksumAlgorithm, DataRights, ExecutionStatus, ObsCategory
from catalog.opsdb.models import (
    ChaiObservationConfiguration,
    ConstantElevationSource,
    ExecutedObsUnit,
    FixedSource,
    Instrument,
    InstrumentModule,
    InstrumentModuleConfiguration,
    ObservingProgram,
    ObsUnit,
    ObsUnitSlot,
    PackagePublication,
    RawDataFile,
    RawDataPackage,
    RawDataPackageMetadata,
    ResolveCause,
    ResolveQueue,
    SolarSystemObject,
    Source,
    Telescope,
    obs_unit_module_configuration,
)

START = datetime(2026, 3, 31, 22, 15, 30, 250_000, tzinfo=UTC)
CHANGES = [
    *("add package", "complete package", "open package", "describe package", "forget metadata", "rename package"),
    *("add file", "move file", "delete file", "time file", "move source", "swing scan", "swap body", "aim elsewhere"),
    *("change programme", "close programme", "execute later", "still running", "execute another", "tune", "set up"),
    *("set down", "widen band", "mount elsewhere", "move telescope", "withdraw", "restore"),
    *("plan another", "give a slot", "take a slot", "rank", "change status", "drop execution"),
]
WAYS = ["by a session", "by plain SQL", "rolled back", "behind a savepoint", "at once with the next"]


@dataclass
class Run:
    """One database, and numbers that do not come twice."""

    database: Database
    numbers: Iterator[int] = field(default_factory=lambda: count(1000))


@pytest.fixture(scope="session")
def furnished_file(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory, furnish_observatory: Any) -> Path:
    """File of a catalog with an observatory and some packages."""
    path = tmp_path_factory.mktemp("any") / "furnished.db"
    shutil.copy(sqlite_template, path)
    fill(f"sqlite:///{path}", furnish_observatory)
    return path


@pytest.fixture(scope="session")
def furnished_server(postgres_server: Any, postgres_template: str, furnish_observatory: Any) -> str:
    """Address of such a catalog."""
    url: str = postgres_server.create_database(postgres_template)
    fill(url, furnish_observatory)
    return url


def fill(url: str, furnish_observatory: Any) -> None:
    with Database(url) as database, database.session() as session:
        world = furnish_observatory(session)
        tuned = {"configuration": world.co43, "module_configurations": [world.fine], "sub_program": world.deep}
        world.package(world.unit(world.orion, obs_unit=tuned), world.lfa, files=2, copies=0)
        world.package(world.unit(world.jupiter), files=1, copies=0)
        world.package(world.unit(world.stripe), copies=0)
        session.commit()
        refresh(database)


@pytest.fixture
def fresh_run(engine_name: str, request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Any]:
    """Opens another copy of the furnished catalog."""

    @contextmanager
    def opened() -> Iterator[Run]:
        if engine_name == "sqlite":
            path = tmp_path / "any.db"
            for old in tmp_path.glob("any.db*"):
                old.unlink()
            shutil.copy(request.getfixturevalue("furnished_file"), path)
            with Database(f"sqlite:///{path}") as database:
                yield Run(database)
            return
        server = request.getfixturevalue("postgres_server")
        url = server.create_database(request.getfixturevalue("furnished_server"))
        with Database(url) as database:
            yield Run(database)
        server.drop_database(url)

    return opened


steps = st.tuples(st.sampled_from(CHANGES), st.integers(0, 5), st.sampled_from(WAYS), st.sampled_from([0, 0, 0, 1, 2]))


def property_of(examples: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    return settings(
        max_examples=examples,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
        phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
    )


@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
@property_of(60)
@given(st.lists(steps, min_size=1, max_size=20))
def test_any_changes_end_right_on_sqlite(fresh_run: Any, sequence: list[tuple[str, int, str, int]]) -> None:
    check(fresh_run, sequence)


@pytest.mark.parametrize("engine_name", ["postgresql"], indirect=True)
@property_of(25)
@given(st.lists(steps, min_size=4, max_size=30))
def test_any_changes_end_right_on_postgresql(fresh_run: Any, sequence: list[tuple[str, int, str, int]]) -> None:
    check(fresh_run, sequence)


def check(fresh_run: Any, sequence: list[tuple[str, int, str, int]]) -> None:
    with fresh_run() as run:
        pending: Session | None = None
        for name, number, way, refreshed in sequence:
            pending = take_step(run, pending, name, number, way)
            if refreshed and pending is None:
                refresh(run.database, full=refreshed == 2)
        if pending is not None:
            finish(pending)
        refresh(run.database)
        with run.database.engine.connect() as connection:
            assert list(compare_with_fresh(connection)) == []
            assert list(compare_plan_with_fresh(connection)) == []
            for kind in (ResolveQueue, ResolveCause):
                assert connection.scalar(sa.select(sa.func.count(kind.seq))) == 0


def take_step(run: Run, pending: Session | None, name: str, number: int, way: str) -> Session | None:
    """Make a change; on PostgreSQL one transaction may stay open during the next. The one that is open now, if any."""
    together = run.database.dialect == "postgresql" and way == "at once with the next" and pending is None
    session = run.database.session()
    if way != "by plain SQL":
        keep_resolved(session)
    if way == "behind a savepoint":
        with session.begin_nested():
            attempt(run, session, "move source", number)
        undone = session.begin_nested()
        attempt(run, session, name, number)
        undone.rollback()
        attempt(run, session, "execute later", number)
    else:
        attempt(run, session, name, number)
    if together:
        return session
    if way == "rolled back":
        session.rollback()
        session.close()
    else:
        finish(session)
    if pending is not None:
        finish(pending)
    return None


def finish(session: Session) -> None:
    session.commit()
    session.close()


def attempt(run: Run, session: Session, name: str, number: int) -> None:
    """Make the change; one that the database refuses, or that another transaction holds up, is left out."""
    if run.database.dialect == "postgresql":
        session.execute(sa.text("SET LOCAL lock_timeout = '50ms'"))
    savepoint = session.begin_nested()
    try:
        for statement in statements(run, session, name, number):
            session.execute(statement, execution_options={"synchronize_session": False})
        savepoint.commit()
    except sa.exc.DBAPIError:
        savepoint.rollback()
    if run.database.dialect == "postgresql":
        session.execute(sa.text("SET LOCAL lock_timeout = 0"))


def pick(session: Session, column: Any, number: int, *conditions: Any) -> Any:
    """One of the values that there are."""
    found = session.scalars(sa.select(column).where(*conditions).order_by(column)).all()
    return found[number % len(found)] if found else None


def statements(run: Run, session: Session, name: str, number: int) -> list[Any]:
    """The statements of a change."""
    fresh = next(run.numbers)
    package = pick(session, RawDataPackage.id, number)
    other = pick(session, RawDataPackage.id, number + 1)
    file = pick(session, RawDataFile.id, number)
    unit = pick(session, ExecutedObsUnit.id, number)
    planned = pick(session, ObsUnit.id, number)
    source = pick(session, Source.id, number)
    module = pick(session, InstrumentModule.id, number)
    size = {"size_bytes": fresh, "checksum": f"{fresh:x}", "checksum_algorithm": ChecksumAlgorithm.CRC32C}
    nothing = dict.fromkeys(size)
    names = {"name": f"{fresh}", "relative_path": f"{fresh}"}
    match name:
        case "add package":
            identity = {"id": UUID(int=fresh), "executed_obs_unit_id": unit, "instrument_module_id": module}
            known = size if number % 3 else nothing
            return [sa.insert(RawDataPackage).values(**identity, **names, **known, sequence=fresh)]
        case "complete package":
            return [change(RawDataPackage, package, size)]
        case "open package":
            return [change(RawDataPackage, package, nothing)]
        case "rename package":
            return [change(RawDataPackage, package, {"content_format": "image/fits", "sequence": fresh})]
        case "describe package":
            facts = {"raw_data_package_id": package, "t_exptime": float(fresh), "s_fov": number / 2, "document": {}}
            facts |= {"data_rights": DataRights.SECURE if number % 2 else None}
            return [
                *statements(run, session, "forget metadata", number),
                sa.insert(RawDataPackageMetadata).values(facts),
            ]
        case "forget metadata":
            return [sa.delete(RawDataPackageMetadata).where(RawDataPackageMetadata.raw_data_package_id == package)]
        case "add file":
            identity = {"id": UUID(int=fresh), "instrument_module_id": module, "raw_data_package_id": package}
            span = {"start_time": START + timedelta(minutes=number), "end_time": START + timedelta(hours=number + 1)}
            return [sa.insert(RawDataFile).values(**identity, **names, **span, exptime_s=float(fresh))]
        case "move file":
            return [change(RawDataFile, file, {"raw_data_package_id": other if number % 3 else None})]
        case "delete file":
            return [sa.delete(RawDataFile).where(RawDataFile.id == file)]
        case "time file":
            return [change(RawDataFile, file, {"exptime_s": None if number % 3 == 0 else float(fresh)})]
        case "move source":
            return [sa.update(FixedSource.__table__).values(ra_deg=fresh % 360.0)]
        case "swing scan":
            return [sa.update(ConstantElevationSource.__table__).values(elevation_deg=20.0 + fresh % 60)]
        case "swap body":
            return [sa.update(SolarSystemObject.__table__).values(body=["mars", "venus", "io"][fresh % 3])]
        case "aim elsewhere":
            return [change(ObsUnit, planned, {"source_id": source if number % 4 else None})]
        case "change programme":
            program = pick(session, ObservingProgram.id, number)
            return [change(ObsUnit, planned, {"observing_program_id": program, "sub_observing_program_id": None})]
        case "close programme":
            months = None if number % 2 else fresh % 1200
            return [sa.update(ObservingProgram).values(release_months=months, release_date=None)]
        case "execute later":
            start = START + timedelta(hours=fresh % 1000)
            return [change(ExecutedObsUnit, unit, {"start_time": start, "end_time": start + timedelta(hours=number)})]
        case "still running":
            return [change(ExecutedObsUnit, unit, {"end_time": None})]
        case "execute another":
            return [change(ExecutedObsUnit, unit, {"obs_unit_id": pick(session, ObsUnit.id, number + 1)})]
        case "tune":
            return [sa.update(ChaiObservationConfiguration.__table__).values(line_frequency_ghz=455.0 + fresh % 40)]
        case "set up":
            setup = pick(session, InstrumentModuleConfiguration.id, number)
            values = {"obs_unit_id": planned, "instrument_module_configuration_id": setup}
            return [sa.insert(obs_unit_module_configuration).values(values)]
        case "set down":
            return [sa.delete(obs_unit_module_configuration)]
        case "widen band":
            return [change(InstrumentModule, module, {"frequency_min_ghz": 1.0 + number, "frequency_max_ghz": 900.0})]
        case "mount elsewhere":
            instrument = pick(session, Instrument.id, number)
            return [change(InstrumentModule, module, {"instrument_id": instrument, "name": f"{fresh}"})]
        case "move telescope":
            return [sa.update(Telescope).values(latitude_deg=fresh % 80.0)]
        case "plan another":
            program = pick(session, ObservingProgram.id, number)
            return [sa.insert(ObsUnit).values(name=f"{fresh}", observing_program_id=program, source_id=source)]
        case "give a slot":
            start = START + timedelta(days=fresh % 1000)
            slot = {"obs_unit_id": planned, "start_time": start, "end_time": start + timedelta(hours=number + 1)}
            return [sa.insert(ObsUnitSlot).values(slot)]
        case "take a slot":
            return [sa.delete(ObsUnitSlot).where(ObsUnitSlot.id == pick(session, ObsUnitSlot.id, number))]
        case "rank":
            ranked = {"priority": number % 3, "planned_exptime_s": float(fresh), "category": ObsCategory.WINDOW}
            return [change(ObsUnit, planned, ranked)]
        case "change status":
            return [change(ExecutedObsUnit, unit, {"execution_status": list(ExecutionStatus)[fresh % 5]})]
        case "drop execution":
            idle = ~sa.exists().where(RawDataPackage.executed_obs_unit_id == ExecutedObsUnit.id)
            started = {"id": UUID(int=fresh), "obs_unit_id": planned, "start_time": START}
            dropped = pick(session, ExecutedObsUnit.id, number, idle)
            new = sa.insert(ExecutedObsUnit).values(started | {"execution_status": ExecutionStatus.ABORTED})
            return [new if dropped is None else sa.delete(ExecutedObsUnit).where(ExecutedObsUnit.id == dropped)]
        case "withdraw" | "restore":
            values = {"withdrawn_at": START, "withdrawn_reason": "x"} if name == "withdraw" else {}
            which = PackagePublication.raw_data_package_id == package
            empty = {"withdrawn_at": None, "withdrawn_reason": None}
            return [sa.update(PackagePublication).where(which).values(empty | values)]
    raise AssertionError(name)


def change(model: Any, identifier: Any, values: dict[str, Any]) -> Any:
    return sa.update(model.__table__).where(model.__table__.c.id == identifier).values(values)


def test_every_change_of_the_list_is_possible(fresh_run: Any) -> None:
    """None of them is left out because the database refuses it."""
    with fresh_run() as run, run.database.session() as session:
        for name in CHANGES:
            for statement in statements(run, session, name, 1):
                session.execute(statement)
        session.rollback()
