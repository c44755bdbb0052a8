"""The commands ``catalog copies …``: see where packages lie, prove what is safe, give copies up step by step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Annotated, Any, TypeVar

import typer

from catalog.errors import UsageError
from catalog.opsdb.enums import Verification
from catalog.opsdb.lifecycle.deletion import CopyChange, CopyStep, VerificationReport
from catalog.terminal.acting import Actor, Reason, acting
from catalog.terminal.messages import Json, progress_bar, say, summarise
from catalog.terminal.opening import Db, ready_catalog

__all__ = ["app"]

app = typer.Typer(name="copies", no_args_is_help=True, help="Copies of packages: where they are, and which may go.")

_T = TypeVar("_T")
_LAST = 2**63 - 1
_Did = Annotated[str, typer.Argument(help="obs_publisher_did of the package.")]
_CopyIds = Annotated[
    list[int] | None,
    typer.Argument(metavar="COPY_ID", min=1, max=_LAST, help="Numbers of copies, as `catalog copies list` shows them."),
]
_Location = Annotated[str | None, typer.Option(metavar="SITE/NAME", help="Every copy there that the step is for.")]
_OlderThan = Annotated[float | None, typer.Option(min=0, metavar="DAYS", help="Of these, what came so long ago.")]
_Limit = Annotated[int | None, typer.Option(min=1, help="Of these, at most so many.")]
_Numbers = Annotated[
    typer.FileText | None, typer.Option("--from", help="A file with one number a line; - is standard input.")
]
_Rehearsal = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and change nothing.")]


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
    copy_ids: _CopyIds = None,
    outcome: Annotated[
        Verification | None, typer.Option(help="What comparing size and checksum has shown of each COPY_ID.")
    ] = None,
    reports: Annotated[
        typer.FileText | None,
        typer.Option("--from", help="CSV without a header: number, outcome, and time if not now; - is standard input."),
    ] = None,
    db: Db = None,
    json_summary: Json = False,
) -> None:
    """Record that copies were compared with their size and checksum."""
    found: Iterable[VerificationReport]
    if copy_ids and outcome is not None and reports is None:
        found = [VerificationReport(copy_id, outcome) for copy_id in copy_ids]
    elif reports is not None and not copy_ids and outcome is None:
        found = _read(reports, _report, "number, outcome and perhaps a time with its zone, between commas")
    else:
        raise typer.BadParameter("expected COPY_ID with --outcome, or --from")
    counts: Counter[str] = Counter()
    with ready_catalog(db) as catalog, progress_bar("copies") as progress:
        for number, (report, fault) in enumerate(catalog.copies.verify_all(found), start=1):
            progress(number, None)
            if fault is not None and copy_ids is not None and len(copy_ids) == 1:
                raise fault
            counts["refused" if fault else str(report.outcome)] += 1
            if fault is not None and not json_summary:
                typer.echo(f"{report.copy_id}  {fault.message}")
    told = ", ".join(f"{count:,} {word}" for word, count in sorted(counts.items()))
    summarise(json_summary, {"recorded": counts}, f"verifications: {told or 'none'}")
    if counts["refused"]:
        raise typer.Exit(1)


def _report(line: str) -> VerificationReport:
    """A verification from ``number,outcome[,time]``."""
    number, outcome, *time = [cell.strip() for cell in line.split(",", 2)]
    moment = datetime.fromisoformat(time[0]) if time else None
    if moment is not None and moment.tzinfo is None:
        raise ValueError("no zone")
    return VerificationReport(_number(number), Verification(outcome), moment)


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


def _command(step: CopyStep) -> Callable[..., None]:
    def run(
        copy_ids: _CopyIds = None,
        location: _Location = None,
        older_than: _OlderThan = None,
        limit: _Limit = None,
        numbers: _Numbers = None,
        actor: Actor = None,
        reason: Reason = None,
        dry_run: _Rehearsal = False,
        db: Db = None,
        json_summary: Json = False,
    ) -> None:
        if sum(given is not None for given in (copy_ids or None, location, numbers)) != 1:
            raise typer.BadParameter("expected one of COPY_ID, --location and --from")
        if location is None and (older_than is not None or limit is not None):
            raise typer.BadParameter("--older-than and --limit choose among the copies of --location")
        with ready_catalog(db) as catalog:
            service = catalog.copies
            keys: Iterable[int] = copy_ids or ()
            if numbers is not None:
                keys = _read(numbers, _number, "the number of a copy")
            elif location is not None:
                age = None if older_than is None else timedelta(days=older_than)
                keys = service.chosen(step, location, older_than=age, limit=limit)
            if dry_run:
                changes = service.rehearse(step, keys)
            else:
                changes = service.take_all(step, keys, actor=acting(actor), reason=reason)
            if copy_ids is not None and len(copy_ids) == 1:
                (change,) = changes
                _tell_one(change, dry_run, json_summary)
            else:
                _tell_all(changes, dry_run, json_summary)

    return run


def _tell_one(change: CopyChange, dry_run: bool, json_summary: bool) -> None:
    if change.fault is not None and not (json_summary and dry_run):
        raise change.fault
    would = "would be" if dry_run else "is"
    sentence = f"the copy {change.copy_id} {would} '{change.after}'"
    if change.path:
        sentence += f"; it {'is' if dry_run else 'was'} '{change.before}'"
    if change.verdict is not None:
        sentence += f"; {change.verdict.survivors} verified archive copies {'would be' if dry_run else 'are'} left"
    told = {"copy_id": change.copy_id, "before": change.before, "after": change.after, "refusal": change.obstacle}
    summarise(json_summary, told, sentence)
    if change.fault is not None:
        raise typer.Exit(1)


def _tell_all(changes: Iterable[CopyChange], dry_run: bool, json_summary: bool) -> None:
    """A line for each copy that is refused, then how many there were of each kind."""
    moved: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    already = 0
    with progress_bar("copies") as progress:
        for number, change in enumerate(changes, start=1):
            progress(number, None)
            if change.obstacle is not None:
                refused[change.obstacle] += 1
                if not json_summary:
                    typer.echo(f"{change.copy_id}  {change.obstacle}")
            elif change.path:
                moved[str(change.after)] += 1
            else:
                already += 1
    parts = [f"{count:,} {'would be' if dry_run else 'are now'} {state}" for state, count in sorted(moved.items())]
    parts += [f"{already:,} were so before"] if already else []
    parts += [f"{count:,} refused ({why})" for why, count in sorted(refused.items())]
    told = {"moved": moved, "already": already, "refused": refused}
    summarise(json_summary, told, "copies: " + (", ".join(parts) or "none"))
    if refused:
        raise typer.Exit(1)


def _read(file: Iterable[str], parse: Callable[[str], _T], wanted: str) -> Iterator[_T]:
    """What the lines of a file say; empty ones say nothing."""
    for number, line in enumerate(file, start=1):
        if not line.strip():
            continue
        try:
            yield parse(line.strip())
        except ValueError:
            raise UsageError(f"line {number} of --from is '{line.strip()}'; expected {wanted}") from None


def _number(text: str) -> int:
    if not 1 <= (number := int(text)) <= _LAST:
        raise ValueError("no number of a copy")
    return number


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value.isoformat() if hasattr(value, "isoformat") else value for name, value in values.items()}


for _name, _step, _help in (
    ("request", CopyStep.REQUEST, "Ask for the deletion of copies; from then on nobody counts on them."),
    ("schedule", CopyStep.SCHEDULE, "Give the deletion of copies, or one that has failed, to a worker."),
    ("start", CopyStep.START, "Say that the bytes go now; decided once more."),
    ("confirm", CopyStep.CONFIRM, "Say that the bytes are gone."),
    ("fail", CopyStep.FAIL, "Say that nobody knows what is left of the bytes."),
    ("cancel", CopyStep.CANCEL, "Take back deletions that have not begun."),
    ("keep", CopyStep.KEEP, "Take up again copies whose deletion failed, once they were verified."),
    ("unpack", CopyStep.UNPACK, "Say that packages are unpacked and their archives go; guarded as a deletion."),
    ("restore", CopyStep.RESTORE, "Say that the archives of unpacked packages are there again."),
):
    app.command(_name, help=_help)(_command(_step))
