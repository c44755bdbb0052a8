"""What is observed: fixed sources, solar-system objects, fields scanned at constant elevation."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from catalog.opsdb.models.declarative import OpsBase, Timestamps, in_range, one_of

__all__ = ["ConstantElevationSource", "FixedSource", "SolarSystemObject", "Source"]


class Source(Timestamps, OpsBase):
    """Anything that an observation can point at."""

    __tablename__ = "source"
    __mapper_args__ = {"polymorphic_on": "type", "polymorphic_identity": "source"}
    __table_args__: tuple[sa.Constraint, ...] = (
        one_of("type", "source", "fixed_source", "solar_system_object", "constant_elevation_source"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    type: Mapped[str] = mapped_column(index=True)
    name: Mapped[str] = mapped_column(unique=True)
    """Published as target_name."""

    description: Mapped[str | None]


class FixedSource(Source):
    """A source with fixed celestial coordinates."""

    __tablename__ = "fixed_source"
    __mapper_args__ = {"polymorphic_identity": "fixed_source"}
    __table_args__ = (
        in_range("ra_deg", 0, 360),
        in_range("dec_deg", -90, 90),
        sa.CheckConstraint("extent_deg > 0 AND extent_deg <= 360", name="extent_deg_range"),
    )

    id: Mapped[int] = mapped_column(sa.ForeignKey(Source.id), primary_key=True)
    ra_deg: Mapped[float]
    """ICRS right ascension, degrees."""

    dec_deg: Mapped[float]
    """ICRS declination, degrees."""

    extent_deg: Mapped[float | None]
    """Diameter of the area to be mapped, degrees; NULL for a single pointing."""


class SolarSystemObject(Source):
    """A planet, moon, asteroid or comet; it has no position of its own, only one at a time."""

    __tablename__ = "solar_system_object"
    __mapper_args__ = {"polymorphic_identity": "solar_system_object"}

    id: Mapped[int] = mapped_column(sa.ForeignKey(Source.id), primary_key=True)
    body: Mapped[str]
    """Name in the built-in ephemeris, lower case: ``jupiter``; others yield no position."""

    naif_id: Mapped[int | None]


class ConstantElevationSource(Source):
    """A field scanned in azimuth at constant elevation while the sky drifts through."""

    __tablename__ = "constant_elevation_source"
    __mapper_args__ = {"polymorphic_identity": "constant_elevation_source"}
    __table_args__ = (
        in_range("azimuth_min_deg", -360, 720),
        in_range("azimuth_max_deg", -360, 720),
        in_range("elevation_deg", 0, 90),
        in_range("ra_min_deg", 0, 360),
        in_range("ra_max_deg", 0, 360),
        in_range("dec_min_deg", -90, 90),
        in_range("dec_max_deg", -90, 90),
        sa.CheckConstraint("azimuth_min_deg <= azimuth_max_deg", name="azimuth_order"),
        sa.CheckConstraint("dec_min_deg <= dec_max_deg", name="dec_order"),
    )

    id: Mapped[int] = mapped_column(sa.ForeignKey(Source.id), primary_key=True)
    azimuth_min_deg: Mapped[float | None]
    """Start of the azimuth throw, degrees from north through east."""

    azimuth_max_deg: Mapped[float | None]
    """End of the azimuth throw, degrees; may exceed 360 so that it stays above the start."""

    elevation_deg: Mapped[float | None]
    ra_min_deg: Mapped[float | None]
    """Western bound of the survey field, ICRS degrees; greater than ra_max_deg where the field holds RA 0."""

    ra_max_deg: Mapped[float | None]
    dec_min_deg: Mapped[float | None]
    dec_max_deg: Mapped[float | None]
