"""Who asks: passwords and tokens on every address, wrong ones, and what belongs to whom."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pyvo
import requests
import sqlalchemy as sa
from lxml import etree

from catalog.db import Database
from catalog.opsdb.accounts import AccountService
from catalog.opsdb.models import User

CATALOG = Path(sys.executable).with_name("catalog")
PASSWORD = "correct horse: battery é"
QUERY = "SELECT TOP 3 obs_publisher_did, target_name FROM ivoa.obscore ORDER BY obs_publisher_did"
ADDRESSES = (
    "/tap/capabilities",
    "/tap/tables",
    "/tap/availability",
    "/tap/examples",
    "/tap/async",
    "/datalink/links?ID=x",
)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def basic(username: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()}


def command(url: str, *words: str, given: str | None = None) -> str:
    """What a command prints, and on standard error says."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("CATALOG_")}
    done = subprocess.run(
        [CATALOG, *words, "--db", url], input=given, capture_output=True, text=True, env=environ, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def people(copy_of_filled: Callable[[], str]) -> tuple[str, str]:
    """A database in which clara has a password and a token, made by the commands, and david a token; and clara's."""
    url = copy_of_filled()
    command(url, "users", "add", "clara", "--role", "viewer", "--full-name", "C. Example")
    command(url, "users", "password", "clara", given=f"{PASSWORD}\n")
    command(url, "grants", "add", "clara", "GEco", "--pi")
    token = command(url, "tokens", "create", "clara", "notebook", "--days", "30").strip()
    assert "GEco  clara  PI" in command(url, "grants", "list", "GEco")
    assert f"{token[:8]}  clara  notebook" in command(url, "tokens", "list", "clara")
    assert "clara  viewer, password" in command(url, "users", "list")
    assert "\nviewer  read:observations\n" in command(url, "users", "roles")
    return url, token


@pytest.fixture(scope="module")
def accounts(people: tuple[str, str]) -> Iterator[AccountService]:
    with Database(people[0]) as database:
        yield AccountService(database)


@pytest.fixture(scope="module")
def token(people: tuple[str, str]) -> str:
    return people[1]


@pytest.fixture(scope="module")
def service(people: tuple[str, str], engine: str, start_with: Callable[..., Any]) -> Iterator[Any]:
    """A service that bears more wrong credentials than most."""
    jobs = {"jobs_url": people[0]} if engine == "postgresql" else {}
    with start_with(people[0], "from catalog.web import identity\nidentity._FAILURES = 10_000", **jobs) as running:
        yield running


def refused(answer: httpx.Response) -> str:
    """The message of a 401, which says how to do it right."""
    assert answer.status_code == 401, answer.text
    assert answer.headers["www-authenticate"] == (
        'Basic realm="ccat.example", charset="UTF-8", Bearer realm="ccat.example"'
    )
    assert "x-vo-authenticated" not in answer.headers
    [info] = etree.fromstring(answer.content).findall(".//{*}INFO[@name='QUERY_STATUS']")
    return str(info.text)


@pytest.mark.parametrize("address", ADDRESSES)
def test_every_address_knows_who_asks_and_says_that_one_may(service: Any, token: str, address: str) -> None:
    url = service.url + address
    anonymous = httpx.get(url, timeout=60)
    assert anonymous.status_code == 200
    assert anonymous.headers["www-authenticate"].startswith('Basic realm="ccat.example"')
    assert "Bearer" in anonymous.headers["www-authenticate"]
    assert "x-vo-authenticated" not in anonymous.headers
    assert "Authorization" in anonymous.headers["vary"]
    for credentials in (bearer(token), basic("clara", PASSWORD)):
        answer = httpx.get(url, headers=credentials, timeout=60)
        assert answer.status_code == 200
        assert answer.headers["x-vo-authenticated"] == "clara"
        assert "www-authenticate" not in answer.headers
        assert answer.headers["cache-control"] in ("private", "private, no-cache")
        assert "Authorization" in answer.headers["vary"]


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        (bearer("0" * 64), "unknown, expired or revoked"),
        ({"Authorization": "bearer"}, "unknown, expired or revoked"),
        (basic("clara", "wrong"), "wrong name or password"),
        (basic("nobody", PASSWORD), "wrong name or password"),
        (basic("clara\0", PASSWORD), "wrong name or password"),
        (basic("synthetic-admin", ""), "wrong name or password"),
        ({"Authorization": "Basic Y2xhcmE="}, "have no colon"),
        ({"Authorization": "Basic ???"}, "cannot be read"),
        ({"Authorization": "Basic /w=="}, "cannot be read"),
        ({"Authorization": "Digest username=clara"}, "credentials come once"),
        ({"Authorization": ""}, "credentials come once"),
    ],
)
def test_wrong_credentials_are_never_taken_for_none(service: Any, headers: dict[str, str], message: str) -> None:
    for address in ("/tap/sync?LANG=ADQL&QUERY=SELECT+1+AS+a+FROM+ivoa.obscore", "/tap/capabilities", "/tap/async"):
        assert message in refused(httpx.get(service.url + address, headers=headers, timeout=60))
    page = httpx.get(service.url, headers=headers)
    assert (page.status_code, page.headers["content-type"]) == (401, "text/plain; charset=utf-8")
    assert message in page.text


def test_a_name_of_any_script_is_said_in_a_header(people: tuple[str, str], service: Any) -> None:
    with Database(people[0]) as database:
        accounts = AccountService(database)
        accounts.add_user("wukasz")
        with database.begin() as connection:  # an operations database that is attached has names of its own
            connection.execute(sa.update(User).where(User.username == "wukasz").values(username="Łukasz W. 100%"))
        secret = accounts.create_token("Łukasz W. 100%", "script")
    answer = httpx.get(f"{service.tap}/capabilities", headers=bearer(secret))
    assert (answer.status_code, answer.headers.get("x-vo-authenticated")) == (200, "%C5%81ukasz W. 100%25")


def test_two_credentials_are_no_credentials(service: Any, token: str) -> None:
    both = [("Authorization", f"Bearer {token}"), ("Authorization", f"Bearer {token}")]
    assert "credentials come once" in refused(httpx.get(f"{service.tap}/capabilities", headers=both))


def test_who_guesses_is_asked_to_wait(people: tuple[str, str], start: Callable[..., Any]) -> None:
    with start(people[0], jobs_url="sqlite:///jobs.db") as service:
        for _ in range(10):
            refused(httpx.get(f"{service.tap}/capabilities", headers=basic("clara", "guess")))
        answer = httpx.get(f"{service.tap}/capabilities", headers=basic("clara", PASSWORD))
        assert answer.status_code == 429
        assert 1 <= int(answer.headers["retry-after"]) <= 60
        assert "too many wrong credentials" in answer.text
        assert httpx.get(f"{service.tap}/capabilities").status_code == 200


def test_a_job_belongs_to_who_made_it(service: Any, accounts: AccountService, token: str) -> None:
    accounts.add_user("david")
    others = bearer(accounts.create_token("david", "script"))
    mine = bearer(token)
    made = httpx.post(f"{service.tap}/async", data={"LANG": "ADQL", "QUERY": QUERY}, headers=mine, timeout=60)
    job = made.headers["location"]
    assert made.headers["x-vo-authenticated"] == "clara"
    assert httpx.get(f"{job}/owner", headers=mine).text == "clara"

    for headers, status in ((others, 403), ({}, 403), (bearer("0" * 64), 401)):
        for resource in ("", "/phase", "/owner", "/parameters", "/results", "/results/result", "/error"):
            assert httpx.get(job + resource, headers=headers, timeout=60).status_code == status
        assert httpx.post(f"{job}/phase", data={"PHASE": "RUN"}, headers=headers).status_code == status
        assert httpx.delete(job, headers=headers).status_code == status
    assert httpx.get(f"{job}/phase", headers=mine).text == "PENDING"

    job_id = job.rpartition("/")[2]
    assert job_id in httpx.get(f"{service.tap}/async", headers=mine).text
    for headers in (others, {}):
        assert job_id not in httpx.get(f"{service.tap}/async", headers=headers).text

    assert httpx.post(f"{job}/phase", data={"PHASE": "RUN"}, headers=mine).status_code == 303
    assert httpx.get(f"{job}?WAIT=30&PHASE=QUEUED", headers=mine, timeout=60).headers["x-vo-authenticated"] == "clara"
    wait_for(lambda: httpx.get(f"{job}/phase", headers=mine).text == "COMPLETED")
    result = httpx.get(f"{job}/results/result", headers=mine)
    assert (result.status_code, result.headers["cache-control"]) == (200, "private, no-cache")
    assert httpx.delete(job, headers=mine).status_code == 303


def test_an_anonymous_job_stays_open_to_who_knows_its_address(service: Any, token: str) -> None:
    job = httpx.post(f"{service.tap}/async", data={"LANG": "ADQL", "QUERY": QUERY}).headers["location"]
    assert httpx.get(f"{job}/owner").text == ""
    assert httpx.get(job, headers=bearer(token)).status_code == 200


def test_what_ends_ends_at_once(service: Any, accounts: AccountService) -> None:
    accounts.add_user("erna")
    token = accounts.create_token("erna", "script")
    data = {"LANG": "ADQL", "QUERY": QUERY}
    job = httpx.post(f"{service.tap}/async", data=data, headers=bearer(token)).headers["location"]
    assert httpx.get(job, headers=bearer(token)).status_code == 200
    accounts.revoke_token(token[:8])
    refused(httpx.get(job, headers=bearer(token)))
    again = accounts.create_token("erna", "script")
    assert httpx.get(job, headers=bearer(again)).status_code == 200
    accounts.set_active("erna", False)
    refused(httpx.get(job, headers=bearer(again)))


def test_a_job_of_somebody_who_was_kept_out_does_not_run(
    people: tuple[str, str], start: Callable[..., Any], accounts: AccountService
) -> None:
    accounts.add_user("frida")
    headers = bearer(accounts.create_token("frida", "script"))
    with start(people[0], jobs_url="sqlite:///jobs.db", jobs_running_per_caller=1) as service:
        slow = "SELECT COUNT(*) AS n FROM fyst.files AS a, fyst.files AS b, fyst.files AS c, fyst.files AS d"
        first, second = (
            httpx.post(
                f"{service.tap}/async", data={"LANG": "ADQL", "QUERY": query, "PHASE": "RUN"}, headers=headers
            ).headers["location"]
            for query in (slow, QUERY)
        )
        wait_for(lambda: httpx.get(f"{first}/phase", headers=headers).text == "EXECUTING")
        accounts.set_active("frida", False)
        assert httpx.get(second, headers=headers).status_code == 401
        accounts.set_active("frida", True)
        assert httpx.get(f"{second}/phase", headers=headers).text == "QUEUED"
        accounts.set_active("frida", False)
        with Database(f"sqlite:///{service.log.parent / 'jobs.db'}") as jobs, jobs.begin() as connection:
            done = "UPDATE job SET phase = 'ABORTED' WHERE id = :id"
            connection.exec_driver_sql(done.replace(":id", "?"), (first.rpartition("/")[2],))
        wait_for(lambda: phase_in(service, second) == "ERROR")


def phase_in(service: Any, job: str) -> str:
    """The phase of a job as its database has it."""
    with Database(f"sqlite:///{service.log.parent / 'jobs.db'}") as jobs, jobs.engine.connect() as connection:
        found = connection.exec_driver_sql("SELECT phase FROM job WHERE id = ?", (job.rpartition("/")[2],))
        return str(found.scalar_one())


@pytest.mark.filterwarnings("ignore:unclosed <socket", "ignore::pytest.PytestUnraisableExceptionWarning")  # pyvo's
@pytest.mark.usefixtures("leaky_client")
def test_pyvo_asks_as_somebody(service: Any, token: str) -> None:
    for session in (requests.Session(), requests.Session()):
        session.headers.update(bearer(token))
        tap = pyvo.dal.TAPService(service.tap, session=session)
        assert len(tap.search(QUERY)) == 3
        job = tap.submit_job(QUERY)
        assert job.owner == "clara"
        job.run()
        job.wait(phases=["COMPLETED", "ERROR"], timeout=60)
        assert len(job.fetch_result()) == 3
        job.delete()
        session.close()


METHODS = {"ivo://ivoa.net/sso#BasicAA", "ivo://ivoa.net/sso#OAuth"}


def test_capabilities_name_the_ways_to_log_in_after_the_address_for_everybody(service: Any, token: str) -> None:
    documents = [httpx.get(f"{service.tap}/capabilities", headers=headers) for headers in ({}, bearer(token))]
    assert documents[0].content == documents[1].content
    offered = {}
    for capability in etree.fromstring(documents[0].content):
        interfaces = [each for each in capability if etree.QName(each).localname == "interface"]
        assert interfaces[0].find("securityMethod") is None
        assert len({each.findtext("accessURL") for each in interfaces}) == 1
        offered[capability.get("standardID")] = {
            method.get("standardID") for each in interfaces for method in each.iter("securityMethod")
        }
    everybody = {"VOSI#capabilities", "VOSI#availability", "DALI#examples"}
    assert {name.rpartition("/")[2] for name, methods in offered.items() if not methods} == everybody
    assert all(methods in (METHODS, set()) for methods in offered.values())
    assert {"TAP", "VOSI#tables-1.1", "DataLink#links-1.1"} <= {
        name.rpartition("/")[2] for name, methods in offered.items() if methods
    }


@pytest.mark.filterwarnings("ignore:unclosed <socket", "ignore::pytest.PytestUnraisableExceptionWarning")  # pyvo's
@pytest.mark.usefixtures("leaky_client")
@pytest.mark.parametrize("way", ["nothing", "password", "token"])
def test_pyvo_finds_out_how_to_log_in(service: Any, token: str, way: str) -> None:
    session = pyvo.auth.AuthSession()
    if way == "password":
        session.credentials.set_password("clara", PASSWORD.encode().decode("latin-1"))
    elif way == "token":
        with_token = requests.Session()
        with_token.headers.update(bearer(token))
        session.credentials.set("ivo://ivoa.net/sso#OAuth", with_token)
    tap = pyvo.dal.TAPService(service.tap, session=session)
    session.update_from_capabilities(tap.capabilities)
    assert len(tap.search(QUERY)) == 3
    job = tap.submit_job(QUERY)
    assert (job.owner or None) == (None if way == "nothing" else "clara")
    job.run().wait(phases=["COMPLETED", "ERROR"], timeout=60)
    assert len(job.fetch_result()) == 3
    job.delete()
    for each in session.credentials.credentials.values():
        each.close()


@pytest.fixture(scope="module")
def hiding(people: tuple[str, str], engine: str, start: Callable[..., Any]) -> Iterator[Any]:
    """A service that shows metadata of what is released, and the rest to its programme and to staff."""
    with start(people[0], access_hide_unreleased="true", jobs_url="sqlite:///jobs.db") as running:
        yield running


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    """A patient one."""
    with httpx.Client(timeout=60) as made:
        yield made


def test_a_scoped_token_gains_no_row_by_a_job(hiding: Any, accounts: AccountService, client: httpx.Client) -> None:
    """Whatever its user may see: at once, as a job, and by way of a job that a wider token has prepared or done."""
    accounts.add_user("greta", roles=["service", "viewer"])
    accounts.set_member("greta", "GEco", held=True)
    scopes = {"wide": [], "staff": ["read:unreleased"], "member": ["read:observations"], "none": ["write:transfers"]}
    tokens = {
        name: bearer(accounts.create_token("greta", name, scopes=granted)) for name, granted in scopes.items()
    } | {"nobody": {}}
    query = {"LANG": "ADQL", "QUERY": "SELECT COUNT(*) AS n FROM ivoa.obscore", "RESPONSEFORMAT": "csv"}
    at_once = {
        name: int(client.get(f"{hiding.tap}/sync", params=query, headers=headers).text.split()[1])
        for name, headers in tokens.items()
    }
    assert at_once["nobody"] <= at_once["none"] < at_once["member"] < at_once["staff"] == at_once["wide"]

    def make(headers: dict[str, str], **more: str) -> str:
        return client.post(f"{hiding.tap}/async", data=query | more, headers=headers).headers["location"]

    for name, headers in tokens.items():
        job = make(headers, PHASE="RUN")
        wait_for(lambda job=job, headers=headers: client.get(f"{job}/phase", headers=headers).text == "COMPLETED")
        counted = client.get(f"{job}/results/result", headers=headers).text.split()[1]
        assert int(counted) == at_once[name], name

    prepared, done = make(tokens["wide"]), make(tokens["wide"], PHASE="RUN")
    wait_for(lambda: client.get(f"{done}/phase", headers=tokens["wide"]).text == "COMPLETED")
    for name in ("staff", "member", "none", "nobody"):
        headers = tokens[name]
        for path in ("", "/results/result", "/results", "/parameters"):
            assert client.get(done + path, headers=headers).status_code == 403
        assert client.post(f"{prepared}/phase", data={"PHASE": "RUN"}, headers=headers).status_code == 403
        assert client.post(f"{prepared}/parameters", data=query, headers=headers).status_code == 403
        if headers:
            listed = client.get(f"{hiding.tap}/async", headers=headers).text
            assert prepared.rpartition("/")[2] not in listed
            assert done.rpartition("/")[2] not in listed

    narrow = make(tokens["none"])
    assert client.post(f"{narrow}/phase", data={"PHASE": "RUN"}, headers=tokens["wide"]).status_code == 303
    wait_for(lambda: client.get(f"{narrow}/phase", headers=tokens["wide"]).text == "COMPLETED")
    counted = client.get(f"{narrow}/results/result", headers=tokens["none"]).text.split()[1]
    assert int(counted) == at_once["none"]


def test_commands_show_what_a_user_would_see(people: tuple[str, str], accounts: AccountService, tmp_path: Path) -> None:
    accounts.add_user("heidi", roles=["service"])
    hides = {"CATALOG_ACCESS_HIDE_UNRELEASED": "true"}

    def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
        environ = {name: value for name, value in os.environ.items() if not name.startswith("CATALOG_")} | hides
        return subprocess.run(
            [CATALOG, *words, "--db", people[0]], capture_output=True, text=True, env=environ, check=False
        )

    count = "SELECT COUNT(*) AS n FROM ivoa.obscore"
    seen = [
        int(run("query", count, "--format", "csv", *as_user).stdout.split()[1])
        for as_user in ((), ("--as", "clara"), ("--as", "heidi"))
    ]
    assert seen[0] < seen[1] < seen[2]
    for words, rows in (((), seen[0]), (("--as", "heidi"), seen[2])):
        written = run("export", "obscore", "-o", tmp_path / "o.csv", "--json", *words)
        assert json.loads(written.stdout)["rows"] == rows
        assert f"rows: {rows:,}, about " in run("explain", "SELECT obs_id FROM ivoa.obscore", *words).stdout
    nobody = run("query", count, "--as", "nobody")
    assert (nobody.returncode, nobody.stdout) == (2, "")
    assert "there is no active user nobody" in nobody.stderr


def test_no_secret_is_written_down(service: Any, token: str) -> None:
    url = f"{service.tap}/capabilities"
    httpx.get(url, headers=bearer(token))
    httpx.get(url, headers=basic("clara", PASSWORD))
    httpx.get(url, headers=basic("clara", "a-wrong-secret"))
    log = service.log.read_text()
    encoded = basic("clara", PASSWORD)["Authorization"].split()[1]
    for secret in (token, PASSWORD, encoded, "a-wrong-secret"):
        assert secret not in log
    wrong = "0123456789abcdef"
    faulty = f"{service.tap}/sync?LANG=ADQL&QUERY=SELECT+nonsense"
    for address in (
        url,
        faulty,
        f"{service.tap}/async/none",
        f"{service.url}/nowhere",
        f"{service.url}/datalink/links",
    ):
        for headers in (
            bearer(wrong),
            basic("clara", wrong),
            {"Authorization": wrong},
            {"Authorization": f"Digest {wrong}"},
        ):
            assert wrong not in httpx.get(address, headers=headers, timeout=60).text
            assert basic("clara", wrong)["Authorization"].split()[1] not in service.log.read_text()
    for name in ("access_token", "token", "Authorization"):
        answer = httpx.get(faulty, params={"LANG": "ADQL", "QUERY": "SELECT nonsense", name: token}, timeout=60)
        assert answer.status_code == 400
        assert token not in answer.text
        httpx.get(f"{service.url}/nowhere", params={name: token})
    log = service.log.read_text()
    assert token not in log
    assert wrong not in log


def test_a_token_in_the_url_is_nobodys(service: Any, token: str) -> None:
    for name in ("access_token", "token", "Authorization"):
        answer = httpx.get(f"{service.tap}/async", params={name: token})
        assert "x-vo-authenticated" not in answer.headers


def test_where_nobody_can_log_in_nothing_is_offered_and_nothing_taken(own_url: str, start: Callable[..., Any]) -> None:
    with start(own_url) as service:
        plain = httpx.get(f"{service.tap}/capabilities")
        assert (plain.status_code, "www-authenticate" in plain.headers) == (200, False)
        assert "securityMethod" not in plain.text
        refused(httpx.get(f"{service.tap}/capabilities", headers=basic("synthetic-admin", "synthetic-admin")))


def test_a_page_of_another_site_may_send_credentials_that_it_has(service: Any, token: str) -> None:
    asked = {
        "origin": "https://aladin.example",
        "access-control-request-method": "GET",
        "access-control-request-headers": "authorization",
    }
    allowed = httpx.options(f"{service.tap}/sync", headers=asked)
    assert allowed.status_code == 200
    assert "authorization" in allowed.headers["access-control-allow-headers"].lower()
    answer = httpx.get(f"{service.tap}/capabilities", headers={"origin": "https://aladin.example"} | bearer(token))
    assert "access-control-allow-credentials" not in answer.headers


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
