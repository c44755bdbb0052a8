"""An operations database of somebody else's, with other names, is read in place through the models, unchanged."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from psycopg import sql
from pydantic import SecretStr

from catalog import Catalog, Settings
from catalog.db import Database
from catalog.errors import SettingsError
from catalog.obscore.derived import PublishedObjects
from catalog.obscore.freshness import refresh
from catalog.opsdb.accounts import AccountService
from catalog.opsdb.attach import attach, detach
from catalog.opsdb.enums import LocationType, PackageState, PhysicalCopyStatus, Verification
from catalog.opsdb.migrate import upgrade
from catalog.opsdb.models import (
    DataTransferPackage,
    DiskDataLocation,
    ExecutedObsUnit,
    FixedSource,
    ObsUnit,
    PackagePublication,
    PhysicalCopy,
    RawDataFilePhysicalCopy,
    RawDataPackage,
    RawDataPackagePhysicalCopy,
    SolarSystemObject,
    Source,
)
from catalog.opsdb.publication import set_publication
from catalog.opsdb.schema import current_revision, head_revision
from catalog.settings import AttachedSettings, DatabaseSettings, PublicationSettings

PACKAGE = UUID("11111111-2222-4333-8444-555555555555")
EXECUTED = UUID("aaaaaaaa-2222-4333-8444-555555555555")

THEIRS = f"""
CREATE SCHEMA "Observatory";
SET search_path = "Observatory";
CREATE TYPE pstate AS ENUM ('WAITING', 'TRANSFERRING', 'ARCHIVED', 'BROKEN');
CREATE TYPE cstatus AS ENUM ('PRESENT', 'STAGED', 'DELETION_POSSIBLE', 'DELETED');
CREATE DOMAIN identifier AS integer CHECK (value > 0);
CREATE TABLE db_telescope (id identifier PRIMARY KEY, observatory_id int NOT NULL, name text, short_name varchar(8));
CREATE TABLE db_instrument (id identifier PRIMARY KEY, telescope_id int NOT NULL, name varchar(40) NOT NULL);
CREATE TABLE detector_module (id bigint PRIMARY KEY, instrument int NOT NULL, label text NOT NULL,
                              fmin numeric, fmax numeric);
CREATE TABLE db_observing_program (id int PRIMARY KEY, name text, short_name text NOT NULL, release_date date);
CREATE TABLE target (id int PRIMARY KEY, kind text NOT NULL, name text NOT NULL, ra real, "Dec" real, body text);
CREATE TABLE db_obs_unit (id int PRIMARY KEY, name text, observing_program_id int NOT NULL, source_id int);
CREATE TABLE executed (uid uuid PRIMARY KEY, obs_unit_id int NOT NULL, begins timestamp, ends timestamp);
CREATE TABLE db_raw_data_package (
    id varchar(36) PRIMARY KEY, executed_obs_unit_id uuid NOT NULL, instrument_module_id bigint NOT NULL,
    bytes bigint, hash text, hash_kind text, state pstate NOT NULL, relative_path text, name text);
CREATE TABLE db_raw_data_file (id uuid PRIMARY KEY, instrument_module_id bigint NOT NULL,
                               raw_data_package_id varchar(36), name text, relative_path text);
CREATE TABLE db_physical_copy (id bigint PRIMARY KEY, type text NOT NULL, data_location_id int NOT NULL,
                               status cstatus NOT NULL);
CREATE TABLE db_raw_data_package_physical_copy (id bigint PRIMARY KEY, raw_data_package_id varchar(36) NOT NULL);
CREATE TABLE file_instance (id bigint PRIMARY KEY, the_file uuid NOT NULL);
CREATE TABLE db_site (id int PRIMARY KEY, short text NOT NULL, name text NOT NULL);
CREATE TABLE db_data_location (id int PRIMARY KEY, site_id int NOT NULL, storage_type text NOT NULL,
                               location_type text NOT NULL, name text NOT NULL, active boolean NOT NULL);
CREATE TABLE db_disk_data_location (id int PRIMARY KEY, path text NOT NULL);

INSERT INTO db_telescope VALUES (1, 1, 'Fred Young', 'FYST');
INSERT INTO db_instrument VALUES (1, 1, 'CHAI');
INSERT INTO detector_module VALUES (7, 1, 'LFA', 455.0, 495.5);
INSERT INTO db_observing_program VALUES (1, 'Galactic Ecology', 'GEco', '2027-01-01');
INSERT INTO target VALUES (1, 'FIXED', 'Orion-KL', 83.8, -5.4, NULL), (2, 'PLANET', 'Jupiter', NULL, NULL, 'jupiter'),
                          (3, 'DRIFT', 'a field', NULL, NULL, NULL);
INSERT INTO db_obs_unit VALUES (1, 'u1', 1, 1);
INSERT INTO executed VALUES ('{EXECUTED}', 1, '2026-05-01 03:00:00', NULL);
INSERT INTO db_raw_data_package VALUES
    ('{PACKAGE}', '{EXECUTED}', 7, 4711, 'abcd', 'MD5', 'BROKEN', 'a/b.tar', 'b.tar');
INSERT INTO db_raw_data_file VALUES ('{UUID(int=5)}', 7, '{PACKAGE}', 'x.fits', 'd/x.fits');
INSERT INTO db_site VALUES (1, 'ccat', 'Chile');
INSERT INTO db_data_location VALUES (1, 1, 'disk', 'BUFFER', 'buf', true);
INSERT INTO db_disk_data_location VALUES (1, '/data');
INSERT INTO db_physical_copy VALUES (1, 'raw_data_package_physical_copy', 1, 'PRESENT'), (2, 'file_copy', 1, 'DELETED');
INSERT INTO db_raw_data_package_physical_copy VALUES (1, '{PACKAGE}');
INSERT INTO file_instance VALUES (2, '{UUID(int=5)}');
"""

OURS = """
CREATE SCHEMA ops AUTHORIZATION attacher;
CREATE SCHEMA catalog AUTHORIZATION attacher;
CREATE SCHEMA ivoa AUTHORIZATION attacher;
CREATE SCHEMA fyst AUTHORIZATION attacher;
CREATE SCHEMA tap_schema AUTHORIZATION attacher;
GRANT USAGE ON SCHEMA "Observatory" TO attacher;
GRANT SELECT ON ALL TABLES IN SCHEMA "Observatory" TO attacher;
"""

SETTINGS: dict[str, Any] = {
    "schema": "Observatory",
    "table_prefix": "db_",
    "tables": {
        "instrument_module": "detector_module",
        "executed_obs_unit": "executed",
        "source": "target",
        "fixed_source": "target",
        "solar_system_object": "target",
        "data_transfer_package": "",
    },
    "columns": {
        "instrument_module": {
            "instrument_id": "instrument",
            "name": "label",
            "frequency_min_ghz": "fmin",
            "frequency_max_ghz": "fmax",
        },
        "executed_obs_unit": {"id": "uid", "start_time": "begins", "end_time": "ends"},
        "source": {"type": "kind"},
        "fixed_source": {"ra_deg": "ra", "dec_deg": "Dec"},
        "raw_data_package": {"size_bytes": "bytes", "checksum": "hash", "checksum_algorithm": "hash_kind"},
        "physical_copy": {"raw_data_file_id": "file_instance.the_file"},
        "site": {"key": "short", "country": ""},
    },
    "enums": {
        "raw_data_package.state": {"BROKEN": "failed"},
        "source.type": {"FIXED": "fixed_source", "PLANET": "solar_system_object"},
        "physical_copy.type": {"file_copy": "raw_data_file_physical_copy"},
    },
}


@pytest.fixture
def theirs(postgres_server: Any) -> Iterator[str]:
    """Address of a database with their tables, for a login that reads theirs and owns ours, and may do no more."""
    url = postgres_server.create_database()
    if not postgres_server.execute(sql.SQL("SELECT 1 FROM pg_roles WHERE rolname = 'attacher'")):
        postgres_server.execute(sql.SQL("CREATE ROLE attacher LOGIN"))
    postgres_server.execute(sql.SQL(THEIRS), sa.make_url(url).database)
    postgres_server.execute(sql.SQL(OURS), sa.make_url(url).database)
    yield url
    postgres_server.drop_database(url)


@pytest.fixture
def attacher(theirs: str) -> Iterator[Database]:
    """The database, opened with that login."""
    with Database(sa.make_url(theirs).set(username="attacher").render_as_string(hide_password=False)) as database:
        yield database


def settings(**changes: Any) -> AttachedSettings:
    """The settings that fit, with changes."""
    return AttachedSettings.model_validate(SETTINGS | changes)


def execute_as_owner(url: str, statement: str) -> None:
    with Database(url) as owner, owner.begin() as connection:
        connection.exec_driver_sql(statement)


def test_the_models_read_an_attached_database_unchanged(attacher: Database) -> None:
    summary = attach(attacher, settings())
    assert current_revision(attacher) == head_revision()
    with attacher.session() as session:
        package = session.scalars(sa.select(RawDataPackage)).one()
        assert (package.id, package.size_bytes, package.checksum_algorithm) == (PACKAGE, 4711, "md5")
        assert package.state is PackageState.FAILED
        assert (package.sequence, package.status.value, package.supersedes) == (0, "pending", None)
        assert package.executed_obs_unit.id == EXECUTED
        assert package.executed_obs_unit.start_time == datetime(2026, 5, 1, 3, tzinfo=UTC)
        assert package.executed_obs_unit.end_time is None
        assert package.instrument_module.frequency_max_ghz == 495.5
        assert package.instrument_module.instrument.telescope.short_name == "FYST"
        assert package.executed_obs_unit.obs_unit.program.release_date == datetime(2027, 1, 1, tzinfo=UTC)
        assert [file.relative_path for file in package.files] == ["d/x.fits"]
        assert session.scalars(sa.select(DataTransferPackage)).all() == []
    assert "staging_job" in summary.empty_tables
    assert "raw_data_package.supersedes_id" in summary.empty_columns
    assert "site.country" not in summary.empty_columns


def test_subclasses_of_an_attached_database_are_found(attacher: Database) -> None:
    """Theirs lie in one table where ours lie in several, and the other way round."""
    attach(attacher, settings())
    with attacher.session() as session:
        sources = session.scalars(sa.select(Source).order_by(Source.id)).all()
        assert [type(source) for source in sources] == [FixedSource, SolarSystemObject, Source]
        fixed, planet = (
            session.scalars(sa.select(FixedSource)).one(),
            session.scalars(sa.select(SolarSystemObject)).one(),
        )
        assert (fixed.ra_deg, fixed.dec_deg) == (pytest.approx(83.8, abs=1e-5), pytest.approx(-5.4, abs=1e-6))
        assert planet.body == "jupiter"
        copies = session.scalars(sa.select(PhysicalCopy).order_by(PhysicalCopy.id)).all()
        assert [type(copy) for copy in copies] == [RawDataPackagePhysicalCopy, RawDataFilePhysicalCopy]
        assert [copy.full_path for copy in copies] == ["/data/a/b.tar", "/data/d/x.fits"]
        assert [copy.status for copy in copies] == [PhysicalCopyStatus.PRESENT, PhysicalCopyStatus.DELETED]
        assert copies[0].verification is Verification.NEVER
        location = session.scalars(sa.select(DiskDataLocation)).one()
        assert (location.location_type, location.active, location.site.key) == (LocationType.BUFFER, True, "ccat")


def test_nothing_of_theirs_is_changed(attacher: Database, theirs: str) -> None:
    query = (
        "SELECT relname, relkind::text, reltriggers FROM (SELECT c.*, (SELECT count(*) FROM pg_trigger t "
        "WHERE t.tgrelid = c.oid) reltriggers FROM pg_class c) c WHERE relnamespace = '\"Observatory\"'::regnamespace "
        "ORDER BY 1"
    )
    with Database(theirs) as owner:
        with owner.engine.connect() as connection:
            before = connection.exec_driver_sql(query).all()
        attach(attacher, settings())
        with owner.engine.connect() as connection:
            assert connection.exec_driver_sql(query).all() == before
    with pytest.raises(sa.exc.DBAPIError), attacher.begin() as connection:
        connection.execute(sa.delete(ObsUnit))


def test_what_is_attached_is_published_and_followed(attacher: Database, theirs: str) -> None:
    """Nothing but the core tables is theirs: identifiers, resolved rows and views are made on our side."""
    query = sa.text("SELECT obs_publisher_did, obs_collection, target_name, instrument_name, s_dec FROM ivoa.obscore")
    attach(attacher, settings(), derived=[PublishedObjects()])
    with attacher.begin() as connection:
        set_publication(connection, PublicationSettings(), base_url="http://localhost:8080")
    assert refresh(attacher).written == 1
    with attacher.engine.connect() as connection:
        row = connection.execute(query).one()
    assert tuple(row)[:4] == (f"ivo://ccat.example/raw?{PACKAGE}", "GEco", "Orion-KL", "CHAI/LFA")
    execute_as_owner(theirs, """UPDATE "Observatory".target SET name = 'M 42', "Dec" = -5.5 WHERE id = 1""")
    assert refresh(attacher).written == 1
    with attacher.engine.connect() as connection:
        assert tuple(connection.execute(query).one())[2:] == ("M 42", "CHAI/LFA", -5.5)


def test_a_catalog_around_it_is_asked_like_any_other(theirs: str) -> None:
    """With what it publishes described in TAP_SCHEMA, also when it is attached once more."""
    whole = Settings(database=DatabaseSettings(url=SecretStr(theirs)), attached=settings())
    query = "SELECT table_name FROM TAP_SCHEMA.tables WHERE table_name NOT LIKE 'fyst.%' ORDER BY table_index"
    for _ in range(2):
        with Catalog(whole) as catalog:
            catalog.init()
            catalog.check_ready()
            named = catalog.query(query).read_all()["table_name"].to_pylist()
            assert named[:3] == ["ivoa.obscore", "ivoa.obscore_radio", "ivoa.obsplan"]
            assert len(named) == 8
            planned = catalog.query("SELECT DISTINCT obs_id FROM ivoa.obsplan").read_all()["obs_id"].to_pylist()
            observed = catalog.query("SELECT DISTINCT obs_id FROM ivoa.obscore").read_all()["obs_id"].to_pylist()
            assert observed
            assert set(observed) <= set(planned)
            assert catalog.query("SELECT obs_id FROM ivoa.obscore").read_all().num_rows == 1


def test_users_of_another_log_in_and_none_is_made(attacher: Database, theirs: str) -> None:
    execute_as_owner(
        theirs,
        'CREATE TABLE "Observatory".db_user (id int PRIMARY KEY, username text, active boolean);'
        "INSERT INTO \"Observatory\".db_user VALUES (1, 'clara', true), (2, 'emil', false);"
        'GRANT SELECT ON "Observatory".db_user TO attacher',
    )
    attach(attacher, settings())
    accounts = AccountService(attacher)
    found = accounts.by_subject("clara", roles=frozenset({"staff"}), may_be_created=False)
    assert found is not None
    assert (found.username, found.roles, found.permissions, found.programmes) == ("clara", set(), set(), set())
    for name in ("emil", "nobody"):
        assert accounts.by_subject(name, roles=frozenset(), may_be_created=False) is None
        with pytest.raises(SettingsError, match="another's"):
            accounts.by_subject(name, roles=frozenset(), may_be_created=True)


class Watcher:
    """Derived objects that remember what is asked of them."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def install(self, connection: sa.Connection) -> None:
        self.asked.append("install")
        connection.exec_driver_sql("CREATE OR REPLACE VIEW ivoa.watched AS SELECT id, name FROM ops.raw_data_package")

    def drop(self, connection: sa.Connection) -> None:
        self.asked.append("drop")
        connection.exec_driver_sql("DROP VIEW IF EXISTS ivoa.watched")


def test_attaching_again_changes_nothing_until_names_change(attacher: Database, theirs: str) -> None:
    watcher = Watcher()
    attach(attacher, settings(), derived=[watcher])
    assert watcher.asked == ["drop", "install"]
    attach(attacher, settings(), derived=[watcher])
    assert watcher.asked == ["drop", "install", "install"]
    execute_as_owner(theirs, 'ALTER TABLE "Observatory".db_raw_data_package ADD COLUMN sequence integer DEFAULT 3')
    attach(attacher, settings(), derived=[watcher])
    assert watcher.asked == ["drop", "install", "install", "drop", "install"]
    with attacher.session() as session:
        assert session.scalars(sa.select(RawDataPackage.sequence)).one() == 3


def test_detaching_keeps_identifiers_for_the_next_time(attacher: Database) -> None:
    watcher = Watcher()
    attach(attacher, settings(), derived=[watcher])
    with attacher.session() as session:
        session.add(PackagePublication(raw_data_package_id=PACKAGE, obs_publisher_did="ivo://x.example/raw?1"))
        session.commit()
    detach(attacher, derived=[watcher])
    with pytest.raises(SettingsError, match="detached now"):
        upgrade(attacher)
    with pytest.raises(SettingsError, match="no operations database is attached"):
        detach(attacher)
    attach(attacher, settings(), derived=[watcher])
    with attacher.session() as session:
        assert session.scalars(sa.select(PackagePublication.obs_publisher_did)).one() == "ivo://x.example/raw?1"
        assert session.scalars(sa.select(ExecutedObsUnit)).one().id == EXECUTED


def without(section: str, table: str, *names: str) -> dict[str, Any]:
    """The settings without some names."""
    known = {key: dict(value) if isinstance(value, dict) else value for key, value in SETTINGS[section].items()}
    for name in names:
        del known[table][name]
    return {section: known}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"schema": "nowhere"}, "no schema nowhere"),
        ({"schema": "ops"}, "needs a schema of this name for itself"),
        ({"table_prefix": "x_"}, r"Observatory lacks the table x_\w+ for our \w+"),
        ({"tables": SETTINGS["tables"] | {"raw_data_package": ""}}, "lacks any table for our raw_data_package"),
        ({"tables": SETTINGS["tables"] | {"site": "sites"}}, "lacks the table sites for our site"),
        ({"tables": SETTINGS["tables"] | {"sight": "db_site"}}, "name the table sight, which is none of ours"),
        (without("columns", "raw_data_package", "size_bytes"), "db_raw_data_package has nothing for size_bytes"),
        (without("columns", "executed_obs_unit", "id"), "executed has nothing for id of our executed_obs_unit"),
        (without("columns", "instrument_module", "instrument_id"), "detector_module has nothing for instrument_id"),
        (without("columns", "source", "type"), "target has nothing for type of our"),
        (
            {"columns": SETTINGS["columns"] | {"site": {"key": "short", "name": "nom"}}},
            r"attached\.columns\.site\.name names nom, which the schema Observatory lacks",
        ),
        ({"columns": SETTINGS["columns"] | {"site": {"kee": "short"}}}, "names the column kee, which our site lacks"),
        (
            {"columns": SETTINGS["columns"] | {"observing_program": {"id": "name"}}},
            r"db_observing_program\.name is of type text, which cannot become int4 for id of our observing_program",
        ),
        ({"enums": {"site.kind": {}}}, r"attached\.enums names site\.kind"),
        (
            {"enums": {key: value for key, value in SETTINGS["enums"].items() if "package" not in key}},
            r"raw_data_package\.state has the value 'BROKEN', which is none of",
        ),
    ],
)
def test_what_does_not_fit_is_refused_by_name(attacher: Database, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        attach(attacher, settings(**changes))
    with attacher.engine.connect() as connection:
        assert sa.inspect(connection).get_view_names(schema="ops") == []


def test_a_table_that_the_login_may_not_read_is_named(attacher: Database, theirs: str) -> None:
    execute_as_owner(theirs, 'REVOKE SELECT ON "Observatory".db_site FROM attacher')
    with pytest.raises(SettingsError, match=r"may not read Observatory\.db_site") as refusal:
        attach(attacher, settings())
    assert "GRANT SELECT ON Observatory.db_site" in str(refusal.value.hint)


def test_a_database_with_operations_tables_of_its_own_attaches_no_other(theirs: str) -> None:
    with Database(theirs) as owner:
        upgrade(owner)
        with pytest.raises(SettingsError, match="operations tables of its own"):
            attach(owner, settings())


@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
def test_sqlite_attaches_nothing(database: Database) -> None:
    with pytest.raises(SettingsError, match="only a PostgreSQL database can be attached"):
        attach(database, settings())
