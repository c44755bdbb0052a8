"""Make a folder of records for an operator: those that are shipped, with what only he knows filled in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from catalog.assets import asset_path
from catalog.errors import UsageError
from catalog.registry.placeholders import find_placeholder, is_reserved
from catalog.registry.records import PUBLISHER_FILE, Contact, Creator, Publisher, Rights, is_license, load_records
from catalog.vo.ivoid import Ivoid

__all__ = ["draft_records"]

_M = TypeVar("_M", bound=BaseModel)

_LICENSE = "https://spdx.org/licenses/{}.html"
_EXPECTED = {
    "publisher": "the name of an organisation",
    "contact-name": "a name",
    "contact-email": "an address such as archive@my-observatory.org",
    "license": "an identifier of SPDX such as CC-BY-4.0",
}


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
    except ValueError as error:
        raise UsageError(str(error)) from None
    if license_id and not is_license(license_id):
        raise _refused("license", license_id)
    for option, text in (("publisher", publisher), ("contact-name", contact_name)):
        if find_placeholder(text):
            raise _refused(option, text)
    facts = Publisher(
        contact=_made(Contact, {"name": ("contact-name", contact_name), "email": ("contact-email", contact_email)}),
        creators=(_made(Creator, {"name": ("publisher", publisher)}),),
        rights=Rights(text=license_id, uri=_LICENSE.format(license_id)) if license_id else None,
        subjects=load_records(asset_path("vo_resources", "records")).publisher.subjects,
    )
    for name in (authority, contact_email.rpartition("@")[2]):
        if is_reserved(name):
            raise UsageError(f"{name} is reserved for examples; expected what is your own")
    if folder.exists() and any(folder.glob("*.yaml")):
        raise UsageError(f"there are records in {folder} already; they are left as they are")
    content = yaml.safe_dump(facts.model_dump(mode="json", exclude_none=True), sort_keys=False, allow_unicode=True)
    try:
        _write(folder, f"# Facts that every record shares.\n{content}")
    except OSError as error:
        raise UsageError(f"the folder {folder} cannot be made: {error.strerror}") from None
    quoted = [_quoted(value) for value in (authority, publisher, contact_email, str(folder))]
    return "[publication]\nauthority = {}\npublisher = {}\ncontact = {}\n\n[registry]\nrecords = {}\n".format(*quoted)


def _write(folder: Path, publisher: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for path in asset_path("vo_resources", "records").glob("*.yaml"):
        if path.name != PUBLISHER_FILE:
            (folder / path.name).write_bytes(path.read_bytes())
    (folder / PUBLISHER_FILE).write_text(publisher, encoding="utf-8")


def _made(model: type[_M], values: dict[str, tuple[str, str]]) -> _M:
    """A model from fields: the option that each was given by, and its value."""
    try:
        return model(**{field: value for field, (_, value) in values.items()})
    except ValidationError as error:
        option, value = values[str(error.errors(include_url=False)[0]["loc"][0])]
        raise _refused(option, value) from None


def _refused(option: str, value: str) -> UsageError:
    return UsageError(f"--{option} cannot be '{value}'; expected {_EXPECTED[option]}")


def _quoted(value: str) -> str:
    """A basic string of TOML; every escape of JSON is one of TOML."""
    return json.dumps(value, ensure_ascii=False)
