"""Simple Cone Search 1.03, errata included: the packages around a position, over the rows of ``ivoa.obscore``.

The standard wants three columns to have UCDs of the first kind (section 2), which no other table here has: they are put
over those of ObsCore on the way out. The three errata let the answer be a VOTable of any version 1.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Protocol

from catalog.access import Caller
from catalog.dali import parse_maxrec, parse_number, single_values
from catalog.errors import ParameterError
from catalog.vo.table import Table, TableStream

__all__ = [
    "MAIN_UCDS",
    "STANDARD_ID",
    "Cone",
    "ConeSearchService",
    "Query",
    "parse_cone",
    "table_of_records",
]

STANDARD_ID = "ivo://ivoa.net/std/ConeSearch"

MAIN_UCDS = {
    "obs_publisher_did": ("ID_MAIN", "meta.id;meta.main"),
    "s_ra": ("POS_EQ_RA_MAIN", "pos.eq.ra;meta.main"),
    "s_dec": ("POS_EQ_DEC_MAIN", "pos.eq.dec;meta.main"),
}
"""The three columns that the standard demands: their UCDs in answers, and the same in UCD1+ for registries."""

_FEWEST = (*MAIN_UCDS, "target_name", "instrument_name", "t_min", "t_max", "access_url", "access_format")
_MEDIUM, _ALL = "2", "3"
_DECIMALS = 15  # of degrees; radians of what is smaller are too small for PostgreSQL
_VERBOSITIES = ("1", _MEDIUM, _ALL)


class Query(Protocol):
    """Answers ADQL over the published tables, under the access rule."""

    def __call__(self, adql: str, *, caller: Caller, maxrec: int | None, life_s: float | None) -> TableStream:
        """The rows; whoever gets the stream closes it."""
        ...


@dataclass(frozen=True, slots=True)
class Cone:
    """What a cone search was asked with."""

    ra: float
    """Degrees, ICRS, 0 to 360."""

    dec: float
    """Degrees, ICRS, -90 to 90."""

    radius: float
    """Degrees, 0 to 180; with 0 one asks for the columns alone."""

    verb: str = _MEDIUM
    """How many columns are wanted: ``1`` the fewest, ``3`` all."""

    maxrec: int | None = None
    responseformat: str | None = None


class ConeSearchService:
    """Find packages around a position.

    Args:
        query: Asks the published tables.
        table: Description of ``ivoa.obscore``.
    """

    def __init__(self, query: Query, table: Table) -> None:
        self._query = query
        self._table = table

    def adql(self, cone: Cone) -> str:
        """What a search asks of the published tables. Rows without a position are never in a cone."""
        columns = ", ".join(column.name for column in self._columns(cone.verb).columns)
        circle = f"CIRCLE({cone.ra!r}, {cone.dec!r}, {cone.radius!r})"
        return f"SELECT {columns} FROM {self._table.name} WHERE 1 = CONTAINS(POINT(s_ra, s_dec), {circle})"

    def search(self, cone: Cone, *, caller: Caller, life_s: float | None = None) -> TableStream:
        """The packages in a cone.

        Args:
            cone: What is asked for.
            caller: Who asks.
            life_s: Seconds within which the rows must be read; any number when None.

        Returns:
            The rows; whoever gets the stream closes it.

        Raises:
            QueryTimeoutError: The database took too long.
        """
        maxrec = 0 if cone.radius == 0 else cone.maxrec
        found = self._query(self.adql(cone), caller=caller, maxrec=maxrec, life_s=life_s)
        found.table = _with_main_ucds(found.table, 0)
        return found

    def _columns(self, verb: str) -> Table:
        if verb == _ALL:
            return self._table
        names = [c.name for c in self._table.columns if (c.principal if verb == _MEDIUM else c.name in _FEWEST)]
        return self._table.select(names)


def table_of_records(table: Table) -> Table:
    """What a cone search answers with, as a registry record describes it.

    Args:
        table: Description of ``ivoa.obscore``.
    """
    return _with_main_ucds(table, 1)


def parse_cone(pairs: Iterable[tuple[str, str]]) -> Cone:
    """Read the parameters of a cone search (section 2); those that are not known are passed over.

    Args:
        pairs: Names and values from the URL and the body.

    Raises:
        ParameterError: A parameter is missing, repeated or out of range; the message names it.
    """
    known = ("RA", "DEC", "SR", "VERB", "MAXREC", "RESPONSEFORMAT")
    values = {name: value for name, value in single_values(pairs, known).items() if value.strip()}
    verb = values.get("VERB", _MEDIUM).strip()
    if verb not in _VERBOSITIES:
        raise ParameterError(f"VERB is '{verb[:40]}'; expected {', '.join(_VERBOSITIES)}")
    return Cone(
        ra=_degrees(values.get("RA"), "RA", 0, 360),
        dec=_degrees(values.get("DEC"), "DEC", -90, 90),
        radius=_degrees(values.get("SR"), "SR", 0, 180),
        verb=verb,
        maxrec=parse_maxrec(values.get("MAXREC")),
        responseformat=values.get("RESPONSEFORMAT"),
    )


def _degrees(text: str | None, name: str, lowest: int, highest: int) -> float:
    expected = f"expected degrees, {lowest} to {highest}"
    if text is None:
        raise ParameterError(f"parameter {name} is missing; {expected}")
    value = parse_number(name, text)
    if not lowest <= value <= highest:
        raise ParameterError(f"{name} is '{text.strip()[:80]}'; {expected}")
    return round(value, _DECIMALS) + 0.0  # no zero below zero


def _with_main_ucds(table: Table, kind: int) -> Table:
    columns = tuple(
        replace(column, ucd=MAIN_UCDS[column.name][kind]) if column.name in MAIN_UCDS else column
        for column in table.columns
    )
    return replace(table, columns=columns)
