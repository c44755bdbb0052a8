"""The `Catalog`: every part of the toolkit over one database, and one method for each thing that people do with it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property, partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from catalog.access import ANONYMOUS, AccessRule, Caller, is_open
from catalog.adql.installed import QueryFunctions
from catalog.adql.postgresql_functions import POSTGRESQL_FUNCTIONS
from catalog.adql.sqlite_functions import SQLITE_FUNCTIONS
from catalog.adql.statement import RowRule
from catalog.broker.places import build_places
from catalog.broker.service import Broker
from catalog.broker.tapes import TapeService
from catalog.closing import Closing
from catalog.datalink.links import PUBLISHER_DID, describe_links
from catalog.datalink.manifest import ManifestService
from catalog.datalink.packages import PackageReader
from catalog.datalink.service import LinkService
from catalog.db import Database, SqlFunction
from catalog.errors import AuthorizationError, CatalogError, NotFoundError, SettingsError
from catalog.formats.encoder import encode
from catalog.formats.media import FORMATS, Format, format_for_path, parse_format
from catalog.obscore.comparison import Difference, compare_with_fresh
from catalog.obscore.derived import PublishedObjects
from catalog.obscore.export import Manifest, export_obscore
from catalog.obscore.freshness import keep_resolved, refresh
from catalog.obscore.images import has_images
from catalog.obscore.package_obscore import TABLE as OBSCORE
from catalog.obscore.package_obscore import package_obscore, published_table
from catalog.obscore.record import ObsCoreRecord, read_record, render_document, write_records
from catalog.obscore.resolve import ResolveSummary
from catalog.opsdb.accounts import AccountService
from catalog.opsdb.grants import ReaderGrants
from catalog.opsdb.lifecycle.copies import CopyService
from catalog.opsdb.lifecycle.reconcile import StateFinding, reconcile_states, rehearse_states
from catalog.opsdb.lifecycle.rules import DeletionRules, keep_rules
from catalog.opsdb.packaging.service import PackagingService
from catalog.opsdb.publication import read_withdrawals, restore, set_base_url, set_publication, withdraw
from catalog.opsdb.readable import CopyReader
from catalog.opsdb.schema import DerivedObjects, current_revision, head_revision
from catalog.opsdb.staging import StagingService
from catalog.opsdb.transfers.service import TransferService
from catalog.registry.resources import SimpleServices, TapService
from catalog.registry.service import RegistryService
from catalog.scs import ConeSearchService, table_of_records
from catalog.settings import (
    CONE_PATH,
    IMAGES_PATH,
    LINKS_PATH,
    Settings,
    load_settings,
)
from catalog.sia2 import ImageService
from catalog.tap.examples import Example, load_examples, render_examples
from catalog.tap.fetch import Fetcher
from catalog.tap.jobs import MULTIPLE, TapWork
from catalog.tap.query import QueryService, RowLimits
from catalog.tap.schema import TapSchema, spell_names
from catalog.tap.upload import Uploads, UploadService
from catalog.uws.job import Client
from catalog.uws.leases import Leases
from catalog.uws.results import ResultStore
from catalog.uws.runner import Runner
from catalog.uws.service import JobService
from catalog.uws.store import JobStore
from catalog.vo.table import Column, Table, TableStream
from catalog.vo.tableset import TableSchema, load_tableset
from catalog.vo.types import Datatype
from catalog.vosi import ConeCapability, ImageCapability, TapCapability
from catalog.wiring.holdings import HoldingsCounter, PublishedHoldings
from catalog.wiring.parts import (
    as_caller,
    async_limits,
    bundle_limits,
    job_limits,
    link_words,
    origin,
    package_limits,
    reading_rules,
    retries,
    tap_capability,
    token_verifier,
    upload_limits,
)

if TYPE_CHECKING:  # loaded where something is taken in: nobody else shall wait for it
    from catalog.ingest.report import IngestSummary
    from catalog.ingest.shares import Share, ShareBlock
    from catalog.ingest.synthetic.load import SyntheticSummary

__all__ = ["Catalog", "InitSummary", "open_catalog"]

Progress = Callable[[int, int | None], None]
"""Called with how many are done and how many there are, if that is known."""

_PROBE = "SELECT TOP 1 obs_publisher_did FROM ivoa.obscore"
_POSITION = (  # the same one for as long as it is published, lest a record changes for nothing
    "SELECT TOP 1 s_ra, s_dec FROM ivoa.obscore WHERE s_ra IS NOT NULL AND s_dec IS NOT NULL ORDER BY obs_publisher_did"
)
_ONE = Table("one", (Column("one", Datatype.INT),))
_ALL_ROWS = 2**31  # of a query of our own
_UPGRADE = "`catalog init` upgrades it"


@dataclass(frozen=True, slots=True)
class InitSummary:
    """What `Catalog.init` brought about."""

    revision: str
    resolved: int
    """Packages whose published row was made or changed."""


def open_catalog(source: str | Settings | None = None) -> Catalog:
    """Open a catalog.

    Args:
        source: A database URL, whole settings, or None for ``catalog.toml`` and the environment.

    Raises:
        SettingsError: The settings or the URL are wrong.
    """
    if isinstance(source, Settings):
        return Catalog(source)
    return Catalog(load_settings().with_database(source))


class Catalog(Closing):
    """The whole toolkit over one database. Close it, or use ``with``.

    Args:
        settings: Every setting.

    Raises:
        SettingsError: The database URL has a form that is not known.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.version = version("ccat-catalog")
        self.up_since = datetime.now(UTC)
        self.schemas: tuple[TableSchema, ...] = load_tableset()
        self.tableset = spell_names(self.schemas)
        self._tap_schema = TapSchema(self.tableset)
        public = settings.database.public_url
        self.database = Database(
            settings.database.url.get_secret_value(),
            public_url=public.get_secret_value() if public else None,
            functions=[SqlFunction(*function) for function in SQLITE_FUNCTIONS],
            timeout_s=settings.tap.sync_timeout_s,
        )
        self._origin = origin(settings.publication, self.version)
        self.access = AccessRule(hides_metadata=settings.access.hide_unreleased)
        self.accounts = AccountService(self.database)
        self.oidc = token_verifier(settings.oidc)
        self.package_copies = CopyReader(self.database, reading_rules(settings.files))
        self.tap = QueryService(
            self.database,
            self.schemas,
            rule=self.access.metadata,
            variant=self.access.variant,
            maxrec_default=settings.tap.maxrec_default,
            maxrec_hard=settings.tap.maxrec_hard,
            timeout_s=settings.tap.sync_timeout_s,
            origin=self._origin,
            counts_hidden=settings.access.count_hidden,
            services={PUBLISHER_DID: partial(describe_links, self.public_url(LINKS_PATH))},
        )
        words = link_words(settings)
        reader = PackageReader(self.database, package_obscore(), published_table("fyst.packages"), self.access)
        self.datalink = LinkService(
            reader,
            self.package_copies.of,
            self.withdrawals,
            words=words,
            maxrec=settings.tap.maxrec_hard,
        )
        self.manifests = ManifestService(
            reader,
            self.package_copies.of,
            self.withdrawals,
            lambda adql, caller: self.tap.run(adql, caller=caller, limits=RowLimits(_ALL_ROWS, _ALL_ROWS)),
            words=words,
        )
        self.scs = ConeSearchService(self.tap.run, published_table(OBSCORE))
        self.sia2 = ImageService(
            self.tap.run, published_table(OBSCORE), lambda: has_images(self.database, self._rule(ANONYMOUS))
        )
        self.uploads = UploadService(
            upload_limits(settings.tap),
            Fetcher(settings.tap.upload_allowed_hosts, seconds=settings.tap.upload_fetch_s),
            takes_tables=self.database.takes_temporary_tables,
        )
        jobs = settings.jobs
        self._job_store = JobStore(jobs.url.get_secret_value())
        self._job_files = ResultStore(jobs.results, store=lambda: self._job_store.name)
        self._tap_work = TapWork(
            self.tap,
            self.uploads,
            self._job_files,
            limits=async_limits(settings.tap),
            caller_of=self._caller_of_job,
        )
        self.jobs = JobService(
            self._job_store,
            self._job_files,
            limits=job_limits(jobs),
            check=self._tap_work.check,
            multiple=MULTIPLE,
            list_anonymous=jobs.list_anonymous,
        )
        self._runners: list[Runner] = []
        self.registry = RegistryService(
            self.database,
            package_obscore(),
            self.tableset,
            tap=lambda: TapService(self.public_url("/tap"), self.public_url(LINKS_PATH), self.tap_capability),
            simple=self._simple_services,
            pages_url=self.public_url(),
            publication=settings.publication,
            settings=settings.registry,
            shown=self._shown,
        )
        self.copies = CopyService(self.database, DeletionRules(**settings.copies.model_dump()))
        self.packaging = PackagingService(
            self.database,
            package_limits(settings.packages),
            retries(settings.packages),
            self._publishing,
        )
        transfers = settings.transfers
        self.transfers = TransferService(
            self.database,
            bundle_limits(transfers),
            retries(transfers),
            overdue_after=timedelta(days=transfers.overdue_days),
            writing=self._publishing,
        )
        self.staging = StagingService(self.database, retries(transfers), self._publishing)
        self._places = build_places(settings.files.locations, signed_url_s=settings.files.signed_url_s)
        self.broker = Broker(
            self.database,
            self.access,
            visible=self._visible,
            published=package_obscore(),
            copies=self.package_copies,
            places=self._places,
            staging_wait_s=settings.files.staging_wait_s,
            is_staged=settings.files.staging_location is not None,
            contact=settings.publication.contact,
        )
        self.tapes = TapeService(
            self.database,
            self.broker,
            self.staging,
            location=settings.files.staging_location,
            wait_s=settings.files.staging_wait_s,
            per_user=settings.files.staging_per_user,
        )
        self._holdings = HoldingsCounter(self.database, self._shown)

    def init(self) -> InitSummary:
        """Create or upgrade tables, triggers and views, and publish what is there. Safe to repeat.

        Raises:
            SettingsError: The login may not do it; says what a superuser must run.
            IntegrityError: The authority of a filled catalog would change.
        """
        from catalog.opsdb.attach import attach  # Alembic is loaded here: nothing else needs it
        from catalog.opsdb.migrate import upgrade

        if self.settings.attached is None:
            upgrade(self.database, derived=self._derived())
        else:
            attach(self.database, self.settings.attached, derived=self._derived())
        with self.database.begin() as connection:
            set_publication(connection, self.settings.publication, base_url=self.settings.service.url)
            keep_rules(connection, self.copies.rules)
        return InitSummary(head_revision(), self.refresh().written)

    def check_ready(self) -> None:
        """See that the database is at the revision that this version needs, and lets itself be read.

        Raises:
            SettingsError: It is not; the hint says what to do.
            UnavailableError: It does not answer.
        """
        self.database.stream(sa.select(sa.literal(1)), _ONE).read_all()  # the owner's login would create a SQLite file
        found, needed = current_revision(self.database), head_revision()
        if found != needed:
            state = "empty" if found is None else f"at revision {found}"
            raise SettingsError(f"the database is {state}; this version needs revision {needed}", hint=_UPGRADE)
        with self.database.engine.connect() as connection:
            if not self._tap_schema.is_current(connection):
                raise SettingsError("the database publishes the tables of another version", hint=_UPGRADE)

    def check_jobs(self) -> None:
        """See that asynchronous jobs can be kept where the settings say.

        Raises:
            SettingsError: They cannot.
            UnavailableError: Their database does not answer.
        """
        try:
            _ = self._job_store.name
        except SettingsError as fault:
            raise SettingsError(f"jobs.url: {fault.message}", hint=fault.hint) from None

    def announce(self) -> None:
        """Write the service's base URL down, so that every access_url leads to it."""
        with self.database.begin() as connection:
            set_base_url(connection, self.settings.service.url)

    def session(self) -> Session:
        """An ORM session on the operations tables; what it changes is published as it commits."""
        return keep_resolved(self.database.session())

    def load_synthetic(
        self, *, packages: int, seed: int, files_per_package: int = 3, progress: Progress | None = None
    ) -> SyntheticSummary:
        """Fill an empty catalog with a synthetic observatory and publish it.

        Raises:
            UsageError: The catalog holds something else.
        """
        from catalog.ingest.synthetic.load import load_synthetic

        summary = load_synthetic(
            self.database, packages=packages, seed=seed, files_per_package=files_per_package, progress=progress
        )
        self.refresh(full=True, progress=progress)
        return summary

    def ingest(
        self,
        paths: Sequence[str | Path],
        *,
        tar_dir: str | Path | None = None,
        create_instruments: bool = False,
        dry_run: bool = False,
        program: str | None = None,
        location: str | None = None,
        progress: Progress | None = None,
        jobs: int = 1,
    ) -> IngestSummary:
        """Take in manifests and trees of FITS files; see `catalog.ingest.paths.ingest_paths`.

        With more than one of ``jobs``, processes are spawned for large manifests on PostgreSQL: a script that asks for
        them begins with ``if __name__ == "__main__":``.
        """
        from catalog.ingest.paths import ingest_paths

        self.check_ready()
        named: dict[str, Any] = {} if program is None else {"program": program}
        return ingest_paths(
            self.database,
            [Path(path) for path in paths],
            tar_dir=None if tar_dir is None else Path(tar_dir),
            create_instruments=create_instruments,
            dry_run=dry_run,
            location=location,
            **named,
            progress=progress,
            session_factory=self.session,
            share=partial(_load_share, self.settings) if self.database.dialect == "postgresql" else None,
            jobs=jobs,
        )

    def refresh(self, *, full: bool = False, progress: Progress | None = None) -> ResolveSummary:
        """Publish what others changed in the database; with ``full``, resolve every package anew."""
        return refresh(self.database, full=full, progress=progress)

    def differences(self) -> Iterator[Difference]:
        """What is published and is not what a fresh resolution gives; nothing is written."""
        with self.database.engine.connect() as connection:
            yield from compare_with_fresh(connection)

    def withdraw(self, did: str, reason: str) -> None:
        """Take a package out of what is published; its identifier stays.

        Raises:
            NotFoundError: No package has this identifier.
        """
        with self.session() as session:
            withdraw(session.connection(), did, reason)
            session.commit()

    def restore(self, did: str) -> None:
        """Publish a withdrawn package again.

        Raises:
            NotFoundError: No package has this identifier.
        """
        with self.session() as session:
            restore(session.connection(), did)
            session.commit()

    def reconcile(self, *, actor: str, reason: str | None = None, dry_run: bool = False) -> Iterator[StateFinding]:
        """Packages whose state is not what copies and transfers say, moved there unless ``dry_run``.

        See `catalog.opsdb.lifecycle.reconcile.reconcile_states`.
        """
        if dry_run:
            return rehearse_states(self.database)
        return reconcile_states(self.database, actor=actor, reason=reason)

    def index_package(self, package_id: UUID) -> int:
        """Read a package at a location of ``files.locations``, and record where its files lie in it.

        Returns:
            How many files it has.

        Raises:
            NotFoundError: There is no such package, or it is not built.
            UnavailableError: No copy of it can be read.
            UsageError: It is no plain tar.
            IntegrityError: Its bytes are not those that are recorded, or it lacks one of its files.
        """
        from catalog.ingest.members import index_tar

        stream, algorithm = self.broker.read(package_id)
        with stream:
            tar = index_tar(stream, algorithm=algorithm)
        return self.packaging.record_members(package_id, tar.members, size_bytes=tar.size_bytes, checksum=tar.checksum)

    def caller_named(self, username: str) -> Caller:
        """An active user, for `query` and others: what they show is what this user would see.

        Raises:
            NotFoundError: There is no active user of this name.
        """
        account = self.accounts.by_name(username)
        if account is None:
            raise NotFoundError(f"there is no active user {username}")
        return as_caller(account)

    def query(
        self,
        adql: str,
        *,
        caller: Caller = ANONYMOUS,
        maxrec: int | None = None,
        life_s: float | None = None,
        uploads: Uploads | None = None,
    ) -> TableStream:
        """Run an ADQL query; see `catalog.tap.query.QueryService.run`."""
        return self.tap.run(adql, caller=caller, maxrec=maxrec, life_s=life_s, uploads=uploads)

    def record(self, did: str, *, caller: Caller = ANONYMOUS) -> ObsCoreRecord:
        """The published record of one package.

        Raises:
            NotFoundError: No published package that the caller may see has this identifier.
        """
        return read_record(self.database, did, rule=self._rule(caller), withdrawals=self.withdrawals)

    def record_document(self, did: str, fmt: Format, *, caller: Caller = ANONYMOUS) -> bytes:
        """The published record of one package, as a document.

        Raises:
            NotFoundError: No published package that the caller may see has this identifier.
        """
        record = self.record(did, caller=caller)
        if fmt.name == "json":
            return render_document(record).encode()
        return b"".join(encode(TableStream.from_pylist(record.table, [record.as_dict()]), fmt, infos=self._origin))

    def write_records(
        self, folder: str | Path, *, dids: Iterable[str] | None = None, progress: Progress | None = None
    ) -> int:
        """Write a VOTable and a JSON sidecar per package; of every published one when ``dids`` is None."""
        rule = self._rule(ANONYMOUS)
        return write_records(
            self.database, Path(folder), dids=dids, rule=rule, progress=progress, withdrawals=self.withdrawals
        )

    def export_obscore(
        self,
        path: str | Path,
        *,
        fmt: str | None = None,
        where: str | None = None,
        caller: Caller = ANONYMOUS,
        progress: Progress | None = None,
    ) -> Manifest:
        """Write ``ivoa.obscore`` to a file, with a manifest beside it.

        Args:
            path: The file; it appears when it is complete.
            fmt: Format; the ending of the file name says it when None.
            where: ADQL condition.
            caller: For whom; rows that this caller may not see are left out.
            progress: Told the rows written so far.
        """
        rule = self._rule(caller)
        return export_obscore(self.database, Path(path), fmt=fmt, where=where, rule=rule, progress=progress)

    def runner(self, workers: int | None = None) -> Runner:
        """Threads that do asynchronous jobs of this catalog: start them after the last fork, and stop them.

        `close` stops them, too.

        Args:
            workers: Jobs at once; as many as the settings say when None.
        """
        jobs = self.settings.jobs
        leases = Leases(
            self._job_store,
            lease_s=jobs.lease_s,
            attempts=jobs.attempts,
            running_per_caller=jobs.running_per_caller,
        )
        runner = Runner(
            leases,
            self._job_files,
            self.jobs,
            work=self._tap_work,
            workers=jobs.workers if workers is None else workers,
        )
        self._runners.append(runner)
        return runner

    def holdings(self) -> PublishedHoldings:
        """Counts for people, of what everybody sees; at most a few seconds old."""
        return self._holdings.read()

    def problem(self) -> str | None:
        """Why queries are not answered now, in a sentence; None when they are."""
        try:
            self.check_ready()
            self.query(_PROBE).read_all()
        except CatalogError as fault:
            return fault.message
        except sa.exc.SQLAlchemyError:
            return "the database does not answer as it should"
        return None

    def public_url(self, path: str = "") -> str:
        """What the world calls a path of the service."""
        return f"{self.settings.service.url}{path}"

    def format_for(self, name: str | None, path: Path | None) -> Format:
        """The format of this name, else the one that the file's ending says.

        Raises:
            ParameterError: There is no such format.
        """
        if name is not None:
            return parse_format(name)
        return format_for_path(path) if path is not None else FORMATS[0]

    @property
    def tap_capability(self) -> TapCapability:
        """What the capabilities document says of the TAP service."""
        tap, jobs = self.settings.tap, self.settings.jobs
        return tap_capability(tap, jobs, takes_uploads=self.uploads.is_offered)

    def cone_capability(self, service_url: str | None = None) -> ConeCapability:
        """What the capabilities document says of the cone search.

        Args:
            service_url: What the client calls the service; the address of the settings when None.
        """
        url = (service_url or self.public_url()) + CONE_PATH
        with self.query(_POSITION) as found:
            rows = [row for batch in found for row in batch.to_pylist()]
        test = (rows[0]["s_ra"], rows[0]["s_dec"]) if rows else None
        return ConeCapability(url, self.settings.tap.maxrec_hard, test)

    def image_capability(self, service_url: str | None = None) -> ImageCapability:
        """What the capabilities document says of the image access.

        Args:
            service_url: What the client calls the service; the address of the settings when None.
        """
        url = (service_url or self.public_url()) + IMAGES_PATH
        return ImageCapability(url, self.settings.tap.maxrec_hard)

    @cached_property
    def examples(self) -> tuple[Example, ...]:
        """Queries to start from."""
        return load_examples()

    def examples_document(self, tap_url: str | None = None) -> bytes:
        """Queries to start from, as a page that programs read too.

        Args:
            tap_url: What the client calls the TAP service; the address of the settings when None.
        """
        url = tap_url or self.public_url("/tap")
        return render_examples(self.examples, self.tap, title=self.settings.service.title, base_url=url)

    def close(self) -> None:
        """Hand jobs back, cancel queries that still run, and close every connection. Safe to repeat."""
        for runner in self._runners:
            runner.stop()
        self.database.close()
        self._job_store.close()

    @contextmanager
    def _publishing(self) -> Iterator[sa.Connection]:
        """A writing transaction whose changes are published as it commits, and that no loss of power undoes."""
        with (
            self.database.begin(durable=True) as connection,
            keep_resolved(Session(connection, join_transaction_mode="rollback_only")) as session,
        ):
            yield session.connection()
            session.commit()

    def withdrawals(self, dids: Sequence[str]) -> dict[str, str]:
        """Of some identifiers those whose packages were withdrawn, each with when, and why if that may be known."""
        with self.database.engine.connect() as connection:
            return read_withdrawals(connection, dids, with_reasons=not self.access.hides_metadata)

    def _caller_of_job(self, client: Client) -> Caller:
        """Who made a job, as of now, with no more than the credentials had that made it."""
        vouched = client.roles & self.oidc.roles if self.oidc is not None else frozenset()
        account = self.accounts.by_name(client.owner or "", scopes=client.scopes, roles=vouched)
        if account is None:
            raise AuthorizationError("the owner of the job may not log in any more")
        return as_caller(account)

    @property
    def _shown(self) -> sa.ColumnElement[bool] | None:
        """Which packages everybody sees, as a condition on `package_obscore`; None for all."""
        return is_open(package_obscore()) if self.access.hides_metadata else None

    def _simple_services(self) -> SimpleServices:
        images = self.image_capability() if self.sia2.is_offered(fresh=True) else None
        return SimpleServices(self.cone_capability(), table_of_records(published_table(OBSCORE)), images)

    def _rule(self, caller: Caller) -> RowRule:
        """The access rule for one caller, as `catalog.adql.translate` weaves it in."""
        return partial(self.access.metadata, caller)

    def _visible(self, caller: Caller) -> sa.ColumnElement[bool] | None:
        return self.access.metadata(caller, published_table("ivoa.obscore"), package_obscore())

    def _derived(self) -> tuple[DerivedObjects, ...]:
        public = self.settings.database.public_url
        role = sa.make_url(public.get_secret_value()).username if public else None
        functions = QueryFunctions(POSTGRESQL_FUNCTIONS)
        objects: tuple[DerivedObjects, ...] = (PublishedObjects(), functions, self._tap_schema)
        return (*objects, ReaderGrants(role)) if role else objects


def _load_share(settings: Settings, share: Share, tell: Callable[[ShareBlock], None]) -> None:
    """A share of a manifest, in a process of its own."""
    from catalog.ingest.shares import load_share

    with Catalog(settings) as catalog:
        load_share(catalog.session(), share, tell)
