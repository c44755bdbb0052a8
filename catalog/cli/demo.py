"""``catalog demo``: fill an empty catalog with a synthetic observatory."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from catalog.terminal.messages import Json, progress_bar, summarise
from catalog.terminal.opening import Db, open_for

__all__ = ["app"]

app = typer.Typer()


@app.command()
def demo(
    packages: Annotated[int, typer.Option(min=1, help="Packages to make.")] = 2000,
    seed: Annotated[int, typer.Option(help="The same seed makes the same catalog.")] = 1,
    files_per_package: Annotated[int, typer.Option(min=1, help="File rows of each package.")] = 3,
    db: Db = None,
    json_summary: Json = False,
) -> None:
    """Fill an empty catalog with a synthetic observatory."""
    with open_for(db) as catalog, progress_bar("synthetic packages") as report:
        catalog.init()
        summary = catalog.load_synthetic(
            packages=packages, seed=seed, files_per_package=files_per_package, progress=report
        )
    summarise(json_summary, asdict(summary), f"the catalog holds {packages:,} synthetic packages")
