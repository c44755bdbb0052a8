"""In which order copies are turned to, and why one cannot be fetched."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog import open_catalog
from catalog.opsdb.enums import ChecksumAlgorithm, LocationType, PhysicalCopyStatus, StorageType, Verification
from catalog.opsdb.readable import Latency, Obstacle, PackageCopy, ReadingRules, StoredCopy, Way, rank_copies

NOW = datetime(2027, 4, 2, tzinfo=UTC)
PACKAGE = UUID(int=7)
GOOD = StoredCopy(
    package_id=PACKAGE,
    copy_id=1,
    site="cologne",
    site_name="Cologne",
    location="archive",
    location_type=LocationType.LONG_TERM_ARCHIVE,
    storage_type=StorageType.DISK,
    is_active=True,
    priority=5,
    status=PhysicalCopyStatus.PRESENT,
    verification=Verification.OK,
    verified_at=NOW - timedelta(days=10),
    checksum=None,
    checksum_algorithm=None,
    contradicts=False,
)
RULES = ReadingRules(
    ways={f"{site}/{name}": Way.STREAM for site in ("cologne", "ccat", "cornell") for name in ("archive", "other")},
    regions={"cologne": "europe", "ccat": "chile"},
    near=("europe", "chile"),
    verified_within=timedelta(days=30),
)


def ranked(*copies: StoredCopy, rules: ReadingRules = RULES) -> list[int]:
    return [copy.stored.copy_id for copy in rank_copies(copies, rules, NOW)]


@pytest.mark.parametrize(
    "worse",
    [
        {"storage_type": StorageType.TAPE},
        {"location": "unserved"},
        {"is_active": False},
        {"status": PhysicalCopyStatus.DELETION_POSSIBLE},
        {"status": PhysicalCopyStatus.STAGED},
        {"status": PhysicalCopyStatus.DELETION_IN_PROGRESS},
        {"verification": Verification.NEVER, "verified_at": None},
        {"verification": Verification.UNREACHABLE},
        {"verification": Verification.MISMATCH},
        {"verification": Verification.MISSING},
        {"contradicts": True},
        {"verified_at": NOW - timedelta(days=31)},
        {"verified_at": NOW + timedelta(days=1)},
        {"location_type": LocationType.BUFFER},
        {"location_type": LocationType.SOURCE},
        {"site": "ccat"},
        {"site": "cornell"},
        {"priority": 6},
    ],
    ids=str,
)
def test_what_is_worse_in_one_thing_comes_later(worse: dict[str, Any]) -> None:
    other = replace(GOOD, copy_id=2, **worse)
    assert ranked(other, GOOD) == ranked(GOOD, other) == [1, 2]


def test_the_reasons_count_in_their_order() -> None:
    """Each copy is better than the one before in the thing that counts less, and worse in the one that counts more."""
    copies = [
        replace(GOOD, copy_id=1, site="cornell", priority=99, location_type=LocationType.BUFFER),
        replace(GOOD, copy_id=2, verification=Verification.NEVER, location_type=LocationType.BUFFER, site="ccat"),
        replace(GOOD, copy_id=3, status=PhysicalCopyStatus.DELETION_PENDING),
        replace(GOOD, copy_id=4, storage_type=StorageType.TAPE),
        replace(GOOD, copy_id=5, location="unserved"),
        replace(GOOD, copy_id=6, status=PhysicalCopyStatus.STAGED),
        replace(GOOD, copy_id=7, verification=Verification.MISSING),
    ]
    assert ranked(*reversed(copies)) == [1, 2, 3, 4, 5, 6, 7]
    assert ranked(replace(GOOD, copy_id=1, site="ccat", priority=0), replace(GOOD, copy_id=2, priority=99)) == [2, 1]


@pytest.mark.parametrize(
    ("values", "obstacle", "latency"),
    [
        ({}, None, Latency.ONLINE),
        ({"storage_type": StorageType.S3}, None, Latency.ONLINE),
        ({"verification": Verification.UNREACHABLE}, None, Latency.ONLINE),
        ({"status": PhysicalCopyStatus.DELETION_PENDING}, None, Latency.ONLINE),
        ({"storage_type": StorageType.TAPE}, Obstacle.ON_TAPE, Latency.NEARLINE),
        ({"storage_type": StorageType.TAPE, "location": "unserved"}, Obstacle.ON_TAPE, Latency.NEARLINE),
        ({"storage_type": StorageType.TAPE, "is_active": False}, Obstacle.INACTIVE, Latency.OFFLINE),
        ({"location": "unserved"}, Obstacle.NOT_SERVED, Latency.ONLINE),
        ({"is_active": False}, Obstacle.INACTIVE, Latency.OFFLINE),
        ({"status": PhysicalCopyStatus.STAGED}, Obstacle.UNPACKED, Latency.ONLINE),
        ({"status": PhysicalCopyStatus.DELETION_SCHEDULED}, Obstacle.GOING, Latency.ONLINE),
        ({"status": PhysicalCopyStatus.DELETION_FAILED}, Obstacle.GOING, Latency.ONLINE),
        ({"contradicts": True}, Obstacle.DAMAGED, Latency.ONLINE),
        ({"verification": Verification.MISMATCH}, Obstacle.DAMAGED, Latency.ONLINE),
        ({"verification": Verification.MISSING, "is_active": False}, Obstacle.MISSING, Latency.ONLINE),
    ],
    ids=str,
)
def test_a_copy_says_why_it_cannot_be_fetched(
    values: dict[str, Any], obstacle: Obstacle | None, latency: Latency
) -> None:
    (copy,) = rank_copies([replace(GOOD, **values)], RULES, NOW)
    assert (copy.obstacle, copy.latency) == (obstacle, latency)
    assert (copy.way is None) == (obstacle is not None)
    assert obstacle is None or obstacle.sentence


@pytest.mark.parametrize("avoided", ["cologne", "cologne/archive"])
def test_what_is_to_be_avoided_is_not_fetched(avoided: str) -> None:
    rules = replace(RULES, avoid=frozenset({avoided}))
    other = replace(GOOD, copy_id=2, site="ccat")
    first, last = rank_copies([GOOD, other], rules, NOW)
    assert (first.stored.copy_id, last.obstacle, last.latency) == (2, Obstacle.AVOIDED, Latency.OFFLINE)


copies = st.builds(
    StoredCopy,
    package_id=st.just(PACKAGE),
    copy_id=st.just(0),
    site=st.sampled_from(["cologne", "ccat", "cornell"]),
    site_name=st.just("X"),
    location=st.sampled_from(["archive", "other", "unserved"]),
    location_type=st.sampled_from(LocationType),
    storage_type=st.sampled_from(StorageType),
    is_active=st.booleans(),
    priority=st.integers(0, 3),
    status=st.sampled_from([status for status in PhysicalCopyStatus if status is not PhysicalCopyStatus.DELETED]),
    verification=st.sampled_from(Verification),
    verified_at=st.none() | st.sampled_from([NOW - timedelta(days=days) for days in (-1, 1, 40)]),
    checksum=st.just(None),
    checksum_algorithm=st.sampled_from([None, *ChecksumAlgorithm]),
    contradicts=st.booleans(),
)


@given(st.lists(copies, max_size=6), st.sets(st.sampled_from(["cologne", "ccat/other"])), st.randoms())
def test_any_copies_have_one_order(found: list[StoredCopy], avoid: set[str], dice: random.Random) -> None:
    rules = replace(RULES, avoid=frozenset(avoid))
    found = [replace(copy, copy_id=number) for number, copy in enumerate(found)]
    order = rank_copies(found, rules, NOW)
    assert sorted(copy.stored.copy_id for copy in order) == list(range(len(found)))
    assert [copy.rank for copy in order] == list(range(len(found)))
    shuffled = found.copy()
    dice.shuffle(shuffled)
    assert rank_copies(shuffled, rules, NOW) == order
    for better, worse in pairwise(order):
        assert promises(better) >= promises(worse)


def promises(copy: PackageCopy) -> tuple[bool, ...]:
    """What a copy has in its favour, by what counts more: never less than the one behind it has."""
    return copy.way is not None, copy.way is not None and not copy.is_last_resort


@given(st.lists(copies, min_size=2, max_size=6, unique_by=lambda copy: (copy.site, copy.location)))
def test_taking_a_copy_away_changes_nothing_among_the_others(found: list[StoredCopy]) -> None:
    found = [replace(copy, copy_id=number) for number, copy in enumerate(found)]
    order = ranked(*found)
    assert ranked(*found[1:]) == [number for number in order if number != 0]


def test_equal_copies_share_the_packages() -> None:
    firsts = set()
    for number in range(64):
        package = UUID(int=number)
        pair = [replace(GOOD, copy_id=1, package_id=package), replace(GOOD, copy_id=2, package_id=package)]
        pair[1] = replace(pair[1], location="other")
        assert ranked(*pair) == ranked(*reversed(pair))
        firsts.add(ranked(*pair)[0])
    assert firsts == {1, 2}


def test_copies_are_read_with_what_is_recorded_of_them(stored: Any) -> None:
    with open_catalog(stored.settings()) as catalog:
        found = catalog.package_copies.of([stored.id("open"), stored.id("tape"), stored.id("lost"), UUID(int=1)])
    assert set(found) == {stored.id("open"), stored.id("tape")}
    assert [copy.stored.place for copy in found[stored.id("open")]] == [
        "cologne/archive",
        "cornell/objects",
        "ccat/buffer",
        "cologne/tape",
    ]
    first, second, third, last = found[stored.id("open")]
    assert (first.way, second.way, last.way) == (Way.STREAM, Way.REDIRECT, None)
    assert (first.is_verified, first.region, first.stored.site_name) == (True, "europe", "Cologne")
    assert (third.is_verified, third.stored.verified_at, second.stored.priority) == (False, None, 1)
    (tape,) = found[stored.id("tape")]
    assert (tape.obstacle, tape.latency) == (Obstacle.ON_TAPE, Latency.NEARLINE)


def test_a_copy_with_another_checksum_is_damaged(stored: Any) -> None:
    stored.set_copy("open", "cologne/archive", checksum="ab" * 32, checksum_algorithm="sha256")
    stored.set_copy("open", "ccat/buffer", checksum="ab" * 16, checksum_algorithm="md5")
    with open_catalog(stored.settings()) as catalog:
        found = catalog.package_copies.of([stored.id("open")])[stored.id("open")]
    obstacles = {copy.stored.place: copy.obstacle for copy in found}
    assert obstacles["cologne/archive"] is Obstacle.DAMAGED
    assert obstacles["ccat/buffer"] is None
