"""The synthetic observatory as rows, without a database."""

from __future__ import annotations

import hashlib
import json
import re
import tracemalloc
from collections import defaultdict
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from catalog.errors import UsageError
from catalog.ingest.synthetic import build_observatory
from catalog.ingest.synthetic.facts import load_facts
from catalog.ingest.synthetic.timetable import build_cycle
from catalog.opsdb.models import OpsBase

ORION_KL = (83.8, -5.4)
Row = dict[str, Any]
Tables = dict[str, list[Row]]


def observatory(packages: int, **options: Any) -> Tables:
    """All rows, as they are stored, by table."""
    tables: Tables = defaultdict(list)
    for batch in build_observatory(packages, **{"seed": 1, **options}):
        tables[batch.table.name].extend(dict(zip(batch.columns, row, strict=True)) for row in batch.rows())
    return tables


@pytest.fixture(scope="module", params=[200, 2000])
def tables(request: pytest.FixtureRequest) -> Tables:
    return observatory(request.param)


def by_id(rows: list[Row], key: str = "id") -> dict[Any, Row]:
    return {row[key]: row for row in rows}


def sources_of_packages(tables: Tables) -> list[tuple[Row, Row | None]]:
    """Each package with its source, or None."""
    units, plans, sources = (by_id(tables[name]) for name in ("executed_obs_unit", "obs_unit", "source"))
    found = []
    for package in tables["raw_data_package"]:
        plan = plans[units[package["executed_obs_unit_id"]]["obs_unit_id"]]
        found.append((package, sources.get(plan["source_id"])))
    return found


def separation(ra: float, dec: float, centre: tuple[float, float]) -> float:
    """Degrees between two directions."""
    (a, d), (b, e) = np.radians([ra, dec]), np.radians(centre)
    cosine = np.sin(d) * np.sin(e) + np.cos(d) * np.cos(e) * np.cos(a - b)
    return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))


def in_order(tables: Tables) -> dict[str, list[str]]:
    return {name: sorted(json.dumps(row, sort_keys=True) for row in rows) for name, rows in tables.items()}


def digest(tables: Tables) -> str:
    text = json.dumps(in_order(tables), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def test_same_seed_makes_the_same_rows_whatever_the_batches() -> None:
    whole = in_order(observatory(600))
    for size in (1, 37, 250, 600):
        assert in_order(observatory(600, batch_packages=size)) == whole


def test_rows_of_seed_1_are_the_same_everywhere() -> None:
    # When this changes on purpose, the version of the mark in catalog/ingest/synthetic/load.py changes too.
    assert digest(observatory(200)) == "b8cd9b4f194e5be8c05bb8b72da95112a2722ab62923f84547a700cb8b878cc1"


def test_another_seed_makes_another_catalog() -> None:
    one, two = observatory(200), observatory(200, seed=2)
    for name in ("raw_data_package", "raw_data_file", "executed_obs_unit", "data_transfer_package"):
        assert not {row["id"] for row in one[name]} & {row["id"] for row in two[name]}
    assert {row["checksum"] for row in one["raw_data_file"]}.isdisjoint(row["checksum"] for row in two["raw_data_file"])
    assert one["instrument_module"] == two["instrument_module"]


def test_rows_are_as_many_as_asked_for(tables: Tables) -> None:
    packages = len(tables["raw_data_package"])
    assert packages in (200, 2000)
    assert len(tables["raw_data_package_metadata"]) == packages
    assert len(tables["raw_data_file"]) == 3 * packages
    assert sum(
        row["raw_data_package_id"] is not None for row in tables["physical_copy"] if "raw_data_package_id" in row
    )


@pytest.mark.parametrize("packages", [1, 2, 3, 43, 44, 100, 5000])
def test_any_number_of_packages_gives_whole_references(packages: int) -> None:
    tables = observatory(packages, files_per_package=1)
    assert len(tables["raw_data_package"]) == packages
    for name, rows in list(tables.items()):
        table = OpsBase.metadata.tables[f"ops.{name}"]
        for constraint in table.foreign_key_constraints:
            check_references(tables, constraint, rows)


def check_references(tables: Tables, constraint: sa.ForeignKeyConstraint, rows: list[Row]) -> None:
    own = [column.name for column in constraint.columns]
    target = constraint.elements[0].column.table.name
    remote = [element.column.name for element in constraint.elements]
    known = {tuple(row[name] for name in remote) for row in tables[target]}
    wanted = {tuple(row.get(name) for name in own) for row in rows}
    assert {key for key in wanted if None not in key} <= known, (constraint.table.name, own)


def test_files_per_package_may_be_none_or_many() -> None:
    assert "raw_data_file" not in observatory(60, files_per_package=0)
    assert len(observatory(60, files_per_package=150)["raw_data_file"]) == 9000


@pytest.mark.parametrize(("packages", "files"), [(0, 3), (-1, 3), (10_000_001, 3), (10, -1), (10, 1001)])
def test_numbers_out_of_range_are_refused(packages: int, files: int) -> None:
    with pytest.raises(UsageError, match="expected"):
        build_observatory(packages, 1, files)


def test_a_negative_seed_is_a_seed() -> None:
    assert len(observatory(20, seed=-5)["raw_data_package"]) == 20


@pytest.mark.parametrize("packages", [1, 10, 20, 44, 60, 100, 200, 333, 500, 1000, 2000, 7000])
def test_one_publishable_package_in_twenty_is_near_orion_kl(packages: int) -> None:
    tables = observatory(packages, files_per_package=0)
    fixed = by_id(tables["fixed_source"])
    near = 0
    for package, source in sources_of_packages(tables):
        place = fixed.get(source["id"]) if source else None
        if place and package["size_bytes"] is not None and package["checksum"] is not None:
            near += separation(place["ra_deg"], place["dec_deg"], ORION_KL) < 3
    if packages >= 20:
        assert near >= packages / 20


def test_named_targets_and_every_kind_of_source_occur(tables: Tables) -> None:
    pairs = [(package, source) for package, source in sources_of_packages(tables) if package["size_bytes"] is not None]
    names = {source["name"] for _, source in pairs if source}
    assert {"Orion-KL", "NGC 253", "IRC+10216", "Jupiter", "Deep56", "Stripe 82"} <= names
    kinds = {source["type"] for _, source in pairs if source}
    assert kinds == {"fixed_source", "solar_system_object", "constant_elevation_source"}
    assert any(source is None for _, source in pairs)
    observed = {source["id"] for _, source in pairs if source}
    fields = [row for row in tables["constant_elevation_source"] if row["id"] in observed and row["ra_min_deg"]]
    assert any(row["ra_min_deg"] > row["ra_max_deg"] for row in fields), "no field holds RA 0"


def test_every_source_is_observed_in_the_default_size() -> None:
    tables = observatory(2000)
    observed = {source["name"] for _, source in sources_of_packages(tables) if source}
    assert observed == {row["name"] for row in tables["source"]}


def test_every_value_of_every_enum_occurs(tables: Tables) -> None:
    seen: dict[type, set[Any]] = defaultdict(set)
    wanted: dict[type, set[Any]] = {}
    for name, rows in tables.items():
        for column in OpsBase.metadata.tables[f"ops.{name}"].columns:
            if isinstance(column.type, sa.Enum) and column.type.enum_class is not None:
                wanted[column.type.enum_class] = set(column.type.enums)
                values = {row.get(column.name) for row in rows} - {None}
                assert values <= set(column.type.enums)
                seen[column.type.enum_class] |= values
    assert dict(seen) == wanted


def test_package_states_and_copy_statuses_occur_on_packages(tables: Tables) -> None:
    packages = tables["raw_data_package"]
    assert {row["state"] for row in packages} == {"waiting", "transferring", "archived", "failed"}
    assert {row["status"] for row in packages} == {"pending", "scheduled", "in_progress", "completed", "failed"}
    copies = [row for row in tables["physical_copy"] if row.get("raw_data_package_id")]
    assert len({row["status"] for row in copies}) == 8
    assert {row["verification"] for row in copies} == {"never", "ok", "mismatch", "missing", "unreachable"}
    assert {row["type"] for row in tables["physical_copy"]} == {
        "raw_data_file_physical_copy",
        "raw_data_package_physical_copy",
        "data_transfer_package_physical_copy",
    }


def test_copies_lie_at_three_sites_and_number_three_for_each_package() -> None:
    tables = observatory(5000, files_per_package=1)
    locations = by_id(tables["data_location"])
    copies = [row for row in tables["physical_copy"] if row.get("raw_data_package_id")]
    assert {locations[row["data_location_id"]]["site_id"] for row in copies} == {1, 2, 3}
    assert len(copies) >= 3 * 5000


def test_some_packages_have_no_copy_left_and_none_is_archived_without_having_had_one(tables: Tables) -> None:
    alive: dict[str, int] = defaultdict(int)
    ever: dict[str, int] = defaultdict(int)
    for copy in tables["physical_copy"]:
        if copy.get("raw_data_package_id"):
            ever[copy["raw_data_package_id"]] += 1
            alive[copy["raw_data_package_id"]] += copy["status"] != "deleted"
    built = [row["id"] for row in tables["raw_data_package"] if row["size_bytes"] is not None]
    assert any(alive[key] == 0 for key in built)
    assert all(ever[key] for key in built)
    assert not any(ever[row["id"]] for row in tables["raw_data_package"] if row["size_bytes"] is None)


def test_what_a_copy_says_of_its_verification_is_consistent(tables: Tables) -> None:
    packages = by_id(tables["raw_data_package"])
    files = by_id(tables["raw_data_file"])
    bundles = by_id(tables["data_transfer_package"])
    for copy in tables["physical_copy"]:
        targets = (packages.get(copy.get("raw_data_package_id")), files.get(copy.get("raw_data_file_id")))
        target = next(row for row in (*targets, bundles.get(copy.get("data_transfer_package_id"))) if row)
        assert (copy["verified_at"] is None) == (copy["verification"] == "never")
        assert (copy["deleted_at"] is not None) == (copy["status"] == "deleted")
        assert (copy["checksum"] is not None) == (copy["verification"] in ("ok", "mismatch"))
        if copy["checksum"] is not None:
            equal = copy["checksum"] == target["checksum"]
            assert equal == (copy["verification"] == "ok")
            assert copy["checksum_algorithm"] == target["checksum_algorithm"]
        moments = [copy[name] for name in ("created_at", "verified_at", "deleted_at", "updated_at") if copy[name]]
        assert moments == sorted(moments) or copy["deleted_at"] is None or copy["deleted_at"] >= copy["created_at"]
        assert copy["updated_at"] == max(moments)


def test_rebuilds_supersede_a_built_package_of_the_same_unit_and_module(tables: Tables) -> None:
    packages = by_id(tables["raw_data_package"])
    rebuilds = [row for row in packages.values() if row["supersedes_id"] is not None]
    assert rebuilds
    for new in rebuilds:
        old = packages[new["supersedes_id"]]
        for name in ("executed_obs_unit_id", "instrument_module_id"):
            assert new[name] == old[name]
        assert new["sequence"] == old["sequence"] + 1
        assert new["created_at"] > old["created_at"]
        assert old["size_bytes"] is not None


def test_units_and_modules_with_several_packages_occur(tables: Tables) -> None:
    keys = [(row["executed_obs_unit_id"], row["instrument_module_id"]) for row in tables["raw_data_package"]]
    assert len(set(keys)) < len(keys)
    full = [(*key, row["sequence"]) for key, row in zip(keys, tables["raw_data_package"], strict=True)]
    assert len(set(full)) == len(full)


def test_running_aborted_and_planned_units_occur(tables: Tables) -> None:
    units = by_id(tables["executed_obs_unit"])
    with_packages = {row["executed_obs_unit_id"] for row in tables["raw_data_package"] if row["size_bytes"] is not None}
    performed = [row for row in units.values() if row["execution_status"] == "performed"]
    running = {row["id"] for row in performed if row["end_time"] is None}
    assert running
    assert running <= with_packages
    assert all(row["start_time"] for row in performed)
    for file in tables["raw_data_file"]:
        assert (file["executed_obs_unit_id"] in running) == (file["start_time"] is None) == (file["end_time"] is None)
    for status in ("aborted", "planned", "scheduled", "unscheduled"):
        these = {row["id"] for row in units.values() if row["execution_status"] == status}
        assert these
        assert not these & with_packages
    last = max(row["end_time"] for row in performed if row["end_time"])
    assert any(row["start_time"] > last for row in tables["obs_unit_slot"])


def test_running_units_are_among_the_latest() -> None:
    tables = observatory(2000)
    starts = sorted(row["start_time"] for row in tables["executed_obs_unit"] if row.get("start_time"))
    running = [row["start_time"] for row in tables["executed_obs_unit"] if "start_time" in row and not row["end_time"]]
    performed = [start for start in running if start is not None]
    assert min(performed) >= starts[-40]
    assert starts[-1] in performed or starts[-2] in performed


def test_some_packages_are_not_final(tables: Tables) -> None:
    unfinished = [row for row in tables["raw_data_package"] if row["size_bytes"] is None]
    assert unfinished
    for row in unfinished:
        assert row["checksum"] is row["checksum_algorithm"] is None
        assert row["status"] != "completed"
        assert row["state"] in ("waiting", "failed")


def test_released_and_closed_programmes_by_both_kinds_of_rule(tables: Tables) -> None:
    rules = [*tables["observing_program"], *tables["sub_observing_program"]]
    dates = [row["release_date"] for row in rules if row["release_date"]]
    months = [row["release_months"] for row in rules if row["release_months"] is not None]
    assert any(date < "2026-11" for date in dates)
    assert any(date > "2026-12" for date in dates)
    assert 0 in months
    assert any(number >= 12 for number in months)
    assert any(row["release_date"] is None and row["release_months"] is None for row in tables["observing_program"])
    plans, units = by_id(tables["obs_unit"]), by_id(tables["executed_obs_unit"])
    used = {
        plans[units[row["executed_obs_unit_id"]]["obs_unit_id"]]["observing_program_id"]
        for row in tables["raw_data_package"]
    }
    assert used == {row["id"] for row in tables["observing_program"]}


def test_metadata_override_in_columns_and_in_the_document(tables: Tables) -> None:
    rows = tables["raw_data_package_metadata"]
    for name in ("s_ra", "t_exptime", "scan_mode", "obs_release_date", "t_resolution", "f_resolution"):
        assert any(row[name] is not None for row in rows)
    assert {row["data_rights"] for row in rows} == {None, "public", "secure", "proprietary"}
    documents = [json.loads(row["document"]) for row in rows]
    assert all(document["synthetic"] is True for document in documents)
    assert all(re.fullmatch(r"scan_\d{6}", document["observation"]["scan_id"]) for document in documents)
    assert all(0.1 < document["observation"]["pwv_mm"] < 3 for document in documents)
    assert {document["observation"].get("frequency_ghz") for document in documents} == {
        None,
        461.0408,
        492.1607,
        806.6518,
        809.342,
    }


def test_overriding_positions_stay_at_their_source(tables: Tables) -> None:
    fixed = by_id(tables["fixed_source"])
    metadata = by_id(tables["raw_data_package_metadata"], "raw_data_package_id")
    for package, source in sources_of_packages(tables):
        stated = metadata[package["id"]]
        assert (stated["s_ra"] is None) == (stated["s_dec"] is None)
        if stated["s_ra"] is not None:
            assert source is not None
            place = fixed[source["id"]]
            assert separation(place["ra_deg"], place["dec_deg"], (stated["s_ra"], stated["s_dec"])) < 0.02


def test_times_are_in_the_season_and_in_order() -> None:
    tables = observatory(2000)
    executed = [row for row in tables["executed_obs_unit"] if row.get("start_time")]
    assert min(row["start_time"] for row in executed).startswith("2026-04-0")
    assert "2026-11-1" < max(row["start_time"] for row in executed) < "2026-11-20"
    units = by_id(executed)
    for file in tables["raw_data_file"]:
        if file["start_time"]:
            unit = units[file["executed_obs_unit_id"]]
            assert unit["start_time"] <= file["start_time"] < file["end_time"] <= unit["end_time"]
    for package in tables["raw_data_package"]:
        assert package["created_at"] <= package["updated_at"] < "2026-11-21"
    for name, rows in tables.items():
        for row in rows:
            if "created_at" in row:
                assert "2026-02" < row["created_at"] <= row["updated_at"] < "2026-11-21", name


def test_a_module_does_one_thing_at_a_time() -> None:
    tables = observatory(3000, files_per_package=0)
    units = by_id(tables["executed_obs_unit"])
    spans: dict[int, set[tuple[str, str]]] = defaultdict(set)
    for package in tables["raw_data_package"]:
        unit = units[package["executed_obs_unit_id"]]
        spans[package["instrument_module_id"]].add((unit["start_time"], unit["end_time"] or unit["start_time"]))
    for module in spans.values():
        ordered = sorted(module)
        assert all(earlier[1] <= later[0] for earlier, later in pairwise(ordered))


def test_a_million_packages_would_take_years_and_end_when_the_others_do() -> None:
    large = next(iter(build_observatory(1_000_000, 1)))
    begun = str(large.columns["created_at"][0])
    assert "2020-06" < begun < "2022-06"


def test_sessions_fit_into_two_sidereal_hours_and_sources_are_up() -> None:
    cycle = build_cycle(load_facts())
    assert (cycle.unit_offset_s + cycle.unit_duration_s).max() < 7180 - 20
    elevation = cycle.unit_elevation_deg[~np.isnan(cycle.unit_elevation_deg)]
    assert elevation.min() > 20
    assert elevation.max() <= 90
    assert len(cycle.plans) == len({plan.name for plan in cycle.plans})


def test_calibration_keeps_its_cadence() -> None:
    cycle = build_cycle(load_facts())
    for session in range(12):
        modes = [cycle.plans[plan].mode for plan in cycle.unit_plan[cycle.unit_session == session]]
        assert {"cross-scan", "focus", "hot-cold-load"} <= set(modes)
    skydips = sum(cycle.plans[plan].mode == "skydip" for plan in cycle.unit_plan)
    planets = sum(cycle.plans[plan].mode == "planet-map" for plan in cycle.unit_plan)
    assert skydips >= 8  # every three hours of the day
    assert planets >= 2  # every twelve


def test_packages_are_tars_of_their_files_and_below_fifty_gigabytes(tables: Tables) -> None:
    sizes: dict[str, list[int]] = defaultdict(list)
    for file in tables["raw_data_file"]:
        sizes[file["raw_data_package_id"]].append(file["size_bytes"])
    for package in tables["raw_data_package"]:
        content = sum(512 + (size + 511) // 512 * 512 for size in sizes[package["id"]])
        if package["size_bytes"] is not None:
            assert content < package["size_bytes"] <= content + 1024 + 10240
            assert package["size_bytes"] % 10240 == 0
            assert package["size_bytes"] < 50e9


def test_checksums_have_the_length_of_their_algorithm(tables: Tables) -> None:
    lengths = {"sha256": 64, "sha512": 128, "sha1": 40, "md5": 32, "xxh64": 16, "xxh128": 32, "crc32c": 8, "adler32": 8}
    for name in ("raw_data_package", "raw_data_file", "physical_copy", "data_transfer_package"):
        for row in tables[name]:
            assert (row["checksum"] is None) == (row["checksum_algorithm"] is None)
            if row["checksum"] is not None:
                assert re.fullmatch(f"[0-9a-f]{{{lengths[row['checksum_algorithm']]}}}", row["checksum"])
    packages = [row["checksum"] for row in tables["raw_data_package"] if row["checksum"]]
    assert len(set(packages)) == len(packages)


def test_identifiers_are_valid_and_distinct(tables: Tables) -> None:
    form = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
    for name in ("raw_data_package", "raw_data_file", "executed_obs_unit", "data_transfer_package"):
        identifiers = [row["id"] for row in tables[name]]
        assert all(form.fullmatch(value) for value in identifiers)
        assert len(set(identifiers)) == len(identifiers)


def test_files_are_named_as_the_instruments_do(tables: Tables) -> None:
    modules = by_id(tables["instrument_module"])
    prime_cam = re.compile(r"r\d\dd\d_\d{10}_\d{3}\.g3")
    chai = re.compile(r"scan_\d{6}_CHAI-[LH]FA_\d{3}\.fits")
    for file in tables["raw_data_file"]:
        kind = modules[file["instrument_module_id"]]["kind"]
        if kind == "other":
            assert file["name"].endswith(".csv")
        else:
            assert (prime_cam if kind == "detector_stream" else chai).fullmatch(file["name"])
        assert file["relative_path"].endswith("/" + file["name"])
        assert not file["relative_path"].startswith("/")
    paths = {(file["instrument_module_id"], file["relative_path"]) for file in tables["raw_data_file"]}
    assert len(paths) == len(tables["raw_data_file"])


def test_everything_published_says_that_it_is_synthetic(tables: Tables) -> None:
    for row in tables["raw_data_package_metadata"]:
        assert row["obs_title"].startswith("Synthetic: ")
        assert "Synthetic" in row["obs_creator_name"]
    for name, columns in {
        "raw_data_package": ["name", "relative_path"],
        "raw_data_file": ["relative_path"],
        "data_transfer_package": ["name", "relative_path"],
        "data_transfer_log": ["log_path"],
        "observing_program": ["name", "description", "proposal_id", "pi_name"],
        "sub_observing_program": ["name"],
        "observatory": ["name", "description"],
        "telescope": ["name"],
        "instrument": ["description"],
        "instrument_module": ["description"],
        "source": ["description"],
        "obs_unit": ["name"],
        "obs_mode": ["description"],
        "site": ["name"],
        "data_location": ["name"],
        "data_transfer_route": ["name"],
        "user": ["username", "full_name"],
    }.items():
        assert tables[name]
        for row in tables[name]:
            for column in columns:
                assert "synthetic" in row[column].lower()


def test_nobody_is_real_and_nothing_opens_a_door(tables: Tables) -> None:
    for user in tables["user"]:
        assert "password_hash" not in user
        assert user["email"].endswith(".example")
    for token in tables["api_token"]:
        assert token["revoked_at"] < "2026-11"
        guesses = (token["name"], token["prefix"], str(token["id"]), "", "synthetic")
        assert token["token_hash"] not in {hashlib.sha256(guess.encode()).hexdigest() for guess in guesses}
    for row in tables["disk_data_location"]:
        assert row["host"].endswith(".example")
    for row in tables["s3_data_location"]:
        assert row["endpoint"].endswith(".example")


def test_memory_does_not_grow_with_the_number_of_packages() -> None:
    def peak(packages: int) -> int:
        tracemalloc.start()
        for batch in build_observatory(packages, 1, 1, batch_packages=250):
            assert len(batch)
        high = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return high

    small = peak(2_500)
    assert peak(10_000) < 1.5 * small
