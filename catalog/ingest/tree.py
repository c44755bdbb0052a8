"""A directory tree of FITS files: what is in it, in an order that depends on the names alone.

Nothing outside the tree is touched: links that lead out of it, special files and names that cannot be written down are
refused. Files that are not called FITS are counted and left alone.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from catalog.ingest.records.values import plain_path

__all__ = ["FITS_SUFFIXES", "Foreign", "Found", "Linked", "Refused", "walk_tree"]

FITS_SUFFIXES = tuple(
    f".{word}{packed}" for word in ("fits", "fit", "fts", "fz") for packed in ("", ".gz", ".bz2", ".xz", ".z", ".fz")
)
"""Names that end so, in any case, are FITS files."""


@dataclass(frozen=True, slots=True)
class Found:
    """A FITS file."""

    path: Path
    relative_path: str
    """POSIX path below the root."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Something that bears the name of a FITS file, or a folder, and cannot be taken."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Linked:
    """A link to a FITS file of the same tree, which is found under its own name."""

    path: str
    target: str


@dataclass(frozen=True, slots=True)
class Foreign:
    """A file that is not FITS by its name."""

    path: str


def walk_tree(root: Path) -> Iterator[Found | Refused | Linked | Foreign]:
    """Everything in a tree, sorted by the bytes of the paths.

    Args:
        root: A directory, or one FITS file: then it is alone in its tree.
    """
    if root.is_dir():
        yield from _walk(Path(os.path.realpath(root)), "")
        return
    real = Path(os.path.realpath(root))
    yield _classify(real.parent, real.name, real.stat().st_mode)


def _walk(root: Path, folder: str) -> Iterator[Found | Refused | Linked | Foreign]:
    try:
        with os.scandir(root / folder) as entries:
            listed = sorted(entries, key=lambda entry: os.fsencode(entry.name))
    except OSError as error:
        yield Refused(_printable(str(root / folder)), f"the folder cannot be read: {error.strerror or error}")
        return
    for entry in listed:
        relative = f"{folder}/{entry.name}" if folder else entry.name
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(root, relative)
            continue
        try:
            mode = entry.stat(follow_symlinks=False).st_mode
        except OSError as error:
            yield Refused(_printable(entry.path), f"the file cannot be read: {error.strerror or error}")
            continue
        yield _link(root, relative) if stat.S_ISLNK(mode) else _classify(root, relative, mode)


def _classify(root: Path, relative: str, mode: int) -> Found | Refused | Foreign:
    path = root / relative
    if not relative.lower().endswith(FITS_SUFFIXES):
        return Foreign(_printable(str(path)))
    if not stat.S_ISREG(mode):
        return Refused(_printable(str(path)), "this is a special file, not a regular one")
    try:
        plain_path(relative)
    except UnicodeEncodeError:
        return Refused(_printable(str(path)), "the name is not UTF-8")
    except ValueError as error:
        return Refused(_printable(str(path)), str(error))
    return Found(path, relative)


def _link(root: Path, relative: str) -> Found | Refused | Linked | Foreign:
    path = root / relative
    target = Path(os.path.realpath(path))
    is_fits = relative.lower().endswith(FITS_SUFFIXES)
    if not target.is_relative_to(root):
        reason = "the link leads out of the tree"
        return Refused(_printable(str(path)), reason) if is_fits or target.is_dir() else Foreign(_printable(str(path)))
    if target.is_dir():
        return Linked(_printable(str(path)), _printable(str(target)))
    if not target.exists():
        reason = "the link leads nowhere"
        return Refused(_printable(str(path)), reason) if is_fits else Foreign(_printable(str(path)))
    if is_fits and target.name.lower().endswith(FITS_SUFFIXES):
        return Linked(_printable(str(path)), _printable(str(target)))
    return _classify(root, relative, target.stat().st_mode)


def _printable(path: str) -> str:
    """The path with what cannot be printed, or is not UTF-8, escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in path)
