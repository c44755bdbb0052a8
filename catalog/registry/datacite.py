"""What DataCite wants to know of a collection that has a DOI (DataCite Metadata Schema 4), as JSON and as XML."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime

from astropy.time import Time

from catalog.errors import UsageError
from catalog.registry.records import Creator, Rights
from catalog.registry.resources import Resource
from catalog.vo.documents import render

__all__ = ["DataCite", "build_datacite", "render_datacite_json", "render_datacite_xml"]


@dataclass(frozen=True, slots=True)
class DataCite:
    """The facts, in the words of DataCite."""

    doi: str
    identifier: str
    url: str
    title: str
    creators: tuple[Creator, ...]
    publisher: str
    year: int
    subjects: tuple[str, ...]
    contact: str
    issued: str
    collected: str | None
    """First and last day of the observations: ``2026-01-01/2026-12-31``."""

    description: str
    version: str | None
    rights: Rights | None

    @property
    def license(self) -> str | None:
        """Its SPDX identifier."""
        return self.rights.license if self.rights else None


def build_datacite(resource: Resource, *, issued: datetime) -> DataCite:
    """The facts of a record.

    Args:
        resource: With a DOI.
        issued: When the record was first published.

    Raises:
        UsageError: It has no DOI.
    """
    if resource.doi is None:
        raise UsageError(
            f"{resource.identifier} has no DOI", hint="Its file among the records may say which, as `doi: 10.…/…`."
        )
    temporal = resource.coverage.temporal
    days = None if temporal is None else "/".join(str(Time(t, format="mjd").isot)[:10] for t in temporal)
    return DataCite(
        doi=resource.doi,
        identifier=resource.identifier,
        url=resource.reference_url,
        title=resource.title,
        creators=resource.creators,
        publisher=resource.publisher,
        year=issued.year,
        subjects=resource.subjects,
        contact=resource.contact.name,
        issued=issued.date().isoformat(),
        collected=days,
        description=resource.description,
        version=resource.version,
        rights=resource.rights,
    )


def render_datacite_xml(facts: DataCite) -> bytes:
    """As the XML of kernel 4."""
    return render("registry/datacite.xml", d=facts)


def render_datacite_json(facts: DataCite) -> str:
    """As the attributes that DataCite's REST interface takes."""
    creators = [
        {"name": creator.name}
        | (
            {
                "nameIdentifiers": [
                    {
                        "nameIdentifier": f"https://orcid.org/{creator.orcid}",
                        "nameIdentifierScheme": "ORCID",
                        "schemeUri": "https://orcid.org",
                    }
                ]
            }
            if creator.orcid
            else {}
        )
        for creator in facts.creators
    ]
    dates = [{"date": facts.issued, "dateType": "Issued"}]
    if facts.collected:
        dates.append({"date": facts.collected, "dateType": "Collected"})
    rights = [] if facts.rights is None else [_json_rights(facts, facts.rights)]
    document = {
        "doi": facts.doi,
        "url": facts.url,
        "creators": creators,
        "titles": [{"title": facts.title}],
        "publisher": {"name": facts.publisher},
        "publicationYear": str(facts.year),
        "types": {"resourceTypeGeneral": "Collection", "resourceType": "Raw data packages"},
        "subjects": [{"subject": subject, "subjectScheme": "UAT"} for subject in facts.subjects],
        "contributors": [{"name": facts.contact, "contributorType": "ContactPerson"}],
        "dates": dates,
        "alternateIdentifiers": [{"alternateIdentifier": facts.identifier, "alternateIdentifierType": "IVOID"}],
        "rightsList": rights,
        "descriptions": [{"description": facts.description, "descriptionType": "Abstract"}],
        "schemaVersion": "http://datacite.org/schema/kernel-4",
    }
    if facts.version:
        document["version"] = facts.version
    return json.dumps(document, ensure_ascii=False, indent=2)


def _json_rights(facts: DataCite, rights: Rights) -> dict[str, str]:
    told = {"rights": rights.text}
    if rights.uri:
        told["rightsUri"] = rights.uri
    if facts.license:
        told |= {"rightsIdentifier": facts.license, "rightsIdentifierScheme": "SPDX"}
    return told
