"""Rows that a command shows or writes."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import typer
from pyarrow import RecordBatch
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from catalog.adql.diagnostics import render_diagnostic
from catalog.errors import CatalogError, QueryError
from catalog.formats.encoder import encode
from catalog.formats.media import Format
from catalog.obscore.files import written_file
from catalog.terminal.messages import say
from catalog.vo.table import Info, TableStream

__all__ = ["pointing_out", "show_rows", "write_rows"]

_PIPED_WIDTH = 100_000  # a line per row for the next program, however long
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")  # what strangers' text must not tell a terminal


@contextmanager
def pointing_out(adql: str) -> Iterator[None]:
    """Show where in a query a fault lies.

    Raises:
        typer.Exit: There was one.
    """
    try:
        yield
    except QueryError as fault:
        say(f"catalog: {render_diagnostic(adql, fault)}", style="red")
        raise typer.Exit(2) from None


def show_rows(rows: TableStream) -> None:
    """Rows as a table for people; null is empty. The stream is closed.

    On a terminal that is too narrow for the names of the columns, each row is a list of them.
    """
    console = Console()
    if not console.is_terminal:
        console = Console(width=_PIPED_WIDTH)
    units = [f"[{column.unit}]" if column.unit else "" for column in rows.table.columns]
    names = [column.name for column in rows.table.columns]
    least = sum(max(len(name), len(unit)) + 3 for name, unit in zip(names, units, strict=True))
    with rows:
        if least > console.width:
            for row in _lines(rows):
                listed = RichTable(show_header=False, show_edge=False)
                listed.add_column(no_wrap=True)
                listed.add_column(overflow="fold")
                for name, unit, cell in zip(names, units, row, strict=True):
                    listed.add_row(Text(f"{name} {unit}".rstrip()), cell)
                console.print(listed, "")
        else:
            shown = RichTable(show_edge=False, header_style="bold")
            for name, unit in zip(names, units, strict=True):
                shown.add_column(Text(f"{name}\n{unit}".rstrip()), overflow="fold")
            for row in _lines(rows):
                shown.add_row(*row)
            console.print(shown)
    say(_counted(rows))


def _lines(rows: TableStream) -> Iterator[list[Text]]:
    for batch in rows:
        for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            yield [Text("" if cell is None else _CONTROL.sub("\ufffd", str(cell))) for cell in row]


def write_rows(rows: TableStream, form: Format, output: Path | None, *, infos: Sequence[Info]) -> None:
    """Rows in a format, to a file that appears when it is whole, or to standard output. The stream is closed.

    Raises:
        CatalogError: The rows broke off, also where the format says so at its end.
    """
    watched = _Watched(rows)
    pieces = encode(watched.stream, form, infos=infos)
    if output is None:
        for piece in pieces:
            sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()
        watched.check()
    else:
        with written_file(output) as file:
            file.writelines(pieces)
            watched.check()
    if rows.truncated:
        say(_counted(rows))


def _counted(rows: TableStream) -> str:
    return f"{rows.rows:,} rows{'; there are more: raise --maxrec' if rows.truncated else ''}"


class _Watched:
    """Remembers how a stream broke: some formats only say so at their end."""

    def __init__(self, rows: TableStream) -> None:
        self.stream = TableStream(rows.table, self._batches(rows), close=rows.close)
        self._fault: CatalogError | None = None

    def check(self) -> None:
        if self._fault is not None:
            raise self._fault

    def _batches(self, rows: TableStream) -> Iterator[RecordBatch]:
        try:
            yield from rows
        except CatalogError as fault:
            self._fault = fault
            raise
        self.stream.truncated = rows.truncated
