"""Datestamps move with content and with nothing else; what has disappeared leaves a tombstone for ever."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from catalog.db import Database
from catalog.errors import NotFoundError
from catalog.registry.store import Cursor, PublishSummary, RecordStore, Rendered, Selection, StoredRecord

START = datetime(2026, 5, 1, 12, 0, 0, tzinfo=UTC)


@pytest.fixture
def tick() -> Callable[[float], datetime]:
    """Moves the clock on by seconds and says what it shows."""
    now = [START]

    def move(seconds: float) -> datetime:
        now[0] += timedelta(seconds=seconds)
        return now[0]

    return move


@pytest.fixture
def records(empty: Database, tick: Callable[[float], datetime]) -> RecordStore:
    return RecordStore(empty, created_mark="<c>", updated_mark="<u>", clock=lambda _: tick(0))


def rendered(name: str, text: str = "text", kind: str = "table") -> Rendered:
    ivoid = f"ivo://a.b/{name}"
    return Rendered(ivoid, kind, f'<r c="<c>" u="<u>" i="{ivoid}">{text}</r>', f"<d>{text} <u></d>")


def everything(records: RecordStore) -> list[StoredRecord]:
    return records.page(Selection(), after=None, limit=1000)


def test_a_record_carries_its_dates(records: RecordStore) -> None:
    assert records.publish([rendered("x")]) == PublishSummary(created=1)
    stored = records.read("ivo://a.b/x")
    assert stored.ivo_vor == '<r c="2026-05-01T12:00:00Z" u="2026-05-01T12:00:00Z" i="ivo://a.b/x">text</r>'
    assert stored.oai_dc == "<d>text 2026-05-01T12:00:00Z</d>"
    assert (stored.created, stored.datestamp, stored.deleted) == (START, START, False)


@pytest.mark.parametrize(
    "again",
    [
        rendered("x"),
        Rendered("ivo://a.b/x", "table", '<r  u="<u>"   i="ivo://a.b/x" c="<c>" >text</r>', "<d>text <u></d>"),
        Rendered("ivo://a.b/x", "table", '<r c="<c>" u="<u>" i="ivo://a.b/x">&#116;ext\n  </r>', "<d>\n  text <u></d>"),
    ],
    ids=["same", "attributes", "white space"],
)
def test_the_same_content_moves_nothing(
    records: RecordStore, tick: Callable[[float], datetime], again: Rendered
) -> None:
    records.publish([rendered("x")])
    before = records.read("ivo://a.b/x")
    tick(60)
    assert records.publish([again]) == PublishSummary(unchanged=1)
    after = records.read("ivo://a.b/x")
    assert replace(after, ivo_vor=before.ivo_vor, oai_dc=before.oai_dc) == before
    assert after.ivo_vor == again.ivo_vor.replace("<c>", "2026-05-01T12:00:00Z").replace("<u>", "2026-05-01T12:00:00Z")


def test_a_restart_moves_nothing(records: RecordStore, empty: Database, tick: Callable[[float], datetime]) -> None:
    records.publish([rendered("x")])
    before = records.read("ivo://a.b/x")
    tick(60)
    another = RecordStore(empty, created_mark="<c>", updated_mark="<u>")
    another.publish([rendered("x")])
    assert another.read("ivo://a.b/x") == before


@pytest.mark.parametrize(
    "changed",
    [
        rendered("x", "other"),
        rendered("x", kind="service"),
        Rendered("ivo://a.b/x", "table", rendered("x").ivo_vor, "<d>other</d>"),
    ],
    ids=["content", "kind", "Dublin Core"],
)
def test_another_content_moves_the_datestamp_alone(
    records: RecordStore, tick: Callable[[float], datetime], changed: Rendered
) -> None:
    records.publish([rendered("x"), rendered("y")])
    now = tick(60)
    assert records.publish([changed, rendered("y")]) == PublishSummary(changed=1, unchanged=1)
    assert (records.read("ivo://a.b/x").created, records.read("ivo://a.b/x").datestamp) == (START, now)
    assert records.read("ivo://a.b/y").datestamp == START


def test_changes_of_one_second_have_datestamps_one_after_the_other(
    records: RecordStore, tick: Callable[[float], datetime]
) -> None:
    for text in ("one", "two", "three"):
        records.publish([rendered("x", text), rendered("y")])
    assert records.read("ivo://a.b/x").datestamp == START + timedelta(seconds=2)
    assert records.read("ivo://a.b/y").datestamp == START
    tick(10)
    records.publish([rendered("y")])
    assert records.read("ivo://a.b/x").datestamp == START + timedelta(seconds=10)


def test_an_identifier_is_the_same_in_any_case(records: RecordStore, tick: Callable[[float], datetime]) -> None:
    records.publish([rendered("Tap"), rendered("y")])
    assert records.read("IVO://A.B/tAP").identifier == "ivo://a.b/Tap"
    now = tick(10)
    assert records.publish([rendered("TAP"), rendered("y")]) == PublishSummary(changed=1, unchanged=1)
    assert [record.identifier for record in records.all()] == ["ivo://a.b/y", "ivo://a.b/TAP"]
    stored = records.read("ivo://a.b/tap")
    assert (stored.created, stored.datestamp, stored.deleted) == (START, now, False)


def test_a_clock_that_was_years_ahead_binds_nobody(records: RecordStore, tick: Callable[[float], datetime]) -> None:
    tick(1e8)
    records.publish([rendered("x")])
    now = tick(-1e8)
    records.publish([rendered("x", "other")])
    assert records.read("ivo://a.b/x").datestamp == now


def test_what_disappears_leaves_a_tombstone_once(records: RecordStore, tick: Callable[[float], datetime]) -> None:
    records.publish([rendered("x"), rendered("y")])
    gone = tick(60)
    assert records.publish([rendered("y")]) == PublishSummary(unchanged=1, deleted=1)
    tick(60)
    assert records.publish([rendered("y")]) == PublishSummary(unchanged=1)
    tomb = records.read("ivo://a.b/x")
    assert (tomb.deleted, tomb.datestamp, tomb.created, tomb.ivo_vor, tomb.oai_dc) == (True, gone, START, "", "")


def test_what_comes_back_was_created_when_it_first_was(records: RecordStore, tick: Callable[[float], datetime]) -> None:
    records.publish([rendered("x")])
    tick(60)
    records.publish([])
    back = tick(60)
    assert records.publish([rendered("x")]) == PublishSummary(changed=1)
    stored = records.read("ivo://a.b/x")
    assert (stored.created, stored.datestamp, stored.deleted) == (START, back, False)
    assert 'c="2026-05-01T12:00:00Z" u="2026-05-01T12:02:00Z"' in stored.ivo_vor


def test_pages_hold_everything_once_in_order(records: RecordStore, tick: Callable[[float], datetime]) -> None:
    names = [f"{number:03d}" for number in range(50)]
    records.publish([rendered(name) for name in names])
    tick(1)
    records.publish([rendered(name, "new" if int(name) % 3 == 0 else "text") for name in names])
    found: list[StoredRecord] = []
    after = None
    while page := records.page(Selection(), after=after, limit=7):
        assert len(page) <= 7
        found += page
        after = Cursor(page[-1].datestamp, page[-1].identifier)
    assert sorted(record.identifier for record in found) == [f"ivo://a.b/{name}" for name in names]
    assert [record.datestamp for record in found] == sorted(record.datestamp for record in found)


def test_both_ends_of_a_selection_are_included(records: RecordStore, tick: Callable[[float], datetime]) -> None:
    for number in range(4):
        records.publish([rendered(str(known)) for known in range(number + 1)])
        tick(1)

    def chosen(since: int | None, until: int | None) -> list[str]:
        moments = [None if second is None else START + timedelta(seconds=second) for second in (since, until)]
        selection = Selection(since=moments[0], until=moments[1])
        found = records.page(selection, after=None, limit=10)
        assert records.count(selection) == len(found)
        return [record.identifier[-1] for record in found]

    assert chosen(None, None) == ["0", "1", "2", "3"]
    assert chosen(1, 2) == ["1", "2"]
    assert chosen(2, 2) == ["2"]
    assert chosen(4, None) == chosen(None, -1) == []


def test_several_publish_at_once(empty: Database) -> None:
    """As a service and an operator may: each publication is whole, and none fails."""
    sets = [[rendered(f"{name}", f"{name} {turn}") for name in range(30)][turn % 3 :] for turn in range(12)]

    def publish(wanted: list[Rendered]) -> PublishSummary:
        return RecordStore(empty, created_mark="<c>", updated_mark="<u>").publish(wanted)

    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(publish, sets))
    assert sum(summary.created for summary in done) == 30
    found = everything(RecordStore(empty, created_mark="<c>", updated_mark="<u>"))
    alive = [record.ivo_vor.partition(">")[2].removesuffix("</r>").split() for record in found if not record.deleted]
    (turn,) = {int(turn) for _, turn in alive}
    assert len(alive) == len(sets[turn])
    assert len(found) == 30


def test_kinds_are_selected(records: RecordStore) -> None:
    records.publish([rendered("x", kind="service"), rendered("y"), rendered("z", kind="registry")])
    found = records.page(Selection(kinds=("service", "registry")), after=None, limit=10)
    assert [record.kind for record in found] == ["service", "registry"]
    registry = records.registry()
    assert registry is not None
    assert registry.identifier == "ivo://a.b/z"


def test_an_empty_registry_has_nothing(records: RecordStore) -> None:
    assert everything(records) == []
    assert records.earliest() is None
    assert records.registry() is None
    with pytest.raises(NotFoundError, match=r"there is no record ivo://a\.b/x"):
        records.read("ivo://a.b/x")


def test_the_earliest_datestamp_stays_when_records_change(
    records: RecordStore, tick: Callable[[float], datetime]
) -> None:
    records.publish([rendered("x")])
    tick(60)
    records.publish([rendered("x", "other")])
    assert records.earliest() == START
