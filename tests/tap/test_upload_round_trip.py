"""Any table of any VOTable types, by whoever it was written, comes back from both engines as it went in."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from astropy.io import votable
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalog import Catalog
from catalog.dali import UploadedFile, UploadedTable
from catalog.formats.encoder import encode
from catalog.formats.media import parse_format
from catalog.vo.table import Column, Table, TableStream
from catalog.vo.types import Datatype

ASTROPY_FORMS = {"tabledata", "binary", "binary2"}
OUR_FORMS = {"votable/td", "votable/b", "votable/b2", "parquet"}
KINDS = [(datatype, size) for datatype in Datatype for size in (None, "3", "*", "2x3", "4*")]
ASCII = st.characters(min_codepoint=0x21, max_codepoint=0x7E)
XML = st.characters(exclude_categories=("Cs", "Cc", "Zs", "Zl", "Zp"), exclude_characters="\ufffe\uffff")
NAMES = st.text(XML, min_size=1, max_size=12)
SCALARS: dict[Datatype, st.SearchStrategy[Any]] = {
    Datatype.BOOLEAN: st.booleans(),
    Datatype.BIT: st.booleans(),
    Datatype.UNSIGNED_BYTE: st.integers(0, 255),
    Datatype.SHORT: st.integers(-(2**15) + 1, 2**15 - 1),
    Datatype.INT: st.integers(-(2**31) + 1, 2**31 - 1),
    Datatype.LONG: st.integers(-(2**63) + 1, 2**63 - 1),
    Datatype.FLOAT: st.floats(width=32),
    Datatype.DOUBLE: st.floats(),
    Datatype.FLOAT_COMPLEX: st.floats(width=32, allow_nan=False),
    Datatype.DOUBLE_COMPLEX: st.floats(allow_nan=False),
}


def cells(column: Column) -> st.SearchStrategy[Any]:
    size = column.arraysize
    if column.datatype.is_text:
        longest = {"1": 1, "3": 3, "*": 20, "2x3": 6, "4*": 4}[size or "1"]
        alphabet = ASCII if column.datatype is Datatype.CHAR else XML
        half = longest if column.datatype is Datatype.CHAR else longest // 2  # surrogate pairs
        return st.text(alphabet, max_size=half)
    scalar, parts = SCALARS[column.datatype], column.datatype.parts
    if not column.is_array:
        return scalar
    if size in ("*", "4*"):
        return st.integers(0, 4).flatmap(lambda n: st.lists(scalar, min_size=n * parts, max_size=n * parts))
    length = parts * {None: 1, "3": 3, "2x3": 6}[size]
    return st.lists(scalar, min_size=length, max_size=length)


@st.composite
def tables(draw: st.DrawFn) -> tuple[Table, list[list[Any]]]:
    kinds = draw(st.lists(st.sampled_from(KINDS), min_size=1, max_size=6))
    names = draw(st.lists(NAMES, min_size=len(kinds), max_size=len(kinds), unique=True))
    marks = (
        st.sampled_from([None, "mJy", "odd/unit"]),
        st.sampled_from([None, "phot.flux"]),
        st.sampled_from([None, "x:y"]),
    )
    columns = []
    for name, (datatype, size) in zip(names, kinds, strict=True):
        unit, ucd, xtype = map(draw, marks)
        size = "1" if size is None and datatype.is_text else size
        columns.append(Column(name, datatype, size, unit=unit, ucd=ucd, xtype=xtype))
    row = st.tuples(
        *(cells(column) if column.datatype is Datatype.BIT else st.none() | cells(column) for column in columns)
    )
    return Table("t", tuple(columns)), [list(cells) for cells in draw(st.lists(row, max_size=4))]


def stream(table: Table, rows: list[list[Any]]) -> TableStream:
    arrays = [pa.array([row[at] for row in rows], column.arrow_type) for at, column in enumerate(table.columns)]
    return TableStream(table, [pa.RecordBatch.from_arrays(arrays, schema=table.arrow_schema)])


def back(catalog: Catalog, content: bytes) -> TableStream:
    uploads = catalog.uploads.open(
        [UploadedTable("t", "param:t")], [UploadedFile("t", "", len(content), io.BytesIO(content))]
    )
    with uploads:
        found = catalog.query("SELECT * FROM TAP_UPLOAD.t", uploads=uploads)
        return TableStream(found.table, list(found))


def plain(value: Any) -> Any:
    """What may not differ: null, NaN, empty text and empty arrays have one form in one or the other serialization."""
    if isinstance(value, np.ma.core.MaskedConstant) or value is None:
        return None
    if isinstance(value, np.ma.MaskedArray):
        value = value.tolist()
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, list):
        elements = [plain(element) for element in value]
        return elements if any(element is not None for element in elements) else None
    if isinstance(value, complex):
        return repr(value + 0)
    if isinstance(value, float):
        return None if value != value else repr(value + 0.0)
    return None if value == "" else value


def rows_of(found: TableStream) -> list[list[Any]]:
    columns = [column.to_pylist() for column in found.read_all().columns]
    return [[plain(value) for value in row] for row in zip(*columns, strict=True)]


@pytest.mark.parametrize("form", sorted(OUR_FORMS))
@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(sample=tables())
def test_a_table_of_ours_comes_back(catalog: Catalog, form: str, sample: tuple[Table, list[list[Any]]]) -> None:
    table, rows = sample
    found = back(catalog, b"".join(encode(stream(table, rows), parse_format(form))))
    assert found.table.columns == table.columns
    assert rows_of(found) == rows_of(stream(table, rows))


@pytest.mark.filterwarnings("ignore::astropy.io.votable.exceptions.VOWarning")
@pytest.mark.parametrize("form", sorted(ASTROPY_FORMS))
@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(sample=tables())
def test_a_table_of_astropy_comes_back_to_astropy(
    catalog: Catalog, form: str, sample: tuple[Table, list[list[Any]]]
) -> None:
    table, rows = sample
    arrays = {at for at, column in enumerate(table.columns) if column.is_array}
    holes = {at for row in rows for at in arrays if not row[at]}
    keep = [at for at, column in enumerate(table.columns) if at not in holes and astropy_writes(column, form)]
    if not keep:
        return
    table = Table("t", tuple(table.columns[at] for at in keep))
    rows = [[row[at] for at in keep] for row in rows]
    document = votable.parse(io.BytesIO(b"".join(encode(stream(table, rows), parse_format("votable/td")))))
    content = io.BytesIO()
    document.to_xml(content, tabledata_format=form)
    sent = votable.parse(io.BytesIO(content.getvalue())).get_first_table()
    answer = b"".join(encode(back(catalog, content.getvalue()), parse_format("votable/b2")))
    found = votable.parse(io.BytesIO(answer)).get_first_table()
    for before, after in zip(sent.fields, found.fields, strict=True):
        assert (after.name, after.datatype, after.arraysize) == (before.name, before.datatype, before.arraysize)
        assert (str(after.unit), after.ucd, after.xtype) == (str(before.unit), before.ucd, before.xtype)
    for at in range(len(table.columns)):
        name = sent.fields[at].ID
        other = found.fields[at].ID
        assert list(map(plain, found.array[other])) == list(map(plain, sent.array[name])), table.columns[at]


def astropy_writes(column: Column, form: str) -> bool:
    """Whether astropy reads back itself what it writes.

    Of arrays it loses those that are null or empty; those of varying length it writes in binary with wider numbers.
    """
    size = column.arraysize or ""
    if column.datatype.is_text:
        return "x" not in size
    if column.datatype is Datatype.BIT:
        return size in ("", "3", "2x3")
    if column.datatype is Datatype.BOOLEAN:
        return size in ("", "3")
    if size.endswith("*"):
        return size == "*" and form == "tabledata"
    return not (form == "binary" and column.datatype.is_integer)
