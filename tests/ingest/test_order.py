"""Property: whatever the order in which records arrive, and in how many runs, the catalog ends the same."""

from __future__ import annotations

import copy
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from catalog.db import Database
from catalog.ingest.records import PackageRecord
from catalog.ingest.report import IngestSummary
from catalog.obscore.comparison import compare_with_fresh
from catalog.opsdb.identity import build_package_id
from catalog.opsdb.models import OpsBase

Record = dict[str, Any]
Content = dict[str, list[tuple[Any, ...]]]
UNITS = ["11111111-2222-4333-8444-55555555555" + digit for digit in "0123"]
SOURCES: list[Record] = [
    {"name": "Jupiter", "type": "solar_system_object", "body": "jupiter"},
    {"name": "Orion-KL", "type": "fixed_source", "ra_deg": 83.8, "dec_deg": -5.4},
    {"name": "a stripe", "type": "constant_elevation_source", "ra_min_deg": 350, "ra_max_deg": 10}
    | {"dec_min_deg": -5, "dec_max_deg": 5},
]
PLACES: list[Record] = [
    {"storage_type": "disk", "location_type": "buffer", "path": "/b"},
    {"storage_type": "s3", "location_type": "long_term_archive", "bucket": "fyst", "prefix": "raw"},
    {"storage_type": "tape", "location_type": "long_term_archive", "path": "/hsm"},
]


def unit(index: int, *, whole: bool) -> Record:
    """An execution, alone by its id, or with all that it needs."""
    if not whole:
        return {"id": UNITS[index]}
    program = {"short_name": "GEco", "name": "Galactic Ecology", "release_months": 12}
    planned: Record = {"name": "shared", "program": program, "source": SOURCES[0]}
    if index > 1:
        part = {"short_name": "deep", "name": "Deep"}
        planned |= {"source": SOURCES[index - 1], "sub_program": part, "name": f"unit {index}"}
    start = f"2026-04-0{index + 1}T02:00:00"
    return {"id": UNITS[index], "start_time": start, "end_time": start[:-1] + "9", "obs_unit": planned}


def location(index: int, *, whole: bool) -> Record:
    place = {"site": ["ccat", "cologne"][index % 2], "name": f"place {index}"}
    return place | {"site_name": f"site {index % 2}"} | PLACES[index] if whole else place


def copies(draw: st.DrawFn, checksum: str | None) -> list[Record]:
    """Copies at some of the places, each defined or only named."""
    chosen = draw(st.lists(st.integers(0, 2), max_size=2, unique=True))
    facts = [{}, {"verification": "ok"} | ({"checksum": checksum} if checksum else {}), {"status": "staged"}]
    return [{"location": location(place, whole=draw(st.booleans()))} | draw(st.sampled_from(facts)) for place in chosen]


@st.composite
def families(draw: st.DrawFn) -> list[Record]:
    """Records that agree, some of which lack what another brings; the definitions may be missing altogether.

    Some packages come twice: once as they are while they are being built, once whole.
    """
    records: list[Record] = []
    keys = draw(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=6, unique=True))
    for number, (index, sequence) in enumerate(keys):
        checksum = f"{number:064x}"
        stem = f"{index}/{sequence}"
        files = [
            {"relative_path": f"{stem}.{part}.fits", "size_bytes": 10 + part, "checksum": f"{part:064x}"}
            | {"start_time": f"2026-04-0{index + 1}T02:0{part}:00", "exptime_s": 1.5, "file_type": "application/fits"}
            for part in range(draw(st.integers(0, 2)))
        ]
        record: Record = {
            "instrument": "CHAI",
            "module": ["LFA", "HFA"][sequence % 2],
            "telescope": "FYST",
            "sequence": sequence,
            "relative_path": f"{stem}.tar",
            "executed_obs_unit": unit(index, whole=draw(st.booleans())),
            "files": files,
        }
        is_built = draw(st.booleans())
        if is_built:
            record |= {"size_bytes": 100, "checksum": checksum}
        record["copies"] = copies(draw, checksum if is_built else None)
        if files and draw(st.booleans()):
            record["files"][0]["copies"] = copies(draw, files[0]["checksum"])
        if draw(st.booleans()):
            record["metadata"] = {"s_fov": 1.5, "document": {"observation": {"observer": "who"}}}
        if number and draw(st.booleans()):
            earlier = PackageRecord.model_validate(records[draw(st.integers(0, number - 1))] | {"copies": []})
            execution = earlier.executed_obs_unit.id
            record["supersedes"] = str(build_package_id(execution, "CHAI", earlier.module, earlier.sequence))
        records.append(record)
    for record in list(records):
        if draw(st.integers(0, 2)) == 0:
            records.append(unfinished(record))
    return records


def unfinished(record: Record) -> Record:
    """The same package before it was built and described, and while it was observed."""
    before = copy.deepcopy(record)
    for name in ("size_bytes", "checksum", "metadata"):
        before.pop(name, None)
    before["executed_obs_unit"].pop("end_time", None)
    before["files"] = [{"relative_path": file["relative_path"]} for file in before["files"][:1]]
    return before


@pytest.fixture
def fresh(engine_name: str, request: pytest.FixtureRequest) -> Callable[[str], Any]:
    """Opens a new, empty catalog."""

    @contextmanager
    def opened(folder: str) -> Iterator[Database]:
        if engine_name == "sqlite":
            shutil.copy(request.getfixturevalue("installed_file"), Path(folder) / "c.db")
            with Database(f"sqlite:///{folder}/c.db") as database:
                yield database
            return
        server = request.getfixturevalue("postgres_server")
        url = server.create_database(request.getfixturevalue("installed_server"))
        with Database(url) as database:
            yield database
        server.drop_database(url)

    return opened


def property_of(examples: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    return settings(
        max_examples=examples,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
        phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
    )


@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
@property_of(30)
@given(data=st.data(), records=families())
def test_any_order_in_any_number_of_runs_ends_in_the_same_catalog_on_sqlite(
    data: st.DataObject, records: list[Record], fresh: Any, ingest: Any, content: Any
) -> None:
    check(data, records, fresh, ingest, content)


@pytest.mark.parametrize("engine_name", ["postgresql"], indirect=True)
@property_of(12)
@given(data=st.data(), records=families())
def test_any_order_in_any_number_of_runs_ends_in_the_same_catalog_on_postgresql(
    data: st.DataObject, records: list[Record], fresh: Any, ingest: Any, content: Any
) -> None:
    check(data, records, fresh, ingest, content)


def check(
    data: st.DataObject,
    records: list[Record],
    fresh: Callable[[str], Any],
    ingest: Callable[..., IngestSummary],
    content: Callable[[Database], Content],
) -> None:
    ends = []
    for attempt in range(2):
        order = records if attempt == 0 else data.draw(st.permutations(records))
        cuts = sorted(data.draw(st.lists(st.integers(0, len(order)), max_size=3))) if attempt else []
        batches = [order[low:high] for low, high in zip([0, *cuts], [*cuts, len(order)], strict=True)]
        with tempfile.TemporaryDirectory() as folder, fresh(folder) as database:
            for number, batch in enumerate(batches):
                path = Path(folder) / f"{number}.jsonl"
                path.write_text("".join(json.dumps(record) + "\n" for record in batch))
                assert ingest(database, path).problems == ()
            ends.append(content(database) | {"published": published(database)})
    assert ends[0] == ends[1]


def published(database: Database) -> list[tuple[Any, ...]]:
    """Every row of both views, but for the time of recording; each is what a fresh resolution gives."""
    rows: list[tuple[Any, ...]] = []
    with database.engine.connect() as connection:
        assert list(compare_with_fresh(connection)) == []
        for name in ("ivoa.obscore", "ivoa.obscore_radio"):
            view = ".".join(filter(None, database.published_name(name)))
            for row in connection.execute(sa.text(f"SELECT * FROM {view}")).mappings():
                hidden = ("obs_creation_date", "obscore_key", "observing_program_id")
                rows.append(tuple((column, repr(value)) for column, value in row.items() if column not in hidden))
    return sorted(rows)


WRITTEN = {
    *("observatory", "telescope", "instrument", "instrument_module", "observing_program", "sub_observing_program"),
    *("source", "fixed_source", "solar_system_object", "constant_elevation_source", "obs_unit", "executed_obs_unit"),
    *("raw_data_package", "raw_data_package_metadata", "raw_data_file", "site", "data_location", "physical_copy"),
    *("disk_data_location", "s3_data_location", "tape_data_location"),
}
"""Tables that an ingest writes."""


def test_families_fill_every_table_that_an_ingest_writes(
    small: Database, ingest: Callable[..., IngestSummary], content: Callable[[Database], Content], tmp_path: Path
) -> None:
    """The property is about all of them; the others must stay empty."""
    records = []
    for number, (index, sequence) in enumerate((index, sequence) for index in range(4) for sequence in range(3)):
        records.append({
            "instrument": "CHAI",
            "module": "LFA",
            "sequence": sequence,
            "size_bytes": 1,
            "checksum": f"{number:064x}",
            "executed_obs_unit": unit(index, whole=True),
            "files": [{"relative_path": f"{number}.fits", "copies": [{"location": location(0, whole=True)}]}],
            "copies": [{"location": location(place, whole=True)} for place in range(3)],
            "metadata": {"s_fov": 1.0},
        })  # fmt: skip
    path = tmp_path / "m.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    assert ingest(small, path).created == 12

    filled = {name for name, rows in content(small).items() if rows}
    assert filled == WRITTEN
    assert {table.name for table in OpsBase.metadata.sorted_tables} > WRITTEN
