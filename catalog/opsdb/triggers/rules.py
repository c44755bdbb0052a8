"""Rules that no CHECK can say: what is never deleted, and what never changes once it is set."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase

from catalog.opsdb.models import (
    DataLocation,
    DiskDataLocation,
    InstrumentModuleConfiguration,
    LifecycleMove,
    ObservationConfiguration,
    OpsBase,
    PackagePublication,
    PhysicalCopy,
    RawDataFile,
    RawDataPackage,
    S3DataLocation,
    Site,
    Source,
    TapeDataLocation,
    data_transfer_package_member,
)
from catalog.opsdb.triggers.dialect import PREFIX, create_function, differ, physical, quoted, refuse
from catalog.opsdb.triggers.replacement import refuse_replacement

__all__ = ["rule_statements"]

_INACTIVE = "set its flag active to false instead"
_NEVER_DELETED: dict[type[DeclarativeBase], str] = {
    PhysicalCopy: "a physical copy is never deleted from the records; set its status to 'deleted' instead",
    RawDataPackage: "a package is never deleted from the records; withdraw it from publication instead",
    Site: "a site is never deleted from the records; set its locations inactive instead",
    DataLocation: f"a location is never deleted from the records; {_INACTIVE}",
    DiskDataLocation: f"a disk location is never deleted from the records; {_INACTIVE}",
    S3DataLocation: f"an S3 location is never deleted from the records; {_INACTIVE}",
    TapeDataLocation: f"a tape location is never deleted from the records; {_INACTIVE}",
    PackagePublication: "the public identifier of a package is never deleted; withdraw the package instead",
    LifecycleMove: "the history of states is never deleted",
}
_FIXED: tuple[tuple[type[DeclarativeBase], tuple[str, ...], str], ...] = (
    (Site, ("id", "key"), "the key of a site never changes, because links hold it; give it another name instead"),
    (
        PackagePublication,
        ("raw_data_package_id", "obs_publisher_did"),
        "the public identifier of a package never changes once it is set",
    ),
    (LifecycleMove, tuple(LifecycleMove.__table__.columns.keys()), "the history of states never changes"),
    (
        PhysicalCopy,
        ("id", "type", "raw_data_file_id", "raw_data_package_id", "data_transfer_package_id", "data_location_id"),
        "what a physical copy is a copy of, and where it lies, never changes; make a new copy instead",
    ),
    (Source, ("type",), "the type of a source never changes; make a new source instead"),
    (DataLocation, ("storage_type",), "the storage type of a location never changes; make a new location instead"),
    (ObservationConfiguration, ("type",), "the type of an observation configuration never changes; make a new one"),
    (InstrumentModuleConfiguration, ("type",), "the type of a module configuration never changes; make a new one"),
)
_BYTES = ("size_bytes", "checksum", "checksum_algorithm")
_BYTES_SENTENCE = (
    "size and checksum of a package never change once a copy has been verified; "
    "make a new package that supersedes it instead"
)


def rule_statements(tables: list[sa.Table], engine: str) -> list[str]:
    """DDL of all rules on the given tables."""
    statements = []
    for model, sentence in _NEVER_DELETED.items():
        table = _table(model)
        if table in tables:
            statements += _never_deleted(table, sentence, engine)
    for model, columns, sentence in _FIXED:
        table = _table(model)
        if table in tables:
            name = f"{PREFIX}fixed_{table.name}"
            event = f"UPDATE OF {', '.join(columns)}"
            statements += refuse(name, table, event, sentence, differ(columns, engine), engine)
    for table in tables:
        statements += _own_kind(table, engine)
    if _table(RawDataPackage) in tables:
        statements += _fixed_contents(engine)
        statements += _fixed_bytes(engine)
        statements += _last_ok(engine)
    return statements


def _fixed_contents(engine: str) -> list[str]:
    """What a copy counts for, and what goes with it, stays as it was; late records may still join."""
    copies = physical(_table(PhysicalCopy), engine)
    member = data_transfer_package_member
    lies = f"EXISTS (SELECT 1 FROM {copies} c WHERE c.status <> 'deleted' AND c."
    moved = differ(["location_type", "site_id"], engine)
    left = f"OLD.raw_data_package_id IS NOT NULL AND {differ(['raw_data_package_id'], engine)}"
    in_bundle = f"{lies}data_transfer_package_id = OLD.data_transfer_package_id)"
    gone = differ(member.columns.keys(), engine)
    statements = []
    for name, table, event, sentence, condition in (
        (
            "place",
            _table(DataLocation),
            "UPDATE OF location_type, site_id",
            "type and site of a location never change while copies lie at it; make a new location instead",
            f"{moved} AND {lies}data_location_id = OLD.id)",
        ),
        (
            "contents",
            _table(RawDataFile),
            "UPDATE OF raw_data_package_id",
            "a file stays in its package once a copy of the package has been verified",
            f"{left} AND {_was_whole('OLD.raw_data_package_id', engine)}",
        ),
        ("member_leaves", member, "DELETE", _BUNDLED, in_bundle),
        ("member_changes", member, "UPDATE", _BUNDLED, f"{gone} AND {in_bundle}"),
    ):
        statements += refuse(f"{PREFIX}fixed_{name}", table, event, sentence, condition, engine)
    return statements


_BUNDLED = "a package stays in its transfer package while there are copies of that"


def _own_kind(table: sa.Table, engine: str) -> list[str]:
    """A row of a subclass's table belongs to a row of its parent's that says this kind; nobody could load another."""
    for mapper in OpsBase.registry.mappers:
        if mapper.local_table is table and mapper.inherits is not None:
            break
    else:
        return []
    parent, kind = mapper.inherits.local_table, mapper.polymorphic_on
    assert isinstance(parent, sa.Table)  # noqa: S101  (every model is mapped to one)
    assert isinstance(kind, sa.Column)  # noqa: S101  (every family has such a column)
    if parent is table:
        return []
    condition = (
        f"EXISTS (SELECT 1 FROM {physical(parent, engine)} p WHERE p.id = NEW.id "
        f"AND p.{kind.name} <> {quoted(str(mapper.polymorphic_identity))})"
    )
    sentence = f"a row of {table.name} belongs to a row of {parent.name} of the same kind; this one is of another"
    return refuse(f"{PREFIX}kind_{table.name}", table, "INSERT", sentence, condition, engine)


def _table(model: type[DeclarativeBase]) -> sa.Table:
    table = model.__table__
    assert isinstance(table, sa.Table)  # noqa: S101  (every model is mapped to one)
    return table


def _never_deleted(table: sa.Table, sentence: str, engine: str) -> list[str]:
    name = f"{PREFIX}kept_{table.name}"
    statements = refuse(name, table, "DELETE", sentence, None, engine)
    if engine == "sqlite":
        return statements + refuse_replacement(table)
    truncate = (
        f"CREATE TRIGGER {name}_all BEFORE TRUNCATE ON {physical(table, engine)} FOR EACH STATEMENT "
        f"EXECUTE FUNCTION catalog.{name}()"
    )
    return [*statements, truncate]


def _fixed_bytes(engine: str) -> list[str]:
    """A package's bytes are fixed as soon as a copy was found whole, and stay so when that copy is lost.

    What was not known yet may still be said: records come in any order.
    """
    changed = " OR ".join(f'OLD."{name}" IS NOT NULL AND {differ([name], engine)}' for name in _BYTES)
    verified = f"({changed}) AND {_was_whole('OLD.id', engine)}"
    event = f"UPDATE OF {', '.join(_BYTES)}"
    return refuse(f"{PREFIX}bytes", _table(RawDataPackage), event, _BYTES_SENTENCE, verified, engine)


def _was_whole(package: str, engine: str) -> str:
    """Condition: a copy of the package was found whole once."""
    copies = physical(_table(PhysicalCopy), engine)
    found = "c.verification = 'ok' OR c.last_ok_at IS NOT NULL"
    return f"EXISTS (SELECT 1 FROM {copies} c WHERE c.raw_data_package_id = {package} AND ({found}))"


def _last_ok(engine: str) -> list[str]:
    """Keep when a copy was last found whole, once a later verification says otherwise."""
    name = f"{PREFIX}last_ok"
    table = physical(_table(PhysicalCopy), engine)
    lost = "OLD.verification = 'ok' AND NEW.verification <> 'ok'"
    forgotten = "OLD.last_ok_at IS NOT NULL AND NEW.last_ok_at IS NULL"
    event = f"UPDATE OF verification, last_ok_at ON {table} FOR EACH ROW WHEN (({lost}) OR ({forgotten}))"
    when = f"CASE WHEN {lost} THEN coalesce(OLD.verified_at, OLD.updated_at) ELSE OLD.last_ok_at END"
    if engine == "sqlite":
        keep = f"UPDATE {table} SET last_ok_at = {when} WHERE rowid = NEW.rowid;"
        return [f"CREATE TRIGGER {name} AFTER {event} BEGIN {keep} END"]
    return [
        create_function(name, f"NEW.last_ok_at := {when}; RETURN NEW;"),
        f"CREATE TRIGGER {name} BEFORE {event} EXECUTE FUNCTION catalog.{name}()",
    ]
