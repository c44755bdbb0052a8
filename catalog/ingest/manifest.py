"""Manifests: JSON Lines, CSV and Parquet, read a record at a time.

In CSV a column is named by the dotted path of a field (``executed_obs_unit.id``, ``metadata.s_ra``) and an empty cell
says nothing; ``files``, ``copies`` and ``metadata.document`` hold JSON, and ``copies`` may also be ``SITE/NAME`` with
semicolons between. Parquet has the same columns, nested ones, or both.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import TypeAdapter, ValidationError

from catalog.ingest.records import PackageRecord
from catalog.ingest.report import Problem
from catalog.vo.time import TIME_SCALES

__all__ = ["MANIFEST_SUFFIXES", "Entry", "count_lines", "parse_record", "read_manifest"]

MANIFEST_SUFFIXES = (".jsonl", ".ndjson", ".csv", ".parquet")
"""By these a manifest is known."""

_LONGEST = 64 * 2**20  # bytes of a line; a record with 100,000 files has about 30 MB
_BATCH = 500
_JSON_CELLS = ("files", "copies", "metadata.document")
_SURROGATE = re.compile("[\ud800-\udfff]")  # how bytes that are not UTF-8 come in
_NESTED = (dict, list, tuple)
_ADAPTER = TypeAdapter(PackageRecord)


Wanted = Callable[[int], bool]
"""Whether a line is wanted, by its number."""


def _every(line: int) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a manifest: a record, or the reasons why it is none."""

    file: str
    line: int | None
    record: PackageRecord | None
    problems: tuple[Problem, ...] = ()
    size: int = 0
    """Characters of JSON that say the same: how much memory the record takes."""


def read_manifest(path: Path, *, wanted: Wanted = _every) -> Iterator[Entry]:
    """Every record of a manifest, in order.

    What cannot be read is an entry with problems, never an exception; the rest of the file is read on where the form
    allows it.

    Args:
        path: Its suffix, one of `MANIFEST_SUFFIXES` in any case, tells the form.
        wanted: Which lines to read; the others are passed over without a look at what they say.
    """
    reader = {".csv": _read_csv, ".parquet": _read_parquet}.get(path.suffix.lower(), _read_json_lines)
    try:
        yield from reader(path, wanted)
    except OSError as error:
        yield _broken(path, None, None, f"the file cannot be read: {error.strerror or error}")


def count_lines(path: Path) -> int:
    """How many records a manifest has at most; 0 if it cannot be read."""
    try:
        if path.suffix.lower() == ".parquet":
            return int(pq.read_metadata(path).num_rows)
        with path.open("rb") as stream:
            return sum(piece.count(b"\n") for piece in iter(lambda: stream.read(2**20), b""))
    except (OSError, pa.ArrowException):
        return 0


def parse_record(values: dict[str, Any], *, strict: bool = True) -> PackageRecord:
    """A record from plain values.

    Args:
        values: As JSON has them.
        strict: Take no number from text, and so on; False for CSV, where all is text.

    Raises:
        ValidationError: Says which fields are wrong, and why.
    """
    return _validate(values, _ENCODER.encode(_prune(values)), strict=strict)


def _validate(values: dict[str, Any], text: str, *, strict: bool) -> PackageRecord:
    scale = values.get("time_scale", "UTC")
    known = isinstance(scale, str) and scale in TIME_SCALES
    return _ADAPTER.validate_json(text, strict=strict, context={"time_scale": scale if known else "UTC"})


def _entry(path: Path, line: int, values: dict[str, Any], *, strict: bool = True) -> Entry:
    """The entry of values that have been pruned."""
    try:
        text = _ENCODER.encode(values)
        return Entry(str(path), line, _validate(values, text, strict=strict), size=len(text))
    except ValidationError as error:
        problems = tuple(_problem(path, line, detail) for detail in error.errors(include_url=False)[:20])
        return Entry(str(path), line, None, problems)
    except (ValueError, TypeError, RecursionError) as error:
        return _broken(path, line, None, f"the record cannot be read: {error}")


def _problem(path: Path, line: int, detail: Any) -> Problem:
    field = ".".join(str(part) for part in detail["loc"] if not str(part).startswith("function-"))
    reason = str(detail["msg"]).removeprefix("Value error, ")
    if detail["type"] == "extra_forbidden":
        reason = "there is no such field"
    elif detail["type"] == "missing":
        reason = "the field is missing"
    elif isinstance(detail.get("input"), str | int | float) and detail["type"] != "value_error":
        reason += f", not {str(detail['input'])[:60]!r}"
    return Problem(str(path), line, field or None, reason)


def _broken(path: Path, line: int | None, field: str | None, reason: str) -> Entry:
    return Entry(str(path), line, None, (Problem(str(path), line, field, reason),))


def _prune(value: Any) -> Any:
    """The value without nulls, and without objects that hold nothing else: saying nothing is saying nothing."""
    if isinstance(value, list | tuple):
        return [_prune(part) if isinstance(part, _NESTED) else part for part in value]
    if not isinstance(value, dict):
        return value
    pruned = {}
    for key, part in value.items():
        if part is None:
            continue
        kept = _prune(part) if isinstance(part, _NESTED) else part
        if kept != {} or part == {}:
            pruned[key] = kept
    return pruned


def _plain(value: Any) -> Any:
    """What Parquet has and JSON has not."""
    if isinstance(value, date):  # and datetime
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, bytes):
        return str(UUID(bytes=value)) if len(value) == 16 else value.hex()
    raise TypeError(f"a value of type {type(value).__name__} has no place in a record")


_ENCODER = json.JSONEncoder(default=_plain)


# JSON Lines


def _read_json_lines(path: Path, wanted: Wanted) -> Iterator[Entry]:
    with path.open("rb") as stream:
        number = 0
        while text := stream.readline(_LONGEST):
            number += 1
            if len(text) == _LONGEST and not text.endswith(b"\n"):
                while (rest := stream.readline(_LONGEST)) and not rest.endswith(b"\n"):
                    pass
                if wanted(number):
                    yield _broken(path, number, None, f"the line is longer than {_LONGEST} bytes")
                continue
            text = text.removeprefix(b"\xef\xbb\xbf") if number == 1 else text
            if wanted(number) and text.strip():
                yield _json_line(path, number, text)


def _json_line(path: Path, number: int, text: bytes) -> Entry:
    try:
        values = _DECODER.decode(text.decode("utf-8"))
    except UnicodeDecodeError:
        return _broken(path, number, None, "the line is not UTF-8")
    except json.JSONDecodeError as error:
        return _broken(path, number, None, f"the line is not JSON: {error.msg} at character {error.pos + 1}")
    except (ValueError, RecursionError) as error:
        return _broken(path, number, None, f"the line is not JSON: {error}")
    if not isinstance(values, dict):
        return _broken(path, number, None, "expected a JSON object")
    return _entry(path, number, _prune(values))


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key '{next(name for name in names if names.count(name) > 1)}' occurs twice")
    return values


def _no_constant(text: str) -> None:
    raise ValueError(f"{text} is not a number in JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_unique_keys, parse_constant=_no_constant)


# CSV


def _read_csv(path: Path, wanted: Wanted) -> Iterator[Entry]:
    csv.field_size_limit(_LONGEST)
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as stream:
        rows = csv.reader(stream, strict=True)
        header: list[str] | None = None
        while True:
            number = rows.line_num + 1
            try:
                row = next(rows)
            except StopIteration:
                return
            except csv.Error as error:
                if header is None or wanted(number):
                    yield _broken(path, number, None, f"the row is not CSV: {error}")
                if header is None:
                    return
                continue
            if header is None:
                header = [name.strip() for name in row]
                twice = sorted({name for name in header if header.count(name) > 1})
                if twice or "" in header:
                    named = f"the column '{twice[0]}' occurs twice" if twice and twice[0] else "a column has no name"
                    yield _broken(path, number, twice[0] or None if twice else None, named)
                    return
            elif row and wanted(number):
                yield _csv_row(path, number, header, row)


def _csv_row(path: Path, number: int, header: list[str], row: list[str]) -> Entry:
    if len(row) != len(header):
        return _broken(path, number, None, f"the row has {len(row)} cells, the header {len(header)}")
    cells: dict[str, Any] = {name: cell for name, cell in zip(header, row, strict=True) if cell.strip()}
    for name, cell in cells.items():
        if _SURROGATE.search(cell):
            return _broken(path, number, name, "the cell is not UTF-8")
    return _flat_row(path, number, cells, strict=False)


def _flat_row(path: Path, number: int, cells: dict[str, Any], *, strict: bool) -> Entry:
    """A row whose columns are dotted paths; its cells have been pruned."""
    values: dict[str, Any] = {}
    for name, cell in cells.items():
        if name in _JSON_CELLS and isinstance(cell, str):
            try:
                cell = _prune(_json_cell(name, cell))
            except (ValueError, RecursionError) as error:
                return _broken(path, number, name, f"the cell is not JSON: {error}")
            if cell is None:
                continue
        place, (parents, last) = values, _path(name)
        for part in parents:
            place = place.setdefault(part, {})
            if not isinstance(place, dict):
                return _broken(path, number, name, f"'{part}' is given as a whole and in parts")
        if isinstance(place.get(last), dict) or (isinstance(cell, dict) and last in place):
            if not isinstance(cell, dict):
                return _broken(path, number, name, f"'{last}' is given as a whole and in parts")
            cell = {**cell, **place[last]}
        place[last] = cell
    return _entry(path, number, values, strict=strict)


@lru_cache(1_000)
def _path(name: str) -> tuple[tuple[str, ...], str]:
    """The parts of a dotted path: those above, and the last."""
    *parents, last = name.split(".")
    return tuple(parents), last


def _json_cell(name: str, cell: str) -> Any:
    text = cell.strip()
    if name == "copies" and not text.startswith("["):
        return [part.strip() for part in text.split(";") if part.strip()]
    return _DECODER.decode(text)


# Parquet


def _read_parquet(path: Path, wanted: Wanted) -> Iterator[Entry]:
    try:
        with pq.ParquetFile(path) as file:
            first = 1
            for batch in file.iter_batches(batch_size=_BATCH):
                for number, values in _chosen(batch, first, wanted):
                    yield _flat_row(path, number, _prune(values), strict=False)
                first += batch.num_rows
    except (pa.ArrowException, ValueError) as error:
        yield _broken(path, None, None, f"the file is not Parquet: {str(error).splitlines()[0]}")


def _chosen(batch: pa.RecordBatch, first: int, wanted: Wanted) -> Iterator[tuple[int, dict[str, Any]]]:
    """The wanted rows of a batch with their numbers."""
    numbers = [number for number in range(first, first + batch.num_rows) if wanted(number)]
    if numbers:
        rows = _to_microseconds(batch).to_pylist()
        for number in numbers:
            yield number, rows[number - first]


def _to_microseconds(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch with times that Python can hold; what is finer is cut."""
    fields = [
        field.with_type(pa.timestamp("us", field.type.tz)) if pa.types.is_timestamp(field.type) else field
        for field in batch.schema
    ]
    return batch.cast(pa.schema(fields), safe=False)
