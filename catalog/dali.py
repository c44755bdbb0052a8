"""Parameters of DALI services: case-blind names, single values, MAXREC, RESPONSEFORMAT (DALI 1.1 section 3)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import IO, Literal

from catalog.errors import ParameterError

__all__ = ["TapParameters", "UploadedFile", "parse_detail", "parse_maxrec", "parse_parameters", "single_values"]

_RUNID_LENGTH = 64  # TAP 1.1 section 2.7.6
_MAXREC = re.compile("[0-9]{1,1000}")
_LANGUAGES = ("ADQL", "ADQL-2.0", "ADQL-2.1")


@dataclass(frozen=True, slots=True)
class TapParameters:
    """What a TAP query was asked with (TAP 1.1 section 2.7)."""

    query: str
    lang: str = "ADQL"
    maxrec: int | None = None
    responseformat: str | None = None
    runid: str | None = None


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


def parse_parameters(pairs: Iterable[tuple[str, str]]) -> TapParameters:
    """Read the parameters of a TAP query (TAP 1.1 section 2.7).

    RESPONSEFORMAT goes before its older synonym FORMAT. REQUEST=doQuery and VERSION, which TAP 1.0 clients send, are
    accepted and have no effect.

    Args:
        pairs: Names and values from the URL and the body.

    Raises:
        ParameterError: A parameter is missing, repeated or out of range; the message names it.
    """
    values = single_values(pairs, ("LANG", "QUERY", "MAXREC", "RESPONSEFORMAT", "FORMAT", "RUNID", "REQUEST", "UPLOAD"))
    request = values.get("REQUEST", "doQuery")
    if request.lower() != "doquery":
        raise ParameterError(f"REQUEST is '{request[:40]}'; this resource knows doQuery only")
    if values.get("UPLOAD"):
        raise ParameterError("UPLOAD is not offered by this service; its capabilities say what is")
    return TapParameters(
        query=_query(values),
        lang=_language(values),
        maxrec=parse_maxrec(values.get("MAXREC")),
        responseformat=values.get("RESPONSEFORMAT") or values.get("FORMAT") or None,
        runid=_runid(values),
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
