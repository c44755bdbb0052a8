"""Resumption tokens: everything that the next answer depends on, so that no state is kept (OAI-PMH 2.0 section 3.5).

A token names the last record that was given, not a number of records: what is published meanwhile shifts nothing. It
holds no secret and gives no right; whoever makes one up gets what the arguments in it would give him.
"""

from __future__ import annotations

import base64
import json
import re
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from catalog.errors import HarvestError
from catalog.registry.store import Cursor

__all__ = ["Resumption", "parse_token", "write_token"]

_MAX_CHARACTERS = 2_000
_IDENTIFIER = re.compile(r"ivo://[!-~]+")
_KINDS: dict[str, tuple[type, ...]] = {
    "verb": (str,),
    "prefix": (str,),
    "set_spec": (str, type(None)),
    "since": (str, type(None)),
    "until": (str, type(None)),
    "datestamp": (int,),
    "identifier": (str,),
    "given": (int,),
    "expires": (int,),
}


@dataclass(frozen=True, slots=True)
class Resumption:
    """Where a list goes on."""

    verb: str
    prefix: str
    set_spec: str | None
    since: str | None
    until: str | None
    """As in the first request; likewise the three before."""

    datestamp: int
    """Of the last record that was given, in seconds of Unix time."""

    identifier: str
    given: int
    """How many records were given so far."""

    expires: int
    """Unix time."""

    @property
    def cursor(self) -> Cursor:
        """The last record that was given."""
        return Cursor(datetime.fromtimestamp(self.datestamp, UTC), self.identifier)


def write_token(resumption: Resumption) -> str:
    """The token: characters that need no escaping in a URL."""
    text = json.dumps(list(asdict(resumption).values()), separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def parse_token(token: str, *, verb: str, now: datetime) -> Resumption:
    """What a token says.

    Args:
        token: As a client sends it.
        verb: Of the request.
        now: The time.

    Raises:
        HarvestError: It is none of ours, for another verb, or too old.
    """
    resumption = _decoded(token)
    if resumption is None:
        raise _bad("the resumptionToken is none that this registry gave")
    if resumption.verb != verb:
        raise _bad(f"the resumptionToken belongs to the verb {resumption.verb}")
    if resumption.expires <= now.timestamp():
        raise _bad("the resumptionToken is too old; begin anew")
    return resumption


def _decoded(token: str) -> Resumption | None:
    if len(token) > _MAX_CHARACTERS:
        return None
    try:
        text = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True).decode("utf-8")
        values = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(values, list) or len(values) != len(_KINDS):
        return None
    if any(type(value) not in kinds for value, kinds in zip(values, _KINDS.values(), strict=True)):
        return None
    resumption = Resumption(*values)
    try:
        _ = resumption.cursor
    except (ValueError, OverflowError, OSError):
        return None
    is_possible = resumption.verb in ("ListRecords", "ListIdentifiers") and resumption.given >= 0
    return resumption if is_possible and _IDENTIFIER.fullmatch(resumption.identifier) else None


def _bad(message: str) -> HarvestError:
    return HarvestError(message, oai_code="badResumptionToken")
