"""IVOA identifiers: parse, validate, compare, build (Identifiers 2.0).

An identifier has a registry part, ``ivo://authority/path``, which names a resource record and is compared without
regard to case, and a local part, ``?query`` and ``#fragment``, which is opaque: every byte of it counts.
"""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from urllib.parse import quote

__all__ = ["Ivoid", "build_publisher_did", "parse_ivoid"]

_AUTHORITY = re.compile(r"[A-Za-z0-9][A-Za-z0-9\-_.!~*'()+=]{2,}")
_SEGMENT = re.compile(r"[A-Za-z0-9\-_.!~*'()+=]+")
_LOCAL = re.compile(r"(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/?]|%[0-9A-Fa-f]{2})*")  # RFC 3986 sections 3.4 and 3.5


@dataclass(frozen=True, slots=True, eq=False)
class Ivoid:
    """An IVOA identifier (Identifiers 2.0 section 2).

    Two are equal when their registry parts agree ignoring case and their local parts agree exactly. ``str()`` gives
    the identifier as it was spelled.

    Raises:
        ValueError: A part breaks the syntax; the message says which and why.
    """

    authority: str
    """Naming authority: at least three characters, the first a letter or digit."""

    path: str = ""
    """Resource key, without the leading slash; empty for the authority itself."""

    query: str | None = None
    """Local part of a dataset identifier, without ``?``; None when there is none."""

    fragment: str | None = None
    """What follows ``#``, as in standard identifiers (``#query-v1.1``)."""

    def __post_init__(self) -> None:
        if not _AUTHORITY.fullmatch(self.authority):
            raise ValueError(
                f"'{self.authority}' is not a naming authority: expected at least three characters, starting with "
                "a letter or digit, then letters, digits and -_.!~*'()+="
            )
        for segment in self.path.split("/") if self.path else ():
            if not _SEGMENT.fullmatch(segment) or segment in (".", ".."):
                raise ValueError(
                    f"'{segment}' cannot be a part of the path of an IVOA identifier: expected letters, digits and "
                    f"-_.!~*'()+= between single slashes, in '{self.path}'"
                )
        for name, part in (("query", self.query), ("fragment", self.fragment)):
            if part is not None and not _LOCAL.fullmatch(part):
                raise ValueError(
                    f"the {name} '{part}' of an IVOA identifier has characters that must be percent-encoded"
                )

    @property
    def registry_part(self) -> str:
        """The identifier of the resource record: without query and fragment."""
        return f"ivo://{self.authority}/{self.path}" if self.path else f"ivo://{self.authority}"

    @property
    def encoded(self) -> str:
        """The identifier as a value in the query of a URL: every reserved character percent-encoded."""
        return quote(str(self), safe="")

    def __str__(self) -> str:
        query = "" if self.query is None else f"?{self.query}"
        fragment = "" if self.fragment is None else f"#{self.fragment}"
        return f"{self.registry_part}{query}{fragment}"

    def __eq__(self, other: object) -> bool:
        return self._key() == other._key() if isinstance(other, Ivoid) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[str, str | None, str | None]:
        return self.registry_part.lower(), self.query, self.fragment


def parse_ivoid(text: str) -> Ivoid:
    """The identifier that the text spells.

    Args:
        text: ``ivo://authority/path?query#fragment``; path, query and fragment may be absent.

    Raises:
        ValueError: The text is not an IVOA identifier; the message says why.
    """
    if text[:6].lower() != "ivo://":
        raise ValueError(f"'{text}' is not an IVOA identifier: expected it to start with 'ivo://'")
    rest, hash_mark, fragment = text[6:].partition("#")
    rest, question_mark, query = rest.partition("?")
    authority, slash, path = rest.partition("/")
    if slash and not path:
        raise ValueError(f"'{text}' is not an IVOA identifier: nothing follows the slash after the authority")
    return Ivoid(
        authority,
        path,
        query if question_mark else None,
        fragment if hash_mark else None,
    )


def build_publisher_did(authority: str, path: str, package_id: uuid.UUID) -> str:
    """The obs_publisher_did of a package: ``ivo://authority/path?uuid``, the UUID in lower case with hyphens.

    Args:
        authority: Naming authority of the publisher, such as ``org.example``.
        path: Resource key of the collection that the packages belong to; not empty.
        package_id: Identity of the package.

    Raises:
        ValueError: Authority or path break the syntax of Identifiers 2.0.
    """
    if not path:
        raise ValueError("a publisher dataset identifier needs the path of a resource, such as 'data'")
    return str(Ivoid(authority, path, str(package_id)))
