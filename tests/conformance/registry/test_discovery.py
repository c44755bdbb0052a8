"""Who searches by pyvo finds our observations: a small RegTAP 1.1, filled from a harvest, answers its queries."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from astropy.io.votable import from_table
from astropy.io.votable.tree import Info
from astropy.table import Table
from pyvo.registry import rtcons
from pyvo.registry.regtap import RegistryResults
from sickle import Sickle

from .conftest import Registry

pytestmark = pytest.mark.conformance

XSI_TYPE = "{http://www.w3.org/2001/XMLSchema-instance}type"
RESOURCE = "{http://www.ivoa.net/xml/RegistryInterface/v1.0}Resource"
TABLES = {
    "resource": "ivoid res_type short_name res_title content_level res_description reference_url creator_seq created "
    "updated rights content_type source_format source_value region_of_regard waveband",
    "capability": "ivoid cap_index cap_description standard_id",
    "interface": "ivoid cap_index intf_index intf_type intf_role access_url",
    "res_table": "ivoid table_name table_utype",
    "res_detail": "ivoid cap_index detail_xpath detail_value",
    "res_subject": "ivoid res_subject",
    "res_role": "ivoid role_name base_role",
    "stc_temporal": "ivoid time_start time_end",
    "stc_spectral": "ivoid spectral_start spectral_end",
}


class Joined:
    """ivo_string_agg."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.between = ""

    def step(self, part: str, between: str) -> None:
        self.parts.append(part)
        self.between = between

    def finalize(self) -> str:
        return self.between.join(self.parts)


def matches_whatever_the_case(value: str, pattern: str) -> int:
    assert pattern.endswith("%")
    return int(value.lower().startswith(pattern[:-1].lower()))


def overlaps(low: float, high: float, other_low: float, other_high: float) -> int:
    return int(low <= other_high and other_low <= high)


@pytest.fixture(scope="module")
def regtap(registry: Registry) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:")
    connection.execute("ATTACH ':memory:' AS rr")
    for name, columns in TABLES.items():
        connection.execute(f"CREATE TABLE rr.{name} ({columns.replace(' ', ', ')})")
    connection.create_function("ivo_nocasematch", 2, matches_whatever_the_case)
    connection.create_function("ivo_interval_overlaps", 4, overlaps)
    connection.create_aggregate("ivo_string_agg", 2, Joined)
    for record in Sickle(registry.url).ListRecords(metadataPrefix="ivo_vor", ignore_deleted=True):
        (resource,) = record.xml.iter(RESOURCE)
        take_in(connection, resource)
    yield connection
    connection.close()


def take_in(connection: sqlite3.Connection, resource: Any) -> None:
    """A record as RegTAP has it: identifiers, types, roles and utypes in lower case (RegTAP 1.1 section 4)."""

    def insert(table: str, **values: object) -> None:
        cells = [values.get(column, "") for column in TABLES[table].split()[1:]]
        marks = ", ".join("?" * (len(cells) + 1))
        connection.execute(f"INSERT INTO rr.{table} VALUES ({marks})", (ivoid, *cells))

    def all_of(path: str) -> str:
        return "#".join(str(element.text).lower() for element in resource.iterfind(path))

    ivoid = resource.findtext("identifier").lower()
    insert(
        "resource",
        res_type=resource.get(XSI_TYPE).lower(),
        short_name=resource.findtext("shortName", ""),
        res_title=resource.findtext("title"),
        content_level=all_of("content/contentLevel"),
        res_description=resource.findtext("content/description"),
        reference_url=resource.findtext("content/referenceURL"),
        creator_seq="; ".join(element.text for element in resource.iterfind("curation/creator/name")),
        created=resource.get("created"),
        updated=resource.get("updated"),
        content_type=all_of("content/type"),
        region_of_regard=float("nan"),
        waveband=all_of("coverage/waveband"),
    )
    for element in resource.iterfind("curation/creator/name"):
        insert("res_role", role_name=element.text, base_role="creator")
    for element in resource.iterfind("content/subject"):
        insert("res_subject", res_subject=element.text)
    for table in resource.iterfind("tableset/schema/table"):
        utype = (table.findtext("utype") or "").lower()
        insert("res_table", table_name=table.findtext("name").lower(), table_utype=utype)
    for path, name, column in (("temporal", "stc_temporal", "time"), ("spectral", "stc_spectral", "spectral")):
        for element in resource.iterfind(f"coverage/{path}"):
            low, high = map(float, element.text.split())
            insert(name, **{f"{column}_start": low, f"{column}_end": high})
    for index, capability in enumerate(resource.iterfind("capability")):
        standard = (capability.get("standardID") or "").lower()
        insert("capability", cap_index=index, standard_id=standard)
        for model in capability.iterfind("dataModel"):
            xpath = "/capability/dataModel/@ivo-id"
            insert("res_detail", cap_index=index, detail_xpath=xpath, detail_value=model.get("ivo-id"))
        for number, interface in enumerate(capability.iterfind("interface")):
            insert(
                "interface",
                cap_index=index,
                intf_index=number,
                intf_type=interface.get(XSI_TYPE).lower(),
                intf_role=interface.get("role", ""),
                access_url=interface.findtext("accessURL"),
            )


ANY_SERVICE = SimpleNamespace(
    tables=SimpleNamespace(get=lambda name: None, __contains__=lambda name: True),
    get_tap_capability=lambda: SimpleNamespace(
        get_adql=lambda: SimpleNamespace(get_feature_list=lambda kind: [], get_feature=lambda kind, name: True)
    ),
)


def search(connection: sqlite3.Connection, *constraints: rtcons.Constraint) -> RegistryResults:
    """What `pyvo.registry.search` does, with a database of our own in place of a server far away."""
    query = rtcons.build_regtap_query(list(constraints), ANY_SERVICE)
    cursor = connection.execute(query)
    rows = cursor.fetchall()
    assert rows, query
    names = [column[0] for column in cursor.description]
    votable = from_table(Table({name: [row[index] for row in rows] for index, name in enumerate(names)}))
    votable.resources[0].type = "results"
    votable.resources[0].infos.append(Info(name="QUERY_STATUS", value="OK"))
    return RegistryResults(votable)


@pytest.mark.parametrize(
    ("model", "found", "mode"),
    [("obscore", "ivo://ccat.example/tap", "tap"), ("obscore_new", "ivo://ccat.example/raw", "tap#aux")],
)
def test_the_observations_are_found_and_can_be_asked(
    regtap: sqlite3.Connection, registry: Registry, model: str, found: str, mode: str
) -> None:
    results = search(regtap, rtcons.Datamodel(model))
    assert [resource.ivoid for resource in results] == [found]
    assert mode in results[0].access_modes()
    service = results[0].get_service(service_type="tap", lax=True)
    assert service.baseurl == f"{registry.service_url}/tap"
    (row,) = service.search("SELECT COUNT(*) AS n FROM ivoa.obscore")
    assert row["n"] > 0


def test_the_service_alone_is_a_tap_service(regtap: sqlite3.Connection) -> None:
    """And what it serves is found with it only by those who ask for auxiliary capabilities."""
    tap = rtcons.Servicetype("tap")
    assert [resource.ivoid for resource in search(regtap, tap)] == ["ivo://ccat.example/tap"]
    everything = search(regtap, tap.include_auxiliary_services())
    assert {resource.res_type for resource in everything} == {"vs:catalogservice", "vs:catalogresource"}
    assert len(everything) > 5


@pytest.mark.parametrize(
    "constraint",
    [
        rtcons.Author("%Ŝpec%"),
        rtcons.Ivoid("ivo://ccat.example/collections/GEco"),
    ],
    ids=["author", "ivoid"],
)
def test_a_collection_is_found_by_what_it_declares(regtap: sqlite3.Connection, constraint: rtcons.Constraint) -> None:
    found = {resource.ivoid: resource for resource in search(regtap, constraint)}
    assert found["ivo://ccat.example/collections/geco"].short_name == "GEco"


def test_coverage_is_found_in_time_and_energy(regtap: sqlite3.Connection) -> None:
    """Where RegTAP 1.2 keeps it; energies in joule, times in MJD."""
    covered = "SELECT COUNT(DISTINCT ivoid) FROM rr.stc_{0} WHERE 1 = ivo_interval_overlaps({1}_start, {1}_end, ?, ?)"
    at_350_ghz = 6.62607015e-34 * 350e9
    assert regtap.execute(covered.format("spectral", "spectral"), (at_350_ghz,) * 2).fetchone()[0] > 2
    assert regtap.execute(covered.format("spectral", "spectral"), (1e-19, 2e-19)).fetchone()[0] == 0
    assert regtap.execute(covered.format("temporal", "time"), (0, 100_000)).fetchone()[0] > 2
    assert regtap.execute(covered.format("temporal", "time"), (0, 40_000)).fetchone()[0] == 0
