"""JSON Lines, CSV and Parquet say the same; what is broken in them is named, and the rest is read."""

from __future__ import annotations

import csv
import json
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from catalog.ingest import manifest
from catalog.ingest.manifest import parse_record, read_manifest

Record = dict[str, Any]


def flatten(record: Record, prefix: str = "") -> dict[str, Any]:
    """Dotted columns as CSV has them."""
    cells: dict[str, Any] = {}
    for name, value in record.items():
        path = prefix + name
        if isinstance(value, dict) and path != "metadata.document":
            cells |= flatten(value, path + ".")
        else:
            cells[path] = json.dumps(value) if isinstance(value, dict | list) else value
    return cells


def write_json_lines(path: Path, records: list[Record]) -> None:
    path.write_text("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records), encoding="utf-8")


def write_csv(path: Path, records: list[Record]) -> None:
    rows = [flatten(record) for record in records]
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, sorted({name for row in rows for name in row}))
        writer.writeheader()
        writer.writerows(rows)


def write_flat_parquet(path: Path, records: list[Record]) -> None:
    pq.write_table(pa.Table.from_pylist([flatten(record) for record in records]), path)


def write_nested_parquet(path: Path, records: list[Record]) -> None:
    def with_times(value: Any) -> Any:
        if isinstance(value, dict):
            return {
                name: datetime.fromisoformat(part).replace(tzinfo=UTC) if name.endswith("_time") else with_times(part)
                for name, part in value.items()
            }
        return [with_times(part) for part in value] if isinstance(value, list) else value

    pq.write_table(pa.Table.from_pylist([with_times(record) for record in records]), path)


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("m.jsonl", write_json_lines),
        ("m.NDJSON", write_json_lines),
        ("m.csv", write_csv),
        ("flat.parquet", write_flat_parquet),
        ("nested.parquet", write_nested_parquet),
    ],
)
def test_every_form_yields_the_same_records(
    record: Record, name: str, write: Callable[[Path, list[Record]], None], tmp_path: Path
) -> None:
    record["sequence"] = 0
    second = json.loads(json.dumps(record))
    second |= {"sequence": 1, "relative_path": 'prime-cam/280/ünïcode, "quoted" 2.tar', "supersedes": None}
    second["metadata"]["s_fov"] = 0.25
    write(tmp_path / name, [record, second])
    entries = list(read_manifest(tmp_path / name))
    assert [entry.problems for entry in entries] == [(), ()]
    assert [entry.record for entry in entries] == [parse_record(record), parse_record(second)]
    first = 2 if name.endswith("csv") else 1
    assert [entry.line for entry in entries] == [first, first + 1]


def test_json_lines_names_line_and_reason_and_reads_on(record: Record, tmp_path: Path) -> None:
    good = json.dumps(record).encode()
    lines = [
        b"\xef\xbb\xbf" + good,
        b"{",
        b"",
        b"[1]",
        b'{"a": NaN}',
        b'{"a": 1, "a": 2}',
        b"\xff\xfe",
        b"[" * 100_000,
        good.replace(b'"280"', b'"\\u0000"'),
        good + b"\r",
    ]
    path = tmp_path / "m.jsonl"
    path.write_bytes(b"\n".join(lines))
    entries = list(read_manifest(path))
    told = {entry.line: entry.problems[0].reason for entry in entries if entry.problems}
    assert [entry.line for entry in entries if entry.record] == [1, 10]
    assert sorted(told) == [2, 4, 5, 6, 7, 8, 9]
    assert "not JSON" in told[2]
    assert told[4] == "expected a JSON object"
    assert "NaN is not a number" in told[5]
    assert "the key 'a' occurs twice" in told[6]
    assert told[7] == "the line is not UTF-8"
    assert "not JSON" in told[8]
    assert "control character" in told[9]


def test_a_line_that_is_too_long_is_passed_over(
    record: Record, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifest, "_LONGEST", 5000)
    path = tmp_path / "m.jsonl"
    path.write_text(json.dumps({"x": "y" * 20_000}) + "\n" + json.dumps(record) + "\n")
    long, good = read_manifest(path)
    assert "longer than 5000 bytes" in long.problems[0].reason
    assert (good.line, good.record) == (2, parse_record(record))


def test_csv_names_line_column_and_reason_and_reads_on(record: Record, tmp_path: Path) -> None:
    cells = flatten(record)
    columns = sorted(cells)
    rows = [dict(cells) for _ in range(6)]
    rows[1]["files"] = "[{"
    rows[2]["metadata.s_fov"] = "wide"
    rows[3]["metadata.s_fov"] = "nan"
    rows[4]["name"] = "two\nlines"
    path = tmp_path / "m.csv"
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, [*columns, "name"])
        writer.writeheader()
        writer.writerows(rows)
    with path.open("ab") as stream:
        stream.write(b"only,three,cells\r\n" + b",".join([b"\xff"] * (len(columns) + 1)) + b"\r\n" + b'"open')
    entries = list(read_manifest(path))
    told = [(p.line, p.field, p.reason) for entry in entries for p in entry.problems]
    assert [entry.line for entry in entries if entry.record] == [2, 8]
    assert [(line, field) for line, field, _ in told[:4]] == [
        (3, "files"),
        (4, "metadata.s_fov"),
        (5, "metadata.s_fov"),
        (6, "name"),
    ]
    assert "valid number" in told[1][2]
    assert "finite" in told[2][2]
    assert told[4] == (9, None, f"the row has 3 cells, the header {len(columns) + 1}")
    assert told[5][0] == 10
    assert told[5][2] == "the cell is not UTF-8"
    assert told[6][0] == 11
    assert "not CSV" in told[6][2]


def test_csv_takes_copies_as_plain_words(record: Record, tmp_path: Path) -> None:
    record["copies"] = "ccat/buffer; cologne/archive"
    write_csv(tmp_path / "m.csv", [record])
    (entry,) = read_manifest(tmp_path / "m.csv")
    assert entry.record is not None
    assert [(c.location.site, c.location.name) for c in entry.record.copies] == [
        ("ccat", "buffer"),
        ("cologne", "archive"),
    ]


@pytest.mark.parametrize(
    ("header", "reason"), [("module,module", "the column 'module' occurs twice"), ("module,", "a column has no name")]
)
def test_a_bad_csv_header_is_told(header: str, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_text(header + "\nx,y\n")
    (entry,) = read_manifest(path)
    assert (entry.problems[0].line, entry.problems[0].reason) == (1, reason)


def test_a_column_that_is_whole_and_in_parts_is_told(record: Record, tmp_path: Path) -> None:
    cells = flatten(record) | {"executed_obs_unit": "x"}
    with (tmp_path / "m.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, ["executed_obs_unit", *sorted(set(cells) - {"executed_obs_unit"})])
        writer.writeheader()
        writer.writerow(cells)
    (entry,) = read_manifest(tmp_path / "m.csv")
    assert "given as a whole and in parts" in entry.problems[0].reason


def test_parquet_knows_finer_times_and_binary_identities(record: Record, tmp_path: Path) -> None:
    identifier = "0a0b0c0d-0102-4304-8506-070809101112"
    cells = flatten(record) | {"id": bytes.fromhex(identifier.replace("-", ""))}
    cells["executed_obs_unit.start_time"] = None
    table = pa.Table.from_pylist([cells]).drop_columns(["executed_obs_unit.start_time"])
    times = pa.array([1_775_008_800_123_456_789], pa.timestamp("ns", "UTC"))
    pq.write_table(table.append_column("executed_obs_unit.start_time", times), tmp_path / "m.parquet")
    (entry,) = read_manifest(tmp_path / "m.parquet")
    assert entry.record is not None
    assert str(entry.record.id) == identifier
    assert entry.record.executed_obs_unit.start_time == datetime(1970, 1, 1, tzinfo=UTC) + timedelta(
        microseconds=1_775_008_800_123_456
    )


def test_a_file_that_is_not_parquet_is_told(tmp_path: Path) -> None:
    path = tmp_path / "m.parquet"
    for content in (b"", b"PAR1 nonsense PAR1"):
        path.write_bytes(content)
        (entry,) = read_manifest(path)
        assert "the file is not Parquet" in entry.problems[0].reason


def test_a_truncated_parquet_file_is_told(record: Record, tmp_path: Path) -> None:
    path = tmp_path / "m.parquet"
    write_nested_parquet(path, [record] * 50)
    path.write_bytes(path.read_bytes()[:-200])
    (entry,) = read_manifest(path)
    assert "the file is not Parquet" in entry.problems[0].reason


@pytest.mark.parametrize("name", ["m.jsonl", "m.csv", "m.parquet"])
def test_memory_does_not_grow_with_the_manifest(record: Record, name: str, tmp_path: Path) -> None:
    write = {"m.jsonl": write_json_lines, "m.csv": write_csv, "m.parquet": write_nested_parquet}[name]
    write(tmp_path / name, [record] * 1500)
    peaks = []
    for count in (300, 1500):
        tracemalloc.start()
        entries = read_manifest(tmp_path / name)
        assert all(next(entries).record is not None for _ in range(count))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] * 1.5 + 1_000_000
