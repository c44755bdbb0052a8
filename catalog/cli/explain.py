"""``catalog explain``: show what an ADQL query becomes."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from catalog.terminal.opening import As, Db, caller_as, interruptible, ready_catalog
from catalog.terminal.rows import pointing_out

__all__ = ["app"]

app = typer.Typer()


@app.command()
def explain(adql: Annotated[str, typer.Argument(help="The query.")], user: As = None, db: Db = None) -> None:
    """Show the SQL that an ADQL query becomes, its values, the database's plan, and how much it would bring."""
    with ready_catalog(db) as catalog, pointing_out(adql):
        caller = caller_as(catalog, user)
        explanation = interruptible(partial(catalog.tap.explain, adql, caller=caller), cancel=catalog.close)
        estimate = interruptible(partial(catalog.tap.estimate, adql, caller=caller), cancel=catalog.close)
    values = "".join(f"-- {name} = {value!r}\n" for name, value in explanation.values)
    typer.echo(f"{explanation.sql}\n{values}\n{explanation.plan}\n")
    typer.echo(f"indexes: {', '.join(explanation.indexes) or 'none'}")
    if estimate.rows is None:
        typer.echo("rows: not counted within seconds")
    else:
        expected = "" if estimate.is_counted else " expected by the planner"
        size = "" if estimate.bytes is None else f", about {estimate.bytes:,} bytes"
        typer.echo(f"rows: {estimate.rows:,}{expected}{size}")
