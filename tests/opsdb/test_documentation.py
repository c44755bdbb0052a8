"""The reference page names what there is."""

from __future__ import annotations

from pathlib import Path

import pytest

from catalog.opsdb import enums
from catalog.opsdb.models import OpsBase, OurBase
from catalog.opsdb.triggers.rules import _NEVER_DELETED

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "operations-database.md"
LISTS = ["PackageState", "PhysicalCopyStatus", "Verification", "Status", "LocationType", "StorageType", "RouteType"]


@pytest.fixture(scope="module")
def page() -> str:
    return PAGE.read_text(encoding="utf-8")


def test_every_table_is_named(page: str) -> None:
    tables = [table.name for base in (OpsBase, OurBase) for table in base.metadata.sorted_tables]
    assert [name for name in tables if f"`{name}`" not in page] == []


@pytest.mark.parametrize("name", LISTS)
def test_every_value_of_a_closed_list_is_named(page: str, name: str) -> None:
    values = ", ".join(f"`{member.value}`" for member in getattr(enums, name))
    assert f"| {name} | {values} |" in page


def test_every_table_whose_rows_stay_is_named_as_such(page: str) -> None:
    rule = next(item for item in page.split("\n* ") if "never deleted" in item)
    subclasses = {"disk_data_location", "s3_data_location", "tape_data_location"}
    names = {model.__tablename__ for model in _NEVER_DELETED} - subclasses
    assert [name for name in names if f"`{name}`" not in rule] == []
    assert "its three subclasses" in rule
