"""Alembic steps of the operations database and of the toolkit's own tables, for both engines."""
