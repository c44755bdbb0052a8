"""``catalog init``: create or upgrade the tables and views."""

from __future__ import annotations

from dataclasses import asdict

import typer

from catalog.terminal.messages import Json, summarise
from catalog.terminal.opening import Db, open_for

__all__ = ["app"]

app = typer.Typer()


@app.command()
def init(db: Db = None, json_summary: Json = False) -> None:
    """Create or upgrade the tables and views; safe to repeat."""
    with open_for(db) as catalog:
        summary = catalog.init()
    summarise(json_summary, asdict(summary), f"the catalog is at revision {summary.revision}")
