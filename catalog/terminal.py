"""What the command says: results on standard output, messages and progress on standard error."""

from __future__ import annotations

import json
import re
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from types import FrameType
from typing import Annotated, Any, TypeVar

import typer
from pyarrow import RecordBatch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table as RichTable
from rich.text import Text

from catalog.adql.diagnostics import render_diagnostic
from catalog.errors import CatalogError, QueryError
from catalog.formats.encoder import encode
from catalog.formats.media import Format
from catalog.obscore.files import written_file
from catalog.settings import Settings, load_settings
from catalog.vo.table import Info, TableStream
from catalog.wiring import Catalog

__all__ = [
    "Db",
    "Json",
    "interruptible",
    "open_for",
    "pointing_out",
    "progress_bar",
    "ready_catalog",
    "say",
    "say_fault",
    "settings_for",
    "show_rows",
    "summarise",
    "wait_for_signal",
    "write_rows",
]

T = TypeVar("T")

Db = Annotated[str | None, typer.Option("--db", help="Database URL; CATALOG_DATABASE_URL and catalog.toml otherwise.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON summary on standard output.")]

_PIPED_WIDTH = 100_000  # a line per row for the next program, however long
_MESSAGES = Console(stderr=True, highlight=False)
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")  # what strangers' text must not tell a terminal


def settings_for(db: str | None) -> Settings:
    """The settings, with the database that an option names."""
    return load_settings().with_database(db)


@contextmanager
def open_for(db: str | None) -> Iterator[Catalog]:
    """The catalog that a command works on."""
    with Catalog(settings_for(db)) as catalog:
        yield catalog


@contextmanager
def ready_catalog(db: str | None) -> Iterator[Catalog]:
    """The same, once it has shown that it can be worked on."""
    with open_for(db) as catalog:
        interruptible(catalog.check_ready, cancel=catalog.close)
        yield catalog


def say(message: str, *, style: str | None = None) -> None:
    """A message on standard error, in one line however long."""
    _MESSAGES.print(message, style=style, markup=False, soft_wrap=True)


def say_fault(fault: CatalogError) -> None:
    """What went wrong, and what to do about it."""
    say(f"catalog: {fault.message}", style="red")
    if fault.hint:
        say(fault.hint)


def interruptible(work: Callable[[], T], *, cancel: Callable[[], None]) -> T:
    """Run what reads a database, so that Ctrl-C stops it at once.

    It runs in a thread of its own: SQLite takes an exception that comes while it works for a wish to stop, and the
    driver of PostgreSQL takes the signal.

    Args:
        work: What to run.
        cancel: Makes it end soon.

    Raises:
        KeyboardInterrupt: It was stopped.
    """
    with ThreadPoolExecutor(max_workers=1) as executor:
        future = executor.submit(work)
        try:
            return future.result()
        except KeyboardInterrupt:
            cancel()
            raise


def wait_for_signal() -> None:
    """Wait, in the main thread, for Ctrl-C or SIGTERM; a second one has its usual effect."""
    stopped = Event()
    before: dict[signal.Signals, Any] = {}

    def stop(number: int, frame: FrameType | None) -> None:
        stopped.set()
        for known, handler in before.items():
            signal.signal(known, handler)

    for number in (signal.SIGINT, signal.SIGTERM):
        before[number] = signal.signal(number, stop)
    stopped.wait()


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


@contextmanager
def progress_bar(what: str) -> Iterator[Callable[[int, int | None], None]]:
    """A bar on a terminal, silence elsewhere; the function is told how many are done, and how many there are."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=_MESSAGES, disable=not _MESSAGES.is_terminal, transient=True) as bar:
        task = bar.add_task(what, total=None)

        def report(done: int, total: int | None) -> None:
            bar.update(task, completed=done, total=total)

        yield report


def summarise(as_json: bool, values: Any, sentence: str) -> None:
    """What a command did: as JSON on standard output, or as a sentence for people."""
    if as_json:
        typer.echo(json.dumps(values, default=str, ensure_ascii=False))
    else:
        say(sentence)


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
