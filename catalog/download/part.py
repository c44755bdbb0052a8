"""An unfinished download on disk: its bytes, their digest so far, and of what they are the beginning."""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from catalog.closing import Closing
from catalog.errors import ResourceLimitError

__all__ = ["DIGESTS", "Identity", "PartFile", "file_digest"]

DIGESTS = {"md5", "sha1", "sha224", "sha256", "sha384", "sha512"}
"""Algorithms that are verified; a checksum by another is not looked at."""

_PIECE = 2**20
_CAREFULLY = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)


@dataclass(frozen=True, slots=True)
class Identity:
    """What bytes must have in common to be those of one thing."""

    size: int | None = None
    algorithm: str | None = None
    checksum: str | None = None
    url: str | None = None
    """Where they come from; where there is no checksum, only the same server's bytes are the same."""

    etag: str | None = None
    """Strong, as the server says."""

    def is_certain(self, other: Identity) -> bool:
        """Whether bytes of both are surely those of one thing."""
        if self.checksum is not None:
            return (self.size, self.algorithm, self.checksum) == (other.size, other.algorithm, other.checksum)
        return self.etag is not None and self == other


def file_digest(path: Path, algorithm: str) -> str:
    """The digest of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()


class PartFile(Closing):
    """The bytes that are there. Close it, or use ``with``.

    Args:
        path: Of the file; what the bytes belong to lies beside it, in ``<path>.json``.

    Raises:
        ResourceLimitError: It cannot be written, or another process writes it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._facts = path.with_name(f"{path.name}.json")
        self._digest: Any = None
        self._is_begun = False
        try:
            number = os.open(path, os.O_RDWR | os.O_CREAT | _CAREFULLY, 0o666)
        except OSError as error:
            raise ResourceLimitError(f"{path} cannot be written: {error.strerror}") from None
        self._file: IO[bytes] = os.fdopen(number, "r+b")
        if not _lock(self._file):
            self._file.close()
            raise ResourceLimitError(f"{path} is being written by another download")
        self.size = os.fstat(number).st_size
        self.identity = self._read_facts() if self.size else None
        """What the bytes are the beginning of; None when that is not known, or there are none."""

    def begin(self, identity: Identity, *, keep: int = 0) -> None:
        """Keep the first bytes, be the beginning of this thing, and take what comes next.

        Raises:
            ResourceLimitError: The disk does not take it.
        """
        if self._is_begun and keep == self.size and self.identity is not None and self.identity.is_certain(identity):
            self._tell(identity)
            return
        self._digest = hashlib.new(identity.algorithm or "", usedforsecurity=False) if identity.checksum else None
        self._is_begun = True
        self.size = keep
        try:
            self._file.truncate(keep)
            self._file.seek(0)
            while self._digest is not None and (piece := self._file.read(_PIECE)):
                self._digest.update(piece)
            self._file.seek(keep)
        except OSError as error:
            raise self._full(error) from None
        self._tell(identity)

    def forget(self) -> None:
        """Keep nothing."""
        self._file.truncate(0)
        self.size, self.identity, self._is_begun = 0, None, False

    def write(self, piece: bytes) -> None:
        """Add bytes at the end.

        Raises:
            ResourceLimitError: The disk does not take them.
        """
        try:
            self._file.write(piece)
        except OSError as error:
            raise self._full(error) from None
        self.size += len(piece)
        if self._digest is not None:
            self._digest.update(piece)

    def is_right(self) -> bool | None:
        """Whether the bytes have the checksum; None when there is none to compare with."""
        if self._digest is None or self.identity is None:
            return None
        return bool(self._digest.hexdigest() == self.identity.checksum)

    def finish(self, target: Path) -> None:
        """Give the complete file its name, once it is on the disk.

        Raises:
            ResourceLimitError: The disk does not take it.
        """
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            self.path.replace(target)
            self._facts.unlink(missing_ok=True)
        except OSError as error:
            raise self._full(error) from None

    def close(self) -> None:
        """Close it; bytes that are there stay, and nothing of an empty one."""
        with suppress(OSError):
            self._file.flush()
        if self.size == 0 and self._owns_path():
            self.path.unlink(missing_ok=True)
            self._facts.unlink(missing_ok=True)
        with suppress(OSError):
            self._file.close()

    def _tell(self, identity: Identity) -> None:
        """Write down what the bytes are the beginning of."""
        if identity == self.identity and self._facts.exists():
            return
        self.identity = identity
        temporary = self._facts.with_name(f"{self._facts.name}.new")
        try:
            temporary.write_text(json.dumps(asdict(identity)))
            temporary.replace(self._facts)
        except OSError as error:
            raise self._full(error) from None

    def _full(self, error: OSError) -> ResourceLimitError:
        return ResourceLimitError(f"{self.path} cannot be written: {error.strerror}")

    def _owns_path(self) -> bool:
        try:
            return os.path.samestat(self.path.lstat(), os.fstat(self._file.fileno()))
        except OSError:
            return False

    def _read_facts(self) -> Identity | None:
        try:
            return Identity(**json.loads(self._facts.read_text()))
        except (OSError, ValueError, TypeError):
            return None


def _lock(file: IO[bytes]) -> bool:
    """Let no other process write the same file; where locks are not known, nothing is said."""
    try:
        import fcntl
    except ImportError:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
