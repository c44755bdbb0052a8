"""``catalog transfers …``: bundle packages for the way between sites, and report what became of the bundles."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict
from typing import Annotated
from uuid import UUID

import typer

from catalog.opsdb.enums import ChecksumAlgorithm
from catalog.opsdb.transfers.bundles import NewBundle
from catalog.opsdb.transfers.steps import Key, TransferStep
from catalog.terminal.acting import Actor, Attempt, Final, Reason, acting, say_change
from catalog.terminal.messages import Json, say, summarise
from catalog.terminal.opening import Db, ready_catalog

__all__ = ["app"]

app = typer.Typer(name="transfers", no_args_is_help=True, help="Packages on their way between sites.")

_Key = Annotated[
    str, typer.Argument(metavar="KEY", help="Number of the transfer; for the step `bundle` the id of the bundle.")
]
_Step = Annotated[TransferStep, typer.Option(help="Which step.")]


@app.command()
def plan(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List what would be planned, and change nothing.")] = False,
    route: Annotated[str | None, typer.Option(help="Name of the only route that counts.")] = None,
    again: Annotated[bool, typer.Option("--again", help="Send also what was sent before and is not there.")] = False,
    actor: Actor = None,
    db: Db = None,
    json_summary: Json = False,
) -> None:
    """Bundle packages that are wanted at other sites."""

    def show(bundle: NewBundle) -> None:
        goes = "" if bundle.goes else "waits  "
        name = f"{bundle.name}  " if bundle.name else ""
        way = f"{bundle.origin} -> {', '.join(bundle.destinations)}"
        typer.echo(f"{goes}{name}{way}  {bundle.packages:,} packages  {bundle.size_bytes:,} bytes")

    with ready_catalog(db) as catalog:
        summary = catalog.transfers.plan(
            actor=acting(actor),
            route=route,
            again=again,
            dry_run=dry_run,
            planned=None if json_summary else show,
        )
    told = f"bundles: {summary.bundles:,}, transfers: {summary.transfers:,}, packages: {summary.packages:,}"
    parts = [f"{told}; nothing is changed" if dry_run else told]
    for count, why in (
        (summary.waiting, "packages wait until they fill a bundle"),
        (summary.unfinished, "packages wait until everything of their execution is built"),
        (summary.changed, "bundles had changed meanwhile; run it again"),
    ):
        if count:
            parts.append(f"{count:,} {why}")
    summarise(json_summary, asdict(summary), "\n".join(parts))


@app.command("list")
def list_transfers(
    everything: Annotated[bool, typer.Option("--all", help="Those that are over, too.")] = False,
    db: Db = None,
    json_summary: Json = False,
) -> None:
    """List transfers that are not over."""
    with ready_catalog(db) as catalog, closing(catalog.transfers.transfers(everything=everything)) as records:
        if json_summary:
            summarise(json_summary, {"transfers": [asdict(record) for record in records]}, "")
            return
        for record in records:
            steps = f"bundle: {record.bundle_status}  move: {record.status}  unpack: {record.unpack_status}"
            why = f"  {record.failure}" if record.failure else ""
            way = f"{record.origin} -> {record.destination}"
            typer.echo(f"{record.transfer_id}  {record.bundle}  {way}  {record.packages:,} packages  {steps}{why}")


@app.command()
def contents(bundle: Annotated[UUID, typer.Argument(help="Id of the bundle.")], db: Db = None) -> None:
    """List the packages of a bundle by their paths."""
    with ready_catalog(db) as catalog, closing(catalog.transfers.contents(bundle)) as paths:
        for path in paths:
            typer.echo(path)


@app.command()
def start(
    key: Annotated[
        str | None,
        typer.Argument(
            metavar="[KEY]", help="Number of the transfer, or id of the bundle; what waits longest otherwise."
        ),
    ] = None,
    step: _Step = TransferStep.MOVE,
    site: Annotated[
        str | None, typer.Option(help="Only what is bundled there, sent from there, or unpacked there.")
    ] = None,
    actor: Actor = None,
    db: Db = None,
    json_summary: Json = False,
) -> None:
    """Begin a step; exit with 1 if nothing is due."""
    with ready_catalog(db) as catalog:
        who = acting(actor)
        if key is None:
            task = catalog.transfers.take(step, actor=who, site=site)
        else:
            task = catalog.transfers.start(step, _parsed(step, key), actor=who)
    if task is None:
        summarise(json_summary, None, f"nothing is due for the step {step} now")
        raise typer.Exit(1)
    way = task.origin_path if task.destination_path is None else f"{task.origin_path} -> {task.destination_path}"
    summarise(json_summary, asdict(task), f"{step} {task.key} is '{task.status}', attempt {task.attempt}: {way}")


@app.command()
def complete(
    key: _Key,
    attempt: Attempt,
    step: _Step = TransferStep.MOVE,
    size: Annotated[int | None, typer.Option(help="Bytes of the bundle; must be given when it was built.")] = None,
    checksum: Annotated[str | None, typer.Option(help="Of the bundle, hexadecimal; as the size.")] = None,
    algorithm: Annotated[ChecksumAlgorithm, typer.Option(help="Of the checksum.")] = ChecksumAlgorithm.SHA256,
    verified: Annotated[
        bool, typer.Option("--verified", help="Each package that was unpacked has its size and checksum.")
    ] = False,
    actor: Actor = None,
    reason: Reason = None,
    db: Db = None,
    json_summary: Json = False,
) -> None:
    """Say that a step is done; copies that it made are recorded."""
    with ready_catalog(db) as catalog:
        change = catalog.transfers.complete(
            step,
            _parsed(step, key),
            attempt=attempt,
            actor=acting(actor),
            size_bytes=size,
            checksum=checksum,
            checksum_algorithm=algorithm,
            is_verified=verified,
            reason=reason,
        )
    say_change(step, change, json_summary)


@app.command()
def fail(
    key: _Key,
    attempt: Attempt,
    reason: Annotated[str, typer.Option(help="Why; kept in the history, and with the transfer.")],
    step: _Step = TransferStep.MOVE,
    final: Final = False,
    actor: Actor = None,
    db: Db = None,
    json_summary: Json = False,
) -> None:
    """Say that a step has failed; it is due again after a rest, or never."""
    with ready_catalog(db) as catalog:
        change = catalog.transfers.fail(
            step, _parsed(step, key), attempt=attempt, reason=reason, actor=acting(actor), is_final=final
        )
    say_change(step, change, json_summary)


@app.command()
def log(
    transfer: Annotated[int, typer.Argument(help="Number of the transfer.")],
    path: Annotated[str, typer.Argument(help="Where its log lies.")],
    db: Db = None,
) -> None:
    """Record where the log of a transfer lies."""
    with ready_catalog(db) as catalog:
        catalog.transfers.log(transfer, path)
    say(f"the log of the transfer {transfer} lies at {path}")


def _parsed(step: TransferStep, key: str) -> Key:
    try:
        return UUID(key) if step is TransferStep.BUNDLE else int(key)
    except ValueError:
        wanted = "the id of a bundle" if step is TransferStep.BUNDLE else "the number of a transfer"
        raise typer.BadParameter(f"expected {wanted}, not '{key}'", param_hint="KEY") from None
