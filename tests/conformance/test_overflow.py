"""Rows are held back, and it is said, exactly beyond the declared limits: at once, by jobs, in several formats."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pyarrow.parquet as pq
import pytest
import pyvo
from astropy.io import fits, votable

pytestmark = pytest.mark.conformance

LIMITS = {"sync": (5, 8), "async": (6, 9)}
"""Rows by default, and at most."""

Ask = Callable[..., bytes]


@pytest.fixture(scope="module")
def small_tap_url(catalog_url: str, serve: Any) -> Iterator[str]:
    """A service that hands out few rows."""
    (sync, sync_hard), (later, later_hard) = LIMITS["sync"], LIMITS["async"]
    settings = {"tap_maxrec_default": sync, "tap_maxrec_hard": sync_hard}
    jobs = {"tap_async_maxrec_default": later, "tap_async_maxrec_hard": later_hard, "jobs_url": "sqlite:///jobs.db"}
    with serve(catalog_url, **settings, **jobs) as base:
        yield f"{base}/tap"


@pytest.fixture
def ask(small_tap_url: str) -> Ask:
    def now(**params: str) -> bytes:
        answer = httpx.post(f"{small_tap_url}/sync", data={"LANG": "ADQL", **params})
        assert answer.status_code == 200, answer.text
        return answer.content

    def later(**params: str) -> bytes:
        made = httpx.post(f"{small_tap_url}/async", data={"LANG": "ADQL", "PHASE": "RUN", **params})
        job = made.headers["location"]
        while httpx.get(f"{job}/phase").text in ("QUEUED", "EXECUTING"):
            httpx.get(job, params={"WAIT": "20"}, timeout=60)
        return httpx.get(f"{job}/results/result").raise_for_status().content

    return lambda mode, rows, **params: {"sync": now, "async": later}[mode](
        QUERY=f"SELECT TOP {rows} obs_id, s_ra FROM ivoa.obscore", **params
    )


def outcome(document: bytes) -> tuple[int, list[str]]:
    parsed = votable.parse(io.BytesIO(document), verify="exception")
    statuses = [info.value for info in parsed.resources[0].infos if info.name == "QUERY_STATUS"]
    return len(parsed.get_first_table().array), statuses


@pytest.mark.parametrize("mode", LIMITS)
@pytest.mark.parametrize("limit", ["default", "hard", "maxrec"])
@pytest.mark.parametrize("more", [-1, 0, 1])
def test_what_is_beyond_a_limit_is_held_back(ask: Ask, mode: str, limit: str, more: int) -> None:
    """The limit that is not stated, the one that no MAXREC goes beyond, and the client's own."""
    default, hard = LIMITS[mode]
    rows, params = {"default": (default, {}), "hard": (hard, {"MAXREC": "1000000"}), "maxrec": (3, {"MAXREC": "3"})}[
        limit
    ]
    expected = ["OK", "OVERFLOW"] if more > 0 else ["OK"]
    assert outcome(ask(mode, rows + more, **params)) == (min(rows, rows + more), expected)


def test_the_declared_limits_hold_for_both_modes(small_tap_url: str, ask: Ask) -> None:
    service = pyvo.dal.TAPService(small_tap_url)
    for declared, params in ((service.maxrec, {}), (service.hardlimit, {"MAXREC": "1000000"})):
        for mode in LIMITS:
            assert outcome(ask(mode, declared, **params)) == (declared, ["OK"])
        assert outcome(ask("sync", declared + 1, **params)) == (declared, ["OK", "OVERFLOW"])


@pytest.mark.parametrize("mode", LIMITS)
def test_other_formats_hold_as_many_rows(ask: Ask, mode: str) -> None:
    default, _ = LIMITS[mode]
    for more in (0, 1):
        assert ask(mode, default + more, RESPONSEFORMAT="csv").count(b"\n") == default + 1
        assert pq.read_table(io.BytesIO(ask(mode, default + more, RESPONSEFORMAT="parquet"))).num_rows == default
        with fits.open(io.BytesIO(ask(mode, default + more, RESPONSEFORMAT="fits"))) as found:
            assert len(found[1].data) == default
