"""What the reference service is known to get wrong, asked of ours from outside.

Hanging up, deleting a job that runs and killing the service are in ``tests/web``, where the database is watched.
"""

from __future__ import annotations

import io
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import httpx
import numpy as np
import pytest
from astropy.io import votable
from astropy.table import Table

pytestmark = pytest.mark.conformance

DOUBLES = [0.1, 1 / 3, np.pi, 2.0**-1074, 1.7976931348623157e308, -9007199254740993.0, 83.81040000000001]
INSIDE = re.compile(r"(/[a-z]+){2,}/|Traceback|sqlite3|psycopg|SQLSTATE|sqlalchemy|File \"", re.IGNORECASE)
"""Paths and words of drivers."""


@pytest.fixture
def decoy() -> Iterator[tuple[str, list[str]]]:
    """A server on this machine with a table that nobody may get at, and what it was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"secret\n1\n")

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/table.csv", asked
        finally:
            server.shutdown()
            thread.join()


def error_of(answer: httpx.Response) -> str:
    found = votable.parse(io.BytesIO(answer.content), verify="exception")
    [status] = [info for info in found.resources[0].infos if info.name == "QUERY_STATUS"]
    assert status.value == "ERROR"
    return str(status.content)


def test_a_table_of_an_address_inside_is_not_fetched(tap_url: str, decoy: tuple[str, list[str]]) -> None:
    url, asked = decoy
    params = {"LANG": "ADQL", "QUERY": "SELECT * FROM TAP_UPLOAD.t", "UPLOAD": f"t,{url}"}
    refused = httpx.post(f"{tap_url}/sync", data=params)
    assert refused.status_code == 400
    made = httpx.post(f"{tap_url}/async", data=params | {"PHASE": "RUN"})
    job = made.headers["location"]
    while httpx.get(f"{job}/phase").text in ("QUEUED", "EXECUTING"):
        httpx.get(job, params={"WAIT": "20"}, timeout=60)
    assert httpx.get(f"{job}/phase").text == "ERROR"
    for message in (error_of(refused), error_of(httpx.get(f"{job}/error"))):
        assert "uploaded table t" in message
        assert "secret" not in message
    assert asked == []


@pytest.mark.parametrize(
    "query",
    [
        "SELECT nothing FROM ivoa.obscore",
        "SELECT CAST(obs_id AS INTEGER) AS n FROM ivoa.obscore",
        "SELECT * FROM sqlite_master",
        "SELECT * FROM pg_catalog.pg_user",
        "SELECT POWER(10, 308) * POWER(10, 308) AS x, obs_id || 1 FROM ivoa.obscore",
        "SELECT SUM(9223372036854775807) AS n FROM ivoa.obscore",
        "'",
    ],
)
def test_no_error_tells_of_the_inside(tap_url: str, query: str) -> None:
    answer = httpx.get(f"{tap_url}/sync", params={"LANG": "ADQL", "QUERY": query, "RESPONSEFORMAT": "votable/td"})
    assert answer.status_code in (200, 400)
    if answer.status_code == 400:
        assert not INSIDE.search(error_of(answer).replace(query, ""))


@pytest.mark.parametrize("form", ["votable", "votable/b", "votable/td", "csv", "json"])
def test_doubles_and_letters_of_the_world_survive_both_ways(tap_url: str, form: str) -> None:
    words = ["Ωmega", "日本", "naïve", "a & <b>", "\U0001f52d", "'", '"']
    sent = Table({"n": np.arange(len(DOUBLES), dtype=np.int16), "x": DOUBLES, "word": words})
    body = io.BytesIO()
    votable.writeto(votable.from_table(sent), body, tabledata_format="binary2")
    query = "SELECT n, x, word FROM TAP_UPLOAD.mine ORDER BY n"
    answer = httpx.post(
        f"{tap_url}/sync",
        data={"LANG": "ADQL", "QUERY": query, "UPLOAD": "mine,param:it", "RESPONSEFORMAT": form},
        files={"it": ("it.vot", body.getvalue(), "application/x-votable+xml")},
    )
    assert answer.status_code == 200, answer.text
    if form == "json":
        rows = answer.json()["data"]
        x, word = [row[1] for row in rows], [row[2] for row in rows]
    else:
        kind = {"format": "ascii.csv"} if form == "csv" else {"format": "votable"}
        found = Table.read(io.BytesIO(answer.content), **kind)
        x, word = list(found["x"]), [str(each) for each in found["word"]]
    assert [float(each) for each in x] == DOUBLES
    assert word == words
