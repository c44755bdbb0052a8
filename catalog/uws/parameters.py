"""Parameters of jobs: those that UWS itself understands, and those of the work (UWS 1.1 section 2.2.3)."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from catalog.errors import ParameterError, ResourceLimitError
from catalog.uws.job import Parameter, StoredFile
from catalog.vo.time import parse_timestamp

__all__ = ["JobRequest", "is_storable", "merge", "parse_request", "parse_seconds", "parse_time"]

_OF_UWS = ("PHASE", "EXECUTIONDURATION", "DESTRUCTION")
_RUNID = "RUNID"
_RUNID_LENGTH = 64  # TAP 1.1 section 2.7.6
_SECONDS = re.compile("[0-9]{1,9}")
_SURROGATES = re.compile("[\ud800-\udfff]")
_MAX_PARAMETERS = 200
_MAX_CHARACTERS = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class JobRequest:
    """What a request asks of a job."""

    parameters: tuple[tuple[str, str], ...]
    """Of the work, with RUNID; as the client spelt them."""

    is_run: bool = False
    run_id: str | None = None
    execution_duration: int | None = None
    destruction: datetime | None = None


def parse_request(pairs: Iterable[tuple[str, str]], *, multiple: Collection[str]) -> JobRequest:
    """Read the parameters of a request that makes or changes a job.

    Args:
        pairs: Names and values; names differ by more than case.
        multiple: Upper-case names of parameters that may come more than once.

    Raises:
        ParameterError: Another one is repeated, or one of UWS itself has a value that it cannot have.
    """
    known: dict[str, str] = {}
    parameters: list[tuple[str, str]] = []
    for name, value in pairs:
        folded = name.upper()
        if not is_storable(name) or not is_storable(value):
            raise ParameterError(f"parameter {folded[:40]!a} holds characters that are no text")
        if folded in known:
            raise ParameterError(f"parameter {folded[:40]} was given more than once; it takes a single value")
        if folded not in multiple:
            known[folded] = value
        if name and folded not in _OF_UWS:
            parameters.append((name, value))
    duration, destruction = known.get("EXECUTIONDURATION"), known.get("DESTRUCTION")
    return JobRequest(
        parameters=tuple(parameters),
        is_run=_is_run(known.get("PHASE")),
        run_id=_run_id(known.get(_RUNID)),
        execution_duration=None if duration is None else parse_seconds(duration),
        destruction=None if destruction is None else parse_time("DESTRUCTION", destruction),
    )


def merge(
    old: Sequence[Parameter], request: JobRequest, files: Sequence[tuple[str, StoredFile]], *, multiple: Collection[str]
) -> tuple[Parameter, ...]:
    """The parameters of a job after a request: a new value replaces the old one, whatever the case of the name.

    Args:
        old: As they were.
        request: What is new.
        files: What is new as files, with their names.
        multiple: Upper-case names of parameters that are added instead.

    Raises:
        ResourceLimitError: There are too many, or they are too long.
    """
    replaced = {name.upper() for name, _ in request.parameters} - set(multiple)
    labels = {name for name, _ in files}
    kept = [each for each in old if not (each.name in labels if each.file else each.name.upper() in replaced)]
    new = [Parameter(name, value) for name, value in request.parameters]
    merged = (*kept, *new, *(Parameter(name, "", file) for name, file in files))
    if len(merged) > _MAX_PARAMETERS:
        raise ResourceLimitError(f"the job has more than {_MAX_PARAMETERS} parameters")
    if sum(len(each.name) + len(each.value) for each in merged) > _MAX_CHARACTERS:
        raise ResourceLimitError(f"the parameters of the job have more than {_MAX_CHARACTERS:,} characters")
    return merged


def parse_seconds(text: str) -> int:
    """EXECUTIONDURATION: whole seconds, 0 for as long as allowed.

    Raises:
        ParameterError: It is something else.
    """
    if not _SECONDS.fullmatch(text.strip()):
        raise ParameterError(f"EXECUTIONDURATION is '{text[:40]}'; expected whole seconds, 0 for as long as allowed")
    return int(text)


def parse_time(name: str, text: str) -> datetime:
    """A time in UTC, as aware.

    Args:
        name: Of the parameter, for the message.
        text: ISO 8601, with or without Z.

    Raises:
        ParameterError: It is no time.
    """
    try:
        return parse_timestamp(text.strip())
    except ValueError:
        raise ParameterError(f"{name} is '{text[:40]}'; expected a time in UTC, YYYY-MM-DDThh:mm:ssZ") from None


def is_storable(text: str) -> bool:
    """Whether every database takes it as text: no NUL, no halves of characters."""
    return "\0" not in text and not _SURROGATES.search(text)


def _is_run(phase: str | None) -> bool:
    if phase is None:
        return False
    if phase.upper() != "RUN":
        raise ParameterError(f"PHASE is '{phase[:40]}'; a request with parameters may ask for RUN only")
    return True


def _run_id(text: str | None) -> str | None:
    if text is not None and len(text) > _RUNID_LENGTH:
        raise ParameterError(f"RUNID has {len(text)} characters; at most {_RUNID_LENGTH} are kept")
    return text
