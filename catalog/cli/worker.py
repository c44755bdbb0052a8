"""``catalog worker``: do asynchronous jobs."""

from __future__ import annotations

from typing import Annotated

import typer

from catalog.terminal.messages import say
from catalog.terminal.opening import Db, ready_catalog, wait_for_signal

__all__ = ["app"]

app = typer.Typer()


@app.command()
def worker(
    workers: Annotated[
        int | None, typer.Option(min=1, help="Jobs at once; jobs.workers of the settings otherwise.")
    ] = None,
    db: Db = None,
) -> None:
    """Do asynchronous jobs, and nothing else; any number of processes may."""
    with ready_catalog(db) as catalog:
        runner = catalog.runner(workers)
        runner.start()
        say("doing jobs; Ctrl-C hands those that run back, and stops")
        wait_for_signal()
        runner.stop()
