"""``catalog export …``: write published tables to files."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from catalog.terminal.messages import Json, progress_bar, summarise
from catalog.terminal.opening import As, Db, caller_as, interruptible, ready_catalog
from catalog.terminal.rows import pointing_out

__all__ = ["app"]

app = typer.Typer(name="export", no_args_is_help=True, help="Write published tables to files.")


@app.command()
def obscore(
    output: Annotated[Path, typer.Option("-o", "--output", help="File to write.")],
    fmt: Annotated[
        str | None, typer.Option("--format", help="Format; otherwise the file name's ending says it.")
    ] = None,
    where: Annotated[str | None, typer.Option(help="ADQL condition on columns of ivoa.obscore.")] = None,
    user: As = None,
    db: Db = None,
    json_summary: Json = False,
) -> None:
    """Write ivoa.obscore to a file, with a manifest beside it."""
    with ready_catalog(db) as catalog, progress_bar("rows") as report, pointing_out(where or ""):
        caller = caller_as(catalog, user)
        work = partial(catalog.export_obscore, output, fmt=fmt, where=where, caller=caller, progress=report)
        manifest = interruptible(work, cancel=catalog.close)
    summarise(json_summary, manifest.as_dict(), f"{manifest.rows:,} rows in {output}")
