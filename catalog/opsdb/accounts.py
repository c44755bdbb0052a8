"""Who may log in, and with what: users with passwords, tokens for programs, memberships of programmes.

Of a password its argon2 hash is kept, of a token its SHA-256: it is 32 random bytes, which nobody guesses. Neither can
be shown again.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from catalog.db.clock import read_clock
from catalog.errors import IntegrityError, NotFoundError, UsageError
from catalog.opsdb.logins import MOST_CHARACTERS, Account, Logins, hash_password, token_digest
from catalog.opsdb.models import (
    ApiToken,
    ObservingProgram,
    Permission,
    ProgramMembership,
    Role,
    User,
    role_permission,
    user_role,
)
from catalog.opsdb.schema import refuse_attached

__all__ = ["AccountService", "MemberRecord", "RoleRecord", "TokenRecord", "UserRecord"]

_TOKEN_BYTES = 32
_PREFIX = 8
_LEAST_CHARACTERS = 12  # of a new password
_NAME = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._@+-")


@dataclass(frozen=True, slots=True)
class UserRecord:
    """One user, for those who look after them."""

    username: str
    full_name: str | None
    email: str | None
    active: bool
    has_password: bool
    roles: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RoleRecord:
    """A role, and what it allows."""

    name: str
    permissions: tuple[str, ...]
    """Such as ``read:observations``: what a token may have as scopes."""


@dataclass(frozen=True, slots=True)
class TokenRecord:
    """One token without its secret."""

    prefix: str
    username: str
    name: str
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class MemberRecord:
    """Who belongs to which programme."""

    username: str
    programme: str
    is_pi: bool


class AccountService(Logins):
    """Looks after users, tokens and memberships, each change in a transaction of its own; and says who one is.

    Args:
        database: The operations database, by its writing address: the public one sees nobody.
    """

    def by_subject(self, username: str, *, roles: frozenset[str], may_be_created: bool) -> Account | None:
        """The active user whom another service vouches for.

        Args:
            username: Who, as the other service says, in our spelling.
            roles: Roles of ours that it vouches for, for this time.
            may_be_created: Whether somebody who is no user becomes one.

        Raises:
            UsageError: The name cannot be that of a user.
            SettingsError: A user would have to be made in tables that are not ours to write.
        """
        found = self.by_name(username, roles=roles)
        if found is not None or not may_be_created:
            return found
        with suppress(IntegrityError, sa.exc.IntegrityError):  # one is kept out, or another request was quicker
            self.add_user(username)
        return self.by_name(username, roles=roles)

    # --- users ---

    def users(self) -> list[UserRecord]:
        """All users, by name."""
        with self._database.engine.connect() as connection:
            held: dict[int, list[str]] = {}
            for user_id, role in connection.execute(
                sa.select(user_role.c.user_id, Role.name).join(Role, Role.id == user_role.c.role_id).order_by(Role.name)
            ):
                held.setdefault(user_id, []).append(role)
            return [
                UserRecord(
                    row.username,
                    row.full_name,
                    row.email,
                    row.active,
                    row.password_hash is not None,
                    tuple(held.get(row.id, ())),
                )
                for row in connection.execute(sa.select(User.__table__).order_by(User.username))
            ]

    def roles(self) -> list[RoleRecord]:
        """All roles, by name."""
        granted = (
            sa.select(Role.name, Permission.action + ":" + Permission.resource)
            .outerjoin(role_permission, role_permission.c.role_id == Role.id)
            .outerjoin(Permission, Permission.id == role_permission.c.permission_id)
        )
        held: dict[str, set[str]] = {}
        with self._database.engine.connect() as connection:
            for name, permission in connection.execute(granted):
                held.setdefault(name, set()).update({permission} - {None})
        return [RoleRecord(name, tuple(sorted(held[name]))) for name in sorted(held)]

    def add_user(
        self, username: str, *, full_name: str | None = None, email: str | None = None, roles: Sequence[str] = ()
    ) -> None:
        """Make a user, who can log in once there is a password or a token.

        Raises:
            UsageError: The name has other characters than letters, digits and ``._@+-``.
            IntegrityError: There is one of this name.
            NotFoundError: There is no such role.
        """
        if not username or len(username) > 100 or not _NAME.issuperset(username):
            raise UsageError(f"'{username[:100]}' is no name of a user; expected letters, digits and ._@+-")
        with self._writing() as connection:
            if _find_user(connection, username) is not None:
                raise IntegrityError(f"there is a user {username} already")
            made = sa.insert(User).values(username=username, full_name=full_name, email=email, active=True)
            user_id = connection.execute(made.returning(User.id)).scalar_one()
            for role in dict.fromkeys(roles):
                values = {"user_id": user_id, "role_id": _role(connection, role)}
                connection.execute(sa.insert(user_role).values(values))

    def set_password(self, username: str, password: str | None) -> None:
        """Give a user a password, or take it away.

        Raises:
            NotFoundError: There is no such user.
            UsageError: The password is too short or too long.
        """
        if password is not None and not _LEAST_CHARACTERS <= len(password) <= MOST_CHARACTERS:
            raise UsageError(f"a password has {_LEAST_CHARACTERS} to {MOST_CHARACTERS:,} characters")
        hashed = None if password is None else hash_password(password)
        self._change(username, password_hash=hashed)

    def set_active(self, username: str, active: bool) -> None:
        """Let a user in, or keep one out with all tokens.

        Raises:
            NotFoundError: There is no such user.
        """
        self._change(username, active=active)

    def set_role(self, username: str, role: str, *, held: bool) -> None:
        """Give a user a role, or take it away. Safe to repeat.

        Raises:
            NotFoundError: There is no such user or role.
        """
        with self._writing() as connection:
            values = {"user_id": _user(connection, username), "role_id": _role(connection, role)}
            _set(connection, user_role, values, held=held)

    # --- tokens ---

    def tokens(self, username: str | None = None) -> list[TokenRecord]:
        """Tokens of one user or of all, newest first, revoked and expired ones too.

        Raises:
            NotFoundError: There is no such user.
        """
        statement = sa.select(ApiToken.__table__, User.username).join(User, User.id == ApiToken.user_id)
        with self._database.engine.connect() as connection:
            if username is not None:
                statement = statement.where(ApiToken.user_id == _user(connection, username))
            return [
                TokenRecord(
                    row.prefix,
                    row.username,
                    row.name,
                    tuple(row.scopes.split()),
                    row.created_at,
                    row.expires_at,
                    row.revoked_at,
                )
                for row in connection.execute(statement.order_by(ApiToken.created_at.desc(), ApiToken.id.desc()))
            ]

    def create_token(
        self, username: str, name: str, *, scopes: Sequence[str] = (), lifetime: timedelta | None = None
    ) -> str:
        """Make a token.

        Args:
            username: Whose it is.
            name: What it is for.
            scopes: Permissions that it has; all of its user when empty.
            lifetime: How long it is valid; for ever if None.

        Returns:
            The token itself, which is not kept.

        Raises:
            NotFoundError: There is no such user or permission.
            UsageError: It has no name, or a lifetime that is none.
        """
        if not name.strip():
            raise UsageError("a token has a name, which says what it is for")
        if lifetime is not None and lifetime <= timedelta(0):
            raise UsageError("a token must be valid for some time")
        secret = secrets.token_hex(_TOKEN_BYTES)
        with self._writing() as connection:
            known = set(connection.scalars(sa.select(Permission.action + ":" + Permission.resource)))
            for scope in scopes:
                if scope not in known:
                    raise NotFoundError(f"there is no permission {scope}; expected one of {', '.join(sorted(known))}")
            values = {
                "user_id": _user(connection, username),
                "name": name,
                "prefix": secret[:_PREFIX],
                "token_hash": token_digest(secret),
                "scopes": " ".join(dict.fromkeys(scopes)),
                "expires_at": None if lifetime is None else read_clock(connection) + lifetime,
            }
            connection.execute(sa.insert(ApiToken).values(values))
        return secret

    def revoke_token(self, prefix: str) -> None:
        """End a token at once. Safe to repeat.

        Raises:
            NotFoundError: No token begins like this.
            UsageError: Several do.
        """
        with self._writing() as connection:
            found = connection.execute(
                sa.select(ApiToken.id, ApiToken.revoked_at).where(ApiToken.prefix == prefix)
            ).all()
            if not found:
                raise NotFoundError(
                    f"no token begins with '{prefix[:_PREFIX]}'; expected its first {_PREFIX} characters"
                )
            live = [row.id for row in found if row.revoked_at is None]
            if len(live) > 1:
                raise UsageError(f"{len(live)} tokens begin with '{prefix}'; none was revoked")
            ended = sa.update(ApiToken).where(ApiToken.id.in_(live)).values(revoked_at=read_clock(connection))
            connection.execute(ended)

    # --- memberships ---

    def members(self, programme: str | None = None) -> list[MemberRecord]:
        """Who belongs to one programme or to any, by programme and name.

        Raises:
            NotFoundError: There is no such programme.
        """
        statement = (
            sa.select(User.username, ObservingProgram.short_name, ProgramMembership.is_pi)
            .join(User, User.id == ProgramMembership.user_id)
            .join(ObservingProgram, ObservingProgram.id == ProgramMembership.observing_program_id)
            .order_by(ObservingProgram.short_name, User.username)
        )
        with self._database.engine.connect() as connection:
            if programme is not None:
                chosen = ProgramMembership.observing_program_id == _programme(connection, programme)
                statement = statement.where(chosen)
            return [MemberRecord(*row) for row in connection.execute(statement)]

    def set_member(self, username: str, programme: str, *, held: bool, is_pi: bool = False) -> None:
        """Make a user a member of a programme, or no member any more. Safe to repeat.

        Raises:
            NotFoundError: There is no such user or programme.
        """
        with self._writing() as connection:
            values = {
                "user_id": _user(connection, username),
                "observing_program_id": _programme(connection, programme),
            }
            table = ProgramMembership.__table__
            assert isinstance(table, sa.Table)  # noqa: S101  (every model is mapped to one)
            _set(connection, table, values, held=held, is_pi=is_pi)

    def _change(self, username: str, **values: object) -> None:
        with self._writing() as connection:
            connection.execute(sa.update(User).where(User.id == _user(connection, username)).values(**values))

    @contextmanager
    def _writing(self) -> Iterator[sa.Connection]:
        with self._database.begin() as connection:
            refuse_attached(connection)
            yield connection


def _find_user(connection: sa.Connection, username: str) -> int | None:
    return connection.scalar(sa.select(User.id).where(User.username == username))


def _user(connection: sa.Connection, username: str) -> int:
    found = _find_user(connection, username)
    if found is None:
        raise NotFoundError(f"there is no user {username}")
    return found


def _role(connection: sa.Connection, name: str) -> int:
    rows = connection.execute(sa.select(Role.name, Role.id).order_by(Role.name))
    known = {row.name: row.id for row in rows}
    if name not in known:
        raise NotFoundError(f"there is no role {name}; expected one of {', '.join(known) or 'none'}")
    return int(known[name])


def _programme(connection: sa.Connection, short_name: str) -> int:
    found = connection.scalar(sa.select(ObservingProgram.id).where(ObservingProgram.short_name == short_name))
    if found is None:
        raise NotFoundError(f"there is no programme {short_name}")
    return found


def _set(connection: sa.Connection, table: sa.Table, key: dict[str, int], *, held: bool, **values: object) -> None:
    """Bring about that a row of this key is there, with these values, or is not."""
    there = sa.and_(*(table.c[name] == value for name, value in key.items()))
    connection.execute(sa.delete(table).where(there))
    if held:
        connection.execute(sa.insert(table).values(key | values))
