"""``catalog get``: download datasets from this or any other VO service."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from threading import Event
from typing import Annotated

import typer

from catalog.download.batch import Outcome, fetch_all
from catalog.download.dids import read_dids
from catalog.download.fetch import Downloader
from catalog.download.links import Wanted, find_links_url, read_wanted
from catalog.download.names import Folder
from catalog.download.web import Web
from catalog.errors import CatalogError, UnavailableError, UsageError
from catalog.settings import TOKEN_VARIABLE, load_settings
from catalog.terminal.messages import Json, bytes_bar, say, say_fault, summarise

__all__ = ["app"]

app = typer.Typer()


@app.command()
def get(
    dids: Annotated[
        list[str] | None,
        typer.Argument(metavar="DID…", help="Identifiers of datasets; '-' reads them from standard input."),
    ] = None,
    service: Annotated[
        str | None,
        typer.Option(help="Base URL of the service, or of its DataLink endpoint; service.base_url otherwise."),
    ] = None,
    to: Annotated[Path, typer.Option(help="Folder to write to.")] = Path(),
    listed: Annotated[
        Path | None, typer.Option("--list", help="A list or table with identifiers; '-' is standard input.")
    ] = None,
    token_file: Annotated[
        Path | None, typer.Option(help=f"File with a token; the variable {TOKEN_VARIABLE} otherwise.")
    ] = None,
    parallel: Annotated[int, typer.Option(min=1, max=32, help="Downloads at once.")] = 4,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds that a server may be silent.")] = 60.0,
    json_summary: Json = False,
) -> None:
    """Download datasets, from whichever of their copies gives them; what is there in part is gone on with."""
    wanted_dids = _wanted_dids(dids or [], listed)
    url = service or load_settings().service.url
    web = Web(url, token=_token(token_file), timeout_s=timeout)
    folder = Folder(to)
    wanted = list(read_wanted(web, find_links_url(web, url), wanted_dids))
    stop = Event()
    with bytes_bar(_total(wanted)) as report:
        downloader = Downloader(web, folder, stop=stop, report=report)
        outcomes = [_tell(each, json_summary) for each in fetch_all(downloader, wanted, parallel=parallel, stop=stop)]
    _finish(outcomes, json_summary)


def _wanted_dids(dids: Sequence[str], listed: Path | None) -> list[str]:
    """Every identifier that is named, each once."""
    found: list[str] = []
    for did in dids:
        found += read_dids(sys.stdin.buffer) if did == "-" else [did.strip()]
    if listed is not None:
        found += read_dids(sys.stdin.buffer if str(listed) == "-" else listed)
    if not found:
        raise UsageError("no identifier is named", hint="Name some, or a file of them by --list.")
    return list(dict.fromkeys(found))


def _token(path: Path | None) -> str | None:
    if path is None:
        return os.environ.get(TOKEN_VARIABLE) or None
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        raise UsageError(f"the token in {path} cannot be read") from None


def _total(wanted: Sequence[Wanted]) -> int | None:
    """Bytes of everything, if that is known."""
    sizes = [each.copies[0].size for each in wanted if each.copies]
    known = [size for size in sizes if size is not None]
    return sum(known) if len(known) == len(sizes) else None


def _tell(outcome: Outcome, json_summary: bool) -> Outcome:
    if outcome.fault is not None:
        say_fault(outcome.fault)
    elif outcome.downloaded is not None and not json_summary:
        typer.echo(str(outcome.downloaded.path))
        if outcome.downloaded.verified is None:
            say(f"{outcome.downloaded.path.name} is complete; no checksum is known to verify it by")
    return outcome


def _finish(outcomes: Sequence[Outcome], json_summary: bool) -> None:
    """Say what came of everything; the exit code is that of the gravest fault."""
    done = [outcome.downloaded for outcome in outcomes if outcome.downloaded is not None]
    faults = [outcome.fault for outcome in outcomes if outcome.fault is not None]
    size = sum(each.size for each in done)
    if json_summary:
        facts = [_facts(outcome) for outcome in outcomes]
        summarise(True, {"files": len(done), "bytes": size, "failed": len(faults), "downloads": facts}, "")
    elif len(outcomes) > 1:
        say(f"{len(done)} of {len(outcomes)} files, {size:,} bytes")
    if faults:
        raise typer.Exit(min(_exit_code(fault) for fault in faults))


def _facts(outcome: Outcome) -> dict[str, object]:
    found, fault = outcome.downloaded, outcome.fault
    return {
        "did": outcome.wanted.did,
        "path": None if found is None else str(found.path),
        "bytes": None if found is None else found.size,
        "verified": None if found is None else found.verified,
        "is_new": None if found is None else found.is_new,
        "error": None if fault is None else fault.message,
    }


def _exit_code(fault: CatalogError) -> int:
    """As `catalog.cli` has it: wrong data before wrong use before what may pass."""
    if isinstance(fault, UsageError):
        return 2
    return 3 if isinstance(fault, UnavailableError) else 1
