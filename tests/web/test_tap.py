"""`/tap/sync` over HTTP: parameters, limits, formats, faults; one service for all, on each engine."""

from __future__ import annotations

import base64
import csv
import io
import json
from typing import Any
from urllib.parse import quote

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.io import fits, votable
from lxml import etree

from catalog.formats.media import FORMATS

VOTABLE = "application/x-votable+xml"
NAMES = "{http://www.ivoa.net/xml/VOTable/v1.3}"
ROWS = "SELECT obs_publisher_did, target_name, s_ra FROM ivoa.obscore"
SPELLINGS = [(fmt.name, spelling) for fmt in FORMATS for spelling in (*fmt.aliases, *fmt.media_types)]


def statuses(content: bytes) -> list[str]:
    """Every QUERY_STATUS of a VOTable, in order."""
    infos = etree.fromstring(content).iter(f"{NAMES}INFO")
    return [str(info.get("value")) for info in infos if info.get("name") == "QUERY_STATUS"]


def rows_of(content: bytes) -> Any:
    return votable.parse(io.BytesIO(content), verify="exception").get_first_table().array


def fault_of(answer: httpx.Response, status: int) -> str:
    """The message of an error document, which must be in order."""
    assert answer.status_code == status
    assert answer.headers["content-type"] == VOTABLE
    root = etree.fromstring(answer.content)
    assert root.find(f".//{NAMES}TABLE") is None
    [info] = [each for each in root.iter(f"{NAMES}INFO") if each.get("name") == "QUERY_STATUS"]
    assert info.get("value") == "ERROR"
    assert info.text
    return info.text


# --- parameters ----------------------------------------------------------------------------------------------


def test_get_and_both_kinds_of_post_answer_the_same(service: Any) -> None:
    params = {"LANG": "ADQL", "QUERY": f"{ROWS} ORDER BY obs_publisher_did", "RESPONSEFORMAT": "csv", "MAXREC": "7"}
    got = httpx.get(f"{service.tap}/sync", params=params)
    posted = httpx.post(f"{service.tap}/sync", data=params)
    parts = httpx.post(f"{service.tap}/sync", files={name: (None, value) for name, value in params.items()})
    assert parts.request.headers["content-type"].startswith("multipart/form-data")
    assert got.status_code == posted.status_code == parts.status_code == 200
    assert got.text.count("\n") == 8
    assert got.content == posted.content == parts.content


def test_parameters_may_be_split_between_url_and_body(service: Any) -> None:
    answer = httpx.post(f"{service.tap}/sync?MAXREC=2&RESPONSEFORMAT=csv", data={"QUERY": ROWS})
    assert answer.text.count("\n") == 3


def test_a_post_without_a_body_is_like_a_get(service: Any) -> None:
    answer = httpx.post(f"{service.tap}/sync", params={"QUERY": ROWS, "MAXREC": "1", "RESPONSEFORMAT": "csv"})
    assert answer.text.count("\n") == 2


def test_names_of_parameters_are_case_blind(service: Any) -> None:
    params = {"lang": "adql", "Query": ROWS, "maxRec": "3", "responseFormat": "CSV", "RunId": "x"}
    answer = httpx.get(f"{service.tap}/sync", params=params)
    assert answer.status_code == 200
    assert answer.text.count("\n") == 4


@pytest.mark.parametrize("name", ["QUERY", "LANG", "MAXREC", "RESPONSEFORMAT", "RUNID"])
def test_a_single_valued_parameter_that_comes_twice_is_refused(service: Any, name: str) -> None:
    values = {"QUERY": ROWS, "LANG": "ADQL", "MAXREC": "1", "RESPONSEFORMAT": "csv", "FORMAT": "csv", "RUNID": "a"}
    pairs = [*values.items(), (name.lower(), values[name])]
    assert f"{name} was given more than once" in fault_of(httpx.get(f"{service.tap}/sync", params=pairs), 400)


def test_the_format_of_old_clients_may_be_said_again_but_not_differently(service: Any) -> None:
    pairs = [("QUERY", ROWS), ("FORMAT", "csv"), ("format", "csv")]
    assert httpx.get(f"{service.tap}/sync", params=pairs).headers["content-type"].startswith("text/csv")
    other = httpx.get(f"{service.tap}/sync", params=[*pairs, ("format", "votable")])
    assert "FORMAT was given more than once" in fault_of(other, 400)


def test_a_parameter_in_the_url_and_in_the_body_is_there_twice(service: Any) -> None:
    answer = httpx.post(f"{service.tap}/sync?QUERY=SELECT", data={"QUERY": ROWS})
    assert "QUERY was given more than once" in fault_of(answer, 400)


@pytest.mark.parametrize("lang", ["ADQL", "ADQL-2.0", "ADQL-2.1", "adql-2.0"])
def test_every_declared_language_is_understood(service: Any, lang: str) -> None:
    assert service.get(ROWS, LANG=lang, MAXREC=1).status_code == 200


@pytest.mark.parametrize("lang", ["OOBLECK", "ADQL-3.0", "ADQL-2", "SQL", ""])
def test_another_language_is_refused(service: Any, lang: str) -> None:
    message = fault_of(service.get(ROWS, LANG=lang), 400)
    assert "LANG" in message
    assert "ADQL-2.1" in message


def test_what_clients_of_tap_1_0_send_is_tolerated(service: Any) -> None:
    answer = service.get(ROWS, REQUEST="doQuery", VERSION="1.0", FORMAT="csv", MAXREC=1, tapclient="x", DUMMY="ignore")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/csv")


def test_another_request_is_refused(service: Any) -> None:
    assert "doQuery" in fault_of(service.get(ROWS, REQUEST="getCapabilities"), 400)


def test_a_query_must_be_given(service: Any) -> None:
    assert "QUERY is missing" in fault_of(httpx.get(f"{service.tap}/sync"), 400)
    assert "QUERY is missing" in fault_of(httpx.post(f"{service.tap}/sync"), 400)


@pytest.mark.parametrize("maxrec", ["-1", "ten", "1.5", "1_0", "1e3", "٣", "9" * 5000])
def test_maxrec_must_be_a_whole_number(service: Any, maxrec: str) -> None:
    assert "MAXREC" in fault_of(service.get(ROWS, MAXREC=maxrec), 400)


# --- limits on rows ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("maxrec", "overflows"), [(9, True), (10, False), (11, False)])
def test_overflow_is_said_exactly_when_rows_are_held_back(service: Any, maxrec: int, overflows: bool) -> None:
    answer = service.get("SELECT TOP 10 obs_id FROM ivoa.obscore", MAXREC=maxrec)
    assert len(rows_of(answer.content)) == min(maxrec, 10)
    assert statuses(answer.content) == (["OK", "OVERFLOW"] if overflows else ["OK"])


def test_maxrec_zero_gives_the_columns_and_no_rows(service: Any) -> None:
    answer = service.get(ROWS, MAXREC=0)
    assert answer.status_code == 200
    table = votable.parse(io.BytesIO(answer.content), verify="exception").get_first_table()
    assert [field.name for field in table.fields] == ["obs_publisher_did", "target_name", "s_ra"]
    assert len(table.array) == 0
    assert statuses(answer.content) == ["OK", "OVERFLOW"]


def test_maxrec_zero_of_an_empty_result_is_no_overflow(service: Any) -> None:
    answer = service.get("SELECT obs_id FROM ivoa.obscore WHERE s_dec > 89.99", MAXREC=0)
    assert statuses(answer.content) == ["OK"]


def test_without_maxrec_the_default_holds(service: Any) -> None:
    answer = service.get(ROWS)
    assert len(rows_of(answer.content)) == 20
    assert statuses(answer.content) == ["OK", "OVERFLOW"]


@pytest.mark.parametrize("maxrec", ["51", "1000000", "9" * 30])
def test_beyond_the_hard_limit_rows_are_cut_and_it_is_said(service: Any, maxrec: str) -> None:
    answer = service.get(ROWS, MAXREC=maxrec)
    assert len(rows_of(answer.content)) == 50
    assert statuses(answer.content) == ["OK", "OVERFLOW"]


@pytest.mark.parametrize(
    ("top", "maxrec", "rows", "overflows"), [(5, 10, 5, False), (10, 5, 5, True), (5, 5, 5, False), (0, 5, 0, False)]
)
def test_the_smaller_of_top_and_maxrec_decides(service: Any, top: int, maxrec: int, rows: int, overflows: bool) -> None:
    """Rows that TOP leaves out were not asked for: they are no overflow."""
    answer = service.get(f"SELECT TOP {top} obs_id FROM ivoa.obscore", MAXREC=maxrec)
    assert len(rows_of(answer.content)) == rows
    assert (statuses(answer.content)[-1] == "OVERFLOW") is overflows


def test_top_beyond_the_default_is_cut_at_the_default(service: Any) -> None:
    answer = service.get("SELECT TOP 40 obs_id FROM ivoa.obscore")
    assert len(rows_of(answer.content)) == 20
    assert statuses(answer.content) == ["OK", "OVERFLOW"]


# --- formats -------------------------------------------------------------------------------------------------


def read_back(name: str, content: bytes) -> int:
    """How many rows an independent reader finds."""
    if name == "votable/fits":
        stream = etree.fromstring(content).findtext(".//{*}STREAM")
        return read_back("fits", base64.b64decode(stream or ""))
    if name.startswith("votable"):
        return len(rows_of(content))
    if name == "arrow":
        return int(pa.ipc.open_stream(content).read_all().num_rows)
    if name == "text":
        lines = content.decode().splitlines()
        rule = next(number for number, line in enumerate(lines) if set(line) <= set("- "))
        return len(lines) - rule - 2
    if name == "html":
        return len(etree.fromstring(content).findall(".//{*}tbody/{*}tr"))
    if name in ("csv", "tsv"):
        lines = list(csv.reader(io.StringIO(content.decode()), delimiter="," if name == "csv" else "\t"))
        return len(lines) - 1
    if name == "fits":
        with fits.open(io.BytesIO(content)) as hdus:
            return len(hdus[1].data)
    if name == "parquet":
        return int(pq.read_table(io.BytesIO(content)).num_rows)
    assert name == "json"
    return len(json.loads(content)["data"])


@pytest.mark.parametrize(("name", "spelling"), SPELLINGS)
def test_every_spelling_of_a_format_is_answered_in_it(service: Any, name: str, spelling: str) -> None:
    answer = service.get(ROWS, RESPONSEFORMAT=spelling, MAXREC=4)
    assert answer.status_code == 200
    said = answer.headers["content-type"].replace(" ", "")
    assert said.partition(";")[0] in {kind.partition(";")[0] for f in FORMATS for kind in f.media_types}
    if "/" in spelling and not spelling.startswith("votable/"):
        assert said == spelling
    assert read_back(name, answer.content) == 4


def test_the_declared_formats_are_those_that_are_answered(service: Any) -> None:
    root = etree.fromstring(httpx.get(f"{service.tap}/capabilities").content)
    declared = [element.text for form in root.iter("outputFormat") for element in form if element.tag != "ivo-id"]
    assert declared
    for spelling in declared:
        assert service.get(ROWS, RESPONSEFORMAT=str(spelling), MAXREC=1).status_code == 200, spelling


def test_rows_as_a_page_are_under_the_policy_of_pages(service: Any) -> None:
    answer = service.get(ROWS, RESPONSEFORMAT="html", MAXREC=1)
    assert answer.headers["content-type"] == "text/html;charset=utf-8"
    assert "default-src 'none'" in answer.headers["content-security-policy"]


@pytest.mark.parametrize("spelling", ["xls", "text/rtf", "application/x-votable+xml;serialization=BINARY3"])
def test_an_unknown_format_is_an_error_in_a_votable(service: Any, spelling: str) -> None:
    message = fault_of(service.get(ROWS, RESPONSEFORMAT=spelling), 400)
    assert spelling in message
    assert "votable" in message


def test_without_a_format_the_answer_is_binary2(service: Any) -> None:
    answer = service.get(ROWS, MAXREC=1)
    assert answer.headers["content-type"] == VOTABLE
    assert b"<BINARY2>" in answer.content


def test_nobody_is_sent_a_coding_that_was_not_asked_for(service: Any) -> None:
    answer = httpx.get(f"{service.tap}/sync?LANG=ADQL&MAXREC=1&QUERY={quote(ROWS)}", headers={"accept-encoding": "br"})
    assert "content-encoding" not in answer.headers
    assert "Accept-Encoding" in answer.headers["vary"]


@pytest.mark.parametrize("maxrec", [100, 200_000])
def test_who_asks_for_gzip_gets_the_same_rows_in_less(service: Any, maxrec: int) -> None:
    query = "SELECT f.*, p.obs_id FROM fyst.files AS f, ivoa.obscore AS p"  # more than fits into one piece
    url = f"{service.tap}/sync?LANG=ADQL&RESPONSEFORMAT=csv&MAXREC={maxrec}&QUERY={quote(query)}"
    plain, packed = (httpx.get(url, headers={"accept-encoding": coding}, timeout=60) for coding in ("identity", "gzip"))
    assert packed.headers["content-encoding"] == "gzip"
    assert sorted(plain.text.splitlines()) == sorted(packed.text.splitlines())
    assert packed.num_bytes_downloaded < plain.num_bytes_downloaded / 2


def test_what_is_packed_by_its_format_is_not_packed_again(service: Any) -> None:
    answer = service.get(ROWS, RESPONSEFORMAT="parquet", MAXREC=50)
    assert answer.request.headers["accept-encoding"].startswith("gzip")
    assert "content-encoding" not in answer.headers
    assert answer.content.startswith(b"PAR1")


def test_a_result_says_where_it_comes_from(service: Any) -> None:
    root = etree.fromstring(service.get(ROWS, MAXREC=1).content)
    infos = {info.get("name"): info.get("value") for info in root.iter(f"{NAMES}INFO")}
    assert infos["query"] == ROWS
    assert infos["request"] == f"{service.tap}/sync"
    assert infos["server_software"].startswith("catalog/")
    assert infos["request_date"].startswith("20")


# --- faults --------------------------------------------------------------------------------------------------


def test_a_mistake_is_pointed_out_with_a_caret(service: Any) -> None:
    message = fault_of(service.get("SELECT s_raa\nFROM ivoa.obscore"), 400)
    lines = message.splitlines()
    assert "line 1, column 8" in lines[0]
    assert "s_raa" in lines[0]
    caret = next(number for number, line in enumerate(lines) if set(line.strip()) == {"^"})
    assert lines[caret - 1][lines[caret].index("^") :].startswith("s_raa")
    assert any("s_ra" in line for line in lines[caret + 1 :])


def test_an_error_is_a_votable_whatever_format_was_asked_for(service: Any) -> None:
    fault_of(service.get("DUFF QUERY", RESPONSEFORMAT="csv"), 400)


def test_an_unknown_table_is_named_and_others_are_proposed(service: Any) -> None:
    message = fault_of(service.get("SELECT * FROM ivoa.obscor"), 400)
    assert "ivoa.obscor" in message
    assert "ivoa.obscore" in message


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM package_obscore",
        "SELECT * FROM catalog.package_obscore",
        "SELECT * FROM ops.user_account",
        "SELECT * FROM sqlite_master",
        "SELECT * FROM pg_catalog.pg_roles",
        "SELECT pg_read_file('/etc/passwd') FROM ivoa.obscore",
        "SELECT 1; DROP TABLE ivoa.obscore",
        "DELETE FROM ivoa.obscore",
    ],
)
def test_nothing_else_of_the_database_is_reached(service: Any, query: str) -> None:
    fault_of(service.get(query), 400)


@pytest.mark.parametrize("text", ["Ångström", "日本", "it's", 'a "b"', "<&>", "𝛼 Ori", "tab\there"])
def test_text_comes_back_as_it_was_sent(service: Any, text: str) -> None:
    literal = text.replace("'", "''")
    query = f"SELECT TOP 1 '{literal}' AS said FROM ivoa.obscore"
    for answer in (service.get(query), httpx.post(f"{service.tap}/sync", data={"QUERY": query})):
        assert answer.status_code == 200, answer.text
        assert list(rows_of(answer.content)["said"]) == [text]


def test_a_form_that_is_not_escaped_is_read_as_utf_8(service: Any) -> None:
    """As ``curl -d "QUERY=…"`` sends it from a terminal."""
    answer = httpx.post(
        f"{service.tap}/sync",
        content="LANG=ADQL&QUERY=SELECT TOP 1 'Ångström' AS said FROM ivoa.obscore".encode(),
        headers={"content-type": "application/x-www-form-urlencoded"},
    )
    assert list(rows_of(answer.content)["said"]) == ["Ångström"]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_is_no_utf_8_is_refused(service: Any, method: str) -> None:
    raw = b"LANG=ADQL&QUERY=SELECT+'%FF'+AS+a+FROM+ivoa.obscore"
    if method == "GET":
        answer = httpx.get(f"{service.tap}/sync?{raw.decode()}")
    else:
        headers = {"content-type": "application/x-www-form-urlencoded"}
        answer = httpx.post(f"{service.tap}/sync", content=raw, headers=headers)
    assert "UTF-8" in fault_of(answer, 400)


def test_a_zero_character_does_no_harm(service: Any) -> None:
    for query in ("SELECT \0 FROM ivoa.obscore", "SELECT TOP 1 'a\0b' AS a FROM ivoa.obscore"):
        assert service.get(query).status_code in (200, 400)


@pytest.mark.parametrize("content_type", ["text/plain", "application/json", "application/xml", ""])
def test_a_body_of_another_kind_is_named(service: Any, content_type: str) -> None:
    answer = httpx.post(f"{service.tap}/sync", content=b"QUERY=x", headers={"content-type": content_type})
    assert "application/x-www-form-urlencoded" in fault_of(answer, 400)


def test_a_broken_multipart_body_is_refused(service: Any) -> None:
    headers = {"content-type": "multipart/form-data; boundary=x"}
    answer = httpx.post(f"{service.tap}/sync", content=b"--x\r\nno header\r\n\r\n", headers=headers)
    assert fault_of(answer, 400)
    headers = {"content-type": "multipart/form-data"}
    assert fault_of(httpx.post(f"{service.tap}/sync", content=b"abc", headers=headers), 400)


def test_an_upload_that_holds_no_table_is_refused_by_name(service: Any) -> None:
    answer = httpx.post(
        f"{service.tap}/sync",
        data={"QUERY": "SELECT * FROM TAP_UPLOAD.t", "UPLOAD": "t,param:t"},
        files={"t": ("t.vot", b"<VOTABLE/>")},
    )
    assert "uploaded table t: the VOTable holds no table" in fault_of(answer, 400)


def test_too_many_parameters_are_refused(service: Any) -> None:
    pairs = [("p", str(n)) for n in range(300)]
    assert "200 parameters" in fault_of(httpx.get(f"{service.tap}/sync", params=pairs), 400)
    assert "200 parameters" in fault_of(
        httpx.post(f"{service.tap}/sync", content=b"&".join(b"p=1" for _ in pairs), headers=URLENCODED), 400
    )
    assert fault_of(httpx.post(f"{service.tap}/sync", files=[(n, (None, v)) for n, v in pairs]), 400)


URLENCODED = {"content-type": "application/x-www-form-urlencoded"}


# --- methods and paths ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["/", "/tap/capabilities", "/tap/tables", "/tap/availability", "/tap/tables/ivoa.obscore"]
)
def test_head_says_what_get_would(service: Any, path: str) -> None:
    got, told = httpx.get(f"{service.url}{path}"), httpx.head(f"{service.url}{path}")
    assert told.status_code == 200
    assert told.content == b""
    assert told.headers["content-type"] == got.headers["content-type"]


def test_head_of_a_query_is_answered_without_rows(service: Any) -> None:
    told = httpx.head(f"{service.tap}/sync", params={"QUERY": ROWS})
    assert told.status_code == 200
    assert told.headers["content-type"] == VOTABLE
    assert told.content == b""
    assert httpx.head(f"{service.tap}/sync", params={"QUERY": "DUFF"}).status_code == 400


@pytest.mark.parametrize(
    "path", ["/tap/nothing", "/tap/sync/x", "/tap/tables/ivoa.no", "/tap/async/x/y", "/tap/%2e%2e/x"]
)
def test_an_unknown_path_is_not_found_as_other_faults_are_told(service: Any, path: str) -> None:
    answer = httpx.get(f"{service.url}{path}")
    assert fault_of(answer, 404)
    assert answer.headers["server"].startswith("catalog/")
    said = httpx.get(f"{service.url}{path}", headers={"accept": "application/json"}).json()
    assert (said["status"], said["code"]) == ("ERROR", "NotFoundFault")


@pytest.mark.parametrize("path", ["/nothing", "/TAP/sync", "/query/x"])
def test_where_people_ask_an_unknown_path_is_a_line_of_text(service: Any, path: str) -> None:
    answer = httpx.get(f"{service.url}{path}")
    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
def test_another_method_is_refused_and_the_right_ones_are_named(service: Any, method: str) -> None:
    for path in ("/tap/tables", "/tap/capabilities", "/tap/availability", "/tap/examples"):
        answer = httpx.request(method, f"{service.url}{path}")
        assert "GET" in fault_of(answer, 405)
        assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD"}
    assert httpx.request(method, service.url).status_code == 405
    assert httpx.post(f"{service.url}/tap/tables").status_code == 405


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
def test_no_method_but_get_and_post_runs_a_query(service: Any, method: str) -> None:
    answer = httpx.request(method, f"{service.tap}/sync", params={"LANG": "ADQL", "QUERY": ROWS, "MAXREC": "1"})
    assert fault_of(answer, 405)
    assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD", "POST"}


def test_options_names_the_methods(service: Any) -> None:
    answer = httpx.options(f"{service.tap}/sync")
    assert answer.status_code == 204
    assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD", "POST"}


def test_pages_from_elsewhere_may_ask(service: Any) -> None:
    headers = {
        "origin": "https://aladin.example",
        "access-control-request-method": "POST",
        "access-control-request-headers": "content-type, x-requested-with",
    }
    asked = httpx.options(f"{service.tap}/sync", headers=headers)
    assert asked.status_code == 200
    assert asked.headers["access-control-allow-origin"] == "*"
    assert "POST" in asked.headers["access-control-allow-methods"]
    assert "x-requested-with" in asked.headers["access-control-allow-headers"].lower()
    for answer in (service.get(ROWS), service.get("DUFF"), httpx.get(f"{service.url}/nothing")):
        assert answer.headers["access-control-allow-origin"] == "*"


def test_the_base_url_of_tap_leads_a_browser_to_the_page(service: Any) -> None:
    for path in ("/tap", "/tap/"):
        answer = httpx.get(f"{service.url}{path}", follow_redirects=True)
        assert answer.status_code == 200
        assert str(answer.url) == f"{service.url}/"


def test_every_answer_names_the_server_and_forbids_guessing(service: Any) -> None:
    for answer in (service.get(ROWS), service.get("DUFF"), httpx.get(service.url), httpx.get(f"{service.url}/no")):
        assert answer.headers["server"].startswith("catalog/")
        assert answer.headers["x-content-type-options"] == "nosniff"
