"""How times and UUIDs are stored, so that both engines hold the same values and sort them alike."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator, TypeEngine

from catalog.errors import UsageError

__all__ = ["UtcDateTime", "UuidText", "format_utc"]

_UUID_LENGTH = 36
_TIMESTAMP_LENGTH = 26


def format_utc(value: datetime) -> str:
    """A time as DALI 1.1 section 3.3.3 writes it, to the microsecond: ``YYYY-MM-DDThh:mm:ss.ffffff``.

    Args:
        value: Aware, in any zone.

    Raises:
        UsageError: The time has no zone.
    """
    if value.tzinfo is None:
        raise UsageError(f"the time {value.isoformat()} has no time zone; expected one in UTC, such as …+00:00")
    return value.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds")


class UtcDateTime(TypeDecorator[datetime]):
    """An aware time in UTC: ``timestamptz`` on PostgreSQL, text of `format_utc` on SQLite.

    The text sorts as the time does, and every value has the same length. A naive time is refused with
    `catalog.errors.UsageError`.
    """

    impl = sa.DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """What the column is on this engine."""
        if dialect.name == "postgresql":
            return dialect.type_descriptor(sa.DateTime(timezone=True))
        return dialect.type_descriptor(sa.String(_TIMESTAMP_LENGTH))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        """Python value to the driver's."""
        if value is None:
            return None
        text = format_utc(value)
        return value.astimezone(UTC) if dialect.name == "postgresql" else text

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """The driver's value to Python's."""
        if value is None:
            return None
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
        assert isinstance(moment, datetime)  # noqa: S101  (both engines hand out text or datetime)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


class UuidText(TypeDecorator[UUID]):
    """A UUID: ``uuid`` on PostgreSQL, hyphenated lower-case text on SQLite."""

    impl = sa.Uuid
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """What the column is on this engine."""
        if dialect.name == "postgresql":
            return dialect.type_descriptor(postgresql.UUID(as_uuid=True))
        return dialect.type_descriptor(sa.String(_UUID_LENGTH))

    def process_bind_param(self, value: UUID | str | None, dialect: Dialect) -> Any:
        """Python value to the driver's."""
        if value is None:
            return None
        known = value if isinstance(value, UUID) else _parse_uuid(value)
        return known if dialect.name == "postgresql" else str(known)

    def process_result_value(self, value: Any, dialect: Dialect) -> UUID | None:
        """The driver's value to Python's."""
        if value is None or isinstance(value, UUID):
            return value
        return UUID(value)


def _parse_uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise UsageError(f"'{text}' is not a UUID; expected a form such as {UUID(int=0)}") from None
