"""Declared facts about the resources that are published: one YAML file a record, and ``publisher.yaml`` for all.

Texts may name facts of the publication in braces: ``{authority}``, ``{path}``, ``{publisher}``, ``{contact}``; those of
a collection also ``{short_name}``, ``{name}``, ``{description}`` and ``{pi_name}`` of its programme. Unknown keys and
values of the wrong kind are errors that name the file, the line and the field.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from string import Formatter
from typing import Annotated, Literal, Self, TypeVar

import yaml
from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from catalog.errors import SettingsError

__all__ = [
    "COLLECTION_FACTS",
    "PUBLICATION_FACTS",
    "PUBLISHER_FILE",
    "Contact",
    "Creator",
    "Declared",
    "Publisher",
    "Record",
    "Related",
    "Rights",
    "fill",
    "is_license",
    "load_records",
]

PUBLISHER_FILE = "publisher.yaml"
PUBLICATION_FACTS = frozenset({"authority", "path", "publisher", "contact"})
COLLECTION_FACTS = PUBLICATION_FACTS | {"short_name", "name", "description", "pi_name"}

Kind = Literal["authority", "organisation", "registry", "service", "cone", "images", "table", "collection"]
ContentLevel = Literal["Research", "Amateur", "General"]
Waveband = Literal[
    "Radio", "Millimeter", "Infrared", "Optical", "UV", "EUV", "X-ray", "Gamma-ray", "Photon", "Neutrino"
]
Relationship = Literal[
    "IsServedBy",
    "IsServiceFor",
    "Cites",
    "IsSupplementTo",
    "IsSupplementedBy",
    "Continues",
    "IsContinuedBy",
    "IsNewVersionOf",
    "IsPreviousVersionOf",
    "IsPartOf",
    "HasPart",
    "IsSourceOf",
    "IsDerivedFrom",
    "IsIdenticalTo",
]
Text = Annotated[str, Field(min_length=1, pattern=r"\S")]
Url = Annotated[str, Field(pattern=r"^https?://[^\s/]+\S*$")]
Subject = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]

_F = TypeVar("_F", bound=BaseModel)
_SHORT_NAME = 16
_UNKNOWN = "extra_forbidden"  # pydantic's word for a field that there is not; told first, as it may be one misspelt
_SINGLE: tuple[Kind, ...] = ("authority", "organisation", "registry", "service")
_AT_MOST_ONE: tuple[Kind, ...] = ("cone", "images")


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Contact(_Strict):
    """Whom to ask (VOResource 1.1 section 3.1.2)."""

    name: Text
    email: Annotated[str, Field(pattern=r"^[^\s@<>]+@[^\s@<>]+$")]
    address: Text | None = None
    telephone: Text | None = None


class Creator(_Strict):
    """A person or an organisation to be named when the resource is cited."""

    name: Text
    orcid: Annotated[str, Field(pattern=r"^\d{4}-\d{4}-\d{4}-\d{3}[\dX]$")] | None = None

    @field_validator("orcid")
    @classmethod
    def _checked(cls, value: str | None) -> str | None:
        """The last character of an ORCID is a check digit (ISO 7064 mod 11-2)."""
        if value is None:
            return value
        total = 0
        for digit in value.replace("-", "")[:-1]:
            total = (total + int(digit)) * 2
        check = (12 - total % 11) % 11
        if value[-1] != ("X" if check == 10 else str(check)):
            raise ValueError("this is no ORCID: its check digit is wrong")
        return value


class Rights(_Strict):
    """What one may do with the data."""

    text: Text
    uri: Annotated[str, Field(pattern=r"^https?://spdx\.org/licenses/[A-Za-z0-9.+-]+?(\.html)?$")] | None = None
    """The licence among those of SPDX."""

    @property
    def license(self) -> str | None:
        """Its SPDX identifier."""
        return None if self.uri is None else self.uri.rpartition("/")[2].removesuffix(".html")


class Related(_Strict):
    """Another resource and how this one is related to it (VOResource 1.1 section 3.1.3)."""

    type: Relationship
    title: Text
    ivoid: Annotated[str, Field(pattern=r"^ivo://\S+$")] | None = None


class Publisher(_Strict):
    """Facts that every record shares, unless it states its own."""

    contact: Contact
    creators: Annotated[tuple[Creator, ...], Field(min_length=1)]
    rights: Rights | None = None
    subjects: Annotated[tuple[Subject, ...], Field(min_length=1)]
    """Fragments of the Unified Astronomy Thesaurus, such as ``submillimeter-astronomy``."""

    reference_url: Url | None = None
    """Page about the resources; the service's own pages when absent."""

    ror: Annotated[str, Field(pattern=r"^0[a-z0-9]{6}\d{2}$")] | None = None
    """The organisation in the Research Organization Registry."""


class Record(_Strict):
    """What is declared of one resource; of a collection, of each programme that it stands for."""

    kind: Kind
    path: str
    """Path of the identifier: ``ivo://<authority>/<path>``."""

    title: Text
    short_name: Text | None = None
    description: Text
    subjects: tuple[Subject, ...] = ()
    creators: tuple[Creator, ...] = ()
    rights: Rights | None = None
    reference_url: Url | None = None
    bibcode: Annotated[str, Field(pattern=r"^\d{4}\S{15}$")] | None = None
    """The article to be cited."""

    doi: Annotated[str, Field(pattern=r"^10\.\d{4,9}/\S+$")] | None = None
    version: Text | None = None
    content_levels: tuple[ContentLevel, ...] = ("Research",)
    wavebands: tuple[Waveband, ...] = ()
    related: tuple[Related, ...] = ()
    table: Text | None = None
    """Published table that a record of kind ``table`` describes."""

    collection: Text | None = None
    """Short name of the programme that a record of kind ``collection`` describes; ``*`` for all others."""

    @field_validator("title", "short_name", "description", "path")
    @classmethod
    def _names_known_facts(cls, value: str | None) -> str | None:
        _check_names(value or "")
        return value

    @field_validator("creators")
    @classmethod
    def _creators_name_known_facts(cls, value: tuple[Creator, ...]) -> tuple[Creator, ...]:
        for creator in value:
            _check_names(creator.name)
        return value

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        for kind in ("table", "collection"):
            if (self.kind == kind) != (getattr(self, kind) is not None):
                raise ValueError(f"a record of kind {kind}, and no other, says which {kind} it describes")
        if self.short_name is not None and "{" not in self.short_name and len(self.short_name) > _SHORT_NAME:
            raise ValueError(f"short_name has more than {_SHORT_NAME} characters")
        return self


class Declared(_Strict):
    """Everything that is declared."""

    publisher: Publisher
    records: tuple[Record, ...]

    def of_kind(self, kind: Kind) -> tuple[Record, ...]:
        """The records of a kind, in the order of their files."""
        return tuple(record for record in self.records if record.kind == kind)


def load_records(folder: Path) -> Declared:
    """Read a folder of declared facts.

    Args:
        folder: Holds ``publisher.yaml`` and one file for each record.

    Raises:
        SettingsError: A file is no YAML, a field is unknown, missing or wrong, or a record is missing.
    """
    if not (folder / PUBLISHER_FILE).is_file():
        raise SettingsError(
            f"there is no {PUBLISHER_FILE} in the folder of records", hint="`catalog registry init` makes such a folder"
        )
    publisher = _read(folder / PUBLISHER_FILE, Publisher)
    files = sorted(path for path in folder.glob("*.yaml") if path.name != PUBLISHER_FILE)
    declared = Declared(publisher=publisher, records=tuple(_read(path, Record) for path in files))
    for kind in _SINGLE:
        if len(declared.of_kind(kind)) != 1:
            raise SettingsError(
                f"the folder of records needs one record of kind {kind}, and has {len(declared.of_kind(kind))}"
            )
    for kind in _AT_MOST_ONE:
        if len(declared.of_kind(kind)) > 1:
            raise SettingsError(
                f"the folder of records may have one record of kind {kind}, and has {len(declared.of_kind(kind))}"
            )
    return declared


def is_license(identifier: str) -> bool:
    """Whether SPDX knows a licence by this name, whatever the case."""
    try:
        canonicalize_license_expression(identifier)
    except InvalidLicenseExpression:
        return False
    return " " not in identifier.strip()


def fill(text: str, facts: Mapping[str, str | None]) -> str:
    """A declared text with the facts that it names; white space that a missing fact leaves behind is closed up."""
    known = {name: value or "" for name, value in facts.items()}
    return re.sub(r"\s+", " ", text.format_map(known)).strip()


def _check_names(text: str) -> None:
    try:
        parts = list(Formatter().parse(text))
    except ValueError as error:
        raise ValueError(f"braces do not match: {error}") from None
    for _, name, spec, conversion in parts:
        if name is not None and (name not in COLLECTION_FACTS or spec or conversion):
            known = ", ".join(f"{{{fact}}}" for fact in sorted(COLLECTION_FACTS))
            raise ValueError(f"{{{name}}} is no fact that a text may name; there are {known}")


def _read(path: Path, model: type[_F]) -> _F:
    try:
        text = path.read_text(encoding="utf-8")
        tree = yaml.compose(text, Loader=yaml.SafeLoader)
        values = yaml.safe_load(text)
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path.name} cannot be read as UTF-8 text") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark is not None else ""
        raise SettingsError(f"{path.name}{where}: not YAML: {getattr(error, 'problem', 'cannot be read')}") from None
    if not isinstance(values, dict):
        raise SettingsError(f"{path.name}, line 1: expected fields and their values")
    try:
        return model.model_validate(values)
    except ValidationError as error:
        problems = error.errors(include_url=False)
        problem = next((problem for problem in problems if problem["type"] == _UNKNOWN), problems[0])
        place = [str(part) for part in problem["loc"]]
        field = ".".join(place) or "record"
        raise SettingsError(f"{path.name}, line {_line(tree, place)}, field {field}: {_message(problem)}") from None


def _message(problem: Mapping[str, object]) -> str:
    if problem["type"] == _UNKNOWN:
        return "there is no such field"
    return str(problem["msg"]).removeprefix("Value error, ")


def _line(node: yaml.Node | None, place: list[str]) -> int:
    """Line of the innermost node on the way to a field that is there."""
    line = 1
    for part in place:
        found = None
        if isinstance(node, yaml.MappingNode):
            found = next(((key, value) for key, value in node.value if key.value == part), None)
        elif isinstance(node, yaml.SequenceNode) and part.isdigit() and int(part) < len(node.value):
            found = (node.value[int(part)],) * 2
        if found is None:
            break
        line, node = found[0].start_mark.line + 1, found[1]
    return line
