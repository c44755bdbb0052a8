"""A service of several processes: they share a port and the jobs, one that dies is replaced, and they stop together."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import sqlalchemy as sa
from lxml import etree

from catalog.db import Database

QUERY = "SELECT TOP 5 obs_id FROM ivoa.obscore"
LONG = "SELECT COUNT(*) AS n FROM fyst.files AS a, fyst.files AS b, fyst.files AS c, fyst.files AS d"
RENAMED = "SELECT COUNT(*) AS n FROM ivoa.obscore WHERE target_name LIKE 'Renamed by hand%'"
UWS = "{http://www.ivoa.net/xml/UWS/v1.0}"


def wait_until(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def serving(pid: int) -> list[int]:
    """The processes that serve: children that listen, of the process that was started."""
    found = []
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            child = int(status.parent.name)
            is_child = f"\nPPid:\t{pid}\n" in status.read_text()
            command = (status.parent / "cmdline").read_bytes()
        except OSError:
            continue  # it has just ended
        if is_child and b"spawn_main" in command:
            found.append(child)
    return sorted(found)


def listening(pids: list[int], port: int) -> list[int]:
    """Those of the processes that hold the socket."""
    line = re.compile(rf":{port:04X} \S+ 0A .*?(\d+)\s+\d+ [0-9a-f]+ ")
    rows = Path("/proc/net/tcp").read_text().splitlines()
    sockets = {f"socket:[{row.split()[9]}]" for row in rows if line.search(row)}
    found = []
    for pid in pids:
        links = []
        for each in Path(f"/proc/{pid}/fd").iterdir():
            try:
                links.append(str(each.readlink()))
            except OSError:
                continue
        if sockets & set(links):
            found.append(pid)
    return found


def alive(pids: list[int]) -> list[int]:
    found = []
    for pid in pids:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if state != "Z":
            found.append(pid)
    return found


def answers(service: Any) -> bool:
    try:
        return bool(service.get(QUERY).status_code == 200)
    except httpx.TransportError:
        return False


def change_by_plain_sql(url: str) -> None:
    with Database(url) as database, database.begin() as connection:
        schema = "ops." if database.dialect == "postgresql" else ""
        connection.execute(sa.text(f"UPDATE {schema}source SET name = 'Renamed by hand ' || name"))


def jobs_of(engine: str, url: str) -> dict[str, object]:
    return {"jobs_url": url} if engine == "postgresql" else {}


def test_several_processes_share_the_port_and_the_jobs_and_stop_together(
    own_url: str, engine: str, start: Callable[..., Any]
) -> None:
    settings = jobs_of(engine, own_url)
    with start(own_url, service_workers=2, **settings) as service, ThreadPoolExecutor(20) as pool:
        wait_until(lambda: len(listening(serving(service.pid), service.port)) == 2, 60)
        pids = serving(service.pid)
        assert all(answer.status_code == 200 for answer in pool.map(lambda _: service.get(QUERY), range(60)))
        made = httpx.post(f"{service.tap}/async", data={"QUERY": QUERY}).headers["location"]
        waiting = [pool.submit(httpx.get, made, params={"WAIT": "40"}, timeout=60) for _ in range(9)]
        time.sleep(1)
        began = time.monotonic()
        httpx.post(f"{made}/phase", data={"PHASE": "ABORT"})
        phases = [etree.fromstring(each.result().content).findtext(f"{UWS}phase") for each in waiting]
        assert phases == ["ABORTED"] * 9, "those who wait at other processes are told, too"
        assert time.monotonic() - began < 20
        change_by_plain_sql(own_url)
        wait_until(lambda: service.get(RENAMED, RESPONSEFORMAT="csv").text.split()[1] != "0", 120)
        os.kill(service.pid, signal.SIGTERM)
        assert service.process.wait(45) == 0
        assert alive(pids) == []
        assert not re.search("WARNING|ERROR|Traceback", service.log.read_text()), service.log.read_text()


def test_a_process_that_dies_is_replaced_and_its_jobs_go_on(
    own_url: str, engine: str, start: Callable[..., Any]
) -> None:
    settings = jobs_of(engine, own_url)
    with start(own_url, service_workers=2, jobs_lease_s=1, **settings) as service:
        wait_until(lambda: len(serving(service.pid)) == 2, 60)
        jobs = [
            httpx.post(f"{service.tap}/async", data={"QUERY": LONG, "PHASE": "RUN"}).headers["location"]
            for _ in range(2)
        ]
        wait_until(lambda: {httpx.get(f"{job}/phase").text for job in jobs} == {"EXECUTING"}, 60)
        before = serving(service.pid)
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: len(set(alive(serving(service.pid))) - set(before)) == 2, 60)
        wait_until(lambda: answers(service), 60)
        wait_until(lambda: {httpx.get(f"{job}/phase").text for job in jobs} == {"EXECUTING"}, 60)
        for job in jobs:
            httpx.post(f"{job}/phase", data={"PHASE": "ABORT"})
        assert {httpx.get(f"{job}/phase").text for job in jobs} == {"ABORTED"}
        assert service.log.read_text().count("another takes its place") == 2


def test_processes_whose_first_is_killed_stop_by_themselves(own_url: str, start: Callable[..., Any]) -> None:
    with start(own_url, service_workers=2) as service:
        wait_until(lambda: len(listening(serving(service.pid), service.port)) == 2, 60)
        pids = serving(service.pid)
        os.kill(service.pid, signal.SIGKILL)
        service.process.wait(10)
        wait_until(lambda: alive(pids) == [], 40)


def test_answers_under_way_are_finished_when_several_processes_stop(own_url: str, start: Callable[..., Any]) -> None:
    query = "SELECT COUNT(*) AS n FROM fyst.files AS a, fyst.files AS b, fyst.programs AS c"
    with start(own_url, service_workers=2) as service, ThreadPoolExecutor() as pool:
        wait_until(lambda: len(listening(serving(service.pid), service.port)) == 2, 60)
        asked = [pool.submit(service.get, query) for _ in range(4)]
        time.sleep(0.3)
        os.kill(service.pid, signal.SIGINT)
        for each in asked:
            answer = each.result()
            assert answer.status_code in (200, 503)
            assert answer.content.endswith(b"</VOTABLE>\n")
        assert service.process.wait(45) == 0
