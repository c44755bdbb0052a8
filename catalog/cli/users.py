"""``catalog users …``: who may log in."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Annotated

import typer

from catalog.errors import UsageError
from catalog.terminal.messages import Json, say, summarise
from catalog.terminal.opening import Db, ready_catalog

__all__ = ["app"]

app = typer.Typer(
    name="users", no_args_is_help=True, help="Users of the service: make them, let them in, keep them out."
)

_Username = Annotated[str, typer.Argument(help="Name that the user logs in with.")]
_Role = Annotated[str, typer.Argument(help="Name of a role, such as viewer.")]


@app.command("list")
def list_users(db: Db = None, json_summary: Json = False) -> None:
    """List the users: name, roles, whether they can log in with a password, whether they are kept out."""
    with ready_catalog(db) as catalog:
        users = catalog.accounts.users()
    if json_summary:
        summarise(json_summary, {"users": [asdict(user) for user in users]}, "")
        return
    for user in users:
        facts = [*user.roles, "password" if user.has_password else "no password"]
        typer.echo(f"{user.username}  {', '.join(facts)}{'' if user.active else '  inactive'}")


@app.command("roles")
def list_roles(db: Db = None, json_summary: Json = False) -> None:
    """List the roles and their permissions, which are the scopes that a token may have."""
    with ready_catalog(db) as catalog:
        roles = catalog.accounts.roles()
    if json_summary:
        summarise(json_summary, {"roles": [asdict(role) for role in roles]}, "")
        return
    for role in roles:
        typer.echo(f"{role.name}  {', '.join(role.permissions) or 'nothing'}")


@app.command("add")
def add_user(
    username: _Username,
    full_name: Annotated[str | None, typer.Option(help="Name of the person or program.")] = None,
    email: Annotated[str | None, typer.Option(help="Address to write to.")] = None,
    role: Annotated[list[str] | None, typer.Option(help="Role to have; may come again.")] = None,
    db: Db = None,
) -> None:
    """Make a user, who can log in once there is a password or a token."""
    with ready_catalog(db) as catalog:
        catalog.accounts.add_user(username, full_name=full_name, email=email, roles=role or ())
    say(f"the user {username} is made; `catalog users password` or `catalog tokens create` lets them log in")


@app.command()
def password(
    username: _Username,
    remove: Annotated[bool, typer.Option("--remove", help="Take the password away.")] = False,
    db: Db = None,
) -> None:
    """Set a user's password, which is asked for, or read from standard input."""
    secret = None if remove else _asked()
    with ready_catalog(db) as catalog:
        catalog.accounts.set_password(username, secret)
    say(f"{username} has {'no' if remove else 'a new'} password")


@app.command()
def deactivate(username: _Username, db: Db = None) -> None:
    """Keep a user out, with every token."""
    with ready_catalog(db) as catalog:
        catalog.accounts.set_active(username, False)
    say(f"{username} may not log in any more")


@app.command()
def activate(username: _Username, db: Db = None) -> None:
    """Let a user in again."""
    with ready_catalog(db) as catalog:
        catalog.accounts.set_active(username, True)
    say(f"{username} may log in")


@app.command()
def role(
    username: _Username,
    name: _Role,
    remove: Annotated[bool, typer.Option("--remove", help="Take the role away.")] = False,
    db: Db = None,
) -> None:
    """Give a user a role, or take it away."""
    with ready_catalog(db) as catalog:
        catalog.accounts.set_role(username, name, held=not remove)
    say(f"{username} is {'no ' if remove else 'a '}{name}{' any more' if remove else ''}")


def _asked() -> str:
    if sys.stdin.isatty():
        return str(typer.prompt("password", hide_input=True, confirmation_prompt=True, err=True))
    secret = sys.stdin.readline(10_000).rstrip("\r\n")
    if not secret:
        raise UsageError("there is no password on standard input; expected it on one line")
    return secret
