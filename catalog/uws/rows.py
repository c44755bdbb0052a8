"""Rows of the job tables as jobs, and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from catalog.errors import NotFoundError
from catalog.uws.job import Client, Job, JobError, Parameter, Progress, Result, StoredFile
from catalog.uws.phase import Phase
from catalog.uws.tables import job, job_parameter, job_result

__all__ = ["client_of_row", "columns_of_client", "error_document", "insert_parameters", "insert_result", "read_job"]

_FILE = ("path", "size", "sha256", "content_type")


def read_job(connection: sa.Connection, job_id: str, now: datetime) -> Job:
    """A job with its parameters and results.

    Raises:
        NotFoundError: There is none, or the time of its destruction has come.
    """
    found = connection.execute(sa.select(job).where(job.c.id == job_id, job.c.destruction_at > now)).one_or_none()
    if found is None:
        raise NotFoundError("there is no such job (any more)")
    parameters = sa.select(job_parameter).where(job_parameter.c.job_id == job_id).order_by(job_parameter.c.position)
    results = sa.select(job_result).where(job_result.c.job_id == job_id).order_by(job_result.c.id)
    return Job(
        id=found.id,
        phase=Phase(found.phase),
        client=client_of_row(found),
        run_id=found.run_id,
        created=found.created_at,
        started=found.started_at,
        ended=found.ended_at,
        destruction=found.destruction_at,
        execution_duration=found.execution_duration,
        parameters=tuple(Parameter(row.name, row.value, _file(row)) for row in connection.execute(parameters)),
        results=tuple(_result(row) for row in connection.execute(results)),
        error=None if found.error is None else JobError(**found.error),
        progress=None if found.rows is None else Progress(found.rows, found.rows_expected),
    )


def client_of_row(row: sa.Row[*tuple[Any, ...]]) -> Client:
    """Who made a job, from the columns that `columns_of_client` writes."""
    scopes = None if row.scopes is None else frozenset(row.scopes)
    return Client(row.owner, row.origin, scopes, frozenset(row.roles))


def columns_of_client(client: Client) -> dict[str, object]:
    """Who makes a job, as its columns hold it."""
    return {
        "owner": client.owner,
        "origin": client.origin,
        "caller": client.key,
        "scopes": None if client.scopes is None else sorted(client.scopes),
        "roles": sorted(client.roles),
    }


def _result(row: sa.Row[Any]) -> Result:
    file = _file(row)
    assert file is not None  # noqa: S101  (the columns are NOT NULL)
    return Result(row.id, file, row.rows, row.truncated)


def _file(row: sa.Row[Any]) -> StoredFile | None:
    return None if row.path is None else StoredFile(*(getattr(row, name) for name in _FILE))


def _columns_of(file: StoredFile | None) -> dict[str, object]:
    return dict.fromkeys(_FILE) if file is None else {name: getattr(file, name) for name in _FILE}


def insert_result(connection: sa.Connection, job_id: str, result: Result) -> None:
    """Write a result of a job."""
    facts = {"id": result.id, "rows": result.rows, "truncated": result.truncated, **_columns_of(result.file)}
    connection.execute(job_result.insert().values(job_id=job_id, **facts))


def insert_parameters(connection: sa.Connection, job_id: str, parameters: Sequence[Parameter]) -> None:
    """Write the parameters of a job that has none."""
    rows = [
        {"job_id": job_id, "position": position, "name": each.name, "value": each.value, **_columns_of(each.file)}
        for position, each in enumerate(parameters)
    ]
    if rows:
        connection.execute(job_parameter.insert(), rows)


def error_document(error: JobError) -> dict[str, object]:
    """An error as its column holds it."""
    return asdict(error)
