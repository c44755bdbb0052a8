"""The access rule itself: the condition that it yields is what it says in words, for every release and every caller."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from catalog.access import ACCESS_COLUMNS, ANONYMOUS, DATA_PERMISSION, METADATA_PERMISSION, AccessRule, Caller
from catalog.formats.media import parse_format
from catalog.obscore.package_obscore import package_obscore
from catalog.settings import AccessSettings, load_settings
from catalog.vo.tableset import load_tableset
from catalog.wiring import Catalog, open_catalog

CALLERS = [
    Caller(username, permissions=frozenset(permissions), programmes=frozenset(programmes))
    for username, permissions, programmes in [
        (None, [], []),
        ("known", ["read:observations"], []),
        ("member", [], [1]),
        ("member of many", [], range(1, 400)),
        ("member of others", [], [0, 11, 111, 10_000]),
        ("reader", [METADATA_PERMISSION], []),
        ("fetcher", [DATA_PERMISSION], [2]),
        ("chief", [METADATA_PERMISSION, DATA_PERMISSION], []),
    ]
]


@pytest.fixture
def filled(database_url: str, embargo: Callable[[str], dict[str, Any]]) -> tuple[str, dict[str, Any]]:
    """A synthetic observatory with every state of release."""
    with open_catalog(database_url) as catalog:
        catalog.init()
        catalog.load_synthetic(packages=80, seed=2)
    return database_url, embargo(database_url)


def hiding(url: str, **access: bool) -> Catalog:
    settings = load_settings(environ={}).with_database(url)
    return Catalog(settings.model_copy(update={"access": AccessSettings(hide_unreleased=True, **access)}))


def test_the_condition_is_what_the_rule_says(filled: tuple[str, dict[str, Any]]) -> None:
    url, releases = filled
    rows = package_obscore()
    hides, shows = AccessRule(hides_metadata=True), AccessRule(hides_metadata=False)
    table = next(t for schema in load_tableset() for t in schema.tables if t.name == "ivoa.obscore")
    with open_catalog(url) as catalog, catalog.database.engine.connect() as connection:

        def found(condition: sa.ColumnElement[bool] | None) -> set[str]:
            meant = sa.true() if condition is None else condition
            return set(connection.scalars(sa.select(rows.c.obs_publisher_did).where(meant)))

        for caller in CALLERS:
            assert found(hides.metadata(caller, table, rows)) == {
                d for d, r in releases.items() if r.is_seen_by(caller)
            }
            assert found(hides.data(caller, rows)) == {d for d, r in releases.items() if r.is_had_by(caller)}
            assert shows.metadata(caller, table, rows) is None
            assert found(shows.data(caller, rows)) == found(hides.data(caller, rows))


def test_the_text_of_a_condition_depends_on_the_class_of_the_caller_alone() -> None:
    rows, table = package_obscore(), load_tableset()[0].tables[0]
    texts: dict[tuple[str, str], set[str]] = {}
    for caller, hides in product([*CALLERS, Caller("another", programmes=frozenset({77}))], [True, False]):
        rule = AccessRule(hides_metadata=hides)
        for right, condition in (("see", rule.metadata(caller, table, rows)), ("have", rule.data(caller, rows))):
            texts.setdefault((rule.access_class(caller), right), set()).add(str(condition))
    assert all(len(found) == 1 for found in texts.values())
    assert len(texts) == 2 * 2 * 6


def test_every_protected_table_has_what_the_rule_looks_at() -> None:
    protected = {table.name for schema in load_tableset() for table in schema.tables if table.protected}
    assert protected == {
        *("ivoa.obscore", "ivoa.obscore_radio", "ivoa.obsplan"),
        *("fyst.packages", "fyst.files", "fyst.copies", "fyst.executed_units", "fyst.transfers"),
    }
    for schema in load_tableset():
        for table in schema.tables:
            assert table.extra.get("hidden") == (ACCESS_COLUMNS if table.protected else None), table.name


@pytest.fixture
def counting(filled: tuple[str, dict[str, Any]]) -> Iterator[tuple[Catalog, dict[str, Any]]]:
    with hiding(filled[0], count_hidden=True) as catalog:
        yield catalog, filled[1]


def test_answers_say_how_many_rows_are_hidden_where_the_settings_say_so(
    counting: tuple[Catalog, dict[str, Any]], filled: tuple[str, dict[str, Any]]
) -> None:
    catalog, releases = counting
    query = "SELECT COUNT(*) AS n FROM ivoa.obscore AS o, fyst.programs AS g WHERE o.target_name = 'nothing like it'"
    for caller in CALLERS:
        hidden = [i for i in catalog.tap.result_infos(query, caller=caller) if i.name == "hidden_rows"]
        count = sum(not release.is_seen_by(caller) for release in releases.values())
        assert [info.value for info in hidden] == ([str(count)] if count else [])
        whom = caller.username or "everybody who has not logged in"
        assert all(str(info.content).endswith(f"rows of ivoa.obscore are hidden from {whom}") for info in hidden)
    assert "hidden_rows" not in {i.name for i in catalog.tap.result_infos("SELECT * FROM fyst.programs")}
    with hiding(filled[0]) as silent:
        assert "hidden_rows" not in {info.name for info in silent.tap.result_infos(query)}


def test_the_planner_is_not_asked_about_rows_that_are_hidden(counting: tuple[Catalog, dict[str, Any]]) -> None:
    catalog, _ = counting
    query = "SELECT target_name FROM ivoa.obscore"
    assert catalog.tap.expected_rows(query, caller=ANONYMOUS, limit=1000) is None
    everything = catalog.tap.expected_rows(query, caller=CALLERS[-1], limit=1000)
    assert everything is None or everything > 0
    if catalog.database.dialect == "postgresql":
        assert everything is not None
        assert catalog.tap.expected_rows("SELECT * FROM fyst.programs", caller=ANONYMOUS, limit=1000) is not None


def test_the_registry_covers_what_everybody_sees(filled: tuple[str, dict[str, Any]]) -> None:
    url, releases = filled
    open_to_all = sum(release.is_seen_by(ANONYMOUS) for release in releases.values())
    with open_catalog(url) as catalog:
        catalog.registry.publish()
        assert packages_of(catalog) == len(releases)
        whole = maps_of(catalog)
    with hiding(url) as catalog:
        catalog.registry.publish()
        assert packages_of(catalog) == open_to_all
        hidden = maps_of(catalog)
        assert any(hidden[programme] != whole[programme] for programme in hidden)
        catalog.registry.publish()
        assert maps_of(catalog) == hidden
        with catalog.session() as session:
            session.execute(sa.text(f"UPDATE {metadata_table(catalog)} SET data_rights = 'public'"))
            session.commit()
        catalog.refresh(full=True)
        catalog.registry.publish()
        assert packages_of(catalog) == len(releases)
        assert maps_of(catalog) == whole


def metadata_table(catalog: Catalog) -> str:
    return f"{'ops.' if catalog.database.dialect == 'postgresql' else ''}raw_data_package_metadata"


def packages_of(catalog: Catalog) -> int:
    [nrows] = [
        schema.tables[0].nrows
        for resource in catalog.registry.resources()
        for schema in resource.schemas
        if resource.kind == "table" and schema.tables[0].name == "ivoa.obscore"
    ]
    assert nrows is not None
    return nrows


def maps_of(catalog: Catalog) -> dict[str, str]:
    return {r.identifier: r.coverage.moc for r in catalog.registry.resources() if r.kind == "collection"}


def test_withdrawn_packages_are_told_without_the_reason_where_metadata_are_hidden(
    filled: tuple[str, dict[str, Any]], tmp_path: Path
) -> None:
    url, releases = filled
    did = next(iter(releases))
    with open_catalog(url) as catalog:
        catalog.withdraw(did, "a secret target")
        assert "a secret target" in catalog.withdrawals([did])[did]
    with hiding(url) as catalog:
        [sentence] = catalog.withdrawals([did]).values()
        assert "was withdrawn on" in sentence
        assert "secret" not in sentence
        catalog.export_obscore(tmp_path / "obscore.csv")
        with (tmp_path / "obscore.csv").open() as stream:
            found = {row["obs_publisher_did"] for row in csv.DictReader(stream)}
        assert found == {d for d, r in releases.items() if r.is_seen_by(ANONYMOUS)} - {did}
        assert catalog.record_document(next(iter(found)), parse_format("json"))
