"""Run steps on the connection that `catalog.opsdb.migrate` gives; Alembic executes this file, nobody imports it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import context

from catalog.opsdb.models.declarative import NAMING

connection: sa.Connection = context.config.attributes["connection"]

context.configure(
    connection=connection,
    target_metadata=sa.MetaData(naming_convention=NAMING),
    version_table_schema=context.config.attributes["version_schema"],
    transaction_per_migration=False,
)
context.run_migrations()
