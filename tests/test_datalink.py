"""Links of packages from Python, on each engine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import pyarrow as pa
import pytest
import sqlalchemy as sa

from catalog import Catalog, Settings, open_catalog
from catalog.datalink import service as link_service
from catalog.datalink.links import LINKS_TABLE, STANDARD_ID
from catalog.opsdb.enums import PhysicalCopyStatus
from catalog.opsdb.models import (
    DataLocation,
    DiskDataLocation,
    PackagePublication,
    PhysicalCopy,
    RawDataPackage,
    RawDataPackagePhysicalCopy,
)
from catalog.settings import DatabaseSettings, PublicationSettings, TapSettings

Rows = list[dict[str, Any]]
BASE = "https://data.example"
UNKNOWN = "ivo://ccat.example/raw?00000000-0000-0000-0000-000000000000"


@pytest.fixture
def filled(database_url: str) -> Iterator[Catalog]:
    """A catalog with a few synthetic packages, and few rows to an answer."""
    settings = Settings(
        database=DatabaseSettings(url=database_url),
        publication=PublicationSettings(contact="archive@data.example"),
        tap=TapSettings(maxrec_default=200, maxrec_hard=750),
    )
    with open_catalog(settings) as opened:
        opened.init()
        opened.load_synthetic(packages=130, seed=5, files_per_package=1)
        yield opened


def dids(catalog: Catalog) -> list[str]:
    found = catalog.query("SELECT obs_publisher_did FROM ivoa.obscore ORDER BY obs_publisher_did").read_all()
    return [str(did) for did in found.column(0).to_pylist()]


def links(catalog: Catalog, ids: Sequence[str], maxrec: int | None = None) -> Rows:
    rows: Rows = catalog.datalink.links(ids, base_url=BASE, maxrec=maxrec).read_all().to_pylist()
    for row in rows:
        assert len({name for name in ("access_url", "service_def", "error_message") if row[name] is not None}) == 1
    return rows


def package_of(session: Any, did: str) -> RawDataPackage:
    publication = session.query(PackagePublication).filter_by(obs_publisher_did=did).one()
    return session.get_one(RawDataPackage, publication.raw_data_package_id)


def test_this_says_where_copies_remain_and_whom_to_ask(filled: Catalog) -> None:
    did = dids(filled)[0]
    with filled.session() as session:
        package = package_of(session, did)
        for copy in session.query(PhysicalCopy).filter_by(raw_data_package_id=package.id):
            copy.status = "present"
            copy.verification = "ok"
        session.commit()
    rows = filled.query(
        f"SELECT DISTINCT site_name, storage_type FROM fyst.copies WHERE obs_publisher_did = '{did}'"
    ).read_all()
    (this, *_) = links(filled, [did])
    assert this["error_message"].startswith("DefaultFault: the package is not served over the network; copies are kept")
    assert this["error_message"].endswith("; to get it, ask archive@data.example")
    for row in rows.to_pylist():
        assert row["site_name"] in this["error_message"]
        assert f", {row['storage_type']}, verified)" in this["error_message"]


def test_package_without_a_copy_says_so(filled: Catalog) -> None:
    did = dids(filled)[0]
    with filled.session() as session:
        package = package_of(session, did)
        for copy in session.query(PhysicalCopy).filter_by(raw_data_package_id=package.id):
            copy.verification = "missing"
        session.commit()
    assert links(filled, [did])[0]["error_message"] == "NotFoundFault: no copy of the package remains"


def test_invariant_every_state_of_a_copy_is_told_as_the_table_says(filled: Catalog, force: Any) -> None:
    did = dids(filled)[0]
    with filled.session() as session:
        key = package_of(session, did).id
    mine = sa.update(PhysicalCopy).where(PhysicalCopy.raw_data_package_id == key)
    for status in PhysicalCopyStatus:
        force(filled.database, mine.values(status=status, verification="unreachable"))
        told = links(filled, [did])[0]["error_message"]
        if status in ("present", "deletion_possible", "deletion_pending"):
            assert told.startswith("DefaultFault: the package is not served over the network; copies are kept at ")
            assert (", to be deleted)" in told) == (status != "present")
        elif status == "staged":
            assert told.startswith("NotFoundFault: no copy of the package remains; its files lie unpacked at ")
            assert told.endswith("; to get it, ask archive@data.example")
        else:
            assert told == "NotFoundFault: no copy of the package remains"


def test_archives_come_first_and_what_is_to_be_deleted_last(filled: Catalog) -> None:
    with filled.session() as session:
        package = package_of(session, dids(filled)[0])
        taken = {
            copy.data_location_id for copy in session.query(PhysicalCopy).filter_by(raw_data_package_id=package.id)
        }
        session.query(PhysicalCopy).filter_by(raw_data_package_id=package.id).update({"verification": "missing"})
        free = [place for place in session.query(DataLocation) if place.id not in taken]
        buffer = next(place for place in free if place.location_type == "buffer")
        scratch = DiskDataLocation(site=buffer.site, name="scratch", location_type="processing", path="/x")
        late = DiskDataLocation(site=buffer.site, name="late", location_type="long_term_archive", path="/x")
        good = DiskDataLocation(site=buffer.site, name="good", location_type="long_term_archive", path="/x")
        for place, status, verification in (
            (buffer, "present", "ok"),
            (late, "deletion_pending", "ok"),
            (scratch, "staged", "never"),
            (good, "present", "ok"),
        ):
            copy = RawDataPackagePhysicalCopy(raw_data_package=package, location=place, verification=verification)
            copy.status = PhysicalCopyStatus(status)
            session.add(copy)
        site = buffer.site.name
        session.commit()
    told = links(filled, [dids(filled)[0]])[0]["error_message"]
    kept = [
        f"{site} (long-term archive, disk, verified)",
        f"{site} (buffer, disk, verified)",
        f"{site} (long-term archive, disk, verified, to be deleted)",
    ]
    assert f"copies are kept at {', '.join(kept)}; its files also lie unpacked at {site} (processing, disk);" in told


def test_paths_hosts_and_buckets_are_not_told(filled: Catalog) -> None:
    told = str(links(filled, dids(filled)[:60]))
    with filled.session() as session:
        places = {
            value
            for location in session.query(DataLocation)
            for name in ("host", "path", "endpoint", "bucket", "library")
            if (value := getattr(location, name, None))
        }
    assert len(places) > 3
    assert {place for place in places if place in told} == set()


def test_unknown_identifier_is_a_row_and_no_error(filled: Catalog) -> None:
    for stranger in (UNKNOWN, "ivo://other.example/raw?1", "ivo://ccat.example/raw", "ivo://a.bc/d?#e"):
        (row,) = links(filled, [stranger])
        assert (row["ID"], row["semantics"]) == (stranger, "#this")
        assert row["error_message"] == f"NotFoundFault: no published package has the identifier {stranger}"
        assert (row["link_auth"], row["link_authorized"], row["site"]) == (None, None, None)


def test_what_is_no_identifier_is_a_row_that_says_so(filled: Catalog) -> None:
    for stranger in ("foo", "x' OR '1'='1", "ivo://a.bc/d?\0", "ivo://", "é" * 2000, "ivo://a.bc/" + "d" * 1000):
        (row,) = links(filled, [stranger])
        assert (row["ID"], row["semantics"]) == (stranger, "#this")
        assert row["error_message"].startswith(f"UsageFault: '{stranger[:200]}")
        assert row["error_message"].endswith("; expected an obs_publisher_did: ivo://AUTHORITY/PATH?ID")
        assert len(row["error_message"]) < 320


def test_withdrawn_package_says_when_and_why(filled: Catalog) -> None:
    did = dids(filled)[0]
    filled.withdraw(did, "wrong target")
    (row,) = links(filled, [did])
    assert row["error_message"].startswith(f"NotFoundFault: the package {did} was withdrawn on ")
    assert row["error_message"].endswith(": wrong target")
    filled.restore(did)
    assert len(links(filled, [did])) > 3


def test_all_but_the_local_part_is_case_blind(filled: Catalog) -> None:
    did = dids(filled)[0]
    shouted = did.replace("ivo://ccat.example/raw", "IVO://CCAT.Example/RAW")
    rows = links(filled, [shouted, did])
    half = len(rows) // 2
    assert [row["ID"] for row in rows] == [shouted] * half + [did] * half
    assert [row | {"ID": did} for row in rows[:half]] == rows[half:]
    assert len(links(filled, [did.upper()])) == 1


def test_rows_keep_the_order_of_the_identifiers_and_stand_together(filled: Catalog) -> None:
    known = dids(filled)
    asked = [known[5], UNKNOWN, known[2], known[5], "", "  ", known[9]]
    rows = links(filled, asked)
    assert [did for did, _ in groupby(rows, key=lambda row: row["ID"])] == [known[5], UNKNOWN, known[2], known[9]]
    assert links(filled, []) == links(filled, ["", " "]) == []


def test_maxrec_never_splits_an_identifier(filled: Catalog) -> None:
    first, second, third = dids(filled)[:3]
    asked = [first, second, UNKNOWN, third]
    sizes = [len(links(filled, [did])) for did in asked]
    ends = [sum(sizes[:number]) for number in range(len(asked) + 1)]
    assert sizes[2] == 1
    assert min(sizes[0], sizes[1], sizes[3]) > 3
    for maxrec in range(ends[-1] + 2):
        stream = filled.datalink.links(asked, base_url=BASE, maxrec=maxrec)
        assert stream.read_all().num_rows == max(end for end in ends if end <= maxrec)
        assert stream.truncated == (maxrec < ends[-1])


def test_many_identifiers_come_in_batches_up_to_the_limit(filled: Catalog) -> None:
    known = dids(filled)
    assert len(known) > 120
    whole = [row["ID"] for did in known for row in links(filled, [did])]
    assert 750 < len(whole) < 1_000
    stream = filled.datalink.links(known, base_url=BASE, maxrec=10**9)
    batches = list(stream)
    assert stream.truncated
    assert len(batches) == 2
    rows = pa.Table.from_batches(batches, LINKS_TABLE.arrow_schema).column("ID").to_pylist()
    assert rows == whole[: len(rows)]
    assert 750 - 20 < len(rows) <= 750
    assert whole[len(rows)] != rows[-1]


def test_stopped_answer_ends(filled: Catalog) -> None:
    stream = filled.datalink.links(dids(filled), base_url=BASE)
    rows = iter(stream)
    assert next(rows).num_rows > 100
    stream.close()
    assert list(stream) == []


def test_beyond_fifty_thousand_identifiers_there_is_an_overflow(
    filled: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_service, "IDS_AT_MOST", 3)
    known = dids(filled)
    stream = filled.datalink.links(known[:4], base_url=BASE)
    assert set(stream.read_all().column("ID").to_pylist()) == set(known[:3])
    assert stream.truncated
    stream = filled.datalink.links(known[:3], base_url=BASE)
    assert set(stream.read_all().column("ID").to_pylist()) == set(known[:3])
    assert not stream.truncated


def test_a_hundred_identifiers_take_as_many_queries_as_one(filled: Catalog) -> None:
    known = dids(filled)
    asked: list[str] = []

    def note(*event: Any) -> None:
        asked.append(event[2])

    sa.event.listen(filled.database.engine, "before_cursor_execute", note)
    links(filled, known[:1])
    one = len([text for text in asked if text.lstrip().upper().startswith("SELECT")])
    asked.clear()
    links(filled, known[:60])
    assert len([text for text in asked if text.lstrip().upper().startswith("SELECT")]) == one > 0


@pytest.mark.parametrize(
    ("select", "described"),
    [
        ("SELECT TOP 1 * FROM ivoa.obscore", "obs_publisher_did"),
        ("SELECT TOP 1 obs_publisher_did AS did, s_ra FROM ivoa.obscore", "did"),
        ("SELECT TOP 1 s_ra, obs_publisher_did FROM ivoa.obscore NATURAL JOIN fyst.copies", "obs_publisher_did"),
        ("SELECT TOP 1 package_name, obs_publisher_did AS x FROM fyst.packages", "x"),
        ("SELECT TOP 1 s_ra FROM ivoa.obscore", None),
        ("SELECT TOP 1 obs_publisher_did || 'x' AS obs_publisher_did FROM ivoa.obscore", None),
    ],
)  # fmt: skip
def test_results_with_identifiers_describe_the_links_service(
    filled: Catalog, select: str, described: str | None
) -> None:
    services = filled.query(select).table.services
    assert [service.column for service in services] == ([] if described is None else [described])
    for service in services:
        assert service.standard_id == STANDARD_ID
        assert service.access_url == "http://127.0.0.1:8080/datalink/links"
