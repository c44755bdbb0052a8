"""Who it is: from a password, a token, or the word of somebody who is believed, to a user with roles and rights."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime
from functools import cache

import sqlalchemy as sa
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from catalog.db import Database
from catalog.db.clock import read_clock
from catalog.opsdb.models import ApiToken, Permission, ProgramMembership, Role, User, role_permission, user_role

__all__ = ["MOST_CHARACTERS", "READ_SCOPE", "Account", "Logins", "hash_password", "token_digest"]

READ_SCOPE = "read:observations"
"""A token with scopes needs it for what its user may see as a member of programmes."""

MOST_CHARACTERS = 1_000
"""Of a password or token: hashing more would cost more than it tells."""

_NOBODYS_BYTES = 32


@dataclass(frozen=True, slots=True)
class Account:
    """A user as the rest of the house sees one."""

    username: str
    roles: frozenset[str]
    permissions: frozenset[str]
    """Such as ``read:unreleased``; of a token with scopes only those that it has too."""

    programmes: frozenset[int]
    """Ids of the observing programmes that the user is a member of; of a token with scopes only if one of them is
    `READ_SCOPE`."""

    scopes: frozenset[str] | None = None
    """What the credential is bounded to; None for all that the user may."""

    claimed_roles: frozenset[str] = frozenset()
    """Those of the roles that the credential vouches for, beyond those that the user has."""


class Logins:
    """Says who one is.

    Args:
        database: The operations database, by its writing address: the public one sees nobody.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def by_password(self, username: str, password: str) -> Account | None:
        """The active user who has this password; takes as long for a name that nobody has."""
        with self._database.engine.connect() as connection:
            query = sa.select(User.id, User.password_hash).where(User.username == username, User.active)
            row = connection.execute(query).one_or_none() if _is_askable(username) else None
            known = row.password_hash if row is not None else None
            if not _is_password(known, password) or row is None:
                return None
            return _account(connection, row.id, username)

    def by_token(self, secret: str) -> Account | None:
        """The active user whose token this is; None when it is unknown, expired or revoked."""
        if len(secret) > MOST_CHARACTERS:
            return None
        with self._database.engine.connect() as connection:
            found = connection.execute(
                sa.select(ApiToken.user_id, User.username, ApiToken.scopes)
                .join(User, User.id == ApiToken.user_id)
                .where(ApiToken.token_hash == token_digest(secret), User.active, _is_live(read_clock(connection)))
            ).one_or_none()
            if found is None:
                return None
            scopes = frozenset(found.scopes.split()) or None
            return _account(connection, found.user_id, found.username, scopes=scopes)

    def by_name(
        self, username: str, *, scopes: frozenset[str] | None = None, roles: frozenset[str] = frozenset()
    ) -> Account | None:
        """An active user whom somebody else vouches for, or for work that was asked for earlier.

        Args:
            username: Who.
            scopes: What the credential is bounded to; None for all that the user may.
            roles: Roles that the credential vouches for; those that there are count, beyond the user's own.
        """
        with self._database.engine.connect() as connection:
            query = sa.select(User.id).where(User.username == username, User.active)
            user_id = connection.scalar(query) if _is_askable(username) else None
            return None if user_id is None else _account(connection, user_id, username, scopes=scopes, claimed=roles)

    def is_offered(self) -> bool:
        """Whether anybody can log in at all."""
        with self._database.engine.connect() as connection:
            tokens = sa.select(ApiToken.user_id).where(_is_live(read_clock(connection)))
            able = sa.or_(User.password_hash.is_not(None), User.id.in_(tokens))
            return connection.scalar(sa.select(User.id).where(User.active, able).limit(1)) is not None


def hash_password(password: str) -> str:
    """What is kept of a password: argon2id."""
    return _hasher().hash(password)


def token_digest(secret: str) -> str:
    """What is kept of a token."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _account(
    connection: sa.Connection,
    user_id: int,
    username: str,
    *,
    scopes: frozenset[str] | None = None,
    claimed: frozenset[str] = frozenset(),
) -> Account:
    mine = sa.select(user_role.c.role_id).where(user_role.c.user_id == user_id)
    named = sa.select(Role.id, Role.name)
    held = {row.id: row.name for row in connection.execute(named.where(Role.id.in_(mine)))}
    added = {row.id: row.name for row in connection.execute(named.where(Role.name.in_(claimed)))}
    granted = (
        sa.select(Permission.action + ":" + Permission.resource)
        .join(role_permission, role_permission.c.permission_id == Permission.id)
        .where(role_permission.c.role_id.in_(held | added))
    )
    programmes = sa.select(ProgramMembership.observing_program_id).where(ProgramMembership.user_id == user_id)
    permissions = frozenset(connection.scalars(granted))
    reads = scopes is None or READ_SCOPE in scopes
    return Account(
        username,
        frozenset((held | added).values()),
        permissions if scopes is None else permissions & scopes,
        frozenset(connection.scalars(programmes) if reads else ()),
        scopes,
        frozenset(added[key] for key in added.keys() - held.keys()),
    )


def _is_askable(username: str) -> bool:
    """Whether a database can be asked for it: a zero byte, or half of a pair, no database takes."""
    return username.isprintable()


def _is_live(now: datetime) -> sa.ColumnElement[bool]:
    return sa.and_(ApiToken.revoked_at.is_(None), sa.or_(ApiToken.expires_at.is_(None), ApiToken.expires_at > now))


@cache
def _hasher() -> PasswordHasher:
    return PasswordHasher()


@cache
def _nobodys() -> str:
    """What the password of a user who does not exist is compared with."""
    return _hasher().hash(secrets.token_hex(_NOBODYS_BYTES))


def _is_password(known: str | None, password: str) -> bool:
    if len(password) > MOST_CHARACTERS:
        return False
    try:
        return _hasher().verify(known or _nobodys(), password) and known is not None
    except (InvalidHashError, VerificationError):
        return False
