"""Make a folder of records for an operator: those that are shipped, with what only he knows filled in."""

from __future__ import annotations

import json
from pathlib import Path

import yaml
from pydantic import ValidationError

from catalog.assets import asset_path
from catalog.errors import UsageError
from catalog.registry.placeholders import is_reserved
from catalog.registry.records import PUBLISHER_FILE, Contact, Creator, Publisher, Rights, load_records
from catalog.vo.ivoid import Ivoid

__all__ = ["draft_records"]

_LICENSE = "https://spdx.org/licenses/{}.html"


def draft_records(
    folder: Path,
    *,
    authority: str,
    publisher: str,
    contact_name: str,
    contact_email: str,
    license_id: str | None = None,
) -> str:
    """Write the folder.

    Args:
        folder: Made if it is not there; holds no records yet.
        authority: IVOA naming authority, such as ``org.example-observatory``.
        publisher: Name of the organisation.
        contact_name: Whom to ask about the data.
        contact_email: His address.
        license_id: SPDX identifier of the licence of the data.

    Returns:
        The settings that make the service use the folder, as TOML.

    Raises:
        UsageError: A value is wrong or a placeholder, or there are records already.
    """
    try:
        Ivoid(authority)
        rights = Rights(text=license_id, uri=_LICENSE.format(license_id)) if license_id else None
        facts = Publisher(
            contact=Contact(name=contact_name, email=contact_email),
            creators=(Creator(name=publisher),),
            rights=rights,
            subjects=load_records(asset_path("vo_resources", "records")).publisher.subjects,
        )
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        raise UsageError(f"{'.'.join(str(part) for part in problem['loc'])}: {problem['msg']}") from None
    except ValueError as error:
        raise UsageError(str(error)) from None
    for name in (authority, contact_email.rpartition("@")[2]):
        if is_reserved(name):
            raise UsageError(f"{name} is reserved for examples; expected what is your own")
    if folder.exists() and any(folder.glob("*.yaml")):
        raise UsageError(f"there are records in {folder} already; they are left as they are")
    folder.mkdir(parents=True, exist_ok=True)
    for path in asset_path("vo_resources", "records").glob("*.yaml"):
        if path.name != PUBLISHER_FILE:
            (folder / path.name).write_bytes(path.read_bytes())
    content = yaml.safe_dump(facts.model_dump(mode="json", exclude_none=True), sort_keys=False, allow_unicode=True)
    (folder / PUBLISHER_FILE).write_text(f"# Facts that every record shares.\n{content}", encoding="utf-8")
    quoted = [_quoted(value) for value in (authority, publisher, contact_email, str(folder))]
    return "[publication]\nauthority = {}\npublisher = {}\ncontact = {}\n\n[registry]\nrecords = {}\n".format(*quoted)


def _quoted(value: str) -> str:
    """A basic string of TOML; every escape of JSON is one of TOML."""
    return json.dumps(value, ensure_ascii=False)
