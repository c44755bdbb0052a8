"""What every section of the settings is made of."""

from __future__ import annotations

import json
import re

from pydantic import BaseModel, BeforeValidator, ConfigDict

__all__ = ["JSON_ARRAY", "JSON_OBJECT", "LISTED", "Section", "is_plain", "listed"]


class Section(BaseModel):
    """Some settings that belong together: frozen, and a key that is not known is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def is_plain(text: str) -> bool:
    """Whether a text is ASCII without blanks and control characters, as URLs and tokens are."""
    return text.isascii() and text.isprintable() and " " not in text


def listed(value: object) -> object:
    """The parts of a text with commas; anything else as it is."""
    return tuple(filter(None, re.split(r"[\s,]+", value))) if isinstance(value, str) else value


def _from_json(what: str) -> BeforeValidator:
    def read(value: object) -> object:
        try:
            return json.loads(value) if isinstance(value, str) else value
        except ValueError:
            raise ValueError(f"expected a JSON {what} in the environment") from None

    return BeforeValidator(read)


LISTED = BeforeValidator(listed)
"""In the environment it is one text, with commas."""

JSON_ARRAY, JSON_OBJECT = _from_json("array"), _from_json("object")
"""In the environment it is JSON."""
