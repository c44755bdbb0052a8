"""Users, roles, permissions, tokens and programme membership."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from catalog.opsdb.models.declarative import OpsBase, Timestamps
from catalog.opsdb.models.programme import ObservingProgram

__all__ = ["ApiToken", "Permission", "ProgramMembership", "Role", "User", "role_permission", "user_role"]

user_role = sa.Table(
    "user_role",
    OpsBase.metadata,
    sa.Column("user_id", sa.ForeignKey("ops.user.id"), primary_key=True),
    sa.Column("role_id", sa.ForeignKey("ops.role.id"), primary_key=True, index=True),
)

role_permission = sa.Table(
    "role_permission",
    OpsBase.metadata,
    sa.Column("role_id", sa.ForeignKey("ops.role.id"), primary_key=True),
    sa.Column("permission_id", sa.ForeignKey("ops.permission.id"), primary_key=True, index=True),
)


class User(Timestamps, OpsBase):
    """Somebody who may log in."""

    __tablename__ = "user"

    id: Mapped[int] = mapped_column(primary_key=True)
    username: Mapped[str] = mapped_column(unique=True)
    full_name: Mapped[str | None]
    email: Mapped[str | None]
    password_hash: Mapped[str | None]
    """argon2; NULL for users who log in elsewhere."""

    active: Mapped[bool] = mapped_column(sa.Boolean(create_constraint=True, name="active"), default=True)

    roles: Mapped[list[Role]] = relationship(secondary=user_role)
    tokens: Mapped[list[ApiToken]] = relationship(back_populates="user")
    memberships: Mapped[list[ProgramMembership]] = relationship(back_populates="user")


class Role(Timestamps, OpsBase):
    """A named set of permissions: admin, observer, viewer, service."""

    __tablename__ = "role"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)

    permissions: Mapped[list[Permission]] = relationship(secondary=role_permission)


class Permission(Timestamps, OpsBase):
    """An action on a resource: ``read:observations``."""

    __tablename__ = "permission"
    __table_args__ = (sa.UniqueConstraint("action", "resource"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    action: Mapped[str]
    resource: Mapped[str]


class ApiToken(Timestamps, OpsBase):
    """A token for programs. Only its hash and first eight characters are kept."""

    __tablename__ = "api_token"
    __table_args__ = (sa.CheckConstraint("length(prefix) = 8", name="prefix_length"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(sa.ForeignKey(User.id), index=True)
    name: Mapped[str]
    prefix: Mapped[str] = mapped_column(index=True)
    token_hash: Mapped[str] = mapped_column(unique=True)
    scopes: Mapped[str] = mapped_column(default="")
    """Blank-separated."""

    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]

    user: Mapped[User] = relationship(back_populates="tokens")


class ProgramMembership(Timestamps, OpsBase):
    """Who belongs to a programme and may see its unreleased data."""

    __tablename__ = "program_membership"
    __table_args__ = (sa.UniqueConstraint("user_id", "observing_program_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(sa.ForeignKey(User.id))
    observing_program_id: Mapped[int] = mapped_column(sa.ForeignKey(ObservingProgram.id), index=True)
    is_pi: Mapped[bool] = mapped_column(sa.Boolean(create_constraint=True, name="is_pi"), default=False)

    user: Mapped[User] = relationship(back_populates="memberships")
    program: Mapped[ObservingProgram] = relationship()
