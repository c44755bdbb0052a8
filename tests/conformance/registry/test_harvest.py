"""Harvesters that none of us wrote read the registry to its end, whatever happens meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from itertools import islice
from types import SimpleNamespace
from typing import Any

import pytest
from lxml import etree
from oaipmh.client import Client
from oaipmh.metadata import MetadataRegistry
from oaipmh_scythe import Scythe
from sickle import Sickle

from catalog import open_catalog
from catalog.db import Database
from catalog.registry.resources import render_dublin_core, render_voresource
from catalog.registry.store import Rendered

from .conftest import OAI, PAGE, Registry, store_of, wait_until_published

pytestmark = pytest.mark.conformance

MANY = 5000
MANY_PAGE = 100

State = tuple[str, tuple[str, bool]]
Harvest = Callable[..., Iterator[State]]


class Evaluator:
    """What pyoai expects of lxml: newer ones are called instead."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.evaluate = etree.XPathEvaluator(*arguments, **options)


@pytest.fixture(autouse=True)
def lxml_of_pyoai(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {name: getattr(etree, name) for name in ("XML", "SubElement", "XMLSyntaxError")}
    monkeypatch.setattr("oaipmh.client.etree", SimpleNamespace(XPathEvaluator=Evaluator, **known))


def by_sickle(url: str, prefix: str = "ivo_vor", since: str | None = None) -> Iterator[State]:
    bounds = {} if since is None else {"from": since}
    for record in Sickle(url).ListRecords(metadataPrefix=prefix, ignore_deleted=False, **bounds):
        yield record.header.identifier, (record.header.datestamp, record.header.deleted)


def by_scythe(url: str, prefix: str = "ivo_vor", since: str | None = None) -> Iterator[State]:
    with Scythe(url) as client:
        for record in client.list_records(metadata_prefix=prefix, from_=since):
            assert not isinstance(record.header, str)
            yield record.header.identifier, (record.header.datestamp, record.header.deleted)


def by_pyoai(url: str, prefix: str = "ivo_vor", since: str | None = None) -> Iterator[State]:
    """By POST."""
    known = MetadataRegistry()
    known.registerReader(prefix, lambda element: element)
    bounds = {} if since is None else {"from_": datetime.strptime(since, "%Y-%m-%dT%H:%M:%SZ")}
    client = Client(url, known)
    client.updateGranularity()
    for header, _, _ in client.listRecords(metadataPrefix=prefix, **bounds):
        yield header.identifier(), (header.datestamp().isoformat() + "Z", header.isDeleted())


HARVESTERS = pytest.mark.parametrize("harvest", [by_sickle, by_scythe, by_pyoai])


@pytest.mark.parametrize("prefix", ["ivo_vor", "oai_dc"])
@HARVESTERS
def test_every_record_and_tombstone_is_found(registry: Registry, prefix: str, harvest: Harvest) -> None:
    found = list(harvest(registry.url, prefix))
    assert len(found) == len(dict(found)) > 2 * PAGE
    assert dict(found) == registry.published()
    assert sum(deleted for _, (_, deleted) in found) == 1


def test_all_read_what_the_registry_is(registry: Registry) -> None:
    sickle, pyoai = Sickle(registry.url), Client(registry.url, MetadataRegistry())
    with Scythe(registry.url) as scythe:
        told = scythe.identify()
        assert sickle.Identify().baseURL == pyoai.identify().baseURL() == told.baseURL == registry.url
        assert pyoai.identify().deletedRecord() == told.deletedRecord == "persistent"
        assert {each.metadataPrefix for each in sickle.ListMetadataFormats()} == {"ivo_vor", "oai_dc"}
        sets = [each.setSpec for each in sickle.ListSets()]
        assert sets == [spec for spec, _, _ in pyoai.listSets()] == [each.setSpec for each in scythe.list_sets()]


# --- thousands of records, which change and disappear ----------------------------------------------------------


@pytest.fixture(scope="module")
def clones(registry: Registry) -> Callable[..., list[Rendered]]:
    """Makes all records of the registry, and many like one of them."""
    with open_catalog(registry.database_url) as catalog:
        resources = catalog.registry.resources()
    own = [Rendered(r.identifier, r.kind, render_voresource(r), render_dublin_core(r)) for r in resources]
    model = next(resource for resource in resources if resource.kind == "collection")
    blank = replace(model, identifier="ivo://ccat.example/many/NUMBER", title="TITLE")
    documents = render_voresource(blank), render_dublin_core(blank)

    def clone(count: int, titles: dict[int, str] | None = None) -> list[Rendered]:
        made = list(own)
        for number in range(count):
            name, title = f"{number:05d}", (titles or {}).get(number, "as it was")
            if title:
                vor, dc = (text.replace("NUMBER", name).replace("TITLE", title) for text in documents)
                made.append(Rendered(f"ivo://ccat.example/many/{name}", "collection", vor, dc))
        return made

    return clone


@pytest.fixture(scope="module")
def large(
    new_registry: Callable[[], str], serve: Any, clones: Callable[..., list[Rendered]]
) -> Iterator[tuple[Registry, Database]]:
    """A registry of thousands, and its database."""
    database_url = new_registry()
    with serve(database_url, registry_page_size=MANY_PAGE) as base, Database(database_url) as database:
        registry = Registry(f"{base}/oai", database_url)
        wait_until_published(registry.url)
        store_of(database).publish(clones(MANY))
        yield registry, database


def test_thousands_come_in_pages_of_a_hundred(large: tuple[Registry, Database]) -> None:
    registry, _ = large
    first = registry.ask("verb=ListIdentifiers&metadataPrefix=ivo_vor")
    assert len(first.findall(f".//{OAI}header")) == MANY_PAGE
    found = list(by_sickle(registry.url))
    assert len(found) == len(dict(found)) > MANY
    assert int(first.find(f".//{OAI}resumptionToken").get("completeListSize")) == len(found)
    assert dict(found) == registry.published()


@HARVESTERS
def test_what_changes_and_disappears_meanwhile_is_found(
    large: tuple[Registry, Database], clones: Callable[..., list[Rendered]], harvest: Harvest
) -> None:
    """A harvest of what is new, during which both what was given and what was not changes and disappears."""
    registry, database = large
    records, name = store_of(database), harvest.__name__
    records.publish(clones(MANY, dict.fromkeys(range(600), f"before {name}")))
    held = registry.published()
    since = registry.ask("verb=Identify").findtext(f"{OAI}responseDate")
    titles = dict.fromkeys(range(500), f"new for {name}")
    records.publish(clones(MANY, titles))
    answers = harvest(registry.url, since=since)
    held.update(islice(answers, 150))
    gone = {0: "", 120: "", 450: "", 4000: ""}
    records.publish(clones(MANY + 3, titles | {1: "newer", 300: "newer", 4500: "newer"} | gone))
    rest = list(answers)
    held.update(rest)
    assert len(rest) >= 350
    assert held == registry.published()
    assert {int(name[-5:]) for name, (_, deleted) in held.items() if deleted and "/many/" in name} >= gone.keys()


def test_a_harvest_goes_on_after_a_restart_at_which_nearly_all_disappears(
    large: tuple[Registry, Database], serve: Any, clones: Callable[..., list[Rendered]]
) -> None:
    """The service publishes what its facts make of it as it starts: thousands of records become tombstones."""
    before, database = large
    store_of(database).publish(clones(MANY))
    held, query = {}, "verb=ListRecords&metadataPrefix=ivo_vor"
    for _ in range(10):
        page = before.ask(query)
        for header in page.iter(f"{OAI}header"):
            held[header.findtext(f"{OAI}identifier")] = (
                header.findtext(f"{OAI}datestamp"),
                header.get("status") == "deleted",
            )
        token = page.findtext(f".//{OAI}resumptionToken")
        query = f"verb=ListRecords&resumptionToken={token}"
    with serve(before.database_url, registry_page_size=MANY_PAGE) as base:
        wait_until_published(f"{base}/oai")
        with Scythe(f"{base}/oai") as client:
            for record in client.list_records(resumption_token=token):
                held[record.header.identifier] = (record.header.datestamp, record.header.deleted)
    assert held == before.published()
    assert sum(deleted for _, deleted in held.values()) > MANY
