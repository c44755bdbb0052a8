"""Deterministic tars: the same paths and bytes make the same tar, wherever and whenever.

Members are regular files sorted by the bytes of their paths; folders are implied. Owner and group are 0 without
names, the mode is 0644 and the time 1970-01-01: what a file system says about a file is not part of it, so unpacking
restores paths and contents, not times. The form is POSIX.1-2001 (pax), which has extra headers only for long or
non-ASCII paths and sizes above 8 GiB; the padding at the end is that of Python's `tarfile` (10,240 bytes).
"""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Protocol

from catalog.errors import UsageError

__all__ = ["Digest", "Tar", "digest_file", "pack_tar", "write_tar"]

_CHUNK = 2**20


@dataclass(frozen=True, slots=True)
class Digest:
    """Size and checksum of some bytes."""

    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Tar:
    """A tar that was written or only computed."""

    digest: Digest
    members: Mapping[str, Digest]
    """Of each member by its path, as it was read into the tar."""

    offsets: Mapping[str, int]
    """Byte of the tar at which the data of each member begin."""


class _Writable(Protocol):
    def write(self, data: bytes, /) -> int: ...


def pack_tar(members: Mapping[str, Path], target: _Writable | None = None) -> Tar:
    """Make the tar of some files, reading each once.

    Args:
        members: Path inside the tar to the file on disk.
        target: Where the bytes go; None computes size and checksum alone.

    Raises:
        UsageError: A file cannot be read, or changed while it was read.
    """
    out = _Hashing(target)
    digests: dict[str, Digest] = {}
    offsets: dict[str, int] = {}
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT, bufsize=_CHUNK) as tar:
        for name in sorted(members, key=os.fsencode):
            try:
                with members[name].open("rb") as stream:
                    digests[name] = _add(tar, name, stream)
                    offsets[name] = out.tell() - _padded(digests[name].size_bytes)
            except OSError as error:
                raise UsageError(f"the file '{name}' cannot be read: {error.strerror or error}") from None
    return Tar(out.digest(), digests, offsets)


def write_tar(members: Mapping[str, Path], path: Path) -> Tar:
    """Write the tar of some files; either the whole file is there in the end, or none.

    Raises:
        UsageError: A file cannot be read or changed meanwhile, or the tar cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _Unfinished(path) as stream:
            return pack_tar(members, stream)
    except OSError as error:
        raise UsageError(f"the tar {path} cannot be written: {error.strerror or error}") from None


def digest_file(path: Path) -> Digest:
    """Size and checksum of a file, in constant memory.

    Raises:
        UsageError: The file cannot be read.
    """
    try:
        with path.open("rb") as stream:
            out = _Hashing(None)
            while chunk := stream.read(_CHUNK):
                out.write(chunk)
            return out.digest()
    except OSError as error:
        raise UsageError(f"the file '{path}' cannot be read: {error.strerror or error}") from None


def _padded(size: int) -> int:
    """Bytes that the data of a member take with their padding."""
    return -(-size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE


def _add(tar: tarfile.TarFile, name: str, stream: BinaryIO) -> Digest:
    entry = tarfile.TarInfo(name)
    entry.size = os.fstat(stream.fileno()).st_size
    entry.mode = 0o644
    source = _Reading(stream)
    try:
        tar.addfile(entry, source)
    except tarfile.TarError as error:
        raise UsageError(f"the file '{name}' cannot be packed: {error}") from None
    except OSError as error:
        if source.count < entry.size and not error.errno:
            raise UsageError(f"the file '{name}' became shorter while it was read") from None
        raise
    if stream.read(1):
        raise UsageError(f"the file '{name}' grew while it was read")
    return Digest(source.count, source.sha256.hexdigest())


class _Hashing(io.RawIOBase):
    """Counts and hashes what is written, and passes it on."""

    def __init__(self, target: _Writable | None) -> None:
        self._target = target
        self._sha256 = hashlib.sha256()
        self._count = 0

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self._sha256.update(data)
        self._count += len(data)
        if self._target is not None:
            self._target.write(data)
        return len(data)

    def tell(self) -> int:
        return self._count

    def digest(self) -> Digest:
        return Digest(self._count, self._sha256.hexdigest())


class _Reading:
    """Counts and hashes what is read."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.sha256 = hashlib.sha256()
        self.count = 0

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self.sha256.update(data)
        self.count += len(data)
        return data


class _Unfinished:
    """A file under a temporary name, renamed when all is well and removed when not."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._part = path.with_name(f".{path.name}.part")
        self._stream: BinaryIO = self._part.open("wb")

    def __enter__(self) -> BinaryIO:
        return self._stream

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._stream.flush()
                os.fsync(self._stream.fileno())
            self._stream.close()
            if kind is None:
                self._part.replace(self._path)
        finally:
            with suppress(FileNotFoundError):
                self._part.unlink()
