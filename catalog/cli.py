"""The `catalog` command: set a catalog up, fill it, ask it, publish it.

Results go to standard output, progress and messages to standard error. Exit codes: 0 all is well, 1 something was
found wrong with the data, 2 the command was used wrongly, 3 a service does not answer.
"""

from __future__ import annotations

import logging
import sys
from dataclasses import asdict
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from catalog.adql.check import check_lines
from catalog.copies_cli import copies_app
from catalog.errors import CatalogError, InternalError, UnavailableError, UsageError
from catalog.ingest.report import IngestSummary
from catalog.registry_cli import registry_app
from catalog.terminal import (
    Db,
    Json,
    interruptible,
    open_for,
    pointing_out,
    progress_bar,
    ready_catalog,
    say,
    say_fault,
    settings_for,
    show_rows,
    summarise,
    wait_for_signal,
    write_rows,
)
from catalog.web.server import listen, run
from catalog.web.workers import run_workers
from catalog.wiring import Catalog

__all__ = ["main"]

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    add_completion=False,
    epilog="Results go to standard output, messages to standard error. Exit codes: 0 all is well, 1 something is wrong "
    "with the data, 2 the command was used wrongly, 3 a service does not answer.",
)
packages_app = typer.Typer(no_args_is_help=True, help="Single packages.")
export_app = typer.Typer(no_args_is_help=True, help="Write published tables to files.")
app.add_typer(packages_app, name="packages")
app.add_typer(export_app, name="export")
app.add_typer(registry_app, name="registry")
app.add_typer(copies_app, name="copies")

_DIFFERENCES_SHOWN = 20
_LOG = logging.getLogger(__name__)


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


@app.command()
def init(db: Db = None, json_summary: Json = False) -> None:
    """Create or upgrade the tables and views; safe to repeat."""
    with open_for(db) as catalog:
        summary = catalog.init()
    summarise(json_summary, asdict(summary), f"the catalog is at revision {summary.revision}")


@app.command()
def demo(
    packages: Annotated[int, typer.Option(min=1, help="Packages to make.")] = 2000,
    seed: Annotated[int, typer.Option(help="The same seed makes the same catalog.")] = 1,
    files_per_package: Annotated[int, typer.Option(min=1, help="File rows of each package.")] = 3,
    db: Db = None,
    json_summary: Json = False,
) -> None:
    """Fill an empty catalog with a synthetic observatory."""
    with open_for(db) as catalog, progress_bar("synthetic packages") as report:
        catalog.init()
        summary = catalog.load_synthetic(
            packages=packages, seed=seed, files_per_package=files_per_package, progress=report
        )
    summarise(json_summary, asdict(summary), f"the catalog holds {packages:,} synthetic packages")


@app.command()
def ingest(
    paths: Annotated[list[Path], typer.Argument(help="Manifests (.jsonl, .csv, .parquet) or folders of FITS files.")],
    tar: Annotated[Path | None, typer.Option("--tar", help="Write the packages' tar files into this folder.")] = None,
    create_instruments: Annotated[bool, typer.Option(help="Accept instruments that are not known yet.")] = False,
    program: Annotated[
        str | None, typer.Option(help="Short name of the programme of FITS files; made if it is not known.")
    ] = None,
    location: Annotated[
        str | None, typer.Option(help="SITE/NAME of the disk location of FITS files; made if it is not known.")
    ] = None,
    dry_run: Annotated[bool, typer.Option(help="Say what would happen and change nothing.")] = False,
    db: Db = None,
    json_summary: Json = False,
) -> None:
    """Take in records of packages, or real FITS files."""
    with ready_catalog(db) as catalog, progress_bar("records") as report:
        summary = catalog.ingest(
            paths,
            tar_dir=tar,
            create_instruments=create_instruments,
            program=program,
            location=location,
            dry_run=dry_run,
            progress=report,
        )
    for problem in summary.problems:
        say(str(problem), style="red")
    summarise(json_summary, summary.to_json(), _ingested(summary))
    if not summary.ok:
        raise typer.Exit(1)


def _ingested(summary: IngestSummary) -> str:
    known = f"{summary.created:,} created, {summary.completed:,} completed, {summary.unchanged:,} unchanged"
    rest = f"{summary.waiting:,} wait for a parent, {summary.refused:,} refused"
    notes = f"; notes: {len(summary.notes):,}, which --json shows" if summary.notes else ""
    return f"{summary.records:,} records: {known}, {rest}{notes}{'; nothing was written' if summary.dry_run else ''}"


@app.command()
def refresh(
    full: Annotated[
        bool, typer.Option("--full", help="Resolve every package anew, not only the changed ones.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; say what is not up to date, and exit with 1 if anything.")
    ] = False,
    db: Db = None,
    json_summary: Json = False,
) -> None:
    """Publish what others changed in the database."""
    if full and check:
        raise UsageError("--check changes nothing; leave --full out")
    if check:
        _compare(db, json_summary)
        return
    with ready_catalog(db) as catalog, progress_bar("packages") as report:
        summary = catalog.refresh(full=full, progress=report)
    summarise(json_summary, asdict(summary), f"{summary.written:,} rows were written, {summary.removed:,} removed")


def _compare(db: str | None, json_summary: bool) -> None:
    """Say which published values a fresh resolution would change."""
    count, packages = 0, set()
    with ready_catalog(db) as catalog:
        for count, difference in enumerate(catalog.differences(), 1):
            packages.add(difference.raw_data_package_id)
            if count <= _DIFFERENCES_SHOWN:
                stored, fresh = difference.stored, difference.fresh
                line = f"{difference.raw_data_package_id} {difference.column}: {stored!r}, fresh {fresh!r}"
                say(line)
    sentence = "every row is up to date"
    if count:
        sentence = f"{count:,} values of {len(packages):,} packages are not up to date; `catalog refresh` mends them"
    summarise(json_summary, {"differences": count, "packages": len(packages)}, sentence)
    if count:
        raise typer.Exit(1)


@packages_app.command()
def withdraw(
    did: Annotated[str, typer.Argument(help="obs_publisher_did of the package.")],
    reason: Annotated[str, typer.Option(help="Why; kept with the package.")],
    db: Db = None,
) -> None:
    """Take a package out of what is published; its identifier stays."""
    with ready_catalog(db) as catalog:
        catalog.withdraw(did, reason)
    say(f"{did} is withdrawn")


@packages_app.command()
def restore(
    did: Annotated[str, typer.Argument(help="obs_publisher_did of the package.")],
    db: Db = None,
) -> None:
    """Publish a withdrawn package again."""
    with ready_catalog(db) as catalog:
        catalog.restore(did)
    say(f"{did} is published again")


@app.command()
def record(
    dids: Annotated[list[str] | None, typer.Argument(help="Identifiers of packages.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every published package.")] = False,
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for the files.")] = Path(),
    db: Db = None,
    json_summary: Json = False,
) -> None:
    """Write a VOTable and a JSON sidecar for each package."""
    if bool(dids) == everything:
        raise UsageError("name the packages, or say --all; not both")
    with ready_catalog(db) as catalog, progress_bar("records") as report:
        work = partial(catalog.write_records, output, dids=None if everything else dids, progress=report)
        written = interruptible(work, cancel=catalog.close)
    summarise(json_summary, {"records": written, "folder": str(output)}, f"{written:,} records in {output}")


@export_app.command()
def obscore(
    output: Annotated[Path, typer.Option("-o", "--output", help="File to write.")],
    fmt: Annotated[
        str | None, typer.Option("--format", help="Format; otherwise the file name's ending says it.")
    ] = None,
    where: Annotated[str | None, typer.Option(help="ADQL condition on columns of ivoa.obscore.")] = None,
    db: Db = None,
    json_summary: Json = False,
) -> None:
    """Write ivoa.obscore to a file, with a manifest beside it."""
    with ready_catalog(db) as catalog, progress_bar("rows") as report, pointing_out(where or ""):
        work = partial(catalog.export_obscore, output, fmt=fmt, where=where, progress=report)
        manifest = interruptible(work, cancel=catalog.close)
    summarise(json_summary, manifest.as_dict(), f"{manifest.rows:,} rows in {output}")


@app.command()
def query(
    adql: Annotated[str, typer.Argument(help="The query.")],
    fmt: Annotated[
        str | None, typer.Option("--format", help="votable, csv, json …; a table for people otherwise.")
    ] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="File to write.")] = None,
    maxrec: Annotated[int | None, typer.Option(min=0, help="Rows at most.")] = None,
    db: Db = None,
) -> None:
    """Run an ADQL query."""
    with ready_catalog(db) as catalog, pointing_out(adql):
        rows = catalog.query(adql, maxrec=maxrec)
        if fmt is None and output is None:
            work = partial(show_rows, rows)
        else:
            infos = catalog.tap.result_infos(adql)
            work = partial(write_rows, rows, catalog.format_for(fmt, output), output, infos=infos)
        interruptible(work, cancel=catalog.close)


@app.command()
def explain(adql: Annotated[str, typer.Argument(help="The query.")], db: Db = None) -> None:
    """Show the SQL that an ADQL query becomes, its values, the database's plan, and how much it would bring."""
    with ready_catalog(db) as catalog, pointing_out(adql):
        explanation = interruptible(partial(catalog.tap.explain, adql), cancel=catalog.close)
        estimate = interruptible(partial(catalog.tap.estimate, adql), cancel=catalog.close)
    values = "".join(f"-- {name} = {value!r}\n" for name, value in explanation.values)
    typer.echo(f"{explanation.sql}\n{values}\n{explanation.plan}\n")
    typer.echo(f"indexes: {', '.join(explanation.indexes) or 'none'}")
    if estimate.rows is None:
        typer.echo("rows: not counted within seconds")
    else:
        expected = "" if estimate.is_counted else " expected by the planner"
        size = "" if estimate.bytes is None else f", about {estimate.bytes:,} bytes"
        typer.echo(f"rows: {estimate.rows:,}{expected}{size}")


@app.command()
def check_adql() -> None:
    """Say of each query on standard input, one JSON string to a line, whether it is ADQL: true or false."""
    for is_valid in check_lines(sys.stdin):
        typer.echo("true" if is_valid else "false")


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen at.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port to listen at; 0 for any free one.")] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes; service.workers of the settings otherwise.")
    ] = None,
    db: Db = None,
) -> None:
    """Serve TAP and the pages over HTTP."""
    settings = settings_for(db).with_service(host=host, port=port, workers=workers)
    with listen(settings.service.host, settings.service.port) as listener:
        settings = settings.with_service(port=listener.getsockname()[1])
        with Catalog(settings) as catalog:
            catalog.check_ready()
            catalog.check_jobs()
            catalog.announce()
            say(f"serving {settings.service.url}/ (TAP at {settings.service.url}/tap); Ctrl-C stops it")
            for caution in settings.cautions:
                say(caution)
            if settings.service.workers == 1:
                run(catalog, listener)
                return
        run_workers(settings, listener, settings.service.workers)


@app.command()
def worker(
    workers: Annotated[
        int | None, typer.Option(min=1, help="Jobs at once; jobs.workers of the settings otherwise.")
    ] = None,
    db: Db = None,
) -> None:
    """Do asynchronous jobs, and nothing else; any number of processes may."""
    with ready_catalog(db) as catalog:
        runner = catalog.runner(workers)
        runner.start()
        say("doing jobs; Ctrl-C hands those that run back, and stops")
        wait_for_signal()
        runner.stop()


def _exit_code(fault: CatalogError) -> int:
    if isinstance(fault, UsageError):
        return 2
    return 3 if isinstance(fault, UnavailableError) else 1
