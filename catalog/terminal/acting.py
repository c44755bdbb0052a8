"""Who acts and why, as the history keeps it."""

from __future__ import annotations

import getpass
from typing import Annotated

import typer

from catalog.errors import UsageError

__all__ = ["Actor", "Reason", "acting"]

Actor = Annotated[str | None, typer.Option(help="Who acts, for the history; your login name otherwise.")]
Reason = Annotated[str | None, typer.Option(help="Why, for the history.")]


def acting(actor: str | None) -> str:
    """The name that was given, else the login name.

    Raises:
        UsageError: There is neither.
    """
    try:
        return getpass.getuser() if actor is None else actor
    except (KeyError, OSError):
        raise UsageError("the history wants to know who acts; name somebody with --actor") from None
