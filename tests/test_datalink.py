"""Links of packages from Python, on each engine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import pyarrow as pa
import pytest
import sqlalchemy as sa

from catalog import Catalog, Settings, open_catalog
from catalog.datalink import LINKS_TABLE, STANDARD_ID
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
        tap=TapSettings(maxrec_default=200, maxrec_hard=400),
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


def test_package_has_itself_and_its_record_in_two_formats(filled: Catalog) -> None:
    did = dids(filled)[0]
    size, name = (
        filled.query(f"SELECT size_bytes, package_name FROM fyst.packages WHERE obs_publisher_did = '{did}'")
        .read_all()
        .to_pylist()[0]
        .values()
    )
    this, *records = links(filled, [did])
    assert (this["ID"], this["semantics"], this["content_length"]) == (did, "#this", size)
    assert this["description"] == f"Package {name}"
    assert [(row["semantics"], row["content_type"]) for row in records] == [
        ("#auxiliary", "application/x-votable+xml"),
        ("#auxiliary", "application/json"),
    ]
    encoded = did.replace(":", "%3A").replace("/", "%2F").replace("?", "%3F")
    assert records[1]["access_url"] == f"{BASE}/datalink/record?ID={encoded}&RESPONSEFORMAT=json"


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


@pytest.mark.parametrize(
    "stranger",
    [
        UNKNOWN,
        "ivo://other.example/raw?1",
        "ivo://ccat.example/raw",
        "foo",
        "x' OR '1'='1",
        "ivo://a.bc/d?\0",
        "é" * 2000,
    ],
)
def test_unknown_identifier_is_a_row_and_no_error(filled: Catalog, stranger: str) -> None:
    (row,) = links(filled, [stranger])
    assert (row["ID"], row["semantics"]) == (stranger, "#this")
    assert row["error_message"].startswith("NotFoundFault: no published package has the identifier ")
    assert len(row["error_message"]) < 300


def test_withdrawn_package_says_when_and_why(filled: Catalog) -> None:
    did = dids(filled)[0]
    filled.withdraw(did, "wrong target")
    (row,) = links(filled, [did])
    assert row["error_message"].startswith(f"NotFoundFault: the package {did} was withdrawn on ")
    assert row["error_message"].endswith(": wrong target")
    filled.restore(did)
    assert len(links(filled, [did])) == 3


def test_all_but_the_local_part_is_case_blind(filled: Catalog) -> None:
    did = dids(filled)[0]
    shouted = did.replace("ivo://ccat.example/raw", "IVO://CCAT.Example/RAW")
    rows = links(filled, [shouted, did])
    assert [row["ID"] for row in rows] == [shouted] * 3 + [did] * 3
    assert rows[1]["access_url"] == rows[4]["access_url"]
    assert len(links(filled, [did.upper()])) == 1


def test_rows_keep_the_order_of_the_identifiers_and_stand_together(filled: Catalog) -> None:
    known = dids(filled)
    asked = [known[5], UNKNOWN, known[2], known[5], "", "  ", known[9]]
    rows = links(filled, asked)
    assert [did for did, _ in groupby(rows, key=lambda row: row["ID"])] == [known[5], UNKNOWN, known[2], known[9]]
    assert links(filled, []) == links(filled, ["", " "]) == []


@pytest.mark.parametrize(
    ("maxrec", "kept"), [(0, 0), (1, 0), (2, 0), (3, 3), (5, 3), (6, 6), (7, 7), (9, 7), (10, 10), (11, 10)]
)
def test_maxrec_never_splits_an_identifier(filled: Catalog, maxrec: int, kept: int) -> None:
    first, second, third = dids(filled)[:3]
    stream = filled.datalink.links([first, second, UNKNOWN, third], base_url=BASE, maxrec=maxrec)
    assert stream.read_all().num_rows == kept
    assert stream.truncated == (maxrec < 10)


def test_many_identifiers_come_in_batches_up_to_the_limits(filled: Catalog) -> None:
    known = dids(filled)
    assert len(known) > 120
    stream = filled.datalink.links(known, base_url=BASE)
    assert stream.read_all().num_rows == 198
    assert stream.truncated
    stream = filled.datalink.links(known, base_url=BASE, maxrec=10**9)
    batches = list(stream)
    assert not stream.truncated
    assert len(batches) == 2
    rows = pa.Table.from_batches(batches, LINKS_TABLE.arrow_schema).to_pylist()
    assert [row["ID"] for row in rows] == [did for did in known for _ in range(3)]


def test_stopped_answer_ends(filled: Catalog) -> None:
    stream = filled.datalink.links(dids(filled), base_url=BASE, maxrec=400)
    rows = iter(stream)
    assert next(rows).num_rows == 300
    stream.close()
    assert list(stream) == []


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
