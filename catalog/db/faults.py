"""What a driver says, as the toolkit's own faults: the words of the driver go to the log, not to the user."""

from __future__ import annotations

import logging
import re
import sqlite3

from adbc_driver_manager import AdbcStatusCode
from adbc_driver_manager import dbapi as adbc

from catalog.errors import (
    CatalogError,
    InternalError,
    QueryError,
    QueryTimeoutError,
    ResourceLimitError,
    UnavailableError,
)

__all__ = [
    "bad_cast",
    "closed_early",
    "null_argument",
    "out_of_range",
    "postgresql_fault",
    "sqlite_fault",
    "timed_out",
    "unavailable",
]

_log = logging.getLogger(__name__)

_SQLITE_AWAY = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_PROTOCOL,
}
_SQLITE_LIMIT = {sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_NOMEM}
_SQLITE_OVERFLOW = "integer overflow"  # of SUM and ABS; it has no code of its own
_TOO_LARGE = re.compile(r"\btoo (many|large|big|deep|complex)|stack overflow|maximum depth")  # codes say SQLITE_ERROR

# PostgreSQL 15 appendix A. Classes: 08 connection, 53 resources, 57 operator intervention, 58 system,
# 40 rollback (a standby that must catch up), 54 a limit of the program.
_POSTGRESQL_AWAY = ("08", "53", "57", "58", "40")
_POSTGRESQL_LIMIT = ("54",)
_CANCELLED = "57014"
_UNPARSABLE = {"22P02", "22007", "22008"}
_OUT_OF_RANGE = "22003"
_NULL_ARGUMENT = "22004"  # raised by functions of ours


def bad_cast() -> QueryError:
    """A CAST met a value that it cannot read; which value is not said, it may be one that the caller must not see."""
    return QueryError("a value cannot be converted to the type that CAST asks for", code="bad-cast")


def out_of_range() -> QueryError:
    """A number does not fit its type; which one is not said."""
    return QueryError(
        "a number lies outside the range of its type", code="out-of-range", hint="CAST the expression to a wider type."
    )


def null_argument() -> QueryError:
    """A function met NULL where its definition makes that an error; which row is not said."""
    return QueryError(
        "a function was given NULL where it needs a value",
        code="null-argument",
        hint="Leave such rows out: WHERE column IS NOT NULL.",
    )


def timed_out(seconds: float) -> QueryTimeoutError:
    """The allowed time is over."""
    return QueryTimeoutError(
        f"the database did not answer within {seconds:g} s",
        hint="Ask for less, or restrict an indexed column: position, time, or identifier.",
    )


def unavailable() -> UnavailableError:
    """The database is away, or too busy."""
    return UnavailableError("the database does not answer now; the same request may succeed later")


def closed_early() -> UnavailableError:
    """Somebody closed the stream while it was read."""
    return UnavailableError("the query was cancelled because its result was closed")


def sqlite_fault(error: sqlite3.Error, *, timeout_s: float) -> CatalogError:
    """The fault that an error of the standard library's ``sqlite3`` means."""
    code = getattr(error, "sqlite_errorcode", None)
    primary = code & 0xFF if code is not None else None  # the rest are extended codes
    if primary == sqlite3.SQLITE_INTERRUPT:
        return timed_out(timeout_s)
    if str(error) == _SQLITE_OVERFLOW:
        return out_of_range()
    _log.error("SQLite: %s (%s)", error, getattr(error, "sqlite_errorname", "no code"))
    if primary in _SQLITE_AWAY:
        return unavailable()
    if primary in _SQLITE_LIMIT or _TOO_LARGE.search(str(error)):
        return ResourceLimitError("the query, or a value in it, is too large for the database")
    return _internal()


def postgresql_fault(error: adbc.Error, *, timeout_s: float) -> CatalogError:
    """The fault that an error of the ADBC driver means."""
    state = error.sqlstate or ""
    if state == _CANCELLED:
        return timed_out(timeout_s)
    if state in _UNPARSABLE:
        _log.info("PostgreSQL: %s", error)
        return bad_cast()
    if state == _NULL_ARGUMENT:
        return null_argument()
    _log.error("PostgreSQL: %s (SQLSTATE %s)", error, state or "none")
    if state == _OUT_OF_RANGE:
        return out_of_range()
    if state.startswith(_POSTGRESQL_AWAY) or (not state and _lost(error)):
        return unavailable()
    if state.startswith(_POSTGRESQL_LIMIT):
        return ResourceLimitError("the query, or a value in it, is too large for the database")
    return _internal()


def _lost(error: adbc.Error) -> bool:
    """Whether an error that has no SQLSTATE comes from the connection."""
    return error.status_code in (AdbcStatusCode.IO, AdbcStatusCode.CANCELLED, AdbcStatusCode.UNKNOWN)


def _internal() -> InternalError:
    return InternalError("the database refused the query; the log of the service says why")
