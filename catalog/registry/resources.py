"""Resource records: declared facts and live ones become VOResource 1.1 and Dublin Core.

The element order and the types are those of the older bundle of schemas that the Registry of Registries uses
(VOResource 1.1, VODataService 1.2 without frames, TAPRegExt 1.0, VORegistry 1.1).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from markupsafe import Markup

from catalog.errors import SettingsError
from catalog.registry.coverage import Coverage, joined
from catalog.registry.records import PUBLICATION_FACTS, Contact, Creator, Declared, Record, Rights, fill
from catalog.vo.documents import render
from catalog.vo.ivoid import Ivoid
from catalog.vo.table import Table
from catalog.vo.tableset import TableSchema
from catalog.vosi import ConeCapability, ImageCapability, TapCapability

__all__ = [
    "CREATED",
    "SETS",
    "UPDATED",
    "Harvest",
    "Live",
    "Programme",
    "Resource",
    "ResourceRef",
    "SimpleServices",
    "TapService",
    "build_resources",
    "render_dublin_core",
    "render_voresource",
]

CREATED, UPDATED = Markup("<created>"), Markup("<updated>")
"""Where a rendered record has its dates, until it is stored; no text can have these marks in it, being escaped."""

SETS: dict[str, tuple[str, tuple[str, ...]]] = {
    "infrastructure": ("Authority, organisation, registry", ("authority", "organisation", "registry")),
    "services": ("Services", ("service", "cone", "images")),
    "collections": ("Data collections and published tables", ("table", "collection")),
}
"""Sets of our own: name, and the kinds of resources in it. Every kind is in one of them."""

OBSCORE_TABLES = ("ivoa.obscore", "ivoa.obscore_radio")

_TYPES: dict[str, tuple[str, ...]] = {
    "authority": (),
    "organisation": ("Organisation",),
    "registry": ("Registry",),
    "service": ("Archive",),
    "cone": ("Archive",),
    "images": ("Archive",),
    "table": ("Archive",),
    "collection": ("Archive",),
}
_XSI_TYPES = {
    "authority": "vg:Authority",
    "organisation": "vr:Organisation",
    "registry": "vg:Registry",
    "service": "vs:CatalogService",
    "cone": "vs:CatalogService",
    "images": "vs:CatalogService",
    "table": "vs:CatalogResource",
    "collection": "vs:CatalogResource",
}
_SHORT_NAME = 16
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class ResourceRef:
    """Another resource."""

    title: str
    identifier: str | None = None


@dataclass(frozen=True, slots=True)
class TapService:
    """Where the TAP service is, and what it can do."""

    url: str
    links_url: str
    capability: TapCapability


@dataclass(frozen=True, slots=True)
class SimpleServices:
    """The simple protocols; what is None is not served."""

    cone: ConeCapability | None = None
    cone_table: Table | None = None
    """What cone searches answer with."""

    images: ImageCapability | None = None


@dataclass(frozen=True, slots=True)
class Harvest:
    """Where the registry is harvested (VORegistry 1.1 section 2.3)."""

    url: str
    page_size: int


@dataclass(frozen=True, slots=True)
class Programme:
    """A programme that has published packages."""

    short_name: str
    name: str
    description: str | None = None
    pi_name: str | None = None


@dataclass(frozen=True, slots=True)
class Live:
    """Everything that is not declared but so."""

    publication: Mapping[str, str]
    """The facts that texts may name: authority, path, publisher, contact."""

    pages_url: str
    tap: TapService
    harvest: Harvest
    simple: SimpleServices
    schemas: Sequence[TableSchema]
    """Every published schema."""

    coverages: Mapping[str, Coverage]
    """By obs_collection."""

    programmes: Mapping[str, Programme]
    """By obs_collection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """A resource record (VOResource 1.1 section 3)."""

    kind: str
    xsi_type: str
    identifier: str
    title: str
    description: str
    publisher: str
    publisher_id: str
    contact: Contact
    creators: tuple[Creator, ...]
    subjects: tuple[str, ...]
    reference_url: str
    short_name: str | None = None
    doi: str | None = None
    ror: str | None = None
    version: str | None = None
    bibcode: str | None = None
    types: tuple[str, ...] = ()
    content_levels: tuple[str, ...] = ()
    relationships: tuple[tuple[str, tuple[ResourceRef, ...]], ...] = ()
    rights: Rights | None = None
    managing_org: ResourceRef | None = None
    managed_authorities: tuple[str, ...] = ()
    harvest: Harvest | None = None
    tap: TapService | None = None
    """Of the record of the TAP service itself."""

    cone: ConeCapability | None = None
    images: ImageCapability | None = None
    tap_url: str | None = None
    """Of the TAP service that serves a table or a collection: an auxiliary capability."""

    coverage: Coverage = field(default_factory=Coverage)
    wavebands: tuple[str, ...] = ()
    schemas: tuple[TableSchema, ...] = ()

    @property
    def alt_identifiers(self) -> tuple[str, ...]:
        """Identifiers of other systems, as URIs."""
        doi = () if self.doi is None else (f"doi:{self.doi}",)
        return doi if self.ror is None else (*doi, f"https://ror.org/{self.ror}")

    @property
    def extension(self) -> tuple[str, str] | None:
        """Prefix and namespace of the schema of its capability, where that is not one of all records'."""
        if self.cone is not None:
            return "cs", "http://www.ivoa.net/xml/ConeSearch/v1.0"
        return None if self.images is None else ("sia", "http://www.ivoa.net/xml/SIA/v1.1")

    @property
    def has_coverage(self) -> bool:
        """Whether anything is known of it."""
        c = self.coverage
        return bool(c.moc or c.temporal or c.spectral or self.wavebands)


def build_resources(declared: Declared, live: Live) -> list[Resource]:
    """Every record that is published, in the order of their identifiers.

    A programme without published packages has no record, nor has a table that is not published.

    Raises:
        SettingsError: A record makes no IVOA identifier, or two records make the same.
    """
    build = _Builder(declared, live)
    found: dict[str, Resource] = {}
    for resource in build.all():
        key = resource.identifier.lower()
        if key in found:
            raise SettingsError(f"two records have the identifier {resource.identifier}")
        found[key] = resource
    return [found[key] for key in sorted(found)]


def render_voresource(resource: Resource) -> str:
    """The record as a ``ri:Resource`` element; its dates are `CREATED` and `UPDATED`."""
    return render("registry/resource.xml", r=resource, created=CREATED, updated=UPDATED).decode()


def render_dublin_core(resource: Resource) -> str:
    """The record as an ``oai_dc:dc`` element."""
    return render("registry/dublin_core.xml", r=resource, updated=UPDATED).decode()


class _Builder:
    def __init__(self, declared: Declared, live: Live) -> None:
        self._declared = declared
        self._live = live
        self._facts: dict[str, str | None] = {name: live.publication.get(name) for name in PUBLICATION_FACTS}

    def all(self) -> Iterator[Resource]:
        tables = {table.name for schema in self._live.schemas for table in schema.tables}
        for record in self._declared.records:
            if record.kind == "table" and record.table in tables:
                yield self._table(record)
            elif record.kind in ("authority", "organisation", "registry", "service"):
                yield self._single(record)
            elif record.kind == "cone" and self._live.simple.cone is not None:
                yield self._cone(record)
            elif record.kind == "images" and self._live.simple.images is not None:
                yield self._images(record)
        for collection in sorted(self._live.coverages):
            record_of_it = self._record_of(collection)
            if record_of_it is not None:
                yield self._collection(record_of_it, collection)

    def _single(self, record: Record) -> Resource:
        resource = self._resource(record, self._facts)
        organisation = self._declared.of_kind("organisation")[0]
        if record.kind == "authority":
            org = ResourceRef(fill(organisation.title, self._facts), self._identifier(organisation, self._facts))
            return replace(resource, managing_org=org, rights=None)
        if record.kind == "organisation":
            return replace(resource, ror=self._declared.publisher.ror, rights=None)
        if record.kind == "registry":
            authority = (self._live.publication["authority"],)
            return replace(resource, harvest=self._live.harvest, managed_authorities=authority)
        everything = joined([self._live.coverages[name] for name in sorted(self._live.coverages)])
        return replace(resource, tap=self._live.tap, coverage=everything, schemas=tuple(self._live.schemas))

    def _cone(self, record: Record) -> Resource:
        """The cone search, with the columns that it answers with, in a schema that has no name of its own."""
        simple = self._live.simple
        tables = () if simple.cone_table is None else (replace(simple.cone_table, name="cone"),)
        schema = TableSchema(name="default", title="Answers", description="What searches answer with.", tables=tables)
        everything = joined([self._live.coverages[name] for name in sorted(self._live.coverages)])
        return replace(self._for_obscore(record), cone=simple.cone, coverage=everything, schemas=(schema,))

    def _images(self, record: Record) -> Resource:
        schemas = self._only(OBSCORE_TABLES[0], None)
        return replace(self._for_obscore(record), images=self._live.simple.images, schemas=schemas)

    def _for_obscore(self, record: Record) -> Resource:
        """A service that answers with rows of ivoa.obscore."""
        of = tuple(
            ResourceRef(fill(table.title, self._facts), self._identifier(table, self._facts))
            for table in self._declared.of_kind("table")
            if table.table == OBSCORE_TABLES[0]
        )
        resource = self._resource(record, self._facts)
        served = (("IsServiceFor", of),) if of else ()
        return replace(resource, relationships=(*served, *resource.relationships))

    def _table(self, record: Record) -> Resource:
        is_obscore = record.table in OBSCORE_TABLES
        covered = [self._live.coverages[name] for name in sorted(self._live.coverages)] if is_obscore else []
        coverage = joined(covered)
        resource = self._served(record, self._facts)
        nrows = coverage.packages if is_obscore else None
        return replace(resource, coverage=coverage, schemas=self._only(str(record.table), nrows))

    def _collection(self, record: Record, collection: str) -> Resource:
        programme = self._live.programmes.get(collection, Programme(collection, collection))
        facts = {
            **self._facts,
            "short_name": programme.short_name,
            "name": programme.name,
            "description": programme.description,
            "pi_name": programme.pi_name or self._facts["publisher"],
        }
        return replace(self._served(record, facts), coverage=self._live.coverages[collection])

    def _record_of(self, collection: str) -> Record | None:
        """The record declared for a programme, else the one for all others."""
        declared = {record.collection: record for record in self._declared.of_kind("collection")}
        return declared.get(collection) or declared.get("*")

    def _served(self, record: Record, facts: Mapping[str, str | None]) -> Resource:
        """A resource that the TAP service gives access to."""
        service = self._declared.of_kind("service")[0]
        by = ResourceRef(fill(service.title, self._facts), self._identifier(service, self._facts))
        resource = self._resource(record, facts)
        relationships = (("IsServedBy", (by,)), *resource.relationships)
        return replace(resource, relationships=relationships, tap_url=self._live.tap.url)

    def _resource(self, record: Record, facts: Mapping[str, str | None]) -> Resource:
        shared = self._declared.publisher
        organisation = self._declared.of_kind("organisation")[0]
        creators = record.creators or shared.creators
        return Resource(
            kind=record.kind,
            xsi_type=_XSI_TYPES[record.kind],
            identifier=self._identifier(record, facts),
            title=fill(record.title, facts),
            short_name=fill(record.short_name, facts)[:_SHORT_NAME] if record.short_name else None,
            description=fill(record.description, facts),
            publisher=str(facts["publisher"]),
            publisher_id=self._identifier(organisation, self._facts),
            contact=shared.contact,
            creators=tuple(Creator(name=fill(c.name, facts), orcid=c.orcid) for c in creators),
            subjects=record.subjects or shared.subjects,
            reference_url=record.reference_url or shared.reference_url or self._live.pages_url,
            doi=record.doi,
            version=record.version,
            bibcode=record.bibcode,
            types=_TYPES[record.kind],
            content_levels=record.content_levels,
            relationships=tuple((r.type, (ResourceRef(r.title, r.ivoid),)) for r in record.related),
            rights=record.rights or shared.rights,
            wavebands=record.wavebands,
        )

    def _identifier(self, record: Record, facts: Mapping[str, str | None]) -> str:
        safe = {**facts, "short_name": _UNSAFE.sub("-", facts.get("short_name") or "")}
        try:
            return str(Ivoid(str(facts["authority"]), fill(record.path, safe)))
        except ValueError as error:
            raise SettingsError(f"the record '{record.title}' has no identifier: {error}") from None

    def _only(self, name: str, nrows: int | None) -> tuple[TableSchema, ...]:
        """The schema of one table with that table alone."""
        return tuple(
            schema.model_copy(update={"tables": (replace(table, nrows=nrows),)})
            for schema in self._live.schemas
            for table in schema.tables
            if table.name == name
        )
