"""OAI-PMH 2.0 with the additions of Registry Interfaces 1.1: six verbs, two metadata formats, sets, tombstones.

Answers are documents of at most one page of records. Faults are documents too, with the codes of the standard.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from xml.etree.ElementTree import fromstring

from catalog.errors import HarvestError, NotFoundError, UnavailableError
from catalog.registry.resources import SETS
from catalog.registry.resumption import Resumption, parse_token, write_token
from catalog.registry.store import Cursor, RecordStore, Selection, StoredRecord, write_time
from catalog.vo.documents import render

__all__ = ["MANAGED_SET", "OaiService", "parse_datestamp"]

MANAGED_SET = "ivo_managed"
"""The set of what a publishing registry answers for: every record of ours (Registry Interfaces 1.1 section 3.1.6)."""

_ARGUMENTS: dict[str, tuple[frozenset[str], frozenset[str]]] = {
    "Identify": (frozenset(), frozenset()),
    "ListSets": (frozenset(), frozenset({"resumptionToken"})),
    "ListMetadataFormats": (frozenset(), frozenset({"identifier"})),
    "GetRecord": (frozenset({"identifier", "metadataPrefix"}), frozenset()),
    "ListIdentifiers": (frozenset({"metadataPrefix"}), frozenset({"from", "until", "set", "resumptionToken"})),
    "ListRecords": (frozenset({"metadataPrefix"}), frozenset({"from", "until", "set", "resumptionToken"})),
}
"""Verb: arguments that it needs, and that it may have."""

_MAX_VALUE = 2_000
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_SECOND = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z", re.ASCII)
_FORMS = {
    "metadataPrefix": re.compile(r"[A-Za-z0-9\-_.!~*'()]+"),
    "set": re.compile(r"[A-Za-z0-9\-_.!~*'()]+(:[A-Za-z0-9\-_.!~*'()]+)*"),
}
_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


@dataclass(frozen=True, slots=True)
class _Format:
    prefix: str
    schema: str
    namespace: str


_FORMATS = {
    "ivo_vor": _Format(
        "ivo_vor",
        "http://www.ivoa.net/xml/RegistryInterface/v1.0",
        "http://www.ivoa.net/xml/RegistryInterface/v1.0",
    ),
    "oai_dc": _Format(
        "oai_dc", "http://www.openarchives.org/OAI/2.0/oai_dc.xsd", "http://www.openarchives.org/OAI/2.0/oai_dc/"
    ),
}


@dataclass(frozen=True, slots=True)
class _Shown:
    """A record as the templates read it."""

    identifier: str
    datestamp: str
    sets: tuple[str, ...]
    deleted: bool
    metadata: str


@dataclass(frozen=True, slots=True)
class _Token:
    token: str
    cursor: int
    size: int
    expires: str | None


class OaiService:
    """Answer harvesters.

    Args:
        store: The records.
        page_size: Records in one answer.
        token_s: How long a resumption token is valid.
        clock: Says what time it is; that of the records when absent.
    """

    def __init__(
        self,
        store: RecordStore,
        *,
        page_size: int,
        token_s: int,
        clock: Callable[[], datetime] | None = None,
    ) -> None:
        self._store = store
        self._page_size = page_size
        self._token_s = token_s
        self._clock = clock or store.now

    def answer(self, pairs: Sequence[tuple[str, str]], base_url: str) -> bytes:
        """The document that answers a request.

        Args:
            pairs: Arguments, in the order they came.
            base_url: What the client calls the registry.

        Raises:
            UnavailableError: Nothing has been published yet.
        """
        now = self._clock()
        echoed: Mapping[str, str] = {}
        try:
            verb, arguments = _parse(pairs)
            echoed = {"verb": verb, **arguments}
            template, facts = f"oai/{verb}.xml", self._facts(verb, arguments, now)
        except HarvestError as fault:
            if fault.code in ("badVerb", "badArgument"):
                echoed = {}
            template, facts = "oai/error.xml", {"code": fault.code, "message": fault.message}
        return self._render(template, now, echoed, base_url, facts)

    def refuse(self, message: str, base_url: str) -> bytes:
        """The document for a request that cannot be read at all."""
        facts = {"code": "badArgument", "message": message}
        return self._render("oai/error.xml", self._clock(), {}, base_url, facts)

    @staticmethod
    def _render(
        template: str, now: datetime, arguments: Mapping[str, str], base_url: str, facts: Mapping[str, object]
    ) -> bytes:
        date = write_time(now)
        return render(template, response_date=date, arguments=arguments, base_url=base_url, **facts)

    def _facts(self, verb: str, arguments: Mapping[str, str], now: datetime) -> dict[str, object]:
        if verb == "Identify":
            return self._identify()
        if verb == "ListSets":
            return self._sets(arguments)
        if verb == "ListMetadataFormats":
            if "identifier" in arguments:
                self._read(arguments["identifier"])
            return {"formats": list(_FORMATS.values())}
        if verb == "GetRecord":
            prefix = _prefix(arguments["metadataPrefix"])
            return {"record": _shown(self._read(arguments["identifier"]), prefix)}
        return self._list(verb, arguments, now)

    def _identify(self) -> dict[str, object]:
        registry, earliest = self._store.registry(), self._store.earliest()
        if registry is None or earliest is None:
            raise UnavailableError("the registry has not been published yet")
        described = fromstring(registry.ivo_vor)  # noqa: S314  (our own document)
        return {
            "repository_name": described.findtext("title"),
            "admin_email": described.findtext("curation/contact/email"),
            "earliest": write_time(earliest),
            "registry": registry.ivo_vor,
        }

    @staticmethod
    def _sets(arguments: Mapping[str, str]) -> dict[str, object]:
        if "resumptionToken" in arguments:
            raise HarvestError("the list of sets comes whole, without tokens", oai_code="badResumptionToken")
        own = ((spec, name) for spec, (name, _) in SETS.items())
        return {"sets": [(MANAGED_SET, "Every record that this registry answers for"), *own]}

    def _read(self, identifier: str) -> StoredRecord:
        try:
            return self._store.read(identifier)
        except NotFoundError as error:
            raise HarvestError(error.message, oai_code="idDoesNotExist") from None

    def _list(self, verb: str, arguments: Mapping[str, str], now: datetime) -> dict[str, object]:
        begun, after = None, None
        if "resumptionToken" in arguments:
            begun = parse_token(arguments["resumptionToken"], verb=verb, now=now)
            after = begun.cursor
            wanted = {"set": begun.set_spec, "from": begun.since, "until": begun.until}
            try:
                prefix, selection = _prefix(begun.prefix), _selection(wanted)
            except HarvestError as fault:
                raise HarvestError(fault.message, oai_code="badResumptionToken") from None
        else:
            wanted = {name: arguments.get(name) for name in ("set", "from", "until")}
            selection = _selection(wanted)
            prefix = _prefix(arguments["metadataPrefix"])
        found = self._store.page(selection, after=after, limit=self._page_size + 1)
        if not found and begun is not None:
            raise HarvestError("what was left of the list has changed since; begin anew", oai_code="badResumptionToken")
        if not found:
            raise HarvestError("no record is like that", oai_code="noRecordsMatch")
        page, is_last = found[: self._page_size], len(found) <= self._page_size
        given = 0 if begun is None else begun.given
        token = None
        if begun is not None or not is_last:
            expires = int(now.timestamp()) + self._token_s
            last = Cursor(page[-1].datestamp, page[-1].identifier)
            text = "" if is_last else _next(verb, prefix, wanted, last, given=given + len(page), expires=expires)
            until = None if is_last else write_time(datetime.fromtimestamp(expires, UTC))
            token = _Token(text, given, max(self._store.count(selection), given + len(page)), until)
        return {"records": [_shown(record, prefix) for record in page], "resumption": token}


def parse_datestamp(text: str, *, is_end: bool) -> datetime:
    """A datestamp of either granularity; a day as an end is its last second.

    Raises:
        HarvestError: It is none; says which forms there are.
    """
    try:
        if _DAY.fullmatch(text):
            day = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
            return day + timedelta(days=1, seconds=-1) if is_end else day
        if _SECOND.fullmatch(text):
            return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        pass  # such as the 30th of February
    raise _bad_argument(f"'{text[:40]}' is no datestamp; expected YYYY-MM-DD or YYYY-MM-DDThh:mm:ssZ")


def _parse(pairs: Sequence[tuple[str, str]]) -> tuple[str, dict[str, str]]:
    """The verb and its arguments, each once, none missing, none too many."""
    verbs = [value for name, value in pairs if name == "verb"]
    if len(verbs) != 1 or verbs[0] not in _ARGUMENTS:
        told = f"'{verbs[0][:40]}' is no verb" if len(verbs) == 1 else f"there are {len(verbs)} verbs"
        raise HarvestError(f"{told}; expected one of {', '.join(_ARGUMENTS)}", oai_code="badVerb")
    verb = verbs[0]
    needed, allowed = _ARGUMENTS[verb]
    arguments: dict[str, str] = {}
    for name, value in pairs:
        if name == "verb":
            continue
        if name not in needed | allowed:
            raise _bad_argument(f"{verb} has no argument '{name[:40]}'")
        if name in arguments:
            raise _bad_argument(f"the argument {name} is there twice")
        if len(value) > _MAX_VALUE or _NOT_XML.search(value):
            raise _bad_argument(f"the argument {name} is too long, or has characters that XML cannot carry")
        if name in _FORMS and not _FORMS[name].fullmatch(value):
            raise _bad_argument(f"the argument {name} has letters, digits and -_.!~*'() only")
        arguments[name] = value
    if "resumptionToken" in arguments and needed:
        if len(arguments) > 1:
            raise _bad_argument("a resumptionToken excludes every other argument")
        return verb, arguments
    for name in sorted(needed - arguments.keys()):
        raise _bad_argument(f"{verb} needs the argument {name}")
    return verb, arguments


def _selection(wanted: Mapping[str, str | None]) -> Selection:
    """What the arguments select."""
    start, end, spec = wanted["from"], wanted["until"], wanted["set"]
    since = None if start is None else parse_datestamp(start, is_end=False)
    until = None if end is None else parse_datestamp(end, is_end=True)
    if start is not None and end is not None and len(start) != len(end):
        raise _bad_argument("from and until have different granularities")
    if since is not None and until is not None and since > until:
        raise _bad_argument("from is later than until")
    if spec is None or spec == MANAGED_SET:
        return Selection(None, since, until)
    if spec not in SETS:
        raise HarvestError(f"there is no set '{spec[:40]}'; ListSets names them", oai_code="noRecordsMatch")
    return Selection(SETS[spec][1], since, until)


def _prefix(prefix: str) -> str:
    if prefix not in _FORMATS:
        known = " and ".join(_FORMATS)
        raise HarvestError(
            f"records are not written as '{prefix[:40]}'; {known} are known", oai_code="cannotDisseminateFormat"
        )
    return prefix


def _next(verb: str, prefix: str, wanted: Mapping[str, str | None], last: Cursor, *, given: int, expires: int) -> str:
    return write_token(
        Resumption(
            verb=verb,
            prefix=prefix,
            set_spec=wanted["set"],
            since=wanted["from"],
            until=wanted["until"],
            datestamp=int(last.datestamp.timestamp()),
            identifier=last.identifier,
            given=given,
            expires=expires,
        )
    )


def _shown(record: StoredRecord, prefix: str) -> _Shown:
    own = tuple(spec for spec, (_, kinds) in SETS.items() if record.kind in kinds)
    metadata = record.ivo_vor if prefix == "ivo_vor" else record.oai_dc
    return _Shown(record.identifier, write_time(record.datestamp), (MANAGED_SET, *own), record.deleted, metadata)


def _bad_argument(message: str) -> HarvestError:
    return HarvestError(message, oai_code="badArgument")
