"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from catalog.errors import UsageError

__all__ = ["make_folder", "written_file", "written_files"]

_STEM = 60  # characters of the name that the unfinished file bears too: at most 240 of 255 bytes


@contextmanager
def written_file(path: Path, *, durable: bool = True) -> Iterator[BinaryIO]:
    """A file to write into, which gets its name when the block ends well; else nothing is left of it.

    Args:
        path: Where it belongs; what is there stays until then.
        durable: Wait until the disk has it. Without that, a machine that fails may leave it empty.

    Raises:
        UsageError: The folder is absent or may not be written to, the disk is full, or the path is a folder or a
            device.
    """
    with written_files(path, durable=durable) as (file,):
        yield file


@contextmanager
def written_files(*paths: Path, durable: bool = True) -> Iterator[tuple[BinaryIO, ...]]:
    """Files that get their names together, in this order, when all of them are whole; see `written_file`."""
    targets = [_target(path) for path in paths]
    with ExitStack() as stack, _refusals(paths[0]):
        unfinished: list[BinaryIO] = []
        for path, target in zip(paths, targets, strict=True):
            unfinished.append(_open(path, target))
            stack.callback(_discard, unfinished[-1])
        yield tuple(unfinished)
        for file in unfinished:
            file.flush()
            if durable:
                os.fsync(file.fileno())
            file.close()
        for file, target in zip(unfinished, targets, strict=True):
            Path(file.name).replace(target)
        if durable:
            for folder in {target.parent for target in targets}:
                _sync_folder(folder)


def make_folder(path: Path) -> None:
    """Make a folder and those above it, as far as they are absent.

    Raises:
        UsageError: It cannot be made, or is something else.
    """
    with _refusals(path):
        path.mkdir(parents=True, exist_ok=True)


def _target(path: Path) -> Path:
    """Where a file really goes; a link stays a link.

    Raises:
        UsageError: Something other than a file is there. A device, such as /dev/stdout, would be replaced by a file.
    """
    with _refusals(path):
        target = Path(os.path.realpath(path))
        if target.is_dir():
            raise UsageError(f"{path} cannot be written: it is a folder")
        if target.exists() and not target.is_file():
            raise UsageError(f"{path} cannot be written: it is no file, but a device or a pipe")
    return target


def _open(path: Path, target: Path) -> BinaryIO:
    with _refusals(path):
        return target.with_name(f".{target.name[:_STEM]}.{secrets.token_hex(4)}").open("xb")


def _discard(file: BinaryIO) -> None:
    """Close a file and remove it, unless it has its name already."""
    with suppress(OSError):  # what is still in the buffer of a full disk
        file.close()
    Path(file.name).unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _refusals(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}") from error
