"""Declared facts: what is shipped is whole, and every mistake is named by file, line and field."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from catalog.assets import asset_path
from catalog.errors import SettingsError
from catalog.registry.records import Creator, fill, is_license, load_records


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(asset_path("vo_resources", "records"), tmp_path / "records"))


def change(folder: Path, name: str, old: str, new: str) -> None:
    text = (folder / name).read_text(encoding="utf-8")
    assert old in text
    (folder / name).write_text(text.replace(old, new, 1), encoding="utf-8")


def test_what_is_shipped_describes_every_kind() -> None:
    declared = load_records(asset_path("vo_resources", "records"))
    kinds = {record.kind for record in declared.records}
    assert kinds == {"authority", "organisation", "registry", "service", "cone", "images", "table", "collection"}
    assert {record.table for record in declared.of_kind("table")} >= {"ivoa.obscore", "ivoa.obscore_radio"}


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("tap.yaml", "title:", "tittle:", r"tap.yaml, line 3, field tittle: there is no such field"),
        ("tap.yaml", "title:", "# title:", r"tap.yaml, line 1, field title: Field required"),
        (
            "tap.yaml",
            "wavebands: [Millimeter]",
            "colour: red",
            r"tap.yaml, line 5, field colour: there is no such field",
        ),
        ("tap.yaml", "[Millimeter]", "[Millimetre]", r"tap.yaml, line 5, field wavebands.0: Input should be 'Radio', "),
        ("tap.yaml", "short_name: FYST TAP", "short_name: much too long a name", r"more than 16 characters"),
        ("tap.yaml", "short_name: FYST TAP", 'short_name: "{telescope}"', r"line 4, .*\{telescope\} is no fact"),
        ("tap.yaml", "short_name: FYST TAP", 'short_name: "{0.__class__}"', r"is no fact that a text may name"),
        ("tap.yaml", "short_name: FYST TAP", 'short_name: "{authority"', r"braces do not match"),
        ("tap.yaml", "kind: service", "kind: servise", r"tap.yaml, line 1, field kind: Input should be 'authority'"),
        ("tap.yaml", "kind: service", "kind: table", r"tap.yaml, line 1, field record: .* says which table"),
        ("tap.yaml", "kind: service", "kind: [service", r"tap.yaml, line \d: not YAML"),
        ("tap.yaml", "kind: service", "kind: registry", r"needs one record of kind registry, and has 2"),
        ("publisher.yaml", "@ccat.example", "-ccat.example", r"publisher.yaml, line 4, field contact.email"),
        ("publisher.yaml", "spdx.org", "spdx.example", r"publisher.yaml, line 9, field rights.uri"),
        ("publisher.yaml", "[submillimeter-", "[Submillimeter ", r"publisher.yaml, line 10, field subjects.0"),
    ],
)
def test_a_mistake_is_named_by_file_line_and_field(folder: Path, file: str, old: str, new: str, message: str) -> None:
    change(folder, file, old, new)
    with pytest.raises(SettingsError, match=message):
        load_records(folder)


def test_a_folder_without_publisher_says_what_makes_one(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"no publisher.yaml") as refusal:
        load_records(tmp_path)
    assert "catalog registry init" in str(refusal.value.hint)


def test_an_empty_file_is_no_record(folder: Path) -> None:
    (folder / "tap.yaml").write_text("", encoding="utf-8")
    with pytest.raises(SettingsError, match=r"tap.yaml, line 1: expected fields"):
        load_records(folder)


@pytest.mark.parametrize("orcid", ["0000-0002-1825-0097", "0000-0001-5109-3700", "0000-0002-1694-233X"])
def test_orcids_are_known_by_their_check_digit(orcid: str) -> None:
    assert Creator(name="A", orcid=orcid).orcid == orcid
    wrong = orcid[:-1] + ("1" if orcid[-1] != "1" else "2")
    with pytest.raises(ValueError, match="check digit"):
        Creator(name="A", orcid=wrong)


@pytest.mark.parametrize(
    ("identifier", "known"),
    [
        ("CC-BY-4.0", True),
        ("cc0-1.0", True),
        ("CC-BY-9.0", False),
        ("CC BY", False),
        ("MIT OR CC0-1.0", False),
        ("", False),
    ],
)
def test_licences_are_those_of_spdx(identifier: str, known: bool) -> None:
    assert is_license(identifier) is known


def test_texts_are_filled_and_closed_up() -> None:
    facts = {"name": "A {b} <c>", "description": None}
    assert fill("Data of {name}. {description} All of them.", facts) == "Data of A {b} <c>. All of them."
