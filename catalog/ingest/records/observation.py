"""Records of what a package came of: programme, source, planned and executed observation."""

from __future__ import annotations

from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import Field, model_validator

from catalog.ingest.records.values import Count, Degrees, Instant, Name, Record, Text, check_order
from catalog.opsdb.enums import ExecutionStatus, ObsCategory

__all__ = ["ExecutedObsUnitRecord", "ObsUnitRecord", "ProgramRecord", "SourceRecord", "SubProgramRecord"]


class _ReleaseRule(Record):
    short_name: Name
    name: Name | None = None
    """Needed to create it."""

    release_date: Instant | None = None
    """When the data become public; absent together with release_months: the rule above counts, or never."""

    release_months: Annotated[int, Field(ge=0, le=1200)] | None = None
    """Calendar months after the end of the observation."""

    @classmethod
    def _key_fields(cls) -> frozenset[str]:
        return frozenset({"short_name"})

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.release_date is not None and self.release_months is not None:
            raise ValueError("release_date and release_months exclude each other")
        if self.name is None and not self.is_reference:
            raise ValueError("a programme is created with a name; give short_name alone to refer to one that exists")
        return self


class ProgramRecord(_ReleaseRule):
    """An observing programme; its key is ``short_name``, published as obs_collection."""

    description: Text | None = None
    proposal_id: Name | None = None
    pi_name: Name | None = None


class SubProgramRecord(_ReleaseRule):
    """A part of the programme, with a release rule of its own, if it states one; its key is ``short_name``."""


class SourceRecord(Record):
    """What was observed; its key is ``name``."""

    name: Name
    """Published as target_name."""

    type: Literal["source", "fixed_source", "solar_system_object", "constant_elevation_source"] | None = None
    """Needed to create the source; ``source`` is one without coordinates."""

    description: Text | None = None
    ra_deg: Annotated[float, Field(ge=0, le=360)] | None = None
    """ICRS, of a fixed source."""

    dec_deg: Degrees | None = None
    extent_deg: Annotated[float, Field(gt=0, le=360)] | None = None
    """Diameter of the area to be mapped, of a fixed source."""

    body: Name | None = None
    """Name in the built-in ephemeris, lower case, of a solar-system object: ``jupiter``."""

    naif_id: Count | None = None
    azimuth_min_deg: Annotated[float, Field(ge=-360, le=720)] | None = None
    azimuth_max_deg: Annotated[float, Field(ge=-360, le=720)] | None = None
    elevation_deg: Annotated[float, Field(ge=0, le=90)] | None = None
    ra_min_deg: Annotated[float, Field(ge=0, le=360)] | None = None
    ra_max_deg: Annotated[float, Field(ge=0, le=360)] | None = None
    """Less than ra_min_deg where the field holds RA 0."""

    dec_min_deg: Degrees | None = None
    dec_max_deg: Degrees | None = None

    @classmethod
    def _key_fields(cls) -> frozenset[str]:
        return frozenset({"name"})

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.type is None:
            if not self.is_reference:
                raise ValueError("a source is created with a type; give its name alone to refer to one that exists")
            return self
        foreign = self.stated() - {"name", "type", "description"} - _SOURCE_FIELDS[self.type]
        if foreign:
            raise ValueError(f"'{sorted(foreign)[0]}' does not belong to a {self.type}")
        missing = _SOURCE_NEEDS.get(self.type, set()) - self.stated()
        if missing:
            raise ValueError(f"a {self.type} needs '{sorted(missing)[0]}'")
        check_order(self, "azimuth_min_deg", "azimuth_max_deg")
        check_order(self, "dec_min_deg", "dec_max_deg")
        return self


_SOURCE_FIELDS: dict[str, set[str]] = {
    "source": set(),
    "fixed_source": {"ra_deg", "dec_deg", "extent_deg"},
    "solar_system_object": {"body", "naif_id"},
    "constant_elevation_source": {
        *("azimuth_min_deg", "azimuth_max_deg", "elevation_deg"),
        *("ra_min_deg", "ra_max_deg", "dec_min_deg", "dec_max_deg"),
    },
}
_SOURCE_NEEDS = {"fixed_source": {"ra_deg", "dec_deg"}, "solar_system_object": {"body"}}


class ObsUnitRecord(Record):
    """A planned observation; its key is ``name``."""

    name: Name
    program: ProgramRecord | None = None
    """Needed to create the observation."""

    sub_program: SubProgramRecord | None = None
    source: SourceRecord | None = None
    obs_mode: Name | None = None
    """Name of one that exists."""

    configuration: Name | None = None
    """Name of an observation configuration that exists."""

    planned_at: Instant | None = None
    planned_exptime_s: Annotated[float, Field(ge=0)] | None = None
    priority: Annotated[int, Field(ge=0, le=2)] | None = None
    category: ObsCategory | None = None

    @classmethod
    def _key_fields(cls) -> frozenset[str]:
        return frozenset({"name"})

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.program is None and not self.is_reference:
            raise ValueError("an obs_unit is created with a program; give its name alone to refer to one that exists")
        return self


class ExecutedObsUnitRecord(Record):
    """One execution of a planned observation; its key is ``id``."""

    id: UUID
    """Published as obs_id."""

    obs_unit: ObsUnitRecord | None = None
    """Needed to create the execution."""

    start_time: Instant | None = None
    end_time: Instant | None = None
    """Absent while the observation runs; a later record may add it."""

    execution_status: ExecutionStatus | None = None
    """``performed`` when absent."""

    azimuth_deg: Annotated[float, Field(ge=-360, le=720)] | None = None
    elevation_deg: Annotated[float, Field(ge=-5, le=95)] | None = None
    pwv_mm: Annotated[float, Field(ge=0)] | None = None

    @classmethod
    def _key_fields(cls) -> frozenset[str]:
        return frozenset({"id"})

    @model_validator(mode="after")
    def _whole(self) -> Self:
        check_order(self, "start_time", "end_time")
        return self
