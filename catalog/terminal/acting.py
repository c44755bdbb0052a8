"""Who acts and why, as the history keeps it, and what a report has changed."""

from __future__ import annotations

import getpass
from dataclasses import asdict
from typing import Annotated

import typer

from catalog.errors import UsageError
from catalog.opsdb.work import WorkChange
from catalog.terminal.messages import summarise

__all__ = ["Actor", "Attempt", "Final", "Reason", "acting", "say_change"]

Actor = Annotated[str | None, typer.Option(help="Who acts, for the history; your login name otherwise.")]
Attempt = Annotated[int, typer.Option(help="Number of the attempt, as `start` has told it.")]
Final = Annotated[bool, typer.Option("--final", help="Trying again is no use.")]
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


def say_change(what: str, change: WorkChange, json_summary: bool) -> None:
    """Where an operation stands after a report, and whether the report told anything new.

    Args:
        what: What is operated on, before its key.
        change: What the report has changed.
        json_summary: Whether as JSON.
    """
    sentence = f"{what} {change.key} is '{change.after}'"
    summarise(json_summary, asdict(change), sentence if change.is_new else f"{sentence}; nothing is changed")
