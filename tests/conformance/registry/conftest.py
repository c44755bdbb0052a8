"""A running registry that others harvest and judge, on each engine: every kind of record, all facts, a tombstone."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from lxml import etree

from catalog import open_catalog
from catalog.assets import asset_path
from catalog.db import Database
from catalog.opsdb.models import PackagePublication, RawDataPackage, RawDataPackageMetadata
from catalog.registry.resources import CREATED, UPDATED
from catalog.registry.schemas import SchemaSet
from catalog.registry.store import RecordStore, Selection, write_time

OAI = "{http://www.openarchives.org/OAI/2.0/}"
PAGE = 3
PACKAGES = 60

PUBLISHER = {
    "contact": {"address": "Cerro Chajnantor\nAtacama", "telephone": "+56 2 0000 0000"},
    "ror": "05dxps055",
}
FULL = {
    "kind": "collection",
    "collection": "GEco",
    "path": "collections/GEco",
    "title": "Galactic <Ecology> & Ŝtars",
    "short_name": "GEco",
    "description": 'Maps of "carbon" in {name} ({short_name}) by {pi_name}, kept by {publisher}, for all to see.',
    "doi": "10.1234/fyst.geco",
    "bibcode": "2023ApJS..264....7C",
    "version": "2",
    "subjects": ["submillimeter-astronomy", "interstellar-medium"],
    "creators": [{"name": "Ŝpec, A.", "orcid": "0000-0002-1825-0097"}, {"name": "{pi_name}"}],
    "rights": {"text": "CC0 & more", "uri": "https://spdx.org/licenses/CC0-1.0.html"},
    "content_levels": ["Research", "General"],
    "wavebands": ["Millimeter", "Radio"],
    "reference_url": "https://archive.example/geco?a=1&b=2",
    "related": [
        {"type": "IsSupplementTo", "title": "An article"},
        {"type": "Cites", "title": "A registry", "ivoid": "ivo://ivoa.net/rofr"},
    ],
}


@dataclass(frozen=True, slots=True)
class Registry:
    """A registry that is served."""

    url: str
    database_url: str

    @property
    def service_url(self) -> str:
        """The service that it belongs to."""
        return self.url.removesuffix("/oai")

    def get(self, query: str) -> bytes:
        """The answer to a request; the protocol wants status 200 and XML, whatever is asked."""
        answer = httpx.get(f"{self.url}?{query}", timeout=60)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"].startswith("text/xml")
        return answer.content

    def ask(self, query: str) -> Any:
        """The answer as a tree."""
        return etree.fromstring(self.get(query))

    def documents(self, query: str) -> Iterator[bytes]:
        """Every page of a list."""
        verb = query.partition("&")[0]
        while query:
            document = self.get(query)
            token = etree.fromstring(document).findtext(f".//{OAI}resumptionToken")
            query = f"{verb}&resumptionToken={token}" if token else ""
            yield document

    def published(self) -> dict[str, tuple[str, bool]]:
        """What is in the database: identifier, datestamp, and whether it is a tombstone."""
        with Database(self.database_url) as database:
            found = store_of(database).page(Selection(), after=None, limit=100_000)
        return {record.identifier: (write_time(record.datestamp), record.deleted) for record in found}


Open = Callable[..., AbstractContextManager[Registry]]


def store_of(database: Database) -> RecordStore:
    return RecordStore(database, created_mark=CREATED, updated_mark=UPDATED)


def wait_until_published(url: str) -> None:
    """Until the records of this service, with its own address in them, can be harvested."""
    deadline = time.monotonic() + 120
    while f"{url}</accessURL>" not in httpx.get(f"{url}?verb=Identify").text:
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.fixture(scope="session")
def declared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of records in which one says everything that may be said."""
    folder = Path(shutil.copytree(asset_path("vo_resources", "records"), tmp_path_factory.mktemp("mine") / "records"))
    publisher = yaml.safe_load((folder / "publisher.yaml").read_text())
    publisher["contact"] |= PUBLISHER["contact"]
    publisher["ror"] = PUBLISHER["ror"]
    (folder / "publisher.yaml").write_text(yaml.safe_dump(publisher))
    (folder / "geco.yaml").write_text(yaml.safe_dump(FULL))
    return folder


@pytest.fixture(scope="session")
def new_registry(
    engine: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[], str]:
    """Makes a database whose registry has been published, and in which a programme has been withdrawn since."""

    def make() -> str:
        if engine == "sqlite":
            url = f"sqlite:///{tmp_path_factory.mktemp('registry')}/catalog.db"
        else:
            url = request.getfixturevalue("postgres_server").create_database()
        with open_catalog(url) as catalog:
            catalog.init()
            catalog.load_synthetic(packages=PACKAGES, seed=5, files_per_package=1)
            query = "SELECT TOP 1 obs_publisher_did FROM ivoa.obscore WHERE obs_collection <> 'CMB'"
            did = catalog.query(query).read_all().column(0)[0].as_py()
            with catalog.session() as session:
                publication = session.query(PackagePublication).filter_by(obs_publisher_did=did).one()
                package = session.get_one(RawDataPackage, publication.raw_data_package_id)
                stated = package.package_metadata or RawDataPackageMetadata(package=package)
                stated.dataproduct_type = "image"
                session.commit()
            catalog.registry.publish()
            for row in (
                catalog.query("SELECT obs_publisher_did, obs_collection FROM ivoa.obscore").read_all().to_pylist()
            ):
                if row["obs_collection"] == "CMB":
                    catalog.withdraw(row["obs_publisher_did"], "a test")
        return url

    return make


@pytest.fixture(scope="session")
def registry(new_registry: Callable[[], str], serve: Any, declared: Path) -> Iterator[Registry]:
    """Tests read it only. Its pages are short."""
    database_url = new_registry()
    with serve(database_url, registry_page_size=PAGE, registry_records=declared) as base:
        wait_until_published(f"{base}/oai")
        yield Registry(f"{base}/oai", database_url)


@pytest.fixture(scope="session")
def schemas(schemata: Path) -> Iterator[SchemaSet]:
    """The schemas of the standards."""
    with SchemaSet(schemata) as opened:
        yield opened
