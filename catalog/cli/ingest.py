"""``catalog ingest``: take in records of packages, or real FITS files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from catalog.ingest.report import IngestSummary
from catalog.ingest.shares import usual_jobs
from catalog.terminal.messages import Json, progress_bar, say, summarise
from catalog.terminal.opening import Db, ready_catalog

__all__ = ["app"]

app = typer.Typer()


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
    jobs: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=32,
            help="Processes that load a large manifest into PostgreSQL; one more than processors, four at most.",
        ),
    ] = None,
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
            jobs=jobs or usual_jobs(),
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
