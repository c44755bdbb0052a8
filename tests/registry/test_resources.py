"""Records are valid by the schemas of the standards, and say what is so."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from catalog import Catalog, Settings, open_catalog
from catalog.access import ANONYMOUS
from catalog.assets import asset_path
from catalog.errors import NotFoundError, SettingsError
from catalog.opsdb.models import PackagePublication, RawDataPackage, RawDataPackageMetadata
from catalog.registry.check import check_content
from catalog.registry.placeholders import find_placeholders, is_reserved
from catalog.registry.records import Creator, Rights
from catalog.registry.resources import CREATED, UPDATED, Resource, render_dublin_core, render_voresource
from catalog.registry.schemas import SchemaSet
from catalog.scs import parse_cone
from catalog.settings import AccessSettings, DatabaseSettings, PublicationSettings, RegistrySettings, ServiceSettings
from catalog.vo.ivoid import parse_ivoid
from catalog.vo.table import Column, Table
from catalog.vo.tableset import TableSchema
from catalog.vo.types import Datatype

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
        *("authority", "organisation", "registry", "service", "cone", "table", "collection")
    }
    for resource in resources:
        assert schemas.problems(dated(render_voresource(resource))) == [], resource.identifier
        assert schemas.problems(dated(render_dublin_core(resource))) == [], resource.identifier


def test_the_judge_finds_faults(filled: Catalog, schemas: SchemaSet) -> None:
    document = dated(render_voresource(by_kind(filled)["service"]))
    for old, new in ((b"<title>", b"<titel>"), (b'unit="row"', b'unit="rows"'), (b"tr:TableAccess", b"tr:Table")):
        assert schemas.problems(document.replace(old, new)), new
    assert schemas.problems(document.replace(b"<flag>indexed</flag>", b"<flag>indexed</flag><productTypeServed/>"))


def test_columns_whose_ucd_or_unit_is_none_are_found(filled: Catalog) -> None:
    wrong = (
        Column("a", Datatype.DOUBLE, ucd="meta.nonsense", unit="deg"),
        Column("b", Datatype.DOUBLE, ucd="ivoa:pos.eq.ra", unit="degres"),
        Column("c", Datatype.DOUBLE, ucd="pos.eq.ra;meta.main"),
    )
    resource = by_kind(filled)["service"]
    schema = TableSchema(name="s", title="S", description="s", tables=(Table("s.t", wrong),))
    ucd, unit = check_content([replace(resource, schemas=(schema,))], is_demonstration=True)
    assert (ucd.level, ucd.where, unit.level, unit.where) == ("error", resource.identifier) * 2
    assert ucd.message.startswith("s.t.a: 'meta.nonsense' is not a UCD1+: ")
    assert unit.message.startswith("s.t.b: 'degres' is not a unit in the syntax of VOUnits: ")


def test_a_record_with_everything_is_valid(filled: Catalog, schemas: SchemaSet) -> None:
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
    assert len(told) == 3


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


def change_type(catalog: Catalog, kind: str | None) -> None:
    """Let a package that is not released be of another kind of data, always the same one."""
    query = "SELECT TOP 1 obs_publisher_did FROM ivoa.obscore WHERE data_rights <> 'public' ORDER BY obs_publisher_did"
    did = catalog.query(query).read_all().column(0)[0].as_py()
    with catalog.session() as session:
        publication = session.query(PackagePublication).filter_by(obs_publisher_did=did).one()
        package = session.get_one(RawDataPackage, publication.raw_data_package_id)
        stated = package.package_metadata or RawDataPackageMetadata(package=package)
        stated.dataproduct_type = kind
        session.commit()


def test_the_cone_search_has_a_record_with_the_ucds_of_its_answers(filled: Catalog, schemas: SchemaSet) -> None:
    record = parsed(by_kind(filled)["cone"])
    assert record.get(XSI_TYPE) == "vs:CatalogService"
    ids = [element.get("standardID") for element in record.iter("capability")]
    assert ids == [
        "ivo://ivoa.net/std/ConeSearch",
        *(f"ivo://ivoa.net/std/VOSI#{n}" for n in ("capabilities", "availability")),
    ]
    assert record.find("capability").get(XSI_TYPE) == "cs:ConeSearch"
    assert record.findtext("capability/interface/accessURL") == filled.public_url("/scs/query?")
    columns = {column.findtext("name"): column.findtext("ucd") for column in record.iter("column")}
    mains = {ucd: name for name, ucd in columns.items() if "meta.main" in (ucd or "")}
    assert mains == {
        "meta.id;meta.main": "obs_publisher_did",
        "pos.eq.ra;meta.main": "s_ra",
        "pos.eq.dec;meta.main": "s_dec",
    }
    [relationship] = record.iter("relationship")
    assert relationship.findtext("relationshipType") == "IsServiceFor"
    assert relationship.find("relatedResource").get("ivo-id") == "ivo://ccat.example/raw"
    document = dated(render_voresource(by_kind(filled)["cone"]))
    assert schemas.problems(document.replace(b"<sr>", b"<radius>").replace(b"</sr>", b"</radius>"))


def test_the_test_query_of_the_cone_search_finds_something(filled: Catalog) -> None:
    query = parsed(by_kind(filled)["cone"]).find("capability/testQuery")
    cone = parse_cone([(element.tag.upper(), element.text) for element in query])
    assert filled.scs.search(cone, caller=ANONYMOUS).read_all().num_rows > 0


def test_an_empty_catalog_has_a_cone_search_without_a_test_query(copy_of_empty: Any, schemas: SchemaSet) -> None:
    with open_catalog(copy_of_empty()) as catalog:
        record = by_kind(catalog)["cone"]
        assert parsed(record).find("capability/testQuery") is None
        assert schemas.problems(dated(render_voresource(record))) == []


def test_the_record_of_images_comes_and_goes_with_them(filled: Catalog, schemas: SchemaSet) -> None:
    identifier = "ivo://ccat.example/images"
    filled.registry.publish()
    assert "images" not in by_kind(filled)
    with pytest.raises(NotFoundError):
        filled.registry.store.read(identifier)

    change_type(filled, "image")
    filled.registry.publish()
    assert not filled.registry.store.read(identifier).deleted
    record = by_kind(filled)["images"]
    assert schemas.problems(dated(render_voresource(record))) == []
    assert schemas.problems(dated(render_voresource(record)).replace(b">Pointed<", b">Pointing<"))
    tree = parsed(record)
    capability = tree.find("capability")
    assert capability.get("standardID") == "ivo://ivoa.net/std/SIA#query-2.0"
    assert capability.get(XSI_TYPE) == "sia:SimpleImageAccess"
    assert capability.find("interface").get("version") == "2.0"
    assert capability.findtext("interface/accessURL") == filled.public_url("/sia2/query")

    change_type(filled, None)
    filled.registry.publish()
    assert filled.registry.store.read(identifier).deleted


def test_images_that_nobody_may_see_have_no_record(filled: Catalog) -> None:
    change_type(filled, "image")
    settings = filled.settings.model_copy(update={"access": AccessSettings(hide_unreleased=True)})
    with open_catalog(settings) as hiding:
        assert "images" not in by_kind(hiding)
    assert "images" in by_kind(filled)


def test_records_of_simple_protocols_may_be_left_out_and_not_be_twice(filled: Catalog, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(asset_path("vo_resources", "records"), tmp_path / "mine"))
    settings = filled.settings.model_copy(update={"registry": RegistrySettings(records=str(folder))})
    with open_catalog(settings) as catalog:
        (folder / "cone.yaml").rename(folder / "again.yaml")
        assert "cone" in by_kind(catalog)
        shutil.copy(folder / "again.yaml", folder / "cone.yaml")
        with pytest.raises(SettingsError, match="may have one record of kind cone, and has 2"):
            catalog.registry.resources()
        (folder / "cone.yaml").unlink()
        (folder / "again.yaml").unlink()
        assert "cone" not in by_kind(catalog)
