"""What a package hangs on: instrument, programme, source, observation, location; found, or created where that is meant.

A definition counts when the thing is created. Later ones are only compared, and what differs is noted: the database,
not the manifest, is the record of what an operator has changed since.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from catalog.ingest.faults import ContradictionError, MissingParentError, UnknownInstrumentError
from catalog.ingest.records import (
    ExecutedObsUnitRecord,
    LocationRecord,
    ObsUnitRecord,
    PackageRecord,
    ProgramRecord,
    SourceRecord,
    SubProgramRecord,
)
from catalog.opsdb.enums import StorageType
from catalog.opsdb.models import (
    ConstantElevationSource,
    DataLocation,
    DiskDataLocation,
    ExecutedObsUnit,
    FixedSource,
    Instrument,
    InstrumentModule,
    ObservationConfiguration,
    Observatory,
    ObservingProgram,
    ObsMode,
    ObsUnit,
    S3DataLocation,
    Site,
    SolarSystemObject,
    Source,
    SubObservingProgram,
    TapeDataLocation,
    Telescope,
)

__all__ = ["EXECUTION_FACTS", "Parents", "build_execution_values", "stated_facts"]

EXECUTION_FACTS = ("start_time", "end_time", "azimuth_deg", "elevation_deg", "pwv_mm")
"""What is filled in of an execution as it becomes known."""

_REMEMBERED = 20_000
_NOWHERE = "unknown"

_SOURCES: dict[str, type[Source]] = {
    "source": Source,
    "fixed_source": FixedSource,
    "solar_system_object": SolarSystemObject,
    "constant_elevation_source": ConstantElevationSource,
}
_LOCATIONS: dict[StorageType, type[DataLocation]] = {
    StorageType.DISK: DiskDataLocation,
    StorageType.S3: S3DataLocation,
    StorageType.TAPE: TapeDataLocation,
}


class Parents:
    """Finds the parents of records in one session, and remembers where they are.

    Args:
        session: Creates within the caller's savepoint.
        note: Told field and remark where a definition differs from what is recorded.
        creates: Whether what is not known is created, where a record defines it; else it counts as missing.
    """

    def __init__(self, session: Session, note: Callable[[str, str], None], *, creates: bool = True) -> None:
        self._session = session
        self._note = note
        self._creates = creates
        self._known: dict[tuple[Any, ...], tuple[int, Mapping[str, Any]]] = {}
        self._fresh: list[tuple[Any, ...]] = []

    def settle(self) -> None:
        """The savepoint is released: what was created in it stays."""
        self._fresh.clear()
        if len(self._known) > _REMEMBERED:
            self._known.clear()

    def forget(self) -> None:
        """The savepoint is rolled back: forget what was learnt in it."""
        for key in self._fresh:
            self._known.pop(key, None)
        self._fresh.clear()

    def module(self, record: PackageRecord, *, create: bool) -> int:
        """Id of the instrument module.

        Raises:
            UnknownInstrumentError: Instrument or module is not known and ``create`` is false.
        """
        query = sa.select(InstrumentModule).join(Instrument)
        query = query.where(Instrument.name == record.instrument, InstrumentModule.name == record.module)

        def build() -> InstrumentModule:
            if not create:
                raise UnknownInstrumentError(
                    "module",
                    f"there is no module '{record.module}' of an instrument '{record.instrument}'; "
                    "--create-instruments creates what is unknown",
                )
            return InstrumentModule(
                instrument_id=self._instrument(record), name=record.module, description="created by ingest"
            )

        return self._find(("module", record.instrument, record.module), query, build)[0]

    def execution(self, record: ExecutedObsUnitRecord) -> ExecutedObsUnit:
        """The executed unit; times that were open are filled in.

        Raises:
            MissingParentError: It, or what it refers to, is not known.
            ContradictionError: It is recorded with another planned observation.
        """
        field = "executed_obs_unit"
        row = self._session.get(ExecutedObsUnit, record.id)
        if row is None:
            if record.obs_unit is None:
                raise MissingParentError(f"the executed unit {record.id} is not known")
            row = ExecutedObsUnit(**build_execution_values(record, self.obs_unit(record.obs_unit)))
            self._session.add(row)
            self._session.flush()
            return row
        if record.obs_unit is not None and row.obs_unit.name == record.obs_unit.name:
            self.obs_unit(record.obs_unit)
        elif record.obs_unit is not None:
            raise ContradictionError(
                f"{field}.obs_unit.name",
                f"the executed unit {record.id} belongs to '{row.obs_unit.name}', not to '{record.obs_unit.name}'",
            )
        for name, value in stated_facts(record).items():
            if getattr(row, name) is None:
                setattr(row, name, value)
            elif getattr(row, name) != value:
                self._note(f"{field}.{name}", f"recorded as {_shown(getattr(row, name))}: kept, not {_shown(value)}")
        return row

    def obs_unit(self, record: ObsUnitRecord) -> int:
        """Id of a planned observation.

        Raises:
            MissingParentError: It is not known and the record does not define it, or what it refers to is not known.
        """
        query = sa.select(ObsUnit).where(ObsUnit.name == record.name)

        def build() -> ObsUnit:
            if record.program is None:
                raise MissingParentError(f"the observation '{record.name}' is not known")
            program = self._program(record.program)
            return ObsUnit(
                **_column_values(ObsUnit, record),
                observing_program_id=program,
                sub_observing_program_id=record.sub_program and self._sub_program(program, record),
                source_id=record.source and self._source(record.source),
                obs_mode_id=self._named(ObsMode, "observing mode", record.obs_mode),
                observation_configuration_id=self._named(
                    ObservationConfiguration, "observation configuration", record.configuration
                ),
            )

        stated = {} if record.is_reference else _column_values(ObsUnit, record)
        links = {"program": "short_name", "sub_program": "short_name", "source": "name"}
        stated |= {link: getattr(part, key) for link, key in links.items() if (part := getattr(record, link))}
        field = "executed_obs_unit.obs_unit"
        identifier, recorded = self._find(("obs_unit", record.name), query, build, stated, field, links)
        if record.program is not None and recorded["program"] == record.program.short_name:
            self._program(record.program)
        if record.source is not None and recorded["source"] == record.source.name:
            self._source(record.source)
        return identifier

    def location(self, record: LocationRecord) -> int:
        """Id of a location.

        Raises:
            MissingParentError: It is not known and the record does not define it.
        """
        query = sa.select(DataLocation).join(Site).where(Site.key == record.site, DataLocation.name == record.name)

        def build() -> DataLocation:
            if record.storage_type is None or record.location_type is None:
                raise MissingParentError(f"the location {record.site}/{record.name} is not known")
            model = _LOCATIONS[record.storage_type]
            values = _column_values(model, record) | {"site_id": self._site(record)}
            return model(**values)

        stated = _column_values(DataLocation, record) if not record.is_reference else {}
        stated |= {name: value for name in ("path", "bucket", "prefix") if (value := getattr(record, name)) is not None}
        return self._find(("location", record.site, record.name), query, build, stated, "location")[0]

    def _instrument(self, record: PackageRecord) -> int:
        telescope = record.telescope or _NOWHERE
        query = sa.select(Instrument).where(Instrument.name == record.instrument)
        return self._find(
            ("instrument", record.instrument),
            query,
            lambda: Instrument(telescope_id=self._telescope(telescope), name=record.instrument),
        )[0]

    def _telescope(self, name: str) -> int:
        query = sa.select(Telescope).where(Telescope.short_name == name)
        return self._find(
            ("telescope", name),
            query,
            lambda: Telescope(observatory_id=self._observatory(name), name=name, short_name=name),
        )[0]

    def _observatory(self, name: str) -> int:
        query = sa.select(Observatory).where(Observatory.name == name)
        return self._find(("observatory", name), query, lambda: Observatory(name=name))[0]

    def _site(self, record: LocationRecord) -> int:
        query = sa.select(Site).where(Site.key == record.site)

        def build() -> Site:
            if record.site_name is None:
                raise MissingParentError(f"the site {record.site} is not known")
            return Site(key=record.site, name=record.site_name, country=record.country)

        return self._find(("site", record.site), query, build)[0]

    def _program(self, record: ProgramRecord) -> int:
        query = sa.select(ObservingProgram).where(ObservingProgram.short_name == record.short_name)

        def build() -> ObservingProgram:
            if record.name is None:
                raise MissingParentError(f"the programme '{record.short_name}' is not known")
            return ObservingProgram(**_column_values(ObservingProgram, record))

        stated = {} if record.is_reference else _column_values(ObservingProgram, record)
        field = "executed_obs_unit.obs_unit.program"
        return self._find(("program", record.short_name), query, build, stated, field)[0]

    def _sub_program(self, program_id: int, unit: ObsUnitRecord) -> int:
        record = unit.sub_program
        assert isinstance(record, SubProgramRecord)  # noqa: S101  (asked by the caller)
        query = sa.select(SubObservingProgram).where(
            SubObservingProgram.observing_program_id == program_id,
            SubObservingProgram.short_name == record.short_name,
        )

        def build() -> SubObservingProgram:
            if record.name is None:
                raise MissingParentError(f"the sub-programme '{record.short_name}' is not known")
            return SubObservingProgram(**_column_values(SubObservingProgram, record), observing_program_id=program_id)

        stated = {} if record.is_reference else _column_values(SubObservingProgram, record)
        field = "executed_obs_unit.obs_unit.sub_program"
        return self._find(("sub_program", program_id, record.short_name), query, build, stated, field)[0]

    def _source(self, record: SourceRecord) -> int:
        query = sa.select(Source).where(Source.name == record.name)

        def build() -> Source:
            if record.type is None:
                raise MissingParentError(f"the source '{record.name}' is not known")
            model = _SOURCES[record.type]
            return model(**_column_values(model, record))

        field = "executed_obs_unit.obs_unit.source"
        stated = {} if record.type in (None, "source") else _column_values(_SOURCES[record.type], record)
        return self._find(("source", record.name), query, build, stated, field)[0]

    def _named(self, model: type[ObsMode] | type[ObservationConfiguration], word: str, name: str | None) -> int | None:
        if name is None:
            return None

        def build() -> ObsMode:
            raise MissingParentError(f"the {word} '{name}' is not known")

        return self._find((word, name), sa.select(model).where(model.name == name), build)[0]

    def _find(
        self,
        key: tuple[Any, ...],
        query: sa.Select[Any],
        build: Callable[[], Any],
        stated: Mapping[str, Any] | None = None,
        field: str = "",
        links: Mapping[str, str] | None = None,
    ) -> tuple[int, Mapping[str, Any]]:
        """Id and values of the row that the query finds, else of the one that is built; what differs is noted.

        Args:
            key: What the row is remembered by.
            query: Finds it.
            build: Makes it.
            stated: What the record says of it.
            field: How notes call it.
            links: Relationships whose names count as values, with the attribute that is the name.
        """
        known = self._known.get(key)
        if known is None:
            row = self._session.scalar(query)
            if row is None and not self._creates:
                raise MissingParentError(f"{' '.join(map(str, key))} is not known")
            if row is None:
                row = build()
                self._session.add(row)
                self._session.flush()
            known = row.id, _recorded(row, links or {})
            self._known[key] = known
            self._fresh.append(key)
        for name, value in (stated or {}).items():
            if name in known[1] and known[1][name] != value:
                self._note(f"{field}.{name}", f"recorded as {_shown(known[1][name])}: kept, not {_shown(value)}")
        return known


def stated_facts(record: ExecutedObsUnitRecord) -> dict[str, Any]:
    """What a record says of `EXECUTION_FACTS`."""
    return {name: value for name in EXECUTION_FACTS if (value := getattr(record, name)) is not None}


def build_execution_values(record: ExecutedObsUnitRecord, obs_unit_id: int) -> dict[str, Any]:
    """Columns of a new execution."""
    values = {"id": record.id, "obs_unit_id": obs_unit_id, **stated_facts(record)}
    return values if record.execution_status is None else values | {"execution_status": record.execution_status}


def _column_values(model: type[Any], record: Any) -> dict[str, Any]:
    """What a record states of the columns of a model."""
    names = {column.key for column in sa.inspect(model).column_attrs} & type(record).model_fields.keys()
    return {name: value for name in sorted(names) if name != "type" and (value := getattr(record, name)) is not None}


def _recorded(row: Any, links: Mapping[str, str]) -> dict[str, Any]:
    """Column values of a row, and the names of what it is linked to."""
    kept = {"created_at", "updated_at"}
    values = {c.key: getattr(row, c.key) for c in sa.inspect(type(row)).column_attrs if c.key not in kept}
    return values | {link: getattr(getattr(row, link), name, None) for link, name in links.items()}


def _shown(value: Any) -> str:
    return "nothing" if value is None else f"'{value}'"
