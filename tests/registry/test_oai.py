"""OAI-PMH: every answer valid, every mistake with its code, every list complete whatever happens meanwhile."""

from __future__ import annotations

import base64
import json
import tracemalloc
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from catalog.db import Database
from catalog.errors import HarvestError, UnavailableError
from catalog.opsdb.migrate import upgrade
from catalog.registry.oai import OaiService, parse_datestamp
from catalog.registry.resumption import Resumption, parse_token, write_token
from catalog.registry.schemas import SchemaSet
from catalog.registry.store import RecordStore, Rendered, Selection, write_time

URL = "https://archive.example/oai"
OAI = "{http://www.openarchives.org/OAI/2.0/}"
START = datetime(2026, 5, 1, 12, 0, 0, tzinfo=UTC)
KINDS = ("authority", "organisation", "registry", "service", "table", "collection")
DC = (
    '<oai_dc:dc xmlns:oai_dc="http://www.openarchives.org/OAI/2.0/oai_dc/" '
    'xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>{}</dc:title><dc:date><u></dc:date></oai_dc:dc>'
)
VOR = (
    '<ri:Resource xmlns="" xmlns:ri="http://www.ivoa.net/xml/RegistryInterface/v1.0" '
    'xmlns:vr="http://www.ivoa.net/xml/VOResource/v1.0" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
    'xsi:type="vr:Organisation" created="<c>" updated="<u>" status="active"><title>{title}</title>'
    "<identifier>{ivoid}</identifier><curation><publisher>P</publisher><contact><name>N</name>"
    "<email>a@b.example</email></contact></curation><content><subject>s</subject><description>d</description>"
    "<referenceURL>https://archive.example/</referenceURL></content></ri:Resource>"
)


def rendered(number: int, title: str = "t") -> Rendered:
    ivoid = f"ivo://a.b/{number:05d}"
    kind = KINDS[number] if number < len(KINDS) else "collection"
    return Rendered(ivoid, kind, VOR.replace("{title}", title).replace("{ivoid}", ivoid), DC.format(title))


class Clock:
    """Shows what a test wants, whoever asks."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self, connection: object = None) -> datetime:
        return self.now

    def move(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def records(empty: Database, clock: Clock) -> RecordStore:
    return RecordStore(empty, created_mark="<c>", updated_mark="<u>", clock=clock)


@pytest.fixture
def oai(records: RecordStore, clock: Clock) -> OaiService:
    """Ten records of the first second, two later ones, one tombstone; pages of four."""
    return filled_service(records, clock)


@pytest.fixture(scope="module")
def protocol(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OaiService]:
    """The same on SQLite, for tests that only read."""
    with Database(f"sqlite:///{tmp_path_factory.mktemp('oai')}/catalog.db") as database:
        upgrade(database)
        clock = Clock()
        yield filled_service(RecordStore(database, created_mark="<c>", updated_mark="<u>", clock=clock), clock)


def filled_service(records: RecordStore, clock: Clock) -> OaiService:
    records.publish([rendered(number) for number in range(11)])
    clock.move(100)
    records.publish([rendered(number, "new" if number in (3, 7) else "t") for number in range(10)])
    clock.move(100)
    return OaiService(records, page_size=4, token_s=600)


def ask(oai: OaiService, query: str) -> Any:
    return etree.fromstring(oai.answer(parse_qsl(query, keep_blank_values=True), URL))


def code(answer: Any) -> str | None:
    error = answer.find(f"{OAI}error")
    return None if error is None else str(error.get("code"))


def identifiers(answer: Any) -> list[str]:
    return [header.findtext(f"{OAI}identifier")[-5:] for header in answer.iter(f"{OAI}header")]


def harvest(oai: OaiService, query: str, between: Callable[[], None] = lambda: None) -> list[Any]:
    """Headers of every page."""
    return list(pages(oai, query, between))


def pages(oai: OaiService, query: str, between: Callable[[], None] = lambda: None) -> Iterator[Any]:
    verb = parse_qsl(query)[0][1]
    answer = ask(oai, query)
    while True:
        assert code(answer) is None, etree.tostring(answer)
        yield from answer.iter(f"{OAI}header")
        token = answer.findtext(f".//{OAI}resumptionToken")
        if not token:
            return
        between()
        answer = ask(oai, f"verb={verb}&resumptionToken={token}")


QUERIES = [
    "verb=Identify",
    "verb=ListSets",
    "verb=ListMetadataFormats",
    "verb=ListMetadataFormats&identifier=ivo://a.b/00001",
    *(
        f"verb={verb}&metadataPrefix={prefix}{rest}"
        for verb in ("ListRecords", "ListIdentifiers")
        for prefix in ("ivo_vor", "oai_dc")
        for rest in ("", "&set=ivo_managed", "&set=collections&from=2026-05-01", "&from=2026-05-01T12:01:40Z")
    ),
    "verb=GetRecord&metadataPrefix=ivo_vor&identifier=ivo://a.b/00003",
    "verb=GetRecord&metadataPrefix=oai_dc&identifier=ivo://a.b/00003",
    "verb=GetRecord&metadataPrefix=ivo_vor&identifier=ivo://a.b/00010",  # a tombstone
]


@pytest.mark.parametrize("query", QUERIES)
def test_every_answer_is_valid(protocol: OaiService, schemas: SchemaSet, query: str) -> None:
    document = protocol.answer(parse_qsl(query), URL)
    assert schemas.problems(document) == []
    answer = etree.fromstring(document)
    assert code(answer) is None
    assert answer.findtext(f"{OAI}request") == URL
    assert dict(answer.find(f"{OAI}request").attrib) == dict(parse_qsl(query))


MISTAKES = [
    ("", "badVerb"),
    ("verb=", "badVerb"),
    ("verb=identify", "badVerb"),
    ("verb=Identify&verb=Identify", "badVerb"),
    ("metadataPrefix=ivo_vor", "badVerb"),
    ("verb=Identify&test=test", "badArgument"),
    ("verb=ListSets&test=test", "badArgument"),
    ("verb=ListSets&resumptionToken=junk", "badResumptionToken"),
    ("verb=ListMetadataFormats&identifier=really_wrong_id", "idDoesNotExist"),
    ("verb=ListMetadataFormats&identifier=ivo://a.b/00001&identifier=ivo://a.b/00001", "badArgument"),
    ("verb=GetRecord", "badArgument"),
    ("verb=GetRecord&metadataPrefix=ivo_vor", "badArgument"),
    ("verb=GetRecord&identifier=ivo://a.b/00001", "badArgument"),
    ("verb=GetRecord&identifier=ivo://a.b/00001&metadataPrefix=bibtex", "cannotDisseminateFormat"),
    ("verb=GetRecord&identifier=really_wrong_id&metadataPrefix=ivo_vor", "idDoesNotExist"),
    ("verb=GetRecord&identifier=%00&metadataPrefix=ivo_vor", "badArgument"),
    ("verb=GetRecord&identifier=%EF%BF%BF&metadataPrefix=ivo_vor", "badArgument"),
    ("verb=GetRecord&identifier=" + "x" * 3000 + "&metadataPrefix=ivo_vor", "badArgument"),
    ("verb=GetRecord&identifier=ivo://a.b/00001&metadataPrefix=ivo_vor&from=2001-01-01", "badArgument"),
    *(
        (f"verb={verb}&{rest}", expected)
        for verb in ("ListRecords", "ListIdentifiers")
        for rest, expected in (
            ("", "badArgument"),
            ("metadataPrefix=", "badArgument"),
            ("metadataPrefix=a%20b", "badArgument"),
            ("metadataPrefix=ivo_vor&set=a:b:", "badArgument"),
            ("metadataPrefix=ivo_vor&set=a:b", "noRecordsMatch"),
            ("metadataPrefix=a:b", "badArgument"),
            ("metadataPrefix=bibtex", "cannotDisseminateFormat"),
            ("metadataPrefix=ivo_vor&metadataPrefix=ivo_vor", "badArgument"),
            ("metadataPrefix=ivo_vor&test=test", "badArgument"),
            ("metadataPrefix=ivo_vor&resumptionToken=junktoken", "badArgument"),
            ("resumptionToken=junktoken", "badResumptionToken"),
            ("resumptionToken=", "badResumptionToken"),
            ("metadataPrefix=ivo_vor&from=2001", "badArgument"),
            ("metadataPrefix=ivo_vor&from=2001-02-30", "badArgument"),
            ("metadataPrefix=ivo_vor&from=2001-02-03T04:05Z", "badArgument"),
            ("metadataPrefix=ivo_vor&from=2001-02-03T04:05:06", "badArgument"),
            ("metadataPrefix=ivo_vor&from=%D9%A2%D9%A0%D9%A0%D9%A1-01-01", "badArgument"),
            ("metadataPrefix=ivo_vor&from=2001-01-01&until=2026-05-01T00:00:00Z", "badArgument"),
            ("metadataPrefix=ivo_vor&from=2026-05-02&until=2026-05-01", "badArgument"),
            ("metadataPrefix=ivo_vor&set=really_wrong_set&from=some_random_date&until=other", "badArgument"),
            ("metadataPrefix=ivo_vor&set=really_wrong_set", "noRecordsMatch"),
            ("metadataPrefix=ivo_vor&until=1969-01-01", "noRecordsMatch"),
            ("metadataPrefix=ivo_vor&until=0001-01-01", "noRecordsMatch"),
            ("metadataPrefix=ivo_vor&from=9999-12-31", "noRecordsMatch"),
            ("metadataPrefix=oai_dc&from=2030-01-01", "noRecordsMatch"),
        )
    ),
]


@pytest.mark.parametrize(("query", "expected"), MISTAKES)
def test_every_mistake_has_its_code(protocol: OaiService, schemas: SchemaSet, query: str, expected: str) -> None:
    document = protocol.answer(parse_qsl(query, keep_blank_values=True), URL)
    assert schemas.problems(document) == []
    answer = etree.fromstring(document)
    assert code(answer) == expected
    if expected in ("badVerb", "badArgument"):
        assert not answer.find(f"{OAI}request").attrib
    assert answer.findtext(f"{OAI}error")


def test_identify_describes_the_registry_as_its_record_does(protocol: OaiService) -> None:
    answer = ask(protocol, "verb=Identify")
    assert answer.findtext(f".//{OAI}baseURL") == URL
    assert answer.findtext(f".//{OAI}earliestDatestamp") == "2026-05-01T12:00:00Z"
    assert answer.findtext(f".//{OAI}deletedRecord") == "persistent"
    assert answer.findtext(f".//{OAI}adminEmail") == "a@b.example"
    (described,) = answer.iter("{http://www.ivoa.net/xml/RegistryInterface/v1.0}Resource")
    record = ask(protocol, "verb=GetRecord&metadataPrefix=ivo_vor&identifier=ivo://a.b/00002")
    (same,) = record.iter("{http://www.ivoa.net/xml/RegistryInterface/v1.0}Resource")
    assert etree.tostring(described, method="c14n").strip() == etree.tostring(same, method="c14n").strip()


def test_nothing_to_identify_is_told_as_a_fault(records: RecordStore) -> None:
    with pytest.raises(UnavailableError, match="not been published"):
        OaiService(records, page_size=4, token_s=600).answer([("verb", "Identify")], URL)


def test_sets_hold_every_record_once(protocol: OaiService) -> None:
    specs = [element.text for element in ask(protocol, "verb=ListSets").iter(f"{OAI}setSpec")]
    assert specs[0] == "ivo_managed"
    assert not [spec for spec in specs[1:] if spec.startswith("ivo_")]
    every = harvest(protocol, "verb=ListIdentifiers&metadataPrefix=ivo_vor")
    assert len(every) == len(harvest(protocol, "verb=ListIdentifiers&metadataPrefix=ivo_vor&set=ivo_managed")) == 11
    assert (
        sum(len(harvest(protocol, f"verb=ListIdentifiers&metadataPrefix=oai_dc&set={spec}")) for spec in specs[1:])
        == 11
    )
    for header in every:
        assert header.findtext(f"{OAI}setSpec") == "ivo_managed"


@pytest.mark.parametrize(
    ("bounds", "found"),
    [
        ("from=2026-05-01T12:01:40Z", ["00003", "00007", "00010"]),
        ("from=2026-05-01T12:01:41Z", None),
        ("from=2026-05-01T12:01:40Z&until=2026-05-01T12:01:40Z", ["00003", "00007", "00010"]),
        ("from=2026-05-01T12:00:01Z&until=2026-05-01T12:01:39Z", None),
        ("from=2026-05-01&until=2026-05-01", 11),
        ("from=2026-05-02", None),
        ("until=2026-04-30", None),
        ("until=2026-05-01T12:00:00Z", 8),
        ("until=2026-05-01T11:59:59Z", None),
        ("from=2001-01-01", 11),
    ],
)
def test_bounds_are_exact_in_both_granularities(oai: OaiService, bounds: str, found: list[str] | int | None) -> None:
    query = f"verb=ListIdentifiers&metadataPrefix=ivo_vor&{bounds}"
    if found is None:
        assert code(ask(oai, query)) == "noRecordsMatch"
        return
    got = [header.findtext(f"{OAI}identifier")[-5:] for header in harvest(oai, query)]
    assert len(set(got)) == len(got)
    assert got == found if isinstance(found, list) else len(got) == found


def test_a_tombstone_has_no_metadata(protocol: OaiService) -> None:
    record = ask(protocol, "verb=GetRecord&metadataPrefix=ivo_vor&identifier=ivo://a.b/00010").find(f".//{OAI}record")
    assert record.find(f"{OAI}header").get("status") == "deleted"
    assert [child.tag for child in record] == [f"{OAI}header"]


def test_lists_are_complete_and_say_how_long_they_are(oai: OaiService) -> None:
    first = ask(oai, "verb=ListRecords&metadataPrefix=ivo_vor")
    token = first.find(f".//{OAI}resumptionToken")
    assert (token.get("completeListSize"), token.get("cursor")) == ("11", "0")
    assert token.get("expirationDate") == "2026-05-01T12:13:20Z"
    second = ask(oai, f"verb=ListRecords&resumptionToken={token.text}")
    assert second.find(f".//{OAI}resumptionToken").get("cursor") == "4"
    third = ask(oai, f"verb=ListRecords&resumptionToken={second.findtext(f'.//{OAI}resumptionToken')}")
    last = third.find(f".//{OAI}resumptionToken")
    assert (last.text, last.get("cursor"), last.get("expirationDate")) == (None, "8", None)
    every = [*identifiers(first), *identifiers(second), *identifiers(third)]
    assert sorted(every) == [f"{number:05d}" for number in range(11)]
    again = ask(oai, f"verb=ListRecords&resumptionToken={token.text}")
    assert identifiers(again) == identifiers(second)  # a token may be used again


def test_a_list_of_one_page_has_no_token(protocol: OaiService) -> None:
    answer = ask(protocol, "verb=ListRecords&metadataPrefix=ivo_vor&set=services")
    assert answer.find(f".//{OAI}resumptionToken") is None


def test_tokens_expire_and_belong_to_their_verb(oai: OaiService, clock: Clock) -> None:
    token = ask(oai, "verb=ListRecords&metadataPrefix=ivo_vor").findtext(f".//{OAI}resumptionToken")
    assert code(ask(oai, f"verb=ListIdentifiers&resumptionToken={token}")) == "badResumptionToken"
    clock.move(599)
    assert code(ask(oai, f"verb=ListRecords&resumptionToken={token}")) is None
    clock.move(1)
    assert code(ask(oai, f"verb=ListRecords&resumptionToken={token}")) == "badResumptionToken"


def test_a_harvest_misses_nothing_while_records_change_and_disappear(
    oai: OaiService, records: RecordStore, clock: Clock
) -> None:
    state = dict.fromkeys(range(10), "t")
    steps = iter(range(1, 100))

    def change() -> None:
        step = next(steps)
        clock.move(1)
        if step < 6:  # what was given, what was not, and what is new
            state.pop(step, None)
            state[9 - step % 3] = f"changed {step}"
            state[100 + step] = "t"
            records.publish([rendered(number, title) for number, title in sorted(state.items())])

    headers = harvest(oai, "verb=ListIdentifiers&metadataPrefix=ivo_vor", change)
    assert next(steps) > 5
    known: dict[str, tuple[str, str | None]] = {}
    for header in headers:
        known[header.findtext(f"{OAI}identifier")] = (header.findtext(f"{OAI}datestamp"), header.get("status"))
    kept = harvest(oai, "verb=ListIdentifiers&metadataPrefix=ivo_vor")
    assert known == {h.findtext(f"{OAI}identifier"): (h.findtext(f"{OAI}datestamp"), h.get("status")) for h in kept}
    assert {name for name, (_, status) in known.items() if status is None} == {f"ivo://a.b/{n:05d}" for n in state}


def test_a_list_whose_rest_has_moved_out_of_its_bounds_begins_anew(oai: OaiService, records: RecordStore) -> None:
    page = ask(oai, "verb=ListIdentifiers&metadataPrefix=ivo_vor&until=2026-05-01T12:00:00Z")
    token = page.findtext(f".//{OAI}resumptionToken")
    records.publish([rendered(number, "newest") for number in range(10)])
    assert code(ask(oai, f"verb=ListIdentifiers&resumptionToken={token}")) == "badResumptionToken"
    again = ask(oai, "verb=ListIdentifiers&metadataPrefix=ivo_vor&until=2026-05-01T12:00:00Z")
    assert code(again) == "noRecordsMatch"


def test_what_changed_since_the_last_harvest_is_found_by_its_date(
    oai: OaiService, records: RecordStore, clock: Clock
) -> None:
    since = ask(oai, "verb=ListIdentifiers&metadataPrefix=ivo_vor").findtext(f"{OAI}responseDate")
    records.publish([rendered(number, "newest" if number == 5 else "t") for number in range(9)])
    found = harvest(oai, f"verb=ListIdentifiers&metadataPrefix=ivo_vor&from={since}")
    told = {header.findtext(f"{OAI}identifier")[-5:]: header.get("status") for header in found}
    assert told == {"00003": None, "00005": None, "00007": None, "00009": "deleted"}


class SlowWriter(Clock):
    """A second ends while records are written, and somebody harvests before they can be seen."""

    def __init__(self, steps: list[float]) -> None:
        super().__init__()
        self.steps = steps
        self.meanwhile: Callable[[], object] = lambda: None
        self._busy = False

    def __call__(self, connection: object = None) -> datetime:
        if self.steps and not self._busy:
            self.move(self.steps.pop(0))
            self._busy = True
            self.meanwhile()
            self._busy = False
        return self.now


@pytest.mark.parametrize(
    "steps", [[0, 0], [0.9, 0.7], [0.9, 0.7, 0.1, 1.4], [0.9, 0.05], [0.7, 2.5, 0.1, 9.0, 0.3, 9.9]]
)
def test_what_is_published_during_a_harvest_is_found_by_the_next(empty: Database, steps: list[float]) -> None:
    clock = SlowWriter([])
    records = RecordStore(empty, created_mark="<c>", updated_mark="<u>", clock=clock)
    oai = OaiService(records, page_size=4, token_s=600)
    records.publish([rendered(number) for number in range(9)])
    held: dict[str, tuple[str, str | None]] = {}
    since = [""]

    def catch_up() -> None:
        answer = ask(oai, f"verb=ListIdentifiers&metadataPrefix=ivo_vor{since[0]}")
        if code(answer) is None:
            for header in harvest(oai, f"verb=ListIdentifiers&metadataPrefix=ivo_vor{since[0]}"):
                name = header.findtext(f"{OAI}identifier")
                held[name] = (header.findtext(f"{OAI}datestamp"), header.get("status"))
        since[0] = f"&from={answer.findtext(f'{OAI}responseDate')}"

    clock.move(60)
    catch_up()
    clock.steps, clock.meanwhile = steps.copy(), catch_up
    records.publish([rendered(number, "new" if number == 3 else "t") for number in range(8)])
    assert not clock.steps
    clock.move(5)
    catch_up()
    stored = records.page(Selection(), after=None, limit=100)
    assert held == {r.identifier: (write_time(r.datestamp), "deleted" if r.deleted else None) for r in stored}
    assert held["ivo://a.b/00008"][1] == "deleted"
    assert held["ivo://a.b/00003"][0] > write_time(START)


def test_records_that_cannot_be_written_in_time_stay_as_they_are(empty: Database) -> None:
    clock = SlowWriter([])
    records = RecordStore(empty, created_mark="<c>", updated_mark="<u>", clock=clock)
    records.publish([rendered(1)])
    clock.steps = [500.0] * 20
    assert records.publish([rendered(1)]).unchanged == 1  # nothing to be written, nothing to be late with
    with pytest.raises(UnavailableError, match="take too long to be written"):
        records.publish([])
    assert not records.read("ivo://a.b/00001").deleted


def test_thousands_of_records_come_in_pages_of_bounded_size(records: RecordStore) -> None:
    records.publish(rendered(number) for number in range(5000))
    oai = OaiService(records, page_size=100, token_s=600)
    tracemalloc.start()
    try:
        token = ask(oai, "verb=ListRecords&metadataPrefix=ivo_vor").findtext(f".//{OAI}resumptionToken")
        _, of_a_page = tracemalloc.get_traced_memory()
        headers = sum(1 for _ in pages(oai, "verb=ListRecords&metadataPrefix=ivo_vor"))
        _, of_all = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert headers == 5000
    assert of_all < 1.5 * of_a_page + 1_000_000
    another = OaiService(records, page_size=100, token_s=600)  # as after a restart
    assert identifiers(ask(another, f"verb=ListRecords&resumptionToken={token}"))[0] == "00100"


# --- tokens and datestamps -----------------------------------------------------------------------------------

GOOD = Resumption("ListRecords", "ivo_vor", None, "2026-05-01", None, 1_777_636_800, "ivo://a.b/c", 4, 2_000_000_000)


@pytest.mark.parametrize(
    "values",
    [
        [],
        {},
        None,
        "ListRecords",
        ["ListRecords"],
        [*["x"] * 9],
        ["Identify", "ivo_vor", None, None, None, 0, "ivo://a.b/c", 0, 2_000_000_000],
        ["ListRecords", "ivo_vor", None, None, None, 0, "ivo://a.b/\ud800", 0, 2_000_000_000],
        ["ListRecords", "ivo_vor", None, None, None, 0, "ivo://a.b/\x00", 0, 2_000_000_000],
        ["ListRecords", "ivo_vor", None, None, None, 10**30, "ivo://a.b/c", 0, 2_000_000_000],
        ["ListRecords", "ivo_vor", None, None, None, True, "ivo://a.b/c", 0, 2_000_000_000],
        ["ListRecords", "ivo_vor", None, None, None, 0, "ivo://a.b/c", -1, 2_000_000_000],
        ["ListRecords", "bibtex", None, None, None, 0, "ivo://a.b/c", 0, 2_000_000_000],
        ["ListRecords", "ivo_vor", "no_set", None, None, 0, "ivo://a.b/c", 0, 2_000_000_000],
        ["ListRecords", "ivo_vor", None, "never", None, 0, "ivo://a.b/c", 0, 2_000_000_000],
    ],
)
def test_made_up_tokens_are_refused(protocol: OaiService, values: object) -> None:
    token = base64.urlsafe_b64encode(json.dumps(values).encode()).decode()
    assert code(ask(protocol, f"verb=ListRecords&resumptionToken={token}")) == "badResumptionToken"


@given(
    st.one_of(st.text(max_size=200), st.binary(max_size=200).map(lambda raw: base64.urlsafe_b64encode(raw).decode()))
)
def test_junk_is_never_more_than_a_bad_token(token: str) -> None:
    with pytest.raises(HarvestError) as refusal:
        parse_token(token, verb="ListRecords", now=START)
    assert refusal.value.code == "badResumptionToken"


def test_deep_junk_is_refused() -> None:
    deep = base64.urlsafe_b64encode(b"[" * 1400).decode()
    with pytest.raises(HarvestError, match="none that this registry gave"):
        parse_token(deep, verb="ListRecords", now=START)


def test_a_token_says_what_was_written() -> None:
    assert parse_token(write_token(GOOD), verb="ListRecords", now=START) == GOOD
    assert write_token(GOOD).replace("-", "").replace("_", "").isalnum()


@given(st.datetimes(min_value=datetime(1, 1, 1), max_value=datetime(9999, 12, 31, 23, 59, 59)))
def test_datestamps_are_read_as_they_are_written(moment: datetime) -> None:
    second = moment.replace(microsecond=0, tzinfo=UTC)
    text = f"{second.year:04d}{second.strftime('-%m-%dT%H:%M:%SZ')}"
    assert parse_datestamp(text, is_end=False) == parse_datestamp(text, is_end=True) == second
    start, end = (parse_datestamp(text[:10], is_end=is_end) for is_end in (False, True))
    assert start <= second <= end
    assert end - start == timedelta(seconds=86_399)
