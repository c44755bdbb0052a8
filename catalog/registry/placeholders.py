"""Find what an operator has not filled in yet: demonstration values must not reach the registries of the VO."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from catalog.registry.resources import Resource

__all__ = ["find_placeholder", "find_placeholders", "is_reserved"]

_RESERVED = frozenset({"example", "test", "invalid", "localhost", "local"})  # RFC 2606, RFC 6761
_WORDS = re.compile(r"\b(synthetic|TODO|FIXME|change ?me|lorem ipsum|XXX+|your name here)\b", re.IGNORECASE)


def is_reserved(name: str) -> bool:
    """Whether an authority or a host is one that nobody may have: a label of it is reserved for examples and tests."""
    return bool(_RESERVED & set(name.lower().split(".")))


def find_placeholder(text: str) -> str | None:
    """A word that stands where something is still to be said."""
    word = _WORDS.search(text)
    return None if word is None else word[0]


def find_placeholders(resource: Resource) -> Iterator[str]:
    """Sentences on what only the operator knows and has not said."""
    contact = resource.contact
    if is_reserved(contact.email.rpartition("@")[2]):
        yield f"{contact.email} is no address that can be written to"
    if is_reserved(urlsplit(resource.reference_url).hostname or ""):
        yield f"the reference URL {resource.reference_url} leads nowhere"
    texts = {
        "title": resource.title,
        "description": resource.description,
        "publisher": resource.publisher,
        "contact": contact.name,
        "creators": "; ".join(creator.name for creator in resource.creators),
    }
    for field, text in texts.items():
        word = find_placeholder(text)
        if word is not None:
            yield f"'{word}' in its {field} is a placeholder"
