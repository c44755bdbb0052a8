"""Signed tokens: what counts, what does not, and keys that come and go."""

from __future__ import annotations

import base64
import hmac
import json
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from issuers import AUDIENCE, LocalIssuer, issuer, send
from joserfc.jwk import ECKey, OKPKey, RSAKey

from catalog.errors import SettingsError, UnavailableError, UsageError
from catalog.oidc.keys import IssuerKeys
from catalog.oidc.tokens import Issuer, Subject, TokenVerifier, is_signed_token
from catalog.settings import Settings, load_settings

__all__ = ["issuer"]

DISCOVERY = "/realm/.well-known/openid-configuration"
KEYS = "/realm/keys?all=1"
DAY = 86_400


class Clock:
    """Seconds that the test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keys(issuer: LocalIssuer, clock: Clock) -> IssuerKeys:
    return IssuerKeys(issuer.url, keys_s=600, fetch_s=2, clock=clock)


@pytest.fixture
def verifier(issuer: LocalIssuer, keys: IssuerKeys) -> TokenVerifier:
    return TokenVerifier([Issuer(issuer.url, AUDIENCE, keys, leeway_s=5)])


def refusal(verifier: TokenVerifier, token: str) -> str:
    with pytest.raises(UsageError) as caught:
        verifier.verify(token)
    return caught.value.message


def part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def test_a_good_token_names_its_user_and_the_keys_are_fetched_once(
    issuer: LocalIssuer, verifier: TokenVerifier
) -> None:
    for _ in range(3):
        assert verifier.verify(issuer.token()) == Subject("clara", frozenset(), may_be_created=False)
    assert verifier.verify(issuer.token(aud=["another", AUDIENCE], nbf=None, iat=None)).username == "clara"
    assert issuer.asked == [DISCOVERY, KEYS]
    assert is_signed_token(issuer.token())


@pytest.mark.parametrize(
    ("key", "alg"),
    [
        (RSAKey.generate_key(2048, {"kid": "k"}), "RS256"),
        (RSAKey.generate_key(2048, {"kid": "k"}), "RS512"),
        (RSAKey.generate_key(2048, {"kid": "k"}), "PS256"),
        (ECKey.generate_key("P-256", {"kid": "k"}), "ES256"),
        (ECKey.generate_key("P-384", {"kid": "k"}), "ES384"),
        (OKPKey.generate_key("Ed25519", {"kid": "k"}), "EdDSA"),
    ],
)
@pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")
def test_every_kind_of_public_key_will_do(issuer: LocalIssuer, verifier: TokenVerifier, key: Any, alg: str) -> None:
    issuer.keys.append(key)
    token = issuer.token(key, header={"alg": alg})
    assert verifier.verify(token).username == "clara"
    head, claims, signature = token.split(".")
    assert "signature" in refusal(verifier, f"{head}.{claims}.{signature[:-8]}AAAAAAAA")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"exp": int(time.time()) - DAY}, "expired"),
        ({"exp": int(time.time()) - 7}, "expired"),
        ({"exp": None}, "lacks one of exp"),
        ({"exp": "soon"}, "cannot be read"),
        ({"nbf": int(time.time()) + DAY}, "not valid yet"),
        ({"iat": int(time.time()) + DAY}, "not valid yet"),
        ({"aud": "another"}, "another service"),
        ({"aud": [AUDIENCE + "x", "another"]}, "another service"),
        ({"aud": []}, "lacks one of"),
        ({"aud": None}, "lacks one of"),
        ({"iss": "http://127.0.0.1:1/realm"}, "not taken here"),
        ({"iss": None}, "not taken here"),
        ({"iss": ["x"]}, "not taken here"),
        ({"sub": None}, "does not name a user"),
        ({"sub": ""}, "does not name a user"),
    ],
)
def test_what_a_token_says_must_be_right(
    issuer: LocalIssuer, verifier: TokenVerifier, changes: dict[str, Any], message: str
) -> None:
    assert message in refusal(verifier, issuer.token(**changes))


def test_clocks_may_differ_a_little(issuer: LocalIssuer, verifier: TokenVerifier) -> None:
    now = int(time.time())
    assert verifier.verify(issuer.token(exp=now - 2, nbf=now + 3, iat=now + 3)).username == "clara"


def test_a_token_must_be_signed_by_a_private_key_of_its_issuer(issuer: LocalIssuer, verifier: TokenVerifier) -> None:
    key = issuer.keys[0]
    claims = issuer.claims()
    for alg in ("none", "None", "", None):
        assert "private key" in refusal(verifier, f"{part({'alg': alg, 'kid': 'first'})}.{part(claims)}.")
    signed = f"{part({'alg': 'HS256', 'kid': 'first'})}.{part(claims)}"
    for public in (key.as_pem(private=False), key.as_der(private=False), key.as_pem(private=False).strip()):
        code = base64.urlsafe_b64encode(hmac.digest(public, signed.encode(), "sha256")).rstrip(b"=").decode()
        assert "private key" in refusal(verifier, f"{signed}.{code}")
    forged = RSAKey.generate_key(2048, {"kid": "first"})
    assert "signature" in refusal(verifier, issuer.token(forged))
    assert "signature" in refusal(verifier, issuer.token(forged, header={"jwk": forged.as_dict(private=False)}))
    assert "signature" in refusal(verifier, issuer.token(forged, header={"jku": f"{issuer.url}/others"}))
    assert "/realm/others" not in issuer.asked
    assert "another algorithm" in refusal(verifier, issuer.token(key, header={"alg": "RS512"}))
    assert verifier.verify(issuer.token()).username == "clara"


def test_what_is_changed_after_signing_counts_for_nothing(issuer: LocalIssuer, verifier: TokenVerifier) -> None:
    head, claims, signature = issuer.token(sub="mallory").split(".")
    assert "signature" in refusal(verifier, f"{head}.{part(issuer.claims())}.{signature}")
    assert "signature" in refusal(
        verifier, f"{part({'alg': 'RS256', 'kid': 'first', 'typ': 'x'})}.{claims}.{signature}"
    )
    assert "signature" in refusal(verifier, f"{head}.{claims}.")
    critical = {"alg": "RS256", "kid": "first", "crit": ["exp"], "exp": 1}
    assert "extensions" in refusal(verifier, f"{part(critical)}.{claims}.{signature}")


@pytest.mark.parametrize(
    "token",
    [
        "..",
        "a.b.c",
        "é.é.é",
        f"{part([])}.{part({})}.",
        f"{part({})}.{part(7)}.",
        "x" * 20_000 + "..",
        "[" * 15_000 + "..",
    ],
)
def test_what_is_no_token_is_refused(issuer: LocalIssuer, verifier: TokenVerifier, token: str) -> None:
    assert "token" in refusal(verifier, token)
    deep = base64.urlsafe_b64encode(b"[" * 9_000).decode()
    assert "cannot be read" in refusal(verifier, f"{deep}.{part({})}.")
    assert "cannot be read" in refusal(verifier, f"{part({'alg': 'RS256', 'kid': 7})}.{part(issuer.claims())}.AA")
    assert issuer.asked == []


@pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")
def test_keys_of_other_uses_and_weak_ones_sign_nothing(issuer: LocalIssuer, verifier: TokenVerifier) -> None:
    sealing = RSAKey.generate_key(2048, {"kid": "sealing", "use": "enc"})
    weak = RSAKey.generate_key(1024, {"kid": "weak"})
    issuer.keys += [sealing, weak]
    assert "does not have" in refusal(verifier, issuer.token(sealing))
    assert "cannot be read" in refusal(verifier, issuer.token(weak))


def test_without_a_key_identifier_there_must_be_one_key(
    issuer: LocalIssuer, verifier: TokenVerifier, clock: Clock
) -> None:
    token = issuer.token(header={"kid": None})
    assert verifier.verify(token).username == "clara"
    issuer.keys.append(RSAKey.generate_key(2048, {"kid": "second"}))
    clock.now += 601
    assert "does not have" in refusal(verifier, token)


def test_new_keys_are_found_and_old_ones_forgotten(issuer: LocalIssuer, verifier: TokenVerifier, clock: Clock) -> None:
    old = issuer.token()
    assert verifier.verify(old).username == "clara"
    issuer.keys = [RSAKey.generate_key(2048, {"kid": "second"})]
    clock.now += 31
    assert verifier.verify(issuer.token()).username == "clara"
    assert len(issuer.asked) == 4
    assert "does not have" in refusal(verifier, old)
    assert len(issuer.asked) == 4


def test_unknown_keys_do_not_make_us_ask_without_end(
    issuer: LocalIssuer, verifier: TokenVerifier, clock: Clock
) -> None:
    verifier.verify(issuer.token())
    clock.now += 31
    for _ in range(50):
        assert "does not have" in refusal(verifier, issuer.token(header={"kid": "none such"}))
    assert len(issuer.asked) == 4
    clock.now += 31
    refusal(verifier, issuer.token(header={"kid": "none such"}))
    assert len(issuer.asked) == 6


def test_unknown_keys_do_not_wait_for_a_slow_issuer(issuer: LocalIssuer, verifier: TokenVerifier, clock: Clock) -> None:
    token, unknown = issuer.token(), issuer.token(header={"kid": "none such"})
    verifier.verify(token)
    clock.now += 31
    issuer.answers[DISCOVERY] = slowly
    with ThreadPoolExecutor(1) as asking:
        first = asking.submit(verifier.verify, unknown)
        while len(issuer.asked) < 3:
            time.sleep(0.01)
        begun = time.monotonic()
        for _ in range(3):
            with pytest.raises(UnavailableError, match="asked for new keys"):
                verifier.verify(unknown)
        assert verifier.verify(token).username == "clara"
        assert time.monotonic() - begun < 1
        assert isinstance(first.exception(), UnavailableError)


def test_while_the_issuer_is_away_known_keys_count_for_their_time(
    issuer: LocalIssuer, verifier: TokenVerifier, clock: Clock
) -> None:
    token, unknown = issuer.token(), issuer.token(header={"kid": "none such"})
    verifier.verify(token)
    issuer.go_away()
    clock.now += 599
    assert verifier.verify(token).username == "clara"
    with pytest.raises(UnavailableError):
        verifier.verify(unknown)
    assert verifier.verify(token).username == "clara"
    clock.now += 2
    for _ in range(3):
        with pytest.raises(UnavailableError, match="cannot be asked for its keys now"):
            verifier.verify(token)
    issuer.come_back()
    with pytest.raises(UnavailableError):
        verifier.verify(token)
    clock.now += 6
    assert verifier.verify(token).username == "clara"


def slowly(request: BaseHTTPRequestHandler) -> None:
    request.send_response(200)
    request.end_headers()
    try:
        for _ in range(100):
            request.wfile.write(b" ")
            request.wfile.flush()
            time.sleep(0.1)
    except OSError:
        pass


def endlessly(request: BaseHTTPRequestHandler) -> None:
    request.send_response(200)
    request.end_headers()
    try:
        for _ in range(1000):
            request.wfile.write(b" " * 10_000)
    except OSError:
        pass


WRONG_ANSWERS = {
    "slow": slowly,
    "endless": endlessly,
    "failing": lambda request: send(request, 500, b"{}"),
    "no JSON": lambda request: send(request, 200, b"<html>"),
    "no object": lambda request: send(request, 200, b"[]"),
    "deep": lambda request: send(request, 200, b"[" * 500_000),
    "another issuer": lambda request: send(request, 200, b'{"issuer": "https://evil.example", "jwks_uri": "x"}'),
    "redirecting": lambda request: send(request, 302, b"", Location="/realm/keys?all=1"),
    "cut short": lambda request: send(request, 200, b"{", **{"Content-Length": "100"}),
}


@pytest.mark.parametrize("kind", WRONG_ANSWERS)
@pytest.mark.parametrize("path", [DISCOVERY, KEYS])
def test_an_issuer_that_answers_wrongly_is_unavailable(issuer: LocalIssuer, path: str, kind: str) -> None:
    issuer.answers[path] = WRONG_ANSWERS[kind]
    keys = IssuerKeys(issuer.url, keys_s=600, fetch_s=0.5)
    verifier = TokenVerifier([Issuer(issuer.url, AUDIENCE, keys)])
    begun = time.monotonic()
    with pytest.raises(UnavailableError, match="cannot be asked for its keys now"):
        verifier.verify(issuer.token())
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize("url", ["http://keys.example/", "ftp://127.0.0.1/", "file:///etc/passwd", "None", "//x"])
def test_keys_come_by_https_only(issuer: LocalIssuer, verifier: TokenVerifier, url: str) -> None:
    issuer.answers[DISCOVERY] = lambda request: send(
        request, 200, json.dumps({"issuer": issuer.url, "jwks_uri": url}).encode()
    )
    with pytest.raises(UnavailableError):
        verifier.verify(issuer.token())


@pytest.mark.parametrize(
    ("name", "claims", "roles"),
    [
        ("groups", {"groups": ["staff", "others", 7, "pi"]}, {"observer", "viewer"}),
        ("groups", {"groups": "others staff"}, {"observer"}),
        ("groups", {"groups": {"staff": 1}}, set()),
        ("groups", {}, set()),
        ("realm_access.roles", {"realm_access": {"roles": ["pi"]}}, {"viewer"}),
        ("https://x.example/groups", {"https://x.example/groups": ["pi"]}, {"viewer"}),
        ("a.b", {"a.b": ["staff"], "a": {"b": ["pi"]}}, {"observer"}),
        ("a.b", {"a": "text"}, set()),
        (None, {"groups": ["staff"]}, set()),
    ],
)
def test_claims_become_roles(
    issuer: LocalIssuer, keys: IssuerKeys, name: str | None, claims: dict[str, Any], roles: set[str]
) -> None:
    mapped = {"staff": "observer", "pi": "viewer"}
    taken = Issuer(issuer.url, AUDIENCE, keys, roles_claim=name, roles=mapped, username_suffix="@x", creates_users=True)
    verifier = TokenVerifier([taken])
    assert verifier.verify(issuer.token(**claims)) == Subject("clara@x", frozenset(roles), may_be_created=True)
    assert verifier.roles == {"observer", "viewer"}


ISSUER = {"url": "https://login.example/realm", "audience": "catalog"}


def test_issuers_are_read_from_file_and_environment(tmp_path: Any) -> None:
    path = tmp_path / "catalog.toml"
    path.write_text('[[oidc.issuers]]\nurl = "https://a.example"\naudience = "c"\nroles = {staff = "observer"}\n')
    [found] = load_settings(path, {}).oidc.issuers
    assert (found.url, found.username_claim, found.roles) == ("https://a.example", "sub", {"staff": "observer"})
    [found] = load_settings(path, {"CATALOG_OIDC_ISSUERS": json.dumps([ISSUER])}).oidc.issuers
    assert found.url == "https://login.example/realm"
    with pytest.raises(SettingsError, match="JSON array"):
        load_settings(path, {"CATALOG_OIDC_ISSUERS": "https://a.example"})


@pytest.mark.parametrize(
    ("issuers", "message"),
    [
        ([ISSUER | {"url": "http://login.example"}], "expected a URL"),
        ([ISSUER | {"url": "https://me:word@login.example"}], "expected a URL"),
        ([ISSUER | {"url": "https://login.example?x"}], "expected a URL"),
        ([ISSUER | {"url": "https://login.example:0"}], "expected a URL"),
        ([ISSUER | {"url": "https://"}], "expected a URL"),
        ([ISSUER | {"audience": ""}], "audience"),
        ([{"url": "https://login.example"}], "audience"),
        ([ISSUER | {"algorithms": ["HS256"]}], "algorithms"),
        ([ISSUER, ISSUER], "named twice"),
        ([ISSUER | {"creates_users": True}], "would be that user"),
        ([ISSUER, ISSUER | {"url": "https://b.example"}], "could name users"),
        ([ISSUER, ISSUER | {"url": "https://b.example", "username_suffix": "@b"}], "could name users"),
        (
            [ISSUER | {"username_suffix": "@a.b"}, ISSUER | {"url": "https://b.example", "username_suffix": "b"}],
            "could name users",
        ),
    ],
)
def test_issuers_that_cannot_be_trusted_are_refused(issuers: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Settings.model_validate({"oidc": {"issuers": issuers}})


def test_nobody_is_made_in_attached_tables() -> None:
    making = ISSUER | {"creates_users": True, "username_suffix": "@a"}
    with pytest.raises(ValueError, match="in attached tables: creates_users"):
        Settings.model_validate({"attached": {}, "oidc": {"issuers": [making]}})
    assert Settings.model_validate({"attached": {}, "oidc": {"issuers": [ISSUER]}}).oidc.issuers
