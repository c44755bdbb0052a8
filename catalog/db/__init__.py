"""The only opener of connections: SQLite through the standard library, PostgreSQL through psycopg and ADBC.

`Database` writes through SQLAlchemy and reads through `Database.stream`, which hands out Arrow batches from a
read-only connection, with a timeout and with cancel. Besides the translation of ADQL, nothing else in the toolkit
knows which engine is behind it.
"""

from __future__ import annotations

from catalog.db.database import Database
from catalog.db.sqlite import SqlFunction
from catalog.db.storage import UtcDateTime, UuidText
from catalog.db.temporary import TemporaryTable

__all__ = ["Database", "SqlFunction", "TemporaryTable", "UtcDateTime", "UuidText"]
