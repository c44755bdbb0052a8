"""One diagnosis, whichever way it is read: the words in a VOTable and in JSON, and the facts for programs in both."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from lxml import etree
from starlette.requests import Request

from catalog.errors import (
    AuthenticationError,
    AuthorizationError,
    CatalogError,
    InternalError,
    NotFoundError,
    ParameterError,
    PhaseError,
    QueryTimeoutError,
    QuotaError,
    ResourceLimitError,
    UnavailableError,
)
from catalog.web.responses import fault_response

WRONG = "SELECT s_raa, s_dec\nFROM ivoa.obscore LIMIT 5"
UNKNOWN = "SELECT s_raa\nFROM ivoa.obscore"


def infos(content: bytes) -> dict[str, str]:
    found = {}
    for info in etree.fromstring(content).iter("{*}INFO"):
        found[info.attrib["name"]] = info.attrib["value"]
        if info.attrib["name"] == "QUERY_STATUS":
            found["message"] = info.text or ""
    return found


def asked(service: Any, query: str, accept: str | None = None, **params: str) -> httpx.Response:
    headers = {} if accept is None else {"accept": accept}
    return httpx.get(f"{service.tap}/sync", params={"LANG": "ADQL", "QUERY": query, **params}, headers=headers)


def test_votable_and_json_carry_the_same_facts(service: Any) -> None:
    for query, code, line, column in ((UNKNOWN, "unknown-column", 1, 8), (WRONG, "syntax", 2, 25)):
        votable, document = asked(service, query), asked(service, query, "application/json")
        assert votable.status_code == document.status_code == 400
        assert document.headers["content-type"] == "application/json"
        facts, said = infos(votable.content), document.json()
        assert said["status"] == facts["QUERY_STATUS"] == "ERROR"
        assert said["message"] == facts["message"]
        for name, value in (("code", code), ("line", line), ("column", column), ("proposal", None)):
            assert str(said[name]) == facts[f"ERROR_{name.upper()}"]
            assert value is None or said[name] == value
        assert "^" in said["message"]


def test_the_proposed_query_is_valid_and_was_not_run(service: Any) -> None:
    said = asked(service, UNKNOWN, "application/json").json()
    assert said["proposal"] == "SELECT s_ra\nFROM ivoa.obscore"
    assert asked(service, said["proposal"]).status_code == 200


@pytest.mark.parametrize("accept", [None, "*/*", "text/html,application/xml", "application/x-votable+xml"])
def test_others_get_a_votable(service: Any, accept: str | None) -> None:
    answer = asked(service, UNKNOWN, accept, RESPONSEFORMAT="json")
    assert answer.headers["content-type"] == "application/x-votable+xml"


def test_faults_of_parameters_are_json_too(service: Any) -> None:
    said = asked(service, "", "application/json; charset=utf-8, */*;q=0.5").json()
    assert (said["status"], said["code"]) == ("ERROR", "ParameterFault")
    assert "QUERY" in said["message"]


@pytest.mark.parametrize(
    ("fault", "status", "code", "headers"),
    [
        (ParameterError("x", hint="y"), 400, "ParameterFault", {}),
        (AuthenticationError("x", challenge="Bearer"), 401, "AuthenticationFault", {"www-authenticate": "Bearer"}),
        (AuthorizationError("x"), 403, "AuthorizationFault", {}),
        (PhaseError("x"), 403, "PhaseFault", {}),
        (NotFoundError("x"), 404, "NotFoundFault", {}),
        (QueryTimeoutError("x"), 408, "TimeoutFault", {}),
        (ResourceLimitError("x"), 413, "LimitFault", {}),
        (QuotaError("x", retry_after=77), 429, "QuotaFault", {"retry-after": "77"}),
        (InternalError("x"), 500, "FatalFault", {}),
        (UnavailableError("x"), 503, "TransientFault", {"retry-after": "10"}),
    ],
)
@pytest.mark.parametrize("accept", ["*/*", "application/json"])
def test_every_fault_has_its_status_code_sentence_hint_and_job(
    fault: CatalogError, status: int, code: str, headers: dict[str, str], accept: str
) -> None:
    request = Request({"type": "http", "method": "GET", "headers": [(b"accept", accept.encode())]})
    answer = fault_response(fault, request=request, job_id="j1")
    assert answer.status_code == status
    assert {name: answer.headers.get(name) for name in headers} == headers
    if accept == "application/json":
        said = json.loads(bytes(answer.body))
    else:
        told = infos(bytes(answer.body))
        said = {name.removeprefix("ERROR_").lower(): value for name, value in told.items()}
        said["status"] = told["QUERY_STATUS"]
    assert (said["status"], said["code"], said["job_id"]) == ("ERROR", code, "j1")
    assert said["message"].splitlines() == ["x"] + ([fault.hint] if fault.hint else [])
    assert said.get("hint") == fault.hint
