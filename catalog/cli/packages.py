"""``catalog packages …``: single packages."""

from __future__ import annotations

from typing import Annotated

import typer

from catalog.terminal.messages import say
from catalog.terminal.opening import Db, ready_catalog

__all__ = ["app"]

app = typer.Typer(name="packages", no_args_is_help=True, help="Single packages.")


@app.command()
def withdraw(
    did: Annotated[str, typer.Argument(help="obs_publisher_did of the package.")],
    reason: Annotated[str, typer.Option(help="Why; kept with the package.")],
    db: Db = None,
) -> None:
    """Take a package out of what is published; its identifier stays."""
    with ready_catalog(db) as catalog:
        catalog.withdraw(did, reason)
    say(f"{did} is withdrawn")


@app.command()
def restore(
    did: Annotated[str, typer.Argument(help="obs_publisher_did of the package.")],
    db: Db = None,
) -> None:
    """Publish a withdrawn package again."""
    with ready_catalog(db) as catalog:
        catalog.restore(did)
    say(f"{did} is published again")
