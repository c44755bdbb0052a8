"""Files of jobs, results and uploads: in a folder, or in an object store that fsspec knows (``s3://…``).

Every job has a folder below that of its job store. A file is written once, under a name that no other has, and counts
when the job store says so; what it says nothing of are leftovers.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from catalog.errors import CatalogError, NotFoundError, SettingsError, UnavailableError
from catalog.uws.job import StoredFile

__all__ = ["FileWriter", "ResultStore"]

_LOG = logging.getLogger(__name__)
_PIECE = 1024 * 1024


class ResultStore:
    """The files of all jobs.

    Args:
        root: A folder, or a URL that fsspec knows. It is looked at, and made, at the first use.
        store: Names the job store; `catalog.uws.store.JobStore.name` is one.
    """

    def __init__(self, root: str, *, store: Callable[[], str]) -> None:
        self._url = root
        self._store = store

    def create(self, job_id: str, name: str, content_type: str) -> FileWriter:
        """A new file of a job, to be written piece by piece.

        Raises:
            NotFoundError: The job was deleted at this moment.
            UnavailableError: The store does not take it.
        """
        path = f"{job_id}/{name}"
        with _deleted_meanwhile(), _plainly():
            self._fs.makedirs(f"{self._root}/{job_id}", exist_ok=True)
            return FileWriter(self._fs, f"{self._root}/{path}", path, content_type)

    def save(self, job_id: str, name: str, source: IO[bytes], content_type: str) -> StoredFile:
        """Copy a file of a request.

        Raises:
            NotFoundError: The job was deleted meanwhile.
            UnavailableError: The store does not take it.
        """
        writer = self.create(job_id, name, content_type)
        try:
            while piece := source.read(_PIECE):
                writer.write(piece)
            return writer.finish()
        except BaseException:
            writer.discard()
            raise

    def open(self, file: StoredFile, *, start: int = 0) -> IO[bytes]:
        """A file, to be read from a byte on; whoever gets it closes it.

        Raises:
            NotFoundError: It is gone.
            UnavailableError: The store does not answer.
        """
        try:
            with _plainly():
                handle: IO[bytes] = self._fs.open(f"{self._root}/{file.path}", "rb")
                handle.seek(start)
        except FileNotFoundError:
            raise NotFoundError("the result is gone; its job was destroyed") from None
        return handle

    def remove(self, job_id: str) -> None:
        """Remove every file of a job. Safe to repeat.

        Raises:
            UnavailableError: The store does not answer.
        """
        with suppress(FileNotFoundError), _plainly():
            self._fs.rm(f"{self._root}/{job_id}", recursive=True)

    def remove_file(self, file: StoredFile) -> None:
        """Remove one file. Safe to repeat.

        Raises:
            UnavailableError: The store does not answer.
        """
        with suppress(FileNotFoundError), _plainly():
            self._fs.rm_file(f"{self._root}/{file.path}")

    def keep_only(self, job_id: str, paths: Collection[str]) -> None:
        """Remove the files of a job that are not among ``paths``: leftovers of workers that were killed.

        Raises:
            UnavailableError: The store does not answer.
        """
        for path in self._names(f"{self._root}/{job_id}"):
            if f"{job_id}/{path}" not in paths:
                with suppress(FileNotFoundError), _plainly():
                    self._fs.rm_file(f"{self._root}/{job_id}/{path}")

    def jobs(self) -> Iterator[str]:
        """Identifiers of the jobs that have files."""
        yield from self._names(self._root)

    def age_s(self, job_id: str) -> float:
        """Seconds since anything of a job was last written, by this machine's clock; infinite when there is nothing."""
        folder = f"{self._root}/{job_id}"
        ages = [self._age_s(f"{folder}/{name}") for name in self._names(folder)]
        return min(ages) if ages else self._age_s(folder)

    def _age_s(self, location: str) -> float:
        try:
            with _plainly():
                written: datetime = self._fs.modified(location)
        except FileNotFoundError:
            return float("inf")
        return (datetime.now(UTC) - written.astimezone(UTC)).total_seconds()

    def _names(self, folder: str) -> list[str]:
        try:
            with _plainly():
                self._fs.invalidate_cache()
                return [str(path).rstrip("/").rpartition("/")[2] for path in self._fs.ls(folder, detail=False)]
        except FileNotFoundError:
            return []

    @cached_property
    def _fs(self) -> Any:
        return self._parsed[0]

    @cached_property
    def _root(self) -> str:
        return f"{self._parsed[1].rstrip('/')}/{self._store()}"

    @cached_property
    def _parsed(self) -> tuple[Any, str]:
        url = self._url if "://" in self._url else Path(self._url).expanduser().absolute().as_uri()
        try:
            fs, root = fsspec.core.url_to_fs(url)
        except (ImportError, ValueError):
            raise SettingsError(
                "jobs.results names a kind of store that this installation does not know",
                hint="Give a folder, or install the extra that the store needs: pip install 'ccat-catalog[s3]'.",
            ) from None
        return fs, str(root)


class FileWriter:
    """One file in the making: counts and hashes what is written.

    Args:
        fs: Where to.
        location: In the file system.
        path: In the result store.
        content_type: Media type.
    """

    def __init__(self, fs: Any, location: str, path: str, content_type: str) -> None:
        self.size = 0
        """Bytes so far."""
        self._fs = fs
        self._location = location
        self._path = path
        self._content_type = content_type
        self._digest = hashlib.sha256()
        self._handle = fs.open(location, "wb")

    def write(self, data: bytes) -> None:
        """Append.

        Raises:
            UnavailableError: The store is full, or does not answer.
        """
        with _plainly():
            self._handle.write(data)
        self._digest.update(data)
        self.size += len(data)

    def finish(self, content_type: str | None = None) -> StoredFile:
        """Close the file for good, when all of it is on the disk.

        Args:
            content_type: When it is known only now.

        Raises:
            NotFoundError: The job was deleted meanwhile.
            UnavailableError: The store does not take it.
        """
        with _deleted_meanwhile(), _plainly():
            if isinstance(self._fs, LocalFileSystem):
                self._handle.flush()
                os.fsync(self._handle.fileno())
                _sync_folder(Path(self._location).parent)
            self._handle.close()
        return StoredFile(self._path, self.size, self._digest.hexdigest(), content_type or self._content_type)

    def discard(self) -> None:
        """Remove the file, finished or not."""
        with suppress(Exception):  # what could not be written before cannot be written now, on a full disk
            self._handle.close()
        try:
            with suppress(FileNotFoundError), _plainly():
                self._fs.rm_file(self._location)
        except UnavailableError:
            _LOG.warning("a file of a job could not be removed; it goes with its job")


def _sync_folder(folder: Path) -> None:
    """Put the name of a new file on the disk, too."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _deleted_meanwhile() -> Iterator[None]:
    """A folder that is gone went with its job."""
    try:
        yield
    except FileNotFoundError:
        raise NotFoundError("the job was deleted meanwhile") from None


class _plainly:  # noqa: N801  (reads as the word that it is)
    """Say what a file system cannot do in words that tell nothing of the inside."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Exception) and not isinstance(error, FileNotFoundError | CatalogError):
            _LOG.error("the result store: %s", error)
            raise UnavailableError("the store of results does not answer as it should; try again later") from error
