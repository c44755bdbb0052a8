"""Observing programmes, and when their data become public."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from catalog.opsdb.models.declarative import OpsBase, Timestamps

__all__ = ["ObservingProgram", "SubObservingProgram"]


class ReleaseRule:
    """When data become public: at a date, or so many months after the observation; neither means never."""

    release_date: Mapped[datetime | None]
    release_months: Mapped[int | None]
    """Calendar months after the end of the observation."""


def _one_release_rule() -> tuple[sa.CheckConstraint, ...]:
    return (
        sa.CheckConstraint("release_date IS NULL OR release_months IS NULL", name="one_release_rule"),
        sa.CheckConstraint("release_months >= 0 AND release_months <= 1200", name="release_months_range"),
    )


class ObservingProgram(Timestamps, ReleaseRule, OpsBase):
    """A programme, scientific or technical: Galactic Ecology, CMB, Calibration."""

    __tablename__ = "observing_program"
    __table_args__ = _one_release_rule()

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    short_name: Mapped[str] = mapped_column(unique=True)
    """Published as obs_collection: ``GEco``."""

    description: Mapped[str | None]
    proposal_id: Mapped[str | None]
    pi_name: Mapped[str | None]

    sub_programs: Mapped[list[SubObservingProgram]] = relationship(back_populates="program")


class SubObservingProgram(Timestamps, ReleaseRule, OpsBase):
    """A part of a programme with a release rule of its own, if it states one."""

    __tablename__ = "sub_observing_program"
    __table_args__ = (
        sa.UniqueConstraint("observing_program_id", "short_name"),
        sa.UniqueConstraint("id", "observing_program_id"),
        *_one_release_rule(),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    observing_program_id: Mapped[int] = mapped_column(sa.ForeignKey(ObservingProgram.id))
    name: Mapped[str]
    short_name: Mapped[str]

    program: Mapped[ObservingProgram] = relationship(back_populates="sub_programs")
