"""Documents of jobs (UWS 1.1 sections 2.2.2 and 3.2)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from catalog.uws.job import Job, JobRef
from catalog.vo.documents import render
from catalog.vo.time import format_timestamp

__all__ = ["render_job", "render_jobs", "render_parameters", "render_results", "render_time"]


def render_time(time: datetime) -> str:
    """A time as job documents and ``/destruction`` write it: UTC, with a Z at the end.

    It is written to the last digit, so that ``AFTER`` with the time of a job leaves that job out.
    """
    return format_timestamp(time, digits=6 if time.microsecond else 0, zone=True)


def render_job(job: Job, jobs_url: str) -> bytes:
    """The document of one job.

    Args:
        job: The job.
        jobs_url: Absolute URL of the job list, without a slash at the end.
    """
    return render("uws/job.xml", job=job, url=f"{jobs_url}/{job.id}", time=render_time)


def render_jobs(jobs: Iterable[JobRef], jobs_url: str) -> bytes:
    """The job list."""
    return render("uws/jobs.xml", jobs=jobs, jobs_url=jobs_url, time=render_time)


def render_parameters(job: Job, jobs_url: str) -> bytes:
    """The parameters of a job."""
    return render("uws/parameters.xml", job=job, url=f"{jobs_url}/{job.id}")


def render_results(job: Job, jobs_url: str) -> bytes:
    """The results of a job, none before it is COMPLETED."""
    return render("uws/results.xml", job=job, url=f"{jobs_url}/{job.id}")
