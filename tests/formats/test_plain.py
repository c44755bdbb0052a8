from __future__ import annotations

import pyarrow as pa
import pytest
from astropy.io import ascii as astropy_ascii

from catalog.formats import plain
from catalog.formats.encoder import encode
from catalog.formats.media import parse_format
from catalog.vo.table import Column, Table, TableStream
from catalog.vo.types import Datatype

TABLE = Table(
    "result",
    (
        Column("target_name", Datatype.CHAR, "*"),
        Column("s_ra", Datatype.DOUBLE, unit="deg"),
        Column("n", Datatype.INT),
        Column("list", Datatype.INT, "*"),
    ),
)
ROWS: list[dict[str, object]] = [
    {"target_name": "Orion A", "s_ra": 83.8, "n": 1, "list": [1, 2]},
    {"target_name": None, "s_ra": None, "n": None, "list": None},
    {"target_name": "Ωé𝄞", "s_ra": float("nan"), "n": -10, "list": []},
]


def written(stream: TableStream) -> str:
    return b"".join(encode(stream, parse_format("text"))).decode()


def test_numbers_stand_to_the_right_and_text_to_the_left_under_name_and_unit() -> None:
    assert written(TableStream.from_pylist(TABLE, ROWS)).splitlines() == [
        "target_name   s_ra    n  list",
        "             [deg]",
        "-----------  -----  ---  ----",
        "Orion A       83.8    1  1 2",
        "",
        "Ωé𝄞            NaN  -10",
        "# 3 rows",
    ]


def test_no_line_of_units_without_units() -> None:
    table = Table("result", (Column("n", Datatype.INT),))
    assert written(TableStream.from_pylist(table, [{"n": 7}])).splitlines() == ["n", "-", "7", "# 1 row"]


def test_no_rows_leave_the_head() -> None:
    assert written(TableStream.from_pylist(TABLE, [])).splitlines()[-2:] == ["-----------  -----  -  ----", "# 0 rows"]


def test_last_line_says_that_there_are_more_rows() -> None:
    stream = TableStream(TABLE, TableStream.from_pylist(TABLE, ROWS), maxrec=2)
    assert written(stream).splitlines()[-1] == "# OVERFLOW: the first 2 rows; there are more"


def test_wider_cell_of_a_later_batch_is_not_cut() -> None:
    first, later = (pa.RecordBatch.from_pylist(rows, TABLE.arrow_schema) for rows in (ROWS[:1], [wide("x" * 300)]))
    lines = written(TableStream(TABLE, [first, later])).splitlines()
    assert lines[0] == "target_name   s_ra  n  list"
    assert lines[4] == "x" * 300 + "      1  2  3"


def test_one_very_wide_cell_does_not_widen_every_line() -> None:
    lines = written(TableStream.from_pylist(TABLE, [*ROWS, wide("x" * 10_000)])).splitlines()
    assert max(map(len, lines[:-2])) < 300
    assert "x" * 10_000 in lines[-2]


def wide(text: str) -> dict[str, object]:
    return {"target_name": text, "s_ra": 1.0, "n": 2, "list": [3]}


@pytest.mark.conformance
def test_astropy_reads_what_fits_into_its_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain, "_AT_ONCE", 2)
    text = written(TableStream.from_pylist(TABLE, [ROWS[0], ROWS[2], ROWS[0]]))
    read = astropy_ascii.read(
        text.splitlines()[:-1], format="fixed_width_two_line", position_line=2, data_start=3, delimiter=" "
    )
    assert read["target_name"].tolist() == ["Orion A", "Ωé𝄞", "Orion A"]
    assert read["n"].tolist() == [1, -10, 1]
    assert read["s_ra"].tolist()[0] == 83.8
