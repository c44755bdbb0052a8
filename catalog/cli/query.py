"""``catalog query``: run an ADQL query."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from catalog.terminal.opening import As, Db, caller_as, interruptible, ready_catalog
from catalog.terminal.rows import pointing_out, show_rows, write_rows

__all__ = ["app"]

app = typer.Typer()


@app.command()
def query(
    adql: Annotated[str, typer.Argument(help="The query.")],
    fmt: Annotated[
        str | None, typer.Option("--format", help="votable, csv, json …; a table for people otherwise.")
    ] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="File to write.")] = None,
    maxrec: Annotated[int | None, typer.Option(min=0, help="Rows at most.")] = None,
    user: As = None,
    db: Db = None,
) -> None:
    """Run an ADQL query."""
    with ready_catalog(db) as catalog, pointing_out(adql):
        rows = catalog.query(adql, caller=caller_as(catalog, user), maxrec=maxrec)
        if fmt is None and output is None:
            work = partial(show_rows, rows)
        else:
            infos = catalog.tap.result_infos(adql)
            work = partial(write_rows, rows, catalog.format_for(fmt, output), output, infos=infos)
        interruptible(work, cancel=catalog.close)
