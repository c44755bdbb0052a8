"""The manifest of a package: its files as a table, with sizes, checksums and where each is fetched."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pyarrow as pa

from catalog.access import ANONYMOUS, Caller
from catalog.datalink.packages import CopiesOf, Package, PackageReader
from catalog.datalink.rows import LinkWords, file_url, gives_files
from catalog.datalink.service import parse_did
from catalog.errors import NotFoundError
from catalog.opsdb.publication import Withdrawals
from catalog.vo.table import Column, Info, TableStream
from catalog.vo.types import Datatype

__all__ = ["ManifestService", "Query"]

Query = Callable[[str, Caller], TableStream]
"""Answers ADQL over the published tables as a caller may see them, without a limit on rows."""

_COLUMNS = (
    "path_in_package, file_name, file_type, size_bytes, checksum, checksum_algorithm, start_time, end_time, exptime, "
    "file_id"
)
_ACCESS_URL = Column(
    "access_url",
    Datatype.CHAR,
    "*",
    ucd="meta.ref.url",
    description="Where the file alone is fetched; NULL when it cannot be now, or no URL can say the path",
)
_PATH = 0  # place of the path among the columns


class ManifestService:
    """Lists the files of packages.

    Args:
        reader: Knows the published packages.
        copies: Knows their copies.
        withdrawals: Knows the packages that are published no more.
        query: Asks the published tables.
        words: What the operator has declared.
    """

    def __init__(
        self, reader: PackageReader, copies: CopiesOf, withdrawals: Withdrawals, query: Query, *, words: LinkWords
    ) -> None:
        self._reader = reader
        self._copies = copies
        self._withdrawals = withdrawals
        self._words = words
        self._query = query

    def files(self, did: str, *, base_url: str, caller: Caller = ANONYMOUS) -> tuple[TableStream, tuple[Info, ...]]:
        """The files of one package by path, and what is said of the package itself.

        Args:
            did: obs_publisher_did.
            base_url: What the client calls the service.
            caller: Who asks.

        Returns:
            The rows, however many, as they are read; whoever gets the stream closes it.

        Raises:
            NotFoundError: No published package that the caller may see has this identifier; says so when it was
                withdrawn, and why.
        """
        package = self._package(did, caller)
        literal = package.did.replace("'", "''")
        rows = self._query(
            f"SELECT {_COLUMNS} FROM fyst.files WHERE obs_publisher_did = '{literal}' ORDER BY path_in_package", caller
        )
        is_there = gives_files(package, self._copies([package.id]).get(package.id, ()), self._words)
        table = replace(rows.table, name="manifest", columns=(*rows.table.columns, _ACCESS_URL), services=())

        def batches() -> Iterator[pa.RecordBatch]:
            for batch in rows:
                paths = batch.column(_PATH).to_pylist() if is_there else [""] * batch.num_rows
                urls = [file_url(base_url, package.id, path) for path in paths]
                yield pa.RecordBatch.from_arrays(
                    [*batch.columns, pa.array(urls, pa.string())], schema=table.arrow_schema
                )

        return TableStream(table, map(_same, batches()), close=rows.close), _infos(package)

    def _package(self, did: str, caller: Caller) -> Package:
        spellings = parse_did(did)
        found = self._reader.packages(spellings, caller)
        if found:
            return found[0]
        withdrawn = self._withdrawals(spellings)
        raise NotFoundError(next(iter(withdrawn.values()), f"no published package has the identifier {did[:200]}"))


def _infos(package: Package) -> tuple[Info, ...]:
    facts = {
        "obs_publisher_did": package.did,
        "package_name": package.name,
        "size_bytes": package.size_bytes,
        "checksum": package.checksum,
        "checksum_algorithm": package.checksum_algorithm,
    }
    return tuple(Info(name, str(value)) for name, value in facts.items() if value is not None)


def _same(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Itself: `map` can be closed from another thread while a generator runs."""
    return batch
