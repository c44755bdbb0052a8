"""Words in which the migrations are written. Steps in use depend on them: add to this module, change nothing.

On PostgreSQL the operations tables lie in the schema ``ops`` and the toolkit's own in ``catalog``; a SQLite file has
no schemas. When the operations tables are another's (an attached database), steps that make or change them do
nothing; the toolkit's own tables are made all the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from alembic import context, op
from alembic.operations import BatchOperations
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.schema import SchemaItem

from catalog.db import UtcDateTime, UuidText
from catalog.opsdb.models.declarative import utc_now

__all__ = [
    "attached",
    "changed_operations_table",
    "choice",
    "create_operations_table",
    "create_our_table",
    "document",
    "drop_operations_tables",
    "drop_our_tables",
    "flag",
    "key",
    "long_key",
    "operations",
    "qualified",
    "refers",
    "text",
    "timestamps",
    "uuid",
    "when",
]


def attached() -> bool:
    """Whether the operations tables are another's, so that a step on them must do nothing."""
    return bool(context.config.attributes["attached"])


def operations() -> str | None:
    """Schema of the operations tables."""
    return None if op.get_bind().dialect.name == "sqlite" else "ops"


def create_operations_table(name: str, *items: SchemaItem) -> None:
    """Make a table of the operations database."""
    op.create_table(name, *items, schema=operations())


def create_our_table(name: str, *items: SchemaItem) -> None:
    """Make a table of the toolkit's own."""
    op.create_table(name, *items, schema=_ours())


def drop_operations_tables(*names: str) -> None:
    """Drop tables of the operations database, with their rows."""
    for name in names:
        op.drop_table(name, schema=operations())


def drop_our_tables(*names: str) -> None:
    """Drop tables of the toolkit's own, with their rows."""
    for name in names:
        op.drop_table(name, schema=_ours())


@contextmanager
def changed_operations_table(name: str) -> Iterator[BatchOperations]:
    """Change columns and constraints of an operations table; SQLite copies the table, with every CHECK it has.

    Alembic does not read CHECKs back from the database: a copy would lose them.
    """
    bind = op.get_bind()
    checks = () if bind.dialect.name != "sqlite" else sa.inspect(bind).get_check_constraints(name)
    constraints = [
        sa.CheckConstraint(sa.text(str(check["sqltext"])), name=op.f(str(check["name"]))) for check in checks
    ]
    with op.batch_alter_table(name, schema=operations(), table_args=tuple(constraints)) as batch:
        yield batch


def key() -> sa.Column[int]:
    """Integer primary key ``id``."""
    return sa.Column("id", sa.Integer(), primary_key=True)


def long_key(name: str) -> sa.Column[int]:
    """Integer primary key of 64 bits."""
    return sa.Column(name, sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True)


def uuid(name: str, *, primary_key: bool = False, nullable: bool = False, index: bool = False) -> sa.Column[Any]:
    """A UUID that refers to nothing."""
    return sa.Column(name, UuidText(), primary_key=primary_key, nullable=nullable, index=index)


def text(name: str, *, nullable: bool = False, unique: bool = False, index: bool = False) -> sa.Column[str]:
    """A text column."""
    return sa.Column(name, sa.Text(), nullable=nullable, unique=unique, index=index)


def when(name: str, *, nullable: bool = True, index: bool = False) -> sa.Column[Any]:
    """A time in UTC."""
    return sa.Column(name, UtcDateTime(), nullable=nullable, index=index)


def flag(name: str, *, default: bool) -> sa.Column[bool]:
    """A truth value."""
    return sa.Column(
        name,
        sa.Boolean(create_constraint=True, name=name),
        nullable=False,
        server_default=sa.true() if default else sa.false(),
    )


def document(name: str) -> sa.Column[Any]:
    """A JSON document, empty unless given."""
    kind = sa.JSON().with_variant(JSONB(), "postgresql")
    return sa.Column(name, kind, nullable=False, server_default=sa.text("'{}'"))


def choice(
    name: str,
    *values: str,
    default: str | None = None,
    nullable: bool = False,
    index: bool = False,
    rule: str | None = None,
) -> sa.Column[str]:
    """A text column restricted to some words; the CHECK is named after the column unless ``rule`` is given."""
    kind = sa.Enum(*values, name=rule or name, native_enum=False, create_constraint=True)
    words = None if default is None else sa.text(f"'{default}'")
    return sa.Column(name, kind, nullable=nullable, server_default=words, index=index)


def refers(
    name: str,
    target: str,
    kind: sa.types.TypeEngine[Any] | None = None,
    *,
    nullable: bool = False,
    primary_key: bool = False,
    index: bool = False,
) -> sa.Column[Any]:
    """A foreign key to an operations table: ``target`` is table and column."""
    return sa.Column(
        name,
        kind or sa.Integer(),
        sa.ForeignKey(qualified(target)),
        nullable=nullable,
        primary_key=primary_key,
        index=index,
    )


def qualified(target: str) -> str:
    """Table and column of the operations database, with the schema where there are schemas."""
    schema = operations()
    return target if schema is None else f"{schema}.{target}"


def timestamps() -> tuple[sa.Column[Any], sa.Column[Any]]:
    """``created_at`` and ``updated_at``."""
    return (
        sa.Column("created_at", UtcDateTime(), nullable=False, server_default=utc_now()),
        sa.Column("updated_at", UtcDateTime(), nullable=False, server_default=utc_now()),
    )


def _ours() -> str | None:
    return None if op.get_bind().dialect.name == "sqlite" else "catalog"
