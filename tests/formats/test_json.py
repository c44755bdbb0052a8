from __future__ import annotations

import json

import pytest

from catalog.formats.encoder import encode
from catalog.formats.media import parse_format
from catalog.vo.table import Column, Info, Table, TableStream
from catalog.vo.types import Datatype


def _refused(word: str) -> float:
    raise ValueError(f"{word} is not JSON")


def read(table: Table, rows: list[dict[str, object]], *infos: Info, maxrec: int | None = None) -> dict[str, object]:
    stream = TableStream(table, TableStream.from_pylist(table, rows), maxrec=maxrec)
    text = b"".join(encode(stream, parse_format("json"), infos=infos)).decode()
    result: dict[str, object] = json.loads(text, parse_constant=_refused)
    return result


def test_every_kind_reads_back_with_strings_for_what_json_lacks(
    every_kind: tuple[Table, list[dict[str, object]]],
) -> None:
    table, rows = every_kind
    spelled = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}

    def plain(value: object) -> object:
        if isinstance(value, list):
            return [plain(element) for element in value]
        return spelled.get(str(value), value) if isinstance(value, float) else value

    found = read(table, rows)
    assert found["data"] == [[plain(row[c.name]) for c in table.columns] for row in rows]
    assert (found["nrows"], found["status"]) == (4, "OK")


def test_columns_carry_their_metadata_and_nothing_empty() -> None:
    table = Table(
        "result",
        (
            Column("s_ra", Datatype.DOUBLE, unit="deg", ucd="pos.eq.ra", utype="obscore:x", description="RA é"),
            Column("text", Datatype.CHAR, xtype="timestamp"),
        ),
    )
    assert read(table, [], Info("query", 'SELECT "x"\n'))["infos"] == [{"name": "query", "value": 'SELECT "x"\n'}]
    assert read(table, [])["columns"] == [
        {
            "name": "s_ra",
            "datatype": "double",
            "unit": "deg",
            "ucd": "pos.eq.ra",
            "utype": "obscore:x",
            "description": "RA é",
        },
        {"name": "text", "datatype": "char", "arraysize": "*", "xtype": "timestamp"},
    ]


@pytest.mark.parametrize("text", ["".join(map(chr, range(0x80))), '"', "\\", "\\n\n", "é𝄞\u2028\x7f", "</script>"])
def test_any_text_reads_back(text: str) -> None:
    table = Table("result", (Column("text", Datatype.UNICODE_CHAR, "*"),))
    assert read(table, [{"text": text}])["data"] == [[text]]


@pytest.mark.parametrize(("maxrec", "rows", "status"), [(2, 2, "OVERFLOW"), (3, 3, "OK"), (4, 3, "OK")])
def test_status_at_the_end_tells_overflow(maxrec: int, rows: int, status: str) -> None:
    table = Table("result", (Column("n", Datatype.LONG),))
    found = read(table, [{"n": 2**63 - 1 - i} for i in range(3)], maxrec=maxrec)
    assert (found["nrows"], found["status"]) == (rows, status)
    assert found["data"] == [[2**63 - 1 - i] for i in range(rows)]
    assert list(found)[-1] == "status"


def test_nulls_inside_arrays_stay_null() -> None:
    table = Table("result", (Column("a", Datatype.INT, "*"), Column("b", Datatype.BOOLEAN, "2")))
    assert read(table, [{"a": [1, None], "b": [None, True]}])["data"] == [[[1, None], [None, True]]]
