"""Parameters of DALI services: case-blind names, single values, MAXREC, RESPONSEFORMAT (DALI 1.1 section 3)."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import IO, Literal

from catalog.errors import ParameterError

__all__ = [
    "Interval",
    "TapParameters",
    "UploadedFile",
    "UploadedTable",
    "parse_detail",
    "parse_interval",
    "parse_maxrec",
    "parse_number",
    "parse_parameters",
    "parse_uploads",
    "single_values",
    "with_one_format",
]

_NUMBER_LENGTH = 100  # characters; who writes more means no number
_RUNID_LENGTH = 64  # TAP 1.1 section 2.7.6
_MAXREC = re.compile("[0-9]{1,1000}")
_UPLOAD_NAME = re.compile("[A-Za-z][A-Za-z0-9_]{0,127}")
_NEXT_UPLOAD = re.compile(";(?=[A-Za-z][A-Za-z0-9_]*,)")  # TAP 1.0 section 2.5: several tables in one value
_URI = re.compile(r"(?:param:[^\s]+|https?://[^\s]+)", re.IGNORECASE)
_URI_LENGTH = 4000
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?", re.ASCII)
_INFINITE = re.compile(r"[+-]?Inf(?:inity)?", re.ASCII | re.IGNORECASE)
_LANGUAGES = ("ADQL", "ADQL-2.0", "ADQL-2.1")


@dataclass(frozen=True, slots=True)
class UploadedTable:
    """A table that a query brings (TAP 1.1 section 2.7.5)."""

    name: str
    """Without its schema, TAP_UPLOAD."""

    uri: str
    """``param:`` and the name of a part of the body, or a URL with http or https."""


@dataclass(frozen=True, slots=True)
class TapParameters:
    """What a TAP query was asked with (TAP 1.1 section 2.7)."""

    query: str
    lang: str = "ADQL"
    maxrec: int | None = None
    responseformat: str | None = None
    runid: str | None = None
    uploads: tuple[UploadedTable, ...] = ()


@dataclass(frozen=True, slots=True)
class UploadedFile:
    """A file that came with a request, for ``UPLOAD=…,param:NAME`` to name (DALI 1.1 section 3.4.5)."""

    name: str
    """Of the part of the body."""

    content_type: str
    """As the client says, with parameters; empty when it says nothing."""

    size: int
    """Bytes."""

    file: IO[bytes]
    """At its beginning; readable and seekable."""


def single_values(pairs: Iterable[tuple[str, str]], known: Iterable[str]) -> Mapping[str, str]:
    """The known parameters by upper-case name; unknown ones are ignored (DALI 1.1 section 3).

    Args:
        pairs: Names and values in the order they came.
        known: Upper-case names of the single-valued parameters of this resource.

    Raises:
        ParameterError: A single-valued parameter came more than once.
    """
    wanted = frozenset(known)
    values: dict[str, str] = {}
    for name, value in pairs:
        folded = name.upper()
        if folded not in wanted:
            continue
        if folded in values:
            raise ParameterError(f"parameter {folded} was given more than once; it takes a single value")
        values[folded] = value
    return values


def with_one_format(pairs: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """The same parameters, without a FORMAT that says again what another has said.

    TAP 1.0 named RESPONSEFORMAT so. astroquery, which still does, sends it twice when it uploads a table.
    """
    kept: list[tuple[str, str]] = []
    said: set[str] = set()
    for name, value in pairs:
        is_format = name.upper() == "FORMAT"
        if not (is_format and value in said):
            kept.append((name, value))
        if is_format:
            said.add(value)
    return kept


def parse_maxrec(text: str | None) -> int | None:
    """MAXREC as a whole number, zero or more; None when it was not given (DALI 1.1 section 3.4.4).

    Raises:
        ParameterError: Not a whole number, or negative.
    """
    digits = (text or "").strip()
    if not digits:
        return None
    if not _MAXREC.fullmatch(digits):
        raise ParameterError(f"MAXREC is '{digits[:40]}'; expected a whole number, 0 or more")
    return int(digits)


@dataclass(frozen=True, slots=True)
class Interval:
    """All numbers from one to another, both included; either may be infinite (DALI 1.1 section 3.3.4)."""

    low: float
    high: float


def parse_number(name: str, text: str, *, infinite: bool = False) -> float:
    """A number as VOTable writes it (DALI 1.1 section 3.1.2).

    Args:
        name: Of the parameter, for the message.
        text: The number.
        infinite: Whether ``-Inf`` and ``+Inf`` are numbers here.

    Raises:
        ParameterError: It is none, or too large for 64 bits.
    """
    word = text.strip()
    if infinite and _INFINITE.fullmatch(word):
        return -math.inf if word.startswith("-") else math.inf
    value = float(word) if len(word) <= _NUMBER_LENGTH and _NUMBER.fullmatch(word) else math.nan
    if not math.isfinite(value):
        raise ParameterError(f"{name} is '{text[:80]}'; expected a number{' or an infinity' if infinite else ''}")
    return value


def parse_interval(name: str, text: str) -> Interval:
    """Two numbers with a blank between, or one number that is both ends (SIA 2.0 section 2.1).

    Args:
        name: Of the parameter, for the message.
        text: Such as ``0.1 0.2``, ``-Inf 5`` or ``3``.

    Raises:
        ParameterError: They are no numbers, one or three, or in the wrong order.
    """
    words = text.split()
    if len(words) not in (1, 2):
        raise ParameterError(f"{name} is '{text[:80]}'; expected one number, or two with a blank between")
    low, high = (parse_number(name, word, infinite=len(words) == 2) for word in (words[0], words[-1]))
    if low > high or low == math.inf or high == -math.inf:
        raise ParameterError(f"{name} is '{text[:80]}'; no number lies between these")
    return Interval(low, high)


def parse_detail(pairs: Iterable[tuple[str, str]]) -> Literal["min", "max"]:
    """How much the tables resource is asked to say: ``max`` unless it is asked for less (VOSI 1.1 section 6.1).

    Raises:
        ParameterError: Neither ``min`` nor ``max``, or repeated.
    """
    detail = single_values(pairs, ("DETAIL",)).get("DETAIL") or "max"
    if detail.lower() == "min":
        return "min"
    if detail.lower() == "max":
        return "max"
    raise ParameterError(f"DETAIL is '{detail[:40]}'; expected min or max")


def parse_uploads(values: Iterable[str]) -> tuple[UploadedTable, ...]:
    """What the UPLOAD parameters ask for (TAP 1.1 section 2.7.5).

    Args:
        values: Of every UPLOAD, ``name,URI``; one value may hold several with ``;`` between, as in TAP 1.0.

    Raises:
        ParameterError: A value has another form, a name is none or comes twice, a URI has another scheme.
    """
    tables: dict[str, UploadedTable] = {}
    for value in values:
        for part in _NEXT_UPLOAD.split(value.strip().rstrip(";")):
            if not part:
                continue
            name, comma, uri = (piece.strip() for piece in part.partition(","))
            if not comma or not _UPLOAD_NAME.fullmatch(name):
                raise ParameterError(
                    f"UPLOAD is '{part[:80]}'; expected name,URI, the name a letter followed by letters, digits and _"
                )
            if not _URI.fullmatch(uri) or len(uri) > _URI_LENGTH:
                raise ParameterError(f"UPLOAD of {name} is from '{uri[:80]}'; expected param:…, http://… or https://…")
            if name.lower() in tables:
                raise ParameterError(f"UPLOAD names {name} twice; the case of letters does not tell tables apart")
            tables[name.lower()] = UploadedTable(name, uri)
    return tuple(tables.values())


def parse_parameters(pairs: Iterable[tuple[str, str]]) -> TapParameters:
    """Read the parameters of a TAP query (TAP 1.1 section 2.7).

    RESPONSEFORMAT goes before its older synonym FORMAT, which may come again with the same value. REQUEST=doQuery and
    VERSION, which TAP 1.0 clients send, are accepted and have no effect.

    Args:
        pairs: Names and values from the URL and the body.

    Raises:
        ParameterError: A parameter is missing, repeated or out of range; the message names it.
    """
    pairs = with_one_format(pairs)
    values = single_values(pairs, ("LANG", "QUERY", "MAXREC", "RESPONSEFORMAT", "FORMAT", "RUNID", "REQUEST"))
    request = values.get("REQUEST", "doQuery")
    if request.lower() != "doquery":
        raise ParameterError(f"REQUEST is '{request[:40]}'; this resource knows doQuery only")
    return TapParameters(
        query=_query(values),
        lang=_language(values),
        maxrec=parse_maxrec(values.get("MAXREC")),
        responseformat=values.get("RESPONSEFORMAT") or values.get("FORMAT") or None,
        runid=_runid(values),
        uploads=parse_uploads(value for name, value in pairs if name.upper() == "UPLOAD"),
    )


def _query(values: Mapping[str, str]) -> str:
    query = values.get("QUERY", "")
    if not query.strip():
        raise ParameterError("parameter QUERY is missing; expected the text of an ADQL query")
    return query


def _language(values: Mapping[str, str]) -> str:
    lang = values.get("LANG", "ADQL")
    for known in _LANGUAGES:
        if lang.upper() == known:
            return known
    raise ParameterError(f"LANG is '{lang[:40]}'; this service knows {', '.join(_LANGUAGES)}")


def _runid(values: Mapping[str, str]) -> str | None:
    runid = values.get("RUNID")
    if runid is not None and len(runid) > _RUNID_LENGTH:
        raise ParameterError(f"RUNID has {len(runid)} characters; at most {_RUNID_LENGTH} are kept")
    return runid
