"""Rows kept in a temporary file, for formats whose header tells what only the last row decides."""

from __future__ import annotations

from collections.abc import Iterator
from tempfile import SpooledTemporaryFile
from types import TracebackType
from typing import Self

import pyarrow as pa

__all__ = ["KeptRows"]

_MEMORY = 8 * 2**20  # rows beyond this many bytes lie on disk


class KeptRows:
    """Record batches that are written once and read as often as needed. Use ``with``.

    Args:
        schema: Of the batches.
    """

    def __init__(self, schema: pa.Schema) -> None:
        self.rows = 0
        self._complete = False
        self._file = SpooledTemporaryFile(max_size=_MEMORY)  # noqa: SIM115  (closed by __exit__)
        self._writer = pa.ipc.new_stream(pa.PythonFile(self._file, mode="w"), schema)

    def add(self, batch: pa.RecordBatch) -> None:
        """Keep some rows."""
        self._writer.write_batch(batch)
        self.rows += batch.num_rows

    def read(self, rows: int | None = None) -> Iterator[pa.RecordBatch]:
        """The rows from the start, in the same parts every time. Nothing is added after that.

        Args:
            rows: How many at most are handed out at once; None for as many as were added.
        """
        if not self._complete:
            self._writer.close()
            self._complete = True
        self._file.seek(0)
        for batch in pa.ipc.open_stream(pa.PythonFile(self._file, mode="r")):
            for start in range(0, batch.num_rows, rows or batch.num_rows):
                yield batch.slice(start, rows)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
