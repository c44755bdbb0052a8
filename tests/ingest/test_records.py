"""What a record may say, and what a reader is told when it says something else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from catalog.assets import read_asset
from catalog.ingest.manifest import parse_record, read_manifest
from catalog.ingest.manifest_schema import build_manifest_schema, render_manifest_schema

Record = dict[str, Any]


def put(record: Record, place: str, value: object) -> None:
    """Set a field by its dotted path."""
    *folders, last = place.split(".")
    inner: Any = record
    for folder in folders:
        inner = inner[int(folder)] if folder.isdecimal() else inner.setdefault(folder, {})
    inner[last] = value


def problems(record: Record, folder: Path) -> list[tuple[str | None, str]]:
    path = folder / "bad.jsonl"
    path.write_text("\n" + json.dumps(record) + "\n")
    (entry,) = read_manifest(path)
    assert entry.record is None
    assert {(problem.file, problem.line) for problem in entry.problems} == {(str(path), 2)}
    return [(problem.field, problem.reason) for problem in entry.problems]


def test_a_whole_record_is_read(record: Record) -> None:
    parsed = parse_record(record)
    assert parsed.files[0].relative_path == "0001/r1d1_1.g3"
    assert parsed.executed_obs_unit.start_time is not None
    assert parsed.executed_obs_unit.start_time.isoformat() == "2026-04-01T02:00:00+00:00"


@pytest.mark.parametrize(
    ("place", "value", "field", "reason"),
    [
        ("colour", "red", "colour", "there is no such field"),
        ("executed_obs_unit.begin", "x", "executed_obs_unit.begin", "there is no such field"),
        ("module", 280, "module", "valid string"),
        ("size_bytes", -1, "size_bytes", "greater than or equal to 0"),
        ("size_bytes", 2**63, "size_bytes", "less than or equal to"),
        ("size_bytes", 1.5, "size_bytes", "valid integer"),
        ("size_bytes", "2048", "size_bytes", "valid integer"),
        ("checksum", "xyz", "checksum", "hexadecimal"),
        ("checksum", "ab", None, "has 64 hexadecimal digits, not 2"),
        ("checksum_algorithm", "crc", "checksum_algorithm", "'sha256'"),
        ("id", "no-uuid", "id", "UUID"),
        ("relative_path", "/etc/passwd", "relative_path", "is absolute"),
        ("relative_path", "../x", "relative_path", "not a plain path"),
        ("relative_path", "a//b", "relative_path", "not a plain path"),
        ("relative_path", "a\nb", "relative_path", "control character"),
        ("files.0.relative_path", "a/../../x", "files.0.relative_path", "not a plain path"),
        ("name", "a\x00b", "name", "control character"),
        ("name", "", "name", "at least 1 character"),
        ("name", " x", "name", "begins or ends with a blank"),
        ("state", "lost", "state", "'waiting'"),
        ("time_scale", "LOCAL", "time_scale", "is not a time scale"),
        ("files.0.start_time", "2026-13-01", "files.0.start_time", "is not a time that exists"),
        ("files.0.start_time", 58000, "files.0.start_time", "a time is written as"),
        ("files.0.end_time", "2026-04-01", "files.0", "'end_time' is less than 'start_time'"),
        ("files.0.exptime_s", -1, "files.0.exptime_s", "greater than or equal to 0"),
        ("metadata.s_ra", 10.0, "metadata", "s_ra and s_dec go together"),
        ("metadata.em_min", 0.0, "metadata.em_min", "greater than 0"),
        ("metadata.s_region", "BOX 1 2 3", "metadata.s_region", "is not a region"),
        ("metadata.pol_states", "/U/I/", "metadata.pol_states", "in the order"),
        ("metadata.dataproduct_type", "movie", "metadata.dataproduct_type", "'image'"),
        ("metadata.document", {"a": "\x00"}, "metadata.document", "NUL"),
        ("executed_obs_unit.obs_unit.priority", 3, "executed_obs_unit.obs_unit.priority", "less than or equal to 2"),
        (
            "executed_obs_unit.obs_unit.program.release_date",
            "2030-01-01",
            "executed_obs_unit.obs_unit.program",
            "exclude each other",
        ),
        ("executed_obs_unit.obs_unit.source.body", "mars", "executed_obs_unit.obs_unit.source", "does not belong"),
        (
            "executed_obs_unit.obs_unit.source.type",
            "solar_system_object",
            "executed_obs_unit.obs_unit.source",
            "belong",
        ),
        ("copies.0.location", "nowhere", "copies.0.location", "expected SITE/NAME"),
        ("copies.0.location.bucket", "b", "copies.0.location", "does not belong to a disk location"),
        ("copies", ["a/b", "a/b"], None, "at most one per location"),
        ("copies.0.checksum", "b" * 64, None, "the copy at ccat/buffer has another checksum"),
    ],
)
def test_a_wrong_field_is_named_with_its_reason(
    record: Record, place: str, value: object, field: str | None, reason: str, tmp_path: Path
) -> None:
    put(record, place, value)
    found = problems(record, tmp_path)
    assert any(name == field and reason in told for name, told in found), found


@pytest.mark.parametrize(
    ("place", "field"),
    [("instrument", "instrument"), ("executed_obs_unit", "executed_obs_unit"), ("module", "module")],
)
def test_a_missing_field_is_named(record: Record, place: str, field: str, tmp_path: Path) -> None:
    del record[place]
    assert problems(record, tmp_path) == [(field, "the field is missing")]


def test_a_copy_with_another_checksum_may_be_anything_but_whole(record: Record) -> None:
    """Also whole, where another algorithm proves nothing."""
    record["copies"][0] |= {"checksum": "b" * 64, "verification": "mismatch"}
    assert parse_record(record).copies[0].verification == "mismatch"
    record["copies"][0] |= {"checksum": "b" * 32, "checksum_algorithm": "md5", "verification": "ok"}
    assert parse_record(record).copies[0].verification == "ok"


def test_a_file_listed_twice_is_refused(record: Record, tmp_path: Path) -> None:
    record["files"] *= 2
    assert problems(record, tmp_path) == [(None, "the file '0001/r1d1_1.g3' is listed twice")]


def test_a_definition_without_its_necessities_is_refused(record: Record, tmp_path: Path) -> None:
    del record["executed_obs_unit"]["obs_unit"]["program"]["name"]
    ((field, reason),) = problems(record, tmp_path)
    assert field == "executed_obs_unit.obs_unit.program"
    assert "give short_name alone" in reason


@pytest.mark.parametrize(
    ("scale", "text", "utc"),
    [
        ("UTC", "2026-04-01T02:00:00", "2026-04-01T02:00:00+00:00"),
        ("TAI", "2026-04-01T02:00:37", "2026-04-01T02:00:00+00:00"),
        ("TT", "2026-04-01T02:01:09.184", "2026-04-01T02:00:00+00:00"),
        ("TAI", "2026-04-01T02:00:00Z", "2026-04-01T02:00:00+00:00"),
        ("TT", "2026-04-01T04:00:00+02:00", "2026-04-01T02:00:00+00:00"),
        ("UTC", "2016-12-31T23:59:60", "2016-12-31T23:59:59.999999+00:00"),
    ],
)
def test_times_are_counted_in_the_scale_of_the_record(record: Record, scale: str, text: str, utc: str) -> None:
    record["time_scale"] = scale
    record["executed_obs_unit"] |= {"start_time": text, "end_time": None}
    start = parse_record(record).executed_obs_unit.start_time
    assert start is not None
    assert start.isoformat() == utc


def test_null_says_nothing(record: Record) -> None:
    record["metadata"] = {"s_ra": None, "s_dec": None}
    record["executed_obs_unit"]["obs_unit"]["sub_program"] = {"short_name": None}
    parsed = parse_record(record)
    assert parsed.metadata is None
    assert parsed.executed_obs_unit.obs_unit is not None
    assert parsed.executed_obs_unit.obs_unit.sub_program is None


def test_the_shipped_schema_is_that_of_the_models() -> None:
    shipped = read_asset("vo_resources", "schemas", "manifest.schema.json")
    assert shipped == render_manifest_schema(), "write what render_manifest_schema() returns to the file"


def test_the_schema_judges_as_the_reader_does(record: Record) -> None:
    validator = jsonschema.Draft202012Validator(build_manifest_schema())
    validator.check_schema(validator.schema)
    validator.validate(record)
    record["colour"] = "red"
    with pytest.raises(jsonschema.ValidationError, match="colour"):
        validator.validate(record)
