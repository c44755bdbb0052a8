"""The links of packages over HTTP: as clients ask for them, and as validators judge them."""

from __future__ import annotations

import io
import json
import subprocess
from typing import Any

import httpx
import pytest
import pyvo
from astropy.io import votable
from lxml import etree
from pyvo.dal.adhoc import DatalinkResults

LINKS = "application/x-votable+xml;content=datalink"
UNKNOWN = "ivo://ccat.example/raw?00000000-0000-0000-0000-000000000000"


def ask(service: Any, *ids: str, **params: str) -> httpx.Response:
    return httpx.get(f"{service.url}/datalink/links", params=[*(("ID", did) for did in ids), *params.items()])


def sample(service: Any, columns: str = "obs_publisher_did", where: str = "1 = 1") -> list[tuple[str, ...]]:
    answer = service.get(f"SELECT TOP 8 {columns} FROM ivoa.obscore WHERE {where}", RESPONSEFORMAT="json")
    return [tuple(row) for row in answer.json()["data"]]


def rows_of(content: bytes) -> list[dict[str, str]]:
    root = etree.fromstring(content)
    names = [field.get("name") or "" for field in root.iter("{*}FIELD")]
    return [{name: cell.text or "" for name, cell in zip(names, row, strict=True)} for row in root.iter("{*}TR")]


def statuses(content: bytes) -> list[str]:
    infos = etree.fromstring(content).iter("{*}INFO")
    return [info.get("value") or "" for info in infos if info.get("name") == "QUERY_STATUS"]


def test_every_access_url_of_obscore_leads_to_links_that_lead_further(service: Any) -> None:
    for did, access_url, access_format in sample(
        service, "obs_publisher_did, access_url, access_format", "access_url IS NOT NULL"
    ):
        answer = httpx.get(access_url)
        assert answer.status_code == 200
        assert answer.headers["content-type"] == access_format == LINKS
        this, *others = rows_of(answer.content)
        assert (this["ID"], this["semantics"]) == (did, "#this")
        assert len(others) == 2
        for row in others:
            target = httpx.get(row["access_url"])
            assert target.status_code == 200
            assert target.headers["content-type"] == row["content_type"]
            assert did in target.text


def test_records_are_the_rows_of_the_published_tables(service: Any) -> None:
    [(did, ra)] = sample(service, "obs_publisher_did, s_ra", "s_ra IS NOT NULL")[:1]
    urls = {row["content_type"]: row["access_url"] for row in rows_of(ask(service, did).content)[1:]}
    document = httpx.get(urls["application/json"]).json()
    assert (document["ivoa.obscore"]["s_ra"], document["obs_publisher_did"]) == (ra, did)
    array = votable.parse(io.BytesIO(httpx.get(urls["application/x-votable+xml"]).content), verify="exception")
    assert array.get_first_table().array["s_ra"].tolist() == [ra]
    etag = httpx.get(urls["application/json"]).headers["etag"]
    assert httpx.get(urls["application/json"], headers={"if-none-match": etag}).status_code == 304


def test_parameters_may_come_by_post_in_any_case_and_in_parts(service: Any) -> None:
    (first,), (second,), *_ = sample(service)
    answer = httpx.post(f"{service.url}/datalink/links?id={first.replace('?', '%3F')}", data={"Id": second})
    assert [row["ID"] for row in rows_of(answer.content)] == [first] * 3 + [second] * 3
    assert answer.headers["content-type"] == LINKS


def test_no_identifier_gives_an_empty_table(service: Any) -> None:
    answer = ask(service)
    assert (answer.status_code, answer.headers["content-type"]) == (200, LINKS)
    assert rows_of(answer.content) == []
    assert statuses(answer.content) == ["OK"]


def test_document_names_its_standard(service: Any) -> None:
    root = etree.fromstring(ask(service, UNKNOWN).content)
    infos = {info.get("name"): info.get("value") for info in root.iter("{*}INFO")}
    assert infos["standardID"] == "ivo://ivoa.net/std/DataLink#links-1.1"
    assert root.find(".//{*}TABLEDATA") is not None


def test_maxrec_leaves_identifiers_out_and_says_so(service: Any) -> None:
    (first,), (second,), *_ = sample(service)
    answer = ask(service, first, second, MAXREC="5")
    assert len(rows_of(answer.content)) == 3
    assert statuses(answer.content) == ["OK", "OVERFLOW"]
    assert statuses(ask(service, first, second, MAXREC="6").content) == ["OK"]
    assert statuses(ask(service, first, MAXREC="0").content) == ["OK", "OVERFLOW"]


@pytest.mark.parametrize(
    ("asked", "content_type"),
    [
        (LINKS, LINKS),
        ("application/x-votable+xml; content=datalink", LINKS),
        ("votable", LINKS),
        ("application/x-votable+xml", "application/x-votable+xml"),
        ("text/xml", "text/xml"),
        ("votable/td", "application/x-votable+xml;serialization=TABLEDATA"),
    ],
)
def test_votable_is_tabledata_under_the_name_that_was_asked_for(service: Any, asked: str, content_type: str) -> None:
    answer = ask(service, UNKNOWN, RESPONSEFORMAT=asked)
    assert answer.headers["content-type"] == content_type
    assert len(rows_of(answer.content)) == 1


def test_other_formats_are_those_of_tables(service: Any) -> None:
    answer = ask(service, UNKNOWN, RESPONSEFORMAT="json")
    assert json.loads(answer.content)["data"][0][0] == UNKNOWN


@pytest.mark.parametrize(
    ("params", "word"),
    [
        ({"RESPONSEFORMAT": "xls"}, "xls"),
        ({"RESPONSEFORMAT": "votable/b2"}, "TABLEDATA"),
        ({"MAXREC": "-1"}, "MAXREC"),
        ([("MAXREC", "1"), ("maxrec", "2")], "MAXREC"),
    ],
)
def test_a_request_that_is_wrong_as_a_whole_is_an_error_document(service: Any, params: Any, word: str) -> None:
    answer = httpx.get(f"{service.url}/datalink/links", params=params)
    assert answer.status_code == 400
    [status] = [info for info in etree.fromstring(answer.content).iter("{*}INFO") if info.get("name") == "QUERY_STATUS"]
    assert status.get("value") == "ERROR"
    assert word in (status.text or "")


@pytest.mark.parametrize(
    ("params", "status"), [({"ID": UNKNOWN}, 404), ({}, 400), ({"ID": UNKNOWN, "RESPONSEFORMAT": "xls"}, 400)]
)
def test_a_record_that_is_not_there_is_an_error_document(service: Any, params: dict[str, str], status: int) -> None:
    answer = httpx.get(f"{service.url}/datalink/record", params=params)
    assert answer.status_code == status
    assert statuses(answer.content) == ["ERROR"]


@pytest.mark.conformance
def test_datalinklint_is_silent(service: Any, stilts: str) -> None:
    known = [did for (did,) in sample(service)]
    for ids in ([], known[:3], [UNKNOWN, *known[:2], "foo & bar", "Köln"]):
        url = str(ask(service, *ids).url)
        done = subprocess.run(
            [stilts, "datalinklint", f"votable={url}", "format=json"], capture_output=True, text=True, timeout=120
        )
        sections = json.loads(done.stdout)["sections"]
        found = [report for report in _reports(sections) if report["level"] != "INFO"]
        assert found == []
        assert any("Datalink table rows checked" in report["text"] for report in _reports(sections))


def _reports(sections: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [report for section in sections for report in section.get("reports", [section]) if "level" in report]


@pytest.mark.conformance
def test_pyvo_iterates_the_links_of_one_package(service: Any) -> None:
    [(did, access_url)] = sample(service, "obs_publisher_did, access_url", "access_url IS NOT NULL")[:1]
    links = DatalinkResults.from_result_url(access_url)
    assert [record.semantics for record in links] == ["#this", "#auxiliary", "#auxiliary"]
    assert {record["ID"] for record in links} == {did}
    assert next(links.bysemantics("#this", include_narrower=False)).error_message.startswith("DefaultFault")


@pytest.mark.conformance
@pytest.mark.parametrize("form", ["votable/b2", "votable/td", "votable/b"])
def test_pyvo_finds_links_from_the_result_of_a_query(service: Any, form: str) -> None:
    found = pyvo.dal.TAPService(service.tap).search(
        "SELECT TOP 5 obs_publisher_did, target_name FROM ivoa.obscore", responseformat=form
    )
    assert [len(links) for links in found.iter_datalinks()] == [3] * 5
    described = [links["ID"][0] for links in found.iter_datalinks(preserve_order=True)]
    assert described == list(found["obs_publisher_did"])


def test_every_serialization_describes_the_links_service_of_its_identifiers(service: Any) -> None:
    for form in ("votable", "votable/b2", "votable/td", "votable/b", "votable/fits", "text/xml"):
        answer = service.get("SELECT TOP 1 s_ra, obs_publisher_did FROM ivoa.obscore", RESPONSEFORMAT=form)
        root = etree.fromstring(answer.content)
        results, described = root.findall("{*}RESOURCE")
        assert (results.get("type"), described.get("type"), described.get("utype")) == (
            "results",
            "meta",
            "adhoc:service",
        )
        params = {param.get("name"): param for param in described.iter("{*}PARAM")}
        assert params["accessURL"].get("value") == f"{service.url}/datalink/links"
        [field] = [field for field in results.iter("{*}FIELD") if field.get("ID") == params["ID"].get("ref")]
        assert field.get("name") == "obs_publisher_did"
        assert (
            len(etree.fromstring(service.get("SELECT TOP 1 s_ra FROM ivoa.obscore", RESPONSEFORMAT=form).content)) == 1
        )


def test_results_of_jobs_describe_the_links_service_too(service: Any) -> None:
    query = {"LANG": "ADQL", "QUERY": "SELECT TOP 3 obs_publisher_did AS did FROM ivoa.obscore", "PHASE": "RUN"}
    job = httpx.post(f"{service.tap}/async", data=query).headers["location"]
    while httpx.get(job, params={"WAIT": "5"}).text.count("COMPLETED") == 0:
        assert "ERROR" not in httpx.get(f"{job}/phase").text
    root = etree.fromstring(httpx.get(f"{job}/results/result", follow_redirects=True).content)
    [described] = [resource for resource in root.findall("{*}RESOURCE") if resource.get("utype") == "adhoc:service"]
    references = {param.get("name"): param.get("ref") for param in described.iter("{*}PARAM")}
    [field] = [field for field in root.iter("{*}FIELD") if field.get("ID") == references["ID"]]
    assert field.get("name") == "did"
    httpx.delete(job)


def test_the_capabilities_lead_to_the_links(service: Any) -> None:
    root = etree.fromstring(httpx.get(f"{service.tap}/capabilities").content)
    [url] = root.xpath("capability[@standardID='ivo://ivoa.net/std/DataLink#links-1.1']/interface/accessURL/text()")
    assert url == f"{service.url}/datalink/links"
