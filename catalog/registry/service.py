"""The registry of one catalog: gather the facts, make the records, publish them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import sqlalchemy as sa

from catalog.assets import asset_path
from catalog.db import Database
from catalog.errors import NotFoundError, SettingsError
from catalog.opsdb.models import ObservingProgram
from catalog.registry.coverage import read_coverages, update_mocs
from catalog.registry.oai import OaiService
from catalog.registry.placeholders import find_placeholders, is_reserved
from catalog.registry.records import load_records
from catalog.registry.resources import (
    CREATED,
    UPDATED,
    Harvest,
    Live,
    Programme,
    Resource,
    SimpleServices,
    TapService,
    build_resources,
    render_dublin_core,
    render_voresource,
)
from catalog.registry.store import PublishSummary, RecordStore, Rendered
from catalog.settings import PublicationSettings, RegistrySettings
from catalog.vo.documents import render
from catalog.vo.tableset import TableSchema

__all__ = ["HARVEST_PATH", "RegistryService"]

HARVEST_PATH = "/oai"
"""Where the registry is harvested, below the service's base URL."""


class RegistryService:
    """The publishing registry.

    Args:
        database: Opened with the owner's login.
        rows: ``catalog.package_obscore``: what is published.
        schemas: Every published table.
        tap: Says where the TAP service is and what it can do.
        simple: Says the same of the simple protocols.
        pages_url: The service's pages for people; the registry is harvested below it.
        publication: Authority, publisher, contact.
        settings: Of the registry.
        shown: Which of the rows everybody sees; None for all.
    """

    def __init__(
        self,
        database: Database,
        rows: sa.Table,
        schemas: Sequence[TableSchema],
        *,
        tap: Callable[[], TapService],
        simple: Callable[[], SimpleServices],
        pages_url: str,
        publication: PublicationSettings,
        settings: RegistrySettings,
        shown: sa.ColumnElement[bool] | None = None,
    ) -> None:
        self._database = database
        self._rows = rows
        self._schemas = schemas
        self._tap = tap
        self._simple = simple
        self._pages_url = pages_url
        self._publication = publication
        self._settings = settings
        self._shown = shown
        self.store = RecordStore(database, created_mark=CREATED, updated_mark=UPDATED)
        self.oai = OaiService(self.store, page_size=settings.page_size, token_s=settings.token_s)

    @property
    def folder(self) -> Path:
        """Where the declared facts are: the operator's, or those of the synthetic observatory."""
        return Path(self._settings.records) if self._settings.records else asset_path("vo_resources", "records")

    @property
    def harvest_url(self) -> str:
        """What the world calls the registry."""
        return f"{self._pages_url}{HARVEST_PATH}"

    def capabilities(self, url: str) -> bytes:
        """What the registry can do (VOSI 1.1 section 4).

        Args:
            url: What the client calls the registry.
        """
        return render("registry/capabilities.xml", url=url, page_size=self._settings.page_size)

    @property
    def is_demonstration(self) -> bool:
        """Whether the authority is a reserved one, which no registry of the VO accepts."""
        return is_reserved(self._publication.authority)

    def resources(self) -> list[Resource]:
        """The records as the facts make them now, in the order of their identifiers.

        Raises:
            SettingsError: A declared fact is wrong; says in which file and line.
        """
        declared = load_records(self.folder)
        return build_resources(declared, self._live())

    def resource(self, identifier: str) -> Resource:
        """One of them, by its identifier in any case.

        Raises:
            NotFoundError: There is none.
        """
        for resource in self.resources():
            if resource.identifier.lower() == identifier.lower():
                return resource
        raise NotFoundError(f"there is no record {identifier[:200]}", hint="`catalog registry list` names them")

    def publish(self, *, full: bool = False) -> PublishSummary:
        """Bring what is harvested up to date; datestamps move where content has moved.

        Args:
            full: Make every coverage map anew, instead of adding what is new to it.

        Raises:
            SettingsError: A declared fact is wrong, or one that only the operator knows is still a placeholder.
        """
        declared = load_records(self.folder)
        update_mocs(self._database, self._rows, order=self._settings.moc_order, full=full, shown=self._shown)
        resources = build_resources(declared, self._live())
        if not self.is_demonstration:
            for resource in resources:
                for problem in find_placeholders(resource):
                    raise SettingsError(
                        f"the record {resource.identifier} is not fit to be published: {problem}",
                        hint="`catalog registry init` makes records of your own; `catalog registry check` lists all "
                        "that is wrong.",
                    )
        return self.store.publish(
            Rendered(r.identifier, r.kind, render_voresource(r), render_dublin_core(r)) for r in resources
        )

    def _live(self) -> Live:
        with self._database.engine.connect() as connection:
            coverages = read_coverages(connection, self._rows, self._shown)
            programmes = connection.execute(
                sa.select(
                    ObservingProgram.short_name,
                    ObservingProgram.name,
                    ObservingProgram.description,
                    ObservingProgram.pi_name,
                )
            )
            known = {row.short_name: Programme(*row) for row in programmes}
        publication = self._publication
        return Live(
            publication={
                "authority": publication.authority,
                "path": publication.path,
                "publisher": publication.publisher,
                "contact": publication.contact or "",
            },
            pages_url=f"{self._pages_url}/",
            tap=self._tap(),
            simple=self._simple(),
            harvest=Harvest(self.harvest_url, self._settings.page_size),
            schemas=self._schemas,
            coverages=coverages,
            programmes=known,
        )
