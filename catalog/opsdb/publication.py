"""Under which name the holdings are published, and which packages are withdrawn.

Authority, path and base URL are rows of ``catalog.publication_setting``: the views read them, so that a new base URL
needs no DDL. Identifiers are made once, from authority, path and the package's UUID, and never change.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from uuid import UUID

import sqlalchemy as sa

from catalog.errors import IntegrityError, NotFoundError, SettingsError, UsageError
from catalog.opsdb.models import PackagePublication, PublicationSetting
from catalog.opsdb.models.declarative import utc_now
from catalog.settings import PublicationSettings
from catalog.vo.ivoid import Ivoid

__all__ = [
    "Publication",
    "Withdrawals",
    "read_publication",
    "read_withdrawals",
    "restore",
    "set_base_url",
    "set_publication",
    "withdraw",
]


@dataclass(frozen=True, slots=True)
class Publication:
    """Facts about this publication, as the database holds them."""

    authority: str
    """IVOA naming authority."""

    path: str
    """Path of the publisher identifiers."""

    publisher_id: str
    """IVOA identifier of the publisher (ObsCore 1.1, publisher_id)."""

    base_url: str
    """What the world calls the service, without a slash at the end."""


def read_publication(connection: sa.Connection) -> Publication:
    """The facts in the database.

    Raises:
        SettingsError: They have not been set.
    """
    known = _read(connection)
    if known is None:
        raise SettingsError(
            "the database does not say under which name it is published", hint="`catalog init` writes it down"
        )
    return known


def set_publication(connection: sa.Connection, settings: PublicationSettings, *, base_url: str) -> Publication:
    """Write the facts down. Safe to repeat.

    Args:
        connection: In a transaction that writes.
        settings: Authority and path.
        base_url: What the world calls the service.

    Returns:
        The facts as they stand now.

    Raises:
        SettingsError: Authority or path break the syntax of IVOA identifiers.
        IntegrityError: Authority or path differ from those of identifiers that exist already.
    """
    try:
        Ivoid(settings.authority, settings.path)
    except ValueError as error:
        raise SettingsError(f"publication.authority or publication.path is wrong: {error}") from None
    if not settings.path:
        raise SettingsError("publication.path is empty; the identifiers of packages need one, such as 'raw'")
    wanted = Publication(settings.authority, settings.path, f"ivo://{settings.authority}", base_url.rstrip("/"))
    known = _read(connection)
    if known is not None and (known.authority, known.path) != (wanted.authority, wanted.path):
        _refuse_if_published(connection, known, wanted)
    for key, value in asdict(wanted).items():
        _write(connection, key, value)
    return wanted


def set_base_url(connection: sa.Connection, url: str) -> None:
    """Change what the world calls the service; every access_url follows at once.

    Raises:
        UsageError: It is no URL of HTTP.
    """
    if not url.startswith(("http://", "https://")):
        raise UsageError(f"'{url}' is no base URL; expected one that starts with http:// or https://")
    _write(connection, "base_url", url.rstrip("/"))


def withdraw(connection: sa.Connection, did: str, reason: str) -> UUID:
    """Take a package out of what is published. Its identifier stays; withdrawing again changes the reason only.

    Args:
        connection: In a transaction that writes.
        did: obs_publisher_did.
        reason: Why, for people; not empty.

    Returns:
        Id of the package.

    Raises:
        NotFoundError: No package has this identifier.
        UsageError: The reason is empty.
    """
    if not reason.strip():
        raise UsageError("a package is withdrawn for a reason; say which")
    first = sa.func.coalesce(PackagePublication.withdrawn_at, utc_now())
    return _change(connection, did, {"withdrawn_at": first, "withdrawn_reason": reason.strip()})


def restore(connection: sa.Connection, did: str) -> UUID:
    """Publish a withdrawn package again.

    Returns:
        Id of the package.

    Raises:
        NotFoundError: No package has this identifier.
    """
    return _change(connection, did, {"withdrawn_at": None, "withdrawn_reason": None})


Withdrawals = Callable[[Sequence[str]], Mapping[str, str]]
"""Of some identifiers those whose packages were withdrawn, each with when, and why if that may be known."""


def read_withdrawals(connection: sa.Connection, dids: Sequence[str], *, with_reasons: bool = True) -> dict[str, str]:
    """When and why packages were withdrawn, in a sentence, by identifier; packages that were not are left out.

    Args:
        connection: Of the owner.
        dids: A few obs_publisher_dids.
        with_reasons: Whether the reasons are told.
    """
    query = sa.select(
        PackagePublication.obs_publisher_did, PackagePublication.withdrawn_at, PackagePublication.withdrawn_reason
    ).where(PackagePublication.obs_publisher_did.in_(dids), PackagePublication.withdrawn_at.is_not(None))
    return {
        row.obs_publisher_did: f"the package {row.obs_publisher_did} was withdrawn on "
        f"{row.withdrawn_at.date().isoformat()}" + (f": {row.withdrawn_reason}" if with_reasons else "")
        for row in connection.execute(query)
    }


def _read(connection: sa.Connection) -> Publication | None:
    rows = connection.execute(sa.select(PublicationSetting.key, PublicationSetting.value))
    values = {row[0]: row[1] for row in rows}
    names = Publication.__dataclass_fields__
    return Publication(**{name: values[name] for name in names}) if values.keys() >= names.keys() else None


def _write(connection: sa.Connection, key: str, value: str) -> None:
    changed = connection.execute(sa.update(PublicationSetting).where(PublicationSetting.key == key).values(value=value))
    if not changed.rowcount:
        connection.execute(sa.insert(PublicationSetting).values(key=key, value=value))


def _refuse_if_published(connection: sa.Connection, known: Publication, wanted: Publication) -> None:
    if connection.scalar(sa.select(sa.exists().select_from(PackagePublication))):
        raise IntegrityError(
            f"packages are published under ivo://{known.authority}/{known.path} already; authority and path cannot "
            f"become ivo://{wanted.authority}/{wanted.path}, because identifiers never change",
            hint="Give the settings their old values, or start a new database.",
        )


def _change(connection: sa.Connection, did: str, values: dict[str, object]) -> UUID:
    found = connection.scalar(
        sa.select(PackagePublication.raw_data_package_id).where(PackagePublication.obs_publisher_did == did)
    )
    if found is None:
        raise NotFoundError(f"no package has the identifier {did}", hint="It is the obs_publisher_did: ivo://….")
    connection.execute(
        sa.update(PackagePublication).where(PackagePublication.raw_data_package_id == found).values(values)
    )
    return found
