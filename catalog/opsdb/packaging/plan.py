"""Which files go into which package: a pure function over files in their order, which holds one package at a time.

Files that belong together by their names (a product and its index, checksum or header) are a set, and a set is never
split. The order is that of the paths, so that it does not matter in which order the files were recorded.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from uuid import UUID

from catalog.errors import UsageError

__all__ = ["FileToPack", "PackageLimits", "PlannedPackage", "UnsizedFiles", "plan_packages", "set_name"]

_FOLDER = re.compile(r"\.(?:zarr|n5|ms)(?=/)")
_ENDING = re.compile(
    r"(?:\.[A-Za-z][A-Za-z0-9_-]{0,9})?(?:\.(?:gz|bz2|xz|zst|fz|idx|md5|sha1|sha256|sha512|asc|sig))*\Z"
)


@dataclass(frozen=True, slots=True)
class FileToPack:
    """A file that is in no package."""

    file_id: UUID
    executed_obs_unit_id: UUID
    instrument_module_id: int
    relative_path: str
    size_bytes: int | None
    """None when nobody has said it; then its set waits."""

    file_type: str | None = None

    @property
    def group(self) -> tuple[UUID, int]:
        """Only files of one execution and one module share a package."""
        return self.executed_obs_unit_id, self.instrument_module_id


@dataclass(frozen=True, slots=True)
class PackageLimits:
    """How large a package becomes; a set that is larger is a package of its own."""

    max_bytes: int = 50_000_000_000
    """Of the files together."""

    max_files: int = 100_000


@dataclass(frozen=True, slots=True)
class PlannedPackage:
    """Files that will be one package."""

    executed_obs_unit_id: UUID
    instrument_module_id: int
    files: tuple[UUID, ...]
    """In the order of their paths, set by set."""

    size_bytes: int
    """Of the files together."""

    content_format: str | None
    """The media type of the files, when all have the same."""


@dataclass(frozen=True, slots=True)
class UnsizedFiles:
    """A set that waits, because the size of one of its files is not known."""

    files: int


@dataclass(slots=True)
class _Gathered:
    """Files that are together so far: a set, or a package."""

    name: str = ""
    files: list[UUID] = field(default_factory=list)
    size_bytes: int = 0
    unsized: bool = False
    types: set[str | None] = field(default_factory=set)

    def add(self, file: FileToPack) -> None:
        self.files.append(file.file_id)
        self.size_bytes += file.size_bytes or 0
        self.unsized |= file.size_bytes is None
        self.types.add(file.file_type)

    def join(self, other: _Gathered) -> None:
        self.files += other.files
        self.size_bytes += other.size_bytes
        self.types |= other.types

    def may_grow(self, path: str) -> bool:
        """Whether a file at or after this path may belong to the set: its members continue the name with a dot."""
        return path.startswith(self.name) and path[len(self.name) :] < "/"

    def fits(self, other: _Gathered, limits: PackageLimits) -> bool:
        return (
            self.size_bytes + other.size_bytes <= limits.max_bytes
            and len(self.files) + len(other.files) <= limits.max_files
        )


def plan_packages(files: Iterable[FileToPack], limits: PackageLimits) -> Iterator[PlannedPackage | UnsizedFiles]:
    """Group files into packages.

    Args:
        files: Ordered by execution, module and path (by code point); read once, as packages are asked for.
        limits: How large a package becomes.

    Raises:
        UsageError: The files are in another order.
    """
    for (execution, module), group in groupby(_ordered(files), key=lambda file: file.group):
        package = _Gathered()
        for some in _sets(group):
            if some.unsized:
                yield UnsizedFiles(len(some.files))
                continue
            if package.files and not package.fits(some, limits):
                yield _planned(execution, module, package)
                package = _Gathered()
            package.join(some)
        if package.files:
            yield _planned(execution, module, package)


def set_name(relative_path: str) -> str:
    """What the files of a set have in common: the path without the endings that tell its files apart.

    The ending of a compression, a checksum or an index comes off, then one more; a folder that is one product
    (``scan.zarr``) is a file here.
    """
    folder = _FOLDER.search(relative_path)
    path = relative_path if folder is None else relative_path[: folder.end()]
    start = path.rfind("/") + 1
    ending = _ENDING.search(path, start + 1)
    return path if ending is None else path[: ending.start()]


def _ordered(files: Iterable[FileToPack]) -> Iterator[FileToPack]:
    before: tuple[UUID, int, str] | None = None
    for file in files:
        here = (*file.group, file.relative_path)
        if before is not None and here <= before:
            raise UsageError("files are planned in the order of execution, module and path, each once")
        before = here
        yield file


def _sets(files: Iterable[FileToPack]) -> Iterator[_Gathered]:
    """Sets as soon as they are whole: of those that may still grow, each name begins with the one before."""
    growing: list[_Gathered] = []
    for file in files:
        while growing and not growing[-1].may_grow(file.relative_path):
            yield growing.pop()
        name = set_name(file.relative_path)
        mine = next((some for some in growing if some.name == name), None)
        if mine is None:
            mine = _Gathered(name)
            growing.append(mine)
        mine.add(file)
    yield from reversed(growing)


def _planned(execution: UUID, module: int, package: _Gathered) -> PlannedPackage:
    kinds = {kind for kind in package.types if kind is not None and "/" in kind}
    content_format = kinds.pop() if len(kinds) == len(package.types) == 1 else None
    return PlannedPackage(execution, module, tuple(package.files), package.size_bytes, content_format)
