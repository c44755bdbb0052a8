"""What the database refuses, as a sentence that names table and rule; SQL and the driver's words stay inside."""

from __future__ import annotations

import re
import sqlite3
from dataclasses import dataclass
from functools import cache

import psycopg
import sqlalchemy as sa

from catalog.errors import IntegrityError
from catalog.opsdb.models import OpsBase, OurBase
from catalog.opsdb.triggers.dialect import REFUSAL

__all__ = ["translate_integrity"]

_OURS = re.compile(re.escape(REFUSAL) + "([^\n]+)")
_SQLITE = re.compile(r"(CHECK|UNIQUE|NOT NULL|FOREIGN KEY) constraint failed(?:: (.*))?")
_TARGET = re.compile(r'\s*(INSERT\s+(?:OR\s+\w+\s+)?INTO|UPDATE|DELETE\s+FROM)\s+(?:\w+\.)?"?(\w+)"?', re.IGNORECASE)
_KINDS = {"23514": "CHECK", "23505": "UNIQUE", "23502": "NOT NULL", "23503": "FOREIGN KEY"}

# What a CHECK of this name wants; ranges and closed lists say it themselves.
_RULES = {
    "azimuth_order": "azimuth_min_deg must not exceed azimuth_max_deg",
    "bandwidth_ghz_positive": "bandwidth_ghz must be positive",
    "beam_fwhm_arcsec_positive": "beam_fwhm_arcsec must be positive",
    "channel_width_khz_positive": "channel_width_khz must be positive",
    "checksum_has_algorithm": "a checksum and its algorithm are given together or not at all",
    "checksum_lower_case": "a checksum is written in lower case",
    "dec_order": "dec_min_deg must not exceed dec_max_deg",
    "diameter_m_positive": "diameter_m must be positive",
    "em_order": "em_min must be positive and must not exceed em_max",
    "exptime_s_positive": "exptime_s must not be negative",
    "extent_deg_range": "extent_deg must be positive and at most 360",
    "fov_deg_range": "fov_deg must be positive and at most 360",
    "frequency": "frequency_min_ghz must be positive and must not exceed frequency_max_ghz",
    "if_band": "if_min_ghz must be positive and less than if_max_ghz",
    "line_frequency_ghz_positive": "line_frequency_ghz must be positive",
    "one_release_rule": "a release date and release months exclude each other",
    "pixel_count_positive": "pixel_count must be positive",
    "planned_exptime_s_positive": "planned_exptime_s must not be negative",
    "position_whole": "s_ra and s_dec are given together or not at all",
    "prefix_length": "the prefix of a token has eight characters",
    "pwv_mm_positive": "pwv_mm must not be negative",
    "relay_has_site": "a route has a relay site exactly when its type is 'relay'",
    "release_months_range": "release_months must lie between 0 and 1200",
    "retry_count_positive": "retry_count must not be negative",
    "scan_speed_positive": "scan_speed_deg_s must be positive",
    "sequence_positive": "sequence must not be negative",
    "size_bytes_positive": "size_bytes must not be negative",
    "supersedes_another": "a package cannot supersede itself",
    "t_exptime_positive": "t_exptime must not be negative",
    "t_order": "t_max must not lie before t_min",
    "target_of_type": "a copy refers to exactly the one target that its type names",
    "time_order": "the end must not lie before the start",
    "two_sites": "origin and destination must be different sites",
    "withdrawal_has_reason": "the time and the reason of a withdrawal are given together or not at all",
}


@dataclass(frozen=True, slots=True)
class _Breach:
    """What a driver says about a broken constraint."""

    kind: str
    table: str | None = None
    constraint: str | None = None
    columns: tuple[str, ...] = ()
    deletes: bool = False


def translate_integrity(error: sa.exc.DBAPIError) -> IntegrityError:
    """The fault that a refusal of the database means: a trigger's own sentence, or the constraint's in plain words.

    Args:
        error: What SQLAlchemy raised.

    Raises:
        DBAPIError: The same error, when it is not about integrity.
    """
    said = _OURS.search(str(error.orig))
    if said is not None:
        return IntegrityError(said.group(1))
    breach = _postgresql(error) if isinstance(error.orig, psycopg.Error) else _sqlite(error)
    if breach is None:
        raise error
    return IntegrityError(_sentence(breach))


def _postgresql(error: sa.exc.DBAPIError) -> _Breach | None:
    raw = error.orig
    assert isinstance(raw, psycopg.Error)  # noqa: S101  (asked by the caller)
    kind = _KINDS.get(raw.sqlstate or "")
    if kind is None:
        return _Breach("value", _target(error)[1]) if (raw.sqlstate or "").startswith("22") else None
    event, table = _target(error)
    if kind == "FOREIGN KEY" and event == "DELETE":
        return _Breach(kind, table, deletes=True)
    column = raw.diag.column_name
    return _Breach(kind, raw.diag.table_name, raw.diag.constraint_name, (column,) if column else ())


def _sqlite(error: sa.exc.DBAPIError) -> _Breach | None:
    if not isinstance(error.orig, sqlite3.IntegrityError):
        return None
    event, table = _target(error)
    found = _SQLITE.match(str(error.orig))
    if found is None:
        return _Breach("value", table)
    kind, detail = found.groups()
    if kind == "CHECK":
        return _Breach(kind, table, detail)
    if detail is None:
        return _Breach(kind, table, deletes=event == "DELETE")
    places = [place.strip().rpartition(".") for place in detail.split(",")]
    return _Breach(kind, places[0][0] or table, None, tuple(column for _, _, column in places))


def _target(error: sa.exc.DBAPIError) -> tuple[str | None, str | None]:
    """What the statement did, and to which table."""
    found = _TARGET.match(error.statement or "")
    return (found.group(1).split()[0].upper(), found.group(2)) if found else (None, None)


def _sentence(breach: _Breach) -> str:
    constraint = _constraints().get(breach.constraint or "")
    table = breach.table or (constraint.table.name if constraint is not None and constraint.table is not None else None)
    row = f"a row of {table}" if table else "a row"
    if breach.kind == "CHECK":
        return f"{row} is refused: {_rule(constraint, breach.constraint)}"
    columns = breach.columns
    if not columns and isinstance(constraint, sa.Index | sa.UniqueConstraint | sa.ForeignKeyConstraint):
        columns = tuple(column.name for column in constraint.columns)
    if breach.kind == "NOT NULL":
        return f"{row} is refused: {columns[0]} must be given" if columns else f"{row} lacks a required value"
    if breach.kind == "UNIQUE":
        return f"{row} is refused: there is another with the same {' and '.join(columns) or 'identity'}"
    if breach.kind == "FOREIGN KEY":
        if breach.deletes:
            return f"{row} cannot be deleted: other rows refer to it"
        through = f" through {' and '.join(columns)}" if columns else ""
        return f"{row} is refused: it refers{through} to a row that does not exist"
    return f"{row} is refused: a value does not fit the type of its column"


def _rule(constraint: sa.Constraint | sa.Index | None, name: str | None) -> str:
    if not isinstance(constraint, sa.CheckConstraint):
        return f"it breaks the rule {name}" if name else "it breaks a rule"
    short = str(name).removeprefix(f"ck_{constraint.table.name}_")
    if short in _RULES:
        return _RULES[short]
    listed = [column for column in constraint.table.columns if isinstance(column.type, sa.Enum)]
    for column in listed:
        kind = column.type
        if isinstance(kind, sa.Enum) and short in (column.name, kind.name):
            return f"{column.name} must be one of {', '.join(kind.enums)}"
    text = str(constraint.sqltext)
    span = re.fullmatch(r"(\w+) BETWEEN (\S+) AND (\S+)", text)
    if span is not None:
        return "{} must lie between {} and {}".format(*span.groups())
    words = re.fullmatch(r"(\w+) IN \((.+)\)", text)
    if words is not None:
        return f"{words.group(1)} must be one of {words.group(2).replace(chr(39), '')}"
    return f"it breaks the rule {short}"


@cache
def _constraints() -> dict[str, sa.Constraint | sa.Index]:
    """Every constraint and index by its name; PostgreSQL's may be cut short."""
    known: dict[str, sa.Constraint | sa.Index] = {}
    preparer = sa.make_url("postgresql+psycopg://").get_dialect()().identifier_preparer
    for base in (OpsBase, OurBase):
        for table in base.metadata.sorted_tables:
            items: tuple[sa.Constraint | sa.Index, ...] = (*table.constraints, *table.indexes)
            for item in items:
                known[str(item.name)] = item
                known[str(preparer.format_constraint(item)).strip('"')] = item
    return known
