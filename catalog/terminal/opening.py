"""The catalog that a command works on, and how its work is stopped."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event
from types import FrameType
from typing import Annotated, Any, TypeVar

import typer

from catalog.access import ANONYMOUS, Caller
from catalog.settings import Settings, load_settings
from catalog.wiring import Catalog

__all__ = ["As", "Db", "caller_as", "interruptible", "open_for", "ready_catalog", "settings_for", "wait_for_signal"]

T = TypeVar("T")

As = Annotated[str | None, typer.Option("--as", metavar="USER", help="Show what this user would see.")]

Db = Annotated[str | None, typer.Option("--db", help="Database URL; CATALOG_DATABASE_URL and catalog.toml otherwise.")]


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


def caller_as(catalog: Catalog, username: str | None) -> Caller:
    """Who is meant by `As`; anonymous when nobody is named.

    Raises:
        NotFoundError: There is no active user of this name.
    """
    return ANONYMOUS if username is None else catalog.caller_named(username)


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
