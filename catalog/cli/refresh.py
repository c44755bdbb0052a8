"""``catalog refresh``: publish what others changed in the database."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from catalog.errors import UsageError
from catalog.terminal.messages import Json, progress_bar, say, summarise
from catalog.terminal.opening import Db, ready_catalog

__all__ = ["app"]

app = typer.Typer()

_DIFFERENCES_SHOWN = 20


@app.command()
def refresh(
    full: Annotated[
        bool, typer.Option("--full", help="Resolve every package anew, not only the changed ones.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; say what is not up to date, and exit with 1 if anything.")
    ] = False,
    db: Db = None,
    json_summary: Json = False,
) -> None:
    """Publish what others changed in the database."""
    if full and check:
        raise UsageError("--check changes nothing; leave --full out")
    if check:
        _compare(db, json_summary)
        return
    with ready_catalog(db) as catalog, progress_bar("packages") as report:
        summary = catalog.refresh(full=full, progress=report)
    summarise(json_summary, asdict(summary), f"{summary.written:,} rows were written, {summary.removed:,} removed")


def _compare(db: str | None, json_summary: bool) -> None:
    """Say which published values a fresh resolution would change."""
    count, packages = 0, set()
    with ready_catalog(db) as catalog:
        for count, difference in enumerate(catalog.differences(), 1):
            packages.add(difference.raw_data_package_id)
            if count <= _DIFFERENCES_SHOWN:
                stored, fresh = difference.stored, difference.fresh
                line = f"{difference.raw_data_package_id} {difference.column}: {stored!r}, fresh {fresh!r}"
                say(line)
    sentence = "every row is up to date"
    if count:
        sentence = f"{count:,} values of {len(packages):,} packages are not up to date; `catalog refresh` mends them"
    summarise(json_summary, {"differences": count, "packages": len(packages)}, sentence)
    if count:
        raise typer.Exit(1)
