"""Many keys in statements of bounded length, and sets of keys in statements of one text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

__all__ = ["is_among", "listed", "spell_set"]

_LISTED = 2_000  # keys named one by one in a statement

_T = TypeVar("_T")


def listed(values: Iterable[_T], size: int | None = None) -> Iterator[list[_T]]:
    """Values in lists that are short enough for ``IN (…)``.

    Args:
        values: Read once, as the lists are asked for.
        size: Values in a list; a few thousand when None.
    """
    rest = iter(values)
    while some := list(islice(rest, size or _LISTED)):
        yield some


def is_among(column: sa.ColumnElement[Any], name: str, numbers: Iterable[int]) -> sa.ColumnElement[bool]:
    """Whether a column's number is one of a set that is bound as one value: the text is the same for every set.

    Args:
        column: Of whole numbers.
        name: Of the bind parameter.
        numbers: The set.
    """
    return _IsAmong(column, sa.bindparam(name, spell_set(numbers), type_=sa.Text(), unique=False))


def spell_set(numbers: Iterable[int]) -> str:
    """The value that is bound for a set."""
    return f"{{{','.join(map(str, sorted(numbers)))}}}"


class _IsAmong(FunctionElement[bool]):
    """``column`` in the set that a text such as ``{1,2}`` means, as PostgreSQL writes arrays."""

    type = sa.Boolean()
    inherit_cache = True


@compiles(_IsAmong)
def _is_among(element: _IsAmong, compiler: SQLCompiler, **options: Any) -> str:
    column, numbers = (compiler.process(part, **options) for part in element.clauses)
    return f"({column} = ANY (CAST({numbers} AS INTEGER[])))"


@compiles(_IsAmong, "sqlite")
def _is_among_sqlite(element: _IsAmong, compiler: SQLCompiler, **options: Any) -> str:
    column, numbers = (compiler.process(part, **options) for part in element.clauses)
    return f"(instr(replace(replace({numbers}, '{{', ','), '}}', ','), ',' || {column} || ',') > 0)"
