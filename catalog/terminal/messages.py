"""What commands say: results on standard output, messages and progress on standard error."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from catalog.errors import CatalogError

__all__ = ["Json", "bytes_bar", "progress_bar", "say", "say_fault", "summarise"]

Json = Annotated[bool, typer.Option("--json", help="One JSON summary on standard output.")]

_MESSAGES = Console(stderr=True, highlight=False)


def say(message: str, *, style: str | None = None) -> None:
    """A message on standard error, in one line however long."""
    _MESSAGES.print(message, style=style, markup=False, soft_wrap=True)


def say_fault(fault: CatalogError) -> None:
    """What went wrong, and what to do about it."""
    say(f"catalog: {fault.message}", style="red")
    if fault.hint:
        say(fault.hint)


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


@contextmanager
def bytes_bar(total: int | None) -> Iterator[Callable[[str, int, int | None], None]]:
    """A bar of bytes on a terminal, silence elsewhere; the function is told how many a thing has, and should have."""
    columns = (
        SpinnerColumn(),
        BarColumn(),
        DownloadColumn(binary_units=False),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    done: dict[str, int] = {}
    with Progress(*columns, console=_MESSAGES, disable=not _MESSAGES.is_terminal, transient=True) as bar:
        task = bar.add_task("bytes", total=total)

        def report(key: str, size: int, of: int | None) -> None:
            bar.update(task, advance=size - done.get(key, 0))
            done[key] = size

        yield report


def summarise(as_json: bool, values: Any, sentence: str) -> None:
    """What a command did: as JSON on standard output, or as a sentence for people."""
    if as_json:
        typer.echo(json.dumps(values, default=str, ensure_ascii=False))
    else:
        say(sentence)
