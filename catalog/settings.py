"""One frozen model of every setting: ``catalog.toml``, then the environment, then the command line.

A setting ``section.key`` of the file is ``CATALOG_SECTION_KEY`` in the environment. Unknown keys are errors in both.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator

from catalog.errors import SettingsError
from catalog.file_settings import FileSettings
from catalog.oidc_settings import OidcSettings

__all__ = [
    "CONE_PATH",
    "IMAGES_PATH",
    "LINKS_PATH",
    "TOKEN_VARIABLE",
    "AttachedSettings",
    "CopySettings",
    "DatabaseSettings",
    "FileSettings",
    "JobSettings",
    "Network",
    "OidcSettings",
    "PackageSettings",
    "PublicationSettings",
    "RegistrySettings",
    "ServiceSettings",
    "Settings",
    "TapSettings",
    "TransferSettings",
    "load_settings",
]

Network = IPv4Network | IPv6Network
"""Addresses that have their beginning in common."""

LINKS_PATH = "/datalink/links"
"""Where the links of packages are, below the service's base URL: `access_url` leads there."""

CONE_PATH = "/scs/query"
"""Where positions are searched around; the documents of VOSI lie beside it."""

IMAGES_PATH = "/sia2/query"
"""Where images are searched for, likewise."""

_PREFIX = "CATALOG_"
_EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104  (listened at only when the operator says so)
_CONFIG_VARIABLE = "CATALOG_CONFIG"

TOKEN_VARIABLE = "CATALOG_TOKEN"  # noqa: S105  (its name)
"""Holds the token that `catalog get` sends; no setting."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DatabaseSettings(_Section):
    """Where the operations database is."""

    url: SecretStr = SecretStr("sqlite:///var/catalog.db")
    """``sqlite:///path`` or ``postgresql://…``; the owner's login."""

    public_url: SecretStr | None = None
    """Read-only login for queries from outside; the owner's is used, read-only, when absent."""


class AttachedSettings(_Section):
    """An existing operations database with names of its own, read in place (PostgreSQL)."""

    schema_name: Annotated[str, Field(alias="schema")] = "public"
    """Schema that holds their tables."""

    table_prefix: str = ""
    """Put before every table name that is not renamed."""

    tables: Mapping[str, str] = Field(default_factory=dict)
    """Our table name to theirs; an empty name says that they have none."""

    columns: Mapping[str, Mapping[str, str]] = Field(default_factory=dict)
    """Our table, our column to theirs; an empty name says that they have none (NULL)."""

    enums: Mapping[str, Mapping[str, str]] = Field(default_factory=dict)
    """``table.column`` to a map from their value to ours."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class PublicationSettings(_Section):
    """Under which name the holdings are published."""

    authority: str = "ccat.example"
    """IVOA authority id; the default is reserved for synthetic catalogs."""

    path: str = "raw"
    """Path of the publisher identifiers: ``ivo://<authority>/<path>?<package id>``."""

    publisher: str = "CCAT Observatory (synthetic demonstration)"
    contact: str | None = None


class ServiceSettings(_Section):
    """The HTTP service."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    workers: Annotated[int, Field(ge=1)] = 1
    """Processes that serve at the same port."""

    base_url: str | None = None
    """What the world calls us, without a slash at the end; made of host and port when absent."""

    trusted_proxies: tuple[Network, ...] = ()
    """Addresses and networks whose ``X-Forwarded-…`` and ``Forwarded`` headers are believed."""

    title: str = "FYST raw data catalog"

    housekeeping_s: Annotated[float, Field(gt=0)] = 2.0
    """Seconds between two looks at the queue of packages that others changed."""

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _networks(cls, value: object) -> object:
        """In the environment it is one text, with commas."""
        parts = re.split(r"[\s,]+", value) if isinstance(value, str) else value
        try:
            return tuple(ip_network(part) for part in parts if part) if isinstance(parts, list | tuple) else value
        except ValueError as error:
            raise ValueError(f"expected addresses and networks, such as 127.0.0.1 and 10.0.0.0/8: {error}") from None

    @field_validator("base_url")
    @classmethod
    def _plain_url(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("http://", "https://")):
            raise ValueError("expected a URL that starts with http:// or https://")
        return value.rstrip("/") if value else value

    @property
    def url(self) -> str:
        """Base URL, as clients see it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.base_url or f"http://{host}:{self.port}"

    @property
    def is_address_known(self) -> bool:
        """Whether clients can use `url`; a host that stands for every address of this machine is none for them."""
        return self.base_url is not None or self.host not in _EVERYWHERE


class TapSettings(_Section):
    """Limits of the TAP service; what is advertised is what is enforced."""

    maxrec_default: Annotated[int, Field(ge=1)] = 20_000
    maxrec_hard: Annotated[int, Field(ge=1)] = 5_000_000
    async_maxrec_default: Annotated[int, Field(ge=1)] = 1_000_000
    async_maxrec_hard: Annotated[int, Field(ge=1)] = 100_000_000
    sync_timeout_s: Annotated[float, Field(gt=0)] = 60.0

    sync_answer_s: Annotated[float, Field(gt=0)] = 3600.0
    """Seconds until the rows of an answer are read. The database keeps the state that they show as long."""

    sync_concurrency: Annotated[int, Field(ge=1)] = 20
    """Queries that run at once; on PostgreSQL each holds a connection."""

    upload_limit_bytes: Annotated[int, Field(ge=0)] = 100_000_000
    """Size of all tables together that a request may bring, from its body or by URL; 0 lets none in."""

    upload_limit_rows: Annotated[int, Field(ge=1)] = 2_000_000
    """Rows of one uploaded table."""

    upload_limit_tables: Annotated[int, Field(ge=1)] = 20

    upload_fetch_s: Annotated[float, Field(gt=0)] = 60.0
    """How long the document of one URL may take to arrive."""

    upload_read_s: Annotated[float, Field(gt=0)] = 120.0
    """How long the tables of a request may take to be unpacked and read, once they are here."""

    upload_allowed_hosts: tuple[str, ...] = ()
    """``host``, ``host:port`` or networks that URLs of uploads may lead to although they are not public."""

    @field_validator("upload_allowed_hosts", mode="before")
    @classmethod
    def _hosts(cls, value: object) -> object:
        """In the environment it is one text, with commas."""
        return tuple(filter(None, re.split(r"[\s,]+", value))) if isinstance(value, str) else value


class JobSettings(_Section):
    """Asynchronous jobs: where they are kept, who does them, and their limits."""

    url: SecretStr = SecretStr("sqlite:///var/jobs.db")
    """Database of the jobs: ``sqlite:///path`` or ``postgresql://…``. Workers on several machines need PostgreSQL."""

    results: str = "var/results"
    """Folder of the results, or ``s3://bucket/path``. Workers on several machines share it."""

    workers: Annotated[int, Field(ge=0)] = 2
    """Jobs that one process does at once; with 0 the service leaves them to `catalog worker`."""

    duration_default_s: Annotated[int, Field(ge=1)] = 3600
    """Execution duration of a job, unless its owner changes it."""

    duration_hard_s: Annotated[int, Field(ge=1)] = 6 * 3600

    destruction_default_s: Annotated[int, Field(ge=1)] = 7 * 86_400
    """Time from the creation of a job until it is destroyed with its results, unless its owner changes it."""

    destruction_hard_s: Annotated[int, Field(ge=1)] = 30 * 86_400

    jobs_per_caller: Annotated[int, Field(ge=1)] = 1000
    """Jobs kept for one user, or one address of anonymous users."""

    bytes_per_caller: Annotated[int, Field(ge=1)] = 50 * 10**9
    """Bytes of results and uploads kept for one caller."""

    running_per_caller: Annotated[int, Field(ge=1)] = 2
    """Jobs of one caller that run at once; the others wait."""

    lease_s: Annotated[float, Field(gt=0)] = 30.0
    """Seconds after which the job of a process that gives no sign of life is given to another."""

    attempts: Annotated[int, Field(ge=1)] = 3
    """How often a job is begun before the loss of its process means that it fails."""

    list_anonymous: bool = True
    """Whether anonymous users are shown the jobs that came from their address."""


class RegistrySettings(_Section):
    """The publishing registry: what it describes, and how it is harvested."""

    records: str | None = None
    """Folder of declared facts, made by `catalog registry init`; those of the synthetic observatory when absent."""

    refresh_s: Annotated[float, Field(gt=0)] = 3600.0
    """Seconds between two looks of the service at whether a record has changed."""

    page_size: Annotated[int, Field(ge=1, le=1000)] = 100
    """Records in one answer; a harvester goes on with a resumption token."""

    token_s: Annotated[int, Field(ge=60)] = 86_400
    """How long a resumption token is valid."""

    moc_order: Annotated[int, Field(ge=0, le=10)] = 6
    """Order of the coverage maps; cells of order 6 are about a degree wide."""


class CopySettings(_Section):
    """What must be left when a copy is deleted or unpacked."""

    survivors: Annotated[int, Field(ge=1)] = 1
    """Verified archive copies that must be left when a copy at a source, buffer or processing location goes."""

    archive_sites: Annotated[int, Field(ge=1)] = 2
    """Sites with a verified archive copy that must be left when an archive copy goes."""

    archive_media: Annotated[int, Field(ge=1, le=3)] = 1
    """Kinds of storage with a verified archive copy that must be left when an archive copy goes."""

    verified_within_days: Annotated[int, Field(ge=1)] = 365
    """How long a verification counts."""


class AccessSettings(_Section):
    """What is shown of packages that are not released. Their bytes are always for their programme and for staff."""

    hide_unreleased: bool = False
    """Whether their metadata are hidden, too, from everybody else."""

    count_hidden: bool = False
    """Whether answers say how many rows were hidden from who asked, which tells a patient caller what they hold."""


class _RetrySection(_Section):
    attempts: Annotated[int, Field(ge=1)] = 5
    """After so many failed attempts a step is not tried again."""

    backoff_s: Annotated[float, Field(ge=0)] = 300.0
    """Seconds between a failure and the second attempt; twice as long before each further one."""

    backoff_max_s: Annotated[float, Field(ge=0)] = 21_600.0


class PackageSettings(_RetrySection):
    """How files are put into packages, and how often building one is tried."""

    max_bytes: Annotated[int, Field(ge=1)] = 50_000_000_000
    """Of the files together; what is larger and not separated is a package of its own."""

    max_files: Annotated[int, Field(ge=1)] = 100_000


class TransferSettings(_RetrySection):
    """How packages are bundled for the way between sites, and how often a step of it is tried."""

    min_bytes: Annotated[int, Field(ge=0)] = 10_000_000_000_000
    max_bytes: Annotated[int, Field(ge=1)] = 50_000_000_000_000
    """Of the packages together; an execution that is larger travels in a bundle of its own."""

    max_packages: Annotated[int, Field(ge=1)] = 100_000

    overdue_days: Annotated[float, Field(ge=0)] = 3.0
    """What has waited so long goes in a bundle below the minimum, and first."""

    @model_validator(mode="after")
    def _bounds(self) -> Self:
        if self.min_bytes > self.max_bytes:
            raise ValueError("min_bytes must not exceed max_bytes")
        return self


class Settings(_Section):
    """Everything that an operator may decide."""

    database: DatabaseSettings = DatabaseSettings()
    attached: AttachedSettings | None = None
    publication: PublicationSettings = PublicationSettings()
    service: ServiceSettings = ServiceSettings()
    tap: TapSettings = TapSettings()
    jobs: JobSettings = JobSettings()
    registry: RegistrySettings = RegistrySettings()
    oidc: OidcSettings = OidcSettings()
    access: AccessSettings = AccessSettings()
    copies: CopySettings = CopySettings()
    files: FileSettings = FileSettings()
    packages: PackageSettings = PackageSettings()
    transfers: TransferSettings = TransferSettings()

    @model_validator(mode="after")
    def _written_by_us(self) -> Self:
        if self.attached is not None and any(issuer.creates_users for issuer in self.oidc.issuers):
            raise ValueError("no users are made in attached tables: creates_users of oidc.issuers must be false there")
        return self

    @property
    def cautions(self) -> tuple[str, ...]:
        """What an operator is told when the service starts: what holds on this machine alone, and what is not there."""
        has_file = {
            name
            for name, url in (("database.url", self.database.url), ("jobs.url", self.jobs.url))
            if url.get_secret_value().startswith("sqlite")
        }
        found = []
        if not self.service.is_address_known:
            address = "set service.base_url to the address that they reach this machine by"
            found.append(f"clients are told {self.service.url}; {address}")
        if self.jobs.workers == 0:
            places = " and ".join(sorted(has_file))
            here = f" on this machine; others would need PostgreSQL in {places}" if has_file else ""
            found.append(f"jobs wait for `catalog worker`{here}")
        if has_file == {"database.url"}:
            found.append("only this machine can do the jobs in jobs.url, because database.url is a file")
        elif not has_file & {"jobs.url"} and "://" not in self.jobs.results:
            found.append("other machines that do jobs must see the same folder jobs.results")
        return (*found, *self.files.cautions)

    def with_database(self, url: str | None) -> Self:
        """The same settings on another database; None changes nothing."""
        if url is None:
            return self
        database = self.database.model_copy(update={"url": SecretStr(url), "public_url": None})
        return self.model_copy(update={"database": database})

    def with_service(self, *, host: str | None = None, port: int | None = None, workers: int | None = None) -> Self:
        """The same settings on another host or port, or with more processes; None changes nothing."""
        wanted = {"host": host, "port": port, "workers": workers}
        changes = {key: value for key, value in wanted.items() if value is not None}
        return self.model_copy(update={"service": self.service.model_copy(update=changes)})


def load_settings(path: Path | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """Read ``catalog.toml`` and the environment.

    Args:
        path: The file; the variable ``CATALOG_CONFIG`` or ``catalog.toml`` in the current folder when None, and
            then it may be absent.
        environ: The environment; the process's own when None.

    Raises:
        SettingsError: The file is not TOML, a key is unknown, or a value is of the wrong kind; says which.
    """
    environ = os.environ if environ is None else environ
    named = path or (Path(environ[_CONFIG_VARIABLE]) if environ.get(_CONFIG_VARIABLE) else None)
    values = _read_file(named or Path("catalog.toml"), required=named is not None)
    _merge_environment(values, environ)
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise SettingsError(_first_problem(error)) from None


def _read_file(path: Path, *, required: bool) -> dict[str, Any]:
    if not required and not path.exists():
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingsError(f"there is no settings file {path}") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{path} cannot be read as TOML: {error}") from None


def _merge_environment(values: dict[str, Any], environ: Mapping[str, str]) -> None:
    """Lay ``CATALOG_SECTION_KEY`` over the file's values; an unknown section is an error."""
    sections = {name: field for name, field in Settings.model_fields.items() if name != "attached"}
    for name in sorted(environ):
        if not name.startswith(_PREFIX) or name in (_CONFIG_VARIABLE, TOKEN_VARIABLE):
            continue
        section, _, key = name.removeprefix(_PREFIX).lower().partition("_")
        if section not in sections or not key:
            known = ", ".join(f"{_PREFIX}{known.upper()}_…" for known in sections)
            raise SettingsError(f"the environment sets {name}, which is no setting; expected {known}")
        values.setdefault(section, {})
        if not isinstance(values[section], dict):
            raise SettingsError(f"'{section}' in the settings file is not a section")
        values[section][key] = environ[name]


def _first_problem(error: ValidationError) -> str:
    """One line on the first problem; values are not shown, they may be secrets."""
    problem = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        return f"'{where}' is no setting; see docs/reference/settings.md"
    return f"setting '{where}': {problem['msg']}"
