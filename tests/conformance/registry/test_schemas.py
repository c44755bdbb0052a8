"""Two judges read every document of the registry by the schemas of the standards: libxml2 and Xerces.

Xerces begins slowly: it gets all documents at once, as children of one element.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from lxml import etree

from catalog.registry.schemas import SchemaSet

from .conftest import OAI, Registry

pytestmark = pytest.mark.conformance

XSI_TYPE = "{http://www.w3.org/2001/XMLSchema-instance}type"
WRAPPER = "urn:documents"
TYPES = {"vg:Authority", "vr:Organisation", "vg:Registry", "vs:CatalogService", "vs:CatalogResource"}
PREFIXES = ("ivo_vor", "oai_dc")
LISTS = [f"verb={verb}&metadataPrefix={prefix}" for verb in ("ListRecords", "ListIdentifiers") for prefix in PREFIXES]
QUERIES = [
    "verb=Identify",
    "verb=ListSets",
    "verb=ListMetadataFormats",
    "verb=ListMetadataFormats&identifier=ivo://ccat.example/tap",
    *(f"verb=GetRecord&metadataPrefix={prefix}&identifier=ivo://ccat.example/tap" for prefix in PREFIXES),
    "verb=GetRecord&metadataPrefix=ivo_vor&identifier=ivo://ccat.example/collections/CMB",
    "verb=junk",
    "verb=GetRecord",
    "verb=GetRecord&metadataPrefix=ivo_vor&identifier=%22%3E%3C%2FOAI-PMH%3E%26",
    "verb=GetRecord&metadataPrefix=junk&identifier=ivo://ccat.example/tap",
    "verb=ListRecords&resumptionToken=junk",
    "verb=ListRecords&metadataPrefix=ivo_vor&until=1969-01-01",
    "verb=ListIdentifiers&metadataPrefix=oai_dc&from=2001",
]


@pytest.fixture(scope="module")
def documents(registry: Registry) -> list[bytes]:
    """Every answer: each verb, each page of each list, faults, and what VOSI tells beside."""
    lists = [page for query in LISTS for page in registry.documents(query)]
    beside = [httpx.get(f"{registry.url}/{name}").content for name in ("capabilities", "availability")]
    return [*lists, *(registry.get(query) for query in QUERIES), *beside]


Judge = Callable[[list[bytes]], tuple[bool, str]]


@pytest.fixture(scope="module")
def xerces(stilts: str, schemas: SchemaSet, tmp_path_factory: pytest.TempPathFactory) -> Judge:
    """Says whether documents are all valid, and what Xerces says of them."""
    folder = tmp_path_factory.mktemp("xerces")
    wrapper = folder / "documents.xsd"
    wrapper.write_text(
        f'<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" targetNamespace="{WRAPPER}" '
        'elementFormDefault="qualified"><xs:element name="documents"><xs:complexType><xs:sequence>'
        '<xs:any namespace="##other" processContents="strict" maxOccurs="unbounded"/>'
        "</xs:sequence></xs:complexType></xs:element></xs:schema>"
    )

    def judge(documents: list[bytes]) -> tuple[bool, str]:
        root = etree.Element(f"{{{WRAPPER}}}documents")
        root.extend(etree.fromstring(document) for document in documents)
        path = folder / "documents.xml"
        path.write_bytes(etree.tostring(root))
        places = {WRAPPER: wrapper, **schemas.namespaces}
        command = [stilts, "xsdvalidate", f"doc={path}", "uselocals=false"]
        command += [f"schemaloc={namespace}={place}" for namespace, place in places.items()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        return done.returncode == 0, done.stdout + done.stderr

    return judge


def test_every_document_is_valid_by_libxml2(documents: list[bytes], schemas: SchemaSet) -> None:
    assert [problem for document in documents for problem in schemas.problems(document)] == []


def test_every_document_is_valid_by_xerces(documents: list[bytes], xerces: Judge) -> None:
    is_valid, told = xerces(documents)
    assert is_valid, told


def test_the_documents_have_every_kind_of_record_and_every_element(documents: list[bytes]) -> None:
    trees = [etree.fromstring(document) for document in documents]
    assert {element.get(XSI_TYPE) for tree in trees for element in tree.iter("{*}Resource")} == TYPES
    said: set[Any] = {element.tag for tree in trees for element in tree.iter()}
    assert said >= {
        *("altIdentifier", "address", "telephone", "version", "source", "rights", "relatedResource", "shortName"),
        *("spatial", "temporal", "spectral", "waveband", "facility", "instrument", "tableset", "nrows", "flag"),
        *(
            "managedAuthority",
            "managingOrg",
            "maxRecords",
            "verbosity",
            "imageServiceType",
            "udf",
            "dataModel",
            f"{OAI}error",
            f"{OAI}resumptionToken",
        ),
    } - {"udf"}


@pytest.mark.parametrize(
    ("right", "wrong"),
    [(b"<managingOrg", b"<managedOrg"), (b'unit="row"', b'unit="rows"'), (b"ListSets>", b"ListSet>")],
)
def test_both_judges_find_faults(
    documents: list[bytes], schemas: SchemaSet, xerces: Judge, right: bytes, wrong: bytes
) -> None:
    bad = next(document for document in documents if right in document)
    bad = bad.replace(right, wrong).replace(b"</managingOrg", b"</managedOrg" if b"Org" in wrong else b"</managingOrg")
    assert schemas.problems(bad)
    assert not xerces([bad])[0]
