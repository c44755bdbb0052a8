"""Asynchronous queries from submission to COMPLETED, and an uploaded table of ten thousand positions."""

from __future__ import annotations

import io
import statistics
import time
from urllib.parse import urlencode, urlsplit

import httpx
import numpy as np
from astropy.table import Table
from bench.client import Connection
from bench.queries import Sample
from bench.service import Service

__all__ = ["measure_crossmatch", "measure_jobs"]

POSITIONS = 10_000


def measure_jobs(service: Service) -> dict[str, float]:
    """Median seconds of a job of ten rows, as a client sees them who waits as UWS 1.1 lets it."""
    body = urlencode({"LANG": "ADQL", "QUERY": "SELECT TOP 10 * FROM ivoa.obscore", "PHASE": "RUN"}).encode()
    times = []
    connection = Connection(service.port)
    for _ in range(25):
        began = time.perf_counter()
        head = connection.ask("/tap/async", "POST", body)
        job = urlsplit(head.split(b"location: ")[1].split(b"\r\n")[0].decode()).path
        while (phase := connection.ask(f"{job}/phase").rpartition(b"\r\n\r\n")[2]) in (b"QUEUED", b"EXECUTING"):
            connection.ask(f"{job}?WAIT=10&PHASE={phase.decode()}")
        if phase != b"COMPLETED":
            raise RuntimeError(f"the job ended in phase {phase.decode()}")
        times.append(time.perf_counter() - began)
    connection.close()
    return {
        "async_top10_ms": 1e3 * statistics.median(times),
        "async_top10_p95_ms": 1e3 * statistics.quantiles(times)[-1],
    }


def measure_crossmatch(service: Service, sample: Sample) -> dict[str, float]:
    """Milliseconds of a match of ten thousand positions with all packages, within a tenth of a degree."""
    rng = np.random.default_rng(1)
    table = Table(
        {
            "name": np.arange(POSITIONS),
            "ra": rng.uniform(0, 360, POSITIONS),
            "dec": np.degrees(np.arcsin(rng.uniform(-1, 1, POSITIONS))),
        }
    )
    document = io.BytesIO()
    table.write(document, format="votable", tabledata_format="binary2")
    query = (
        "SELECT COUNT(*) AS n FROM TAP_UPLOAD.mine AS m JOIN ivoa.obscore AS o "
        "ON 1 = CONTAINS(POINT(o.s_ra, o.s_dec), CIRCLE(m.ra, m.dec, 0.1))"
    )
    times = []
    with httpx.Client(base_url=f"http://127.0.0.1:{service.port}", timeout=300) as client:
        for _ in range(3):
            began = time.perf_counter()
            answer = client.post(
                "/tap/sync",
                data={"LANG": "ADQL", "QUERY": query, "UPLOAD": "mine,param:mine", "RESPONSEFORMAT": "csv"},
                files={"mine": document.getvalue()},
            )
            times.append(time.perf_counter() - began)
            answer.raise_for_status()
    return {"crossmatch_10k_ms": 1e3 * statistics.median(times), "crossmatch_10k_pairs": float(answer.text.split()[1])}
