"""What is never deleted, what never changes once it is set, and what the writer then reads; by plain SQL."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from catalog.db import Database
from catalog.opsdb.enums import Verification
from catalog.opsdb.models import (
    DataLocation,
    PackagePublication,
    PhysicalCopy,
    RawDataPackage,
    RawDataPackagePhysicalCopy,
    Site,
)
from catalog.opsdb.refusals import translate_integrity

PACKAGE = "00000000-0000-4000-8000-000000000001"
SECOND_PACKAGE = "00000000-0000-4000-8000-000000000002"
Force = Callable[[Database, sa.Executable], None]


def run(database: Database, statement: str) -> int:
    """Plain SQL; ``ops.`` and ``catalog.`` fall away on SQLite. How many rows it met."""
    if database.dialect == "sqlite":
        statement = statement.replace("ops.", "").replace("catalog.", "")
    with database.begin() as connection:
        return connection.exec_driver_sql(statement).rowcount


def refusal(database: Database, statement: str) -> str:
    """The sentence with which the database refuses a statement."""
    with pytest.raises(sa.exc.IntegrityError) as refused:
        run(database, statement)
    return translate_integrity(refused.value).message


@pytest.mark.parametrize(
    ("statement", "sentence"),
    [
        ("DELETE FROM ops.physical_copy", "a physical copy is never deleted"),
        ("DELETE FROM ops.raw_data_package", "a package is never deleted"),
        ("DELETE FROM ops.site", "a site is never deleted"),
        ("DELETE FROM ops.data_location", "a location is never deleted"),
        ("DELETE FROM ops.disk_data_location", "a disk location is never deleted"),
        ("DELETE FROM ops.s3_data_location", "an S3 location is never deleted"),
        ("DELETE FROM ops.tape_data_location", "a tape location is never deleted"),
        ("DELETE FROM catalog.package_publication", "the public identifier of a package is never deleted"),
        ("UPDATE ops.site SET key = 'chile' WHERE key = 'ccat'", "the key of a site never changes"),
        ("UPDATE ops.source SET type = 'source' WHERE name = 'Jupiter'", "the type of a source never changes"),
        ("UPDATE ops.data_location SET storage_type = 'disk'", "the storage type of a location never changes"),
        (
            "UPDATE ops.observation_configuration SET type = 'observation_configuration'",
            "the type of an observation configuration never changes",
        ),
        (
            "UPDATE ops.instrument_module_configuration SET type = 'instrument_module_configuration'",
            "the type of a module configuration never changes",
        ),
        (
            "UPDATE catalog.package_publication SET obs_publisher_did = 'ivo://other.example/raw?1'",
            "the public identifier of a package never changes once it is set",
        ),
        (
            f"UPDATE catalog.package_publication SET raw_data_package_id = '{SECOND_PACKAGE}'",
            "the public identifier of a package never changes once it is set",
        ),
    ],
)
def test_the_database_refuses(observed: Database, statement: str, sentence: str) -> None:
    assert refusal(observed, statement).startswith(sentence)


@pytest.mark.parametrize(
    ("statement", "table"),
    [
        (
            "INSERT INTO ops.fixed_source (id, ra_deg, dec_deg) SELECT id, 1, 1 FROM ops.solar_system_object",
            "fixed_source",
        ),
        (
            "INSERT INTO ops.tape_data_location (id, path) SELECT id, '/x' FROM ops.s3_data_location",
            "tape_data_location",
        ),
        (
            "INSERT INTO ops.prime_cam_observation_configuration (id) SELECT id FROM ops.observation_configuration",
            "prime_cam_observation_configuration",
        ),
    ],
)
def test_a_row_of_a_subclass_belongs_to_a_parent_of_its_kind(observed: Database, statement: str, table: str) -> None:
    assert refusal(observed, statement).startswith(f"a row of {table} belongs to a row of")


@pytest.mark.parametrize("engine_name", ["postgresql"], indirect=True)
@pytest.mark.parametrize("table", ["ops.physical_copy", "ops.site", "catalog.package_publication"])
def test_truncate_is_refused_as_well(observed: Database, table: str) -> None:
    assert "never deleted" in refusal(observed, f"TRUNCATE {table} CASCADE")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ops.site SET name = 'Chajnantor', key = key",
        "UPDATE ops.data_location SET active = (1 = 0)",
        "UPDATE ops.physical_copy SET status = 'deletion_scheduled'",
        "UPDATE catalog.package_publication SET obs_publisher_did = obs_publisher_did",
        "DELETE FROM ops.raw_data_file WHERE name = 'none such'",
        "DELETE FROM ops.physical_copy WHERE id = 0",
        "UPDATE ops.raw_data_package SET state = 'archived'",
    ],
)
def test_what_is_allowed_goes_through(observed: Database, statement: str) -> None:
    run(observed, statement)


CHANGES = [
    "size_bytes = 1",
    "checksum = 'ff'",
    "checksum_algorithm = 'md5'",
    "checksum = NULL, checksum_algorithm = NULL",
]


def test_bytes_of_a_package_change_until_a_copy_is_verified(observed: Database) -> None:
    for change in CHANGES:
        assert run(observed, f"UPDATE ops.raw_data_package SET {change} WHERE id = '{PACKAGE}'") == 1


@pytest.mark.parametrize("later", ["ok", "missing", "mismatch", "never"])
def test_bytes_of_a_package_are_fixed_once_a_copy_was_verified(observed: Database, force: Force, later: str) -> None:
    run(observed, f"UPDATE ops.physical_copy SET verification = 'ok' WHERE raw_data_package_id = '{PACKAGE}'")
    run(observed, f"UPDATE ops.physical_copy SET verification = '{later}' WHERE raw_data_package_id = '{PACKAGE}'")
    run(observed, "UPDATE ops.physical_copy SET last_ok_at = NULL")
    force(observed, sa.update(PhysicalCopy).values(status="deleted"))
    for change in CHANGES:
        sentence = refusal(observed, f"UPDATE ops.raw_data_package SET {change} WHERE id = '{PACKAGE}'")
        assert sentence.startswith("size and checksum of a package never change once a copy has been verified")
        assert run(observed, f"UPDATE ops.raw_data_package SET {change} WHERE id = '{SECOND_PACKAGE}'") == 1
    assert run(observed, "UPDATE ops.raw_data_package SET size_bytes = size_bytes, state = 'archived'") == 2


def test_a_copy_that_is_no_longer_whole_remembers_when_it_was(observed: Database) -> None:
    with observed.session() as session:
        copy = session.scalars(sa.select(RawDataPackagePhysicalCopy)).first()
        assert copy is not None
        copy.verification = Verification.OK
        copy.verified_at = copy.created_at
        session.commit()
        assert copy.last_ok_at is None
        verified = copy.verified_at
        copy.verification = Verification.MISSING
        copy.verified_at = None
        session.commit()
        assert copy.last_ok_at == verified
        copy.last_ok_at = None
        session.commit()
        assert copy.last_ok_at == verified


def test_a_withdrawn_package_keeps_its_identifier(observed: Database) -> None:
    run(observed, "UPDATE catalog.package_publication SET withdrawn_at = created_at, withdrawn_reason = 'wrong target'")
    assert "never changes" in refusal(
        observed, "UPDATE catalog.package_publication SET obs_publisher_did = 'ivo://x/y?z'"
    )
    assert "never deleted" in refusal(observed, "DELETE FROM catalog.package_publication")
    with observed.engine.connect() as connection:
        assert connection.scalar(sa.select(PackagePublication.obs_publisher_did)) == f"ivo://ccat.example/raw?{PACKAGE}"


def test_a_refusal_leaves_nothing_changed(observed: Database) -> None:
    refusal(observed, "UPDATE ops.site SET key = key || 'x', name = 'gone'")
    with observed.engine.connect() as connection:
        assert set(connection.scalars(sa.select(Site.key))) == {"ccat", "cologne"}
        assert "gone" not in set(connection.scalars(sa.select(Site.name)))


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        (RawDataPackage, "a package is never deleted"),
        (Site, "a site is never deleted"),
        (DataLocation, "location is never deleted"),
        (PhysicalCopy, "a physical copy is never deleted"),
    ],
)
def test_rules_hold_for_the_orm_too(observed: Database, model: type[Any], sentence: str) -> None:
    """The ORM does not take files from a package, or locations from a site, before it asks."""
    with observed.session() as session:
        session.delete(session.scalars(sa.select(model).order_by(model.id)).first())
        with pytest.raises(sa.exc.IntegrityError) as refused:
            session.flush()
    assert sentence in translate_integrity(refused.value).message


def test_a_new_copy_may_take_the_place_of_a_deleted_one_only(observed: Database, force: Force) -> None:
    again = (
        "INSERT INTO ops.physical_copy (type, data_location_id, raw_data_package_id) "
        f"SELECT type, data_location_id, raw_data_package_id FROM ops.physical_copy "
        f"WHERE raw_data_package_id = '{PACKAGE}'"
    )
    assert "there is another with the same raw_data_package_id and data_location_id" in refusal(observed, again)
    force(observed, sa.update(PhysicalCopy).values(status="deleted"))
    assert run(observed, again) == 2
    with observed.engine.connect() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(PhysicalCopy)) == 6


@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
@pytest.mark.parametrize("recursive", ["ON", "OFF"])
@pytest.mark.parametrize(
    ("statement", "sentence"),
    [
        ("REPLACE INTO site (id, key, name) VALUES (1, 'other', 'X')", "with the same id"),
        ("REPLACE INTO site (key, name) VALUES ('ccat', 'X')", "with the same key"),
        (
            (
                "REPLACE INTO data_location (site_id, name, storage_type, location_type) "
                "SELECT site_id, name, storage_type, location_type FROM data_location"
            ),
            "with the same site_id and name",
        ),
        ("REPLACE INTO disk_data_location (id, path) SELECT id, '/x' FROM disk_data_location", "with the same id"),
        ("INSERT OR REPLACE INTO raw_data_package SELECT * FROM raw_data_package", "there is another with the same"),
        (
            (
                "REPLACE INTO physical_copy (id, type, data_location_id, raw_data_package_id) SELECT id, type, "
                "data_location_id, raw_data_package_id FROM physical_copy WHERE raw_data_package_id IS NOT NULL"
            ),
            "there is another with the same",
        ),
        (
            (
                "REPLACE INTO physical_copy (type, data_location_id, raw_data_package_id) "
                "SELECT type, data_location_id, raw_data_package_id FROM physical_copy "
                "WHERE raw_data_package_id IS NOT NULL"
            ),
            "with the same raw_data_package_id and data_location_id",
        ),
        (
            (
                "REPLACE INTO package_publication (raw_data_package_id, obs_publisher_did) "
                "SELECT raw_data_package_id, 'ivo://other/x?1' FROM package_publication"
            ),
            "with the same raw_data_package_id",
        ),
        (
            (
                f"REPLACE INTO package_publication (raw_data_package_id, obs_publisher_did) "
                f"SELECT '{SECOND_PACKAGE}', obs_publisher_did FROM package_publication"
            ),
            "with the same obs_publisher_did",
        ),
        ("UPDATE OR REPLACE site SET id = 1 WHERE id = 2", "the key of a site never changes"),
        (
            f"UPDATE OR REPLACE physical_copy SET data_location_id = 2 WHERE raw_data_package_id = '{PACKAGE}'",
            "what a physical copy is a copy of, and where it lies, never changes",
        ),
    ],
)
def test_no_row_takes_the_place_of_one_that_stays(
    observed: Database, statement: str, sentence: str, recursive: str
) -> None:
    """SQLite asks no trigger about rows that OR REPLACE removes, unless the writer has wished for it."""
    count = "SELECT (SELECT count(*) FROM physical_copy), (SELECT count(*) FROM site), (SELECT max(id) FROM site)"
    with observed.engine.connect() as connection:
        before = connection.exec_driver_sql(count).one()
        raw = connection.connection.driver_connection
        assert raw is not None
        raw.execute("ROLLBACK")
        raw.execute("PRAGMA foreign_keys = OFF")
        raw.execute(f"PRAGMA recursive_triggers = {recursive}")
        raw.execute("BEGIN")
        with pytest.raises(sa.exc.IntegrityError) as refused:
            connection.exec_driver_sql(statement)
        assert sentence in translate_integrity(refused.value).message
        assert connection.exec_driver_sql(count).one() == before
        connection.invalidate()


def test_what_was_not_known_is_said_after_a_copy_was_verified_and_then_stays(observed: Database) -> None:
    unknown = "size_bytes = NULL, checksum = NULL, checksum_algorithm = NULL"
    known = "size_bytes = 7, checksum = 'ab', checksum_algorithm = 'md5'"
    run(observed, f"UPDATE ops.raw_data_package SET {unknown} WHERE id = '{PACKAGE}'")
    run(observed, f"UPDATE ops.physical_copy SET verification = 'ok' WHERE raw_data_package_id = '{PACKAGE}'")
    assert run(observed, f"UPDATE ops.raw_data_package SET {known} WHERE id = '{PACKAGE}'") == 1
    for change in (unknown, "checksum = 'cd'", "size_bytes = 8"):
        sentence = refusal(observed, f"UPDATE ops.raw_data_package SET {change} WHERE id = '{PACKAGE}'")
        assert sentence.startswith("size and checksum of a package never change")
