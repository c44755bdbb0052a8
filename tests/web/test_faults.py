"""One diagnosis, whichever way it is read: the words in a VOTable and in JSON, and the facts for programs in both."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from lxml import etree

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
