"""Who asks, and what they may: one rule that yields SQL conditions, for the rows and for the bytes of packages.

A package is open when it is effectively released; else to members of its programme and to staff. The same condition
guards two separate rights: to fetch the bytes, always, and to see the metadata, where the settings hide them until
then. TAP, DataLink, the broker of files, exports, pages and the simple protocols all ask here; nothing else decides.
"""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from catalog.db.clock import published_now
from catalog.db.listed import is_among, spell_set
from catalog.vo.table import Table

__all__ = ["ACCESS_COLUMNS", "ANONYMOUS", "DATA_PERMISSION", "METADATA_PERMISSION", "AccessRule", "Caller", "is_open"]

METADATA_PERMISSION = "read:unreleased"
"""Who has it sees the metadata of every package."""

DATA_PERMISSION = "download:unreleased"
"""Who has it gets the bytes of every package."""

_PROGRAMMES = "caller_programmes"
_PUBLIC, _SECURE, _NOTHING = (sa.literal_column(f"'{word}'", sa.Text()) for word in ("public", "secure", ""))

ACCESS_COLUMNS = ("observing_program_id", "declared_rights", "obs_release_date")
"""What the rule looks at: columns that every protected view has, published or not."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: anonymous, or an identified user with roles, permissions and programmes."""

    username: str | None = None
    roles: frozenset[str] = frozenset()
    permissions: frozenset[str] = frozenset()
    """Such as ``read:unreleased``."""

    programmes: frozenset[int] = frozenset()
    """Ids of the observing programmes that the user is a member of."""

    scopes: frozenset[str] | None = None
    """What the credential is bounded to, among the permissions; None for all of them. It has had its effect already."""

    claimed_roles: frozenset[str] = frozenset()
    """Those of the roles that the credential vouches for, and not the user's row."""


ANONYMOUS = Caller()
"""Somebody who gave no credentials."""


class AccessRule:
    """The rule, with what the operator has decided.

    Who asks and when are bind values and the database's clock: the text of a condition depends on the caller's class
    alone (`access_class`), so that a translated query can be kept.

    Args:
        hides_metadata: Whether the metadata of packages that are not released are hidden, too.
    """

    def __init__(self, *, hides_metadata: bool) -> None:
        self.hides_metadata = hides_metadata

    def metadata(self, caller: Caller, table: Table, rows: sa.FromClause) -> sa.ColumnElement[bool] | None:
        """The rows of a protected table that a caller may see, as a condition on them; None for all.

        Args:
            caller: Who asks.
            table: The published table.
            rows: What the condition is about, with `ACCESS_COLUMNS`.
        """
        return self._condition(caller, rows, METADATA_PERMISSION) if self.hides_metadata else None

    def data(self, caller: Caller, rows: sa.FromClause) -> sa.ColumnElement[bool] | None:
        """The packages whose bytes a caller may fetch, as a condition on rows with `ACCESS_COLUMNS`; None for all.

        It is NULL, and not false, where nothing is known that would allow it.
        """
        return self._condition(caller, rows, DATA_PERMISSION)

    def access_class(self, caller: Caller) -> str:
        """What of a caller decides the text of the conditions, apart from values that are bound."""
        return "|".join(
            (
                "hides" if self.hides_metadata else "shows",
                "known" if caller.username is not None else "anonymous",
                "member" if caller.programmes else "",
                *(name for name in (METADATA_PERMISSION, DATA_PERMISSION) if name in caller.permissions),
            )
        )

    def variant(self, caller: Caller) -> tuple[str, dict[str, object]]:
        """The caller's class, and the values that conditions for the caller bind, by their names."""
        return self.access_class(caller), {_PROGRAMMES: spell_set(caller.programmes)}

    @staticmethod
    def _condition(caller: Caller, rows: sa.FromClause, permission: str) -> sa.ColumnElement[bool] | None:
        if permission in caller.permissions:
            return None
        released = is_open(rows) if caller.username is None else _is_released(rows)
        if not caller.programmes:
            return released
        return sa.or_(released, is_among(rows.c.observing_program_id, _PROGRAMMES, caller.programmes))


def is_open(rows: sa.FromClause) -> sa.ColumnElement[bool]:
    """Whether everybody may have a package: it is released, and not to those alone who log in.

    Args:
        rows: With `ACCESS_COLUMNS`.
    """
    return sa.and_(_is_released(rows), sa.func.coalesce(_declared(rows), _NOTHING) != _SECURE)


def _is_released(rows: sa.FromClause) -> sa.ColumnElement[bool]:
    """By declaration or by the clock; what is declared secure is then for those who log in (VOResource 1.1, Rights)."""
    return sa.or_(_declared(rows) == _PUBLIC, rows.c.obs_release_date <= published_now())


def _declared(rows: sa.FromClause) -> sa.ColumnElement[str]:
    return sa.type_coerce(rows.c.declared_rights, sa.Text())
