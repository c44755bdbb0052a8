"""The history of states: one line for each move, which nobody changes or removes."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from catalog.opsdb.models.declarative import OurBase, utc_now

__all__ = ["LifecycleMove", "MoveNote"]

_OPTIONAL_JSON = sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")


class Reasons:
    """What the writer says of a move."""

    actor: Mapped[str | None]
    """Who; of a writer that did not say, the login on PostgreSQL and NULL on SQLite."""

    reason: Mapped[str | None]
    evidence: Mapped[dict[str, Any] | None] = mapped_column(_OPTIONAL_JSON)
    """What the decision was made on."""

    survivors: Mapped[list[dict[str, Any]] | None] = mapped_column(_OPTIONAL_JSON)
    """The copies that were counted on, when content was given up."""


class LifecycleMove(Reasons, OurBase):
    """One move of one row from a state to another; written by triggers, whoever moves the row."""

    __tablename__ = "lifecycle_move"
    __table_args__ = (sa.Index("ix_lifecycle_move_entity_key", "entity_key", "entity"),)

    id: Mapped[int] = mapped_column(sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True)
    entity: Mapped[str]
    """Name of the table."""

    attribute: Mapped[str]
    """Name of the column."""

    entity_key: Mapped[str]
    """The row's key as text."""

    from_state: Mapped[str]
    to_state: Mapped[str]
    verb: Mapped[str]
    """What the move is called (`catalog.opsdb.lifecycle.machines`)."""

    moved_at: Mapped[datetime] = mapped_column(server_default=utc_now())


class MoveNote(Reasons, OurBase):
    """What a writer wants to be recorded of the move that it makes next in the same transaction; the move takes it."""

    __tablename__ = "move_note"

    entity: Mapped[str] = mapped_column(primary_key=True)
    attribute: Mapped[str] = mapped_column(primary_key=True)
    entity_key: Mapped[str] = mapped_column(primary_key=True)
