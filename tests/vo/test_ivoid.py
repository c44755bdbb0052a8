from __future__ import annotations

import uuid
from urllib.parse import parse_qs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.vo.ivoid import Ivoid, build_publisher_did, parse_ivoid

ALPHANUM = "abcXYZ019"
REGISTRY = ALPHANUM + "-_.!~*'()+="
authorities = st.builds(str.__add__, st.sampled_from(ALPHANUM), st.text(REGISTRY, min_size=2, max_size=12))
segments = st.text(REGISTRY, min_size=1, max_size=6).filter(lambda s: s not in (".", ".."))
paths = st.lists(segments, max_size=3).map("/".join)
locals_ = st.none() | st.lists(st.sampled_from([*"abZ09-._~!$&'()*+,;=:@/?", "%2F", "%c3"])).map("".join)
ivoids = st.builds(Ivoid, authorities, paths, locals_, locals_)


@given(ivoids)
def test_text_of_an_ivoid_parses_to_the_same(ivoid: Ivoid) -> None:
    again = parse_ivoid(str(ivoid))
    assert (again.authority, again.path, again.query, again.fragment) == (
        ivoid.authority,
        ivoid.path,
        ivoid.query,
        ivoid.fragment,
    )
    assert again == ivoid
    assert hash(again) == hash(ivoid)


@given(ivoids)
def test_registry_part_ignores_case_and_local_part_does_not(ivoid: Ivoid) -> None:
    shouted = Ivoid(ivoid.authority.upper(), ivoid.path.upper(), ivoid.query, ivoid.fragment)
    assert shouted == ivoid
    assert hash(shouted) == hash(ivoid)
    if ivoid.query is not None and ivoid.query.swapcase() != ivoid.query:
        assert Ivoid(ivoid.authority, ivoid.path, ivoid.query.swapcase(), ivoid.fragment) != ivoid


@given(ivoids)
def test_encoded_survives_the_query_of_a_url(ivoid: Ivoid) -> None:
    assert parse_qs(f"ID={ivoid.encoded}&MAXREC=5", strict_parsing=True)["ID"] == [str(ivoid)]


def test_an_ivoid_is_not_equal_to_its_text() -> None:
    assert parse_ivoid("ivo://org.example/tap") != "ivo://org.example/tap"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("ivo://org.example", ("org.example", "", None, None)),
        ("IVO://Org.Example/Tap", ("Org.Example", "Tap", None, None)),
        ("ivo://ivoa.net/std/TAP#query-v1.1", ("ivoa.net", "std/TAP", None, "query-v1.1")),
        ("ivo://org.example/data?a/b?c", ("org.example", "data", "a/b?c", None)),
        ("ivo://org.example/data?", ("org.example", "data", "", None)),
    ],
)
def test_parts(text: str, parts: tuple[str, str, str | None, str | None]) -> None:
    ivoid = parse_ivoid(text)
    assert (ivoid.authority, ivoid.path, ivoid.query, ivoid.fragment) == parts


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "start with 'ivo://'"),
        ("http://org.example/tap", "start with 'ivo://'"),
        ("ivo:org.example", "start with 'ivo://'"),
        ("ivo://ab/tap", "naming authority"),
        ("ivo://-abc/tap", "naming authority"),
        ("ivo://org.example:80/tap", "naming authority"),
        ("ivo://org.example/", "nothing follows the slash"),
        ("ivo://org.example/a//b", "part of the path"),
        ("ivo://org.example/a/../b", "part of the path"),
        ("ivo://org.example/a%20b", "part of the path"),
        ("ivo://org.example/ä", "part of the path"),
        ("ivo://org.example/a\n", "part of the path"),
        ("ivo://org.example/a?b c", "percent-encoded"),
        ("ivo://org.example/a?b%2", "percent-encoded"),
        ("ivo://org.example/a?b\n", "percent-encoded"),
        ("ivo://org.example/a#b#c", "percent-encoded"),
    ],
)
def test_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_ivoid(text)


def test_publisher_did_carries_the_uuid_in_lower_case_with_hyphens() -> None:
    package = uuid.UUID("E0B895CA2EE44F0FB595CBD83BE40B04")
    did = build_publisher_did("org.example", "data", package)
    assert did == "ivo://org.example/data?e0b895ca-2ee4-4f0f-b595-cbd83be40b04"
    assert parse_ivoid(did).query == str(package)


@pytest.mark.parametrize(("authority", "path"), [("org.example", ""), ("x", "data"), ("org.example", "a b")])
def test_publisher_did_refuses_what_is_no_identifier(authority: str, path: str) -> None:
    with pytest.raises(ValueError, match=r"path|authority"):
        build_publisher_did(authority, path, uuid.uuid4())
