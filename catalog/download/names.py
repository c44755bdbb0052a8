"""What files are called that come from elsewhere: never a path, never hidden, never the name of another."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from email.message import Message
from pathlib import Path
from threading import Lock
from urllib.parse import unquote, urlsplit

from catalog.errors import UsageError

__all__ = ["Folder", "safe_name", "told_name"]

_UNSAFE = re.compile(r"[^A-Za-z0-9._+=,@-]+")
_LONGEST = 150
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)


def safe_name(text: str) -> str:
    """A name of letters, digits and ``._+=,@-`` that is a file's own on every system; empty when nothing is left."""
    name = _UNSAFE.sub("_", re.split(r"[/\\]", text)[-1]).strip("._- ")
    if len(name) > _LONGEST:
        stem, dot, ending = name.rpartition(".")
        name = f"{stem[: _LONGEST - 20]}{dot}{ending}" if stem and len(ending) < 16 else name[:_LONGEST]
    return f"_{name}" if _RESERVED.fullmatch(name) else name


def told_name(headers: Message, url: str, did: str) -> str:
    """What to call a download: as the server says, else as its address ends, else by the identifier."""
    path = unquote(urlsplit(url).path).rstrip("/")
    for text in (headers.get_filename() or "", path, did.rpartition("?")[2], did):
        name = safe_name(text)
        if name and ("." in name or text is not path):
            return name
    return "download"


class Folder:
    """Where downloads go. Names are given to one download each, also while several run at once.

    Args:
        path: Made if it is not there.

    Raises:
        UsageError: It is no folder, and cannot be one.
    """

    def __init__(self, path: Path) -> None:
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"{path} cannot be a folder: {error.strerror}") from None
        self.path = path
        self._lock = Lock()
        self._given: dict[str, str] = {}

    def part_path(self, key: str) -> Path:
        """Where an unfinished download of this key is, whoever begins or goes on with it."""
        local = safe_name(key.rpartition("?")[2])[:60]
        return self.path / f"{local}-{_short(key)}.part"

    def give(self, name: str, key: str, *, is_same: Callable[[Path], bool]) -> Path:
        """A path for a download.

        Args:
            name: What it should be called.
            key: Of the download; a name that another has is given with a piece of this key's digest in it.
            is_same: Whether a file that is there already is what would be downloaded.

        Raises:
            UsageError: There are other files of both names.
        """
        stem, dot, ending = name.partition(".")
        for candidate in (safe_name(name) or "download", safe_name(f"{stem}-{_short(key)}{dot}{ending}")):
            path = self.path / candidate
            with self._lock:
                if self._given.setdefault(candidate.lower(), key) != key:
                    continue
            if not (path.exists() or path.is_symlink()) or (not path.is_symlink() and is_same(path)):
                return path
        raise UsageError(f"{path} is there already, and is another file; nothing is written over it")


def _short(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:8]
