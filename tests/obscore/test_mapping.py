"""The mapping is stated once, completely, and the documentation is made from it."""

from __future__ import annotations

from pathlib import Path

from catalog.adql.words import is_reserved
from catalog.obscore.mapping import MAPPING, render_mapping
from catalog.obscore.package_obscore import COMPUTED_COLUMNS, RADIO_TABLE, TABLE, package_obscore, published_table
from catalog.obscore.view import published_views
from catalog.vo.units import validate_ucd, validate_unit

MANDATORY = """
dataproduct_type calib_level obs_collection obs_id obs_publisher_did access_url access_format access_estsize target_name
s_ra s_dec s_fov s_region s_resolution s_xel1 s_xel2 t_min t_max t_exptime t_resolution t_xel em_min em_max em_res_power
em_xel o_ucd pol_states pol_xel facility_name instrument_name
"""


def test_each_published_column_has_exactly_one_rule_in_its_order() -> None:
    obscore = [column.name for column in published_table(TABLE).columns]
    radio = [column.name for column in published_table(RADIO_TABLE).columns if column.name != "obs_publisher_did"]

    assert [rule.column for rule in MAPPING] == obscore + radio


def test_all_thirty_mandatory_columns_come_first() -> None:
    mandatory = [column.name for column in published_table(TABLE).columns if column.principal]

    assert mandatory == MANDATORY.split()
    assert len(mandatory) == 30


def test_only_computed_columns_are_not_stored() -> None:
    stored = set(package_obscore().c.keys())

    assert {rule.column for rule in MAPPING} - stored == set(COMPUTED_COLUMNS)


def test_documentation_is_made_from_the_mapping() -> None:
    page = Path(__file__).parents[2] / "docs" / "reference" / "obscore-mapping.md"

    assert page.read_text(encoding="utf-8") == render_mapping()


def test_published_tables_use_legal_names_units_and_ucds() -> None:
    for name in published_views():
        table = published_table(name)
        for column in table.columns:
            assert not is_reserved(column.name), f"{name}.{column.name}"
            assert column.description
            assert column.description.endswith("."), f"{name}.{column.name}"
            validate_unit(column.unit or "")
            if column.ucd:
                validate_ucd(column.ucd)
        for key in table.foreign_keys:
            target = published_table(key.target_table)
            for here, there in key.columns:
                assert table.column(here).datatype is target.column(there).datatype
