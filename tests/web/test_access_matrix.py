"""Every address × every role × every state of release: what is allowed arrives whole, and of the rest nothing shows.

The rule is stated once more in plain Python (`tests/conftest.py`, `Release`); whatever the service hands out must equal
what it says of the packages of this observatory.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import NAMESPACE_URL, uuid5

import httpx
import pytest
import sqlalchemy as sa
from lxml import etree

from catalog.access import ANONYMOUS, Caller
from catalog.formats.media import DATALINK_FORMAT
from catalog.ingest.tar import write_tar
from catalog.opsdb.models import Permission, Role
from catalog.wiring import as_caller, open_catalog

CATALOG = Path(sys.executable).parent / "catalog"
PROGRAMMES = ("Alpha", "Beta")
ROLES = ("nobody", "known", "member", "reader", "fetcher", "chief", "narrow")
"""Anonymous; a user without rights; a member of Alpha; staff with either right and both; the member's narrow token."""

PLACE = "cologne/archive"
MEMBER = "0001.fits"
TABLES = ["ivoa.obscore", "ivoa.obscore_radio", "fyst.packages", "fyst.files", "fyst.copies"]


@dataclass(frozen=True, slots=True)
class World:
    """The observatory of the matrix."""

    url: str
    releases: dict[str, Any]
    """By obs_publisher_did."""

    tokens: dict[str, str]
    callers: dict[str, Caller]
    contents: dict[str, bytes]
    """Bytes of each package's tar."""

    folder: Path


@dataclass(frozen=True, slots=True)
class Served:
    """A service over it, and one who asks."""

    world: World
    base: str
    hides: bool
    role: str

    @property
    def caller(self) -> Caller:
        return self.world.callers[self.role]

    def get(self, path: str, **params: Any) -> httpx.Response:
        return httpx.get(f"{self.base}{path}", params=params, headers=self.headers, timeout=60)

    @property
    def headers(self) -> dict[str, str]:
        token = self.world.tokens.get(self.role)
        return {} if token is None else {"Authorization": f"Bearer {token}"}

    def rows(self, query: str) -> list[dict[str, str]]:
        answer = self.get("/tap/sync", QUERY=query, LANG="ADQL", RESPONSEFORMAT="csv", MAXREC=100_000)
        assert answer.status_code == 200, answer.text
        return list(csv.DictReader(io.StringIO(answer.text)))

    @property
    def seen(self) -> set[str]:
        """The packages whose metadata the rule shows."""
        return {
            did for did, release in self.world.releases.items() if not self.hides or release.is_seen_by(self.caller)
        }

    @property
    def had(self) -> set[str]:
        """Those of them whose bytes it gives."""
        return {did for did in self.seen if self.world.releases[did].is_had_by(self.caller)}

    def refusal(self, did: str) -> int:
        """The status with which bytes are refused."""
        if did not in self.seen:
            return 404
        return 401 if self.caller.username is None else 403


def record(did: str, programme: str, tar: bytes, number: int, name: str) -> dict[str, Any]:
    """A line of the manifest."""
    return {
        "id": did.rpartition("?")[2],
        "instrument": "CHAI",
        "module": "LFA",
        "telescope": "FYST",
        "relative_path": f"{name}.tar",
        "content_format": "application/fits",
        "executed_obs_unit": {
            "id": str(uuid5(NAMESPACE_URL, f"execution {name}")),
            "start_time": f"2026-04-{1 + number % 28:02d}T00:00:00Z",
            "end_time": f"2026-04-{1 + number % 28:02d}T01:00:00Z",
            "obs_unit": {
                "name": f"Map {name}",
                "program": {"short_name": programme, "name": programme},
                "source": {"name": f"field {number}", "type": "fixed_source", "ra_deg": number * 7.0, "dec_deg": -30.0},
            },
        },
        "size_bytes": len(tar),
        "checksum": hashlib.sha256(tar).hexdigest(),
        "files": [{"relative_path": f"{name}/{MEMBER}", "size_bytes": 29, "tar_offset": 512}],
        "metadata": {"dataproduct_type": "cube" if number % 3 else "timeseries"},
        "copies": [{"location": location(), "verification": "ok", "verified_at": "2026-10-01T00:00:00Z"}],
    }


def location() -> dict[str, str]:
    site, _, name = PLACE.partition("/")
    return {
        "site": site,
        "site_name": "Cologne",
        "name": name,
        "storage_type": "disk",
        "location_type": "long_term_archive",
        "path": "/srv/raw",
    }


@pytest.fixture(scope="module")
def world(
    engine: str,
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    embargo: Callable[[str], dict[str, Any]],
) -> World:
    """Two programmes, with a package in every state of release each, and people of every kind."""
    folder = tmp_path_factory.mktemp("world")
    server: Any = None if engine == "sqlite" else request.getfixturevalue("postgres_server")
    url = f"sqlite:///{folder}/catalog.db" if server is None else server.create_database()
    lines, contents = [], {}
    for number in range(24):
        name, programme = f"package-{number}", PROGRAMMES[number % 2]
        did = f"ivo://ccat.example/raw?{uuid5(NAMESPACE_URL, name)}"
        inside = folder / MEMBER
        inside.write_bytes(f"SIMPLE  = {number:19d}".encode())
        write_tar({f"{name}/{MEMBER}": inside}, folder / "archive" / f"{name}.tar")
        contents[did] = (folder / "archive" / f"{name}.tar").read_bytes()
        lines.append(json.dumps(record(did, programme, contents[did], number, name)))
    (folder / "manifest.jsonl").write_text("\n".join(lines))
    tokens, callers = {}, {"nobody": ANONYMOUS}
    with open_catalog(url) as catalog:
        catalog.init()
        assert catalog.ingest([folder / "manifest.jsonl"], create_instruments=True).created == len(lines)
        with catalog.session() as session:
            for action in ("read", "download"):
                session.add(Permission(action=action, resource="unreleased"))
            session.add(Permission(action="read", resource="weather"))
            session.flush()
            rights = {
                p.action: p for p in session.scalars(sa.select(Permission).where(Permission.resource != "weather"))
            }
            session.add(Role(name="readers", permissions=[rights["read"]]))
            session.add(Role(name="fetchers", permissions=[rights["download"]]))
            session.commit()
        roles = {"reader": ["readers"], "fetcher": ["fetchers"], "chief": ["readers", "fetchers"]}
        for who in ("known", "member", "reader", "fetcher", "chief"):
            catalog.accounts.add_user(who, roles=roles.get(who, []))
            tokens[who] = catalog.accounts.create_token(who, "matrix")
        catalog.accounts.set_member("member", "Alpha", held=True)
        tokens["narrow"] = catalog.accounts.create_token("member", "narrow", scopes=["read:weather"])
        for role, token in tokens.items():
            account = catalog.accounts.by_token(token)
            assert account is not None
            callers[role] = as_caller(account)
    releases = embargo(url)
    assert releases.keys() == contents.keys()
    assert len({(release.programme, release.rights, release.date) for release in releases.values()}) == 24
    return World(url, releases, tokens, callers, contents, folder)


@pytest.fixture(scope="module", params=[False, True], ids=["shown", "hidden"])
def base(world: World, request: pytest.FixtureRequest, start: Callable[..., Any]) -> Iterator[tuple[str, bool]]:
    """Address of a service that shows all metadata, and of one that hides them."""
    locations = json.dumps({PLACE: {"root": str(world.folder / "archive")}})
    with start(world.url, access_hide_unreleased=request.param, files_locations=locations) as running:
        yield running.url, request.param


@pytest.fixture(params=ROLES)
def asking(world: World, base: tuple[str, bool], request: pytest.FixtureRequest) -> Served:
    """Each who may ask."""
    return Served(world, *base, request.param)


def test_the_matrix_has_something_to_allow_and_to_forbid(world: World) -> None:
    seen = {
        role: {d for d, r in world.releases.items() if r.is_seen_by(caller)} for role, caller in world.callers.items()
    }
    had = {
        role: {d for d, r in world.releases.items() if r.is_had_by(caller)} for role, caller in world.callers.items()
    }
    everything = world.releases.keys()
    assert seen["nobody"] < seen["known"] < seen["member"] < everything == seen["reader"] == seen["chief"]
    assert seen["fetcher"] == seen["narrow"] == seen["known"]
    assert had["reader"] == had["narrow"] == had["known"] < had["member"] < everything == had["fetcher"] == had["chief"]


@pytest.mark.parametrize("table", TABLES)
def test_tables(asking: Served, table: str) -> None:
    assert {row["obs_publisher_did"] for row in asking.rows(f"SELECT obs_publisher_did FROM {table}")} == asking.seen
    [count] = asking.rows(f"SELECT COUNT(DISTINCT obs_publisher_did) AS n FROM {table}")
    assert int(count["n"]) == len(asking.seen)


def test_plans_and_executions(asking: Served) -> None:
    """An observation is seen with its package here: each has one."""
    known = Served(asking.world, asking.base, asking.hides, "chief").rows(
        "SELECT obs_id, obs_publisher_did FROM ivoa.obscore"
    )
    expected = {row["obs_id"] for row in known if row["obs_publisher_did"] in asking.seen}
    for table in ("ivoa.obsplan", "fyst.executed_units"):
        assert {row["obs_id"] for row in asking.rows(f"SELECT obs_id FROM {table}")} == expected


def test_counts_of_programmes_are_of_what_everybody_may_have(asking: Served) -> None:
    released = sum(release.is_seen_by(ANONYMOUS) for release in asking.world.releases.values())
    [row] = asking.rows("SELECT SUM(n_released) AS n FROM fyst.programs")
    assert int(float(row["n"])) == released


def test_jobs(asking: Served) -> None:
    query = {"QUERY": "SELECT obs_publisher_did FROM ivoa.obscore", "LANG": "ADQL", "RESPONSEFORMAT": "csv"}
    with httpx.Client(headers=asking.headers, follow_redirects=True, timeout=60) as client:
        job = str(client.post(f"{asking.base}/tap/async", data=query | {"PHASE": "RUN"}).url)
        assert client.get(f"{job}/phase", params={"WAIT": 30}).text in ("COMPLETED", "EXECUTING", "QUEUED")
        assert client.get(job, params={"WAIT": 30}).status_code == 200
        assert client.get(f"{job}/phase").text == "COMPLETED"
        result = client.get(f"{job}/results/result")
        assert {row["obs_publisher_did"] for row in csv.DictReader(io.StringIO(result.text))} == asking.seen
    for other in ROLES:
        answer = httpx.get(
            f"{job}/results/result", headers=Served(asking.world, asking.base, asking.hides, other).headers
        )
        whose = {asking.caller.username, asking.world.callers[other].username}
        if asking.caller.username is None or (len(whose) == 1 and other == asking.role):
            assert answer.status_code == 200
        elif len(whose) > 1:
            assert answer.status_code in (403, 404), (other, answer.text)


def test_the_page_of_a_query(asking: Served) -> None:
    page = asking.get("/query", QUERY="SELECT obs_publisher_did FROM ivoa.obscore").text
    assert set(re.findall(r"ivo://ccat\.example/raw\?[0-9a-f-]{36}", page)) == asking.seen
    assert "Authorization" in asking.get("/query").headers["vary"]


def test_links(asking: Served) -> None:
    dids = sorted(asking.world.releases)
    answer = httpx.post(f"{asking.base}/datalink/links", data={"ID": dids}, headers=asking.headers, timeout=60)
    assert answer.headers["content-type"] == DATALINK_FORMAT
    table = etree.fromstring(answer.content).find(".//{*}RESOURCE[@type='results']//{*}TABLE")
    names = [field.get("name") for field in table.findall("{*}FIELD")]
    rows = [dict(zip(names, [cell.text for cell in row], strict=True)) for row in table.iterfind(".//{*}TR")]
    this = {row["ID"]: row for row in reversed(rows) if row["semantics"] == "#this"}
    assert this.keys() == set(dids)
    unknown = {did for did, row in this.items() if (row["error_message"] or "").startswith("NotFoundFault")}
    assert set(dids) - unknown == asking.seen
    assert {did for did, row in this.items() if row["link_authorized"] in ("T", "true", "1")} == asking.had
    assert {row["ID"] for row in rows if row["access_url"] and "/files/" in row["access_url"]} == asking.seen
    for row in rows:
        if row["ID"] in unknown:
            assert row is this[row["ID"]] or row["ID"] not in asking.seen
            assert "no published package has the identifier" in row["error_message"]


def test_records(asking: Served) -> None:
    for did in asking.world.releases:
        answer = asking.get("/datalink/record", ID=did, RESPONSEFORMAT="json")
        assert answer.status_code == (200 if did in asking.seen else 404)
        if did in asking.seen:
            assert json.loads(answer.text)["obs_publisher_did"] == did
        else:
            assert "no published package has the identifier" in answer.text


def test_the_first_page_and_the_registry_know_what_everybody_sees(asking: Served) -> None:
    if asking.role != "nobody":
        assert asking.get("/").status_code == 200
        return
    assert f"{len(asking.seen)} of them published" in asking.get("/").text
    settings = {"CATALOG_ACCESS_HIDE_UNRELEASED": str(asking.hides), "CATALOG_DATABASE_URL": asking.world.url}
    command(asking.world, settings, "registry", "publish")
    listed = httpx.get(f"{asking.base}/oai", params={"verb": "ListRecords", "metadataPrefix": "ivo_vor"}).content
    counts = {
        table.find("name").text: table.findtext("nrows")
        for table in etree.fromstring(listed).iterfind(".//table")
        if table.findtext("nrows")
    }
    assert counts["ivoa.obscore"] == str(len(asking.seen))


def test_exports_are_of_what_everybody_sees(asking: Served, tmp_path: Path) -> None:
    if asking.role != "nobody":
        return
    settings = {"CATALOG_ACCESS_HIDE_UNRELEASED": str(asking.hides), "CATALOG_DATABASE_URL": asking.world.url}
    command(asking.world, settings, "export", "obscore", "--output", str(tmp_path / "obscore.csv"))
    with (tmp_path / "obscore.csv").open() as stream:
        assert {row["obs_publisher_did"] for row in csv.DictReader(stream)} == asking.seen
    command(asking.world, settings, "record", "--all", "--output", str(tmp_path / "records"))
    written = {path.stem for path in (tmp_path / "records").rglob("*.json")}
    assert written == {did.rpartition("?")[2] for did in asking.seen}


def command(world: World, settings: dict[str, str], *words: str) -> str:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("CATALOG_")}
    done = subprocess.run([CATALOG, *words], capture_output=True, text=True, env=plain | settings, cwd=world.folder)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_bytes(asking: Served) -> None:
    for did, content in asking.world.contents.items():
        answer = asking.get(f"/files/{did.rpartition('?')[2]}")
        if did in asking.had:
            assert (answer.status_code, answer.content) == (200, content)
            assert ("private" in answer.headers["cache-control"]) == (
                not asking.world.releases[did].is_had_by(ANONYMOUS)
            ) or (asking.caller.username is not None)
        else:
            assert answer.status_code == asking.refusal(did)
            assert content not in answer.content
        assert "Authorization" in answer.headers["vary"]


def test_members(asking: Served) -> None:
    for number, did in enumerate(asking.world.contents):
        answer = asking.get(f"/files/{did.rpartition('?')[2]}/{quote(f'package-{number}/{MEMBER}')}")
        if did in asking.had:
            assert (answer.status_code, answer.content) == (200, f"SIMPLE  = {number:19d}".encode())
        else:
            assert answer.status_code == asking.refusal(did)


def test_manifests(asking: Served) -> None:
    for number, did in enumerate(asking.world.contents):
        answer = asking.get("/datalink/manifest", ID=did, RESPONSEFORMAT="csv")
        assert answer.status_code == (200 if did in asking.seen else 404)
        assert (f"package-{number}/{MEMBER}" in answer.text) == (did in asking.seen)


def test_cones(asking: Served) -> None:
    answer = asking.get("/scs", RA=0, DEC=-30, SR=180, RESPONSEFORMAT="csv", MAXREC=1000)
    assert set(re.findall(r"ivo://ccat\.example/raw\?[0-9a-f-]{36}", answer.text)) == asking.seen


def test_images_and_cubes(asking: Served) -> None:
    cubes = {did for number, did in enumerate(asking.world.contents) if number % 3}
    answer = asking.get("/sia2/query", RESPONSEFORMAT="csv", MAXREC=1000)
    assert set(re.findall(r"ivo://ccat\.example/raw\?[0-9a-f-]{36}", answer.text)) == asking.seen & cubes
    for did in asking.world.contents:
        found = asking.get("/sia2/query", ID=did, RESPONSEFORMAT="csv").text
        assert (did in found) == (did in asking.seen & cubes)


def test_staging_is_asked_for_by_who_may_have_the_bytes(asking: Served) -> None:
    for did in asking.world.contents:
        answer = httpx.post(f"{asking.base}/files/{did.rpartition('?')[2]}", headers=asking.headers, timeout=60)
        if did not in asking.had:
            assert answer.status_code == asking.refusal(did)
        else:
            assert answer.status_code == (401 if asking.caller.username is None else 303), answer.text
