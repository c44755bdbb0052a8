"""What a job is, and what a caller sees of it (UWS 1.1 section 2.1)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv6Network
from typing import IO, Protocol

from catalog.errors import CatalogError, QueryError, UnavailableError
from catalog.uws.phase import Phase

__all__ = [
    "Claim",
    "Client",
    "IncomingFile",
    "Job",
    "JobError",
    "JobRef",
    "Parameter",
    "Progress",
    "Result",
    "StoredFile",
]


@dataclass(frozen=True, slots=True)
class Client:
    """Who asks for jobs: somebody with a name, or an address that an anonymous request came from."""

    owner: str | None = None
    """Name of an identified user."""

    origin: str | None = None
    """Address of an anonymous client, as far as it can be trusted; None when it is not known."""

    scopes: frozenset[str] | None = None
    """Permissions that the credential is bounded to; None for all that the user has."""

    roles: frozenset[str] = frozenset()
    """Roles that the credential vouches for, beyond those that the user has."""

    def covers(self, other: Client) -> bool:
        """Whether this credential of a user can do whatever another of the same user can."""
        within = self.scopes is None or (other.scopes is not None and other.scopes <= self.scopes)
        return within and other.roles <= self.roles

    @property
    def key(self) -> str | None:
        """Whom jobs are counted for; None for nobody in particular, who has no quota and sees no list.

        Addresses of IPv6 that share the first 64 bits are one: whoever has one of them has them all.
        """
        if self.owner is not None:
            return f"user {self.owner}"
        if self.origin is None:
            return None
        try:
            return f"address {IPv6Network((self.origin, 64), strict=False)}"
        except ValueError:
            return f"address {self.origin}"


class IncomingFile(Protocol):
    """A file that comes with a request."""

    @property
    def name(self) -> str:
        """Of the part of the request."""
        ...

    @property
    def content_type(self) -> str:
        """As the client says; may be empty."""
        ...

    @property
    def file(self) -> IO[bytes]:
        """At its beginning."""
        ...


@dataclass(frozen=True, slots=True)
class StoredFile:
    """Bytes in the result store that never change."""

    path: str
    """Below the folder of the job; what `catalog.uws.results.ResultStore.open` takes."""

    size: int
    """Bytes."""

    sha256: str
    """Hexadecimal."""

    content_type: str


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a job, spelt as the client spelt it."""

    name: str
    value: str
    """Empty for a file."""

    file: StoredFile | None = None
    """The content, of one that came as a file; it is shown by reference."""


@dataclass(frozen=True, slots=True)
class Result:
    """A result of a completed job."""

    id: str
    """As in ``/results/<id>``; TAP's only one is called ``result``."""

    file: StoredFile
    rows: int | None = None
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class JobError:
    """Why a job has no result: every fact of the fault, so that it can be answered as if it were raised now."""

    message: str
    code: str
    hint: str | None = None
    proposal: str | None = None
    line: int | None = None
    column: int | None = None
    length: int | None = None
    transient: bool = False
    """Whether the same job may succeed later."""

    @classmethod
    def from_fault(cls, fault: CatalogError) -> JobError:
        """What a fault says."""
        if isinstance(fault, QueryError):
            return cls(fault.message, fault.code, fault.hint, fault.proposal, fault.line, fault.column, fault.length)
        return cls(fault.message, fault.code, fault.hint, transient=isinstance(fault, UnavailableError))

    def to_fault(self) -> CatalogError:
        """The fault again: a `QueryError` when it points into the query, else one with the same code."""
        if self.length is not None:
            return QueryError(
                self.message,
                code=self.code,
                line=self.line,
                column=self.column,
                length=self.length,
                hint=self.hint,
                proposal=self.proposal,
            )
        fault = CatalogError(self.message, hint=self.hint)
        fault.code = self.code
        return fault


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the work is."""

    rows: int
    rows_expected: int | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """One job, as it was when it was read. Times are aware UTC."""

    id: str
    phase: Phase
    client: Client
    """Who made it."""

    run_id: str | None
    created: datetime
    started: datetime | None
    ended: datetime | None
    destruction: datetime
    execution_duration: int
    """Seconds that the work may take."""

    parameters: tuple[Parameter, ...] = ()
    results: tuple[Result, ...] = ()
    error: JobError | None = None
    """Set in phase ERROR, and in phase ABORTED when it was not the client who aborted."""

    progress: Progress | None = None
    """Set once the work has begun."""

    @property
    def owner(self) -> str | None:
        """Name of the owner; None for an anonymous one."""
        return self.client.owner

    def values(self, name: str) -> list[str]:
        """Values of a parameter, whatever the case of its name."""
        return [each.value for each in self.parameters if each.name.upper() == name.upper() and each.file is None]

    def pairs(self) -> list[tuple[str, str]]:
        """Names and values of the parameters that are no files."""
        return [(each.name, each.value) for each in self.parameters if each.file is None]


@dataclass(frozen=True, slots=True)
class JobRef:
    """A line of the job list (UWS 1.1 section 2.2.2.1)."""

    id: str
    phase: Phase
    run_id: str | None
    owner: str | None
    created: datetime


@dataclass(frozen=True, slots=True)
class Claim:
    """The right of one worker to do one job, until its lease runs out."""

    job: Job
    worker: str
    attempt: int
    """Differs for every claim of a job; files that the attempt writes are named after it."""

    bytes_left: int | None = None
    """What results of this caller may still take; None when there is no bound."""
