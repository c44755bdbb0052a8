"""``catalog tokens …``: tokens by which programs log in."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from typing import Annotated

import typer

from catalog.terminal.messages import Json, say, summarise
from catalog.terminal.opening import Db, ready_catalog

__all__ = ["app"]

app = typer.Typer(name="tokens", no_args_is_help=True, help="Tokens by which programs log in as a user.")


@app.command("list")
def list_tokens(
    username: Annotated[str | None, typer.Argument(help="Whose tokens; everybody's otherwise.")] = None,
    db: Db = None,
    json_summary: Json = False,
) -> None:
    """List tokens by their first eight characters; what follows is known to nobody here."""
    with ready_catalog(db) as catalog:
        tokens = catalog.accounts.tokens(username)
    if json_summary:
        summarise(json_summary, {"tokens": [asdict(token) for token in tokens]}, "")
        return
    for token in tokens:
        state = "for ever" if token.expires_at is None else f"until {token.expires_at:%Y-%m-%d}"
        if token.revoked_at is not None:
            state = f"revoked {token.revoked_at:%Y-%m-%d}"
        scopes = ", ".join(token.scopes) or "all that the user may"
        typer.echo(f"{token.prefix}  {token.username}  {token.name}  {scopes}  {state}")


@app.command("create")
def create_token(
    username: Annotated[str, typer.Argument(help="Whose token.")],
    name: Annotated[str, typer.Argument(help="What it is for.")],
    scope: Annotated[list[str] | None, typer.Option(help="Permission to have; may come again. All otherwise.")] = None,
    days: Annotated[int, typer.Option(min=1, max=3650, help="How long it is valid.")] = 365,
    db: Db = None,
) -> None:
    """Make a token and show it, this once."""
    with ready_catalog(db) as catalog:
        secret = catalog.accounts.create_token(username, name, scopes=scope or (), lifetime=timedelta(days=days))
    typer.echo(secret)
    say(f"it is valid for {days} days and not shown again; send it as 'Authorization: Bearer …'")


@app.command()
def revoke(
    prefix: Annotated[str, typer.Argument(help="First eight characters of the token.")],
    db: Db = None,
) -> None:
    """End a token at once."""
    with ready_catalog(db) as catalog:
        catalog.accounts.revoke_token(prefix)
    say(f"the token {prefix}… is revoked")
