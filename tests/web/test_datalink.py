"""The links of packages over HTTP: as clients ask for them, and as validators judge them."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import httpx
import pytest
import pyvo
from astropy.config import set_temp_cache
from astropy.io import votable
from lxml import etree
from pyvo.dal.adhoc import DatalinkResults
from pyvo.utils import vocabularies
from stored import PACKAGES, Stored

LINKS = "application/x-votable+xml;content=datalink"
DUPLICATE = "http://www.iana.org/assignments/relation/duplicate"
PART = "http://purl.org/dc/terms/hasPart"
CATALOG = Path(sys.executable).with_name("catalog")
UNKNOWN = "ivo://ccat.example/raw?00000000-0000-0000-0000-000000000000"


def environment(database_url: str, **settings: str) -> dict[str, str]:
    others = {name: value for name, value in os.environ.items() if not name.startswith("CATALOG_")}
    wanted = {f"CATALOG_{name.upper()}": value for name, value in settings.items()}
    return {**others, **wanted, "CATALOG_DATABASE_URL": database_url}


@pytest.fixture(scope="module")
def kept(engine: str, make_stored: Any) -> Stored:
    """Packages that lie somewhere, with the places of their files recorded; tests read them only."""
    stored: Stored = make_stored(engine)
    environ = environment(stored.database_url, **stored.environment())
    done = subprocess.run([CATALOG, "packages", "index"], env=environ, capture_output=True, text=True, timeout=300)
    assert "packages indexed: 3" in done.stdout + done.stderr
    return stored


@pytest.fixture(scope="module")
def archive(kept: Stored, start: Any) -> Iterator[Any]:
    """A service of them."""
    with start(kept.database_url, **kept.environment()) as running:
        yield running


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
        fetched = [row for row in others if row["access_url"]]
        assert len(fetched) == 3
        for row in fetched:
            target = httpx.get(row["access_url"])
            assert target.status_code == 200
            assert target.headers["content-type"] == row["content_type"]
            assert did in target.text
            assert (row["link_auth"], row["link_authorized"]) == ("false", "T")


def test_records_are_the_rows_of_the_published_tables(service: Any) -> None:
    [(did, ra)] = sample(service, "obs_publisher_did, s_ra", "s_ra IS NOT NULL")[:1]
    rows = [row for row in rows_of(ask(service, did).content) if row["local_semantics"] == "record"]
    urls = {row["content_type"]: row["access_url"] for row in rows}
    document = httpx.get(urls["application/json"]).json()
    assert (document["ivoa.obscore"]["s_ra"], document["obs_publisher_did"]) == (ra, did)
    array = votable.parse(io.BytesIO(httpx.get(urls["application/x-votable+xml"]).content), verify="exception")
    assert array.get_first_table().array["s_ra"].tolist() == [ra]
    etag = httpx.get(urls["application/json"]).headers["etag"]
    assert httpx.get(urls["application/json"], headers={"if-none-match": etag}).status_code == 304


def test_ends_of_lines_of_a_csv_are_no_part_of_an_identifier(service: Any) -> None:
    (did,), *_ = sample(service)
    answer = httpx.post(f"{service.url}/datalink/links", data={"ID": [f"{did}\r\n", f" {did}"]})
    assert {(row["ID"], row["error_message"][:10]) for row in rows_of(answer.content)} >= {(did, "DefaultFau")}
    assert len([row for row in rows_of(answer.content) if row["semantics"] == "#this"]) == 1
    for address in ("record", "manifest"):
        found = httpx.get(f"{service.url}/datalink/{address}", params={"ID": f"{did}\r"}, timeout=60)
        assert found.status_code == 200, found.text


def test_parameters_may_come_by_post_in_any_case_and_in_parts(service: Any) -> None:
    (first,), (second,), *_ = sample(service)
    answer = httpx.post(f"{service.url}/datalink/links?id={first.replace('?', '%3F')}", data={"Id": second})
    rows = rows_of(answer.content)
    assert [did for did, _ in groupby(rows, key=lambda row: row["ID"])] == [first, second]
    assert rows == rows_of(ask(service, first).content) + rows_of(ask(service, second).content)
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
    one, both = (len(rows_of(ask(service, *ids).content)) for ids in ([first], [first, second]))
    answer = ask(service, first, second, MAXREC=str(both - 1))
    assert len(rows_of(answer.content)) == one
    assert statuses(answer.content) == ["OK", "OVERFLOW"]
    assert statuses(ask(service, first, second, MAXREC=str(both)).content) == ["OK"]
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
    for resource in ("record", "manifest"):
        answer = httpx.get(f"{service.url}/datalink/{resource}", params=params)
        assert answer.status_code == status
        assert statuses(answer.content) == ["ERROR"]


def test_manifest_comes_in_any_format_of_tables(service: Any) -> None:
    [(did,)] = sample(service)[:1]
    files = service.get(
        f"SELECT path_in_package, checksum FROM fyst.files WHERE obs_publisher_did = '{did}' ORDER BY 1"
    )
    expected = [list(row) for row in votable.parse(io.BytesIO(files.content)).get_first_table().array.tolist()]
    assert len(expected) == 3
    url = f"{service.url}/datalink/manifest"
    document = httpx.get(url, params={"ID": did, "RESPONSEFORMAT": "json"}).json()
    names = [column["name"] for column in document["columns"]]
    places = [names.index(name) for name in ("path_in_package", "checksum")]
    assert [[row[place] for place in places] for row in document["data"]] == expected
    answer = httpx.get(url, params={"ID": did})
    assert answer.headers["content-type"] == "application/x-votable+xml"
    assert [[row["path_in_package"], row["checksum"]] for row in rows_of(answer.content)] == expected
    text = httpx.get(url, params={"ID": did, "RESPONSEFORMAT": "csv"}).text
    assert [line.split(",")[0] for line in text.splitlines()] == ["path_in_package", *(path for path, _ in expected)]


@pytest.mark.conformance
def test_datalinklint_is_silent(service: Any, stilts: str) -> None:
    known = [did for (did,) in sample(service)]
    for ids in ([], known[:3], [UNKNOWN, *known[:2], "foo & bar", "Köln"]):
        assert lint(stilts, str(ask(service, *ids).url)) == []


@pytest.mark.conformance
def test_datalinklint_is_silent_whatever_can_be_fetched(archive: Any, kept: Stored, stilts: str) -> None:
    ids = [kept.did(name) for name in ("open", "secret", "objects", "other", "tape", "secret-tape", "dark", "lost")]
    assert lint(stilts, str(ask(archive, *ids, "foo", UNKNOWN).url)) == []
    assert lint(stilts, str(ask(archive, *ids, MAXREC="20").url)) == []


def lint(stilts: str, url: str) -> list[dict[str, Any]]:
    """What the validator of STILTS has against a document of links."""
    command = [stilts, "datalinklint", f"votable={url}", "format=json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    reports = _reports(json.loads(done.stdout)["sections"])
    assert any("Datalink table rows checked" in report["text"] for report in reports)
    return [report for report in reports if report["level"] != "INFO"]


def _reports(sections: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [report for section in sections for report in section.get("reports", [section]) if "level" in report]


@pytest.mark.conformance
def test_pyvo_iterates_the_links_of_one_package(service: Any) -> None:
    [(did, access_url)] = sample(service, "obs_publisher_did, access_url", "access_url IS NOT NULL")[:1]
    links = DatalinkResults.from_result_url(access_url)
    assert [record.semantics for record in links if record.semantics != DUPLICATE] == ["#this", *["#auxiliary"] * 3]
    assert {record["ID"] for record in links} == {did}
    assert next(links.bysemantics("#this", include_narrower=False)).error_message.startswith("DefaultFault")


@pytest.mark.conformance
@pytest.mark.parametrize("form", ["votable/b2", "votable/td", "votable/b"])
def test_pyvo_finds_links_from_the_result_of_a_query(service: Any, form: str) -> None:
    found = pyvo.dal.TAPService(service.tap).search(
        "SELECT TOP 5 obs_publisher_did, target_name FROM ivoa.obscore", responseformat=form
    )
    assert all("#this" in links["semantics"] for links in found.iter_datalinks())
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


@pytest.mark.conformance
def test_pyvo_and_astropy_read_what_is_known_of_copies(archive: Any, kept: Stored) -> None:
    found = pyvo.dal.TAPService(archive.tap).search("SELECT obs_publisher_did FROM ivoa.obscore ORDER BY t_min")
    # Without preserve_order pyvo sorts the rows by their identifier, and then they stand in no order of ours.
    links = {str(each["ID"][0]): each for each in found.iter_datalinks(preserve_order=True)}
    assert set(links) == {kept.did(name) for name in PACKAGES}
    table = links[kept.did("open")].to_table()
    copies = table[table["semantics"] == DUPLICATE]
    assert list(copies["local_semantics"]) == ["cologne", "cornell", "ccat", "cologne"]
    assert list(copies["priority"]) == [1, 2, 3, 4]
    assert [bool(flag) for flag in copies["link_authorized"]] == [True] * 4
    assert [
        record.content_length for record in links[kept.did("open")].bysemantics(DUPLICATE, include_narrower=False)
    ] == [len(kept.content("open"))] * 4
    this = next(links[kept.did("tape")].bysemantics("#this", include_narrower=False))
    assert this.error_message.startswith("TransientFault: the package lies on tape")


@pytest.fixture
def core_vocabulary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The terms of datalink/core that pyvo looks up, from a file: tests have no network."""
    (tmp_path / "datalink").mkdir()
    terms = {"this": {"label": "this", "wider": [], "narrower": []}}
    (tmp_path / "datalink" / "core").write_text(json.dumps({"uri": "#", "terms": terms}))
    monkeypatch.setattr(vocabularies, "IVOA_VOCABULARY_ROOT", f"{tmp_path.as_uri()}/")
    with set_temp_cache(tmp_path):
        yield


@pytest.mark.conformance
@pytest.mark.usefixtures("core_vocabulary")
def test_pyvo_gets_the_package_from_whatever_copy_is_best(archive: Any, kept: Stored) -> None:
    where = f"obs_publisher_did IN ('{kept.did('open')}', '{kept.did('objects')}') ORDER BY t_min"
    found = pyvo.dal.TAPService(archive.tap).search(f"SELECT * FROM ivoa.obscore WHERE {where}")
    assert [record.getdataset().read() for record in found] == [kept.content("open"), kept.content("objects")]
    for record in found:
        for row in record.getdatalink().bysemantics(DUPLICATE, include_narrower=False):
            if not row.error_message:
                assert httpx.get(row.access_url, follow_redirects=True).content == record.getdataset().read()


def test_links_to_files_lead_to_their_bytes(archive: Any, kept: Stored) -> None:
    manifest = httpx.get(
        f"{archive.url}/datalink/manifest", params={"ID": kept.did("open"), "RESPONSEFORMAT": "votable/td"}
    )
    listed = {row["path_in_package"]: row["access_url"] for row in rows_of(manifest.content)}
    linked = [row["access_url"] for row in rows_of(ask(archive, kept.did("open")).content) if row["semantics"] == PART]
    assert sorted(listed.values()) == sorted(linked)
    assert {path: httpx.get(url).content for path, url in listed.items()} == kept.members("open")


@pytest.mark.parametrize(("who", "may"), [(None, "F"), ("bob", "F"), ("alice", "T"), ("sam", "T")])
def test_answers_are_the_callers_own(archive: Any, kept: Stored, who: str | None, may: str) -> None:
    url = f"{archive.url}/datalink/links"
    answer = httpx.get(url, params={"ID": kept.did("secret")}, headers=kept.bearer(who))
    this = rows_of(answer.content)[0]
    assert (this["link_auth"], this["link_authorized"]) == ("true", may)
    assert this["access_url"] == f"{archive.url}/files/{kept.id('secret')}"
    assert "authorization" in answer.headers["vary"].lower()
    assert answer.headers.get("x-vo-authenticated") == who
    assert (answer.headers.get("cache-control") == "private") == (who is not None)


@pytest.fixture(scope="module")
def discreet(kept: Stored, start: Any) -> Iterator[Any]:
    """A service of the same that hides what is not released."""
    with start(kept.database_url, access_hide_unreleased="true", **kept.environment()) as running:
        yield running


@pytest.mark.parametrize(("who", "sees"), [(None, False), ("bob", False), ("alice", True), ("sam", True)])
@pytest.mark.parametrize("resource", ["links", "record", "manifest"])
def test_hidden_package_is_as_unknown_as_any(
    discreet: Any, kept: Stored, resource: str, who: str | None, sees: bool
) -> None:
    answers = []
    for did in (kept.did("secret"), kept.did("nobody's")):
        url = f"{discreet.url}/datalink/{resource}"
        answer = httpx.get(url, params={"ID": did}, headers=kept.bearer(who) | {"accept-encoding": "identity"})
        hidden = {name: value for name, value in answer.headers.items() if name not in ("date", "etag")}
        answers.append((answer.status_code, answer.text.replace(did, ""), hidden))
    if sees:
        assert answers[0][0] == 200
        assert "NotFoundFault" not in answers[0][1]
    else:
        assert answers[0] == answers[1]


def test_ten_thousand_identifiers_are_answered_in_the_memory_of_a_thousand(hasty: Any) -> None:
    query = "SELECT TOP 100 obs_publisher_did FROM ivoa.obscore"
    known = [row[0] for row in hasty.get(query, RESPONSEFORMAT="json").json()["data"]]
    ids = [did for group in zip(*(spellings(did, 100) for did in known), strict=True) for did in group]
    assert len(set(ids)) == 10_000
    assert count_rows(hasty, ids[:1_000]) > 5_000
    before = peak_kb(hasty.pid)
    rows = count_rows(hasty, ids)
    assert rows > 50_000
    # The request itself, its identifiers and a batch of rows; all rows together have a hundred million bytes.
    assert peak_kb(hasty.pid) - before < 30_000


def count_rows(service: Any, ids: list[str]) -> int:
    """How many rows the identifiers have, as they stream by; those of each stand together, in the order asked for."""
    seen: list[str] = []
    rows = 0
    begin = re.compile(rb"<TR><TD>([^<]*)</TD>")
    with httpx.stream("POST", f"{service.url}/datalink/links", data={"ID": ids}, timeout=300) as answer:
        assert answer.status_code == 200
        rest = b""
        for piece in answer.iter_bytes():
            *lines, rest = (rest + piece).split(b"\n")
            for found in filter(None, map(begin.match, lines)):
                rows += 1
                if not seen or seen[-1] != found[1].decode():
                    seen.append(found[1].decode())
    assert seen == ids
    assert b"OVERFLOW" not in rest
    return rows


def spellings(did: str, count: int) -> list[str]:
    """The same identifier, spelled in many ways."""
    head, tail = did[: did.index("?")], did[did.index("?") :]
    masks = ["".join(c.upper() if mask >> n & 1 else c for n, c in enumerate(head)) for mask in range(count * 256)]
    return [text + tail for text in list(dict.fromkeys(masks))[:count]]


def peak_kb(pid: int) -> int:
    """Memory that a process has had at most, in kB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])


def test_a_body_of_any_form_brings_more_identifiers_than_other_resources_take(service: Any) -> None:
    ids = [f"ivo://a.bc/d?{number}" for number in range(300)]
    url = f"{service.url}/datalink/links"
    whole = httpx.post(url, data={"ID": ids, "MAXREC": "50"})
    parts = httpx.post(url, files=[("ID", (None, did)) for did in ids], data={"MAXREC": "50"})
    for answer in (whole, parts):
        assert [row["ID"] for row in rows_of(answer.content)] == ids[:50]
        assert statuses(answer.content) == ["OK", "OVERFLOW"]
    answer = httpx.post(url, data={"ID": [f"ivo://a.bc/d?{'x' * 900}{number}" for number in range(5_000)]})
    assert answer.status_code == 413
    assert statuses(answer.content) == ["ERROR"]
