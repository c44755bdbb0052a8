"""What can go wrong, in one tree named after the DALI faults.

::

    CatalogError
    ├── UsageError = UsageFault   the caller asked for something that cannot be done as asked
    │   ├── SettingsError         a setting is unknown, missing or of the wrong kind
    │   ├── QueryError            the ADQL text is not valid; carries code, position, hint and proposal
    │   ├── ParameterError        a protocol parameter is unknown, repeated or out of range
    │   ├── HarvestError          a harvester asked for what cannot be; carries the code of OAI-PMH
    │   ├── NotFoundError         no such identifier, table, resource
    │   ├── AuthenticationError   credentials are missing or wrong
    │   ├── AuthorizationError    the caller may not do it, whoever else may
    │   └── PhaseError            the phase of the job does not allow it (any more)
    ├── IntegrityError            the operations database refuses the change; says which rule
    ├── ResourceLimitError        a limit was reached: time, rows, bytes, depth
    │   ├── QueryTimeoutError     the database did not answer within the allowed time
    │   └── QuotaError            the caller has his share already; says when to ask again
    ├── CopyError                 a copy has other bytes than those that are wanted
    ├── UnavailableError          a service that we depend on does not answer
    └── InternalError             our own mistake; the text shown outside says nothing of the inside

A fault is raised where it is known, with the sentence the user will read. It becomes a document in
``catalog.web.responses`` and a line on stderr in ``catalog.cli``, nowhere else.
"""

from __future__ import annotations

__all__ = [
    "AuthenticationError",
    "AuthorizationError",
    "CatalogError",
    "CopyError",
    "HarvestError",
    "IntegrityError",
    "InternalError",
    "NotFoundError",
    "ParameterError",
    "PhaseError",
    "QueryError",
    "QueryTimeoutError",
    "QuotaError",
    "ResourceLimitError",
    "SettingsError",
    "UnavailableError",
    "UsageError",
    "UsageFault",
]


class CatalogError(Exception):
    """Root of all faults that the toolkit raises on purpose.

    Args:
        message: One sentence for the user: what was wrong, what was expected, where.
        hint: What to do about it, when one thing is likely to help.
    """

    code = "Error"
    """Stable word for machines; every class has its own."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(CatalogError):
    """The caller asked for something that cannot be done as asked."""

    code = "UsageFault"


UsageFault = UsageError
"""The protocols' name for it, by which tools may catch what `catalog.adql.parser.parse` raises."""


class SettingsError(UsageError):
    """A setting is unknown, missing or of the wrong kind."""

    code = "SettingsFault"


class ParameterError(UsageError):
    """A protocol parameter is repeated, out of range or of the wrong form (DALI 1.1 section 3)."""

    code = "ParameterFault"


class HarvestError(UsageError):
    """A harvester asked for what cannot be (OAI-PMH 2.0 section 3.6).

    Args:
        message: What was wrong and what was expected.
        oai_code: Of the standard, such as ``badArgument``; an instance's `code` is this word.
    """

    code = "HarvestFault"

    def __init__(self, message: str, *, oai_code: str) -> None:
        super().__init__(message)
        self.code = oai_code


class NotFoundError(UsageError):
    """No such identifier, table or resource."""

    code = "NotFoundFault"


class AuthenticationError(UsageError):
    """Credentials are missing or wrong.

    Args:
        message: Which, without what they are.
        challenge: How to identify oneself, as HTTP writes it (RFC 9110 section 11.3).
        hint: Where to get them.
    """

    code = "AuthenticationFault"

    def __init__(self, message: str, *, challenge: str, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.challenge = challenge


class AuthorizationError(UsageError):
    """This caller may not do it: the thing belongs to another."""

    code = "AuthorizationFault"


class PhaseError(UsageError):
    """The phase of the job does not allow it (UWS 1.1 section 2.2.3)."""

    code = "PhaseFault"


class QueryError(UsageError):
    """The ADQL text is not valid (ADQL 2.1).

    Args:
        message: What was wrong and what was expected.
        code: Stable word for the kind of mistake, such as ``unknown-column``; an instance's `code` is this word.
        line: Line of the query, counted from 1; None when the whole query is meant.
        column: Column in that line, counted from 1.
        length: How many characters the caret should underline.
        hint: The ADQL way, or a did-you-mean.
        proposal: The whole query with one edit that makes it valid; shown, never run unasked.
    """

    code = "QueryFault"

    def __init__(
        self,
        message: str,
        *,
        code: str = "syntax",
        line: int | None = None,
        column: int | None = None,
        length: int = 1,
        hint: str | None = None,
        proposal: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.code = code
        self.line = line
        self.column = column
        self.length = length
        self.proposal = proposal


class IntegrityError(CatalogError):
    """The operations database refuses the change; the message names the rule."""

    code = "IntegrityFault"


class ResourceLimitError(CatalogError):
    """A limit of the service was reached: time, rows, bytes, depth."""

    code = "LimitFault"


class QueryTimeoutError(ResourceLimitError):
    """The database did not answer within the allowed time."""

    code = "TimeoutFault"


class QuotaError(ResourceLimitError):
    """The caller has as much as one caller may have.

    Args:
        message: What there is too much of, and how much is allowed.
        retry_after: Seconds after which asking again may help.
        hint: What makes room sooner.
    """

    code = "QuotaFault"

    def __init__(self, message: str, *, retry_after: int, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.retry_after = retry_after


class CopyError(CatalogError):
    """A copy has other bytes than those that are wanted: by its size, or by a checksum."""

    code = "CopyFault"


class UnavailableError(CatalogError):
    """A service that we depend on does not answer now; the same request may succeed later.

    Args:
        message: What cannot be had now.
        hint: What helps.
        retry_after: Seconds after which asking again may help; soon when None.
    """

    code = "TransientFault"

    def __init__(self, message: str, *, hint: str | None = None, retry_after: int | None = None) -> None:
        super().__init__(message, hint=hint)
        self.retry_after = retry_after


class InternalError(CatalogError):
    """Our own mistake. The text shown outside names no table, path or driver."""

    code = "FatalFault"
