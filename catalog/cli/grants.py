"""``catalog grants …``: who belongs to which programme."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from catalog.terminal.messages import Json, say, summarise
from catalog.terminal.opening import Db, ready_catalog

__all__ = ["app"]

app = typer.Typer(name="grants", no_args_is_help=True, help="Who belongs to which observing programme.")

_Username = Annotated[str, typer.Argument(help="Name of the user.")]
_Programme = Annotated[str, typer.Argument(help="Short name of the programme.")]


@app.command("list")
def list_grants(
    programme: Annotated[str | None, typer.Argument(help="Short name of a programme; all otherwise.")] = None,
    db: Db = None,
    json_summary: Json = False,
) -> None:
    """List the members of programmes."""
    with ready_catalog(db) as catalog:
        members = catalog.accounts.members(programme)
    if json_summary:
        summarise(json_summary, {"members": [asdict(member) for member in members]}, "")
        return
    for member in members:
        typer.echo(f"{member.programme}  {member.username}{'  PI' if member.is_pi else ''}")


@app.command("add")
def add_grant(
    username: _Username,
    programme: _Programme,
    is_pi: Annotated[bool, typer.Option("--pi", help="As its principal investigator.")] = False,
    db: Db = None,
) -> None:
    """Make a user a member of a programme."""
    with ready_catalog(db) as catalog:
        catalog.accounts.set_member(username, programme, held=True, is_pi=is_pi)
    say(f"{username} belongs to {programme}")


@app.command("remove")
def remove_grant(username: _Username, programme: _Programme, db: Db = None) -> None:
    """Take a user out of a programme."""
    with ready_catalog(db) as catalog:
        catalog.accounts.set_member(username, programme, held=False)
    say(f"{username} does not belong to {programme}")
