"""`make bench` runs to its end on a few packages: what nobody runs for a while breaks."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from bench.report import TARGETS, render

ROOT = Path(__file__).parent.parent
PARTS = ("streams", "memory", "small", "load", "isolation", "jobs", "crossmatch", "translation", "ingest")


@pytest.fixture
def folder() -> Iterator[Path]:
    """One that the account of PostgreSQL gets into."""
    made = Path(tempfile.mkdtemp(prefix="catalog-bench-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_every_part_measures(engine: str, folder: Path, request: pytest.FixtureRequest) -> None:
    if engine == "postgresql":
        request.getfixturevalue("postgres_server")  # skips where it is not installed
    results = folder / "bench.json"
    command = [sys.executable, "-m", "bench", "--packages", "300", "--rounds", "1", "--seconds", "0.3"]
    command += ["--engine", engine, "--folder", str(folder / "kept"), "--results", str(results)]
    command += [word for part in PARTS for word in ("--only", part)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "tests")}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    measured = json.loads(results.read_text())
    assert all(math.isfinite(value) for value in measured.values())
    prefix = "sqlite_" if engine == "sqlite" else ""
    here = {name for name in TARGETS if name.startswith("sqlite_") == bool(prefix)}
    unmeasured = {name for name in here if name not in measured}
    assert {name.removeprefix("sqlite_").partition("_")[0] for name in unmeasured} <= {"count", "plans"}
    assert measured[f"{prefix}binary2_rows_per_s"] > 0
    assert "binary2_over" in done.stdout


def test_a_missed_target_is_called_so() -> None:
    table = render({"binary2_over_copy": 0.3, "csv_over_copy": 0.6, "async_top10_ms": 151, "cone_1deg_ms": 3})
    missed = [line.split()[0] for line in table.splitlines() if line.endswith("MISSED")]
    assert missed == ["binary2_over_copy", "async_top10_ms"]
