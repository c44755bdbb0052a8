"""The published views ``fyst.*``: packages, files, copies, programmes, executions and transfers.

They show published packages alone, and nothing of hosts, paths, buckets or people. Views of protected tables also carry
what the access rule looks at (`catalog.access.ACCESS_COLUMNS`), which is not published. No column may tell of rows that
the rule hides: counts are of what is released to everybody.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from catalog.access import ACCESS_COLUMNS, is_open
from catalog.obscore.ddl import kept_bounds, published_time
from catalog.obscore.obsplan import obsplan
from catalog.obscore.package_obscore import package_obscore, published_table
from catalog.opsdb.enums import Verification
from catalog.opsdb.lifecycle.availability import remains
from catalog.opsdb.lifecycle.risk import find_risks
from catalog.opsdb.models import (
    DataLocation,
    DataTransfer,
    DataTransferPackage,
    DataTransferRoute,
    ExecutedObsUnit,
    ObservingProgram,
    ObsMode,
    ObsUnit,
    PackagePublication,
    PhysicalCopy,
    RawDataFile,
    RawDataPackage,
    Site,
    Source,
    data_transfer_package_member,
)

__all__ = ["fyst_views"]

Expression = sa.ColumnElement[Any]

_PACKAGE = RawDataPackage.__table__.alias("p")
_FILE = RawDataFile.__table__.alias("f")
_COPY = PhysicalCopy.__table__.alias("c")
_REMAINS = remains(_COPY.c.status, _COPY.c.verification)
_LOCATION = DataLocation.__table__.alias("l")
_SITE = Site.__table__.alias("s")
_PROGRAM = ObservingProgram.__table__.alias("g")
_OBS_UNIT = ObsUnit.__table__.alias("u")
_EXECUTED = ExecutedObsUnit.__table__.alias("e")
_SOURCE = Source.__table__.alias("t")
_MODE = ObsMode.__table__.alias("m")
_TRANSFER = DataTransfer.__table__.alias("x")
_BUNDLE = DataTransferPackage.__table__.alias("b")
_MEMBER = data_transfer_package_member.alias("n")
_ROUTE = DataTransferRoute.__table__.alias("r")


def fyst_views() -> dict[str, sa.Select[Any]]:
    """The views by published name."""
    return {
        "fyst.packages": _packages(),
        "fyst.files": _files(),
        "fyst.copies": _copies(),
        "fyst.programs": _programs(),
        "fyst.executed_units": _executed_units(),
        "fyst.transfers": _transfers(),
    }


def _view(
    name: str, tables: sa.FromClause, columns: dict[str, Expression], guards: Mapping[str, Expression] | None
) -> sa.Select[Any]:
    """A SELECT with the published columns in the order of their description, then what guards the rows."""
    published = [columns[column.name].label(column.name) for column in published_table(name).columns]
    unpublished = [] if guards is None else [guards[name].label(name) for name in ACCESS_COLUMNS]
    return sa.select(*published, *unpublished).select_from(tables)


def _guards(rows: sa.FromClause) -> dict[str, Expression]:
    return {name: rows.c[name] for name in ACCESS_COLUMNS}


def _packages() -> sa.Select[Any]:
    resolved = package_obscore().alias("o")
    predecessor = PackagePublication.__table__.alias("predecessor")
    supersedes = (
        sa.select(predecessor.c.obs_publisher_did)
        .where(predecessor.c.raw_data_package_id == _PACKAGE.c.supersedes_id)
        .scalar_subquery()
    )
    columns = {
        "obs_publisher_did": resolved.c.obs_publisher_did,
        "package_name": _PACKAGE.c.name,
        "obs_id": resolved.c.obs_id,
        "sequence_number": _PACKAGE.c.sequence,
        "program_short_name": _PROGRAM.c.short_name,
        "instrument_name": resolved.c.instrument_name,
        "package_state": _text(_PACKAGE.c.state),
        "build_status": _text(_PACKAGE.c.status),
        "content_format": _PACKAGE.c.content_format,
        "size_bytes": _PACKAGE.c.size_bytes,
        "checksum": _PACKAGE.c.checksum,
        "checksum_algorithm": _text(_PACKAGE.c.checksum_algorithm),
        "n_files": _count(_FILE, _FILE.c.raw_data_package_id == _PACKAGE.c.id),
        "n_copies": _count(_COPY, _COPY.c.raw_data_package_id == _PACKAGE.c.id, _REMAINS),
        "n_verified": _count(
            _COPY,
            _COPY.c.raw_data_package_id == _PACKAGE.c.id,
            _REMAINS,
            _text(_COPY.c.verification) == Verification.OK.value,
        ),
        "n_sites": _site_count(),
        "at_risk": _at_risk(),
        "supersedes_did": supersedes,
        "recorded_at": published_time(_PACKAGE.c.created_at),
        "changed_at": published_time(_PACKAGE.c.updated_at),
    }
    tables = resolved.join(_PACKAGE, _PACKAGE.c.id == resolved.c.raw_data_package_id).outerjoin(
        _PROGRAM, _PROGRAM.c.id == resolved.c.observing_program_id
    )
    return _view("fyst.packages", tables, columns, _guards(resolved))


def _files() -> sa.Select[Any]:
    resolved = package_obscore().alias("o")
    columns = {
        "file_id": sa.cast(_FILE.c.id, sa.Text()),
        "obs_publisher_did": resolved.c.obs_publisher_did,
        "file_name": _FILE.c.name,
        "path_in_package": _FILE.c.relative_path,
        "file_type": _FILE.c.file_type,
        "size_bytes": _FILE.c.size_bytes,
        "checksum": _FILE.c.checksum,
        "checksum_algorithm": _text(_FILE.c.checksum_algorithm),
        "start_time": published_time(_FILE.c.start_time),
        "end_time": published_time(_FILE.c.end_time),
        "exptime": _FILE.c.exptime_s,
    }
    tables = resolved.join(_FILE, _FILE.c.raw_data_package_id == resolved.c.raw_data_package_id)
    return _view("fyst.files", tables, columns, _guards(resolved))


def _copies() -> sa.Select[Any]:
    resolved = package_obscore().alias("o")
    columns = {
        "copy_id": _COPY.c.id,
        "obs_publisher_did": resolved.c.obs_publisher_did,
        "site_key": _SITE.c.key,
        "site_name": _SITE.c.name,
        "location_type": _text(_LOCATION.c.location_type),
        "storage_type": _text(_LOCATION.c.storage_type),
        "copy_status": _text(_COPY.c.status),
        "remains": sa.case((_REMAINS, 1), else_=0),
        "verification": _text(_COPY.c.verification),
        "verified_at": published_time(_COPY.c.verified_at),
        "checksum": _COPY.c.checksum,
        "checksum_algorithm": _text(_COPY.c.checksum_algorithm),
        "recorded_at": published_time(_COPY.c.created_at),
        "deleted_at": published_time(_COPY.c.deleted_at),
    }
    tables = (
        resolved.join(_COPY, _COPY.c.raw_data_package_id == resolved.c.raw_data_package_id)
        .join(_LOCATION, _LOCATION.c.id == _COPY.c.data_location_id)
        .join(_SITE, _SITE.c.id == _LOCATION.c.site_id)
    )
    return _view("fyst.copies", tables, columns, _guards(resolved))


def _programs() -> sa.Select[Any]:
    resolved = package_obscore().alias("o")
    columns = {
        "program_short_name": _PROGRAM.c.short_name,
        "program_name": _PROGRAM.c.name,
        "description": _PROGRAM.c.description,
        "proposal_id": _PROGRAM.c.proposal_id,
        "release_date": published_time(_PROGRAM.c.release_date),
        "release_months": _PROGRAM.c.release_months,
        "n_released": _count(resolved, resolved.c.observing_program_id == _PROGRAM.c.id, is_open(resolved)),
    }
    return _view("fyst.programs", _PROGRAM, columns, None)


def _executed_units() -> sa.Select[Any]:
    resolved, plan = package_obscore().alias("o"), obsplan().alias("plan")
    obs_id = sa.cast(_EXECUTED.c.id, sa.Text())
    columns = {
        "obs_id": obs_id,
        "obs_unit_name": _OBS_UNIT.c.name,
        "program_short_name": _PROGRAM.c.short_name,
        "target_name": _SOURCE.c.name,
        "obs_mode": _MODE.c.name,
        "start_time": published_time(_EXECUTED.c.start_time),
        "end_time": published_time(_EXECUTED.c.end_time),
        "execution_status": _text(_EXECUTED.c.execution_status),
        "azimuth": _EXECUTED.c.azimuth_deg,
        "elevation": _EXECUTED.c.elevation_deg,
        "pwv": _EXECUTED.c.pwv_mm,
        "n_released": _count(resolved, resolved.c.obs_id == obs_id, is_open(resolved)),
    }
    tables = (
        _EXECUTED.join(_OBS_UNIT, _OBS_UNIT.c.id == _EXECUTED.c.obs_unit_id)
        .outerjoin(_PROGRAM, _PROGRAM.c.id == _OBS_UNIT.c.observing_program_id)
        .outerjoin(_SOURCE, _SOURCE.c.id == _OBS_UNIT.c.source_id)
        .outerjoin(_MODE, _MODE.c.id == _OBS_UNIT.c.obs_mode_id)
        .outerjoin(plan, plan.c.obs_id == obs_id)
    )
    guards = _guards(plan) | {"observing_program_id": _OBS_UNIT.c.observing_program_id}
    return _view("fyst.executed_units", tables, columns, guards)


def _transfers() -> sa.Select[Any]:
    resolved = package_obscore().alias("o")
    origin, destination = DataLocation.__table__.alias("origin"), DataLocation.__table__.alias("destination")
    origin_site, destination_site = Site.__table__.alias("origin_site"), Site.__table__.alias("destination_site")
    columns = {
        "transfer_id": _TRANSFER.c.id,
        "obs_publisher_did": resolved.c.obs_publisher_did,
        "transfer_package_name": _BUNDLE.c.name,
        "origin_site_key": origin_site.c.key,
        "destination_site_key": destination_site.c.key,
        "route_type": _text(_ROUTE.c.route_type),
        "transfer_status": _text(_TRANSFER.c.status),
        "unpack_status": _text(_TRANSFER.c.unpack_status),
        "retry_count": _TRANSFER.c.retry_count,
        "started_at": published_time(_TRANSFER.c.started_at),
        "finished_at": published_time(_TRANSFER.c.finished_at),
    }
    tables = (
        resolved.join(_MEMBER, _MEMBER.c.raw_data_package_id == resolved.c.raw_data_package_id)
        .join(_BUNDLE, _BUNDLE.c.id == _MEMBER.c.data_transfer_package_id)
        .join(_TRANSFER, _TRANSFER.c.data_transfer_package_id == _BUNDLE.c.id)
        .outerjoin(_ROUTE, _ROUTE.c.id == _TRANSFER.c.data_transfer_route_id)
        .outerjoin(origin, origin.c.id == _TRANSFER.c.origin_location_id)
        .outerjoin(origin_site, origin_site.c.id == origin.c.site_id)
        .outerjoin(destination, destination.c.id == _TRANSFER.c.destination_location_id)
        .outerjoin(destination_site, destination_site.c.id == destination.c.site_id)
    )
    return _view("fyst.transfers", tables, columns, _guards(resolved))


def _text(column: Expression) -> Expression:
    return sa.type_coerce(column, sa.Text())


def _count(table: sa.FromClause, *conditions: sa.ColumnElement[bool]) -> Expression:
    return sa.select(sa.func.count()).select_from(table).where(*conditions).scalar_subquery()


def _site_count() -> Expression:
    """At how many sites a copy of the package remains."""
    tables = _COPY.join(_LOCATION, _LOCATION.c.id == _COPY.c.data_location_id)
    return (
        sa.select(sa.func.count(_LOCATION.c.site_id.distinct()))
        .select_from(tables)
        .where(_COPY.c.raw_data_package_id == _PACKAGE.c.id, _REMAINS)
        .scalar_subquery()
    )


def _at_risk() -> Expression:
    """1 for a package to which a risk applies now, by the rules that the database keeps."""
    copy, location, package = aliased(PhysicalCopy), aliased(DataLocation), aliased(RawDataPackage, _PACKAGE)
    risks = find_risks(copy, location, package, kept_bounds())
    return (
        sa.select(sa.case((sa.or_(*risks.values()), 1), else_=0))
        .join_from(copy, location, location.id == copy.data_location_id)
        .where(copy.raw_data_package_id == _PACKAGE.c.id)
        .correlate(_PACKAGE)
        .scalar_subquery()
    )
