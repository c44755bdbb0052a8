"""Packages in a folder of this machine. No path leads out of the folder, and nothing but plain files is read."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from catalog.errors import UnavailableError

__all__ = ["Disk", "path_parts"]

_FOLDER = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_NOCTTY | os.O_CLOEXEC  # of a FIFO nobody waits for a writer


class Disk:
    """A folder that holds packages.

    Args:
        root: The folder; it may be a link itself, nothing below it is followed that is one.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def check(self, path: str, size_bytes: int) -> None:
        """See that a package is there as a plain file of this size.

        Raises:
            UnavailableError: It is not.
        """
        os.close(self._open(path, size_bytes))

    def open(self, path: str, size_bytes: int, *, start: int, length: int) -> IO[bytes]:
        """The bytes of a package from one on, to its end.

        Raises:
            UnavailableError: It is not there as a plain file of this size.
        """
        file = os.fdopen(self._open(path, size_bytes), "rb", buffering=0)
        file.seek(start)
        return file

    def _open(self, path: str, size_bytes: int) -> int:
        """A descriptor of the file, whose folders were opened one below the other."""
        parts = path_parts(path)
        with _plainly():
            folder = os.open(self.root, _FOLDER)
            try:
                for part in parts[:-1]:
                    inner = os.open(part, _FOLDER | os.O_NOFOLLOW, dir_fd=folder)
                    os.close(folder)
                    folder = inner
                file = os.open(parts[-1], _FILE, dir_fd=folder)
            finally:
                os.close(folder)
        try:
            _check(os.fstat(file), size_bytes)
        except BaseException:
            os.close(file)
            raise
        return file


def path_parts(path: str) -> list[str]:
    """The parts of a relative path that stays below its root.

    Raises:
        UnavailableError: It does not, or holds what no path holds.
    """
    parts = path.split("/")
    if any(part in ("", ".", "..") or "\0" in part for part in parts):
        raise UnavailableError("its recorded path does not stay below the root of its location")
    return parts


def _check(found: os.stat_result, size_bytes: int) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise UnavailableError("what lies at its path is no plain file")
    if found.st_size != size_bytes:
        raise UnavailableError(f"its file has {found.st_size:,} bytes, and the package {size_bytes:,}")


@contextmanager
def _plainly() -> Iterator[None]:
    """Say what the system refuses without naming folders."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR, errno.EMLINK):
            why = "a part of its path is a link, or no folder"
        elif error.errno == errno.ENOENT:
            why = "its file is not there"
        elif error.errno == errno.ENXIO:
            why = "what lies at its path is no plain file"
        else:
            why = "its file cannot be opened"
        raise UnavailableError(why) from error
