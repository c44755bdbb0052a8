"""Functions that the engines lack and translated queries call.

PostgreSQL keeps them in schema ``ivoa`` beside the published views, which the reading login may use already; on SQLite
they are Python, registered on every connection. The bodies stand with the functions they serve.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import sqlalchemy as sa

from catalog.adql.mathematics import Dialect, Sql, SqlBuilder

__all__ = ["InstalledFunction", "QueryFunctions", "SQLiteFunction", "called"]

_SCHEMA = "ivoa"


class SQLiteFunction(NamedTuple):
    """Arguments of `catalog.db.SqlFunction`, which see."""

    name: str
    narg: int
    callable: Callable[..., object]
    deterministic: bool
    aggregate: bool = False
    """Whether ``callable`` makes an object with ``step`` and ``finalize`` for every group."""


@dataclass(frozen=True, slots=True)
class InstalledFunction:
    """A function in PostgreSQL: immutable, safe in parallel."""

    name: str
    parameters: str
    """As they are declared: ``a text, b text``."""

    returns: str
    body: str
    language: str = "plpgsql"
    strict: bool = True
    """Whether it is NULL when an argument is, without being called."""

    aggregate: bool = False
    """Whether ``body`` is the definition of an aggregate, in the parentheses of CREATE AGGREGATE."""

    @property
    def create(self) -> str:
        """The statement that makes it."""
        head = f"{_SCHEMA}.{self.name}({self.parameters})"
        if self.aggregate:
            return f"CREATE AGGREGATE {head} ({self.body}, PARALLEL = SAFE)"
        strict = "STRICT " if self.strict else ""
        return (
            f"CREATE FUNCTION {head} RETURNS {self.returns} LANGUAGE {self.language} "
            f"IMMUTABLE {strict}PARALLEL SAFE AS $body$\n{self.body}\n$body$"
        )


def called(name: str, type_: type[sa.types.TypeEngine[Any]]) -> SqlBuilder:
    """The call of a function that has been given to both engines under one name."""

    def build(dialect: Dialect, *arguments: Sql) -> Sql:
        functions = getattr(sa.func, _SCHEMA) if dialect == "postgresql" else sa.func
        return getattr(functions, name)(*arguments, type_=type_)  # type: ignore[no-any-return]

    return build


class QueryFunctions:
    """The functions as things that are installed after a migration (`catalog.opsdb.schema.DerivedObjects`).

    Args:
        functions: In an order in which they can be made.
    """

    def __init__(self, functions: Sequence[InstalledFunction]) -> None:
        self._functions = tuple(functions)

    def install(self, connection: sa.Connection) -> None:
        """Make them anew, as this version of the code wants them; on SQLite nothing happens."""
        if connection.dialect.name == "sqlite":
            return
        self.drop(connection)
        for function in self._functions:
            connection.exec_driver_sql(function.create.replace("%", "%%"))

    def drop(self, connection: sa.Connection) -> None:
        """Remove every function of ours, also those of an older version."""
        if connection.dialect.name == "sqlite":
            return
        found = connection.execute(sa.text(_OURS)).all()
        for kind, signature in found:
            connection.exec_driver_sql(f"DROP {kind} IF EXISTS {signature} CASCADE")


_OURS = f"""
SELECT CASE prokind WHEN 'a' THEN 'AGGREGATE' ELSE 'FUNCTION' END, p.oid::regprocedure::text
FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
WHERE n.nspname = '{_SCHEMA}' AND (proname LIKE 'adql\\_%' OR proname LIKE 'ivo\\_%' OR proname LIKE 'ccat\\_%')
AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.objid = p.oid AND d.deptype = 'e')
ORDER BY prokind = 'a' DESC
"""
