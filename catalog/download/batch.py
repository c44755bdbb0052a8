"""Download many things, several at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Event, Thread

from catalog.download.fetch import Downloaded, Downloader, Stopped
from catalog.download.links import Wanted
from catalog.errors import CatalogError, InternalError

__all__ = ["Outcome", "fetch_all"]

_END_S = 2.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one thing: exactly one of `downloaded` and `fault` is set."""

    wanted: Wanted
    downloaded: Downloaded | None = None
    fault: CatalogError | None = None


def fetch_all(downloader: Downloader, wanted: Sequence[Wanted], *, parallel: int, stop: Event) -> Iterator[Outcome]:
    """The outcomes, as they come. Who leaves early stops what runs.

    Args:
        downloader: Downloads each.
        wanted: What to download.
        parallel: How many at once.
        stop: What the downloader looks at.
    """
    left: SimpleQueue[Wanted] = SimpleQueue()
    for each in wanted:
        left.put(each)
    outcomes: SimpleQueue[Outcome] = SimpleQueue()
    threads = [
        Thread(target=_work, args=(downloader, left, outcomes, stop), daemon=True)
        for _ in range(min(parallel, len(wanted)))
    ]
    for thread in threads:
        thread.start()
    try:
        for _ in wanted:
            yield outcomes.get()
    finally:
        stop.set()
        for thread in threads:
            thread.join(_END_S)


def _work(downloader: Downloader, left: SimpleQueue[Wanted], outcomes: SimpleQueue[Outcome], stop: Event) -> None:
    while not stop.is_set():
        try:
            wanted = left.get_nowait()
        except Empty:
            return
        try:
            outcomes.put(Outcome(wanted, downloader.fetch(wanted)))
        except Stopped:
            return
        except CatalogError as fault:
            outcomes.put(Outcome(wanted, fault=fault))
        except Exception as error:
            outcomes.put(Outcome(wanted, fault=InternalError(f"unforeseen {type(error).__name__}: {error}")))
