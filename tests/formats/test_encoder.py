from __future__ import annotations

import base64
import io
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from astropy.io import fits, votable
from lxml import etree

from catalog.errors import InternalError, QueryTimeoutError
from catalog.formats.encoder import encode
from catalog.formats.media import DEFAULT_FORMAT, FORMATS, parse_format
from catalog.vo.table import Column, Table, TableStream
from catalog.vo.types import Datatype

NAMES = [fmt.name for fmt in FORMATS]
WITH_TAIL = [fmt.name for fmt in FORMATS if fmt.has_tail]
WITHOUT_TAIL = [fmt.name for fmt in FORMATS if not fmt.has_tail]
KEEPING = ["fits", "votable/b", "votable/fits"]
"""Formats whose header needs all the rows."""

TABLE = Table("result", (Column("n", Datatype.LONG), Column("text", Datatype.CHAR, "*")))


def batch(start: int, stop: int) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays(
        [pa.array(np.arange(start, stop)), pa.array([f"row {n}" for n in range(start, stop)])],
        schema=TABLE.arrow_schema,
    )


class Source:
    """Batches that may break, and whether they were closed."""

    def __init__(self, good: int, *, broken: bool = False) -> None:
        self.closed = 0
        self.given = 0
        self._good = good
        self._broken = broken

    def batches(self) -> Iterator[pa.RecordBatch]:
        for i in range(self._good):
            self.given += 1
            yield batch(10 * i, 10 * i + 10)
        if self._broken:
            raise QueryTimeoutError("the query took longer than 5 s <&>\nand was stopped")

    def close(self) -> None:
        self.closed += 1

    def stream(self, **keywords: int) -> TableStream:
        return TableStream(TABLE, self.batches(), close=self.close, **keywords)


@pytest.mark.parametrize("name", NAMES)
def test_stream_is_closed_at_the_end(name: str) -> None:
    source = Source(3)
    assert b"".join(encode(source.stream(), parse_format(name)))
    assert source.closed == 1


@pytest.mark.parametrize("name", NAMES)
def test_stream_is_closed_when_the_client_hangs_up(name: str) -> None:
    source = Source(3)
    pieces = encode(source.stream(), parse_format(name))
    next(pieces)
    assert source.closed == 0
    pieces.close()  # type: ignore[attr-defined]
    assert source.closed == 1


@pytest.mark.parametrize("name", NAMES)
def test_first_batch_is_read_before_the_first_piece_is_out(name: str) -> None:
    source = Source(0, broken=True)
    with pytest.raises(QueryTimeoutError, match="longer than 5 s"):
        next(encode(source.stream(), parse_format(name)))
    assert source.closed == 1


@pytest.mark.parametrize("name", sorted(set(NAMES) - set(KEEPING)))
def test_pieces_leave_before_all_rows_have_arrived(name: str) -> None:
    source = Source(1000)
    pieces = encode(source.stream(), parse_format(name))
    next(pieces)
    assert source.given < (1000 if name != "parquet" else 1001)
    pieces.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", WITHOUT_TAIL)
def test_error_midway_passes_where_no_tail_can_tell_it(name: str) -> None:
    source = Source(2, broken=True)
    with pytest.raises(QueryTimeoutError):
        b"".join(encode(source.stream(), parse_format(name)))
    assert source.closed == 1


@pytest.mark.parametrize("name", KEEPING)
def test_nothing_is_handed_out_when_the_rows_break_before_the_header_is_known(name: str) -> None:
    source = Source(2, broken=True)
    with pytest.raises(QueryTimeoutError):
        next(encode(source.stream(), parse_format(name)))
    assert source.closed == 1


@pytest.mark.parametrize("name", ["votable", "votable/b2", "votable/td"])
def test_error_midway_is_told_after_the_table(name: str) -> None:
    source = Source(2, broken=True)
    document = b"".join(encode(source.stream(), parse_format(name)))
    table = votable.parse(io.BytesIO(document), verify="exception").get_first_table()
    assert table.array["n"].tolist() == list(range(20))
    infos = etree.fromstring(document).findall(".//{*}INFO")
    assert [(info.get("name"), info.get("value"), info.text) for info in infos] == [
        ("QUERY_STATUS", "OK", None),
        ("QUERY_STATUS", "ERROR", "the query took longer than 5 s <&>\nand was stopped"),
    ]
    assert infos[1].getprevious().tag.endswith("TABLE")
    assert source.closed == 1


def test_error_midway_is_told_at_the_end_of_json() -> None:
    document = b"".join(encode(Source(2, broken=True).stream(), parse_format("json")))
    found = json.loads(document)
    assert len(found["data"]) == 20
    assert found["status"] == "ERROR"
    assert found["message"] == "the query took longer than 5 s <&>\nand was stopped"


def test_error_midway_is_told_in_the_last_line_of_text() -> None:
    lines = b"".join(encode(Source(2, broken=True).stream(), parse_format("text"))).decode().splitlines()
    assert len(lines) == 2 + 20 + 1
    assert lines[-1] == "# ERROR after 20 rows: the query took longer than 5 s <&> and was stopped"


def test_error_midway_is_told_below_the_table_of_html() -> None:
    root = etree.fromstring(b"".join(encode(Source(2, broken=True).stream(), parse_format("html"))))
    assert len(root.findall(".//{*}td")) == 40
    (told,) = root.findall(".//{*}main/{*}p")
    assert told.get("role") == "alert"
    assert told.text == "ERROR after 20 rows: the query took longer than 5 s <&>\nand was stopped"


@pytest.mark.parametrize("name", NAMES)
def test_mistake_of_our_own_is_never_dressed_as_a_result(name: str) -> None:
    def batches() -> Iterator[pa.RecordBatch]:
        yield batch(0, 10)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        b"".join(encode(TableStream(TABLE, batches()), parse_format(name)))


def _count_votable(document: bytes) -> int:
    return len(votable.parse(io.BytesIO(document), verify="exception").get_first_table().array)


def _count_fits(document: bytes) -> int:
    with fits.open(io.BytesIO(document)) as hdus:
        return int(hdus[1].header["NAXIS2"])


def _count_fits_in_votable(document: bytes) -> int:
    return _count_fits(base64.b64decode(etree.fromstring(document, _HUGE).findtext(".//{*}STREAM") or ""))


def _count_arrow(document: bytes) -> int:
    return int(pa.ipc.open_stream(document).read_all().num_rows)


_HUGE = etree.XMLParser(huge_tree=True)
_COUNTS: dict[str, Callable[[bytes], int]] = {
    "votable": _count_votable,
    "votable/b2": _count_votable,
    "votable/td": _count_votable,
    "votable/b": _count_votable,
    "votable/fits": _count_fits_in_votable,
    "csv": lambda document: document.count(b"\n") - 1,
    "tsv": lambda document: document.count(b"\n") - 1,
    "fits": _count_fits,
    "parquet": lambda document: int(pa.parquet.read_metadata(io.BytesIO(document)).num_rows),
    "json": lambda document: len(json.loads(document)["data"]),
    "arrow": _count_arrow,
    "text": lambda document: document.count(b"\n") - 3,
    "html": lambda document: len(etree.fromstring(document, _HUGE).findall(".//{*}tbody/{*}tr")),
}


@pytest.mark.parametrize("maxrec", [0, 1, 10, 29, 30, 31])
@pytest.mark.parametrize("name", NAMES)
def test_rows_beyond_maxrec_are_held_back(name: str, maxrec: int) -> None:
    source = Source(3)
    stream = source.stream(maxrec=maxrec)
    assert _COUNTS[name](b"".join(encode(stream, parse_format(name)))) == min(maxrec, 30)
    assert stream.truncated == (maxrec < 30)


@pytest.mark.parametrize("name", NAMES)
def test_one_huge_batch_is_written_in_parts(name: str) -> None:
    stream = TableStream(TABLE, [batch(0, 50_000)])
    pieces = list(encode(stream, parse_format(name)))
    assert b"".join(pieces) == b"".join(
        encode(TableStream(TABLE, [batch(0, 20_000), batch(20_000, 50_000)]), parse_format(name))
    ) or name in ("votable", "votable/b2", "votable/b", "votable/fits", "parquet", "arrow")
    assert _COUNTS[name](b"".join(pieces)) == 50_000
    if name not in ("fits", "votable/fits", "parquet"):
        assert len(pieces) >= 50_000 // 16_384


def test_cells_of_megabytes_are_written_a_few_at_a_time() -> None:
    table = Table("result", (Column("text", Datatype.CHAR, "*"),))
    big = pa.RecordBatch.from_arrays([pa.array(["x" * 2**20] * 100)], schema=table.arrow_schema)
    pieces = list(encode(TableStream(table, [big]), parse_format("votable/td")))
    assert max(map(len, pieces)) < 2**26
    assert sum(piece.count(b"<TD>") for piece in pieces) == 100


def test_format_without_an_encoder_is_our_mistake() -> None:
    with pytest.raises(InternalError, match="papyrus"):
        next(encode(Source(1).stream(), replace(DEFAULT_FORMAT, name="papyrus")))


_MEASURE = """
import re, sys
import numpy as np, pyarrow as pa
from catalog.formats.encoder import encode
from catalog.formats.media import parse_format
from catalog.vo.table import Column, Table, TableStream
from catalog.vo.types import Datatype

table = Table("result", (
    Column("n", Datatype.LONG), Column("x", Datatype.DOUBLE), Column("text", Datatype.CHAR, "*"),
    Column("unicode", Datatype.UNICODE_CHAR, "*"), Column("array", Datatype.DOUBLE, "3"),
    Column("list", Datatype.INT, "*"),
))

def batches(rows):
    for start in range(0, rows, 16_384):
        n = min(16_384, rows - start)
        yield pa.RecordBatch.from_arrays([
            pa.array(np.arange(start, start + n)), pa.array(np.random.random(n)),
            pa.array([f"https://example.org/links?ID={i}" + 60 * "x" for i in range(n)]), pa.array(["Köln"] * n),
            pa.FixedSizeListArray.from_arrays(np.random.random(3 * n), 3),
            pa.ListArray.from_arrays(np.arange(0, 2 * n + 1, 2, dtype=np.int32), np.arange(2 * n, dtype=np.int32)),
        ], schema=table.arrow_schema)

def peak():
    with open("/proc/self/status") as status:
        return int(re.search(r"VmHWM:\\s+(\\d+) kB", status.read())[1]) * 1024

def write(rows):
    return sum(map(len, encode(TableStream(table, batches(rows)), parse_format(sys.argv[1]))))

few = write(400_000)  # the allocators have warmed up after this
before = peak()
many = write(1_200_000)
print(few, many, peak() - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("name", sorted(set(NAMES) - {"votable/b2"}))
def test_memory_does_not_grow_with_the_rows(name: str) -> None:
    done = subprocess.run([sys.executable, "-c", _MEASURE, name], capture_output=True, text=True, check=True)
    few, many, growth = map(int, done.stdout.split())
    assert many > 2.5 * few
    assert many - few > 30 * 2**20  # what would be kept if anything were kept
    assert growth < 20 * 2**20
