"""Authority and path stand fast once there are identifiers; packages are withdrawn and restored; who may read what."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from catalog.db import Database
from catalog.errors import IntegrityError, NotFoundError, SettingsError, UsageError
from catalog.opsdb.enums import PackageState, PhysicalCopyStatus
from catalog.opsdb.grants import ReaderGrants, grant_reader
from catalog.opsdb.migrate import upgrade
from catalog.opsdb.models import PackagePublication, PhysicalCopy, RawDataPackage
from catalog.opsdb.publication import (
    Publication,
    read_publication,
    restore,
    set_base_url,
    set_publication,
    withdraw,
)
from catalog.opsdb.queries import SiteCopies, read_holdings
from catalog.settings import PublicationSettings

PACKAGE = UUID("00000000-0000-4000-8000-000000000001")
DID = f"ivo://ccat.example/raw?{PACKAGE}"
Force = Callable[[Database, sa.Executable], None]
SETTINGS = PublicationSettings(authority="ccat.example", path="raw")


def test_a_database_without_publication_says_so(migrated: Database) -> None:
    with migrated.begin() as connection, pytest.raises(SettingsError, match="under which name it is published"):
        read_publication(connection)


def test_what_is_set_is_read_back_and_setting_it_again_changes_nothing(migrated: Database) -> None:
    wanted = Publication("ccat.example", "raw", "ivo://ccat.example", "http://localhost:8080")
    with migrated.begin() as connection:
        assert set_publication(connection, SETTINGS, base_url="http://localhost:8080/") == wanted
        assert read_publication(connection) == wanted
        rows = connection.exec_driver_sql(f"SELECT updated_at FROM {_settings(migrated)} ORDER BY key").all()
    with migrated.begin() as connection:
        set_publication(connection, SETTINGS, base_url="http://localhost:8080")
        again = connection.exec_driver_sql(f"SELECT updated_at FROM {_settings(migrated)} ORDER BY key").all()
    assert again == rows


def _settings(database: Database) -> str:
    return "publication_setting" if database.dialect == "sqlite" else "catalog.publication_setting"


def test_the_base_url_changes_alone(migrated: Database) -> None:
    with migrated.begin() as connection:
        set_publication(connection, SETTINGS, base_url="http://localhost:8080")
        set_base_url(connection, "https://data.example.org/vo/")
        assert read_publication(connection).base_url == "https://data.example.org/vo"
        with pytest.raises(UsageError, match="is no base URL"):
            set_base_url(connection, "data.example.org")


@pytest.mark.parametrize("changed", [{"authority": "other.example"}, {"path": "raw/2"}])
def test_authority_and_path_change_only_while_nothing_is_published(
    observed: Database, migrated: Database, changed: dict[str, str]
) -> None:
    other = SETTINGS.model_copy(update=changed)
    for database in (observed, migrated):
        with database.begin() as connection:
            set_publication(connection, SETTINGS, base_url="http://localhost:8080")
    with migrated.begin() as connection:
        set_publication(connection, other, base_url="http://localhost:8080")
        assert read_publication(connection).authority == other.authority
    with pytest.raises(IntegrityError, match="identifiers never change"), observed.begin() as connection:
        set_publication(connection, other, base_url="http://localhost:8080")
    with observed.begin() as connection:
        assert read_publication(connection).path == "raw"


@pytest.mark.parametrize(
    ("authority", "path"), [("a b", "raw"), ("", "raw"), ("ccat.example", ""), ("ccat.example", "/raw")]
)
def test_what_makes_no_identifier_is_refused(migrated: Database, authority: str, path: str) -> None:
    settings = PublicationSettings(authority=authority, path=path)
    with migrated.begin() as connection, pytest.raises(SettingsError, match=r"publication\."):
        set_publication(connection, settings, base_url="http://localhost:8080")


def test_a_package_is_withdrawn_and_restored_and_queued_each_time(
    observed: Database, queued: Callable[[], set[UUID]]
) -> None:
    columns = sa.select(PackagePublication.withdrawn_at, PackagePublication.withdrawn_reason)
    with observed.begin() as connection:
        assert withdraw(connection, DID, " wrong target ") == PACKAGE
        first = connection.execute(columns).one()
        assert first.withdrawn_reason == "wrong target"
    assert queued() == {PACKAGE}
    with observed.begin() as connection:
        withdraw(connection, DID, "wrong source")
        assert connection.execute(columns).one() == (first.withdrawn_at, "wrong source")
    assert queued() == set()
    with observed.begin() as connection:
        assert restore(connection, DID) == PACKAGE
        assert connection.execute(columns).one() == (None, None)
    assert queued() == {PACKAGE}


def test_an_unknown_identifier_and_an_empty_reason_are_refused(observed: Database) -> None:
    with observed.begin() as connection:
        with pytest.raises(NotFoundError, match="no package has the identifier"):
            withdraw(connection, "ivo://ccat.example/raw?x", "because")
        with pytest.raises(NotFoundError):
            restore(connection, "ivo://ccat.example/raw?x")
        with pytest.raises(UsageError, match="for a reason"):
            withdraw(connection, DID, "  ")


def test_holdings_are_counted(observed: Database, force: Force) -> None:
    with observed.begin() as connection:
        connection.execute(
            sa.update(RawDataPackage).where(RawDataPackage.id == PACKAGE).values(state=PackageState.ARCHIVED)
        )
    gone = sa.update(PhysicalCopy).where(
        PhysicalCopy.raw_data_package_id == PACKAGE, PhysicalCopy.data_location_id == 1
    )
    force(observed, gone.values(status=PhysicalCopyStatus.DELETED))
    with observed.engine.connect() as connection:
        holdings = read_holdings(connection)
    assert holdings.packages == {
        PackageState.WAITING: 1,
        PackageState.TRANSFERRING: 0,
        PackageState.ARCHIVED: 1,
        PackageState.FAILED: 0,
    }
    assert {(copy.site, copy.copies) for copy in holdings.copies} == {("ccat", 1), ("cologne", 1)}
    assert sorted(copy.status for copy in holdings.copies) == ["deleted", "present"]
    assert isinstance(holdings.copies[0], SiteCopies)
    assert holdings.programs == 1


@pytest.mark.parametrize("engine_name", ["postgresql"], indirect=True)
def test_the_reader_sees_what_is_published_and_nothing_behind_it(
    migrated: Database, database_url: str, postgres_server: Any
) -> None:
    reader = sa.make_url(postgres_server.reader_url(database_url)).username
    assert reader is not None
    with migrated.begin() as connection:
        connection.exec_driver_sql("CREATE VIEW ivoa.before AS SELECT id FROM ops.raw_data_package")
        connection.exec_driver_sql(f"GRANT SELECT ON ops.raw_data_package TO {reader}")
    upgrade(migrated, derived=[ReaderGrants(reader)])
    with migrated.begin() as connection:
        connection.exec_driver_sql("CREATE VIEW fyst.after AS SELECT id FROM ops.raw_data_package")
    with Database(postgres_server.reader_url(database_url)) as public:
        for name in ("ivoa.before", "fyst.after"):
            with public.engine.connect() as connection:
                assert connection.exec_driver_sql(f"SELECT count(*) FROM {name}").scalar() == 0
        for name in ("ops.raw_data_package", "catalog.publication_setting"):
            with pytest.raises(sa.exc.DBAPIError, match="permission denied"), public.engine.connect() as connection:
                connection.exec_driver_sql(f"SELECT count(*) FROM {name}")
        with pytest.raises(sa.exc.DBAPIError, match="permission denied"), public.engine.connect() as connection:
            connection.exec_driver_sql("DELETE FROM ivoa.before")


@pytest.mark.parametrize("engine_name", ["postgresql"], indirect=True)
def test_the_reader_may_make_temporary_tables_where_that_is_nobodys_right(
    migrated: Database, database_url: str, postgres_server: Any
) -> None:
    url = postgres_server.reader_url(database_url)
    reader, name = sa.make_url(url).username, sa.make_url(url).database
    with migrated.begin() as connection:
        connection.exec_driver_sql(f"REVOKE TEMPORARY ON DATABASE {name} FROM PUBLIC")
    with Database(database_url, public_url=url) as public:
        assert not public.takes_temporary_tables()
    upgrade(migrated, derived=[ReaderGrants(str(reader))])
    with Database(database_url, public_url=url) as public:
        assert public.takes_temporary_tables()


def test_a_role_that_does_not_exist_is_refused_where_there_are_roles(migrated: Database) -> None:
    with migrated.begin() as connection:
        if migrated.dialect == "sqlite":
            grant_reader(connection, "nobody_of_this_name")
            return
        with pytest.raises(SettingsError, match="has no role nobody_of_this_name") as refused:
            grant_reader(connection, "nobody_of_this_name")
    assert refused.value.hint == "psql -U postgres -c 'CREATE ROLE nobody_of_this_name LOGIN'"
