"""Functions on text: words, lists, and sexagesimal angles.

Case is folded for the letters A to Z only, as everywhere here: both engines can do that alike.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache

import sqlalchemy as sa

from catalog.adql import nodes
from catalog.adql.installed import InstalledFunction, SQLiteFunction, called
from catalog.adql.mathematics import Dialect, Sql, verbatim
from catalog.adql.nodes import Condition, FunctionCall
from catalog.adql.signatures import TEXT, Form, Function
from catalog.vo.table import Column
from catalog.vo.types import Datatype

__all__ = ["FUNCTIONS", "POSTGRESQL", "SQLITE"]


def _flag(arguments: Sequence[Column]) -> Column:
    return Column("value", Datatype.INT)


# --- words ----------------------------------------------------------------------------------------------------

_SEPARATORS = r"[\x01-\x2f\x3a-\x60\x7b-\x7f]+"
"""ASCII without digits and small letters: what stands between words, once capitals are gone."""

_SPLIT = re.compile(_SEPARATORS)
_SMALL = {ord(capital): capital.lower() for capital in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}


@lru_cache(maxsize=256)
def _words(text: str) -> frozenset[str]:
    return frozenset(_SPLIT.split(text.translate(_SMALL))) - {""}


def has_word(haystack: str | None, needle: str | None) -> int | None:
    """1 when every word of the needle is one of the haystack's; a needle without words is nowhere."""
    if haystack is None or needle is None:
        return None
    wanted = _words(needle)
    return int(bool(wanted) and wanted <= frozenset(_SPLIT.split(haystack.translate(_SMALL))))


_HAS_WORD = f"""
DECLARE
  wanted text[] := array_remove(regexp_split_to_array(lower(needle COLLATE "C"), '{_SEPARATORS}'), '');
BEGIN
  RETURN (cardinality(wanted) > 0
    AND regexp_split_to_array(lower(haystack COLLATE "C"), '{_SEPARATORS}') @> wanted)::integer;
END
"""


def _no_case_match(call: FunctionCall) -> Condition:
    value, pattern = call.arguments
    return nodes.Like(value, pattern, insensitive=True)


def _in_hash_list(dialect: Dialect, hashlist: Sql, item: Sql) -> Sql:
    """``#item#`` is in ``#list#`` and no # in the item."""
    fence = verbatim("'#'", sa.Text)
    name = "instr" if dialect == "sqlite" else "strpos"
    place = getattr(sa.func, name)

    def fenced(text: Sql) -> Sql:
        folded = sa.func.lower(text if dialect == "sqlite" else sa.collate(text, "C"), type_=sa.Text)
        return fence.concat(folded).concat(fence)

    zero = verbatim("0", sa.Integer)
    found = sa.and_(place(fenced(hashlist), fenced(item)) > zero, place(item, fence) == zero)
    return sa.cast(found, sa.Integer)


# --- angles ---------------------------------------------------------------------------------------------------

_COMPACT = r"[ ]*([+-]?)([0-9]{2,3})([0-9]{2})([0-9]{2}(?:[.][0-9]*)?)[ ]*"


def _spaced(letters: str) -> str:
    """Pattern of three numbers with colons, blanks or letters between; Python and PostgreSQL read it alike."""
    between = r"[ ]*(?:[:%s]|[ ])[ ]*"
    return (
        rf"[ ]*([+-]?)[ ]*([0-9]{{1,3}}){between % letters}([0-9]{{1,2}}){between % 'Mm'}"
        r"([0-9]{1,2}(?:[.][0-9]*)?)[ ]*[Ss]?[ ]*"
    )


def _angle(letters: str, of_unit: float) -> Callable[[str | None], float | None]:
    """Reads angles whose first number counts in units of so many degrees; NULL for what is no such angle."""
    patterns = re.compile(_spaced(letters)), re.compile(_COMPACT)

    def degrees(text: str | None) -> float | None:
        found = None if text is None else patterns[0].fullmatch(text) or patterns[1].fullmatch(text)
        if not found:
            return None
        whole, minutes, seconds = (float(number) for number in found.groups()[1:])
        angle = (whole + minutes / 60.0 + seconds / 3600.0) * of_unit
        if minutes >= 60.0 or seconds >= 60.0 or angle > 360.0:
            return None
        return -angle if found[1] == "-" else angle

    return degrees


def _installed_angle(name: str, letters: str, of_unit: float) -> InstalledFunction:
    body = f"""
DECLARE
  part text[] := coalesce(regexp_match(angle, '^{_spaced(letters)}$'), regexp_match(angle, '^{_COMPACT}$'));
  whole double precision := part[2];
  minutes double precision := part[3];
  seconds double precision := part[4];
  found double precision := (whole + minutes / 60.0 + seconds / 3600.0) * {of_unit!r};
BEGIN
  RETURN CASE WHEN minutes >= 60.0 OR seconds >= 60.0 OR found > 360.0 THEN NULL
    WHEN part[1] = '-' THEN -found ELSE found END;
END
"""
    return InstalledFunction(name, "angle text", "double precision", body)


def _degrees(arguments: Sequence[Column]) -> Column:
    return Column("value", Datatype.DOUBLE, unit="deg", ucd=arguments[0].ucd)


# --- what there is --------------------------------------------------------------------------------------------

SQLITE = (
    SQLiteFunction("ivo_hasword", 2, has_word, True),
    SQLiteFunction("ivo_hms_to_degrees", 1, _angle("Hh", 15.0), True),
    SQLiteFunction("ivo_dms_to_degrees", 1, _angle("Dd", 1.0), True),
)
POSTGRESQL = (
    InstalledFunction("ivo_hasword", "haystack text, needle text", "integer", _HAS_WORD),
    _installed_angle("ivo_hms_to_degrees", "Hh", 15.0),
    _installed_angle("ivo_dms_to_degrees", "Dd", 1.0),
)
FUNCTIONS = (
    Function(
        "IVO_NOCASEMATCH",
        (TEXT, TEXT),
        _flag,
        feature="udf",
        forms=(
            Form(
                "ivo_nocasematch(value TEXT, pattern TEXT) -> INTEGER",
                "1 if value ILIKE pattern, else 0. The letters A to Z are folded.",
            ),
        ),
        condition=_no_case_match,
    ),
    Function(
        "IVO_HASWORD",
        (TEXT, TEXT),
        _flag,
        called("ivo_hasword", sa.Integer),
        feature="udf",
        forms=(
            Form(
                "ivo_hasword(haystack TEXT, needle TEXT) -> INTEGER",
                "1 if every word of needle is a word of haystack, whatever the case, else 0. Words are not stemmed.",
            ),
        ),
    ),
    Function(
        "IVO_HASHLIST_HAS",
        (TEXT, TEXT),
        _flag,
        _in_hash_list,
        feature="udf",
        copies=2,
        forms=(
            Form(
                "ivo_hashlist_has(hashlist TEXT, item TEXT) -> INTEGER",
                "1 if item is one of the words of hashlist, which # separates, whatever the case; else 0.",
            ),
        ),
    ),
    Function(
        "IVO_HMS_TO_DEGREES",
        (TEXT,),
        _degrees,
        called("ivo_hms_to_degrees", sa.Double),
        feature="udf",
        forms=(
            Form(
                "ivo_hms_to_degrees(hms TEXT) -> REAL",
                "Degrees of an angle in hours: h:m:s, hHmMsS or hhmmss; NULL when the text is none.",
            ),
        ),
    ),
    Function(
        "IVO_DMS_TO_DEGREES",
        (TEXT,),
        _degrees,
        called("ivo_dms_to_degrees", sa.Double),
        feature="udf",
        forms=(
            Form(
                "ivo_dms_to_degrees(dms TEXT) -> REAL",
                "Degrees of an angle in degrees: d:m:s, dDmMsS or ddmmss, with a sign or without; NULL when the text "
                "is none.",
            ),
        ),
    ),
)
