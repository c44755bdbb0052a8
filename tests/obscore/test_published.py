"""What is published, and under which address: complete packages, whatever their state, as long as a copy remains."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
import sqlalchemy as sa

from catalog.db import Database
from catalog.obscore.freshness import keep_resolved, refresh
from catalog.obscore.package_obscore import POSITION_INDEX, REGION_INDEX, TABLE, package_obscore, published_table
from catalog.obscore.record import read_record
from catalog.opsdb.enums import ChecksumAlgorithm, PackageState, PhysicalCopyStatus, Status, Verification
from catalog.opsdb.models import PackagePublication, PhysicalCopy, RawDataFilePhysicalCopy, RawDataPackage
from catalog.opsdb.publication import restore, set_base_url, withdraw

ReadView = Callable[..., list[dict[str, Any]]]
Force = Callable[[Database, sa.Executable], None]
DATALINK = "application/x-votable+xml;content=datalink"


def test_a_complete_package_is_published_whatever_its_state(catalog: Database, world: Any, read_view: ReadView) -> None:
    states = list(product(PackageState, Status))
    packages = [world.package(world.unit(world.orion), state=state, status=status) for state, status in states]
    wanted = {f"ivo://org.example.fyst/raw?{package.id}" for package in packages}
    world.session.commit()

    assert {row["obs_publisher_did"] for row in read_view(catalog, TABLE)} == wanted
    assert len(wanted) == 20


@pytest.mark.parametrize("state", list(PackageState))
@pytest.mark.parametrize("lacking", ["size and checksum", "size", "checksum"])
def test_a_package_without_final_size_and_checksum_is_not_published_and_has_no_identifier(
    catalog: Database, world: Any, read_view: ReadView, state: PackageState, lacking: str
) -> None:
    package = world.package(world.unit(world.orion), copies=0, state=state)
    if "size" in lacking:
        package.size_bytes = None
    if "checksum" in lacking:
        package.checksum = package.checksum_algorithm = None
    world.session.commit()
    assert read_view(catalog, TABLE) == []
    with catalog.engine.connect() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(PackagePublication)) == 0

    package.size_bytes, package.checksum, package.checksum_algorithm = 1, "ab", ChecksumAlgorithm.MD5
    world.session.commit()
    assert len(read_view(catalog, TABLE)) == 1


def test_a_withdrawn_package_is_in_no_view_and_comes_back_under_the_same_identifier(
    catalog: Database, world: Any, read_view: ReadView
) -> None:
    world.package(world.unit(world.orion), files=1)
    world.session.commit()
    (before,) = read_view(catalog, TABLE)
    views = (TABLE, "ivoa.obscore_radio", "fyst.packages", "fyst.files", "fyst.copies")
    assert [len(read_view(catalog, name)) for name in views] == [1] * 5
    for change, rows in ((lambda c: withdraw(c, before["obs_publisher_did"], "x"), 0), (restore_of(before), 1)):
        with keep_resolved(catalog.session()) as session:
            change(session.connection())
            session.commit()
        assert [len(read_view(catalog, name)) for name in views] == [rows] * 5
    assert read_view(catalog, TABLE) == [before]


def restore_of(row: dict[str, Any]) -> Callable[[sa.Connection], object]:
    return lambda connection: restore(connection, row["obs_publisher_did"])


def test_a_superseded_package_still_answers(catalog: Database, world: Any, read_view: ReadView) -> None:
    unit = world.unit(world.orion)
    old, new = world.package(unit), world.package(unit, sequence=1)
    new.supersedes = old
    dids = [f"ivo://org.example.fyst/raw?{package.id}" for package in (old, new)]
    world.session.commit()

    assert read_record(catalog, dids[0]).access_url is not None
    found = {row["obs_publisher_did"]: row["supersedes_did"] for row in read_view(catalog, "fyst.packages")}
    assert found == {dids[0]: None, dids[1]: dids[0]}


OFFERED = {"present", "deletion_possible", "deletion_pending"}
REMAINING = OFFERED | {"staged"}
DAMAGED = {"mismatch", "missing"}


def test_invariant_every_state_of_a_copy_is_offered_and_counted_as_the_table_says(
    catalog: Database, world: Any, force: Force, read_view: ReadView
) -> None:
    """Also closed data. A copy that is damaged, absent or going is nothing; an unpacked one is content, no package."""
    world.package(world.unit(world.orion, program=world.closed))
    world.session.commit()
    for status, verification in product(PhysicalCopyStatus, Verification):
        force(catalog, sa.update(PhysicalCopy).values(status=status, verification=verification))

        (row,) = read_view(catalog, TABLE)
        (copy,) = read_view(catalog, "fyst.copies")
        (package,) = read_view(catalog, "fyst.packages")

        remains = status.value in REMAINING and verification.value not in DAMAGED
        offered = status.value in OFFERED and verification.value not in DAMAGED
        case = (status, verification)
        assert row["data_rights"] == "proprietary"
        assert (row["access_url"] is not None) == offered, case
        assert row["access_format"] == (DATALINK if offered else None), case
        assert (copy["remains"], package["n_copies"], package["n_sites"]) == (int(remains),) * 3, case
        assert package["n_verified"] == int(remains and verification is Verification.OK), case


def test_one_copy_of_several_is_enough_and_copies_of_single_files_do_not_count(
    catalog: Database, world: Any, force: Force, read_view: ReadView
) -> None:
    package = world.package(world.unit(world.orion), files=1, copies=2)
    (file,) = package.files
    world.session.add(RawDataFilePhysicalCopy(raw_data_file=file, location=world.locations[0]))
    world.session.commit()
    copies = sa.update(PhysicalCopy).where(PhysicalCopy.raw_data_package_id.is_not(None))
    first = sa.select(sa.func.min(PhysicalCopy.id)).where(PhysicalCopy.raw_data_package_id.is_not(None))

    force(catalog, copies.where(PhysicalCopy.id == first.scalar_subquery()).values(status="deleted"))
    assert read_view(catalog, TABLE)[0]["access_url"] is not None
    force(catalog, copies.values(status="deleted"))
    assert read_view(catalog, TABLE)[0]["access_url"] is None


def test_the_base_url_is_a_row_and_no_part_of_the_view(catalog: Database, world: Any, read_view: ReadView) -> None:
    package = world.package(world.unit(world.orion))
    encoded = f"ivo%3A%2F%2Forg.example.fyst%2Fraw%3F{package.id}"
    world.session.commit()
    ddl = definition(catalog)
    resolved = [tuple(row) for row in rows_of(catalog)]
    for url in ("https://vo.example.org", "http://127.0.0.1:8080/a'b"):
        with catalog.begin() as connection:
            set_base_url(connection, url + "/")
        assert read_view(catalog, TABLE)[0]["access_url"] == f"{url}/datalink/links?ID={encoded}"

    assert definition(catalog) == ddl
    assert "vo.example.org" not in ddl
    assert [tuple(row) for row in rows_of(catalog)] == resolved, "no row had to be written"
    assert refresh(catalog, full=True).written == 0


def definition(database: Database) -> str:
    with database.engine.connect() as connection:
        if database.dialect == "sqlite":
            query = "SELECT sql FROM sqlite_master WHERE name = 'ivoa_obscore'"
        else:
            query = "SELECT pg_get_viewdef('ivoa.obscore'::regclass)"
        return str(connection.exec_driver_sql(query).scalar())


def rows_of(database: Database) -> list[Any]:
    with database.engine.connect() as connection:
        return list(connection.execute(sa.select(package_obscore())))


def test_obs_id_groups_the_packages_of_one_execution(catalog: Database, world: Any, read_view: ReadView) -> None:
    unit, other = world.unit(world.orion), world.unit(world.orion)
    for module, sequence in ((world.prime280, 0), (world.prime280, 1), (world.lfa, 0)):
        world.package(unit, module, sequence=sequence)
    world.package(other)
    ids = (str(unit.id), str(other.id))
    world.session.commit()

    found = [row["obs_id"] for row in read_view(catalog, TABLE)]

    assert sorted(found) == sorted([ids[0]] * 3 + [ids[1]])
    assert len({row["obs_publisher_did"] for row in read_view(catalog, TABLE)}) == 4


def test_identifiers_are_of_lower_case_hyphenated_uuids_on_both_engines(catalog: Database, world: Any) -> None:
    package = RawDataPackage(
        id="ABCDEF01-2345-6789-ABCD-EF0123456789",
        executed_obs_unit=world.unit(world.orion),
        instrument_module=world.prime280,
        name="x",
        relative_path="x",
        size_bytes=1,
        checksum="ab",
        checksum_algorithm=ChecksumAlgorithm.MD5,
    )
    world.session.add(package)
    world.session.commit()

    assert [row.obs_publisher_did for row in rows_of(catalog)] == [
        "ivo://org.example.fyst/raw?abcdef01-2345-6789-abcd-ef0123456789"
    ]


INDEXED = ("obs_publisher_did", "obs_id", "t_min", "t_max", "instrument_name", "target_name", "obs_release_date")


def test_what_queries_ask_for_is_indexed(catalog: Database) -> None:
    schema = None if catalog.dialect == "sqlite" else "catalog"
    with catalog.engine.connect() as connection:
        indexes = sa.inspect(connection).get_indexes("package_obscore", schema=schema)
        spatial = {
            "sqlite": "SELECT count(*) FROM sqlite_master WHERE sql LIKE '%USING rtree%' "
            f"AND name IN ('{POSITION_INDEX}', '{REGION_INDEX}')",
            "postgresql": "SELECT count(*) FROM pg_indexes WHERE tablename = 'package_obscore' "
            "AND indexdef LIKE '%USING gist%spoint%'",
        }[catalog.dialect]
        assert connection.exec_driver_sql(spatial.replace("%", "%%")).scalar() == 2, "of positions, of regions"
    first = {index["column_names"][0] for index in indexes if index["column_names"]}
    assert set(INDEXED) <= first
    assert {column.name for column in published_table(TABLE).columns if column.indexed} - {"s_ra", "s_dec"} <= first
    assert [i["unique"] for i in indexes if i["column_names"] == ["obs_publisher_did"]] in ([True], [1])


def test_the_region_is_text_of_any_length() -> None:
    column = published_table(TABLE).column("s_region")
    assert (column.datatype.votable, column.arraysize) == ("char", "*")


def test_a_package_has_a_row_of_each_view_and_no_more(catalog: Database, world: Any, read_view: ReadView) -> None:
    """A programme, a source, a mode, several set-ups, files and copies multiply nothing."""
    setups = [world.fine, type(world.fine)(module=world.lfa, name="b", if_min_ghz=4, if_max_ghz=8, channel_width_khz=9)]
    tuned = {"configuration": world.co43, "module_configurations": setups, "obs_mode": world.otf}
    world.package(world.unit(world.orion, obs_unit=tuned | {"sub_program": world.deep}), world.lfa, files=5, copies=2)
    world.session.commit()

    counts = {name: len(read_view(catalog, name)) for name in (TABLE, "ivoa.obscore_radio", "fyst.packages")}

    assert counts == dict.fromkeys(counts, 1)
    assert read_view(catalog, "ivoa.obscore_radio")[0]["f_resolution"] == 9, "the finest channel"
