"""What the Registry of Registries asks of a registry before it takes it: probes of the protocol, then its rules.

The probes are those of the Repository Explorer, which the validator runs first, and those that newer ones have added. A
probe names the faults that are accepted; where none need be there, the answer must have what the verb gives.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from lxml import etree

from catalog.registry.schemas import SchemaSet

from .conftest import OAI, Registry

pytestmark = pytest.mark.conformance

RI = "{http://www.ivoa.net/xml/RegistryInterface/v1.0}"
XSI_TYPE = "{http://www.w3.org/2001/XMLSchema-instance}type"
IDENTIFIER = "identifier=ivo://ccat.example/tap"
FORM = "application/x-www-form-urlencoded"
NONE_MATCH = "noRecordsMatch badArgument"
WRONG_SET = "set=really_wrong_set&from=some_random_date&until=some_random_date"

PROBES = [
    ("Identify", "", ""),
    ("Identify", "test=test", "badArgument"),
    ("ListMetadataFormats", "", ""),
    ("ListMetadataFormats", IDENTIFIER, ""),
    ("ListMetadataFormats", "identifier=really_wrong_id", "idDoesNotExist badArgument"),
    ("ListSets", "", ""),
    ("ListSets", "resumptionToken=junktoken", "badResumptionToken"),
    ("ListIdentifiers", "metadataPrefix=oai_dc", ""),
    ("ListIdentifiers", "resumptionToken={token}", ""),
    ("ListIdentifiers", "resumptionToken={token}&metadataPrefix=oai_dc", "badArgument badResumptionToken"),
    ("ListIdentifiers", "metadataPrefix=oai_dc&from=2000-01-01&until=2000-01-01", NONE_MATCH),
    ("ListIdentifiers", "metadataPrefix=oai_dc&set=ivo_managed&from=2000-01-01&until=2000-01-01", NONE_MATCH),
    ("ListIdentifiers", f"metadataPrefix=oai_dc&{WRONG_SET}", "badArgument noSetHierarchy"),
    ("ListIdentifiers", "metadataPrefix=oai_dc&from=2001-01-01&until=2002-01-01T00:00:00Z", "badArgument"),
    ("ListIdentifiers", "metadataPrefix=oai_dc&from=2000-01-01&until=1999-01-01", NONE_MATCH),
    ("ListIdentifiers", "", "badArgument"),
    ("ListIdentifiers", "metadataPrefix=ivo_vor", ""),
    ("ListIdentifiers", "metadataPrefix=illegal_mdp", "cannotDisseminateFormat badArgument"),
    ("ListIdentifiers", "metadataPrefix=oai_dc&metadataPrefix=oai_dc", "badArgument"),
    ("ListIdentifiers", "resumptionToken=junktoken", "badResumptionToken"),
    ("ListIdentifiers", "metadataPrefix=oai_dc&from=2001-01-01", ""),
    ("ListIdentifiers", "metadataPrefix=oai_dc&from=2001-01-01T00:00:00Z", ""),
    ("ListIdentifiers", "metadataPrefix=oai_dc&from=2001", "badArgument"),
    ("ListIdentifiers", "metadataPrefix=oai_dc&set=ivo_managed", ""),
    ("ListIdentifiers", "metadataPrefix=ivo_vor&set=ivo_managed&until=1969-01-01T00:00:00Z", NONE_MATCH),
    ("GetRecord", f"{IDENTIFIER}&metadataPrefix=ivo_vor", ""),
    ("GetRecord", f"{IDENTIFIER}&metadataPrefix=oai_dc", ""),
    ("GetRecord", IDENTIFIER, "badArgument"),
    ("GetRecord", f"{IDENTIFIER}&metadataPrefix=really_wrong_mdp", "cannotDisseminateFormat badArgument"),
    ("GetRecord", "metadataPrefix=oai_dc", "badArgument"),
    ("GetRecord", "identifier=really_wrong_id&metadataPrefix=oai_dc", "idDoesNotExist badArgument"),
    ("GetRecord", "identifier=invalid%5C%22id&metadataPrefix=oai_dc", "idDoesNotExist badArgument"),
    ("ListRecords", "metadataPrefix=oai_dc&from=2000-01-01&until=2000-01-01", NONE_MATCH),
    ("ListRecords", "metadataPrefix=ivo_vor&from=2000-01-01&until=2000-01-01", NONE_MATCH),
    ("ListRecords", f"metadataPrefix=oai_dc&{WRONG_SET}", "badArgument noSetHierarchy"),
    ("ListRecords", "", "badArgument"),
    ("ListRecords", "metadataPrefix=oai_dc&from=2001-01-01&until=2002-01-01T00:00:00Z", "badArgument"),
    ("ListRecords", "metadataPrefix=oai_dc&until={before}", NONE_MATCH),
    ("ListRecords", "metadataPrefix=oai_dc", ""),
    ("ListRecords", "metadataPrefix=ivo_vor&set=ivo_managed", ""),
    ("ListRecords", "resumptionToken=junktoken", "badResumptionToken"),
    ("ListRecords", "metadataPrefix=ivo_vor&verb=ListRecords", "badVerb badArgument"),
    ("IllegalVerb", "", "badVerb"),
]


@pytest.fixture(scope="module")
def known(registry: Registry) -> dict[str, str]:
    """What a probe takes from earlier answers: a token, and a moment before all datestamps."""
    page = registry.ask("verb=ListIdentifiers&metadataPrefix=oai_dc")
    earliest = registry.ask("verb=Identify").findtext(f".//{OAI}earliestDatestamp")
    return {
        "token": page.findtext(f".//{OAI}resumptionToken"),
        "before": f"{int(earliest[:4]) - 1:04d}{earliest[4:]}",
    }


@pytest.mark.parametrize(("verb", "arguments", "faults"), PROBES)
def test_the_protocol_is_kept(
    registry: Registry, schemas: SchemaSet, known: dict[str, str], verb: str, arguments: str, faults: str
) -> None:
    query = f"verb={verb}&{arguments}".rstrip("&").format(**known)
    document = registry.get(query)
    assert schemas.problems(document) == []
    answer = etree.fromstring(document)
    if not faults:
        assert answer.find(f"{OAI}error") is None
        assert len(answer.find(f"{OAI}{verb}")) > 0
        return
    (fault,) = answer.iterfind(f"{OAI}error")
    assert fault.get("code") in faults.split()
    posted = httpx.post(registry.url, data=None, content=query, headers={"content-type": FORM})
    assert etree.fromstring(posted.content).find(f"{OAI}error").get("code") == fault.get("code")


@pytest.fixture(scope="module")
def records(registry: Registry) -> list[Any]:
    """Every record of the set that the validator reads, token by token."""
    pages = registry.documents("verb=ListRecords&metadataPrefix=ivo_vor&set=ivo_managed")
    return [record for page in pages for record in etree.fromstring(page).iter(f"{OAI}record")]


@pytest.fixture(scope="module")
def resources(records: list[Any]) -> list[Any]:
    return [resource for record in records for resource in record.iterfind(f"{OAI}metadata/*")]


def test_the_address_of_identify_is_the_one_that_was_asked(registry: Registry) -> None:
    """The validator takes a question mark from the end of the address it is given, then compares letter by letter."""
    for address in (registry.url, registry.url.replace("127.0.0.1", "localhost")):
        answer = etree.fromstring(httpx.get(f"{address}?verb=Identify").content)
        assert answer.findtext(f".//{OAI}baseURL") == answer.findtext(f"{OAI}request") == address
    assert answer.findtext(f".//{OAI}granularity") == "YYYY-MM-DDThh:mm:ssZ"
    assert len(answer.findtext(f".//{OAI}earliestDatestamp")) == len("YYYY-MM-DDThh:mm:ssZ")


def test_identify_describes_a_registry_with_a_harvest_capability(registry: Registry, records: list[Any]) -> None:
    (described,) = registry.ask("verb=Identify").iterfind(f"{OAI}Identify/{OAI}description/*")
    assert (described.tag, described.get(XSI_TYPE)) == (f"{RI}Resource", "vg:Registry")
    (harvest,) = (c for c in described.iterfind("capability") if c.get(XSI_TYPE) == "vg:Harvest")
    interface = harvest.find("interface")
    assert (interface.get(XSI_TYPE), interface.get("role")) == ("vg:OAIHTTP", "std")
    assert interface.findtext("accessURL") == registry.url
    names = [record.findtext(f"{OAI}header/{OAI}identifier") for record in records]
    assert described.findtext("identifier") in names


def test_the_sets_and_formats_are_those_of_the_standard(registry: Registry) -> None:
    specs = [element.text for element in registry.ask("verb=ListSets").iter(f"{OAI}setSpec")]
    assert [spec for spec in specs if spec.startswith("ivo_")] == ["ivo_managed"]
    formats = registry.ask("verb=ListMetadataFormats").iter(f"{OAI}metadataPrefix")
    assert {element.text for element in formats} == {"ivo_vor", "oai_dc"}


def test_headers_name_their_records_without_white_space(records: list[Any]) -> None:
    assert sum(record.find(f"{OAI}header").get("status") == "deleted" for record in records) == 1
    for record in records:
        name, found = record.findtext(f"{OAI}header/{OAI}identifier"), record.findall(f"{OAI}metadata/*")
        if record.find(f"{OAI}header").get("status") == "deleted":
            assert found == []
            continue
        (resource,) = found
        assert resource.tag == f"{RI}Resource"
        assert not [child.tag for child in resource if child.tag.startswith("{")]
        assert resource.find("identifier").text == name == "".join(name.split())
        assert resource.get("updated") == record.findtext(f"{OAI}header/{OAI}datestamp")


def test_every_authority_is_managed_and_has_a_record(resources: list[Any]) -> None:
    used = {resource.findtext("identifier").removeprefix("ivo://").partition("/")[0] for resource in resources}
    declared = {r.findtext("identifier").removeprefix("ivo://") for r in resources if r.get(XSI_TYPE) == "vg:Authority"}
    managed = {element.text for resource in resources for element in resource.iterfind("managedAuthority")}
    assert used == declared == managed == {"ccat.example"}


def test_records_have_their_dates_and_services_their_interfaces(resources: list[Any]) -> None:
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    for resource in resources:
        assert resource.get("status") == "active"
        assert resource.get("created") <= resource.get("updated") <= now
        capabilities = resource.findall("capability")
        assert len(capabilities) > 0 or resource.get(XSI_TYPE) in ("vg:Authority", "vr:Organisation")
        for capability in capabilities:
            assert capability.find("interface/accessURL") is not None


def test_records_are_of_namespaces_that_the_validator_knows(resources: list[Any]) -> None:
    base = "http://www.ivoa.net/xml/"
    older = ("RegistryInterface/v1.0", "VOResource/v1.0", "VODataService/v1.1", "VORegistry/v1.0", "TAPRegExt/v1.0")
    known = {base + name for name in older} | {OAI.strip("{}"), "http://www.w3.org/2001/XMLSchema-instance", None, ""}
    newer = {"productTypeServed", "dataSource", "statistics", "endpoint"}
    simple = {"cs:ConeSearch": f"{base}ConeSearch/v1.0", "sia:SimpleImageAccess": f"{base}SIA/v1.1"}
    met = set()
    for resource in resources:
        extended = {simple[kind] for c in resource.iter("capability") if (kind := c.get(XSI_TYPE)) in simple}
        assert {uri for element in resource.iter() for uri in element.nsmap.values()} - known == extended
        met |= extended
        assert not [element.tag for element in resource.iter() if element.tag in newer]
        assert not [element for element in resource.iter("spatial") if element.attrib]
    assert met == set(simple.values()), "each simple protocol has its record"
