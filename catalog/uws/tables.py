"""The tables of jobs, in schema ``uws`` of PostgreSQL or in a SQLite file, and the version of their layout."""

from __future__ import annotations

from uuid import uuid4

import sqlalchemy as sa

from catalog.db import Database, UtcDateTime
from catalog.errors import SettingsError

__all__ = ["LAYOUT", "install_tables", "job", "job_layout", "job_parameter", "job_result", "metadata"]

LAYOUT = 2
"""Version of the layout. There are no upgrades: jobs live for days, and another version starts with none."""

_INSTALLING = 7_285_934_610_122_846_309  # any number that no other advisory lock of the database has
_SCHEMA = "uws"

metadata = sa.MetaData(schema=_SCHEMA)

job_layout = sa.Table(
    "job_layout",
    metadata,
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("store", sa.Text, nullable=False, comment="names the folder of the results"),
)
"""One row. Whoever claims a job locks it, so that claims take turns."""

job = sa.Table(
    "job",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("owner", sa.Text),
    sa.Column("origin", sa.Text),
    sa.Column("caller", sa.Text, comment="whom the job counts for"),
    sa.Column("scopes", sa.JSON(none_as_null=True), comment="that bounded the credential; NULL for none"),
    sa.Column("roles", sa.JSON, nullable=False, comment="that the credential vouched for"),
    sa.Column("phase", sa.Text, nullable=False),
    sa.Column("run_id", sa.Text),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("queued_at", UtcDateTime),
    sa.Column("started_at", UtcDateTime),
    sa.Column("ended_at", UtcDateTime),
    sa.Column("destruction_at", UtcDateTime, nullable=False),
    sa.Column("execution_duration", sa.Integer, nullable=False),
    sa.Column("error", sa.JSON(none_as_null=True)),
    sa.Column("rows", sa.BigInteger),
    sa.Column("rows_expected", sa.BigInteger),
    sa.Column("attempt", sa.Integer, nullable=False, default=0, comment="counts claims"),
    sa.Column("losses", sa.Integer, nullable=False, default=0, comment="counts leases that ran out"),
    sa.Column("worker", sa.Text),
    sa.Column("lease_until", UtcDateTime),
    sa.Index("ix_job_phase", "phase", "queued_at"),
    sa.Index("ix_job_caller", "caller", "created_at"),
    sa.Index("ix_job_destruction", "destruction_at"),
)


def _file_columns(*, nullable: bool) -> list[sa.Column[object]]:
    return [
        sa.Column("path", sa.Text, nullable=nullable),
        sa.Column("size", sa.BigInteger, nullable=nullable),
        sa.Column("sha256", sa.Text, nullable=nullable),
        sa.Column("content_type", sa.Text, nullable=nullable),
    ]


job_parameter = sa.Table(
    "job_parameter",
    metadata,
    sa.Column("job_id", sa.Text, sa.ForeignKey(job.c.id, ondelete="CASCADE"), primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("value", sa.Text, nullable=False),
    *_file_columns(nullable=True),
)

job_result = sa.Table(
    "job_result",
    metadata,
    sa.Column("job_id", sa.Text, sa.ForeignKey(job.c.id, ondelete="CASCADE"), primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    *_file_columns(nullable=False),
    sa.Column("rows", sa.BigInteger),
    sa.Column("truncated", sa.Boolean, nullable=False),
)


def install_tables(database: Database) -> str:
    """Make the tables if there are none; several processes may do it at once.

    Returns:
        The name of the store, which its folder of results has.

    Raises:
        SettingsError: The tables are of another layout, or the login may not make them.
        UnavailableError: The database does not answer.
    """
    try:
        with database.begin() as connection:
            if database.dialect == "postgresql":
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_INSTALLING)))
                if not sa.inspect(connection).has_schema(_SCHEMA):
                    connection.execute(sa.schema.CreateSchema(_SCHEMA))
            metadata.create_all(connection)
            if connection.scalar(sa.select(sa.func.count()).select_from(job_layout)) == 0:
                connection.execute(job_layout.insert().values(version=LAYOUT, store=uuid4().hex))
            version, store = connection.execute(sa.select(job_layout.c.version, job_layout.c.store)).one()
    except sa.exc.DBAPIError as error:
        raise SettingsError(
            "the login of jobs.url may not make the tables of jobs",
            hint="On PostgreSQL it needs the right to create a schema in its database: GRANT CREATE ON DATABASE.",
        ) from error
    if version != LAYOUT:
        raise SettingsError(
            f"the jobs in jobs.url have layout {version}; this version of the software needs layout {LAYOUT}",
            hint="Set jobs.url to a database without jobs, or let the version that made them finish first.",
        )
    return str(store)
