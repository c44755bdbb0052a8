"""``catalog staging …``: packages that are wanted at a processing location, and what became of them."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict
from typing import Annotated

import typer

from catalog.terminal.acting import Actor, Attempt, Final, Reason, acting, say_change
from catalog.terminal.messages import Json, summarise
from catalog.terminal.opening import Db, ready_catalog

__all__ = ["app"]

app = typer.Typer(name="staging", no_args_is_help=True, help="Packages wanted where they are processed.")

_Job = Annotated[int, typer.Argument(help="Number of the job, as `catalog staging list` shows it.")]


@app.command()
def request(
    dids: Annotated[list[str], typer.Argument(help="obs_publisher_dids of the packages.")],
    location: Annotated[str, typer.Option(help="SITE/NAME of the processing location.")],
    actor: Actor = None,
    db: Db = None,
    json_summary: Json = False,
) -> None:
    """Ask for packages at a processing location; what is there or under way is not brought once more."""
    with ready_catalog(db) as catalog:
        asked = catalog.staging.request(dids, location, actor=acting(actor))
    job = "nothing has to be brought" if asked.job_id is None else f"the job {asked.job_id} brings {asked.packages:,}"
    summarise(json_summary, asdict(asked), f"{job}; {asked.there:,} are there, {asked.under_way:,} under way")


@app.command("list")
def list_jobs(
    everything: Annotated[bool, typer.Option("--all", help="Those that are over, too.")] = False,
    db: Db = None,
    json_summary: Json = False,
) -> None:
    """List jobs that are not over."""
    with ready_catalog(db) as catalog, closing(catalog.staging.jobs(everything=everything)) as jobs:
        if json_summary:
            summarise(json_summary, {"jobs": [asdict(job) for job in jobs]}, "")
            return
        for job in jobs:
            why = f"  {job.failure}" if job.failure else ""
            typer.echo(f"{job.job_id}  {job.destination}  packages: {job.packages:,}  {job.status}{why}")


@app.command()
def contents(job: _Job, db: Db = None) -> None:
    """List the packages of a job: path, where it is best read, size, checksum, between tabs."""
    with ready_catalog(db) as catalog, closing(catalog.staging.contents(job)) as packages:
        for package in packages:
            size = "" if package.size_bytes is None else str(package.size_bytes)
            checksum = "" if package.checksum is None else f"{package.checksum_algorithm}:{package.checksum}"
            typer.echo(f"{package.relative_path}\t{package.origin or ''}\t{size}\t{checksum}")


@app.command()
def start(
    job: Annotated[int | None, typer.Argument(help="Number of the job; what waits longest otherwise.")] = None,
    location: Annotated[str | None, typer.Option(help="SITE/NAME: only jobs that end there.")] = None,
    actor: Actor = None,
    db: Db = None,
    json_summary: Json = False,
) -> None:
    """Begin a job; exit with 1 if nothing is due."""
    with ready_catalog(db) as catalog:
        who = acting(actor)
        if job is None:
            task = catalog.staging.take(actor=who, location=location)
        else:
            task = catalog.staging.start(job, actor=who)
    if task is None:
        summarise(json_summary, None, "no staging is due now")
        raise typer.Exit(1)
    what = f"packages: {task.packages:,}, to {task.destination}"
    summarise(json_summary, asdict(task), f"the job {task.job_id} is '{task.status}', attempt {task.attempt}: {what}")


@app.command()
def complete(
    job: _Job,
    attempt: Attempt,
    packed: Annotated[bool, typer.Option("--packed", help="The tars are kept as they are.")] = False,
    verified: Annotated[bool, typer.Option("--verified", help="Each package has its size and checksum.")] = False,
    actor: Actor = None,
    reason: Reason = None,
    db: Db = None,
    json_summary: Json = False,
) -> None:
    """Say that the packages are there, unpacked; copies are recorded."""
    with ready_catalog(db) as catalog:
        change = catalog.staging.complete(
            job,
            attempt=attempt,
            actor=acting(actor),
            is_unpacked=not packed,
            is_verified=verified,
            reason=reason,
        )
    say_change("the job", change, json_summary)


@app.command()
def fail(
    job: _Job,
    attempt: Attempt,
    reason: Annotated[str, typer.Option(help="Why; kept in the history, and with the job.")],
    final: Final = False,
    actor: Actor = None,
    db: Db = None,
    json_summary: Json = False,
) -> None:
    """Say that a job has failed; it is due again after a rest, or never."""
    with ready_catalog(db) as catalog:
        change = catalog.staging.fail(job, attempt=attempt, reason=reason, actor=acting(actor), is_final=final)
    say_change("the job", change, json_summary)


@app.command()
def cancel(
    job: _Job,
    reason: Annotated[str, typer.Option(help="Why; kept in the history, and with the job.")],
    actor: Actor = None,
    db: Db = None,
    json_summary: Json = False,
) -> None:
    """Give up a job that nobody has begun."""
    with ready_catalog(db) as catalog:
        change = catalog.staging.cancel(job, actor=acting(actor), reason=reason)
    say_change("the job", change, json_summary)
