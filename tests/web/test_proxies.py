"""Who asks and under which name, behind proxies that are trusted and others that are not."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from lxml import etree
from starlette.requests import Request

from catalog.settings import Settings
from catalog.web.proxies import client_address, public_url

OWN = "http://127.0.0.1:8080"


def asked(headers: dict[str, str], *, peer: str | None = "10.0.0.1", **service: object) -> Request:
    """A request from this peer, to a service that trusts the network 10.0.0.0/8 and an address on its own machine."""
    settings = Settings.model_validate({"service": {"trusted_proxies": ["10.0.0.0/8", "::1"], **service}})
    catalog = SimpleNamespace(settings=settings, public_url=lambda path: f"{settings.service.url}{path}")
    raw = [(name.lower().encode(), value.encode()) for name, value in {"Host": "inside:8080", **headers}.items()]
    app = SimpleNamespace(state=SimpleNamespace(catalog=catalog))
    client = None if peer is None else (peer, 40_000)
    return Request({"type": "http", "method": "GET", "path": "/", "headers": raw, "client": client, "app": app})


# --- under which name ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "url"),
    [
        ({"X-Forwarded-Proto": "https", "X-Forwarded-Host": "a.example"}, "https://a.example"),
        ({"X-Forwarded-Proto": "HTTPS", "X-Forwarded-Host": "a.example:8443"}, "https://a.example:8443"),
        ({"X-Forwarded-Host": "a.example", "X-Forwarded-Prefix": "/fyst/"}, "http://a.example/fyst"),
        ({"X-Forwarded-Proto": "https"}, "https://inside:8080"),
        ({"X-Forwarded-Host": "spoofed.example, a.example"}, "http://a.example"),
        ({"X-Forwarded-Host": "[2001:db8::1]:81"}, "http://[2001:db8::1]:81"),
        ({"Forwarded": "for=1.2.3.4;proto=https;host=a.example"}, "https://a.example"),
        ({"Forwarded": 'for="[2001:db8::1]:4711" ; host="a.example:81";proto=http'}, "http://a.example:81"),
        ({"Forwarded": "host=spoofed.example, for=1.2.3.4;host=a.example"}, "http://a.example"),
        ({}, OWN),
    ],
)
def test_a_trusted_proxy_says_what_the_client_calls_us(headers: dict[str, str], url: str) -> None:
    assert public_url(asked(headers), "/tap") == f"{url}/tap"


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-Host": "a.example/path"},
        {"X-Forwarded-Host": 'a.example"><script>'},
        {"X-Forwarded-Host": "user@a.example"},
        {"X-Forwarded-Proto": "javascript", "X-Forwarded-Host": "a.example"},
        {"X-Forwarded-Host": "a.example", "X-Forwarded-Prefix": "//evil.example"},
        {"X-Forwarded-Host": "a.example", "X-Forwarded-Prefix": "/../x"},
        {"X-Forwarded-Host": "a.example", "X-Forwarded-Prefix": "fyst"},
        {"X-Forwarded-Host": "a.example", "Forwarded": "host=b.example"},
        {"Forwarded": "host=a.example; {"},
    ],
)
def test_what_is_no_address_and_what_contradicts_itself_is_not_believed(headers: dict[str, str]) -> None:
    assert public_url(asked(headers)) in (OWN, "http://inside:8080")


def test_a_stranger_is_not_believed_and_the_setting_goes_before_everybody() -> None:
    headers = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "a.example"}
    assert public_url(asked(headers, peer="192.0.2.1"), "/tap") == f"{OWN}/tap"
    assert public_url(asked(headers, peer="10.0.0.1"), "/tap") == "https://a.example/tap"
    assert public_url(asked(headers, base_url="https://b.example/x/"), "/tap") == "https://b.example/x/tap"
    assert public_url(asked({"Host": "evil.example"}, peer="192.0.2.1")) == OWN


def test_this_machine_may_be_called_by_its_own_names_from_itself() -> None:
    for name in ("localhost:8080", "127.0.0.1:8080", "[::1]:8080", "LOCALHOST"):
        assert public_url(asked({"Host": name}, peer="127.0.0.1"), "/oai") == f"http://{name}/oai"
        assert public_url(asked({"Host": name}, peer="::1"), "/oai") == f"http://{name}/oai"
        assert public_url(asked({"Host": name}, peer="192.0.2.1"), "/oai") == f"{OWN}/oai"
        assert (
            public_url(asked({"Host": name}, peer="127.0.0.1", base_url="https://b.example"), "") == "https://b.example"
        )
    for name in ("localhost.evil.example", "evil.example", "localhost:8080/x", "localhost:8080@evil.example"):
        assert public_url(asked({"Host": name}, peer="127.0.0.1"), "/oai") == f"{OWN}/oai"


# --- from where ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "address"),
    [
        ({"X-Forwarded-For": "203.0.113.9"}, "203.0.113.9"),
        ({"X-Forwarded-For": "203.0.113.9:51000"}, "203.0.113.9"),
        ({"X-Forwarded-For": "198.51.100.7, 203.0.113.9"}, "203.0.113.9"),
        ({"X-Forwarded-For": "198.51.100.7, 203.0.113.9, 10.1.2.3, 10.9.9.9"}, "203.0.113.9"),
        ({"X-Forwarded-For": "10.5.5.5, 10.1.2.3"}, "10.5.5.5"),
        ({"X-Forwarded-For": "198.51.100.7, unknown"}, None),
        ({"X-Forwarded-For": ""}, None),
        ({"X-Forwarded-For": "2001:db8::7"}, "2001:db8::7"),
        ({"X-Forwarded-For": "[2001:db8::7]:99"}, "2001:db8::7"),
        ({"X-Forwarded-For": "::ffff:203.0.113.9"}, "203.0.113.9"),
        ({"Forwarded": "for=198.51.100.7, for=203.0.113.9;proto=https, for=10.1.1.1"}, "203.0.113.9"),
        ({"Forwarded": 'for="[2001:db8::7]:80"'}, "2001:db8::7"),
        ({"Forwarded": "for=_hidden"}, None),
        ({"Forwarded": "for=203.0.113.9", "X-Forwarded-For": "203.0.113.9"}, "203.0.113.9"),
        ({"Forwarded": "for=198.51.100.7", "X-Forwarded-For": "203.0.113.9"}, None),
        ({"Forwarded": "proto=https", "X-Forwarded-For": "203.0.113.9"}, None),
        ({"X-Forwarded-Proto": "https"}, None),
        ({}, None),
    ],
)
def test_a_trusted_proxy_says_from_where_the_client_asks(headers: dict[str, str], address: str | None) -> None:
    assert client_address(asked(headers)) == address


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "Via", "X-Forwarded-Host"])
def test_who_comes_through_an_untrusted_proxy_is_nobody_in_particular(header: str) -> None:
    assert client_address(asked({header: "203.0.113.9"}, peer="192.0.2.1")) is None
    assert client_address(asked({}, peer="192.0.2.1")) == "192.0.2.1"
    assert client_address(asked({}, peer="::ffff:192.0.2.1")) == "192.0.2.1"
    assert client_address(asked({}, peer=None)) is None


def test_headers_of_any_length_are_read_in_time() -> None:
    for text in ("a=" * 30_000, 'for="' + "\\" * 60_000, "," * 60_000, "for=1.2.3.4;" * 5_000):
        client_address(asked({"Forwarded": text, "X-Forwarded-For": text}))


# --- in the service ------------------------------------------------------------------------------------------


def test_every_address_that_a_service_gives_out_is_the_proxys(filled_url: str, start: Callable[..., Any]) -> None:
    headers = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "a.example", "X-Forwarded-Prefix": "/fyst"}
    with start(filled_url, service_trusted_proxies="127.0.0.1") as service:
        root = etree.fromstring(httpx.get(f"{service.tap}/capabilities", headers=headers).content)
        urls = [str(element.text) for element in root.iter("accessURL")]
        assert urls
        assert all(url.startswith("https://a.example/fyst/") for url in urls)
        for path in ("/", "/tap/examples"):
            page = httpx.get(f"{service.url}{path}", headers=headers).text
            assert "https://a.example/fyst/tap" in page
            assert service.url not in page
        answer = httpx.get(f"{service.tap}/sync?QUERY=SELECT+TOP+1+obs_id+FROM+ivoa.obscore", headers=headers)
        assert b'value="https://a.example/fyst/tap/sync"' in answer.content
        assert service.tap in httpx.get(f"{service.tap}/capabilities").text
