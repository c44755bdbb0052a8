"""Thousands of keys in a condition: bound as one value, so that the statement stays short whatever their number."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Dialect
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from catalog.db.statement import array_element

__all__ = ["is_one_of"]


def is_one_of(column: sa.SQLColumnExpression[Any], keys: Iterable[object]) -> sa.ColumnElement[bool]:
    """Whether a column is one of these keys: an array on PostgreSQL, JSON on SQLite.

    Args:
        column: Of UUIDs, text or whole numbers.
        keys: As Python has them; none of them None.
    """
    return _IsOneOf(column, sa.bindparam(None, list(keys), type_=_Keys()))


class _Keys(sa.types.UserDefinedType[Any]):
    """A list of keys as one text, which the database reads as what the statement casts it to."""

    cache_ok = True

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], str]:
        return _spell_array if dialect.name == "postgresql" else _spell_json


class _IsOneOf(FunctionElement[bool]):
    type = sa.Boolean()
    inherit_cache = True


def _spell_array(keys: Iterable[object]) -> str:
    return "{" + ",".join(map(array_element, keys)) + "}"


def _spell_json(keys: Iterable[object]) -> str:
    return json.dumps([key if isinstance(key, int) else str(key) for key in keys])


@compiles(_IsOneOf)
def _is_one_of(element: _IsOneOf, compiler: SQLCompiler, **options: Any) -> str:
    column, keys = element.clauses
    is_text = isinstance(column.type, sa.String)
    kind = "text" if is_text else compiler.dialect.type_compiler_instance.process(column.type)
    return f"({compiler.process(column, **options)} = ANY (CAST({compiler.process(keys, **options)} AS {kind}[])))"


@compiles(_IsOneOf, "sqlite")
def _is_one_of_sqlite(element: _IsOneOf, compiler: SQLCompiler, **options: Any) -> str:
    column, keys = (compiler.process(part, **options) for part in element.clauses)
    return f"({column} IN (SELECT value FROM json_each({keys})))"
