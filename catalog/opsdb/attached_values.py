"""Values of theirs as ours: conversions between types, and the spelling of closed lists."""

from __future__ import annotations

from collections.abc import Mapping

import sqlalchemy as sa

from catalog.db import UtcDateTime, UuidText
from catalog.opsdb.attached_tables import TheirColumn
from catalog.opsdb.triggers.dialect import quoted

__all__ = ["absent", "conversion", "respelled", "type_name"]

_INTEGERS = ("int2", "int4", "int8")
_NUMBERS = (*_INTEGERS, "float4", "float8", "numeric")
_TEXTS = ("text", "varchar", "bpchar", "citext", "name")
_AS_IT_IS = "{}"


def type_name(column: sa.Column[object]) -> str:
    """PostgreSQL's name for the type of a column of ours."""
    kind = column.type
    if isinstance(kind, UtcDateTime):
        return "timestamptz"
    if isinstance(kind, UuidText):
        return "uuid"
    for ours, name in (
        (sa.JSON, "jsonb"),
        (sa.Boolean, "boolean"),
        (sa.Double, "float8"),
        (sa.BigInteger, "int8"),
        (sa.Integer, "int4"),
    ):
        if isinstance(kind, ours):
            return name
    return "text"


def absent(column: sa.Column[object]) -> str:
    """What stands for a column that they do not have: our default for it, else NULL."""
    kind = type_name(column)
    default = column.server_default
    if isinstance(default, sa.DefaultClause) and isinstance(default.arg, sa.TextClause):
        return f"({default.arg.text})::{kind}"
    if isinstance(default, sa.DefaultClause) and kind == "boolean":
        return str(default.arg).lower()
    return f"NULL::{kind}"


def conversion(column: sa.Column[object], theirs: TheirColumn) -> str | None:
    """How a value of their type becomes one of ours: a pattern with ``{}`` for their column; None when it cannot."""
    kind = type_name(column)
    conversions: dict[str, dict[str, str]] = {
        "timestamptz": {
            "timestamptz": _AS_IT_IS,
            "timestamp": "{} AT TIME ZONE 'UTC'",
            "date": "{}::timestamp AT TIME ZONE 'UTC'",
        },
        "uuid": {"uuid": _AS_IT_IS, **dict.fromkeys(_TEXTS, "{}::uuid")},
        "jsonb": {"jsonb": _AS_IT_IS, "json": "{}::jsonb", **dict.fromkeys(_TEXTS, "{}::jsonb")},
        "boolean": {"bool": _AS_IT_IS},
        "float8": {**dict.fromkeys(_NUMBERS, "{}::float8"), "float8": _AS_IT_IS},
        "int8": {**dict.fromkeys(_INTEGERS, _AS_IT_IS), "numeric": "{}::int8"},
        "int4": dict.fromkeys(_INTEGERS, _AS_IT_IS),
        "text": {**dict.fromkeys(_TEXTS, "{}::text"), "text": _AS_IT_IS, "uuid": "{}::text"},
    }
    if kind == "text" and theirs.labels:
        return "{}::text"
    return conversions[kind].get(theirs.kind)


def respelled(expression: str, spellings: Mapping[str, str], *, other: str | None = None) -> str:
    """A value of a closed list in our spelling; one that is not in the map stays, or becomes ``other``.

    Args:
        expression: Their value as text.
        spellings: Theirs to ours.
        other: Our word for every value that the map does not have.
    """
    changed = {theirs: ours for theirs, ours in spellings.items() if other is not None or theirs != ours}
    if not changed:
        return expression if other is None else f"CASE WHEN {expression} IS NOT NULL THEN {quoted(other)} END"
    cases = " ".join(f"WHEN {quoted(theirs)} THEN {quoted(ours)}" for theirs, ours in changed.items())
    rest = expression if other is None else f"CASE WHEN {expression} IS NOT NULL THEN {quoted(other)} END"
    return f"CASE {expression} {cases} ELSE {rest} END"
