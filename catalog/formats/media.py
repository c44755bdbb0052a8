"""The formats of tables, their media types and short names (TAP 1.1 section 2.7.3, DALI 1.1 section 3.4.3)."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

from catalog.errors import ParameterError

__all__ = ["DATALINK_FORMAT", "DEFAULT_FORMAT", "FORMATS", "Format", "format_for_path", "parse_format"]


@dataclass(frozen=True, slots=True)
class Format:
    """One way to write a table."""

    name: str
    """Short name, also the first alias: ``votable``, ``votable/td``, ``csv`` …"""

    title: str
    """For people."""

    content_type: str
    """What the Content-Type header says: the media type asked for, else the format's own."""

    media_types: tuple[str, ...]
    """Values of RESPONSEFORMAT that mean this format; the first is the one to declare."""

    aliases: tuple[str, ...]
    """Short values of RESPONSEFORMAT that mean this format."""

    extensions: tuple[str, ...]
    """File name endings, the first is the one to write; empty where another serialization owns it."""

    has_tail: bool
    """Whether a statement about the result (overflow, error) can follow the rows."""

    ivo_id: str | None = None
    """What TAPRegExt 1.0 section 2.4 calls it, where it has a name."""


_VOTABLE = "application/x-votable+xml"

DATALINK_FORMAT = f"{_VOTABLE};content=datalink"
"""Media type of a table of links, exactly so, without a blank: clients compare strings (DataLink 1.1 section 3.1)."""

_OUTPUT = "ivo://ivoa.net/std/TAPRegExt#output-votable-"

FORMATS: tuple[Format, ...] = (
    Format(
        name="votable",
        title="VOTable, BINARY2",
        content_type=_VOTABLE,
        media_types=(_VOTABLE, "text/xml"),
        aliases=("votable",),
        extensions=(".vot", ".votable", ".xml"),
        has_tail=True,
    ),
    Format(
        name="votable/b2",
        title="VOTable, BINARY2",
        content_type=f"{_VOTABLE};serialization=BINARY2",
        media_types=(f"{_VOTABLE};serialization=BINARY2",),
        aliases=("votable/b2",),
        extensions=(),
        has_tail=True,
        ivo_id=f"{_OUTPUT}binary2",
    ),
    Format(
        name="votable/td",
        title="VOTable, TABLEDATA",
        content_type=f"{_VOTABLE};serialization=TABLEDATA",
        media_types=(f"{_VOTABLE};serialization=TABLEDATA",),
        aliases=("votable/td",),
        extensions=(),
        has_tail=True,
        ivo_id=f"{_OUTPUT}td",
    ),
    Format(
        name="votable/b",
        title="VOTable, BINARY",
        content_type=f"{_VOTABLE};serialization=BINARY",
        media_types=(f"{_VOTABLE};serialization=BINARY",),
        aliases=("votable/b",),
        extensions=(),
        has_tail=True,
        ivo_id=f"{_OUTPUT}binary",
    ),
    Format(
        name="votable/fits",
        title="VOTable, FITS",
        content_type=f"{_VOTABLE};serialization=FITS",
        media_types=(f"{_VOTABLE};serialization=FITS",),
        aliases=("votable/fits",),
        extensions=(),
        has_tail=True,
    ),
    Format(
        name="csv",
        title="Comma-separated values",
        content_type="text/csv;header=present",
        media_types=("text/csv;header=present", "text/csv"),
        aliases=("csv",),
        extensions=(".csv",),
        has_tail=False,
    ),
    Format(
        name="tsv",
        title="Tab-separated values",
        content_type="text/tab-separated-values",
        media_types=("text/tab-separated-values",),
        aliases=("tsv",),
        extensions=(".tsv",),
        has_tail=False,
    ),
    Format(
        name="fits",
        title="FITS binary table",
        content_type="application/fits",
        media_types=("application/fits",),
        aliases=("fits",),
        extensions=(".fits", ".fit"),
        has_tail=False,
    ),
    Format(
        name="parquet",
        title="VOParquet",
        content_type="application/vnd.apache.parquet",
        media_types=("application/vnd.apache.parquet",),
        aliases=("parquet",),
        extensions=(".parquet",),
        has_tail=False,
    ),
    Format(
        name="json",
        title="JSON",
        content_type="application/json",
        media_types=("application/json",),
        aliases=("json",),
        extensions=(".json",),
        has_tail=True,
    ),
    Format(
        name="arrow",
        title="Arrow IPC stream",
        content_type="application/vnd.apache.arrow.stream",
        media_types=("application/vnd.apache.arrow.stream",),
        aliases=("arrow",),
        extensions=(".arrows",),
        has_tail=False,
    ),
    Format(
        name="text",
        title="Text in columns",
        content_type="text/plain;charset=utf-8",
        media_types=("text/plain",),
        aliases=("text",),
        extensions=(".txt",),
        has_tail=True,
    ),
    Format(
        name="html",
        title="HTML",
        content_type="text/html;charset=utf-8",
        media_types=("text/html",),
        aliases=("html",),
        extensions=(".html",),
        has_tail=True,
    ),
)
"""Every format, the default first."""

DEFAULT_FORMAT = FORMATS[0]
"""VOTable with BINARY2, sent as ``application/x-votable+xml``."""


def parse_format(value: str) -> Format:
    """The format that a RESPONSEFORMAT value asks for.

    Case, blanks round ``;`` and ``=`` and the order of the media type's parameters do not matter. A blank is taken for
    ``+``, which is what an unescaped ``+`` of a URL becomes, and ``charset=utf-8`` is allowed, because all
    text is UTF-8.

    Returns:
        The format; its ``content_type`` is the media type asked for, or the alias's own.

    Raises:
        ParameterError: Nothing here is called that; the message names the choices.
    """
    alias = value.strip().lower()
    for fmt in FORMATS:
        if alias in fmt.aliases:
            return fmt
    asked = _media_parts(value)
    plain = asked - {"charset=utf-8"}
    for fmt in FORMATS:
        for media_type in fmt.media_types:
            if plain == _media_parts(media_type):
                charset = ";charset=utf-8" if plain != asked else ""
                return replace(fmt, content_type=media_type + charset)
    choices = ", ".join(name for fmt in FORMATS for name in fmt.aliases)
    raise ParameterError(f"the format '{_shown(value)}' is not offered; expected {choices} or the media type of one")


def format_for_path(path: str | Path) -> Format:
    """The format that a file name's ending asks for.

    Raises:
        ParameterError: The ending is unknown; the message names the choices.
    """
    ending = Path(path).suffix.lower()
    for fmt in FORMATS:
        if ending in fmt.extensions:
            return fmt
    choices = ", ".join(extension for fmt in FORMATS for extension in fmt.extensions)
    raise ParameterError(f"the ending of '{path}' names no format; expected one of {choices}")


def _media_parts(value: str) -> frozenset[str]:
    """Type and parameters of a media type, each in its one spelling."""
    folded = re.sub(r"[ \t]*([;=])[ \t]*", r"\1", value.strip().lower()).replace(" ", "+").replace('"', "")
    return frozenset(folded.split(";"))


def _shown(value: str) -> str:
    """A stranger's value, short enough for a message."""
    return value if len(value) <= 80 else f"{value[:77]}..."
