"""The column descriptions: strict to read, and right by the word lists of the standards."""

from __future__ import annotations

import re

import pytest

from catalog.errors import InternalError
from catalog.vo.tableset import load_tableset, parse_tableset
from catalog.vo.units import validate_ucd, validate_unit

TABLES = {table.name: table for schema in load_tableset() for table in schema.tables}
MANDATORY = """
dataproduct_type calib_level obs_collection obs_id obs_publisher_did access_url access_format access_estsize
target_name s_ra s_dec s_fov s_region s_resolution s_xel1 s_xel2 t_min t_max t_exptime t_resolution t_xel em_min em_max
em_res_power em_xel o_ucd pol_states pol_xel facility_name instrument_name
""".split()  # ObsCore 1.1 table 5, pol_states included by erratum


def test_obscore_has_the_mandatory_columns_first() -> None:
    columns = TABLES["ivoa.obscore"].columns
    assert [column.name for column in columns[:30]] == MANDATORY
    assert all(column.std and column.principal for column in columns[:30])


def test_obscore_and_its_radio_extension_share_the_key_alone() -> None:
    names = [{column.name for column in TABLES[name].columns} for name in ("ivoa.obscore", "ivoa.obscore_radio")]
    assert names[0] & names[1] == {"obs_publisher_did"}


@pytest.mark.parametrize("name", TABLES)
def test_units_ucds_and_names_are_legal(name: str) -> None:
    for column in TABLES[name].columns:
        validate_unit(column.unit or "")
        if column.ucd:
            validate_ucd(column.ucd)
        assert re.fullmatch(r"[a-z][a-z0-9_]*", column.name)
        assert column.description
        assert column.datatype.is_text == (column.arraysize is not None)


@pytest.mark.parametrize("name", TABLES)
def test_foreign_keys_lead_to_columns_that_are_there(name: str) -> None:
    for key in TABLES[name].foreign_keys:
        for here, there in key.columns:
            assert TABLES[name].column(here).datatype == TABLES[key.target_table].column(there).datatype


GOOD = """
schema: s
title: S
description: d
tables:
  - name: s.t
    title: T
    description: d
    columns: [{name: a, datatype: int, description: d}]
"""


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (("datatype: int", "datatype: integer"), "integer"),
        (("datatype: int,", "datatyp: int,"), "datatyp"),
        (("description: d}]", "description: d}, {name: A, datatype: int, description: d}]"), "described twice"),
        (("schema: s\n", ""), "schema_name"),
        (("columns:", "unknown: 1\n    columns:"), "unknown"),
        (("schema: s", "schema: ["), "s.yaml"),
    ],
)
def test_a_wrong_description_is_named(change: tuple[str, str], named: str) -> None:
    parse_tableset(GOOD, "s.yaml")
    with pytest.raises(InternalError, match=named):
        parse_tableset(GOOD.replace(*change), "s.yaml")
