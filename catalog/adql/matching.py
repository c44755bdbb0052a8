"""LIKE, ILIKE and long lists as each engine says them, with the same answer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from catalog.adql.mathematics import Sql, verbatim
from catalog.adql.statement import Statement

__all__ = ["in_list", "like"]

_GLOB = {"[": "[[]", "*": "[*]", "?": "[?]", "%": "*", "_": "?"}
"""In this order, so that what one replacement brings is not replaced again."""


def like(statement: Statement, value: Sql, pattern: Sql | str, *, insensitive: bool) -> Sql:
    """Whether text matches a pattern: case counts unless it is ILIKE, which folds A to Z; nothing escapes % and _.

    Args:
        statement: The engine and the bound values.
        value: The text.
        pattern: A literal pattern, or SQL for one.
        insensitive: ILIKE.
    """
    if statement.is_postgresql:
        wanted = _unescaped(statement, pattern)
        if insensitive:
            value, wanted = (sa.func.lower(sa.collate(text, "C")) for text in (value, wanted))
        return value.op("LIKE", precedence=5, is_comparison=True)(wanted)
    wanted = _glob(statement, pattern, insensitive=insensitive)
    value = sa.func.lower(value) if insensitive else value
    return value.op("GLOB", precedence=5, is_comparison=True)(wanted)


def _unescaped(statement: Statement, pattern: Sql | str) -> Sql:
    """A pattern in which a backslash stands for itself."""
    if isinstance(pattern, str):
        return statement.bind(pattern.replace("\\", "\\\\"))
    return sa.func.replace(pattern, verbatim(r"E'\\'"), verbatim(r"E'\\\\'"))


def _glob(statement: Statement, pattern: Sql | str, *, insensitive: bool) -> Sql:
    """A pattern for SQLite's GLOB, which minds case whatever the connection's settings."""
    if isinstance(pattern, str):
        text = "".join(_GLOB.get(sign, sign) for sign in pattern)
        return statement.bind(_lower(text) if insensitive else text)
    for sign, replacement in _GLOB.items():
        pattern = sa.func.replace(pattern, verbatim(f"'{sign}'"), verbatim(f"'{replacement}'"))
    return sa.func.lower(pattern) if insensitive else pattern


def _lower(text: str) -> str:
    return "".join(sign.lower() if sign.isascii() else sign for sign in text)


def in_list(
    statement: Statement, value: Sql, items: Sequence[int | float | str], *, negated: bool, timestamps: bool = False
) -> Sql:
    """Whether a value is one of many literals, which go to the database as one parameter.

    Args:
        statement: The engine and the bound values.
        value: The value.
        items: Numbers, or texts.
        negated: NOT IN.
        timestamps: The texts are times in the form that the databases keep.
    """
    if statement.is_postgresql:
        kind = sa.TIMESTAMP if timestamps else _element_type(items)
        array = sa.cast(statement.bind(_array_text(items)), ARRAY(kind))
        found: Sql = value.op("=", precedence=5, is_comparison=True)(sa.any_(array))
        return sa.not_(sa.sql.elements.Grouping(found)) if negated else found
    rows = sa.func.json_each(statement.bind(json.dumps(items))).table_valued("value")
    query = sa.select(rows.c.value)
    return value.not_in(query) if negated else value.in_(query)


def _element_type(values: Sequence[int | float | str]) -> type[sa.types.TypeEngine[Any]]:
    if any(isinstance(value, str) for value in values):
        return sa.Text
    return sa.Double if any(isinstance(value, float) for value in values) else sa.BigInteger


def _array_text(values: Sequence[int | float | str]) -> str:
    """PostgreSQL's way of writing an array."""
    words = []
    for value in values:
        text = str(value)
        if isinstance(value, str):
            text = '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
        words.append(text)
    return "{" + ",".join(words) + "}"
