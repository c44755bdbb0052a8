"""``catalog record``: write a VOTable and a JSON sidecar for each package."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from catalog.errors import UsageError
from catalog.terminal.messages import Json, progress_bar, summarise
from catalog.terminal.opening import Db, interruptible, ready_catalog

__all__ = ["app"]

app = typer.Typer()


@app.command()
def record(
    dids: Annotated[list[str] | None, typer.Argument(help="Identifiers of packages.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every published package.")] = False,
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for the files.")] = Path(),
    db: Db = None,
    json_summary: Json = False,
) -> None:
    """Write a VOTable and a JSON sidecar for each package."""
    if bool(dids) == everything:
        raise UsageError("name the packages, or say --all; not both")
    with ready_catalog(db) as catalog, progress_bar("records") as report:
        work = partial(catalog.write_records, output, dids=None if everything else dids, progress=report)
        written = interruptible(work, cancel=catalog.close)
    summarise(json_summary, {"records": written, "folder": str(output)}, f"{written:,} records in {output}")
