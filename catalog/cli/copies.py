"""The commands ``catalog copies …``: see where packages lie, prove what is safe, give copies up step by step."""

from __future__ import annotations

import getpass
from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated, Any

import typer

from catalog.errors import IntegrityError
from catalog.opsdb.enums import Verification
from catalog.opsdb.lifecycle.copies import CopyStep
from catalog.terminal.messages import Json, say, summarise
from catalog.terminal.opening import Db, ready_catalog

__all__ = ["app"]

app = typer.Typer(name="copies", no_args_is_help=True, help="Copies of packages: where they are, and which may go.")

_Did = Annotated[str, typer.Argument(help="obs_publisher_did of the package.")]
_CopyId = Annotated[int, typer.Argument(help="Number of the copy, as `catalog copies list` shows it.")]
_Actor = Annotated[str | None, typer.Option(help="Who acts, for the history; your login name otherwise.")]
_Reason = Annotated[str | None, typer.Option(help="Why, for the history.")]
_Rehearsal = Annotated[bool, typer.Option("--dry-run", help="Say whether it would be allowed, and change nothing.")]


@app.command("list")
def list_copies(did: _Did, db: Db = None, json_summary: Json = False) -> None:
    """List the copies of a package, deleted ones too."""
    with ready_catalog(db) as catalog:
        copies = catalog.copies.copies(did)
    if json_summary:
        summarise(json_summary, {"copies": [_plain(asdict(copy)) for copy in copies]}, "")
        return
    for copy in copies:
        where = f"{copy.site}/{copy.location} ({copy.location_type}, {copy.medium})"
        when = "" if copy.verified_at is None else f" {copy.verified_at:%Y-%m-%d}"
        typer.echo(f"{copy.copy_id}  {where}  {copy.status}  verified: {copy.verification}{when}")


@app.command()
def prove(
    did: _Did,
    without: Annotated[
        str | None, typer.Option("--without", help="site:KEY: imagine that every copy at this site goes.")
    ] = None,
    db: Db = None,
    json_summary: Json = False,
) -> None:
    """Print the copies that are counted on, or why they are too few; exit with 1 if they are."""
    site = None
    if without is not None:
        kind, _, site = without.partition(":")
        if kind != "site" or not site:
            raise typer.BadParameter("expected site:KEY", param_hint="--without")
    with ready_catalog(db) as catalog:
        proof = catalog.copies.prove(did, without_site=site)
    survivors = [survivor.as_dict() for survivor in proof.survivors]
    if json_summary:
        told = {"survivors": survivors, "copies": [v.as_dict() for v in proof.verdicts], "refusal": proof.refusal}
        summarise(json_summary, told, "")
    else:
        for survivor in proof.survivors:
            verified = f"verified {survivor.verified_at:%Y-%m-%d}"
            typer.echo(f"{survivor.copy_id}  {survivor.site}/{survivor.location} ({survivor.medium})  {verified}")
    if proof.refusal is not None:
        say(f"{proof.refusal}: {proof.refusal.sentence}", style="red")
        raise typer.Exit(1)


@app.command()
def verify(
    copy_id: _CopyId,
    outcome: Annotated[Verification, typer.Option(help="What comparing size and checksum has shown.")],
    db: Db = None,
) -> None:
    """Record that a copy was compared with its size and checksum."""
    with ready_catalog(db) as catalog:
        catalog.copies.verify(copy_id, outcome)
    say(f"the copy {copy_id} is recorded as {outcome}")


@app.command("at-risk")
def at_risk(db: Db = None, json_summary: Json = False) -> None:
    """List packages that too few verified archive copies hold; exit with 1 if there are any."""
    counts: dict[str, int] = {}
    with ready_catalog(db) as catalog:
        for finding in catalog.copies.at_risk():
            counts[finding.risk] = counts.get(finding.risk, 0) + 1
            if not json_summary:
                typer.echo(f"{finding.did or finding.package_id}  {finding.risk}  archive sites: {finding.sites}")
    told = ", ".join(f"{count:,} {risk}" for risk, count in sorted(counts.items()))
    summarise(json_summary, {"findings": counts}, told or "no package is at risk")
    if counts:
        raise typer.Exit(1)


@app.command()
def history(did: _Did, db: Db = None, json_summary: Json = False) -> None:
    """Show every move of a package and of its copies."""
    with ready_catalog(db) as catalog:
        moves = catalog.copies.history(did)
    if json_summary:
        summarise(json_summary, {"moves": [_plain(asdict(move)) for move in moves]}, "")
        return
    for move in moves:
        who = f" by {move.actor}" if move.actor else ""
        why = f": {move.reason}" if move.reason else ""
        typer.echo(
            f"{move.moved_at:%Y-%m-%dT%H:%M:%SZ}  {move.subject}  {move.attribute}  "
            f"{move.from_state} -> {move.to_state} ({move.verb}){who}{why}"
        )


def _guarded(step: CopyStep) -> Callable[..., None]:
    def run(
        copy_id: _CopyId,
        actor: _Actor = None,
        reason: _Reason = None,
        dry_run: _Rehearsal = False,
        db: Db = None,
        json_summary: Json = False,
    ) -> None:
        if not dry_run:
            _take(step, copy_id, actor, reason, db, json_summary)
            return
        with ready_catalog(db) as catalog:
            verdict = catalog.copies.rehearse(copy_id)
        sentence = f"the copy {copy_id} may go; {verdict.survivors} verified archive copies would be left"
        if verdict.refusal is not None:
            sentence = f"the copy {copy_id} may not go: {verdict.refusal.sentence} ({verdict.refusal})"
        summarise(json_summary, verdict.as_dict(), sentence)
        if verdict.refusal is not None:
            raise typer.Exit(1)

    return run


def _reported(step: CopyStep) -> Callable[..., None]:
    def run(
        copy_id: _CopyId, actor: _Actor = None, reason: _Reason = None, db: Db = None, json_summary: Json = False
    ) -> None:
        _take(step, copy_id, actor, reason, db, json_summary)

    return run


def _take(
    step: CopyStep, copy_id: int, actor: str | None, reason: str | None, db: str | None, json_summary: bool
) -> None:
    with ready_catalog(db) as catalog:
        change = catalog.copies.take(step, copy_id, actor=actor or _login(), reason=reason)
    sentence = f"the copy {copy_id} is '{change.after}'"
    if change.before is not change.after:
        sentence += f"; it was '{change.before}'"
    summarise(json_summary, {"copy_id": copy_id, "before": change.before, "after": change.after}, sentence)


def _login() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        raise IntegrityError("the history wants to know who acts; name somebody with --actor") from None


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value.isoformat() if hasattr(value, "isoformat") else value for name, value in values.items()}


for _name, _step, _help in (
    ("request", CopyStep.REQUEST, "Ask for the deletion of a copy; from then on nobody counts on it."),
    ("schedule", CopyStep.SCHEDULE, "Give the deletion of a copy, or one that has failed, to a worker."),
    ("start", CopyStep.START, "Say that the bytes go now; decided once more."),
    ("confirm", CopyStep.CONFIRM, "Say that the bytes are gone."),
    ("fail", CopyStep.FAIL, "Say that nobody knows what is left of the bytes."),
    ("cancel", CopyStep.CANCEL, "Take back a deletion that has not begun."),
    ("keep", CopyStep.KEEP, "Take up again a copy whose deletion failed, once it was verified."),
    ("unpack", CopyStep.UNPACK, "Say that a package is unpacked and its archive goes; guarded as a deletion."),
    ("restore", CopyStep.RESTORE, "Say that the archive of an unpacked package is there again."),
):
    app.command(_name, help=_help)((_guarded if _step.decides else _reported)(_step))
