"""Our encoders alone, beside astropy's writer and ``stilts tpipe``, on the same rows."""

from __future__ import annotations

import io
import shutil
import subprocess
import time
from pathlib import Path

from astropy.io import votable
from bench.queries import EVERYTHING

from catalog import Catalog
from catalog.formats.encoder import encode
from catalog.formats.media import parse_format
from catalog.vo.table import TableStream

__all__ = ["measure_writers"]

ROWS = 100_000
FEW = 5_000  # astropy writes some thousand rows per second
FORMATS = {"binary2": "votable", "tabledata": "votable/td", "csv": "csv"}


def measure_writers(catalog: Catalog, folder: Path) -> dict[str, float]:
    """Rows per second of each writer: rows in memory to bytes; of STILTS file to nothing, without its start."""
    with catalog.query(EVERYTHING, maxrec=ROWS) as stream:
        table, batches = stream.table, list(stream)
    rows = sum(batch.num_rows for batch in batches)
    measured = {}
    for name, fmt in FORMATS.items():
        began = time.perf_counter()
        for _ in encode(TableStream(table, iter(batches)), parse_format(fmt)):
            pass
        measured[f"encode_{name}_rows_per_s"] = rows / (time.perf_counter() - began)
    paths = {count: folder / f"obscore_{count}.vot" for count in (10, rows)}
    for count, path in paths.items():
        with catalog.query(EVERYTHING, maxrec=count) as stream, path.open("wb") as file:
            file.writelines(encode(stream, parse_format("votable")))
    with catalog.query(EVERYTHING, maxrec=FEW) as stream:
        read = votable.parse(io.BytesIO(b"".join(encode(stream, parse_format("votable")))))
    for name in ("binary2", "tabledata"):
        began = time.perf_counter()
        read.to_xml(io.BytesIO(), tabledata_format=name)
        measured[f"astropy_{name}_rows_per_s"] = min(FEW, rows) / (time.perf_counter() - began)
    if shutil.which("stilts"):
        for name, ofmt in (("binary2", "votable-binary2-inline"), ("tabledata", "votable"), ("csv", "csv")):
            started, worked = (_pipe(path, ofmt) for path in paths.values())
            measured[f"stilts_{name}_rows_per_s"] = rows / max(worked - started, 1e-3)
    return measured


def _pipe(path: Path, ofmt: str) -> float:
    """Seconds that STILTS takes to read a file and write it in another format."""
    began = time.perf_counter()
    with path.with_suffix(".out").open("wb") as out:  # named by out=, a device would be replaced by a file
        subprocess.run(["stilts", "tpipe", f"in={path}", "out=-", f"ofmt={ofmt}"], check=True, stdout=out)
    return time.perf_counter() - began
