"""The whole catalog from Python: what settings become, and what each door may rely on."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from psycopg import sql

import catalog as package
from catalog import Catalog, CatalogError, Settings, open_catalog
from catalog.errors import (
    IntegrityError,
    NotFoundError,
    ParameterError,
    SettingsError,
    UnavailableError,
    UsageError,
)
from catalog.opsdb.enums import PackageState
from catalog.opsdb.models import FixedSource
from catalog.settings import DatabaseSettings, PublicationSettings, ServiceSettings, TapSettings


@pytest.fixture
def filled(database_url: str) -> Iterator[Catalog]:
    """A catalog with a few synthetic packages."""
    with open_catalog(database_url) as opened:
        opened.init()
        opened.load_synthetic(packages=30, seed=5, files_per_package=1)
        yield opened


def count(catalog: Catalog, condition: str = "1 = 1") -> int:
    query = f"SELECT COUNT(*) AS n FROM ivoa.obscore WHERE {condition}"
    return int(catalog.query(query).read_all().column(0).to_pylist()[0])


def changed(**sections: Any) -> Settings:
    return Settings(**sections)


def test_files_and_folders_may_be_named_by_text(filled: Catalog, tmp_path: Path) -> None:
    exported = filled.export_obscore(str(tmp_path / "all.csv"))
    assert exported.rows == filled.write_records(str(tmp_path / "records")) == count(filled)
    assert (tmp_path / "all.csv").stat().st_size
    with open_catalog(f"sqlite:///{tmp_path}/other.db") as other:
        other.init()
        (tmp_path / "none.jsonl").touch()
        assert other.ingest([str(tmp_path / "none.jsonl")]).created == 0


# --- opening -------------------------------------------------------------------------------------------------


def test_the_package_offers_its_public_names_and_no_others() -> None:
    assert {name: getattr(package, name) for name in package.__all__}
    with pytest.raises(AttributeError, match="no_such_name"):
        package.no_such_name  # noqa: B018


def test_importing_a_lower_floor_does_not_load_the_house() -> None:
    asked = "import sys, catalog, catalog.vo.table; print('sqlalchemy' in sys.modules, 'starlette' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True).stdout
    assert shown.split() == ["False", "False"]


def test_serving_does_not_load_what_only_migrations_maps_and_fits_headers_need() -> None:
    heavy = ("alembic", "mocpy", "astropy.coordinates", "astropy.table", "astropy.wcs")
    asked = f"import sys, catalog.web.server; print([name for name in {heavy} if name in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True).stdout
    assert shown.strip() == "[]"


def test_a_catalog_opens_by_url_by_settings_and_by_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    url = f"sqlite:///{tmp_path}/a.db"
    with open_catalog(url) as catalog:
        assert catalog.settings.database.url.get_secret_value() == url
    with open_catalog(changed(database=DatabaseSettings(url=url), tap=TapSettings(maxrec_default=3))) as catalog:
        assert catalog.tap_capability.maxrec_default == 3
    monkeypatch.setenv("CATALOG_DATABASE_URL", url)
    monkeypatch.setenv("CATALOG_SERVICE_TITLE", "Ours")
    with open_catalog() as catalog:
        assert catalog.settings.database.url.get_secret_value() == url
        assert catalog.settings.service.title == "Ours"


def test_a_url_of_another_kind_is_refused() -> None:
    with pytest.raises(SettingsError, match="sqlite"):
        open_catalog("mysql://x/y")


def test_ten_lines_open_the_catalog(filled: Catalog, database_url: str) -> None:
    with (
        open_catalog(database_url) as catalog,
        catalog.query("SELECT TOP 5 obs_publisher_did, s_ra, s_dec FROM ivoa.obscore") as rows,
    ):
        assert rows.read_all().num_rows == 5


# --- init ----------------------------------------------------------------------------------------------------


def test_init_is_safe_to_repeat(filled: Catalog) -> None:
    before = count(filled)
    first, second = filled.init(), filled.init()
    assert first.revision == second.revision
    assert second.resolved == 0
    assert count(filled) == before


def test_an_empty_database_is_not_ready_and_says_what_to_do(database_url: str, engine_name: str) -> None:
    with open_catalog(database_url) as catalog:
        with pytest.raises(CatalogError) as raised:
            catalog.check_ready()
        assert "catalog init" in str(raised.value.hint)
        assert catalog.problem() == raised.value.message
        catalog.init()
        catalog.check_ready()
        assert catalog.problem() is None
        assert count(catalog) == 0


def test_a_database_that_does_not_exist_is_not_made_by_asking(tmp_path: Path) -> None:
    path = tmp_path / "absent.db"
    with open_catalog(f"sqlite:///{path}") as catalog:
        assert "absent.db" in str(catalog.problem())
        with pytest.raises(UnavailableError, match=r"absent\.db"):
            catalog.check_ready()
    assert not path.exists()


def test_a_server_that_does_not_answer_is_said_to_be_away() -> None:
    with open_catalog("postgresql://nobody@127.0.0.1:1/none") as catalog:
        assert "does not answer" in str(catalog.problem())
        with pytest.raises(UnavailableError):
            catalog.init()


def test_the_authority_of_a_filled_catalog_stays(filled: Catalog, database_url: str) -> None:
    settings = changed(
        database=DatabaseSettings(url=database_url), publication=PublicationSettings(authority="org.other")
    )
    with open_catalog(settings) as other, pytest.raises(IntegrityError, match=r"org\.other"):
        other.init()


def test_the_public_login_sees_what_is_published_and_nothing_else(postgres_server: Any) -> None:
    url = postgres_server.create_database()
    settings = changed(database=DatabaseSettings(url=url, public_url=postgres_server.reader_url(url)))
    with open_catalog(settings) as catalog:
        catalog.init()
        catalog.load_synthetic(packages=20, seed=1)
        assert count(catalog) > 10
        assert catalog.problem() is None
        name = url.rpartition("/")[2]
        postgres_server.execute(sql.SQL("REVOKE SELECT ON ivoa.obscore FROM catalog_reader"), name)
        assert catalog.problem() is not None, "the service is asked as its clients ask it"
    postgres_server.drop_database(url)


# --- changes -------------------------------------------------------------------------------------------------


def test_what_a_session_changes_is_published_as_it_commits(filled: Catalog) -> None:
    with filled.session() as session:
        source = session.scalars(sa.select(FixedSource).where(FixedSource.name.like("%Orion%"))).first()
        assert source is not None
        source.name = "Renamed"
        assert count(filled, "target_name = 'Renamed'") == 0
        session.commit()
    assert count(filled, "target_name = 'Renamed'") > 0
    assert list(filled.differences()) == []


def test_differences_show_what_plain_sql_has_changed_until_it_is_refreshed(filled: Catalog) -> None:
    assert list(filled.differences()) == []
    schema = "ops." if filled.database.dialect == "postgresql" else ""
    with filled.database.begin() as connection:
        connection.execute(sa.text(f"UPDATE {schema}source SET name = 'Other ' || name WHERE name LIKE '%Orion%'"))
    found = list(filled.differences())
    assert {difference.column for difference in found} == {"target_name"}
    assert all(difference.fresh == f"Other {difference.stored}" for difference in found)
    assert filled.refresh().written == len(found) > 0
    assert list(filled.differences()) == []


def test_a_withdrawn_package_is_gone_until_it_is_restored(filled: Catalog) -> None:
    [did] = filled.query("SELECT TOP 1 obs_publisher_did FROM ivoa.obscore").read_all().column(0).to_pylist()
    assert filled.record(did).obs_publisher_did == did
    filled.withdraw(did, "broken")
    assert count(filled, f"obs_publisher_did = '{did}'") == 0
    with pytest.raises(NotFoundError, match="broken"):
        filled.record(did)
    filled.restore(did)
    assert count(filled, f"obs_publisher_did = '{did}'") == 1
    with pytest.raises(NotFoundError, match="no-such"):
        filled.withdraw("ivo://no-such/x", "reason")
    with pytest.raises(UsageError, match="reason"):
        filled.withdraw(did, "  ")


def test_announcing_the_address_moves_every_access_url(filled: Catalog, database_url: str) -> None:
    service = ServiceSettings(base_url="https://data.example.org/x/")
    with open_catalog(changed(database=DatabaseSettings(url=database_url), service=service)) as catalog:
        assert catalog.public_url("/tap") == "https://data.example.org/x/tap"
        assert count(catalog, "access_url LIKE 'https://data.example.org/x/%'") == 0
        catalog.announce()
        assert count(catalog, "access_url LIKE 'https://data.example.org/x/%'") > 0
        assert count(catalog, "access_url NOT LIKE 'https://data.example.org/x/%'") == 0


@pytest.mark.parametrize(
    ("host", "url"), [("127.0.0.1", "http://127.0.0.1:8080"), ("::1", "http://[::1]:8080"), ("a.b", "http://a.b:8080")]
)
def test_the_address_is_made_of_host_and_port(host: str, url: str) -> None:
    assert ServiceSettings(host=host).url == url


def test_a_host_that_stands_for_all_is_no_address_for_clients() -> None:
    everywhere = "0.0.0.0"  # noqa: S104  (nobody listens)
    assert not ServiceSettings(host=everywhere).is_address_known
    assert not ServiceSettings(host="::").is_address_known
    assert ServiceSettings(host=everywhere, base_url="https://data.example.org").is_address_known
    assert ServiceSettings().is_address_known


# --- for people ----------------------------------------------------------------------------------------------


def test_holdings_count_every_state_and_are_not_counted_at_every_call(filled: Catalog) -> None:
    holdings = filled.holdings()
    assert set(holdings.held.packages) == set(PackageState)
    assert sum(holdings.held.packages.values()) == 30
    assert holdings.published == count(filled)
    assert filled.holdings() is holdings


def test_formats_go_by_name_else_by_the_ending_else_votable(filled: Catalog) -> None:
    assert filled.format_for("csv", Path("x.fits")).name == "csv"
    assert filled.format_for(None, Path("x.fits")).name == "fits"
    assert filled.format_for(None, None).name == "votable"
    with pytest.raises(ParameterError, match="xls"):
        filled.format_for("xls", None)
    with pytest.raises(ParameterError, match=r"x\.xls"):
        filled.format_for(None, Path("x.xls"))


def test_closing_cancels_what_runs_and_may_be_repeated(filled: Catalog) -> None:
    rows = filled.query(
        "SELECT COUNT(*) AS n FROM ivoa.obscore AS a, ivoa.obscore AS b, ivoa.obscore AS c, "
        "ivoa.obscore AS d, ivoa.obscore AS e, ivoa.obscore AS f, ivoa.obscore AS g"
    )
    threading.Timer(0.5, filled.close).start()
    began = time.monotonic()
    with pytest.raises(UnavailableError):
        rows.read_all()
    assert time.monotonic() - began < 5
    filled.close()
    with pytest.raises(UnavailableError):
        filled.query("SELECT obs_id FROM ivoa.obscore").read_all()
