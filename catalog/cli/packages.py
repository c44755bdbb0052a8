"""``catalog packages …``: plan packages of files, report what became of them, withdraw single ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, TypedDict
from uuid import UUID

import typer

from catalog.errors import CatalogError, UsageError
from catalog.opsdb.enums import ChecksumAlgorithm
from catalog.opsdb.packaging.build import PackagingSummary
from catalog.opsdb.packaging.members import Member
from catalog.opsdb.packaging.plan import PlannedPackage
from catalog.opsdb.packaging.service import PackageTask
from catalog.terminal.acting import Actor, Attempt, Final, Reason, acting, say_change
from catalog.terminal.messages import Json, progress_bar, say, summarise
from catalog.terminal.opening import Db, ready_catalog

__all__ = ["app"]

app = typer.Typer(name="packages", no_args_is_help=True, help="Packages: planned, built, published.")

_Package = Annotated[UUID, typer.Argument(help="Id of the package.")]


@app.command()
def build(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List what would be planned, and change nothing.")] = False,
    db: Db = None,
    json_summary: Json = False,
) -> None:
    """Plan packages of the files that are in none."""

    def show(package: PlannedPackage) -> None:
        size = f"{package.size_bytes:,} bytes"
        typer.echo(f"{package.executed_obs_unit_id}  {len(package.files):,} files  {size}")

    is_shown = dry_run and not json_summary
    with ready_catalog(db) as catalog, progress_bar("files") as report:
        summary = catalog.packaging.build(dry_run=dry_run, progress=report, planned=show if is_shown else None)
    summarise(json_summary, asdict(summary), _told(summary))


def _told(summary: PackagingSummary) -> str:
    packed = f"packages: {summary.packages:,}, files: {summary.files:,}, bytes: {summary.size_bytes:,}"
    parts = [f"{packed}; nothing is changed" if summary.dry_run else packed]
    for count, why in (
        (summary.larger, "packages are larger than the limit, because their files are not separated"),
        (summary.running, "files wait for the end of their observation"),
        (summary.unsized, "files wait until the size of each file of their set is known"),
        (summary.unplaced, "files belong to no observation"),
        (summary.changed, "packages had changed meanwhile; run it again"),
    ):
        if count:
            parts.append(f"{count:,} {why}")
    return "\n".join(parts)


@app.command()
def start(
    package: Annotated[UUID | None, typer.Argument(help="Id of the package; what waits longest otherwise.")] = None,
    site: Annotated[str | None, typer.Option(help="Only packages all of whose files lie at this site.")] = None,
    actor: Actor = None,
    db: Db = None,
    json_summary: Json = False,
) -> None:
    """Begin to build a package; exit with 1 if nothing is due."""
    with ready_catalog(db) as catalog:
        who = acting(actor)
        task = catalog.packaging.take(actor=who, site=site) if package is None else None
        if package is not None:
            task = catalog.packaging.start(package, actor=who)
    if task is None:
        summarise(json_summary, None, "no package is to be built now")
        raise typer.Exit(1)
    summarise(json_summary, asdict(task), _task(task))


def _task(task: PackageTask) -> str:
    what = f"the package {task.package_id} is '{task.status}', attempt {task.attempt}"
    return f"{what}: {task.files:,} files, {task.size_bytes:,} bytes, to {task.relative_path}"


@app.command()
def files(package: _Package, db: Db = None) -> None:
    """List the files that belong into a package: path, size, checksum, between tabs."""
    with ready_catalog(db) as catalog, closing(catalog.packaging.files(package)) as inside:
        for file in inside:
            size = "" if file.size_bytes is None else str(file.size_bytes)
            checksum = "" if file.checksum is None else f"{file.checksum_algorithm}:{file.checksum}"
            typer.echo(f"{file.relative_path}\t{size}\t{checksum}")


@app.command()
def complete(
    package: _Package,
    attempt: Attempt,
    location: Annotated[str, typer.Option(help="SITE/NAME of the location where the tar lies.")],
    tar: Annotated[
        Path | None, typer.Option(help="The tar: size, checksum and places of its files are found in it.")
    ] = None,
    size: Annotated[int | None, typer.Option(help="Bytes of the tar.")] = None,
    checksum: Annotated[str | None, typer.Option(help="Checksum of the tar, hexadecimal.")] = None,
    algorithm: Annotated[ChecksumAlgorithm, typer.Option(help="Of the checksum.")] = ChecksumAlgorithm.SHA256,
    actor: Actor = None,
    reason: Reason = None,
    db: Db = None,
    json_summary: Json = False,
) -> None:
    """Say that a package is built and where it lies; give the tar, or its size and checksum."""
    with ready_catalog(db) as catalog:
        change = catalog.packaging.complete(
            package,
            attempt=attempt,
            **_built(tar, size, checksum, algorithm),
            checksum_algorithm=algorithm,
            location=location,
            actor=acting(actor),
            reason=reason,
        )
    say_change("the package", change, json_summary)


class _Built(TypedDict):
    size_bytes: int
    checksum: str
    members: Mapping[str, Member] | None


def _built(tar: Path | None, size: int | None, checksum: str | None, algorithm: ChecksumAlgorithm) -> _Built:
    """What is reported of the tar; what is stated of one that is read must be so."""
    if tar is None:
        if size is None or checksum is None:
            raise UsageError("say what was built: --tar, or --size and --checksum")
        return {"size_bytes": size, "checksum": checksum, "members": None}
    from catalog.ingest.members import index_tar

    try:
        with tar.open("rb") as stream:
            found = index_tar(stream, algorithm=algorithm)
    except OSError as error:
        raise UsageError(f"the tar {tar} cannot be read: {error.strerror or error}") from None
    if size not in (None, found.size_bytes) or (checksum or found.checksum).strip().lower() != found.checksum:
        raise UsageError(f"{tar} has {found.size_bytes} bytes and the checksum {found.checksum}, not what was stated")
    return {"size_bytes": found.size_bytes, "checksum": found.checksum, "members": found.members}


@app.command()
def index(
    packages: Annotated[
        list[UUID] | None, typer.Argument(help="Ids of packages; those that need it otherwise.")
    ] = None,
    db: Db = None,
    json_summary: Json = False,
) -> None:
    """Read packages where they lie, and record where each file begins, so that it can be fetched alone."""
    indexed, files, refused = 0, 0, 0
    with ready_catalog(db) as catalog, progress_bar("packages") as report:
        for package in packages or list(catalog.packaging.unindexed()):
            try:
                files += catalog.index_package(package)
                indexed += 1
            except CatalogError as fault:
                refused += 1
                say(f"{package}: {fault.message}")
            report(indexed + refused, None)
    told = {"packages": indexed, "files": files, "refused": refused}
    sentence = f"packages indexed: {indexed:,}, files: {files:,}"
    summarise(json_summary, told, f"{sentence}; {refused:,} could not be" if refused else sentence)
    if refused:
        raise typer.Exit(1)


@app.command()
def fail(
    package: _Package,
    attempt: Attempt,
    reason: Annotated[str, typer.Option(help="Why; kept in the history.")],
    final: Final = False,
    actor: Actor = None,
    db: Db = None,
    json_summary: Json = False,
) -> None:
    """Say that a package could not be built; it is due again after a rest."""
    with ready_catalog(db) as catalog:
        change = catalog.packaging.fail(package, attempt=attempt, reason=reason, actor=acting(actor), is_final=final)
    say_change("the package", change, json_summary)


@app.command()
def reconcile(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List what would be moved, and change nothing.")] = False,
    actor: Actor = None,
    reason: Reason = None,
    db: Db = None,
    json_summary: Json = False,
) -> None:
    """Move packages to the states that follow from copies and transfers; a rehearsal that finds any exits with 1."""
    counts: Counter[tuple[str, str, str]] = Counter()
    with ready_catalog(db) as catalog:
        for finding in catalog.reconcile(actor=acting(actor), reason=reason, dry_run=dry_run):
            counts[finding.state, finding.wanted, finding.ground] += 1
            if not json_summary:
                name = finding.did or finding.package_id
                typer.echo(f"{name}  {finding.state} -> {finding.wanted}  {finding.ground}: {finding.sentence}")
    names = ("state", "wanted", "ground", "packages")
    told = [dict(zip(names, (*key, count), strict=True)) for key, count in sorted(counts.items())]
    done = "would be moved" if dry_run else "moved"
    sentence = (
        f"packages {done}: {counts.total():,}" if counts else "every package is in the state that it should be in"
    )
    summarise(json_summary, {"dry_run": dry_run, "findings": told}, sentence)
    if dry_run and counts:
        raise typer.Exit(1)


@app.command()
def withdraw(
    did: Annotated[str, typer.Argument(help="obs_publisher_did of the package.")],
    reason: Annotated[str, typer.Option(help="Why; kept with the package.")],
    db: Db = None,
) -> None:
    """Take a package out of what is published; its identifier stays."""
    with ready_catalog(db) as catalog:
        catalog.withdraw(did, reason)
    say(f"{did} is withdrawn")


@app.command()
def restore(
    did: Annotated[str, typer.Argument(help="obs_publisher_did of the package.")],
    db: Db = None,
) -> None:
    """Publish a withdrawn package again."""
    with ready_catalog(db) as catalog:
        catalog.restore(did)
    say(f"{did} is published again")
