"""Which state follows from copies and transfers: case by case, and at random against a model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from catalog.db import Database
from catalog.opsdb.enums import LocationType, PackageState, PhysicalCopyStatus, Status, Verification
from catalog.opsdb.lifecycle.package_state import RULES, Ground, select_states
from catalog.opsdb.models import (
    DataLocation,
    DataTransfer,
    DataTransferPackage,
    DataTransferRoute,
    DiskDataLocation,
    ExecutedObsUnit,
    InstrumentModule,
    LifecycleMove,
    LongTermArchiveTransfer,
    PhysicalCopy,
    RawDataPackage,
    Site,
    data_transfer_package_member,
)
from catalog.opsdb.triggers import Triggers

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "operations-database.md"
ARCHIVES = ("cologne", "cornell")
PLACES = ("chile", *ARCHIVES, "desk")
"""A buffer, two archives, and a buffer to which packages are sent."""

RECALLED = datetime(2026, 5, 2, tzinfo=UTC)
OLD, NEW = (RECALLED + timedelta(days=days) for days in (-1, 1))
DAMAGED = ("mismatch", "missing")
OPEN = ("pending", "scheduled", "in_progress")


@dataclass(frozen=True, slots=True)
class Copy:
    """A copy at a place."""

    place: str
    status: str = "present"
    verification: str = "ok"
    is_old: bool = True

    @property
    def is_gone(self) -> bool:
        return self.status == "deleted" or self.verification in DAMAGED


@dataclass(frozen=True, slots=True)
class Way:
    """A transfer to a place, or an archiving there."""

    place: str
    status: str
    unpack_status: str = "completed"
    is_old: bool = True
    goes_on: bool = False
    """Whether the bundle has gone on from there, to the desk."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is recorded of a package."""

    state: str = "waiting"
    copies: tuple[Copy, ...] = ()
    transfers: tuple[Way, ...] = ()
    archivings: tuple[Way, ...] = ()
    inactive: frozenset[str] = field(default_factory=frozenset)
    recall: str | None = None


def judge(facts: Facts) -> tuple[Ground, str]:
    """The rules in plain Python, written without a look at the SELECT."""
    ground = find_ground(facts)
    follows = {
        **dict.fromkeys(("stored",), "archived"),
        **dict.fromkeys(("under_way", "arrived"), "transferring"),
        **dict.fromkeys(("lost", "not_archived", "not_sent", "nothing_left"), "failed"),
        "held": "waiting",
    }
    return ground, follows.get(ground, facts.state)


def find_ground(facts: Facts) -> Ground:
    legs = [*facts.transfers, *(Way("desk", "completed") for w in facts.transfers if w.goes_on)]
    running = [w.place for w in facts.archivings if w.status in OPEN]
    running += [w.place for w in legs if w.status in OPEN]
    running += [w.place for w in legs if w.status == "completed" and w.unpack_status in OPEN]
    in_archives = [copy for copy in facts.copies if copy.place in ARCHIVES]
    is_there = [
        copy.status == "present"
        and copy.verification in ("ok", "never")
        and copy.place not in facts.inactive
        and copy.place not in running
        for copy in in_archives
    ]
    ended = [w.place for w in facts.archivings if w.status == "completed"]
    ended += [w.place for w in legs if w.status == w.unpack_status == "completed" and not w.goes_on]
    recorded = {copy.place for copy in facts.copies}
    remaining = {copy.place for copy in facts.copies if not copy.is_gone}
    if any(is_there):
        return Ground.STORED
    may_be = any(not copy.is_gone for copy in in_archives) or not recorded.issuperset(ended)
    if may_be and facts.state == "archived":
        return Ground.STILL_ARCHIVED
    if running:
        return Ground.UNDER_WAY
    if may_be:
        return Ground.IN_DOUBT

    def counts(fact: Copy | Way) -> bool:
        return facts.recall is None or not fact.is_old

    if any(copy.is_gone and counts(copy) for copy in in_archives):
        return Ground.LOST
    if any(w.status == "failed" and counts(w) for w in facts.archivings):
        return Ground.NOT_ARCHIVED
    if remaining.intersection(ended):
        return Ground.ARRIVED
    for w in legs:
        if counts(w) and (w.status == "failed" or (w.status == "completed" and w.unpack_status == "failed")):
            return Ground.NOT_SENT
    if not facts.copies:
        return Ground.UNKNOWN
    return Ground.HELD if remaining else Ground.NOTHING_LEFT


@pytest.fixture
def places(observed: Database) -> dict[str, int]:
    """Locations for these tests, by name, and a route."""
    with observed.session() as session:
        site = session.scalars(sa.select(Site).where(Site.key == "cologne")).one()
        other = Site(key="cornell", name="Cornell")
        made = {
            name: DiskDataLocation(
                site=other if name == "cornell" else site,
                name=f"of {name}",
                location_type=LocationType.LONG_TERM_ARCHIVE if name in ARCHIVES else LocationType.BUFFER,
                path="/x",
            )
            for name in PLACES
        }
        session.add_all(made.values())
        session.flush()
        session.add(
            DataTransferRoute(id=1, name="r", method="bbcp", origin_site_id=site.id, destination_site_id=other.id)
        )
        session.commit()
        return {name: place.id for name, place in made.items()}


class Recorder:
    """Writes facts, and asks for the states."""

    def __init__(self, connection: sa.Connection, places: dict[str, int]) -> None:
        self.connection = connection
        self.places = places
        self.unit = connection.execute(sa.select(ExecutedObsUnit.id)).scalar_one()
        self.module = connection.execute(sa.select(InstrumentModule.id)).scalar_one()

    def record(self, number: int, facts: Facts) -> None:
        package = UUID(int=1000 + number)
        insert = self.insert
        insert(
            RawDataPackage,
            id=package,
            executed_obs_unit_id=self.unit,
            instrument_module_id=self.module,
            sequence=1000 + number,
            name="p",
            relative_path="p",
            state=facts.state,
        )
        for copy in facts.copies:
            insert(
                PhysicalCopy,
                type="raw_data_package_physical_copy",
                raw_data_package_id=package,
                data_location_id=self.places[copy.place],
                status=copy.status,
                verification=copy.verification,
                updated_at=OLD if copy.is_old else NEW,
            )
        for index, way in enumerate(facts.transfers):
            bundle = UUID(int=10_000 + 100 * number + index)
            insert(DataTransferPackage, id=bundle, name=str(bundle), relative_path="b")
            insert(data_transfer_package_member, data_transfer_package_id=bundle, raw_data_package_id=package)
            self.leg(bundle, way, **self.ends(way))
            if way.goes_on:
                last = Way("desk", "completed")
                self.leg(bundle, last, **self.ends(last) | {"origin_location_id": self.places[way.place]})
        for way in facts.archivings:
            insert(LongTermArchiveTransfer, raw_data_package_id=package, **self.ends(way))
        if facts.recall is not None:
            key, states = str(package), {"from_state": "failed", "to_state": "x", "moved_at": RECALLED}
            insert(
                LifecycleMove, entity="raw_data_package", attribute="state", entity_key=key, verb=facts.recall, **states
            )

    def leg(self, bundle: UUID, way: Way, **ends: Any) -> None:
        ends |= {"data_transfer_package_id": bundle, "data_transfer_route_id": 1, "unpack_status": way.unpack_status}
        self.insert(DataTransfer, **ends)

    def insert(self, target: Any, **values: Any) -> None:
        self.connection.execute(sa.insert(target).values(values))

    def ends(self, way: Way) -> dict[str, Any]:
        return {
            "origin_location_id": self.places["chile"],
            "destination_location_id": self.places[way.place],
            "status": way.status,
            "updated_at": OLD if way.is_old else NEW,
        }

    def states(self) -> list[tuple[Ground, str]]:
        """Of the packages that were recorded, in their order."""
        query = select_states(lambda column: column.in_([UUID(int=number) for number in range(1000, 2000)]))
        rows = self.connection.execute(query.order_by("package_id"))
        return [(Ground(row.ground), row.wanted) for row in rows]


@pytest.fixture
def recorder(observed: Database, places: dict[str, int]) -> Iterator[Recorder]:
    """In a transaction that is undone, and in which everything may be written."""
    with observed.engine.connect() as connection:
        Triggers().drop(connection)
        yield Recorder(connection, places)


BUFFER = Copy("chile")
CASES = [
    ("a package is recorded, and nothing of it", Facts(), "unknown"),
    ("it lies where it was taken", Facts("failed", (BUFFER,)), "held"),
    ("and was called archived", Facts("archived", (BUFFER,)), "held"),
    ("it is bundled", Facts("waiting", (BUFFER,), (Way("desk", "pending", "pending"),)), "under_way"),
    ("it is not unpacked", Facts("waiting", (BUFFER,), (Way("desk", "completed", "pending"),)), "under_way"),
    ("it is unpacked", Facts("waiting", (BUFFER, Copy("desk")), (Way("desk", "completed"),)), "arrived"),
    (
        "it went by way of another site",
        Facts("failed", (BUFFER, Copy("desk")), (Way("cornell", "completed", goes_on=True),)),
        "arrived",
    ),
    ("no copy is recorded there", Facts("transferring", (BUFFER,), (Way("desk", "completed"),)), "in_doubt"),
    ("that copy is lost", Facts("waiting", (BUFFER, Copy("desk", "deleted")), (Way("desk", "completed"),)), "held"),
    (
        "one of two ways has failed",
        Facts("waiting", (BUFFER,), (Way("desk", "failed"), Way("cornell", "pending"))),
        "under_way",
    ),
    (
        "each has failed",
        Facts("waiting", (BUFFER,), (Way("desk", "failed"), Way("cornell", "completed", "failed"))),
        "not_sent",
    ),
    ("it was taken up again", Facts("waiting", (BUFFER,), (Way("desk", "failed"),), recall="recall"), "held"),
    (
        "and has failed again",
        Facts("waiting", (BUFFER,), (Way("desk", "failed", is_old=False),), recall="recall"),
        "not_sent",
    ),
    ("it goes into the archive", Facts("waiting", (BUFFER,), (), (Way("cologne", "in_progress"),)), "under_way"),
    ("it is there, nobody has looked", Facts("failed", (Copy("cologne", "present", "never"),)), "stored"),
    ("it is written again", Facts("archived", (Copy("cologne"),), (), (Way("cologne", "pending"),)), "still_archived"),
    ("it travels once more", Facts("archived", (Copy("cologne"),), (Way("cornell", "pending"),)), "stored"),
    ("it cannot be reached", Facts("archived", (Copy("cologne", "present", "unreachable"),)), "still_archived"),
    ("nor was it known before", Facts("waiting", (Copy("cologne", "present", "unreachable"),)), "in_doubt"),
    ("its deletion has failed", Facts("archived", (Copy("cologne", "deletion_failed", "never"),)), "still_archived"),
    (
        "the archive is not in use",
        Facts("archived", (Copy("cologne"),), inactive=frozenset(["cologne"])),
        "still_archived",
    ),
    ("the archive has lost it", Facts("archived", (BUFFER, Copy("cologne", "present", "missing"))), "lost"),
    ("one of two has", Facts("archived", (Copy("cornell"), Copy("cologne", "present", "mismatch"))), "stored"),
    (
        "it is sent once more",
        Facts("archived", (BUFFER, Copy("cologne", "deleted")), (Way("cornell", "pending"),)),
        "under_way",
    ),
    (
        "archiving has failed",
        Facts("transferring", (BUFFER, Copy("desk")), (Way("desk", "completed"),), (Way("cologne", "failed"),)),
        "not_archived",
    ),
    ("archived without a copy", Facts("waiting", (BUFFER,), (), (Way("cologne", "completed"),)), "in_doubt"),
    (
        "every copy is gone",
        Facts("waiting", (Copy("chile", "deleted"), Copy("desk", "present", "missing"))),
        "nothing_left",
    ),
]


@pytest.mark.parametrize(("facts", "ground"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_the_state_follows_from_copies_and_transfers(
    observed: Database, recorder: Recorder, facts: Facts, ground: str
) -> None:
    deactivate(recorder, facts.inactive)
    recorder.record(0, facts)
    assert recorder.states() == [judge(facts)]
    assert judge(facts)[0] == ground


def deactivate(recorder: Recorder, names: frozenset[str]) -> None:
    keys = [recorder.places[name] for name in names]
    recorder.connection.execute(sa.update(DataLocation).where(DataLocation.id.in_(keys)).values(active=False))


WORDS = st.sampled_from
COPIES = st.builds(
    Copy,
    WORDS(PLACES),
    WORDS([str(s) for s in PhysicalCopyStatus] + ["present", "deleted"] * 3),
    WORDS([str(v) for v in Verification] + ["ok"] * 2),
    st.booleans(),
)
WAYS = st.builds(
    Way,
    WORDS(PLACES),
    *[WORDS([*map(str, Status), "completed", "failed"])] * 2,
    st.booleans(),
    WORDS([False, False, True]),
)
FACTS = st.builds(
    Facts,
    WORDS([str(state) for state in PackageState]),
    st.lists(COPIES, max_size=4).map(tuple),
    st.lists(WAYS, max_size=2).map(tuple),
    st.lists(WAYS, max_size=2).map(lambda ways: tuple(replace(way, goes_on=False) for way in ways)),
    st.just(frozenset()),
    st.none() | WORDS(["recall", "resend", "send"]),
)


def settled(facts: Facts) -> Facts:
    """At most one copy at a place is not deleted; nothing goes on from the desk to the desk."""
    copies, taken = [], set()
    for copy in facts.copies:
        if copy.place not in taken or copy.status == "deleted":
            copies.append(copy)
        if copy.status != "deleted":
            taken.add(copy.place)
    ways = tuple(replace(way, goes_on=way.goes_on and way.place != "desk") for way in facts.transfers)
    return replace(facts, copies=tuple(copies), transfers=ways)


@pytest.mark.parametrize("inactive", [frozenset(), frozenset(["cologne"])], ids=["in use", "one archive is not"])
def test_invariant_many_random_histories_are_judged_as_the_model_judges(
    observed: Database, recorder: Recorder, inactive: frozenset[str]
) -> None:
    deactivate(recorder, inactive)

    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(FACTS.map(settled), min_size=1, max_size=12))
    def judged(many: list[Facts]) -> None:
        many = [replace(facts, inactive=inactive) for facts in many]
        with recorder.connection.begin_nested() as point:
            for number, facts in enumerate(many):
                recorder.record(number, facts)
            found = recorder.states()
            point.rollback()
        wanted = [judge(replace(f, recall=None) if f.recall == "send" else f) for f in many]
        for (ground, state), facts in zip(wanted, many, strict=True):
            event(f"{ground}: {'stays' if state == facts.state else state}")
        assert found == wanted

    judged()


def test_the_reference_page_has_every_rule() -> None:
    rows = [line.split("|")[1:4] for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    told = [[cell.strip() for cell in row] for row in rows]
    wanted = [[f"`{r.ground}`", r.sentence, f"`{r.state}`" if r.state else "as it is"] for r in RULES]
    start = told.index(wanted[0])
    assert told[start : start + len(wanted)] == wanted
