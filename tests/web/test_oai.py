"""The registry over HTTP, as a harvester meets it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from lxml import etree

from catalog.registry.schemas import SchemaSet

OAI = "{http://www.openarchives.org/OAI/2.0/}"
Start = Callable[..., Any]


def published(url: str) -> Any:
    """The answer to Identify, once the service has published the registry."""
    deadline = time.monotonic() + 60
    while (answer := httpx.get(f"{url}/oai?verb=Identify")).status_code == 503:
        assert answer.headers["retry-after"]
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert answer.status_code == 200
    return etree.fromstring(answer.content)


@pytest.fixture(scope="module")
def oai(own_copy: str, start: Start) -> Iterator[str]:
    """The address of a registry with pages of five records."""
    with start(own_copy, registry_page_size=5) as service:
        published(service.url)
        yield f"{service.url}/oai"


@pytest.fixture(scope="module")
def own_copy(copy_of_filled: Callable[[], str]) -> str:
    return copy_of_filled()


def code(answer: httpx.Response) -> str | None:
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/xml")
    error = etree.fromstring(answer.content).find(f"{OAI}error")
    return None if error is None else str(error.get("code"))


def test_identify_tells_the_address_that_was_asked(oai: str) -> None:
    answer = etree.fromstring(httpx.get(oai, params={"verb": "Identify"}).content)
    assert answer.findtext(f".//{OAI}baseURL") == oai == answer.findtext(f"{OAI}request")
    accesses = [element.text for element in answer.iter("accessURL")]
    assert accesses[0] == oai


def test_post_is_answered_like_get(oai: str) -> None:
    for arguments in (
        {"verb": "ListIdentifiers", "metadataPrefix": "ivo_vor"},
        {"verb": "GetRecord", "metadataPrefix": "oai_dc", "identifier": "ivo://ccat.example/tap"},
        {"verb": "junk"},
    ):
        answers = [httpx.get(oai, params=arguments), httpx.post(oai, data=arguments)]
        trees = [etree.fromstring(answer.content) for answer in answers]
        for tree in trees:
            tree.find(f"{OAI}responseDate").text = ""
            for token in tree.iter(f"{OAI}resumptionToken"):
                token.text = ""
                token.set("expirationDate", "")
        assert etree.tostring(trees[0]) == etree.tostring(trees[1])


def test_arguments_in_both_places_count_twice(oai: str) -> None:
    assert code(httpx.post(f"{oai}?verb=Identify", data={"verb": "Identify"})) == "badVerb"


@pytest.mark.parametrize(
    "query",
    ["verb=Identify&x=%FF", "&".join(f"a{number}=1" for number in range(300)), "verb=GetRecord&identifier=%00"],
    ids=["no UTF-8", "too many", "no XML"],
)
def test_hostile_arguments_get_a_document(oai: str, query: str) -> None:
    assert code(httpx.get(f"{oai}?{query}")) == "badArgument"


def test_a_body_of_another_kind_gets_a_document(oai: str) -> None:
    answer = httpx.post(oai, content=b"<x/>", headers={"content-type": "application/xml"})
    assert code(answer) == "badArgument"


def test_markup_in_arguments_stays_text(oai: str) -> None:
    hostile = '"><script>&lt;</script>'
    answer = httpx.get(oai, params={"verb": "GetRecord", "metadataPrefix": "ivo_vor", "identifier": hostile})
    assert code(answer) == "idDoesNotExist"
    assert etree.fromstring(answer.content).find(f"{OAI}request").get("identifier") == hostile


def test_vosi_stands_beside(oai: str, schemas: SchemaSet) -> None:
    capabilities, availability = (httpx.get(f"{oai}/{name}") for name in ("capabilities", "availability"))
    assert schemas.problems(capabilities.content) == []
    assert oai.encode() in capabilities.content
    assert b"<vosi:available>true</vosi:available>" in availability.content


def test_the_name_a_proxy_was_asked_by_is_told(own_url: str, start: Start) -> None:
    with start(own_url, service_trusted_proxies="127.0.0.1") as service:
        published(service.url)
        headers = {
            "x-forwarded-proto": "https",
            "x-forwarded-host": "vo.archive.example",
            "x-forwarded-prefix": "/fyst",
        }
        answer = httpx.get(f"{service.url}/oai?verb=Identify", headers=headers)
        assert etree.fromstring(answer.content).findtext(f".//{OAI}baseURL") == "https://vo.archive.example/fyst/oai"


def test_a_restart_moves_no_datestamp_and_breaks_no_token(own_url: str, start: Start) -> None:
    settings = {"registry_page_size": 5, "service_base_url": "https://archive.example"}

    def listed(url: str) -> dict[str, str]:
        found, query = {}, "metadataPrefix=ivo_vor"
        while query:
            tree = etree.fromstring(httpx.get(f"{url}/oai?verb=ListIdentifiers&{query}").content)
            for header in tree.iter(f"{OAI}header"):
                found[header.findtext(f"{OAI}identifier")] = header.findtext(f"{OAI}datestamp")
            token = tree.findtext(f".//{OAI}resumptionToken")
            query = f"resumptionToken={token}" if token else ""
        return found

    with start(own_url, **settings) as service:
        published(service.url)
        before = listed(service.url)
        first = etree.fromstring(httpx.get(f"{service.url}/oai?verb=ListRecords&metadataPrefix=oai_dc").content)
    time.sleep(1.1)  # a datestamp has seconds
    with start(own_url, **settings) as service:
        token = first.findtext(f".//{OAI}resumptionToken")
        assert code(httpx.get(f"{service.url}/oai?verb=ListRecords&resumptionToken={token}")) is None
        deadline = time.monotonic() + 60
        while b"true" not in httpx.get(f"{service.url}/oai/availability").content:
            assert time.monotonic() < deadline
        assert listed(service.url) == before
        assert len(before) > 10


@pytest.fixture(scope="session")
def schemas(schemata: Any) -> Iterator[SchemaSet]:
    """The schemas of the standards."""
    with SchemaSet(schemata) as opened:
        yield opened
