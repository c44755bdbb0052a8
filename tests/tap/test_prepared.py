"""Translated queries are kept; what is kept is never one caller's answer to another."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from cachetools import LRUCache

from catalog.access import ANONYMOUS, DATA_PERMISSION, METADATA_PERMISSION, Caller
from catalog.errors import QueryError
from catalog.settings import AccessSettings, load_settings
from catalog.wiring import Catalog, open_catalog

QUERY = """SELECT o.obs_publisher_did FROM ivoa.obscore AS o WHERE o.calib_level >= 0 AND o.obs_publisher_did IN
(SELECT p.obs_publisher_did FROM fyst.packages AS p)"""


@pytest.fixture
def guarded(database_url: str, embargo: Callable[[str], dict[str, Any]]) -> Iterator[tuple[Catalog, dict[str, Any]]]:
    with open_catalog(database_url) as catalog:
        catalog.init()
        catalog.load_synthetic(packages=80, seed=2)
    releases = embargo(database_url)
    settings = load_settings(environ={}).with_database(database_url)
    with Catalog(settings.model_copy(update={"access": AccessSettings(hide_unreleased=True)})) as catalog:
        yield catalog, releases


def found(catalog: Catalog, caller: Caller, **options: Any) -> set[str]:
    with catalog.query(QUERY, caller=caller, maxrec=10_000, **options) as rows:
        return set(rows.read_all()["obs_publisher_did"].to_pylist())


def test_callers_who_alternate_on_one_text_get_each_their_own_rows(guarded: tuple[Catalog, dict[str, Any]]) -> None:
    catalog, releases = guarded
    programmes = sorted({release.programme for release in releases.values() if release.programme is not None})
    assert len(programmes) > 1
    callers = [
        ANONYMOUS,
        Caller("known"),
        *(Caller(f"member of {number}", programmes=frozenset({number})) for number in programmes),
        Caller("member of two", programmes=frozenset(programmes[:2])),
        Caller("reader", permissions=frozenset({METADATA_PERMISSION})),
        Caller("fetcher", permissions=frozenset({DATA_PERMISSION})),
    ]
    expected = [{did for did, release in releases.items() if release.is_seen_by(caller)} for caller in callers]
    assert len({frozenset(rows) for rows in expected}) >= 4
    for _ in range(3):
        for caller, rows in zip(callers, expected, strict=True):
            assert found(catalog, caller) == rows, caller
        for caller, rows in zip(reversed(callers), reversed(expected), strict=True):
            assert found(catalog, caller) == rows, caller
    assert len(catalog.tap._prepared) == 5  # anonymous, known, member, reader, fetcher


def test_what_is_asked_for_besides_the_text_counts_too(guarded: tuple[Catalog, dict[str, Any]]) -> None:
    catalog, releases = guarded
    everything = Caller("reader", permissions=frozenset({METADATA_PERMISSION}))
    for maxrec in (3, 10_000, 3, 5):
        with catalog.query(QUERY, caller=everything, maxrec=maxrec) as rows:
            table = rows.read_all()
        assert table.num_rows == min(maxrec, len(releases))
        assert rows.truncated == (maxrec < len(releases))


def test_a_fault_is_found_each_time(guarded: tuple[Catalog, dict[str, Any]]) -> None:
    catalog, _ = guarded
    for _ in range(2):
        with pytest.raises(QueryError, match="no column"):
            catalog.query("SELECT nothing_of_the_kind FROM ivoa.obscore")
    assert len(catalog.tap._prepared) == 0


def test_the_queries_that_were_used_last_are_kept(
    guarded: tuple[Catalog, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog, _ = guarded
    resolve, made = catalog.tap.resolve, []

    def counted(adql: str, **options: Any) -> Any:
        made.append(adql[-1])
        return resolve(adql, **options)

    assert catalog.tap._prepared.maxsize == 512
    monkeypatch.setattr(catalog.tap, "_prepared", LRUCache(2))
    monkeypatch.setattr(catalog.tap, "resolve", counted)
    for key in "ababcacb":
        with catalog.query(f"SELECT TOP 1 obs_id AS {key} FROM ivoa.obscore AS {key}") as rows:
            assert rows.read_all().column_names == [key]
    assert made == ["a", "b", "c", "a", "b"]
    assert len(catalog.tap._prepared) == 2
