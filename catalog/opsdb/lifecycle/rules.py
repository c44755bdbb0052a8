"""What must be left when a copy goes: numbers of the settings, and the same numbers as the database keeps them.

The database judges plain SQL by the numbers that `keep_rules` wrote down, as rows of ``catalog.publication_setting``.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from catalog.opsdb.models import PublicationSetting

__all__ = ["CLOCK_MARGIN_S", "Bounds", "DeletionRules", "keep_rules", "kept_bounds"]

CLOCK_MARGIN_S = 300
"""How far in the future, by the database's clock, a verification may lie and still count."""

_KEY = "copies.{}"


@dataclass(frozen=True, slots=True)
class Bounds:
    """The rules at one moment: values, or SQL that yields them."""

    survivors: Any
    archive_sites: Any
    archive_media: Any
    oldest: Any
    """From when on verifications count."""

    latest: Any
    """Until when they do: what lies later was written by a wrong clock."""


@dataclass(frozen=True, slots=True)
class DeletionRules:
    """What must be left when a copy goes."""

    survivors: int = 1
    """Verified archive copies that must be left when a copy at a source, buffer or processing location goes."""

    archive_sites: int = 2
    """Sites with a verified archive copy that must be left when an archive copy goes."""

    archive_media: int = 1
    """Kinds of storage with a verified archive copy that must be left when an archive copy goes."""

    verified_within_days: int = 365
    """How long a verification counts."""

    def at(self, now: datetime) -> Bounds:
        """The rules at a moment."""
        return Bounds(
            self.survivors,
            self.archive_sites,
            self.archive_media,
            now - timedelta(days=self.verified_within_days),
            now + timedelta(seconds=CLOCK_MARGIN_S),
        )


def keep_rules(connection: sa.Connection, rules: DeletionRules) -> None:
    """Let the database judge by these numbers from now on.

    Args:
        connection: In a transaction that writes.
        rules: The numbers.
    """
    kept = PublicationSetting
    for name, value in asdict(rules).items():
        key = _KEY.format(name)
        if not connection.execute(sa.update(kept).where(kept.key == key).values(value=str(value))).rowcount:
            connection.execute(sa.insert(kept).values(key=key, value=str(value)))


def kept_bounds(engine: str, *, now: str = "clock_timestamp()") -> Bounds:
    """The rules as the database keeps them, when it looks: SQL; the defaults where nothing was written down.

    Args:
        engine: Which engine.
        now: What tells the time on PostgreSQL.
    """
    table = PublicationSetting.__tablename__ if engine == "sqlite" else f"catalog.{PublicationSetting.__tablename__}"
    numbers = {
        field.name: f"coalesce((SELECT CAST(s.value AS integer) FROM {table} s "
        f"WHERE s.key = '{_KEY.format(field.name)}'), {field.default})"
        for field in fields(DeletionRules)
    }
    days = numbers.pop("verified_within_days")
    if engine == "sqlite":
        oldest = f"strftime('%Y-%m-%dT%H:%M:%f000', 'now', '-' || {days} || ' days')"
        latest = f"strftime('%Y-%m-%dT%H:%M:%f000', 'now', '+{CLOCK_MARGIN_S} seconds')"
    else:
        oldest = f"{now} - make_interval(days => {days})"
        latest = f"{now} + make_interval(secs => {CLOCK_MARGIN_S})"
    texts = numbers | {"oldest": oldest, "latest": latest}
    return Bounds(**{name: sa.literal_column(text) for name, text in texts.items()})
