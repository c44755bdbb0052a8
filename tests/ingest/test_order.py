"""Property: whatever the order in which records arrive, and in how many runs, the catalog ends the same."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalog.db import Database
from catalog.ingest.identity import build_package_id
from catalog.ingest.records import PackageRecord
from catalog.ingest.report import IngestSummary

Record = dict[str, Any]
UNITS = ["11111111-2222-4333-8444-55555555555" + digit for digit in "012"]


def unit(index: int, *, whole: bool) -> Record:
    """An execution, alone by its id, or with all that it needs."""
    if not whole:
        return {"id": UNITS[index]}
    return {
        "id": UNITS[index],
        "start_time": f"2026-04-0{index + 1}T02:00:00",
        "obs_unit": {
            "name": f"unit {index // 2}",
            "program": {"short_name": "GEco", "name": "Galactic Ecology"},
            "source": {"name": "Jupiter", "type": "solar_system_object", "body": "jupiter"},
        },
    }


def location(index: int, *, whole: bool) -> Record:
    place = {"site": "ccat", "name": f"buffer {index}"}
    definition = {"site_name": "CCAT", "storage_type": "disk", "location_type": "buffer", "path": f"/b{index}"}
    return place | definition if whole else place


@st.composite
def families(draw: st.DrawFn) -> list[Record]:
    """Records that agree, some of which lack what another brings; the definitions may be missing altogether."""
    records = []
    keys = draw(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3)), min_size=1, max_size=7, unique=True))
    for number, (index, sequence) in enumerate(keys):
        record: Record = {
            "instrument": "CHAI",
            "module": "LFA",
            "sequence": sequence,
            "relative_path": f"{index}/{sequence}.tar",
            "executed_obs_unit": unit(index, whole=draw(st.booleans())),
            "files": [{"relative_path": f"{index}/{sequence}.fits", "size_bytes": 10}],
        }
        place = draw(st.integers(0, 1))
        if draw(st.booleans()):
            record["copies"] = [{"location": location(place, whole=draw(st.booleans()))}]
        if draw(st.booleans()):
            record |= {"size_bytes": 100, "checksum": f"{number:064x}"}
        if number and draw(st.booleans()):
            earlier = PackageRecord.model_validate(records[draw(st.integers(0, number - 1))] | {"copies": []})
            execution = earlier.executed_obs_unit.id
            record["supersedes"] = str(build_package_id(execution, "CHAI", "LFA", earlier.sequence))
        records.append(record)
    return records


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), records=families())
def test_any_order_in_any_number_of_runs_ends_in_the_same_catalog(
    data: st.DataObject,
    records: list[Record],
    installed_file: Path,
    ingest: Callable[..., IngestSummary],
    content: Callable[[Database], dict[str, list[tuple[Any, ...]]]],
) -> None:
    ends = []
    for attempt in range(2):
        order = records if attempt == 0 else data.draw(st.permutations(records))
        cuts = sorted(data.draw(st.lists(st.integers(0, len(order)), max_size=3))) if attempt else []
        batches = [order[low:high] for low, high in zip([0, *cuts], [*cuts, len(order)], strict=True)]
        with tempfile.TemporaryDirectory() as folder:
            shutil.copy(installed_file, Path(folder) / "c.db")
            with Database(f"sqlite:///{folder}/c.db") as database:
                for number, batch in enumerate(batches):
                    path = Path(folder) / f"{number}.jsonl"
                    path.write_text("".join(json.dumps(record) + "\n" for record in batch))
                    summary = ingest(database, path)
                    assert summary.problems == ()
                ends.append(content(database))
    assert ends[0] == ends[1]
