"""The `catalog` command: set a catalog up, fill it, ask it, publish it.

Each of its commands is a module of its name, loaded when it is called. Results go to standard output, progress and
messages to standard error. Exit codes: 0 all is well, 1 something was found wrong with the data, 2 the command was used
wrongly, 3 a service does not answer.
"""

from __future__ import annotations

import gc
import logging
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import version
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup
from typer.main import get_group

from catalog.errors import CatalogError, InternalError, UnavailableError, UsageError
from catalog.terminal.messages import say_fault

__all__ = ["app", "main"]

_COMMANDS = (
    "init",
    "demo",
    "ingest",
    "refresh",
    "packages",
    "record",
    "export",
    "query",
    "explain",
    "get",
    "check-adql",
    "serve",
    "worker",
    "registry",
    "users",
    "tokens",
    "grants",
    "copies",
    "transfers",
    "staging",
)
_STYLE: dict[str, Any] = {"pretty_exceptions_enable": False, "rich_markup_mode": None, "add_completion": False}
_LOG = logging.getLogger(__name__)


class _Modules(Mapping[str, Any]):
    """Commands by name, of which only those that are asked for are loaded."""

    def __iter__(self) -> Iterator[str]:
        return iter(_COMMANDS)

    def __len__(self) -> int:
        return len(_COMMANDS)

    def __getitem__(self, name: str) -> Any:
        if name not in _COMMANDS:
            raise KeyError(name)
        return _load(name)


@cache
def _load(name: str) -> Any:
    gc.disable()  # what is loaded stays: looking through it for garbage takes a fifth of the time
    try:
        module = import_module(f"catalog.cli.{name.replace('-', '_')}")
    finally:
        gc.enable()
    alone = typer.Typer(**_STYLE)
    alone.add_typer(module.app)
    return get_group(alone).commands[name]


class _Catalog(TyperGroup):
    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings | {"commands": _Modules()})


app = typer.Typer(
    cls=_Catalog,
    no_args_is_help=True,
    epilog="Results go to standard output, messages to standard error. Exit codes: 0 all is well, 1 something is wrong "
    "with the data, 2 the command was used wrongly, 3 a service does not answer.",
    **_STYLE,
)


def main() -> NoReturn:
    """Run the command and turn faults into one line on standard error."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    try:
        app()
    except CatalogError as fault:
        say_fault(fault)
        sys.exit(_exit_code(fault))
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        _LOG.debug("unforeseen error", exc_info=error)
        reason = (str(error).splitlines() or [""])[0]
        say_fault(
            InternalError(f"unforeseen {type(error).__name__}: {reason}", hint="`catalog --verbose …` shows where")
        )
        sys.exit(1)
    sys.exit(0)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"catalog {version('ccat-catalog')}")
        raise typer.Exit


@app.callback()
def catalog_command(
    show_version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="Say on standard error what goes on inside.")] = False,
) -> None:
    """Set a catalog up, fill it, ask it, publish it."""
    if verbose:
        logging.getLogger("catalog").setLevel(logging.DEBUG)


def _exit_code(fault: CatalogError) -> int:
    if isinstance(fault, UsageError):
        return 2
    return 3 if isinstance(fault, UnavailableError) else 1
