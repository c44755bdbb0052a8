"""Observatory, telescope, instrument, module: who produces the data."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from catalog.opsdb.enums import ModuleKind
from catalog.opsdb.models.declarative import OpsBase, Timestamps, enum_type, in_range, one_of

__all__ = [
    "ChaiModuleConfiguration",
    "Instrument",
    "InstrumentModule",
    "InstrumentModuleConfiguration",
    "Observatory",
    "Telescope",
]


class Observatory(Timestamps, OpsBase):
    """An organisation that runs telescopes."""

    __tablename__ = "observatory"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    description: Mapped[str | None]

    telescopes: Mapped[list[Telescope]] = relationship(back_populates="observatory")


class Telescope(Timestamps, OpsBase):
    """A telescope and where it stands."""

    __tablename__ = "telescope"
    __table_args__ = (
        in_range("latitude_deg", -90, 90),
        in_range("longitude_deg", -180, 360),
        sa.CheckConstraint("diameter_m > 0", name="diameter_m_positive"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    observatory_id: Mapped[int] = mapped_column(sa.ForeignKey(Observatory.id), index=True)
    name: Mapped[str]
    short_name: Mapped[str] = mapped_column(unique=True)
    """Published as facility_name: ``FYST``."""

    latitude_deg: Mapped[float | None]
    """Geodetic latitude, north positive, degrees."""

    longitude_deg: Mapped[float | None]
    """Longitude, east positive, degrees."""

    altitude_m: Mapped[float | None]
    """Height above the ellipsoid, metres."""

    diameter_m: Mapped[float | None]
    """Diameter of the primary, metres."""

    observatory: Mapped[Observatory] = relationship(back_populates="telescopes")
    instruments: Mapped[list[Instrument]] = relationship(back_populates="telescope")


class Instrument(Timestamps, OpsBase):
    """An instrument at a telescope: Prime-Cam, CHAI."""

    __tablename__ = "instrument"

    id: Mapped[int] = mapped_column(primary_key=True)
    telescope_id: Mapped[int] = mapped_column(sa.ForeignKey(Telescope.id), index=True)
    name: Mapped[str] = mapped_column(unique=True)
    available: Mapped[bool] = mapped_column(sa.Boolean(create_constraint=True, name="available"), default=True)
    """Installed and operational."""

    description: Mapped[str | None]

    telescope: Mapped[Telescope] = relationship(back_populates="instruments")
    modules: Mapped[list[InstrumentModule]] = relationship(back_populates="instrument")


class InstrumentModule(Timestamps, OpsBase):
    """The part of an instrument that produces data; every file and package belongs to exactly one."""

    __tablename__ = "instrument_module"
    __table_args__ = (
        sa.UniqueConstraint("instrument_id", "name"),
        sa.CheckConstraint("frequency_min_ghz > 0 AND frequency_max_ghz >= frequency_min_ghz", name="frequency"),
        sa.CheckConstraint("beam_fwhm_arcsec > 0", name="beam_fwhm_arcsec_positive"),
        sa.CheckConstraint("fov_deg > 0 AND fov_deg <= 360", name="fov_deg_range"),
        sa.CheckConstraint("pixel_count > 0", name="pixel_count_positive"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    instrument_id: Mapped[int] = mapped_column(sa.ForeignKey(Instrument.id), index=True)
    name: Mapped[str]
    kind: Mapped[ModuleKind] = mapped_column(enum_type(ModuleKind, "module_kind"), default=ModuleKind.OTHER)
    frequency_min_ghz: Mapped[float | None]
    """Lower edge of the sky band, GHz."""

    frequency_max_ghz: Mapped[float | None]
    """Upper edge of the sky band, GHz."""

    beam_fwhm_arcsec: Mapped[float | None]
    """Width of one beam at mid-band, arcsec; published as s_resolution."""

    fov_deg: Mapped[float | None]
    """Diameter of the instantaneous field, degrees."""

    pixel_count: Mapped[int | None]
    pol_states: Mapped[str | None]
    """ObsCore form: ``/I/Q/U/``."""

    resolving_power: Mapped[float | None]
    """λ/Δλ of one spectral channel; NULL for a broadband module."""

    description: Mapped[str | None]

    instrument: Mapped[Instrument] = relationship(back_populates="modules")
    configurations: Mapped[list[InstrumentModuleConfiguration]] = relationship(back_populates="module")


class InstrumentModuleConfiguration(Timestamps, OpsBase):
    """A named set-up of a module; subclasses add what only some instruments have."""

    __tablename__ = "instrument_module_configuration"
    __table_args__: tuple[sa.Constraint, ...] = (
        sa.UniqueConstraint("instrument_module_id", "name"),
        one_of("type", "instrument_module_configuration", "chai_module_configuration"),
    )
    __mapper_args__ = {"polymorphic_on": "type", "polymorphic_identity": "instrument_module_configuration"}

    id: Mapped[int] = mapped_column(primary_key=True)
    instrument_module_id: Mapped[int] = mapped_column(sa.ForeignKey(InstrumentModule.id), index=True)
    type: Mapped[str]
    name: Mapped[str]
    parameters: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """Whatever else the instrument's software records."""

    module: Mapped[InstrumentModule] = relationship(back_populates="configurations")


class ChaiModuleConfiguration(InstrumentModuleConfiguration):
    """Set-up of a CHAI module: its intermediate-frequency band and channel width."""

    __tablename__ = "chai_module_configuration"
    __mapper_args__ = {"polymorphic_identity": "chai_module_configuration"}
    __table_args__ = (
        sa.CheckConstraint("if_min_ghz > 0 AND if_max_ghz > if_min_ghz", name="if_band"),
        sa.CheckConstraint("channel_width_khz > 0", name="channel_width_khz_positive"),
    )

    id: Mapped[int] = mapped_column(sa.ForeignKey(InstrumentModuleConfiguration.id), primary_key=True)
    if_min_ghz: Mapped[float]
    """Lower edge of the intermediate-frequency band, GHz."""

    if_max_ghz: Mapped[float]
    """Upper edge of the intermediate-frequency band, GHz."""

    channel_width_khz: Mapped[float]
    """Spectral channel, kHz."""
