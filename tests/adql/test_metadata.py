"""What a result's columns say of themselves: descriptions flow from the tables through every construct."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from astropy import units

from catalog.adql.parser import parse
from catalog.adql.resolver import resolve
from catalog.adql.words import is_reserved
from catalog.errors import QueryError
from catalog.vo.table import Column, Table
from catalog.vo.types import Datatype
from catalog.vo.units import validate_ucd, validate_unit

OBSCORE = "ivoa.obscore"
MARKS = ("datatype", "arraysize", "unit", "ucd", "utype", "xtype", "description", "ref")

Describe = Callable[[str], tuple[Column, ...]]


@pytest.fixture
def describe(tables: dict[str, Table]) -> Describe:
    """The columns of a query's result."""
    return lambda query: resolve(parse(query), tables).table.columns


def facts(column: Column) -> dict[str, object]:
    return {mark: getattr(column, mark) for mark in MARKS}


# --- columns pass through ------------------------------------------------------------------------------------


def test_every_published_column_goes_out_as_the_table_describes_it(
    tables: dict[str, Table], describe: Describe
) -> None:
    for name, table in tables.items():
        found = describe(f"SELECT * FROM {name}")
        assert [column.name for column in found] == [column.name for column in table.columns]
        assert [facts(column) for column in found] == [facts(column) for column in table.columns]


def test_marks_that_only_tables_carry_do_not_go_out(describe: Describe) -> None:
    for column in describe("SELECT * FROM ivoa.obscore"):
        assert (column.principal, column.indexed, column.std) == (False, False, False)


@pytest.mark.parametrize(
    "query",
    [
        "SELECT {0} FROM ivoa.obscore",
        "SELECT ({0}) FROM ivoa.obscore",
        "SELECT +{0} FROM ivoa.obscore",
        "SELECT obscore.{0} FROM ivoa.obscore",
        "SELECT ivoa.obscore.{0} FROM ivoa.obscore",
        "SELECT o.{0} FROM ivoa.obscore AS o",
        'SELECT "{0}" FROM ivoa.obscore',
        "SELECT x.{0} FROM (SELECT {0} FROM ivoa.obscore) AS x",
        "SELECT x.* FROM (SELECT {0} FROM ivoa.obscore) AS x",
        "SELECT {0} FROM (SELECT * FROM (SELECT o.* FROM ivoa.obscore AS o) AS x) AS y",
        "WITH x AS (SELECT {0} FROM ivoa.obscore) SELECT {0} FROM x",
        "WITH x AS (SELECT * FROM ivoa.obscore), y AS (SELECT {0} FROM x) SELECT y.{0} FROM y",
        "SELECT DISTINCT TOP 5 {0} FROM ivoa.obscore ORDER BY {0}",
        "SELECT {0} FROM ivoa.obscore GROUP BY {0}",
        "SELECT {0} FROM ivoa.obscore NATURAL JOIN ivoa.obscore_radio",
        "SELECT {0} FROM ivoa.obscore JOIN fyst.files USING (obs_publisher_did)",
        "SELECT {0} FROM (ivoa.obscore JOIN fyst.files USING (obs_publisher_did)) AS x",
        "SELECT {0} FROM ivoa.obscore UNION SELECT {0} FROM ivoa.obscore",
        "(SELECT {0} FROM ivoa.obscore) EXCEPT ALL (SELECT {0} FROM ivoa.obscore)",
    ],
)
@pytest.mark.parametrize("name", ["s_ra", "t_min", "target_name", "obs_release_date", "access_estsize", "calib_level"])
def test_a_column_keeps_its_description_through_every_construct(
    query: str, name: str, describe: Describe, tables: dict[str, Table]
) -> None:
    (found,) = describe(query.format(name))
    assert found.name == name
    assert facts(found) == facts(tables[OBSCORE].column(name))


def test_an_alias_changes_the_name_alone(describe: Describe, tables: dict[str, Table]) -> None:
    for query in (
        "SELECT s_ra AS ra FROM ivoa.obscore",
        "SELECT s_ra ra FROM ivoa.obscore",
        "SELECT ra FROM (SELECT s_ra AS ra FROM ivoa.obscore) AS x",
        "WITH x AS (SELECT s_ra AS ra FROM ivoa.obscore) SELECT ra FROM x",
        "SELECT s_ra AS ra FROM ivoa.obscore UNION SELECT s_dec FROM ivoa.obscore",
    ):
        (found,) = describe(query)
        assert found.name == "ra"
        assert facts(found) == facts(tables[OBSCORE].column("s_ra"))


# --- USING and NATURAL ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "owner"),
    [("", OBSCORE), ("INNER", OBSCORE), ("LEFT", OBSCORE), ("FULL", OBSCORE), ("RIGHT", "fyst.packages")],
)
def test_a_merged_column_is_described_by_the_side_that_is_always_there(
    kind: str, owner: str, describe: Describe, tables: dict[str, Table]
) -> None:
    join = f"FROM ivoa.obscore {kind} JOIN fyst.packages USING (obs_publisher_did, obs_id)"
    for query in (f"SELECT obs_publisher_did, obs_id {join}", f"SELECT * {join}"):
        first, second = describe(query)[:2]
        assert (first.name, second.name) == ("obs_publisher_did", "obs_id")
        assert facts(first) == facts(tables[owner].column("obs_publisher_did"))
        assert facts(second) == facts(tables[owner].column("obs_id"))


def test_using_and_natural_show_each_matched_column_once_and_first(describe: Describe) -> None:
    joined = describe("SELECT * FROM ivoa.obscore NATURAL JOIN ivoa.obscore_radio")
    names = [column.name for column in joined]
    assert names[0] == "obs_publisher_did"
    assert names.count("obs_publisher_did") == 1
    assert len(names) == len(set(names)) == 50 + 20 - 1
    on = describe(
        "SELECT * FROM ivoa.obscore AS a JOIN ivoa.obscore_radio AS b ON a.obs_publisher_did = b.obs_publisher_did"
    )
    assert len(on) == 50 + 20


def test_columns_that_differ_by_case_alone_are_not_lost_in_a_join(tables: dict[str, Table]) -> None:
    odd = Table("odd", (Column("a", Datatype.INT), Column("A", Datatype.DOUBLE), Column("b", Datatype.INT)))
    even = Table("even", (Column("a", Datatype.INT), Column("c", Datatype.INT)))
    for join in ('JOIN even USING ("a")', "NATURAL JOIN even"):
        columns = resolve(parse(f"SELECT * FROM odd {join}"), {"odd": odd, "even": even}).table.columns
        assert sorted(column.datatype.name for column in columns) == ["DOUBLE", "INT", "INT", "INT"]


def test_a_full_join_of_three_tables_merges_a_column_into_one(describe: Describe) -> None:
    join = (
        "ivoa.obscore FULL JOIN fyst.packages USING (obs_publisher_did) FULL JOIN fyst.files USING (obs_publisher_did)"
    )
    (found,) = describe(f"SELECT obs_publisher_did FROM {join}")
    assert (found.name, found.utype) == ("obs_publisher_did", "obscore:Curation.PublisherDID")


# --- set operations ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "second", "datatype"),
    [
        ("calib_level", "access_estsize", Datatype.LONG),
        ("access_estsize", "calib_level", Datatype.LONG),
        ("calib_level", "s_ra", Datatype.DOUBLE),
        ("CAST(1 AS SMALLINT)", "2", Datatype.INT),
        ("CAST(1 AS REAL)", "CAST(1 AS REAL)", Datatype.FLOAT),
        ("1", "CAST(1 AS REAL)", Datatype.DOUBLE),
        ("NULL", "calib_level", Datatype.INT),
        ("calib_level", "NULL", Datatype.INT),
        ("NULL", "NULL", Datatype.CHAR),
        ("obs_id", "target_name", Datatype.UNICODE_CHAR),
        ("NULL", "target_name", Datatype.UNICODE_CHAR),
    ],
)
def test_a_union_has_the_type_that_holds_both(first: str, second: str, datatype: Datatype, describe: Describe) -> None:
    (found,) = describe(f"SELECT {first} AS x FROM ivoa.obscore UNION ALL SELECT {second} FROM ivoa.obscore")
    assert (found.name, found.datatype) == ("x", datatype)


def test_a_union_is_described_by_its_first_query(describe: Describe, tables: dict[str, Table]) -> None:
    (found,) = describe("SELECT calib_level FROM ivoa.obscore UNION SELECT t_min FROM ivoa.obscore")
    expected = replace(tables[OBSCORE].column("calib_level"), datatype=Datatype.DOUBLE)
    assert facts(found) == facts(expected)


def test_fixed_and_other_lengths_of_text_unite_to_any_length(describe: Describe) -> None:
    (found,) = describe(
        "SELECT CAST(obs_id AS CHAR(3)) AS x FROM ivoa.obscore UNION SELECT CAST(obs_id AS CHAR(4)) FROM ivoa.obscore"
    )
    assert found.arraysize == "*"


# --- aggregates, arithmetic, functions -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "name", "datatype", "unit", "ucd"),
    [
        ("COUNT(*)", "count_all", "LONG", None, "meta.number"),
        ("COUNT(s_ra)", "count_s_ra", "LONG", None, "meta.number"),
        ("COUNT(DISTINCT target_name)", "count_target_name", "LONG", None, "meta.number"),
        ("MIN(s_ra)", "min_s_ra", "DOUBLE", "deg", "pos.eq.ra;stat.min"),
        ("MAX(t_exptime)", "max_t_exptime", "DOUBLE", "s", "time.duration;obs.exposure;stat.max"),
        ("MAX(em_max)", "max_em_max", "DOUBLE", "m", "em.wl;stat.max"),
        ("MAX(calib_level)", "max_calib_level", "INT", None, "meta.code;obs.calib;stat.max"),
        ("MIN(target_name)", "min_target_name", "UNICODE_CHAR", None, "meta.id;src;stat.min"),
        ("AVG(s_ra)", "avg_s_ra", "DOUBLE", "deg", "pos.eq.ra;stat.mean"),
        ("AVG(calib_level)", "avg_calib_level", "DOUBLE", None, "meta.code;obs.calib;stat.mean"),
        ("SUM(t_exptime)", "sum_t_exptime", "DOUBLE", "s", None),
        ("SUM(access_estsize)", "sum_access_estsize", "LONG", "kbyte", None),
        ("SUM(calib_level)", "sum_calib_level", "LONG", None, None),
    ],
)
def test_aggregates_keep_unit_and_tell_the_statistic(
    expression: str, name: str, datatype: str, unit: str | None, ucd: str | None, describe: Describe
) -> None:
    (found,) = describe(f"SELECT {expression} FROM ivoa.obscore")
    assert (found.name, found.datatype.name, found.unit, found.ucd) == (name, datatype, unit, ucd)
    if ucd:
        validate_ucd(ucd)


def test_the_latest_time_is_a_timestamp(describe: Describe) -> None:
    (found,) = describe("SELECT MAX(obs_release_date) FROM ivoa.obscore")
    assert (found.datatype, found.arraysize, found.xtype) == (Datatype.CHAR, "*", "timestamp")


@pytest.mark.parametrize(
    "expression",
    [
        "t_max - t_min",
        "s_ra + s_dec - s_fov",
        "-s_ra",
        "s_ra * 2",
        "2 * s_ra",
        "s_ra / 2",
        "s_ra * s_dec",
        "s_fov * s_fov * s_fov",
        "t_exptime / t_min",
        "1 / t_exptime",
        "1 / (s_ra / t_min)",
        "s_ra / t_min / t_exptime",
        "s_ra * t_min / t_exptime * s_fov",
        "access_estsize / t_exptime",
        "(t_max - t_min) * s_ra",
        "em_max / em_min",
        "calib_level * s_xel1",
        "em_min * em_max / em_min",
    ],
)
def test_units_add_multiply_and_divide_as_astropy_says(
    expression: str, describe: Describe, tables: dict[str, Table]
) -> None:
    (found,) = describe(f"SELECT {expression} FROM ivoa.obscore")
    names = re.findall(r"[a-z]\w+", expression)
    quantities: dict[str, Any] = {
        name: 1.0 * units.Unit(tables[OBSCORE].column(name).unit or "", format="vounit") for name in names
    }
    expected = eval(expression, {}, quantities)  # noqa: S307  (an expression of this file)
    validate_unit(found.unit or "")
    assert units.Unit(found.unit or "", format="vounit") == getattr(expected, "unit", units.Unit(""))
    assert (found.ucd, found.utype, found.description) == (None, None, None)


@pytest.mark.parametrize(
    ("expression", "unit"),
    [
        ("s_ra + 1", "deg"),
        ("180 - s_ra", "deg"),
        ("t_min + 2400000.5", "d"),
        ("COALESCE(s_ra, 0)", "deg"),
        ("COALESCE(0, s_ra)", "deg"),
        ("s_ra + t_min", None),
        ("COALESCE(s_ra, t_min)", None),
        ("COALESCE(s_ra, s_dec)", "deg"),
        ("ABS(s_ra)", "deg"),
        ("ROUND(s_ra, 2)", "deg"),
        ("TRUNCATE(t_min)", "d"),
        ("FLOOR(s_ra / 15)", "deg"),
        ("MOD(s_ra, 360)", "deg"),
        ("RADIANS(s_ra)", "rad"),
        ("DEGREES(1)", "deg"),
        ("ATAN2(s_ra, s_dec)", "rad"),
        ("SIN(RADIANS(s_ra))", None),
        ("SQRT(s_ra)", None),
        ("LOG10(t_exptime)", None),
        ("DISTANCE(POINT(s_ra, s_dec), POINT(1, 2))", "deg"),
        ("CAST(s_ra AS INTEGER)", "deg"),
        ("CAST(s_ra AS VARCHAR)", None),
        ("MAX(s_ra) - MIN(s_ra)", "deg"),
        ("SUM(t_exptime) / 3600", "s"),
        ("COUNT(*)", None),
    ],
)
def test_literals_take_the_unit_of_what_they_meet_and_functions_know_theirs(
    expression: str, unit: str | None, describe: Describe
) -> None:
    (found,) = describe(f"SELECT {expression} FROM ivoa.obscore")
    assert found.unit == unit


def test_a_unit_that_is_not_of_vounits_multiplies_to_none() -> None:
    table = Table("t", (Column("a", Datatype.DOUBLE, unit="furlong of ale"), Column("b", Datatype.DOUBLE, unit="s")))
    columns = resolve(parse("SELECT a, a * b, a / b, a + a, 2 * a FROM t"), {"t": table}).table.columns
    assert [column.unit for column in columns] == ["furlong of ale", None, None, "furlong of ale", "furlong of ale"]


@pytest.mark.parametrize(
    ("expression", "datatype"),
    [
        ("calib_level + 1", "LONG"),
        ("calib_level / 2", "LONG"),
        ("calib_level / 2.", "DOUBLE"),
        ("-calib_level", "LONG"),
        ("access_estsize * calib_level", "LONG"),
        ("s_ra + 1", "DOUBLE"),
        ("NULL + 1", "LONG"),
        ("ABS(calib_level)", "LONG"),
        ("ABS(s_ra)", "DOUBLE"),
        ("MOD(calib_level, 2)", "LONG"),
        ("MOD(s_ra, 2)", "DOUBLE"),
        ("ROUND(calib_level)", "DOUBLE"),
        ("POWER(2, 3)", "DOUBLE"),
        ("1", "INT"),
        ("2147483648", "LONG"),
        ("1.5", "DOUBLE"),
        ("'a'", "CHAR"),
        ("'é'", "UNICODE_CHAR"),
        ("'a' || target_name", "UNICODE_CHAR"),
        ("'a' || obs_id", "CHAR"),
        ("NULL", "CHAR"),
        ("COALESCE(calib_level, 1.5)", "DOUBLE"),
        ("COALESCE(NULL, calib_level)", "INT"),
        ("CAST(s_ra AS SMALLINT)", "SHORT"),
        ("CAST(s_ra AS INTEGER)", "INT"),
        ("CAST(s_ra AS BIGINT)", "LONG"),
        ("CAST(s_ra AS REAL)", "FLOAT"),
        ("CAST(calib_level AS DOUBLE PRECISION)", "DOUBLE"),
        ("CAST(target_name AS VARCHAR)", "UNICODE_CHAR"),
        ("CAST(obs_id AS VARCHAR)", "CHAR"),
    ],
)
def test_datatypes_follow_from_the_operands(expression: str, datatype: str, describe: Describe) -> None:
    (found,) = describe(f"SELECT {expression} FROM ivoa.obscore")
    assert found.datatype.name == datatype


@pytest.mark.parametrize(
    ("target", "arraysize", "xtype"),
    [
        ("CHAR(5)", "5", None),
        ("CHAR", "*", None),
        ("VARCHAR(5)", "5*", None),
        ("VARCHAR", "*", None),
        ("TIMESTAMP", "*", "timestamp"),
    ],
)
def test_casts_to_text_say_their_length(target: str, arraysize: str, xtype: str | None, describe: Describe) -> None:
    (found,) = describe(f"SELECT CAST(obs_id AS {target}) FROM ivoa.obscore")
    assert (found.datatype, found.arraysize, found.xtype) == (Datatype.CHAR, arraysize, xtype)


@pytest.mark.parametrize(
    ("expression", "arraysize", "xtype"),
    [
        ("POINT(s_ra, s_dec)", "2", "point"),
        ("CIRCLE(s_ra, s_dec, 1)", "3", "circle"),
        ("POLYGON(1, 2, 3, 4, 5, 6)", "*", "polygon"),
    ],
)
def test_constructed_geometry_goes_out_as_dali_arrays(
    expression: str, arraysize: str, xtype: str, describe: Describe
) -> None:
    (found,) = describe(f"SELECT {expression} FROM ivoa.obscore")
    assert (found.datatype, found.arraysize, found.xtype) == (Datatype.DOUBLE, arraysize, xtype)


# --- names ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("items", "names"),
    [
        ("s_ra, s_dec", ["s_ra", "s_dec"]),
        ("S_RA", ["s_ra"]),
        ("s_ra AS Ra", ["Ra"]),
        ('s_ra AS "my RA"', ["my RA"]),
        ("s_ra, s_ra", ["s_ra", "s_ra_2"]),
        ("s_ra, s_ra, s_ra", ["s_ra", "s_ra_2", "s_ra_3"]),
        ('s_ra, s_dec AS "S_RA"', ["s_ra", "S_RA_2"]),
        ("s_ra, s_dec AS s_ra_2, s_ra", ["s_ra", "s_ra_2", "s_ra_3"]),
        ("s_ra, s_ra, s_dec AS s_ra_2", ["s_ra", "s_ra_3", "s_ra_2"]),
        ("1, 2, 3", ["column_1", "column_2", "column_3"]),
        ("1 AS column_2, 2", ["column_2", "column_2_2"]),
        ("COUNT(*), COUNT(*)", ["count_all", "count_all_2"]),
        ("MAX(s_ra), MAX(s_ra), MAX(s_dec)", ["max_s_ra", "max_s_ra_2", "max_s_dec"]),
        ("s_ra + 1, 'a', NULL", ["column_1", "column_2", "column_3"]),
        ("LOWER(target_name), SQRT(s_ra)", ["lower_target_name", "sqrt_s_ra"]),
        ("ATAN2(s_ra, s_dec), PI()", ["column_1", "column_2"]),
    ],
)
def test_columns_are_called_as_written_and_no_two_alike(items: str, names: list[str], describe: Describe) -> None:
    assert [column.name for column in describe(f"SELECT {items} FROM ivoa.obscore")] == names


def test_columns_of_one_name_from_several_tables_all_go_out(describe: Describe) -> None:
    columns = describe("SELECT a.s_ra, b.s_ra, c.s_ra FROM ivoa.obscore AS a, ivoa.obscore AS b, ivoa.obscore AS c")
    assert [column.name for column in columns] == ["s_ra", "s_ra_2", "s_ra_3"]
    assert len(describe("SELECT a.*, b.* FROM ivoa.obscore AS a, ivoa.obscore AS b")) == 100
    assert len(describe("SELECT * FROM ivoa.obscore AS a, ivoa.obscore AS b")) == 100


def test_disambiguated_names_can_be_used_outside(describe: Describe) -> None:
    inner = "SELECT a.s_ra, b.s_ra FROM ivoa.obscore AS a, ivoa.obscore AS b"
    query = f"SELECT x.s_ra, x.s_ra_2, s_ra_2 - x.s_ra AS d FROM ({inner}) AS x"
    assert [column.name for column in describe(query)] == ["s_ra", "s_ra_2", "d"]


def test_made_names_are_regular_identifiers(accepted: list[str], describe: Describe) -> None:
    """Every expression of the phrase-book's values and functions, over columns that exist."""
    seen = 0
    for query in accepted:
        match = re.fullmatch(r"SELECT (.*) FROM t", query)
        if match is None:
            continue
        items = re.sub(r"\b[abcde]\b(?!\()", "s_ra", match[1])
        try:
            columns = describe(f"SELECT {items}, {items} FROM ivoa.obscore")
        except QueryError:
            continue
        names = [column.name for column in columns]
        assert len({name.lower() for name in names}) == len(names)
        if '"' not in items and " AS " not in re.sub(r"CAST\s?\(.*", "", items):
            for name in names:
                assert re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name), items
                assert not is_reserved(name), items
        seen += 1
    assert seen > 80
