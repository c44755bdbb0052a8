"""Read a tar from its beginning to its end, and note where its files lie, in constant memory for their bytes.

What POSIX calls ustar and pax is taken, and what GNU writes for long names and large sizes. A tar that is compressed
cannot be read from the middle, and a sparse file does not lie in it as it is: both are refused.
"""

from __future__ import annotations

import hashlib
import tarfile
from typing import IO, NamedTuple, cast

from catalog.errors import UsageError
from catalog.opsdb.enums import ChecksumAlgorithm
from catalog.opsdb.packaging.members import Member

__all__ = ["IndexedTar", "index_tar"]

_CHUNK = 2**20
_COMPRESSED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "zstd"}
_COMPUTABLE = {kind: kind.value for kind in ChecksumAlgorithm if kind.value in hashlib.algorithms_guaranteed}


class IndexedTar(NamedTuple):
    """What was found in a tar."""

    size_bytes: int
    checksum: str
    members: dict[str, Member]
    """Its plain files by their paths."""


def index_tar(stream: IO[bytes], *, algorithm: ChecksumAlgorithm = ChecksumAlgorithm.SHA256) -> IndexedTar:
    """Read a tar.

    Args:
        stream: From the first byte on.
        algorithm: Of the checksum.

    Raises:
        UsageError: It is no tar, is cut off, compressed, or holds a sparse file or two files of one path; or the
            checksum cannot be computed.
    """
    if algorithm not in _COMPUTABLE:
        raise UsageError(f"{algorithm} cannot be computed here; expected one of {', '.join(_COMPUTABLE)}")
    source = _Hashed(stream, _COMPUTABLE[algorithm])
    try:
        with tarfile.open(fileobj=cast("IO[bytes]", source), mode="r|", bufsize=_CHUNK) as tar:
            members = _members(tar)
        while source.read(_CHUNK):
            pass
    except tarfile.TarError as error:
        source.refuse_compressed()
        raise UsageError(f"this is no tar, or it is cut off: {error}") from None
    if source.size % tarfile.BLOCKSIZE:
        raise UsageError("this is no tar, or it is cut off: its size is no multiple of 512 bytes")
    return IndexedTar(source.size, source.digest.hexdigest(), members)


def _members(tar: tarfile.TarFile) -> dict[str, Member]:
    members: dict[str, Member] = {}
    while (entry := tar.next()) is not None:
        vars(tar)["members"].clear()  # they would all be kept, and nobody looks back
        if entry.name in members:
            raise UsageError(f"the tar holds '{entry.name}' twice")
        if not entry.isreg():
            continue
        if entry.issparse():
            raise UsageError(f"the file '{entry.name}' of the tar is sparse; its bytes do not lie there as they are")
        members[entry.name] = Member(entry.offset_data, entry.size, _sha256(tar, entry))
    return members


def _sha256(tar: tarfile.TarFile, entry: tarfile.TarInfo) -> str:
    digest = hashlib.sha256()
    content = tar.extractfile(entry)
    assert content is not None  # noqa: S101  (it is a plain file)
    left = entry.size
    while chunk := content.read(_CHUNK):
        digest.update(chunk)
        left -= len(chunk)
    if left:
        raise tarfile.ReadError("unexpected end of data")
    return digest.hexdigest()


class _Hashed:
    """A stream that hashes what is read from it."""

    def __init__(self, stream: IO[bytes], algorithm: str) -> None:
        self._stream = stream
        self._begin = b""
        self.digest = hashlib.new(algorithm, usedforsecurity=False)
        self.size = 0

    def read(self, size: int) -> bytes:
        chunk = self._stream.read(size)
        self._begin = self._begin or chunk[:8]
        self.digest.update(chunk)
        self.size += len(chunk)
        return chunk

    def refuse_compressed(self) -> None:
        """Say so if the bytes begin like a compressed file."""
        for begin, name in _COMPRESSED.items():
            if self._begin.startswith(begin):
                raise UsageError(f"the tar is compressed ({name}); single files are read from plain tars alone")
