"""Users, roles, tokens, programme membership; who asked for a staging job."""

from __future__ import annotations

import sqlalchemy as sa

from catalog.opsdb.migrations.columns import (
    attached,
    changed_operations_table,
    create_operations_table,
    drop_operations_tables,
    flag,
    key,
    operations,
    refers,
    text,
    timestamps,
    when,
)

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Users, roles, tokens, programme membership; who asked for a staging job."""
    if attached():
        return
    create_operations_table(
        "user",
        key(),
        text("username", unique=True),
        text("full_name", nullable=True),
        text("email", nullable=True),
        text("password_hash", nullable=True),
        flag("active", default=True),
        *timestamps(),
    )
    create_operations_table(
        "role",
        key(),
        text("name", unique=True),
        *timestamps(),
    )
    create_operations_table(
        "permission",
        key(),
        text("action"),
        text("resource"),
        *timestamps(),
        sa.UniqueConstraint("action", "resource"),
    )
    create_operations_table(
        "user_role",
        refers("user_id", "user.id", primary_key=True),
        refers("role_id", "role.id", primary_key=True, index=True),
    )
    create_operations_table(
        "role_permission",
        refers("role_id", "role.id", primary_key=True),
        refers("permission_id", "permission.id", primary_key=True, index=True),
    )
    create_operations_table(
        "api_token",
        key(),
        refers("user_id", "user.id", index=True),
        text("name"),
        text("prefix", index=True),
        text("token_hash", unique=True),
        sa.Column("scopes", sa.Text(), nullable=False, server_default=sa.text("''")),
        when("expires_at"),
        when("revoked_at"),
        *timestamps(),
        sa.CheckConstraint("length(prefix) = 8", name="prefix_length"),
    )
    create_operations_table(
        "program_membership",
        key(),
        refers("user_id", "user.id"),
        refers("observing_program_id", "observing_program.id", index=True),
        flag("is_pi", default=False),
        *timestamps(),
        sa.UniqueConstraint("user_id", "observing_program_id"),
    )
    with changed_operations_table("staging_job") as batch:
        batch.add_column(sa.Column("requested_by_user_id", sa.Integer()))
        batch.create_foreign_key(
            "fk_staging_job_requested_by_user_id",
            "user",
            ["requested_by_user_id"],
            ["id"],
            referent_schema=operations(),
        )
        batch.create_index("ix_staging_job_requested_by_user_id", ["requested_by_user_id"])


def downgrade() -> None:
    """Drop what this step has made; staging jobs forget who asked."""
    if attached():
        return
    with changed_operations_table("staging_job") as batch:
        batch.drop_index("ix_staging_job_requested_by_user_id")
        batch.drop_constraint("fk_staging_job_requested_by_user_id", type_="foreignkey")
        batch.drop_column("requested_by_user_id")
    drop_operations_tables(
        "program_membership", "api_token", "role_permission", "user_role", "permission", "role", "user"
    )
