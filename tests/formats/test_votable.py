from __future__ import annotations

import io
from importlib import resources
from pathlib import Path

import pytest
from astropy.io import votable
from lxml import etree

from catalog.formats.encoder import encode
from catalog.formats.media import parse_format
from catalog.formats.votable import NAMESPACE, VERSION, error_document, metadata_document
from catalog.vo.table import Column, Info, Service, Table, TableStream
from catalog.vo.types import Datatype

V = {"v": NAMESPACE}


@pytest.fixture(scope="module")
def schema() -> etree.XMLSchema:
    """The VOTable schema of the version that is written, as astropy carries it."""
    text = resources.files("astropy.io.votable").joinpath(f"data/VOTable.v{VERSION}.xsd").read_bytes()
    return etree.XMLSchema(etree.fromstring(text))


def written(table: Table, rows: list[dict[str, object]], *infos: Info, maxrec: int | None = None) -> bytes:
    source = TableStream.from_pylist(table, rows)
    stream = TableStream(table, source, maxrec=maxrec)
    return b"".join(encode(stream, parse_format("votable/td"), infos=infos))


NUMBERS = Table("result", (Column("n", Datatype.INT),))


@pytest.mark.conformance
@pytest.mark.parametrize("name", ["votable", "votable/td", "votable/b", "votable/fits"])
def test_documents_with_every_kind_of_column_obey_the_schema(
    every_kind: tuple[Table, list[dict[str, object]]], schema: etree.XMLSchema, name: str
) -> None:
    table, rows = every_kind
    infos = [Info("query", 'SELECT "x" < 1\nFROM t'), Info("note", "a & b", content="<more>")]
    document = b"".join(encode(TableStream.from_pylist(table, rows), parse_format(name), infos=infos))
    schema.assertValid(etree.fromstring(document))
    schema.assertValid(etree.fromstring(metadata_document(table, infos=infos, truncated=True)))
    schema.assertValid(etree.fromstring(error_document("no", infos=infos)))


def test_resource_holds_infos_then_systems_then_table_then_outcome(
    every_kind: tuple[Table, list[dict[str, object]]],
) -> None:
    table, rows = every_kind
    root = etree.fromstring(written(table, rows, Info("citation", "x"), maxrec=2))
    (resource,) = root
    assert (root.tag, dict(root.attrib)) == (f"{{{NAMESPACE}}}VOTABLE", {"version": "1.4"})
    assert dict(resource.attrib) == {"type": "results"}
    assert [etree.QName(child).localname for child in resource] == [
        "INFO",
        "INFO",
        "COOSYS",
        "TIMESYS",
        "TABLE",
        "INFO",
    ]
    assert [(info.get("name"), info.get("value")) for info in resource.findall("v:INFO", V)] == [
        ("QUERY_STATUS", "OK"),
        ("citation", "x"),
        ("QUERY_STATUS", "OVERFLOW"),
    ]


def test_fields_say_what_the_columns_say_and_nothing_empty() -> None:
    table = Table(
        "result",
        (
            Column(
                "t_min",
                Datatype.DOUBLE,
                unit="d",
                ucd="time.start",
                utype="obscore:x",
                xtype="mjd",
                description="Start & end",
                ref="utc_mjd",
            ),
            Column("bare", Datatype.CHAR),
            Column("single", Datatype.DOUBLE, "1"),
            Column("foreign", Datatype.INT, ref="theirs", unit=""),
        ),
    )
    root = etree.fromstring(written(table, []))
    fields = root.findall(".//v:FIELD", V)
    assert [dict(field.attrib) for field in fields] == [
        {
            "name": "t_min",
            "datatype": "double",
            "unit": "d",
            "ucd": "time.start",
            "utype": "obscore:x",
            "xtype": "mjd",
            "ref": "utc_mjd",
        },
        {"name": "bare", "datatype": "char", "arraysize": "*"},
        {"name": "single", "datatype": "double"},
        {"name": "foreign", "datatype": "int"},
    ]
    assert fields[0].findtext("v:DESCRIPTION", namespaces=V) == "Start & end"


@pytest.mark.parametrize(
    ("ref", "element", "attributes"),
    [
        ("icrs", "COOSYS", {"ID": "icrs", "system": "ICRS"}),
        ("utc", "TIMESYS", {"ID": "utc", "timescale": "UTC", "refposition": "TOPOCENTER"}),
        (
            "utc_mjd",
            "TIMESYS",
            {"ID": "utc_mjd", "timescale": "UTC", "refposition": "TOPOCENTER", "timeorigin": "MJD-origin"},
        ),
        (None, None, None),
    ],
)
def test_systems_are_declared_only_when_a_column_refers_to_them(
    ref: str | None, element: str | None, attributes: dict[str, str] | None
) -> None:
    root = etree.fromstring(written(Table("result", (Column("x", Datatype.DOUBLE, ref=ref),)), []))
    found = [child for child in root[0] if etree.QName(child).localname in ("COOSYS", "TIMESYS")]
    assert [(etree.QName(child).localname, dict(child.attrib)) for child in found] == (
        [(element, attributes)] if element else []
    )


@pytest.mark.parametrize(
    ("maxrec", "rows", "statuses"),
    [
        (4, 4, ["OK", "OVERFLOW"]),
        (5, 5, ["OK"]),
        (6, 5, ["OK"]),
        (0, 0, ["OK", "OVERFLOW"]),
        (None, 5, ["OK"]),
    ],
)
def test_overflow_is_said_exactly_when_rows_were_held_back(maxrec: int | None, rows: int, statuses: list[str]) -> None:
    root = etree.fromstring(written(NUMBERS, [{"n": i} for i in range(5)], maxrec=maxrec))
    assert len(root.findall(".//v:TR", V)) == rows
    assert [info.get("value") for info in root.findall(".//v:INFO", V)] == statuses


def test_marks_in_names_values_and_descriptions_are_kept() -> None:
    nasty = 'a<b>&"c"\'d\n\te\rf é𝄞'
    table = Table("result", (Column(nasty, Datatype.INT, description=nasty),), description=nasty)
    root = etree.fromstring(written(table, [], Info("note", nasty, content=nasty)))
    info = root.findall(".//v:INFO", V)[1]
    assert (info.get("value"), info.text) == (nasty, nasty)
    assert root.find(".//v:FIELD", V).get("name") == nasty
    assert [element.text for element in root.iter(f"{{{NAMESPACE}}}DESCRIPTION")] == [nasty, nasty]


def test_characters_that_xml_bars_are_dropped_everywhere() -> None:
    nasty = "a\x00b\x08c\x1fd\ufffee\ud800f"
    table = Table("result", (Column(nasty, Datatype.INT, description=nasty),))
    root = etree.fromstring(metadata_document(table, infos=[Info("note", nasty, content=nasty)]))
    info = root.findall(".//v:INFO", V)[1]
    assert [info.get("value"), info.text, root.find(".//v:FIELD", V).get("name")] == ["abcdef"] * 3


def test_error_document_says_error_keeps_line_breaks_and_holds_no_table(schema: etree.XMLSchema) -> None:
    message = 'unknown column "ras"\n  SELECT ras <\n         ^\r\n& so on'
    root = etree.fromstring(error_document(message, infos=[Info("request", "q")]))
    schema.assertValid(root)
    assert [(info.get("name"), info.get("value"), info.text) for info in root.findall(".//v:INFO", V)] == [
        ("QUERY_STATUS", "ERROR", message),
        ("request", "q", None),
    ]
    assert root.find(".//v:TABLE", V) is None
    assert root[0].get("type") == "results"


def test_metadata_document_has_fields_and_no_data(every_kind: tuple[Table, list[dict[str, object]]]) -> None:
    table, _ = every_kind
    root = etree.fromstring(metadata_document(table))
    assert [field.get("name") for field in root.findall(".//v:FIELD", V)] == [c.name for c in table.columns]
    assert root.find(".//v:DATA", V) is None


@pytest.mark.conformance
@pytest.mark.parametrize("name", ["votable", "votable/td"])
def test_astropy_validates_without_a_word(
    every_kind: tuple[Table, list[dict[str, object]]], name: str, tmp_path: Path
) -> None:
    table, rows = every_kind
    path = tmp_path / "every.vot"
    for some in (rows, []):
        path.write_bytes(b"".join(encode(TableStream.from_pylist(table, some), parse_format(name))))
        report = io.StringIO()
        assert votable.validate(path, output=report), report.getvalue()
    path.write_bytes(error_document("no"))
    assert votable.validate(path, output=io.StringIO())
    path.write_bytes(path.read_bytes().replace(b"<RESOURCE", b"<BOGUS/><RESOURCE"))
    assert not votable.validate(path, output=io.StringIO())


@pytest.mark.conformance
@pytest.mark.parametrize("name", ["votable", "votable/td"])
def test_astropy_finds_the_metadata(every_kind: tuple[Table, list[dict[str, object]]], name: str) -> None:
    table, rows = every_kind
    document = b"".join(encode(TableStream.from_pylist(table, rows), parse_format(name)))
    found = votable.parse(io.BytesIO(document), verify="exception")
    assert [system.ID for system in found.iter_coosys()] == ["icrs"]
    assert [(system.ID, system.timeorigin) for system in found.iter_timesys()] == [("utc_mjd", "MJD-origin")]
    first = found.get_first_table()
    assert first.description.strip() == table.description
    field = first.fields[[c.name for c in table.columns].index("t_min")]
    assert (str(field.unit), field.ucd, field.utype, field.ref) == (
        "d",
        "time.start;obs.exposure",
        "obscore:Char.TimeAxis.Coverage.Bounds.Limits.StartTime",
        "utc_mjd",
    )


@pytest.mark.conformance
@pytest.mark.parametrize("name", ["obs_publisher_did", "icrs", "with blank", "Ω", "1"])
def test_the_column_of_a_service_keeps_its_name_where_ids_are_read(name: str) -> None:
    """A reader may take IDs for names, as astropy does; the ID has to be an XML name of its own."""
    service = Service("links", "Links", "ivo://x", "https://example.org/links", "text/xml", "ID", name)
    columns = (Column(name, Datatype.CHAR), Column("s_ra", Datatype.DOUBLE, ref="icrs"))
    document = written(Table("result", columns, services=(service,)), [{name: "a", "s_ra": 1.0}])
    found = votable.parse(io.BytesIO(document), verify="exception")
    [field] = [field for field in found.get_first_table().fields if field.name == name]
    [param] = [param for param in found.resources[1].groups[0].entries if param.name == "ID"]
    assert param.ref == field.ID
    expected = name if name == "obs_publisher_did" else "links_input"
    assert found.get_first_table().to_table().colnames == [expected, "s_ra"]
