"""The address of a database: which forms are accepted, and how it is shown without its password."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import sqlalchemy as sa

from catalog.errors import SettingsError

__all__ = ["DialectName", "dialect_of", "parse_address", "sqlite_path"]

DialectName = Literal["sqlite", "postgresql"]

_SQLITE = ("sqlite", "sqlite+pysqlite")
_POSTGRESQL = ("postgresql", "postgresql+psycopg")
_FORMS = "sqlite:///PATH or postgresql://USER@HOST:PORT/NAME"


def parse_address(address: str) -> sa.URL:
    """The address with its driver settled and, on SQLite, its path made absolute.

    Raises:
        SettingsError: The address has neither form, or asks for a database in memory.
    """
    try:
        url = sa.make_url(address)
    except (sa.exc.ArgumentError, ValueError):
        raise SettingsError(f"the address of the database cannot be read; expected {_FORMS}") from None
    if url.drivername in _SQLITE:
        return _sqlite(url)
    if url.drivername in _POSTGRESQL:
        if not url.database:
            raise SettingsError(f"the address of the database names no database; expected {_FORMS}")
        return url.set(drivername="postgresql+psycopg")
    raise SettingsError(f"databases of the kind '{url.drivername}' are not supported; expected {_FORMS}")


def dialect_of(url: sa.URL) -> DialectName:
    """Which of the two engines a parsed address means."""
    return "sqlite" if url.get_backend_name() == "sqlite" else "postgresql"


def sqlite_path(url: sa.URL) -> Path:
    """The file of a parsed SQLite address."""
    assert url.database is not None  # noqa: S101  (parse_address)
    return Path(url.database)


def _sqlite(url: sa.URL) -> sa.URL:
    if url.host or url.query:
        raise SettingsError("a SQLite address has a path and nothing else; expected sqlite:///PATH")
    if not url.database or ":memory:" in url.database:
        raise SettingsError(
            "a SQLite database in memory is not supported, because readers open the file on their own; "
            "expected sqlite:///PATH"
        )
    return sa.URL.create("sqlite+pysqlite", database=str(Path(url.database).expanduser().absolute()))
