"""Render documents from ``templates/``: XML for programs, HTML for people.

Everything is escaped, every undefined name is an error, and characters that XML 1.0 cannot carry are dropped.
"""

from __future__ import annotations

import re
from functools import lru_cache

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from catalog.assets import asset_path

__all__ = ["render"]

_ILLEGAL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


@lru_cache(maxsize=1)
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(asset_path("templates")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def render(template: str, **facts: object) -> bytes:
    """Render a template as UTF-8.

    Args:
        template: Path below ``templates/``, such as ``vosi/capabilities.xml``.
        facts: Values for the template; one that it names and does not get is an error.

    Raises:
        jinja2.UndefinedError: The template names a value that was not given.
    """
    text = _environment().get_template(template).render(**facts)
    return _ILLEGAL.sub("", text).encode("utf-8")
