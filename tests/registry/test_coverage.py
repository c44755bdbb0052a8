"""Coverage: the cells hold what is published, and the kept map is the one that a fresh one would be."""

from __future__ import annotations

import astropy.units as u
import numpy as np
import pytest
import sqlalchemy as sa
from mocpy import MOC

from catalog import Catalog
from catalog.obscore.package_obscore import package_obscore
from catalog.opsdb.models import RegistryCoverage
from catalog.registry.coverage import Coverage, joined, read_coverages, update_mocs

ORDER = 6


def mocs(catalog: Catalog) -> dict[str, str]:
    with catalog.database.engine.connect() as connection:
        rows = connection.execute(sa.select(RegistryCoverage.collection, RegistryCoverage.moc))
        return {row.collection: row.moc for row in rows}


def published(catalog: Catalog, *columns: str) -> list[dict[str, object]]:
    names = ", ".join(["obs_publisher_did", "obs_collection", *columns])
    query = f"SELECT {names} FROM ivoa.obscore"
    rows: list[dict[str, object]] = catalog.query(query).read_all().to_pylist()
    return rows


def test_every_position_lies_in_the_map_of_its_programme(filled: Catalog) -> None:
    update_mocs(filled.database, package_obscore(), order=ORDER)
    found = mocs(filled)
    rows = [row for row in published(filled, "s_ra", "s_dec") if row["s_ra"] is not None]
    assert {row["obs_collection"] for row in rows} <= {name for name, moc in found.items() if moc}
    for collection, text in found.items():
        mine = np.array([(row["s_ra"], row["s_dec"]) for row in rows if row["obs_collection"] == collection], float)
        if len(mine):
            assert MOC.from_string(text).contains_lonlat(mine[:, 0] * u.deg, mine[:, 1] * u.deg).all()


def test_the_map_is_small_and_of_the_order_that_was_asked_for(filled: Catalog) -> None:
    update_mocs(filled.database, package_obscore(), order=4)
    assert {MOC.from_string(moc).max_order for moc in mocs(filled).values() if moc} == {4}
    update_mocs(filled.database, package_obscore(), order=ORDER)
    assert max(MOC.from_string(moc).max_order for moc in mocs(filled).values() if moc) == ORDER


@pytest.mark.parametrize("move", ["withdraw", "restore"])
def test_the_kept_map_equals_a_fresh_one(filled: Catalog, move: str) -> None:
    some = [str(row["obs_publisher_did"]) for row in published(filled) if row["obs_collection"] in ("Cal", "GEco")][1:]
    if move == "restore":
        for did in some:
            filled.withdraw(did, "a test")
    update_mocs(filled.database, package_obscore(), order=ORDER)
    before = mocs(filled)
    for did in some:
        filled.withdraw(did, "a test") if move == "withdraw" else filled.restore(did)
    update_mocs(filled.database, package_obscore(), order=ORDER)
    kept = mocs(filled)
    update_mocs(filled.database, package_obscore(), order=ORDER, full=True)
    assert kept == mocs(filled)
    assert kept != before


def test_a_programme_without_packages_has_no_map(filled: Catalog) -> None:
    update_mocs(filled.database, package_obscore(), order=ORDER)
    collection = min(mocs(filled))
    for row in published(filled):
        if row["obs_collection"] == collection:
            filled.withdraw(str(row["obs_publisher_did"]), "a test")
    update_mocs(filled.database, package_obscore(), order=ORDER)
    assert collection not in mocs(filled)


def test_times_and_energies_hold_those_of_the_packages(filled: Catalog) -> None:
    with filled.database.engine.connect() as connection:
        found = read_coverages(connection, package_obscore())
    rows = published(filled, "t_min", "t_max", "em_min", "em_max", "instrument_name", "facility_name")
    assert sum(coverage.packages for coverage in found.values()) == len(rows)
    for row in rows:
        coverage = found[str(row["obs_collection"])]
        assert coverage.temporal is not None
        for time in (row["t_min"], row["t_max"]):
            assert time is None or coverage.temporal[0] <= float(str(time)) <= coverage.temporal[1]
        assert row["instrument_name"] in coverage.instruments
        assert row["facility_name"] in coverage.facilities
        if row["em_min"] is None:
            continue
        low, high = (1.98644586e-25 / float(str(row[name])) for name in ("em_max", "em_min"))  # 1 m is so many joule
        assert any(a <= low * 1.001 and high <= b * 1.001 for a, b in coverage.spectral)


def test_joined_coverages_hold_both() -> None:
    first = Coverage(2, "6/1", (1.0, 2.0), ((1e-22, 2e-22),), ("A",), ("x",))
    second = Coverage(3, "6/3", (0.5, 1.5), ((1.5e-22, 3e-22), (5e-22, 6e-22)), ("A",), ("y",))
    both = joined([first, second, Coverage(1)])
    assert both == Coverage(6, "6/1 3", (0.5, 2.0), ((1e-22, 3e-22), (5e-22, 6e-22)), ("A",), ("x", "y"))
    assert joined([]) == Coverage()
