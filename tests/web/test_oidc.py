"""Logins by tokens of institutes: of a provider that people log in at, and of one whose keys the test has."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from issuers import AUDIENCE, LocalIssuer, local_issuer
from lxml import etree

from catalog.db import Database
from catalog.opsdb.accounts import AccountService

QUERY = "SELECT TOP 3 obs_publisher_did FROM ivoa.obscore ORDER BY obs_publisher_did"


@pytest.fixture(scope="module")
def issuer() -> Iterator[LocalIssuer]:
    with local_issuer() as made:
        yield made


@pytest.fixture(scope="module")
def provider() -> Iterator[str]:
    """Base URL of an OpenID provider."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    people = json.dumps({"sub": "dora", "groups": ["observers"]})
    command = [sys.executable, "-W", "ignore", "-m", "oidc_provider_mock", "-p", str(port), "--user-claims", people]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://localhost:{port}"
    try:
        deadline = time.monotonic() + 60
        while not answers(url):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait(20)


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/.well-known/openid-configuration").is_success
    except httpx.TransportError:
        return False


def log_in(provider: str, subject: str) -> str:
    """The token that a program gets for somebody by the authorization code flow."""
    program = {"client_id": AUDIENCE, "redirect_uri": "http://localhost/done"}
    asked = program | {"response_type": "code", "scope": "openid", "state": "x"}
    sent = httpx.post(f"{provider}/oauth2/authorize", params=asked, data={"sub": subject}, timeout=30)
    [code] = parse_qs(urlsplit(sent.headers["location"]).query)["code"]
    form = program | {"grant_type": "authorization_code", "code": code, "client_secret": "any"}
    return str(httpx.post(f"{provider}/oauth2/token", data=form, timeout=30).json()["id_token"])


@pytest.fixture(scope="module")
def url(copy_of_filled: Callable[[], str]) -> str:
    """A database in which clara, and emil who may not log in any more, are users."""
    made = copy_of_filled()
    with Database(made) as database:
        accounts = AccountService(database)
        accounts.add_user("clara@old", roles=["viewer"])
        accounts.add_user("emil@old")
        accounts.set_active("emil@old", False)
        accounts.add_user("fred@new")
        accounts.set_active("fred@new", False)
    return made


@pytest.fixture(scope="module")
def lost() -> LocalIssuer:
    """An issuer that is not there."""
    with local_issuer() as made:
        return made


@pytest.fixture(scope="module")
def service(
    url: str, engine: str, issuer: LocalIssuer, lost: LocalIssuer, provider: str, start: Callable[..., Any]
) -> Iterator[Any]:
    issuers: list[dict[str, Any]] = [
        {"url": issuer.url, "username_suffix": "@old", "roles_claim": "groups", "roles": {"core": "service"}},
        {"url": provider, "username_suffix": "@new", "creates_users": True},
        {"url": lost.url, "username_suffix": "@lost"},
    ]
    jobs = {"jobs_url": url} if engine == "postgresql" else {}
    with start(url, oidc_issuers=json.dumps([each | {"audience": AUDIENCE} for each in issuers]), **jobs) as found:
        yield found


def ask(service: Any, token: str, path: str = "/tap/capabilities") -> httpx.Response:
    return httpx.get(service.url + path, headers=bearer(token), timeout=60)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def refusal(answer: httpx.Response) -> str:
    assert answer.status_code == 401, answer.text
    assert "Bearer" in answer.headers["www-authenticate"]
    assert "x-vo-authenticated" not in answer.headers
    [info] = etree.fromstring(answer.content).findall(".//{*}INFO[@name='QUERY_STATUS']")
    return str(info.text)


def test_who_logs_in_at_a_provider_is_known_here(service: Any, provider: str, url: str) -> None:
    for _ in range(2):
        answer = ask(service, log_in(provider, "dora"), f"/tap/sync?LANG=ADQL&QUERY={QUERY}")
        assert (answer.status_code, answer.headers["x-vo-authenticated"]) == (200, "dora@new")
    with Database(url) as database:
        [made] = [user for user in AccountService(database).users() if user.username == "dora@new"]
    assert (made.active, made.has_password, made.roles) == (True, False, ())


def test_whom_the_operators_keep_out_no_provider_lets_in(service: Any, provider: str, issuer: LocalIssuer) -> None:
    assert "names nobody who may log in" in refusal(ask(service, log_in(provider, "fred")))
    assert "names nobody who may log in" in refusal(ask(service, issuer.token(sub="emil")))


def test_where_nobody_is_made_only_users_are_let_in(service: Any, issuer: LocalIssuer, url: str) -> None:
    assert ask(service, issuer.token()).headers["x-vo-authenticated"] == "clara@old"
    assert "names nobody who may log in" in refusal(ask(service, issuer.token(sub="nobody")))
    with Database(url) as database:
        assert "nobody@old" not in {user.username for user in AccountService(database).users()}


@pytest.mark.parametrize("name", ["a b", "é", "a\nb", "x" * 200, "<b>", ":"])
def test_what_is_no_name_makes_no_user(service: Any, provider: str, name: str) -> None:
    message = refusal(ask(service, log_in(provider, name)))
    assert "is no name of a user" in message or "names nobody" in message


def test_wrong_tokens_are_refused_everywhere_and_never_taken_for_none(service: Any, issuer: LocalIssuer) -> None:
    good = issuer.token()
    head, claims, signature = good.split(".")
    now = int(time.time())
    wrong = {
        issuer.token(exp=now - 3600): "expired",
        issuer.token(nbf=now + 3600): "not valid yet",
        issuer.token(aud="another"): "another service",
        issuer.token(iss="https://evil.example"): "not taken here",
        issuer.token(header={"kid": "unknown"}): "does not have",
        f"eyJhbGciOiJub25lIn0.{claims}.": "private key",
        f"{head}.{claims}.{signature[:-6]}AAAAAA": "signature",
        f"{head}.{claims}": "unknown, expired or revoked",
        "..": "cannot be read",
    }
    for token, message in wrong.items():
        for path in ("/tap/capabilities", f"/tap/sync?LANG=ADQL&QUERY={QUERY}", "/datalink/links?ID=x"):
            assert message in refusal(ask(service, token, path))
    assert ask(service, good).status_code == 200
    log = service.log.read_text()
    assert not [token for token in (good, *wrong) if len(token) > 2 and token in log]


def test_an_issuer_that_is_away_is_said_to_be(service: Any, issuer: LocalIssuer, lost: LocalIssuer) -> None:
    for _ in range(2):
        answer = ask(service, lost.token())
        assert answer.status_code == 503
        assert "x-vo-authenticated" not in answer.headers
        assert "cannot be asked for its keys now" in answer.text
        assert str(lost.port) not in answer.text
    assert ask(service, issuer.token()).status_code == 200
    assert httpx.get(f"{service.tap}/capabilities").status_code == 200
    assert "cannot be asked for its keys" in service.log.read_text()


def test_a_job_made_with_roles_of_the_institute_is_shown_to_who_has_them(
    service: Any, issuer: LocalIssuer, url: str
) -> None:
    with Database(url) as database:
        plain = AccountService(database).create_token("clara@old", "script")
    data = {"LANG": "ADQL", "QUERY": QUERY, "PHASE": "RUN"}
    core = bearer(issuer.token(groups=["core"]))
    job = httpx.post(f"{service.tap}/async", data=data, headers=core, timeout=60).headers["location"]
    deadline = time.monotonic() + 60
    while httpx.get(f"{job}/phase", headers=core).text not in ("COMPLETED", "ERROR"):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert httpx.get(f"{job}/results/result", headers=core).status_code == 200
    listed = [httpx.get(f"{service.tap}/async", headers=each).text for each in (core, bearer(plain))]
    assert [job.rpartition("/")[2] in text for text in listed] == [True, False]
    for token in (plain, issuer.token(), issuer.token(groups=["others"])):
        for path in ("", "/results/result", "/phase"):
            assert httpx.get(job + path, headers=bearer(token)).status_code == 403
    assert httpx.delete(job, headers=core).status_code == 303


def test_logins_are_offered_where_institutes_have_them(service: Any) -> None:
    answer = httpx.get(f"{service.tap}/capabilities")
    assert (answer.status_code, "Bearer" in answer.headers["www-authenticate"]) == (200, True)
