"""Limits of queries, and asynchronous jobs: sections ``[tap]`` and ``[jobs]``."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, SecretStr

from catalog.settings.section import LISTED, Section

__all__ = ["JobSettings", "TapSettings"]


class TapSettings(Section):
    """Limits of the TAP service; what is advertised is what is enforced."""

    maxrec_default: Annotated[int, Field(ge=1)] = 20_000
    maxrec_hard: Annotated[int, Field(ge=1)] = 5_000_000
    async_maxrec_default: Annotated[int, Field(ge=1)] = 1_000_000
    async_maxrec_hard: Annotated[int, Field(ge=1)] = 100_000_000
    sync_timeout_s: Annotated[float, Field(gt=0)] = 60.0

    sync_answer_s: Annotated[float, Field(gt=0)] = 3600.0
    """Seconds until the rows of an answer are read. The database keeps the state that they show as long."""

    sync_concurrency: Annotated[int, Field(ge=1)] = 20
    """Queries that run at once; on PostgreSQL each holds a connection."""

    upload_limit_bytes: Annotated[int, Field(ge=0)] = 100_000_000
    """Size of all tables together that a request may bring, from its body or by URL; 0 lets none in."""

    upload_limit_rows: Annotated[int, Field(ge=1)] = 2_000_000
    """Rows of one uploaded table."""

    upload_limit_tables: Annotated[int, Field(ge=1)] = 20

    upload_fetch_s: Annotated[float, Field(gt=0)] = 60.0
    """How long the document of one URL may take to arrive."""

    upload_read_s: Annotated[float, Field(gt=0)] = 120.0
    """How long the tables of a request may take to be unpacked and read, once they are here."""

    upload_allowed_hosts: Annotated[tuple[str, ...], LISTED] = ()
    """``host``, ``host:port`` or networks that URLs of uploads may lead to although they are not public."""


class JobSettings(Section):
    """Asynchronous jobs: where they are kept, who does them, and their limits."""

    url: SecretStr = SecretStr("sqlite:///var/jobs.db")
    """Database of the jobs: ``sqlite:///path`` or ``postgresql://…``. Workers on several machines need PostgreSQL."""

    results: str = "var/results"
    """Folder of the results, or ``s3://bucket/path``. Workers on several machines share it."""

    workers: Annotated[int, Field(ge=0)] = 2
    """Jobs that one process does at once; with 0 the service leaves them to `catalog worker`."""

    duration_default_s: Annotated[int, Field(ge=1)] = 3600
    """Execution duration of a job, unless its owner changes it."""

    duration_hard_s: Annotated[int, Field(ge=1)] = 6 * 3600

    destruction_default_s: Annotated[int, Field(ge=1)] = 7 * 86_400
    """Time from the creation of a job until it is destroyed with its results, unless its owner changes it."""

    destruction_hard_s: Annotated[int, Field(ge=1)] = 30 * 86_400

    jobs_per_caller: Annotated[int, Field(ge=1)] = 1000
    """Jobs kept for one user, or one address of anonymous users."""

    bytes_per_caller: Annotated[int, Field(ge=1)] = 50 * 10**9
    """Bytes of results and uploads kept for one caller."""

    running_per_caller: Annotated[int, Field(ge=1)] = 2
    """Jobs of one caller that run at once; the others wait."""

    lease_s: Annotated[float, Field(gt=0)] = 30.0
    """Seconds after which the job of a process that gives no sign of life is given to another."""

    attempts: Annotated[int, Field(ge=1)] = 3
    """How often a job is begun before the loss of its process means that it fails."""

    list_anonymous: bool = True
    """Whether anonymous users are shown the jobs that came from their address."""
