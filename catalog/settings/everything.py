"""One frozen model of every setting: ``catalog.toml``, then the environment, then the command line.

A setting ``section.key`` of the file is ``CATALOG_SECTION_KEY`` in the environment. Unknown keys are errors in both.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import SecretStr, ValidationError, model_validator

from catalog.errors import SettingsError
from catalog.settings.database import AttachedSettings, DatabaseSettings
from catalog.settings.files import FileSettings
from catalog.settings.holdings import AccessSettings, CopySettings, PackageSettings, TransferSettings
from catalog.settings.oidc import OidcSettings
from catalog.settings.registry import RegistrySettings
from catalog.settings.section import Section
from catalog.settings.service import PublicationSettings, ServiceSettings
from catalog.settings.tap import JobSettings, TapSettings

__all__ = ["TOKEN_VARIABLE", "Settings", "load_settings"]

_PREFIX = "CATALOG_"
_CONFIG_VARIABLE = "CATALOG_CONFIG"

TOKEN_VARIABLE = "CATALOG_TOKEN"  # noqa: S105  (its name)
"""Holds the token that `catalog get` sends; no setting."""


class Settings(Section):
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
