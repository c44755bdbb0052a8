"""Every constraint holds on both engines, and its breach reads as a sentence."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from catalog.db import Database
from catalog.opsdb.models import OpsBase, OurBase
from catalog.opsdb.refusals import _RULES, _Breach, _sentence, translate_integrity

PACKAGE = "00000000-0000-4000-8000-000000000001"
WHERE = f"WHERE raw_data_package_id = '{PACKAGE}'"


def refusal(database: Database, statement: str) -> str:
    """The sentence with which the database refuses a statement of plain SQL."""
    if database.dialect == "sqlite":
        statement = statement.replace("ops.", "").replace("catalog.", "")
    with pytest.raises(sa.exc.DBAPIError) as refused, database.begin() as connection:
        connection.exec_driver_sql(statement)
    return translate_integrity(refused.value).message


CHECKS = [
    ("UPDATE ops.telescope SET latitude_deg = 91", "telescope", "latitude_deg must lie between -90 and 90"),
    ("UPDATE ops.telescope SET longitude_deg = 361", "telescope", "longitude_deg must lie between -180 and 360"),
    ("UPDATE ops.telescope SET diameter_m = 0", "telescope", "diameter_m must be positive"),
    ("UPDATE ops.instrument_module SET kind = 'camera'", "instrument_module", "kind must be one of detector_stream, "),
    (
        "UPDATE ops.instrument_module SET frequency_max_ghz = 1",
        "instrument_module",
        "must not exceed frequency_max_ghz",
    ),
    (
        "UPDATE ops.instrument_module SET beam_fwhm_arcsec = -1",
        "instrument_module",
        "beam_fwhm_arcsec must be positive",
    ),
    ("UPDATE ops.instrument_module SET fov_deg = 400", "instrument_module", "fov_deg must be positive and at most 360"),
    ("UPDATE ops.chai_module_configuration SET if_max_ghz = 1", "chai_module_configuration", "less than if_max_ghz"),
    (
        "UPDATE ops.chai_observation_configuration SET bandwidth_ghz = 0",
        "chai_observation_configuration",
        "bandwidth_ghz must be positive",
    ),
    ("UPDATE ops.fixed_source SET dec_deg = -90.5", "fixed_source", "dec_deg must lie between -90 and 90"),
    ("UPDATE ops.fixed_source SET ra_deg = 361", "fixed_source", "ra_deg must lie between 0 and 360"),
    ("UPDATE ops.constant_elevation_source SET elevation_deg = 91", "constant_elevation_source", "elevation_deg must"),
    (
        "INSERT INTO ops.source (type, name) VALUES ('star', 'x')",
        "source",
        "type must be one of source, fixed_source, ",
    ),
    ("UPDATE ops.obs_mode SET scan_mode = 'stare'", "obs_mode", "scan_mode must be one of on-source, on-off, "),
    ("UPDATE ops.obs_unit SET priority = 3", "obs_unit", "priority must lie between 0 and 2"),
    ("UPDATE ops.obs_unit SET category = 'any'", "obs_unit", "category must be one of fixed, coordinated, "),
    (
        "UPDATE ops.executed_obs_unit SET end_time = '2000-01-01T00:00:00.000000'",
        "executed_obs_unit",
        "the end must not",
    ),
    ("UPDATE ops.observing_program SET release_months = 1201", "observing_program", "release_months must lie between"),
    (
        "UPDATE ops.observing_program SET release_months = 1, release_date = created_at",
        "observing_program",
        "a release date and release months exclude each other",
    ),
    ("UPDATE ops.raw_data_package SET size_bytes = -1", "raw_data_package", "size_bytes must not be negative"),
    ("UPDATE ops.raw_data_package SET sequence = sequence - 9", "raw_data_package", "sequence must not be negative"),
    ("UPDATE ops.raw_data_package SET checksum = 'AB'", "raw_data_package", "a checksum is written in lower case"),
    ("UPDATE ops.raw_data_package SET checksum = NULL", "raw_data_package", "a checksum and its algorithm are given"),
    ("UPDATE ops.raw_data_package SET state = 'ARCHIVED'", "raw_data_package", "state must be one of waiting, "),
    ("UPDATE ops.raw_data_package SET status = 'building'", "raw_data_package", "status must be one of pending, "),
    ("UPDATE ops.raw_data_package SET supersedes_id = id", "raw_data_package", "a package cannot supersede itself"),
    ("UPDATE ops.raw_data_file SET exptime_s = -1", "raw_data_file", "exptime_s must not be negative"),
    (
        "UPDATE ops.raw_data_package_metadata SET s_ra = 3",
        "raw_data_package_metadata",
        "s_ra and s_dec are given together",
    ),
    ("UPDATE ops.raw_data_package_metadata SET calib_level = 5", "raw_data_package_metadata", "calib_level must lie"),
    ("UPDATE ops.raw_data_package_metadata SET em_min = 0, em_max = 1", "raw_data_package_metadata", "em_min must be"),
    (
        "UPDATE ops.raw_data_package_metadata SET t_min = 2, t_max = 1",
        "raw_data_package_metadata",
        "t_max must not lie",
    ),
    (
        "UPDATE ops.raw_data_package_metadata SET data_rights = 'secret'",
        "raw_data_package_metadata",
        "data_rights must be",
    ),
    ("UPDATE ops.physical_copy SET status = 'gone'", "physical_copy", "status must be one of present, staged, "),
    ("UPDATE ops.physical_copy SET verification = 'good'", "physical_copy", "verification must be one of never, ok, "),
    (
        (
            "INSERT INTO ops.physical_copy (type, data_location_id, status, verification) "
            "VALUES ('raw_data_file_physical_copy', 1, 'present', 'never')"
        ),
        "physical_copy",
        "a copy refers to exactly the one target",
    ),
    (
        (
            "INSERT INTO ops.data_location (site_id, name, location_type, storage_type, active, priority) "
            "VALUES (1, 'x', 'attic', 'disk', true, 0)"
        ),
        "data_location",
        "location_type must be one of source, ",
    ),
    ("UPDATE ops.staging_job SET status = 'done'", "staging_job", "status must be one of pending, "),
    ("UPDATE ops.staging_job SET retry_count = -1", "staging_job", "retry_count must not be negative"),
    (
        (
            "INSERT INTO ops.data_transfer_route (name, origin_site_id, destination_site_id, method) "
            "VALUES ('x', 1, 1, 'bbcp')"
        ),
        "data_transfer_route",
        "origin and destination must be different sites",
    ),
    (
        (
            "INSERT INTO ops.data_transfer_route (name, origin_site_id, destination_site_id, method, route_type) "
            "VALUES ('x', 1, 2, 'bbcp', 'relay')"
        ),
        "data_transfer_route",
        "a route has a relay site exactly when its type is 'relay'",
    ),
    (
        "INSERT INTO ops.api_token (user_id, name, prefix, token_hash) VALUES (1, 'x', 'short', 'h')",
        "api_token",
        "the prefix of a token has eight characters",
    ),
    (
        "UPDATE catalog.package_publication SET withdrawn_reason = 'because'",
        "package_publication",
        "the time and the reason of a withdrawal are given together or not at all",
    ),
]


@pytest.mark.parametrize(("statement", "table", "rule"), CHECKS, ids=[rule for _, _, rule in CHECKS])
def test_a_broken_check_is_refused_by_table_and_rule(observed: Database, statement: str, table: str, rule: str) -> None:
    said = refusal(observed, statement)
    assert said.startswith(f"a row of {table} is refused: ")
    assert rule in said


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        (
            "INSERT INTO ops.site (key, name) VALUES ('ccat', 'x')",
            "a row of site is refused: there is another with the same key",
        ),
        (
            (
                "INSERT INTO ops.raw_data_package "
                "(id, executed_obs_unit_id, instrument_module_id, sequence, name, relative_path) "
                "SELECT '00000000-0000-4000-8000-00000000000a', executed_obs_unit_id, instrument_module_id, 0, 'n', 'p'"
                " FROM ops.raw_data_package WHERE sequence = 0"
            ),
            (
                "a row of raw_data_package is refused: there is another with the same executed_obs_unit_id and "
                "instrument_module_id and sequence"
            ),
        ),
        (
            (
                "INSERT INTO catalog.package_publication (raw_data_package_id, obs_publisher_did) "
                "SELECT '00000000-0000-4000-8000-000000000009', obs_publisher_did FROM catalog.package_publication"
            ),
            "a row of package_publication is refused: there is another with the same obs_publisher_did",
        ),
        ("INSERT INTO ops.site (key) VALUES ('x')", "a row of site is refused: name must be given"),
        (
            "UPDATE ops.raw_data_package SET relative_path = NULL",
            "a row of raw_data_package is refused: relative_path must be given",
        ),
    ],
)
def test_a_second_or_incomplete_row_is_refused(observed: Database, statement: str, said: str) -> None:
    assert refusal(observed, statement) == said


@pytest.mark.parametrize(
    ("statement", "table", "columns"),
    [
        ("UPDATE ops.raw_data_package SET instrument_module_id = 99", "raw_data_package", "instrument_module_id"),
        ("UPDATE ops.raw_data_file SET raw_data_package_id = id", "raw_data_file", "raw_data_package_id"),
        (
            (
                "INSERT INTO ops.obs_unit (name, observing_program_id, sub_observing_program_id) SELECT 'x', "
                "(SELECT max(id) FROM ops.observing_program), 99"
            ),
            "obs_unit",
            "sub_observing_program_id and observing_program_id",
        ),
    ],
)
def test_a_row_without_its_parent_is_refused(observed: Database, statement: str, table: str, columns: str) -> None:
    through = f" through {columns}" if observed.dialect == "postgresql" else ""  # SQLite does not say which
    assert (
        refusal(observed, statement) == f"a row of {table} is refused: it refers{through} to a row that does not exist"
    )


def test_a_part_of_another_programme_is_refused(observed: Database) -> None:
    schema = "" if observed.dialect == "sqlite" else "ops."
    with observed.begin() as connection:
        connection.exec_driver_sql(f"INSERT INTO {schema}observing_program (name, short_name) VALUES ('CMB', 'CMB')")
    said = refusal(
        observed,
        "UPDATE ops.obs_unit SET observing_program_id = (SELECT id FROM ops.observing_program WHERE name = 'CMB')",
    )
    assert "to a row that does not exist" in said


def test_a_parent_that_is_needed_is_not_deleted(observed: Database) -> None:
    said = refusal(observed, "DELETE FROM ops.obs_unit")
    assert said == "a row of obs_unit cannot be deleted: other rows refer to it"


@pytest.mark.parametrize("engine_name", ["postgresql"], indirect=True)
def test_a_value_of_the_wrong_type_is_refused_without_the_drivers_words(observed: Database) -> None:
    said = refusal(observed, "UPDATE ops.raw_data_package SET size_bytes = 99999999999999999999")
    assert said == "a row of raw_data_package is refused: a value does not fit the type of its column"


def test_other_errors_are_passed_on(observed: Database) -> None:
    with pytest.raises(sa.exc.DBAPIError) as wrong, observed.begin() as connection:
        connection.exec_driver_sql("SELECT 1 FROM nothing_of_the_kind")
    with pytest.raises(sa.exc.DBAPIError, match="nothing_of_the_kind"):
        translate_integrity(wrong.value)


def test_every_check_has_a_sentence_and_every_sentence_a_check() -> None:
    used, silent = set(), []
    for base in (OpsBase, OurBase):
        for table in base.metadata.sorted_tables:
            for constraint in table.constraints:
                if isinstance(constraint, sa.CheckConstraint):
                    name = str(constraint.name)
                    used.add(name.removeprefix(f"ck_{table.name}_"))
                    if "breaks the rule" in _sentence(_Breach("CHECK", table.name, name)):
                        silent.append(name)
    truths = {
        f"ck_{table.name}_{column.name}"
        for base in (OpsBase, OurBase)
        for table in base.metadata.sorted_tables
        for column in table.c
        if isinstance(column.type, sa.Boolean)
    }
    assert set(silent) <= truths
    assert _RULES.keys() <= used
