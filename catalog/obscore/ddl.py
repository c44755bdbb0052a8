"""Views from SELECTs: what SQLAlchemy 2.0 lacks to create and drop them on both engines."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.schema import ExecutableDDLElement
from sqlalchemy.sql.compiler import DDLCompiler, SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from catalog.opsdb.lifecycle import rules
from catalog.opsdb.lifecycle.rules import Bounds

__all__ = ["CreateView", "DropView", "kept_bounds", "physical_name", "published_time"]


class CreateView(ExecutableDDLElement):
    """``CREATE VIEW``: a published table as a SELECT over others.

    Args:
        name: Published name, such as ``ivoa.obscore``.
        select: What it shows; its bind values are written out.
    """

    def __init__(self, name: str, select: sa.Select[Any]) -> None:
        self.name = name
        self.select = select


class DropView(ExecutableDDLElement):
    """``DROP VIEW IF EXISTS``."""

    def __init__(self, name: str) -> None:
        self.name = name


@compiles(CreateView)
def _create_view(element: CreateView, compiler: DDLCompiler, **_: object) -> str:
    select = compiler.sql_compiler.process(element.select, literal_binds=True)
    return f"CREATE VIEW {physical_name(element.name, compiler.dialect.name)} AS {select}"


@compiles(DropView)
def _drop_view(element: DropView, compiler: DDLCompiler, **_: object) -> str:
    return f"DROP VIEW IF EXISTS {physical_name(element.name, compiler.dialect.name)}"


def physical_name(name: str, dialect: str) -> str:
    """A published name as the engine spells it: ``ivoa.obscore``, on SQLite ``ivoa_obscore``."""
    return name.replace(".", "_") if dialect == "sqlite" else name


class published_time(FunctionElement[Any]):  # noqa: N801  (reads as the SQL function that it is)
    """A stored time as views publish it: without zone, in UTC."""

    type = sa.DateTime()
    inherit_cache = True


@compiles(published_time)
def _published_time(element: published_time, compiler: SQLCompiler, **options: Any) -> str:
    return f"timezone('UTC', {compiler.process(element.clauses, **options)})"


@compiles(published_time, "sqlite")
def _published_time_sqlite(element: published_time, compiler: SQLCompiler, **options: Any) -> str:
    return compiler.process(element.clauses, **options)


class _kept_bound(FunctionElement[Any]):  # noqa: N801  (as the others)
    """One of the rules as the database keeps them, at the moment of the statement."""

    inherit_cache = False

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name


@compiles(_kept_bound)
def _kept_bound_sql(element: _kept_bound, compiler: SQLCompiler, **options: Any) -> str:
    bounds = rules.kept_bounds(compiler.dialect.name, now="now()")
    return compiler.process(getattr(bounds, element.name), **options)


def kept_bounds() -> Bounds:
    """What counts as a survivor (`catalog.opsdb.lifecycle.rules`), for a view of whichever engine."""
    return Bounds(**{field.name: _kept_bound(field.name) for field in fields(Bounds)})
