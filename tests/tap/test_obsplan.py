"""ivoa.obsplan as queries see it."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from catalog import Catalog
from catalog.access import Caller
from catalog.tap.query import QueryService
from catalog.vo.table import Table


def ask(service: Any, query: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = service.run(query).read_all().to_pylist()
    return rows


def test_synthetic_observatory_has_plans_of_every_status(catalog: Catalog) -> None:
    found = ask(catalog.tap, "SELECT execution_status, COUNT(*) AS n FROM ivoa.obsplan GROUP BY execution_status")
    counts = {row["execution_status"]: row["n"] for row in found}
    assert counts.keys() == {"Planned", "Scheduled", "Unscheduled", "Performed", "Aborted"}
    assert counts["Performed"] > 10


def test_every_observation_of_obscore_is_in_the_plan_and_agrees(catalog: Catalog) -> None:
    observed = ask(catalog.tap, "SELECT DISTINCT obs_id FROM ivoa.obscore")
    joined = ask(
        catalog.tap,
        "SELECT DISTINCT p.obs_id FROM ivoa.obsplan AS p JOIN ivoa.obscore AS o ON o.obs_id = p.obs_id "
        "WHERE p.em_min <= o.em_min AND p.em_max >= o.em_max AND p.obs_collection = o.obs_collection",
    )
    with_band = ask(catalog.tap, "SELECT DISTINCT obs_id FROM ivoa.obscore WHERE em_min IS NOT NULL")
    assert len(joined) == len(with_band) > 10
    assert {row["obs_id"] for row in observed} <= {
        row["obs_id"] for row in ask(catalog.tap, "SELECT obs_id FROM ivoa.obsplan")
    }


def test_what_is_scheduled_or_performed_has_its_times(catalog: Catalog) -> None:
    without = "t_min IS NULL OR t_max IS NULL OR t_exptime IS NULL"
    done = "execution_status IN ('Scheduled', 'Performed')"
    assert ask(catalog.tap, f"SELECT obs_id FROM ivoa.obsplan WHERE ({without}) AND {done}") == []


def test_positions_and_regions_answer_as_geometry(catalog: Catalog) -> None:
    (one,) = ask(catalog.tap, "SELECT TOP 1 obs_id, s_ra, s_dec FROM ivoa.obsplan WHERE s_region LIKE 'CIRCLE%'")
    cone = f"CIRCLE({one['s_ra']}, {one['s_dec']}, 0.1)"
    near = ask(catalog.tap, f"SELECT obs_id FROM ivoa.obsplan WHERE 1 = CONTAINS(POINT(s_ra, s_dec), {cone})")
    over = ask(catalog.tap, f"SELECT obs_id FROM ivoa.obsplan WHERE 1 = INTERSECTS(s_region, {cone})")
    slow = ask(
        catalog.tap,
        f"SELECT obs_id FROM ivoa.obsplan WHERE DISTANCE(s_ra, s_dec, {one['s_ra']}, {one['s_dec']}) + 0 < 0.1",
    )
    assert one["obs_id"] in {row["obs_id"] for row in near}
    assert {row["obs_id"] for row in near} == {row["obs_id"] for row in slow} <= {row["obs_id"] for row in over}


@pytest.mark.parametrize(
    ("condition", "index"),
    [
        ("t_min > 70000", "ix_obsplan_t_min"),
        ("obs_id = '93'", "ix_obsplan_obs_id"),
        ("1 = CONTAINS(POINT(s_ra, s_dec), CIRCLE(83.8, -5.4, 0.1))", "ix_obsplan_position"),
        ("1 = INTERSECTS(s_region, CIRCLE(83.8, -5.4, 0.1))", "ix_obsplan_region"),
    ],
)  # fmt: skip
def test_questions_for_time_place_and_identity_use_an_index(catalog: Catalog, condition: str, index: str) -> None:
    explanation = catalog.tap.explain(f"SELECT * FROM ivoa.obsplan WHERE {condition}")
    if catalog.database.dialect == "sqlite":
        name = index if condition[0] != "1" else "VIRTUAL TABLE INDEX"
        assert name in explanation.plan
        return
    query = explanation.sql
    values = [value for _, value in explanation.values]
    for number in range(len(values), 0, -1):
        literal = values[number - 1]
        query = query.replace(f"${number}", f"'{literal}'" if isinstance(literal, str) else str(literal))
    with catalog.database.engine.connect() as connection:
        connection.exec_driver_sql("SET LOCAL enable_seqscan = off")  # the table is small
        plan = "\n".join(connection.exec_driver_sql(f"EXPLAIN {query}".replace("%", "%%")).scalars())
    assert index in plan


def test_access_rule_holds_for_plans(catalog: Catalog) -> None:
    def not_calibrations(caller: Caller, table: Table, rows: sa.FromClause) -> sa.ColumnElement[bool]:
        return rows.c.obs_collection != "Cal"

    limits = {"maxrec_default": 1000, "maxrec_hard": 1000, "timeout_s": 60.0}
    guarded = QueryService(catalog.database, catalog.schemas, rule=not_calibrations, **limits)  # type: ignore[arg-type]
    collections = "SELECT DISTINCT obs_collection FROM ivoa.obsplan"
    everything = {row["obs_collection"] for row in ask(catalog.tap, collections)}
    assert "Cal" in everything
    assert {row["obs_collection"] for row in ask(guarded, collections)} == everything - {"Cal"}
