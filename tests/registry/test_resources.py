"""Records are valid by the schemas of the standards, and say what is so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from catalog import Catalog, Settings, open_catalog
from catalog.errors import SettingsError
from catalog.registry.placeholders import find_placeholders, is_reserved
from catalog.registry.records import Creator, Rights
from catalog.registry.resources import CREATED, UPDATED, Resource, render_dublin_core, render_voresource
from catalog.registry.schemas import SchemaSet
from catalog.settings import DatabaseSettings, PublicationSettings, RegistrySettings, ServiceSettings
from catalog.vo.ivoid import parse_ivoid

XSI_TYPE = "{http://www.w3.org/2001/XMLSchema-instance}type"
TIME = "2026-05-01T12:00:00Z"


def dated(document: str) -> bytes:
    return document.replace(CREATED, TIME).replace(UPDATED, TIME).encode()


def parsed(resource: Resource) -> Any:
    return etree.fromstring(dated(render_voresource(resource)))


def by_kind(catalog: Catalog) -> dict[str, Resource]:
    return {resource.kind: resource for resource in catalog.registry.resources()}


def test_every_record_is_valid(filled: Catalog, schemas: SchemaSet) -> None:
    filled.registry.publish()
    resources = filled.registry.resources()
    assert {resource.kind for resource in resources} == {
        *("authority", "organisation", "registry", "service", "table", "collection")
    }
    for resource in resources:
        assert schemas.problems(dated(render_voresource(resource))) == [], resource.identifier
        assert schemas.problems(dated(render_dublin_core(resource))) == [], resource.identifier


def test_the_judge_finds_faults(filled: Catalog, schemas: SchemaSet) -> None:
    document = dated(render_voresource(by_kind(filled)["service"]))
    for old, new in ((b"<title>", b"<titel>"), (b'unit="row"', b'unit="rows"'), (b"tr:TableAccess", b"tr:Table")):
        assert schemas.problems(document.replace(old, new)), new
    assert schemas.problems(document.replace(b"<flag>indexed</flag>", b"<flag>indexed</flag><productTypeServed/>"))


def test_a_record_with_everything_is_valid(filled: Catalog, schemas: SchemaSet) -> None:
    from dataclasses import replace

    full = replace(
        by_kind(filled)["collection"],
        short_name="A < B & C",
        doi="10.1234/abc<d>",
        version="1.2",
        bibcode="2023ApJS..264....7C",
        creators=(Creator(name='Ŝ "N" & Co', orcid="0000-0002-1825-0097"),),
        rights=Rights(text="All <rights>", uri="https://spdx.org/licenses/CC0-1.0.html"),
        description="]]> & <b>\x00\x0b",
    )
    for render in (render_voresource, render_dublin_core):
        assert schemas.problems(dated(render(full))) == []
    tree = parsed(full)
    assert tree.findtext("altIdentifier") == "doi:10.1234/abc<d>"
    assert tree.findtext("curation/creator/altIdentifier") == "https://orcid.org/0000-0002-1825-0097"
    assert tree.find("rights").get("rightsURI") == "https://spdx.org/licenses/CC0-1.0.html"


def test_identifiers_are_ivoids_without_white_space(filled: Catalog) -> None:
    identifiers = [parsed(resource).find("identifier").text for resource in filled.registry.resources()]
    assert len({identifier.lower() for identifier in identifiers}) == len(identifiers)
    for identifier in identifiers:
        assert str(parse_ivoid(identifier)) == identifier
        assert parse_ivoid(identifier).authority == "ccat.example"


def test_identifiers_of_packages_lead_to_a_record(filled: Catalog) -> None:
    did = filled.query("SELECT TOP 1 obs_publisher_did FROM ivoa.obscore").read_all().column(0)[0].as_py()
    record = filled.registry.resource(did.partition("?")[0])
    assert record.schemas[0].tables[0].name == "ivoa.obscore"


def test_related_identifiers_are_those_of_records(filled: Catalog) -> None:
    known = {resource.identifier for resource in filled.registry.resources()}
    told: set[str] = set()
    for resource in filled.registry.resources():
        told |= {
            element.get("ivo-id") for element in parsed(resource).iter("relatedResource", "publisher", "managingOrg")
        }
    assert told <= known
    assert len(told) == 2


def test_tables_are_served_by_an_auxiliary_capability_alone(filled: Catalog) -> None:
    for resource in filled.registry.resources():
        ids = [element.get("standardID") for element in parsed(resource).iter("capability")]
        if resource.kind in ("table", "collection"):
            assert ids == ["ivo://ivoa.net/std/TAP#aux"]
        elif resource.kind == "service":
            assert ids.count("ivo://ivoa.net/std/TAP") == 1


def test_the_service_says_what_its_capabilities_say(filled: Catalog) -> None:
    from catalog.vosi import render_capabilities

    url = filled.public_url("/tap")
    told = etree.fromstring(
        render_capabilities(url, filled.tap_capability, links_url=filled.public_url("/datalink/links"))
    )
    record = parsed(by_kind(filled)["service"])

    def texts(root: Any) -> list[str]:
        return [etree.tostring(c, method="c14n", exclusive=True).decode().strip() for c in root.iter("capability")]

    assert [t.split() for t in texts(record)] == [t.split() for t in texts(told)]


def test_row_counts_are_those_of_the_tables(filled: Catalog) -> None:
    count = filled.query("SELECT COUNT(*) AS n FROM ivoa.obscore").read_all().column(0)[0].as_py()
    for resource in filled.registry.resources():
        if resource.kind == "table":
            is_obscore = "obscore" in resource.schemas[0].tables[0].name
            assert parsed(resource).findtext(".//nrows") == (str(count) if is_obscore else None)


def test_a_programme_without_published_packages_has_no_record(filled: Catalog) -> None:
    rows = filled.query("SELECT obs_publisher_did, obs_collection FROM ivoa.obscore").read_all().to_pylist()
    filled.registry.publish()
    collection = min(row["obs_collection"] for row in rows)
    for row in rows:
        if row["obs_collection"] == collection:
            filled.withdraw(row["obs_publisher_did"], "a test")
    assert filled.registry.publish().deleted == 1
    identifier = f"ivo://ccat.example/collections/{collection}"
    assert filled.registry.store.read(identifier).deleted
    filled.restore(next(row["obs_publisher_did"] for row in rows if row["obs_collection"] == collection))
    filled.registry.publish()
    assert not filled.registry.store.read(identifier).deleted


def test_publishing_again_changes_nothing_until_something_does(filled: Catalog) -> None:
    first = filled.registry.publish()
    assert filled.registry.publish().unchanged == first.created
    assert filled.registry.publish(full=True).unchanged == first.created
    settings = filled.settings.model_copy(update={"service": ServiceSettings(base_url="https://archive.example/fyst")})
    with open_catalog(settings) as moved:
        changed = moved.registry.publish()
        assert changed.changed == first.created  # each record has a reference URL, at least
        assert (
            "https://archive.example/fyst/tap</accessURL>"
            in moved.registry.store.read("ivo://ccat.example/tap").ivo_vor
        )


def settings(database_url: str, records: Path | None = None) -> Settings:
    return Settings(
        database=DatabaseSettings.model_validate({"url": database_url}),
        publication=PublicationSettings(authority="org.fyst-archive", publisher="FYST archive"),
        registry=RegistrySettings(records=str(records) if records else None),
    )


def test_placeholders_are_not_published_under_a_real_authority(database_url: str) -> None:
    with open_catalog(settings(database_url)) as catalog:
        catalog.init()
        with pytest.raises(
            SettingsError, match=r"ivo://org.fyst-archive is not fit to be published: catalog@ccat.example"
        ):
            catalog.registry.publish()
        assert catalog.registry.store.earliest() is None


def test_placeholders_are_found(filled: Catalog) -> None:
    from dataclasses import replace

    record = by_kind(filled)["organisation"]
    assert len(list(find_placeholders(record))) >= 3
    contact = record.contact.model_copy(update={"email": "archive@fyst-archive.org", "name": "Archive"})
    clean = replace(
        record,
        contact=contact,
        publisher="FYST",
        title="FYST",
        creators=(Creator(name="FYST"),),
        reference_url="https://fyst-archive.org/",
    )
    assert list(find_placeholders(clean)) == []
    for change in ({"title": "TODO"}, {"reference_url": "https://archive.example/"}, {"description": "Change me"}):
        assert len(list(find_placeholders(replace(clean, **change)))) == 1  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "reserved"),
    [("ccat.example", True), ("example.org", True), ("localhost", True), ("org.fyst", False), ("examples.org", False)],
)
def test_reserved_names_are_known(name: str, reserved: bool) -> None:
    assert is_reserved(name) is reserved


def test_two_records_cannot_have_one_identifier(filled: Catalog, tmp_path: Path) -> None:
    import shutil

    folder = Path(shutil.copytree(filled.registry.folder, tmp_path / "records"))
    text = (folder / "obscore_radio.yaml").read_text().replace("path: obscore_radio", "path: TAP")
    (folder / "obscore_radio.yaml").write_text(text)
    changed = filled.settings.model_copy(update={"registry": RegistrySettings(records=str(folder))})
    with open_catalog(changed) as other, pytest.raises(SettingsError, match=r"two records have the identifier"):
        other.registry.publish()
