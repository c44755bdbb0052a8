"""The commands ``catalog registry …``: describe what is published, publish it, and judge it before others do."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from catalog.errors import UsageError
from catalog.registry.check import Finding, check_addresses, check_content, check_documents, check_harvest
from catalog.registry.datacite import build_datacite, render_datacite_json, render_datacite_xml
from catalog.registry.drafts import draft_records
from catalog.registry.schemas import SchemaSet
from catalog.registry.store import write_time
from catalog.registry.thesaurus import Thesaurus
from catalog.terminal.messages import Json, say, summarise
from catalog.terminal.opening import Db, ready_catalog
from catalog.wiring import Catalog

__all__ = ["app"]

app = typer.Typer(name="registry", no_args_is_help=True, help="The publishing registry.")

_XML = '<?xml version="1.0" encoding="UTF-8"?>\n'
_Identifier = Annotated[str, typer.Argument(help="Identifier of a record: ivo://….")]


@app.command("init")
def init_records(
    folder: Annotated[Path, typer.Argument(help="Folder for the records.")] = Path("records"),
    authority: Annotated[str | None, typer.Option(help="IVOA naming authority, such as org.my-observatory.")] = None,
    publisher: Annotated[str | None, typer.Option(help="Name of the organisation.")] = None,
    contact_name: Annotated[str | None, typer.Option(help="Whom to ask about the data.")] = None,
    contact_email: Annotated[str | None, typer.Option(help="Address to write to.")] = None,
    license_id: Annotated[
        str | None, typer.Option("--license", help="SPDX identifier of the data's licence, such as CC-BY-4.0.")
    ] = None,
) -> None:
    """Make a folder of records to be edited, and show the settings that use it."""
    settings = draft_records(
        folder,
        authority=authority or _asked("authority"),
        publisher=publisher or _asked("publisher"),
        contact_name=contact_name or _asked("contact-name"),
        contact_email=contact_email or _asked("contact-email"),
        license_id=license_id,
    )
    say(f"the records are in {folder}; edit them, and put this into catalog.toml:")
    typer.echo(settings, nl=False)


@app.command("list")
def list_records(db: Db = None, json_summary: Json = False) -> None:
    """List what is harvested: identifier, kind, datestamp, and whether it is deleted."""
    with ready_catalog(db) as catalog:
        records = [
            {"identifier": r.identifier, "kind": r.kind, "datestamp": write_time(r.datestamp), "deleted": r.deleted}
            for r in catalog.registry.store.all()
        ]
    records.sort(key=lambda record: str(record["identifier"]))
    if json_summary:
        summarise(json_summary, {"records": records}, "")
        return
    for record in records:
        state = "  deleted" if record["deleted"] else ""
        typer.echo(f"{record['identifier']}  {record['kind']}  {record['datestamp']}{state}")


@app.command("show")
def show_record(
    identifier: _Identifier,
    dublin_core: Annotated[bool, typer.Option("--dublin-core", help="As Dublin Core instead of VOResource.")] = False,
    db: Db = None,
) -> None:
    """Show a record as it is harvested."""
    with ready_catalog(db) as catalog:
        record = catalog.registry.store.read(identifier)
    if record.deleted:
        raise UsageError(f"{identifier} was deleted on {write_time(record.datestamp)}")
    typer.echo(record.oai_dc if dublin_core else record.ivo_vor)


@app.command("check")
def check_records(
    schemas: Annotated[Path | None, typer.Option(help="Folder of XML schemas to judge by; others' work.")] = None,
    uat: Annotated[
        Path | None, typer.Option(help="File of the Unified Astronomy Thesaurus to judge subjects by; others' work.")
    ] = None,
    url: Annotated[str | None, typer.Option(help="Address that the registry is harvested at.")] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Ask no address.")] = False,
    db: Db = None,
    json_summary: Json = False,
) -> None:
    """Judge the records, their addresses and a harvest; exit with 1 if there is an error."""
    with ready_catalog(db) as catalog:
        findings = list(_findings(catalog, schemas, uat, url, offline=offline))
    for finding in findings:
        say(str(finding), style="red" if finding.level == "error" else "yellow")
    errors = sum(finding.level == "error" for finding in findings)
    told = [asdict(finding) for finding in findings]
    sentence = f"{errors:,} errors, {len(findings) - errors:,} warnings"
    summarise(json_summary, {"errors": errors, "findings": told}, sentence)
    if errors:
        raise typer.Exit(1)


@app.command("dump")
def dump_records(
    folder: Annotated[Path, typer.Argument(help="Folder for the files.")], db: Db = None, json_summary: Json = False
) -> None:
    """Write every record that is harvested as a file of its own, in folders as in its identifier."""
    count = 0
    with ready_catalog(db) as catalog:
        for record in catalog.registry.store.all():
            if not record.deleted:
                try:
                    _write(folder / f"{record.identifier.removeprefix('ivo://')}.xml", _XML + record.ivo_vor)
                except OSError as error:
                    raise UsageError(f"{folder} cannot be written into: {error.strerror}") from None
                count += 1
    summarise(json_summary, {"records": count, "folder": str(folder)}, f"{count:,} records in {folder}")


@app.command("publish")
def publish_records(
    full: Annotated[bool, typer.Option("--full", help="Make every coverage map anew.")] = False,
    db: Db = None,
    json_summary: Json = False,
) -> None:
    """Bring what is harvested up to date; the service does it every hour."""
    with ready_catalog(db) as catalog:
        summary = catalog.registry.publish(full=full)
        if catalog.registry.is_demonstration:
            say("the authority is reserved for demonstrations; no registry of the VO will take these records")
    changes = f"{summary.created:,} new records, {summary.changed:,} changed, {summary.deleted:,} deleted"
    summarise(json_summary, asdict(summary), f"{changes}, {summary.unchanged:,} as they were")


@app.command("datacite")
def show_datacite(
    identifier: _Identifier,
    xml: Annotated[bool, typer.Option("--xml", help="As XML instead of JSON.")] = False,
    db: Db = None,
) -> None:
    """Show what DataCite wants to know of a record that has a DOI."""
    with ready_catalog(db) as catalog:
        resource = catalog.registry.resource(identifier)
        stored = catalog.registry.store.read(resource.identifier)
    facts = build_datacite(resource, issued=stored.created)
    typer.echo(render_datacite_xml(facts).decode() if xml else render_datacite_json(facts))


def _findings(
    catalog: Catalog, schemas: Path | None, uat: Path | None, url: str | None, *, offline: bool
) -> list[Finding]:
    registry = catalog.registry
    resources = registry.resources()
    found = list(check_content(resources, is_demonstration=registry.is_demonstration))
    with ExitStack() as stack:
        if schemas is not None:
            found += check_documents(resources, stack.enter_context(SchemaSet(schemas)))
        else:
            say("not judged by XML schemas; --schemas names their folder")
    if uat is not None:
        found += [
            Finding("error", resource.identifier, problem) for resource, problem in Thesaurus(uat).problems(resources)
        ]
    else:
        say("subjects are judged by their form alone; --uat names the file of the thesaurus")
    if not offline:
        found += check_addresses(resources)
        found += check_harvest(url or registry.harvest_url, registry.store)
    return found


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _asked(option: str) -> str:
    if not sys.stdin.isatty():
        raise UsageError(f"--{option} is missing; only you know it")
    return str(typer.prompt(option.replace("-", " "), err=True))
